//! Shares without a router: the pods behind one Service are the share.

use landfall::api::deployment_status::Phase;

use super::{RATE, assert_ended, begin, is_paused, is_stable};
use crate::stage::{Stage, load::Load, manifests};

const CANARY: &str = "{scaleDownDelay: 1s, canary: {steps: [{weight: 34}, {pause: {}}, {weight: 67}, {pause: {}}]}}";

#[tokio::test(flavor = "multi_thread")]
async fn without_a_router_both_versions_answer_by_their_pods_and_no_request_fails() {
    let (stage, load) = plain("plain", CANARY).await;
    stage.want("2.0.0").await;
    for _ in 0..2 {
        stage.until("a gate", is_paused).await;
        load.mark();
        let seen = load.answers(1_000).await;
        let (old, new) = (seen.share("1.0.0"), seen.share("2.0.0"));
        assert!(old > 0.0 && new > 0.0 && (old + new - 1.0).abs() < 1e-9, "{seen:?}");
        assert_eq!(stage.command("promote", "").await, "Done");
    }
    assert_ended(&stage.ended().await, Phase::Succeeded, None);
    load.answers_of("2.0.0", 200).await;
    load.finish_without_failure().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_without_a_router_takes_the_candidate_out_of_the_service_first() {
    let (stage, load) = plain("plain-abort", CANARY).await;
    stage.want("2.0.0").await;
    stage.until("a gate", is_paused).await;
    load.mark();
    let seen = load.answers(1_000).await;
    assert!(seen.share("2.0.0") > 0.0, "{seen:?}");

    stage.command("abort", "").await;
    let end = stage.ended().await;
    assert_ended(&end, Phase::RolledBack, Some("ABORTED"));
    assert!(is_stable(&end, "1.0.0"));
    load.answers_of("1.0.0", 200).await;
    load.finish_without_failure().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_replacement_fails_no_request() {
    let (stage, load) = plain("rolling", "{scaleDownDelay: 1s, rolling: {maxSurge: 1, maxUnavailable: 0}}").await;
    stage.want("2.0.0").await;
    assert_ended(&stage.ended().await, Phase::Succeeded, None);
    load.answers_of("2.0.0", 200).await;
    load.finish_without_failure().await;
    stage.end().await;
}

/// A stage without a router on which version 1.0.0 runs, and clients of its Service.
async fn plain(test: &str, strategy: &str) -> (Stage, Load) {
    let stage = Stage::new(test).await;
    stage.apply(&manifests::profile_without_router(strategy)).await;
    begin(&stage).await;
    let load = Load::start_at(&stage.address_of("web").await, &stage.world.pods().await, RATE).await;
    (stage, load)
}
