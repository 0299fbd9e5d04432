//! Back to the revision before.

use landfall::api::deployment_status::Phase;

use super::{assert_ended, is_stable, stage, watched};

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_returns_to_a_kept_revision_whose_pods_are_gone_without_any_step() {
    let stage =
        stage("rollback", "{scaleDownDelay: 0s, canary: {steps: [{weight: 50}, {pause: {duration: 1s}}]}}").await;
    let first = stage.stable().await;
    let (load, witness) = watched(&stage).await;
    stage.want("2.0.0").await;
    assert_ended(&stage.ended().await, Phase::Succeeded, None);
    stage.taken_down(&first).await;
    let second = stage.stable().await;

    let before = stage.status().await.run.expect("there was a run").id;
    let answer = stage.command("rollback", "").await;
    assert!(answer == "Accepted" || answer == "Done", "{answer}");
    let end = stage
        .until("end of the rollback", |status| {
            status.run.as_ref().is_some_and(|run| run.id != before) && status.phase.is_some_and(Phase::is_terminal)
        })
        .await;
    assert_ended(&end, Phase::Succeeded, None);
    assert!(is_stable(&end, "1.0.0"), "{end:?}");
    assert_eq!(end.rejected.iter().map(|rejected| rejected.hash.as_str()).collect::<Vec<_>>(), [second.as_str()]);
    load.mark();
    load.answers(400).await.assert_all("1.0.0");

    load.finish_without_failure().await;
    assert_eq!(witness.weights().await, [0, 50, 100, 0, 100, 0]);
    assert_eq!(stage.scales().await[&first], 3);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_needs_no_new_pod_while_the_former_revision_has_its_own() {
    let stage = stage("kept", "{scaleDownDelay: 10m, canary: {steps: [{weight: 50}, {pause: {duration: 1s}}]}}").await;
    let (load, mut witness) = watched(&stage).await;
    let first = stage.stable().await;
    stage.want("2.0.0").await;
    let drains = "the former revision keeps its instances";
    stage
        .until("the new revision to have all traffic", |status| {
            let details = status.current_step.as_ref().and_then(|step| step.details.as_ref());
            details.is_some_and(|details| details.starts_with(drains))
        })
        .await;
    load.mark();
    load.answers(400).await.assert_all("2.0.0");

    let answer = stage.command("abort", "").await;
    assert!(answer == "Accepted" || answer == "Done", "{answer}");
    let end = stage.ended().await;
    assert_ended(&end, Phase::RolledBack, Some("ABORTED"));
    witness.until(|status| status.phase == Some(Phase::RolledBack)).await;
    load.mark();
    load.answers(400).await.assert_all("1.0.0");

    load.finish_without_failure().await;
    assert_eq!(witness.fewest_pods(&first).await, 3);
    assert_eq!(witness.weights().await, [0, 50, 100, 0, 100, 0]);
    stage.end().await;
}
