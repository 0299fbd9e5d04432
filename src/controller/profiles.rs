//! One look at a Profile: how its Deployments are, in numbers, and what becomes of its source.

use std::{sync::Arc, time::Duration};

use kube::api::ObjectMeta;
use serde_json::json;
use tracing::{info, warn};

use super::{
    driver::Outcome,
    operator::Operator,
    sources::{self, Half, Stored},
};
use crate::{
    api::{
        condition::{Condition, ConditionReason, ConditionStatus, ConditionType},
        deployment_status::Phase,
        profile::{DeploymentCounts, Profile, ProfilePhase, ProfileStatus},
    },
    cluster::{store::Key, write::Place},
    engine::moment::Moment,
    gitops::words::{Conditions, Mood, Said},
    rollout::{describe, words::time},
    telemetry::chain,
};

/// How long a Profile waits for more of its Deployments to change before it counts them.
pub const DEBOUNCE: Duration = Duration::from_secs(2);

/// Looks at a Profile.
pub async fn look(operator: &Arc<Operator>, key: &Key) -> Outcome {
    let profile = operator.store.profile(&key.namespace, &key.name);
    let Some(profile) = profile.filter(|profile| profile.metadata.deletion_timestamp.is_none()) else {
        operator.sources.forget(key);
        return Outcome::Done(None);
    };
    let Some(source) = &profile.spec.source else {
        operator.sources.forget(key);
        let status = status(&profile, count(operator, key), None);
        return if profile.status.as_ref() == Some(&status) {
            Outcome::Done(None)
        } else {
            store(operator, &profile, status).await.map_or_else(|outcome| outcome, |()| Outcome::Done(None))
        };
    };
    let half = sources::look(operator, key, &profile, source).await;
    let status = status(&profile, count(operator, key), Some(&half));
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

/// Whether a status is to be stored now. What only tells the name of a short step is not.
fn is_due(profile: &Profile, after: &ProfileStatus, half: &Half) -> bool {
    let Some(before) = &profile.status else { return true };
    let others = |status: &ProfileStatus| (status.observed_generation, status.deployments.clone());
    before != after && (half.is_urgent || others(before) != others(after))
}

fn tell(operator: &Operator, profile: &Profile, half: &Half) {
    let Some((reason, mood, note)) = half.event.clone() else { return };
    info!(reason, "{note}");
    operator.metrics.sync_ended(reason);
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

fn status(profile: &Profile, counts: DeploymentCounts, half: Option<&Half>) -> ProfileStatus {
    let said = half.map_or_else(usable, |half| half.conditions.clone());
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
    if half.is_some() {
        all.push((ConditionType::Synced, said.synced.clone()));
    }
    let now = super::operator::now();
    ProfileStatus {
        observed_generation: profile.metadata.generation.unwrap_or(0),
        phase: Some(phase),
        deployments: Some(counts),
        source: half.map(|half| half.status.clone()),
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
