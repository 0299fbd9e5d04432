//! Events: what a person reads of a whole run.

use landfall::{
    api::deployment_status::DeploymentStatus,
    rollout::describe::{Kind, events},
};

use super::told::statuses;

/// The events of a scenario, as lines.
fn story(name: &str) -> Vec<String> {
    let mut before = DeploymentStatus::default();
    let mut lines = Vec::new();
    for after in statuses(name) {
        for event in events(&before, &after) {
            let mark = if event.kind == Kind::Warning { "!" } else { "" };
            lines.push(format!("{mark}{}: {}", event.reason, event.note));
        }
        before = after;
    }
    lines
}

fn reasons(name: &str) -> Vec<String> {
    story(name).iter().map(|line| line.split(": ").next().unwrap().to_owned()).collect()
}

#[test]
fn a_run_that_fails_reads_like_a_story() {
    let failed = "check health found status 500: 2 failed, at most 1 may";
    let told = [
        "RunStarted: run deploy-5da17380ff carries v1.0.0 (v1), attempt 1".to_owned(),
        "Succeeded: run deploy-5da17380ff of v1.0.0 (v1): v1.0.0 is stable".to_owned(),
        "RunStarted: run deploy-a9e921c1e0 carries v2.0.0 (v2), attempt 1".to_owned(),
        "WeightSet: 20 % to v2.0.0 is in force".to_owned(),
        "WeightSet: 40 % to v2.0.0 is in force".to_owned(),
        format!("!CheckFailed: {failed}"),
        format!("!RollingBack: CHECK_FAILED: {failed}"),
        format!("!RolledBack: run deploy-a9e921c1e0 of v2.0.0 (v2): {failed}"),
    ];
    assert_eq!(story("check-fails-at-40"), told);
}

#[test]
fn a_gate_and_what_people_say_to_it_are_told() {
    let all = reasons("steps-and-a-person");
    let from_gate = all.iter().skip_while(|reason| *reason != "GateWaits").map(String::as_str).collect::<Vec<_>>();
    assert_eq!(from_gate, ["GateWaits", "!CommandRefused", "CommandAnswered", "RunResumed", "WeightSet", "Succeeded"]);
    assert!(reasons("paused-spec").contains(&"Paused".to_owned()));
}

#[test]
fn a_stop_ends_the_run_and_a_restart_brings_two() {
    let all = reasons("stop-and-restart");
    let told = [
        "CommandAnswered",
        "RunStopped",
        "Stopped",
        "CommandAnswered",
        "RunStarted",
        "Succeeded",
        "RunStarted",
        "WeightSet",
        "WeightSet",
        "Succeeded",
    ];
    assert_eq!(all[3..], told);
}

#[test]
fn lost_memory_held_failures_and_rejected_revisions_are_warnings() {
    let has =
        |name: &str, reason: &str| assert!(reasons(name).contains(&reason.to_owned()), "{name}: {:?}", reasons(name));
    has("lost-status", "!StateRecovered");
    has("on-failure-pause", "!FailureHolds");
    has("rollback-to-kept", "!Quarantined");
    has("gates", "Scheduled");
    has("gates", "Pending");
}

#[test]
fn a_note_fits_into_an_event_whatever_it_says() {
    let mut after = DeploymentStatus::default();
    for (word, at) in [("abort", "ä".repeat(1_000)), ("stop", "x".repeat(2_000)), ("skip", "x".to_owned())] {
        let answer = serde_json::json!({"id": "a", "at": "1970-01-01T00:00:00Z", "by": "jane", "message": at});
        after.commands.insert(word.to_owned(), serde_json::from_value(answer).unwrap());
    }
    let notes: Vec<String> = events(&DeploymentStatus::default(), &after).into_iter().map(|event| event.note).collect();
    assert_eq!(notes.len(), 3);
    assert!(notes.iter().all(|note| note.len() <= 1_024), "{notes:?}");
    assert_eq!(notes.iter().filter(|note| note.ends_with('…')).count(), 2);
}
