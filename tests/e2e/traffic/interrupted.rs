//! An operator that is killed again and again.

use fastrand::Rng;
use landfall::api::deployment_status::{DeploymentStatus, Phase};

use super::{RATE, assert_ended, begin, is_paused, is_stable, stage, watched};
use crate::stage::{
    Stage,
    load::Load,
    manifests,
    witness::{Sight, Witness},
};

/// How often it is killed beside the change of a step.
const MORE: u32 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_is_killed_at_every_step_does_none_twice_and_loses_none() {
    let strategy = "{scaleDownDelay: 1s, canary: {initialPercentage: 20, increment: 40, interval: 1s, \
                    healthCheckUrl: 'http://{{candidate.service}}/healthz'}}";
    let mut stage = stage("killed", strategy).await;
    let (load, mut witness) = watched(&stage).await;
    stage.want("2.0.0").await;
    let (end, kills) = kill_until_the_end(&mut stage, &mut witness, Rng::with_seed(4_711)).await;

    assert!(kills > 10, "it was killed {kills} times only");
    assert_eq!(witness.weights().await, [0, 20, 60, 100, 0]);
    assert_one_run(&end, &witness).await;
    load.mark();
    load.answers(400).await.assert_all("2.0.0");
    load.finish_without_failure().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_is_killed_during_a_switch_switches_once() {
    let mut stage = stage("killed-switch", "{scaleDownDelay: 1s, blueGreen: {switchDelay: 1s}}").await;
    let (load, mut witness) = watched(&stage).await;
    stage.want("2.0.0").await;
    let (end, _) = kill_until_the_end(&mut stage, &mut witness, Rng::with_seed(23)).await;

    assert_eq!(witness.weights().await, [0, 100, 0]);
    assert_one_run(&end, &witness).await;
    load.finish_without_failure().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_is_killed_on_the_way_back_arrives_all_the_same() {
    let mut stage = stage("killed-abort", "{scaleDownDelay: 1s, canary: {steps: [{weight: 40}, {pause: {}}]}}").await;
    let (load, _) = watched(&stage).await;
    let stable = stage.stable().await;
    stage.want("2.0.0").await;
    stage.until("a gate", is_paused).await;
    let mut witness = Witness::new(&stage);
    stage.kill_operator();
    let id = stage.status().await.run.expect("a run").id;
    // Nobody reads the command when it is given.
    stage.annotate("abort", &id).await;
    stage.start_operator();
    let (end, _) = kill_until_the_end(&mut stage, &mut witness, Rng::with_seed(42)).await;

    assert_ended(&end, Phase::RolledBack, Some("ABORTED"));
    assert!(is_stable(&end, "1.0.0"));
    assert_eq!(witness.weights().await, [40, 0]);
    assert_eq!(witness.fewest_pods(&stable).await, 3);
    load.mark();
    load.answers(400).await.assert_all("1.0.0");
    load.finish_without_failure().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_is_killed_during_a_canary_without_a_router_fails_no_request() {
    let strategy = "{scaleDownDelay: 1s, canary: {initialPercentage: 34, increment: 33, interval: 1s}}";
    let (end, witness) = killed_without_router("killed-plain", strategy).await;
    assert_one_run(&end, &witness).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_is_killed_during_a_rolling_replacement_fails_no_request() {
    let strategy = "{scaleDownDelay: 1s, rolling: {maxSurge: 1, maxUnavailable: 0}}";
    let (end, witness) = killed_without_router("killed-rolling", strategy).await;
    assert_one_run(&end, &witness).await;
}

async fn killed_without_router(test: &str, strategy: &str) -> (DeploymentStatus, Witness) {
    let mut stage = Stage::new(test).await;
    stage.apply(&manifests::profile_without_router(strategy)).await;
    begin(&stage).await;
    let load = Load::start_at(&stage.address_of("web").await, &stage.world.pods().await, RATE).await;
    let mut witness = Witness::new(&stage);
    stage.want("2.0.0").await;
    let (end, _) = kill_until_the_end(&mut stage, &mut witness, Rng::with_seed(7)).await;
    load.answers_of("2.0.0", 200).await;
    load.finish_without_failure().await;
    stage.end().await;
    (*end, witness)
}

/// Kills the operator whenever a step changes, and now and then when something else happens, until the run of the wanted
/// generation has ended. Returns how it ended, and how often the operator was killed.
async fn kill_until_the_end(stage: &mut Stage, witness: &mut Witness, mut dice: Rng) -> (Box<DeploymentStatus>, u32) {
    let generation = stage.deployments().get("web").await.unwrap().metadata.generation.unwrap_or_default();
    let (mut last, mut more, mut kills) = (0, 0, 0);
    loop {
        let event = witness.next().await;
        let mut step = last;
        if let Sight::Status(status) = event.sight
            && status.observed_generation >= generation
        {
            if status.phase.is_some_and(Phase::is_terminal) {
                return (status, kills);
            }
            step = status.current_step.as_ref().map_or(last, |step| step.number);
        }
        let again = more < MORE && dice.u8(..3) == 0;
        if step != last || again {
            more += u32::from(step == last);
            last = step;
            stage.restart_operator();
            kills += 1;
        }
    }
}

/// Fails unless there was one run of 2.0.0 that went through its steps once and succeeded.
async fn assert_one_run(end: &DeploymentStatus, witness: &Witness) {
    assert_ended(end, Phase::Succeeded, None);
    let history: Vec<_> = end.history.iter().map(|run| (run.revision.version.as_str(), run.phase)).collect();
    assert_eq!(history, [("2.0.0", Phase::Succeeded), ("1.0.0", Phase::Succeeded)]);
    for (run, steps) in &witness.steps().await {
        assert!(steps.is_sorted(), "run {run} went {steps:?}");
    }
    assert_eq!(witness.revisions().await.len(), 2);
}
