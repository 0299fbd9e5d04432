//! Commands by annotation: each is answered, and does what it says.

use landfall::api::deployment_status::Phase;

use super::{GATE, at_gate, package, plain_stage, runs, settled, small};
use crate::stage::Stage;

async fn at_gate_of_second(test: &str, strategy: &str) -> Stage {
    let stage = plain_stage(test, strategy).await;
    settled(&stage, "1.0.0", &small("1.0.0")).await;
    stage.apply(&package("2.0.0", &small("2.0.0"))).await;
    stage.want("2.0.0").await;
    at_gate(&stage).await;
    stage
}

async fn assert_end(stage: &Stage, phase: Phase, version: &str) {
    let end = stage.ended().await;
    assert_eq!((end.phase, runs(&end).as_str()), (Some(phase), version), "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pause_holds_resume_releases_and_promote_full_passes_every_gate() {
    let steps = "{scaleDownDelay: 0s, canary: {steps: [{weight: 50}, {pause: {}}, {weight: 50}, {pause: {}}]}}";
    let stage = at_gate_of_second("hold", steps).await;
    assert!(stage.command("resume", "").await.starts_with("Refused nothing holds"));
    assert_eq!(stage.command("pause", "").await, "Done");
    stage.until("a hold", |status| status.waiting_for.as_deref() == Some("a person to resume")).await;
    assert!(stage.command("promote", "").await.starts_with("Refused"));
    assert_eq!(stage.command("resume", "").await, "Done");
    stage.until("the gate", |status| status.waiting_for.as_deref() == Some("a person to promote")).await;
    assert_eq!(stage.command("promote", " full").await, "Done");
    assert_end(&stage, Phase::Succeeded, "2.0.0").await;
    assert!(stage.command("abort", "").await.starts_with("Refused no run"));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn skip_ends_a_pause_and_abort_quarantines_until_a_retry() {
    let steps =
        "{scaleDownDelay: 0s, canary: {steps: [{weight: 50}, {pause: {duration: 1h}}, {weight: 60}, {pause: {}}]}}";
    let stage = plain_stage("skip", steps).await;
    settled(&stage, "1.0.0", &small("1.0.0")).await;
    stage.apply(&package("2.0.0", &small("2.0.0"))).await;
    stage.want("2.0.0").await;
    stage
        .until("the timed pause", |status| {
            status.waiting_for.as_deref().is_some_and(|said| said.contains("the time of this step"))
        })
        .await;
    assert_eq!(stage.command("skip", "").await, "Done");
    at_gate(&stage).await;
    assert!(stage.command("cancel", "").await.contains("abort"));
    stage.command("abort", "").await;
    assert_end(&stage, Phase::RolledBack, "1.0.0").await;
    let status = stage.status().await;
    assert_eq!(status.rejected.len(), 1, "{status:?}");
    assert_eq!(status.error.unwrap().code, "ABORTED");

    assert_eq!(stage.command("retry", "").await, "Done");
    let again = stage.until("second attempt", |status| status.run.as_ref().is_some_and(|run| run.attempt == 2)).await;
    assert!(again.rejected.is_empty());
    stage
        .until("the timed pause", |status| {
            status.waiting_for.as_deref().is_some_and(|said| said.contains("the time of this step"))
        })
        .await;
    stage.command("promote", " full").await;
    assert_end(&stage, Phase::Succeeded, "2.0.0").await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_ends_a_run_before_traffic_moves() {
    let stage = plain_stage("cancel", "{blueGreen: {promotion: Manual}, scaleDownDelay: 0s}").await;
    settled(&stage, "1.0.0", &small("1.0.0")).await;
    let first = stage.stable().await;
    stage.apply(&package("2.0.0", &small("2.0.0"))).await;
    stage.want("2.0.0").await;
    at_gate(&stage).await;
    stage.command("cancel", "").await;
    assert_end(&stage, Phase::Cancelled, "1.0.0").await;
    let status = stage.status().await;
    assert!(status.rejected.is_empty(), "{status:?}");
    assert_eq!(stage.stable().await, first);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_takes_everything_down_and_retry_or_restart_answer() {
    let stage = at_gate_of_second("stop", GATE).await;
    stage.command("stop", "").await;
    let stopped = stage.until("stop", |status| status.phase == Some(Phase::Stopped)).await;
    assert_eq!(stopped.waiting_for, None);
    assert!(stage.scales().await.values().all(|pods| *pods == 0), "{:?}", stage.scales().await);
    // Another version is wanted: that is a wish to run again or is answered with what is.
    let answer = stage.command("restart", "").await;
    assert!(!answer.is_empty());
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restart_replaces_the_pods_and_makes_no_revision() {
    let stage = plain_stage("renew", GATE).await;
    settled(&stage, "1.0.0", &small("1.0.0")).await;
    let stable = stage.stable().await;
    let before = stage.world.pods().await;
    assert_eq!(before.len(), 1);
    // A pod is told from a new one by the second in which it was made.
    let born = stage.list("v1", "Pod", "app=web").await[0].metadata.creation_timestamp.clone().unwrap();
    let passed = stage
        .until("a later second", |_| k8s_openapi::jiff::Timestamp::now() > born.0 + std::time::Duration::from_secs(1));
    passed.await;
    stage.command("restart", "").await;
    let end =
        stage.until("end of the restart", |status| status.history.len() == 2 && status.phase == Some(Phase::Succeeded));
    end.await;
    let after = stage.world.pods().await;
    assert!(after.len() == 1 && after != before, "{before:?} {after:?}");
    assert_eq!(stage.stable().await, stable);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_and_unreadable_commands_are_answered_and_do_nothing() {
    let stage = at_gate_of_second("stale", GATE).await;
    let first = stage.status().await.history[0].clone();
    assert!(stage.command_about("abort", &first.run.id).await.starts_with("Stale"));
    assert!(stage.command_about("promote", &first.revision.hash).await.starts_with("Stale"));
    assert!(stage.command_about("skip", "").await.starts_with("Refused the value is empty"));
    assert!(stage.command_about("promote", "now please").await.starts_with("Refused"));
    assert!(stage.command_about("promte", "x").await.contains("is no command"));
    assert!(stage.command("rollback", " to=aaaaaaaaaa").await.starts_with("Refused"));
    let status = stage.status().await;
    assert_eq!(status.phase, Some(Phase::Paused), "{status:?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_to_what_is_not_kept_is_refused_by_name() {
    let stage = plain_stage("unkept", GATE).await;
    settled(&stage, "1.0.0", &small("1.0.0")).await;
    let answer = stage.command("rollback", " to=aaaaaaaaaa").await;
    assert!(answer.starts_with("Refused") && answer.contains("aaaaaaaaaa"), "{answer}");
    assert!(stage.command("rollback", "").await.starts_with("Refused"));
    assert!(stage.command("retry", "").await.starts_with("Refused nothing failed"));
    stage.end().await;
}
