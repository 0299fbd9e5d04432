//! One look at the Packages of a name: what their content is, recorded once.

use serde_json::json;
use tracing::warn;

use super::{driver::Outcome, operator::Operator};
use crate::{
    api::{
        condition::{Condition, ConditionReason, ConditionStatus, ConditionType},
        package::{PackagePhase, PackageStatus},
    },
    cluster::{
        store::{Key, table::Item, view::PackageView},
        write::Place,
    },
    rollout::words::time,
    telemetry::chain,
};

/// Looks at all Packages of a name.
pub async fn look(operator: &Operator, key: &Key) -> Outcome {
    let mut failed = false;
    for view in operator.store.packages(&key.namespace, &key.name).values() {
        let status = status(view, super::operator::now());
        if view.status == status {
            continue;
        }
        let object = json!({
            "apiVersion": "landfall.dev/v1alpha1",
            "kind": "Package",
            "metadata": {"name": view.name(), "namespace": &*key.namespace},
            "status": status,
        });
        let answer = operator.writer.merge_status(&Place::of(&object), &json!({"status": status})).await;
        if let Err(error) = answer.or_else(|error| if error.is_absent() { Ok(()) } else { Err(error) }) {
            warn!(package = view.name(), error = chain(&error), "the status of a Package could not be written");
            failed = true;
        }
    }
    if failed { Outcome::Failed(5) } else { Outcome::Done(None) }
}

fn status(view: &PackageView, now: crate::engine::moment::Moment) -> PackageStatus {
    let before = &view.status;
    let checksum = before.checksum.clone().unwrap_or_else(|| view.digest.clone());
    let same = checksum == view.digest;
    let message = if same {
        "The content is recorded."
    } else {
        "The content is not what was recorded of it: make a Package of a new version; what runs does not move."
    };
    let reason = if same { ConditionReason::Succeeded } else { ConditionReason::ContentChanged };
    let condition = |type_, holds: bool| {
        let status = if holds { ConditionStatus::True } else { ConditionStatus::False };
        let known = before.conditions.iter().find(|known| known.type_ == type_ && known.status == status);
        Condition {
            type_,
            status,
            reason,
            message: message.to_owned(),
            last_transition_time: known.map_or_else(|| time(now), |known| known.last_transition_time.clone()),
            observed_generation: view.generation,
        }
    };
    PackageStatus {
        observed_generation: view.generation,
        phase: Some(if same { PackagePhase::Ready } else { PackagePhase::Failed }),
        progress: Some(100),
        checksum: Some(checksum),
        size_bytes: i64::try_from(view.size.0).ok(),
        objects: i32::try_from(view.size.1).ok(),
        error: (!same).then(|| message.to_owned()),
        conditions: vec![
            condition(ConditionType::Ready, same),
            condition(ConditionType::Reconciling, false),
            condition(ConditionType::Stalled, !same),
        ],
    }
}
