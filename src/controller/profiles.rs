//! One look at a Profile: how its Deployments are, in numbers.

use std::time::Duration;

use serde_json::json;
use tracing::warn;

use super::{driver::Outcome, operator::Operator};
use crate::{
    api::{
        condition::{Condition, ConditionReason, ConditionStatus, ConditionType},
        deployment_status::Phase,
        profile::{DeploymentCounts, Profile, ProfilePhase, ProfileStatus},
    },
    cluster::{store::Key, write::Place},
    engine::moment::Moment,
    rollout::words::time,
    telemetry::chain,
};

/// How long a Profile waits for more of its Deployments to change before it counts them.
pub const DEBOUNCE: Duration = Duration::from_secs(2);

/// Looks at a Profile.
pub async fn look(operator: &Operator, key: &Key) -> Outcome {
    let Some(profile) = operator.store.profile(&key.namespace, &key.name) else { return Outcome::Done(None) };
    let status = status(&profile, count(operator, key), super::operator::now());
    if profile.status.as_ref() == Some(&status) {
        return Outcome::Done(None);
    }
    let place = Place::named("landfall.dev/v1alpha1", "Profile", &key.namespace, &key.name);
    match operator.writer.merge_status(&place, &json!({"status": status})).await {
        Ok(()) => Outcome::Done(None),
        Err(error) if error.is_absent() => Outcome::Done(None),
        Err(error) => {
            warn!(error = chain(&error), "the status of a Profile could not be written");
            Outcome::Failed(5)
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

fn status(profile: &Profile, counts: DeploymentCounts, now: Moment) -> ProfileStatus {
    let generation = profile.metadata.generation.unwrap_or(0);
    let before = profile.status.clone().unwrap_or_default();
    let condition = |type_, status| {
        let known = before.conditions.iter().find(|known| known.type_ == type_ && known.status == status);
        Condition {
            type_,
            status,
            reason: ConditionReason::Succeeded,
            message: "Deployments can use it.".to_owned(),
            last_transition_time: known.map_or_else(|| time(now), |known| known.last_transition_time.clone()),
            observed_generation: generation,
        }
    };
    ProfileStatus {
        observed_generation: generation,
        phase: Some(ProfilePhase::Ready),
        deployments: Some(counts),
        source: before.source.clone(),
        conditions: vec![
            condition(ConditionType::Ready, ConditionStatus::True),
            condition(ConditionType::Reconciling, ConditionStatus::False),
            condition(ConditionType::Stalled, ConditionStatus::False),
        ],
    }
}
