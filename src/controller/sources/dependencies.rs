//! What has to be in force before a source: Profiles of its namespace, and any other objects.
//!
//! Profiles are in view. Other objects are read as the account that writes, and not at every look: what was in force counts for a
//! while.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{BLOCKED_PAUSE, invalid, reading::Reading, work::unreached};
use crate::{
    api::{
        condition::{ConditionReason, ConditionStatus, ConditionType},
        profile::Profile,
        source::{Source, SourceDependency},
    },
    cluster::{
        bring::passes,
        store::Key,
        write::{Account, Place},
    },
    controller::operator::Operator,
    gitops::{
        custom::{Words, readiness},
        health::{Health, health},
        object::Id,
        sync::Trouble,
    },
    rollout::dependencies::cycle,
};

/// How long what was in force is taken for in force.
const FRESH: Duration = Duration::from_mins(1);

/// The most time that an expression may take.
const JUDGED_FOR: Duration = Duration::from_secs(5);

/// What was seen last of objects that are no Profiles.
pub struct Known {
    of: Vec<SourceDependency>,
    read: Reading,
    missing: Option<Trouble>,
}

impl Known {
    fn is_fresh(&self, asked: Option<&str>) -> bool {
        // A moment less than after which it is looked at again.
        let fresh = if self.missing.is_some() { BLOCKED_PAUSE.mul_f64(0.8) } else { FRESH };
        self.read.is_fresh(asked, fresh)
    }
}

/// What is not in force yet, or cannot be told. What was in force counts on where nothing answers.
pub async fn missing(
    operator: &Operator,
    account: &Account,
    (key, source): (&Key, &Source),
    (known, asked): (&mut Option<Known>, Option<&str>),
) -> Option<Trouble> {
    if source.depends_on.is_empty() {
        *known = None;
        return None;
    }
    if let Some(trouble) = profiles(operator, key, source) {
        return Some(trouble);
    }
    let before = known.take().filter(|known| known.of == source.depends_on);
    let last = match before {
        Some(fresh) if fresh.is_fresh(asked) => return known.insert(fresh).missing.clone(),
        before => before.map(|known| known.missing),
    };
    let missing = match (objects(operator, account, (key, source)).await, last) {
        // What was seen a moment ago is better than nothing.
        (Some(Trouble { reason: ConditionReason::NoAnswer, .. }), Some(last)) => last,
        (missing, _) => missing,
    };
    *known = Some(Known { of: source.depends_on.clone(), read: Reading::now(asked), missing: missing.clone() });
    missing
}

fn not_ready(message: String) -> Trouble {
    Trouble { reason: ConditionReason::DependencyNotReady, message }
}

fn named(source: &Source) -> impl Iterator<Item = &str> {
    source.depends_on.iter().filter(|one| one.other().is_none()).map(|one| one.name.as_str())
}

fn profiles(operator: &Operator, key: &Key, source: &Source) -> Option<Trouble> {
    if let Some(circle) = circle(operator, key) {
        let circle = circle.join(" needs ");
        return Some(invalid(format!("spec.source.dependsOn: {circle}: remove one of them")));
    }
    let missing = named(source).find(|name| {
        let profile = operator.store.profile(&key.namespace, name);
        !profile.is_some_and(|profile| is_in_force(&profile))
    })?;
    Some(not_ready(format!("the Profile {missing} is not in force yet")))
}

/// The Profiles by which this one would wait for itself.
fn circle(operator: &Operator, key: &Key) -> Option<Vec<String>> {
    let (mut all, mut open) = (BTreeMap::new(), vec![key.name.to_string()]);
    while let Some(name) = open.pop() {
        let profile = operator.store.profile(&key.namespace, &name);
        let source = profile.as_ref().and_then(|profile| profile.spec.source.as_ref());
        let next: BTreeSet<String> = source.into_iter().flat_map(named).map(ToOwned::to_owned).collect();
        open.extend(next.iter().filter(|one| !all.contains_key(*one)).cloned());
        all.insert(name, next);
    }
    cycle(&key.name, &all)
}

fn is_in_force(profile: &Profile) -> bool {
    let generation = profile.metadata.generation.unwrap_or(0);
    let conditions = profile.status.iter().flat_map(|status| &status.conditions);
    let of = if profile.spec.source.is_some() { ConditionType::Synced } else { ConditionType::Ready };
    conditions
        .into_iter()
        .any(|one| one.type_ == of && one.status == ConditionStatus::True && one.observed_generation == generation)
}

async fn objects(operator: &Operator, account: &Account, (key, source): (&Key, &Source)) -> Option<Trouble> {
    for (index, dependency) in source.depends_on.iter().enumerate() {
        if let Some((api_version, kind)) = dependency.other()
            && let Some(trouble) = object(operator, account, (key, index, dependency), (api_version, kind)).await
        {
            return Some(trouble);
        }
    }
    None
}

async fn object(
    operator: &Operator,
    account: &Account,
    (key, index, dependency): (&Key, usize, &SourceDependency),
    (api_version, kind): (&str, &str),
) -> Option<Trouble> {
    let ready = match readiness(index, dependency) {
        Ok(ready) => ready,
        Err(problem) => return Some(invalid(problem.to_string())),
    };
    let namespace = match operator.bringer.is_namespaced(api_version, kind).await {
        Ok(Some(true)) => Some(dependency.namespace.clone().unwrap_or_else(|| key.namespace.to_string())),
        Ok(Some(false)) => None,
        Ok(None) => return Some(not_ready(format!("the cluster knows no {kind} of {api_version} yet"))),
        Err(error) => return Some(unreached(&error)),
    };
    let place =
        Place { api_version: api_version.to_owned(), kind: kind.to_owned(), namespace, name: dependency.name.clone() };
    let Place { namespace, name, .. } = place.clone();
    let id = Id { api_version: api_version.to_owned(), kind: kind.to_owned(), namespace, name };
    let live = match operator.writer.get(account, &place).await {
        Ok(Some(live)) => live,
        Ok(None) => return Some(not_ready(format!("{id} is not there yet"))),
        Err(error) if passes(&error) => return Some(unreached(&error)),
        Err(error) if error.is_forbidden() => {
            let who = match account {
                Account::Service { name, .. } => name.as_str(),
                Account::Own => "the operator",
            };
            let message = format!("spec.source.dependsOn[{index}]: {id} may not be read: allow {who} to get it");
            return Some(not_ready(message));
        }
        Err(error) => return Some(not_ready(format!("spec.source.dependsOn[{index}]: {id}: {error}"))),
    };
    let Some(ready) = ready else {
        return match health(Some(&live)) {
            Health::Current => None,
            Health::InProgress(why) | Health::Failed(why) => Some(not_ready(format!("{id}: {why}"))),
            Health::Gone => Some(not_ready(format!("{id} is not there yet"))),
        };
    };
    let words = if (api_version, kind) == ("v1", "Secret") { Words::Secret } else { Words::Open };
    judged(move || ready.missing(&live, words)).await.map(|why| not_ready(format!("{id}: {why}")))
}

/// Expressions are written by a user, so they are evaluated on a thread for blocking work.
async fn judged(judge: impl FnOnce() -> Option<String> + Send + 'static) -> Option<String> {
    match tokio::time::timeout(JUDGED_FOR, tokio::task::spawn_blocking(judge)).await {
        Ok(Ok(missing)) => missing,
        _ => Some(format!("the expression is not evaluated within {JUDGED_FOR:?}: shorten it")),
    }
}
