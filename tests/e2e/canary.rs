//! Canaries behind a gateway, with clients that never stop asking.

use landfall::api::deployment_status::Phase;

use crate::stage::{Stage, load::Load, manifests};

/// Steps long enough to count 5,000 answers in, and no longer.
const STEPS: &str = "{scaleDownDelay: 2s, canary: {steps: [{weight: 20}, {pause: {}}, {weight: 60}, {pause: {}}]}}";

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_moves_the_traffic_by_its_weights_and_no_request_fails() {
    let stage = Stage::new("canary").await;
    stage.profile(STEPS).await;
    stage.package("1.0.0").await;
    stage.package("2.0.0").await;
    stage.want("1.0.0").await;
    let first = stage.ended().await;
    assert_eq!(first.phase, Some(Phase::Succeeded), "{first:?}");

    let load = Load::start(&stage.host(), 400);
    stage.want("2.0.0").await;
    for (weight, share) in [("20", 0.2), ("60", 0.6)] {
        stage.until("a gate", |status| status.phase == Some(Phase::Paused)).await;
        stage.at_weight(weight).await;
        load.mark();
        load.answers(5_000).await.assert_share("2.0.0", share);
        assert!(stage.command("promote", "").await.starts_with("Done"));
    }
    let last = stage.ended().await;
    assert_eq!(last.phase, Some(Phase::Succeeded), "{last:?}");
    let seen = load.finish_without_failure().await;
    assert!(seen.answered() > 10_000, "{seen:?}");
    assert_eq!(last.history.len(), 2);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_version_is_found_by_its_check_and_goes_back_by_itself() {
    let stage = Stage::new("faulty").await;
    stage
        .profile(
            "{canary: {initialPercentage: 20, increment: 40, interval: 30s, \
             healthCheckUrl: 'http://{{candidate.service}}/healthz'}}",
        )
        .await;
    stage.package("1.0.0").await;
    // Its pods are ready, and every answer is an error.
    stage.apply(&manifests::package("3.0.0", ", --fault-rate=1")).await;
    stage.want("1.0.0").await;
    stage.ended().await;
    let stable = stage.stable().await;

    stage.want("3.0.0").await;
    let end = stage.ended().await;

    assert_eq!(end.phase, Some(Phase::RolledBack), "{end:?}");
    let error = end.error.expect("a failed run says why");
    assert_eq!(error.code, "CHECK_FAILED");
    assert!(error.message.contains("health") && error.message.contains("503"), "{}", error.message);
    assert_eq!(stage.stable().await, stable);
    assert_eq!(stage.scales().await[&stable], 3);
    stage.end().await;
}
