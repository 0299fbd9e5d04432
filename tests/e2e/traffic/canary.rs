//! A canary behind the gateway, up to its end and back.

use landfall::api::deployment_status::{DeploymentStatus, Phase};

use super::{assert_ended, begin, is_candidate, is_paused, is_stable, stage, watched};
use crate::stage::{Stage, load::Load, witness::Witness};

/// Enough requests for a share to be told within the tolerance.
const COUNTED: u64 = 5_000;

/// Enough a second that counting does not take long.
const FAST: u32 = 400;

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_moves_the_traffic_by_its_weights_and_no_request_fails() {
    let strategy = "{scaleDownDelay: 1s, canary: {steps: [{weight: 20}, {pause: {}}, {weight: 60}, {pause: {}}]}}";
    let stage = Stage::new("canary").await;
    // Weights settle for as long as they do where nobody says anything.
    stage.profile(strategy).await;
    begin(&stage).await;
    let (load, witness) = (Load::start(&stage.host(), FAST).await, Witness::new(&stage));

    stage.want("2.0.0").await;
    for (weight, share) in [("20", 0.2), ("60", 0.6)] {
        gate(&stage, weight).await;
        load.mark();
        load.answers(COUNTED).await.assert_share("2.0.0", share);
        assert_eq!(stage.command("promote", "").await, "Done");
    }
    let last = stage.ended().await;
    assert_ended(&last, Phase::Succeeded, None);
    load.mark();
    load.answers(400).await.assert_all("2.0.0");

    load.finish_without_failure().await;
    assert_eq!(last.history.len(), 2);
    assert_eq!(witness.weights().await, [0, 20, 60, 100, 0]);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_returns_the_traffic_and_the_revision_starts_again_only_after_another_one() {
    let strategy = "{scaleDownDelay: 1s, canary: {steps: [{weight: 40}, {pause: {}}]}}";
    let stage = stage("abort", strategy).await;
    let stable = stage.stable().await;
    let (load, witness) = (Load::start(&stage.host(), FAST).await, Witness::new(&stage));

    stage.want("2.0.0").await;
    let paused = gate(&stage, "40").await;
    load.mark();
    load.answers(COUNTED).await.assert_share("2.0.0", 0.4);
    let answer = stage.command("abort", "").await;
    assert!(answer == "Accepted" || answer == "Done", "{answer}");
    let end = stage.ended().await;
    assert_ended(&end, Phase::RolledBack, Some("ABORTED"));
    assert!(is_stable(&end, "1.0.0"));
    let rejected: Vec<_> = end.rejected.iter().map(|rejected| rejected.hash.clone()).collect();
    let candidate = paused.revision.and_then(|revision| revision.candidate).expect("it had a candidate");
    assert_eq!(rejected, [candidate.hash]);
    load.mark();
    load.answers(400).await.assert_all("1.0.0");
    assert_eq!(witness.weights().await, [0, 40, 0]);

    // Another revision is wanted, and then the one that was aborted.
    stage.package("3.0.0").await;
    stage.want("3.0.0").await;
    stage.until("3.0.0 at its gate", |status| is_candidate(status, "3.0.0") && is_paused(status)).await;
    stage.want("2.0.0").await;
    stage.until("2.0.0 at its gate", |status| is_candidate(status, "2.0.0") && is_paused(status)).await;
    assert_eq!(stage.command("promote", "").await, "Done");
    let end = stage.ended().await;
    assert_ended(&end, Phase::Succeeded, None);
    assert_eq!(end.rejected, []);

    load.finish_without_failure().await;
    assert_eq!(witness.fewest_pods_before_the_end(&stable).await, 3);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantined_revision_that_is_still_wanted_does_not_start_by_itself() {
    let strategy = "{scaleDownDelay: 1s, canary: {steps: [{weight: 40}, {pause: {}}]}}";
    let stage = stage("quarantine", strategy).await;
    let (load, mut witness) = watched(&stage).await;
    stage.want("2.0.0").await;
    stage.at_weight("40").await;
    stage.command("abort", "").await;
    let run = stage.ended().await.run;

    // A change that is none of the revision's is looked at, and starts nothing.
    stage.patch(serde_json::json!({"timeout": "20m"})).await;
    let generation = stage.deployments().get("web").await.unwrap().metadata.generation.unwrap();
    let (_, after) = witness.until(|status| status.observed_generation >= generation).await;
    assert_eq!((after.run, after.phase), (run, Some(Phase::RolledBack)));

    load.finish_without_failure().await;
    assert_eq!(witness.weights().await, [0, 40, 0]);
    stage.end().await;
}

/// Waits until the canary waits for a person at this weight, in force.
async fn gate(stage: &Stage, weight: &str) -> DeploymentStatus {
    stage.until(&format!("gate at {weight} %"), |status| is_paused(status) && has_weight(status, weight)).await
}

fn has_weight(status: &DeploymentStatus, weight: &str) -> bool {
    let traffic = status.traffic.as_ref();
    traffic.is_some_and(|traffic| traffic.candidate.to_string() == weight && traffic.verified)
}
