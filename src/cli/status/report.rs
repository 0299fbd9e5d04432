//! What is said of a run: one line or one object per change, and how it ended. Pure.

use serde_json::{Value, json};

use crate::{
    api::{
        condition::{ConditionStatus, ConditionType},
        deployment::Deployment,
        deployment_status::{DeploymentStatus, Phase},
    },
    cli::get::versions,
};

/// How a run ended, as far as an exit code is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// What was wanted is in force.
    Well,
    /// It is not, and nothing will change without a person.
    Badly,
}

/// How the run of what is wanted now ended; none while it goes on. A status that is about an older spec says nothing.
pub fn end(deployment: &Deployment) -> Option<End> {
    let status = deployment.status.as_ref()?;
    if Some(status.observed_generation) < deployment.metadata.generation {
        return None;
    }
    match status.phase? {
        Phase::Succeeded | Phase::Stopped => Some(End::Well),
        Phase::Failed | Phase::RolledBack | Phase::Cancelled => Some(End::Badly),
        _ => is_stalled(status).then_some(End::Badly),
    }
}

fn is_stalled(status: &DeploymentStatus) -> bool {
    let stalled = status.conditions.iter().find(|condition| condition.type_ == ConditionType::Stalled);
    stalled.is_some_and(|condition| condition.status == ConditionStatus::True)
}

/// The state as one line, without what changes all the time.
pub fn line(status: &DeploymentStatus) -> String {
    let progress = status.progress.clone().unwrap_or_default();
    let mut words = vec![phase(status)];
    if !is_over(status) {
        words.push(format!("{}%", progress.percentage));
    }
    words.extend(status.current_step.as_ref().filter(|_| !is_over(status)).map(|step| {
        let details = step.details.as_ref().map(|details| format!(": {details}")).unwrap_or_default();
        format!("step {}/{} {}{details}", step.number, progress.total_steps, step.action)
    }));
    words.extend(Some(versions(status)).filter(|versions| !versions.is_empty()));
    words.extend(status.waiting_for.as_ref().map(|sentence| format!("waiting for: {sentence}")));
    words.extend(status.error.as_ref().map(|error| format!("error {}: {}", error.code, error.message)));
    words.join(" | ")
}

/// The phase, or that nobody has looked yet.
pub fn phase(status: &DeploymentStatus) -> String {
    status.phase.map_or_else(|| "no operator has looked yet".to_owned(), |phase| phase.to_string())
}

fn is_over(status: &DeploymentStatus) -> bool {
    status.phase.is_some_and(Phase::is_terminal)
}

/// The state as an object for programs: the status without the operator's own record.
pub fn object(deployment: &Deployment) -> Value {
    let status = deployment.status.clone().unwrap_or_default();
    let status = DeploymentStatus { record: None, ..status };
    let metadata = &deployment.metadata;
    json!({
        "namespace": metadata.namespace, "name": metadata.name, "generation": metadata.generation, "status": status,
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn deployment(generation: i64, status: &Value) -> Deployment {
        serde_json::from_value(json!({
            "apiVersion": "landfall.dev/v1alpha1", "kind": "Deployment",
            "metadata": {"name": "shop", "namespace": "shop", "generation": generation},
            "spec": {"package": {"name": "shop", "version": "1.0.0"}, "profile": "production"},
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn a_run_ends_by_its_phase_and_only_at_the_current_generation() {
        let ended = |phase: &str| end(&deployment(2, &json!({"observedGeneration": 2, "phase": phase})));
        for phase in Phase::ALL {
            let expected = match phase {
                Phase::Succeeded | Phase::Stopped => Some(End::Well),
                Phase::Failed | Phase::RolledBack | Phase::Cancelled => Some(End::Badly),
                _ => None,
            };
            assert_eq!(ended(phase.as_str()), expected, "{phase}");
        }
        assert_eq!(end(&deployment(3, &json!({"observedGeneration": 2, "phase": "Succeeded"}))), None);
        assert_eq!(end(&deployment(1, &json!({"observedGeneration": -1}))), None);
    }

    #[test]
    fn what_is_stalled_does_not_move_by_itself() {
        let status = |value: &str| {
            json!({"observedGeneration": 1, "phase": "Pending", "conditions": [{
                "type": "Stalled", "status": value, "reason": "InvalidSpec", "lastTransitionTime": "2026-01-01T00:00:00Z",
            }]})
        };
        assert_eq!(end(&deployment(1, &status("True"))), Some(End::Badly));
        assert_eq!(end(&deployment(1, &status("False"))), None);
    }

    #[test]
    fn a_line_tells_phase_progress_step_versions_and_what_is_waited_for() {
        let status = json!({
            "phase": "Progressing",
            "progress": {"percentage": 60, "completedSteps": 3, "totalSteps": 5},
            "currentStep": {"number": 4, "action": "SetWeight", "details": "40 % to 1.4.2"},
            "revision": {"stable": {"version": "1.4.1", "hash": "a"}, "candidate": {"version": "1.4.2", "hash": "b"}},
            "waitingFor": "2 of 5 pods of revision b ready",
        });
        let status = deployment(1, &status).status.unwrap();
        let said = "Progressing | 60% | step 4/5 SetWeight: 40 % to 1.4.2 | 1.4.1 → 1.4.2 | waiting for: 2 of 5 pods of revision b ready";
        assert_eq!(line(&status), said);
        let over = json!({"phase": "RolledBack", "error": {"code": "CHECK_FAILED", "message": "health failed"}});
        assert_eq!(line(&deployment(1, &over).status.unwrap()), "RolledBack | error CHECK_FAILED: health failed");
        assert_eq!(line(&DeploymentStatus::default()), "no operator has looked yet | 0%");
    }

    #[test]
    fn the_object_for_programs_leaves_the_record_out() {
        let told = object(&deployment(1, &json!({"phase": "Succeeded", "record": "{}"})));
        assert_eq!((&told["status"]["phase"], &told["status"]["record"]), (&json!("Succeeded"), &Value::Null));
    }
}
