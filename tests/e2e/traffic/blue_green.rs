//! A switch of all traffic at once.

use landfall::api::deployment_status::Phase;

use super::{assert_ended, is_paused, stage, watched};
use crate::stage::load::Load;

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_moves_all_traffic_at_once_and_no_request_fails() {
    let strategy =
        "{scaleDownDelay: 1s, blueGreen: {switchDelay: 1s, healthCheckUrl: 'http://{{candidate.service}}/healthz'}}";
    let stage = stage("switch", strategy).await;
    let stable = stage.stable().await;
    let (load, witness) = watched(&stage).await;

    stage.want("2.0.0").await;
    assert_ended(&stage.ended().await, Phase::Succeeded, None);
    load.mark();
    load.answers(400).await.assert_all("2.0.0");

    load.finish_without_failure().await;
    assert_eq!(witness.weights().await, [0, 100, 0]);
    stage.taken_down(&stable).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manual_switch_shows_the_candidate_first_and_waits_for_a_person() {
    let stage = stage("preview", "{scaleDownDelay: 1s, blueGreen: {promotion: Manual}}").await;
    let (load, witness) = watched(&stage).await;

    stage.want("2.0.0").await;
    stage.until("a gate", is_paused).await;
    load.mark();
    let pods = stage.world.pods().await;
    let preview = Load::start_at(&stage.address_of("web-candidate").await, &pods, 100).await;
    preview.answers_of("2.0.0", 200).await;
    preview.finish_without_failure().await;
    load.answers(400).await.assert_all("1.0.0");
    assert_eq!(witness.weights().await, [0]);

    assert_eq!(stage.command("promote", "").await, "Done");
    assert_ended(&stage.ended().await, Phase::Succeeded, None);
    load.mark();
    load.answers(400).await.assert_all("2.0.0");

    load.finish_without_failure().await;
    assert_eq!(witness.weights().await, [0, 100, 0]);
    stage.end().await;
}
