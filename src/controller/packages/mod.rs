//! One look at the Packages of a name: what their content is, recorded once.

pub mod repository;

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tracing::warn;

use self::repository::{Look, Progress};
use super::{driver::Outcome, operator::Operator, sources::packaged::Fault};
use crate::{
    api::{
        condition::{Condition, ConditionReason, ConditionStatus, ConditionType},
        package::{PackagePhase, PackageStatus},
    },
    cluster::{
        store::{Key, table::Item, view::PackageView},
        write::Place,
    },
    engine::moment::Moment,
    rollout::words::time,
    telemetry::chain,
};

/// Looks at all Packages of a name.
pub async fn look(operator: &Arc<Operator>, key: &Key) -> Outcome {
    let mut failed = false;
    let mut next: Option<Duration> = None;
    let views = operator.store.packages(&key.namespace, &key.name);
    operator.contents.keep_only(key, &views.keys().map(|name| &**name));
    for view in views.values() {
        let now = super::operator::now();
        let status = match &view.repository {
            None => inline(view, now),
            Some(workload) => {
                let look = operator.contents.look(operator, view, workload);
                next = next.into_iter().chain(look.next).min();
                if look.is_found_again {
                    wake(operator, key);
                }
                of_repository(view, &look, now)
            }
        };
        if view.status == status {
            continue;
        }
        let object = json!({
            "apiVersion": "landfall.dev/v1alpha1",
            "kind": "Package",
            "metadata": {"name": view.name(), "namespace": &*key.namespace},
            "status": status,
        });
        let answer =
            operator.writer.merge_status(&Place::of(&object), &json!({"status": replacing(view, &status)})).await;
        if let Err(error) = answer.or_else(|error| if error.is_absent() { Ok(()) } else { Err(error) }) {
            warn!(package = view.name(), error = chain(&error), "the status of a Package could not be written");
            failed = true;
        }
    }
    if failed { Outcome::Failed(5) } else { Outcome::Done(next) }
}

/// The status as it is merged: an error that is over is taken away.
fn replacing(view: &PackageView, status: &PackageStatus) -> serde_json::Value {
    let mut status_value = json!(status);
    if view.status.error.is_some() && status.error.is_none() {
        status_value["error"] = serde_json::Value::Null;
    }
    status_value
}

/// Asks for a look at the Deployments that want a Package of this name.
fn wake(operator: &Operator, key: &Key) {
    for one in operator.store.deployments_in(&key.namespace) {
        if one.spec.package.name == *key.name {
            operator.rollouts.add(one.owner());
        }
    }
}

/// What a Package's conditions have in common.
struct Said<'a> {
    reason: ConditionReason,
    message: &'a str,
    ready: bool,
    reconciling: bool,
    stalled: bool,
}

fn conditions(view: &PackageView, now: Moment, said: &Said<'_>) -> Vec<Condition> {
    let condition = |type_, holds: bool| {
        let status = if holds { ConditionStatus::True } else { ConditionStatus::False };
        let known = view.status.conditions.iter().find(|known| known.type_ == type_ && known.status == status);
        Condition {
            type_,
            status,
            reason: said.reason,
            message: said.message.to_owned(),
            last_transition_time: known.map_or_else(|| time(now), |known| known.last_transition_time.clone()),
            observed_generation: view.generation,
        }
    };
    vec![
        condition(ConditionType::Ready, said.ready),
        condition(ConditionType::Reconciling, said.reconciling),
        condition(ConditionType::Stalled, said.stalled),
    ]
}

fn inline(view: &PackageView, now: Moment) -> PackageStatus {
    let before = &view.status;
    let checksum = before.checksum.clone().unwrap_or_else(|| view.digest.clone());
    let same = checksum == view.digest;
    let message = if same {
        "The content is recorded."
    } else {
        "The content is not what was recorded of it: make a Package of a new version; what runs does not move."
    };
    let reason = if same { ConditionReason::Succeeded } else { ConditionReason::ContentChanged };
    PackageStatus {
        observed_generation: view.generation,
        phase: Some(if same { PackagePhase::Ready } else { PackagePhase::Failed }),
        progress: Some(100),
        commit: None,
        checksum: Some(checksum),
        size_bytes: i64::try_from(view.size.0).ok(),
        objects: i32::try_from(view.size.1).ok(),
        error: (!same).then(|| message.to_owned()),
        conditions: conditions(view, now, &Said { reason, message, ready: same, reconciling: false, stalled: !same }),
    }
}

/// The status of a Package whose content a repository has.
fn of_repository(view: &PackageView, look: &Look, now: Moment) -> PackageStatus {
    let mut status = PackageStatus { observed_generation: view.generation, ..view.status.clone() };
    match &look.progress {
        Progress::Known => ready(view, now, &mut status),
        Progress::Kept(kept) => {
            status.commit = Some(kept.commit.clone());
            status.checksum = Some(kept.checksum.clone());
            status.size_bytes = i64::try_from(kept.size).ok();
            status.objects = i32::try_from(kept.objects).ok();
            ready(view, now, &mut status);
        }
        Progress::Failed(fault) => failed(view, now, &mut status, fault),
        // What was said before this process began is said until there is something else to say.
        Progress::Open if view.status.error.is_some() => {}
        Progress::Open => {
            let message = "The repository is being read.";
            let said =
                Said { reason: ConditionReason::Progressing, message, ready: false, reconciling: true, stalled: false };
            (status.phase, status.progress) = (Some(PackagePhase::Processing), Some(0));
            status.conditions = conditions(view, now, &said);
        }
    }
    status
}

fn ready(view: &PackageView, now: Moment, status: &mut PackageStatus) {
    let message = "The content is recorded.";
    let said = Said { reason: ConditionReason::Succeeded, message, ready: true, reconciling: false, stalled: false };
    (status.phase, status.progress, status.error) = (Some(PackagePhase::Ready), Some(100), None);
    status.conditions = conditions(view, now, &said);
}

fn failed(view: &PackageView, now: Moment, status: &mut PackageStatus, fault: &Fault) {
    let stalled = fault.is_stalled;
    let message = fault.message.as_str();
    let said = Said { reason: fault.reason, message, ready: false, reconciling: !stalled, stalled };
    status.phase = Some(if stalled { PackagePhase::Failed } else { PackagePhase::Pending });
    (status.progress, status.error) = (Some(0), Some(message.to_owned()));
    // A tag is looked up once: what it led to is remembered before anything else is.
    status.commit = status.commit.clone().or_else(|| fault.commit.clone());
    status.conditions = conditions(view, now, &said);
}
