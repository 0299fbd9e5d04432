//! One look at a Profile: how its Deployments are, in numbers, and what becomes of its source.

use std::{sync::Arc, time::Duration};

use kube::api::ObjectMeta;
use serde::de::IgnoredAny;
use serde_json::json;
use tracing::{info, warn};

use super::{
    driver::Outcome,
    operator::Operator,
    sources::{self, Half, Left, Stored},
};
use crate::{
    api::{
        PROFILE_LABEL,
        condition::{Condition, ConditionReason, ConditionStatus, ConditionType},
        deployment_status::Phase,
        profile::{DeploymentCounts, Profile, ProfilePhase, ProfileStatus},
        source::{SourcePhase, SourceStatus},
    },
    cluster::{
        store::Key,
        write::{Account, Place},
    },
    engine::moment::Moment,
    gitops::{
        leave::{finalizers, is_held, without},
        words::{Conditions, Mood, Said, cut},
    },
    rollout::{describe, words::time},
    telemetry::chain,
};

/// How long a Profile waits for more of its Deployments to change before it counts them.
pub const DEBOUNCE: Duration = Duration::from_secs(2);

/// How soon a Profile that is deleted looks again whether its objects are gone.
const LEAVE_PAUSE: Duration = Duration::from_secs(2);

/// Looks at a Profile.
pub async fn look(operator: &Arc<Operator>, key: &Key) -> Outcome {
    let Some(profile) = operator.store.profile(&key.namespace, &key.name) else {
        operator.sources.gone(key);
        return Outcome::Done(None);
    };
    if profile.metadata.deletion_timestamp.is_some() {
        return leave(operator, key, &profile).await;
    }
    // Before the first object is written that has to go with it.
    if let Some(finalizers) = finalizers(&profile) {
        return hold(operator, &profile, finalizers).await;
    }
    let Some(source) = &profile.spec.source else {
        operator.sources.forget(key);
        return without_source(operator, key, &profile).await;
    };
    let half = sources::look(operator, key, &profile, source).await;
    let status = status(&profile, count(operator, key), (half.conditions.clone(), Some(half.status.clone())));
    let next = half.next;
    if is_due(&profile, &status, &half) {
        if let Err(outcome) = store(operator, &profile, status).await {
            sources::done(operator, key, half, Stored::No);
            return outcome;
        }
        tell(operator, &profile, &half);
    }
    sources::done(operator, key, half, Stored::Yes);
    Outcome::Done(next)
}

/// Looks at a Profile without a source.
async fn without_source(operator: &Operator, key: &Key, profile: &Profile) -> Outcome {
    let status = status(profile, count(operator, key), (usable(), None));
    if profile.status.as_ref() == Some(&status) {
        return Outcome::Done(None);
    }
    if let Err(outcome) = store(operator, profile, status).await {
        return outcome;
    }
    let before = profile.status.as_ref().and_then(|status| status.source.as_ref()?.inventory.as_ref());
    if let Some(count) = before.map(|inventory| inventory.count).filter(|count| *count > 0) {
        let note = format!(
            "the source was removed; its {count} objects stay and are not looked after any more: they have the label {PROFILE_LABEL}={}",
            key.name
        );
        operator.events.tell(profile, describe::Event { reason: "SourceRemoved", kind: describe::Kind::Normal, note });
    }
    Outcome::Done(None)
}

/// Brings a Profile that is deleted nearer to its end.
async fn leave(operator: &Arc<Operator>, key: &Key, profile: &Profile) -> Outcome {
    let left = operator.sources.forget(key);
    if !is_held(profile) {
        return Outcome::Done(None);
    }
    if left == Left::Work {
        // A write that was on its way has arrived then.
        return Outcome::Done(Some(LEAVE_PAUSE));
    }
    let Some(sentence) = sources::leave(operator, key, profile).await else {
        let finalizers = profile.metadata.finalizers.clone().unwrap_or_default();
        return hold(operator, profile, without(finalizers)).await;
    };
    let status = leaving(profile, count(operator, key), &sentence);
    if profile.status.as_ref() != Some(&status) {
        info!(waiting_for = sentence, "a Profile is deleted after its objects");
        if let Err(outcome) = store(operator, profile, status).await {
            return outcome;
        }
    }
    Outcome::Done(Some(LEAVE_PAUSE))
}

/// What a Profile says that waits for its objects to be gone.
fn leaving(profile: &Profile, counts: DeploymentCounts, sentence: &str) -> ProfileStatus {
    let waiting_for = cut(sentence, 1000);
    let (status, reason) = (ConditionStatus::False, ConditionReason::Pending);
    let synced = Said { status, reason, message: cut(&format!("Waiting for {waiting_for}."), 1000) };
    let conditions = Conditions { synced, ready: status, reconciling: ConditionStatus::True, stalled: status };
    let known = profile.status.as_ref().and_then(|status| status.source.clone()).unwrap_or_default();
    let source =
        SourceStatus { phase: Some(SourcePhase::Deleting), waiting_for: Some(waiting_for), drift: Vec::new(), ..known };
    self::status(profile, counts, (conditions, Some(source)))
}

/// Writes the finalizers of a Profile, provided that it is as it was seen. What follows is for the next look.
async fn hold(operator: &Operator, profile: &Profile, finalizers: Vec<String>) -> Outcome {
    let meta = &profile.metadata;
    let change = json!({"metadata": {"finalizers": finalizers, "resourceVersion": meta.resource_version}});
    let place = Place::named(
        "landfall.dev/v1alpha1",
        "Profile",
        meta.namespace.as_deref().unwrap_or_default(),
        meta.name.as_deref().unwrap_or_default(),
    );
    match operator.writer.merge::<IgnoredAny>(&Account::Own, &place, &change).await {
        // The write itself wakes the next look.
        Ok(_) => Outcome::Done(None),
        Err(error) if error.is_conflict() || error.is_absent() => Outcome::Stale,
        Err(error) => {
            warn!(error = chain(&error), "the finalizer of a Profile could not be written");
            Outcome::Failed(5)
        }
    }
}

/// Whether a status is to be stored now. What only tells the name of a short step is not.
fn is_due(profile: &Profile, after: &ProfileStatus, half: &Half) -> bool {
    let Some(before) = &profile.status else { return half.is_urgent };
    let others = |status: &ProfileStatus| (status.observed_generation, status.deployments.clone());
    before != after && (half.is_urgent || others(before) != others(after))
}

fn tell(operator: &Operator, profile: &Profile, half: &Half) {
    if let Some((reason, ..)) = &half.event {
        operator.metrics.sync_ended(reason);
    }
    for event in [&half.event, &half.revert, &half.drift].into_iter().flatten() {
        file(operator, profile, event.clone());
    }
}

fn file(operator: &Operator, profile: &Profile, (reason, mood, note): (&'static str, Mood, String)) {
    info!(reason, "{note}");
    let kind = match mood {
        Mood::Good => describe::Kind::Normal,
        Mood::Bad => describe::Kind::Warning,
    };
    operator.events.tell(profile, describe::Event { reason, kind, note });
}

/// Stores a status under the version that it was decided for, and keeps the view as new as that.
async fn store(operator: &Operator, profile: &Profile, status: ProfileStatus) -> Result<(), Outcome> {
    let meta = &profile.metadata;
    let object = json!({
        "apiVersion": "landfall.dev/v1alpha1",
        "kind": "Profile",
        "metadata": {
            "name": meta.name, "namespace": meta.namespace, "resourceVersion": meta.resource_version, "uid": meta.uid,
        },
        "spec": profile.spec,
        "status": status,
    });
    match operator.writer.replace_status(&Place::of(&object), &object).await {
        Ok(version) => {
            let metadata = ObjectMeta { resource_version: Some(version), ..meta.clone() };
            let stored = Profile { metadata, spec: profile.spec.clone(), status: Some(status) };
            operator.store.put_profile(stored);
            Ok(())
        }
        Err(error) if error.is_conflict() || error.is_absent() => Err(Outcome::Stale),
        Err(error) => {
            warn!(error = chain(&error), "the status of a Profile could not be written");
            Err(Outcome::Failed(5))
        }
    }
}

fn count(operator: &Operator, key: &Key) -> DeploymentCounts {
    let mut counts = DeploymentCounts::default();
    let all = operator.store.deployments_in(&key.namespace);
    for one in all.iter().filter(|one| one.spec.profile == *key.name) {
        counts.total += 1;
        match one.status.as_ref().and_then(|status| status.phase) {
            Some(Phase::Succeeded) => counts.succeeded += 1,
            Some(Phase::Failed | Phase::RolledBack) => counts.failed += 1,
            Some(phase) if !phase.is_terminal() => counts.running += 1,
            _ => {}
        }
    }
    counts
}

fn status(
    profile: &Profile,
    counts: DeploymentCounts,
    (said, source): (Conditions, Option<SourceStatus>),
) -> ProfileStatus {
    let phase = match said.ready {
        ConditionStatus::True => ProfilePhase::Ready,
        _ if said.stalled == ConditionStatus::True => ProfilePhase::Failed,
        _ => ProfilePhase::Pending,
    };
    let as_synced = |status| Said { status, ..said.synced.clone() };
    let mut all = vec![
        (ConditionType::Ready, as_synced(said.ready)),
        (ConditionType::Reconciling, as_synced(said.reconciling)),
        (ConditionType::Stalled, as_synced(said.stalled)),
    ];
    if source.is_some() {
        all.push((ConditionType::Synced, said.synced.clone()));
    }
    let now = super::operator::now();
    ProfileStatus {
        observed_generation: profile.metadata.generation.unwrap_or(0),
        phase: Some(phase),
        deployments: Some(counts),
        source,
        conditions: all.into_iter().map(|(type_, said)| condition(profile, type_, said, now)).collect(),
    }
}

/// What a Profile without a source says: it needs nothing.
fn usable() -> Conditions {
    let message = "Deployments can use it.".to_owned();
    let synced = Said { status: ConditionStatus::True, reason: ConditionReason::Succeeded, message };
    let no = ConditionStatus::False;
    Conditions { synced, ready: ConditionStatus::True, reconciling: no, stalled: no }
}

fn condition(profile: &Profile, type_: ConditionType, said: Said, now: Moment) -> Condition {
    let before = profile.status.iter().flat_map(|status| &status.conditions);
    let known = before.into_iter().find(|known| known.type_ == type_ && known.status == said.status);
    Condition {
        type_,
        status: said.status,
        reason: said.reason,
        message: said.message,
        last_transition_time: known.map_or_else(|| time(now), |known| known.last_transition_time.clone()),
        observed_generation: profile.metadata.generation.unwrap_or(0),
    }
}
