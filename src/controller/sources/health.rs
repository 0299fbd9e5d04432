//! How the objects of a commit are, by lists of their kinds.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::work::{Job, Loaded, MESSAGE_MAX, failure, place};
use crate::{
    api::{GROUP, PROFILE_LABEL, source::Rollout},
    cluster::{
        call::CallError,
        write::{Account, Place},
    },
    gitops::{
        custom::Words,
        health::{Health as Judgement, health},
        object::{Id, Manifest},
        sync::Health,
        words::cut,
    },
};

/// Why an object is not healthy, as one word.
const UNHEALTHY: &str = "Unhealthy";

/// The kinds that are what they are as soon as they are there.
const STATELESS: [(&str, &str); 15] = [
    ("", "ConfigMap"),
    ("", "Secret"),
    ("", "ServiceAccount"),
    ("", "LimitRange"),
    ("", "Namespace"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("networking.k8s.io", "Ingress"),
    ("networking.k8s.io", "IngressClass"),
    ("rbac.authorization.k8s.io", "Role"),
    ("rbac.authorization.k8s.io", "RoleBinding"),
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ("storage.k8s.io", "StorageClass"),
    ("scheduling.k8s.io", "PriorityClass"),
    ("landfall.dev", "Profile"),
];

/// Asks how the objects are.
///
/// # Errors
/// The API server did not answer.
pub async fn look(job: &Job, loaded: &Loaded) -> Result<Health, CallError> {
    let mut found = Health::default();
    let mut waiting = Vec::new();
    for ((api_version, kind), manifests) in by_kind(job, &loaded.manifests) {
        let live = Arc::new(live(job, &api_version, &kind, &manifests).await?);
        let mut own = own(job, (&api_version, &kind), &live, &manifests).await;
        for manifest in manifests {
            let object = live.get(&manifest.id);
            let judgement = own.remove(&manifest.id).unwrap_or_else(|| health(object));
            if let (GROUP, "Deployment", Some(object)) = (manifest.id.group(), kind.as_str(), object) {
                found.rollouts.push(rollout(&manifest.id, object));
            }
            match judgement {
                Judgement::Current => {}
                Judgement::InProgress(sentence) => waiting.push(format!("{}: {sentence}", manifest.id)),
                Judgement::Gone => waiting.push(format!("{} to be there", manifest.id)),
                Judgement::Failed(sentence) => found.failures.push(failure(manifest, UNHEALTHY, &sentence)),
            }
        }
    }
    let more = waiting.len().saturating_sub(1);
    found.waiting_for = waiting.into_iter().next().map(|first| match more {
        0 => first,
        more => format!("{first} (and {more} more)"),
    });
    Ok(found)
}

type Kinds<'a> = BTreeMap<(String, String), Vec<&'a Manifest>>;

/// The most time that the expressions of one kind may take in one look.
const JUDGED_FOR: Duration = Duration::from_secs(5);

/// What the source says itself of objects of a kind. Expressions are written by a user, so they are evaluated on a thread for
/// blocking work, as long as they may take.
async fn own(
    job: &Job,
    (api_version, kind): (&str, &str),
    live: &Arc<HashMap<Id, Value>>,
    manifests: &[&Manifest],
) -> HashMap<Id, Judgement> {
    if !job.checks.has(api_version, kind) {
        return HashMap::new();
    }
    let words = |manifest: &&Manifest| if manifest.is_guarded() { Words::Secret } else { Words::Open };
    let there = manifests.iter().filter(|manifest| live.contains_key(&manifest.id));
    let there: Vec<_> = there.map(|manifest| (manifest.id.clone(), words(manifest))).collect();
    let late = || Judgement::InProgress(format!("{LATE} {JUDGED_FOR:?}: shorten them"));
    let ids: Vec<Id> = there.iter().map(|(id, _)| id.clone()).collect();
    let (checks, live, end) = (Arc::clone(&job.checks), Arc::clone(live), Instant::now() + JUDGED_FOR);
    let judged = tokio::task::spawn_blocking(move || {
        let judge = |(id, words): (Id, Words)| {
            let judgement = if Instant::now() < end { checks.judge(live.get(&id)?, words)? } else { late() };
            Some((id, judgement))
        };
        there.into_iter().filter_map(judge).collect()
    });
    match tokio::time::timeout(2 * JUDGED_FOR, judged).await {
        Ok(Ok(judged)) => judged,
        // The interpreter is somebody else's, and may not come back.
        _ => ids.into_iter().map(|id| (id, late())).collect(),
    }
}

const LATE: &str = "the expressions of spec.source.healthChecks are not evaluated within";

/// Whether an object is what it is as soon as it is there. Of Services only those wait for something that want an address from outside.
fn is_stateless(manifest: &Manifest) -> bool {
    let kind = (manifest.id.group(), manifest.id.kind.as_str());
    STATELESS.contains(&kind) || kind == ("", "Service") && !manifest.text().contains("LoadBalancer")
}

fn by_kind<'a>(job: &Job, manifests: &'a [Manifest]) -> Kinds<'a> {
    let mut kinds = Kinds::new();
    for manifest in manifests {
        let is_judged = job.checks.has(&manifest.id.api_version, &manifest.id.kind);
        if is_judged || !is_stateless(manifest) {
            let kind = (manifest.id.api_version.clone(), manifest.id.kind.clone());
            kinds.entry(kind).or_default().push(manifest);
        }
    }
    kinds
}

/// The objects of one kind, as they are.
async fn live(
    job: &Job,
    api_version: &str,
    kind: &str,
    manifests: &[&Manifest],
) -> Result<HashMap<Id, Value>, CallError> {
    let account = &job.target.account;
    let labels = format!("{PROFILE_LABEL}={}", job.key.name);
    let place = Place::named(api_version, kind, &job.target.namespace, "");
    // A list of one object costs more than the object.
    if manifests.len() > 1 {
        let both = |object: Value| {
            let object = with_kind(object, api_version, kind);
            Id::of(&object).map(|id| (id, object))
        };
        match job.target.writer.list(account, &place, &labels, both).await {
            Ok(objects) => return Ok(objects.into_iter().flatten().collect()),
            Err(error) if error.is_forbidden() => {}
            Err(error) => return Err(error),
        }
    }
    each(job, account, manifests).await
}

async fn each(job: &Job, account: &Account, manifests: &[&Manifest]) -> Result<HashMap<Id, Value>, CallError> {
    let mut live = HashMap::new();
    for manifest in manifests {
        if let Some(object) = job.target.writer.get(account, &place(&manifest.id)).await? {
            live.insert(manifest.id.clone(), object);
        }
    }
    Ok(live)
}

/// Items of lists do not name their kind.
fn with_kind(mut object: Value, api_version: &str, kind: &str) -> Value {
    object["apiVersion"] = api_version.into();
    object["kind"] = kind.into();
    object
}

fn rollout(id: &Id, object: &Value) -> Rollout {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(ToOwned::to_owned);
    Rollout {
        deployment: format!("{}/{}", id.namespace.as_deref().unwrap_or_default(), id.name),
        phase: text("/status/phase").unwrap_or_else(|| "Pending".to_owned()),
        message: text("/status/error/message").or_else(|| text("/status/waitingFor")),
        code: text("/status/error/code").map(|code| cut(&code, 64)),
        details: text("/status/error/details").map(|details| cut(&details, MESSAGE_MAX)),
    }
}
