//! An operator that is killed again and again.

use landfall::api::deployment_status::Phase;

use super::{assert_ended, stage, watched};
use crate::stage::witness::Sight;

/// How often it is killed beside the change of a step.
const MORE: u32 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_is_killed_at_every_step_does_none_twice_and_loses_none() {
    let strategy = "{scaleDownDelay: 1s, canary: {initialPercentage: 20, increment: 40, interval: 1s, \
                    healthCheckUrl: 'http://{{candidate.service}}/healthz'}}";
    let mut stage = stage("killed", strategy).await;
    let generation = stage.deployments().get("web").await.unwrap().metadata.generation.unwrap();
    let (load, mut witness) = watched(&stage);
    let mut dice = fastrand::Rng::with_seed(4_711);
    let (mut last, mut more, mut kills) = (0, 0, 0);

    stage.want("2.0.0").await;
    let end = loop {
        let event = witness.next().await;
        let step = match &event.sight {
            Sight::Status(status) if status.observed_generation > generation => {
                if status.phase.is_some_and(Phase::is_terminal) {
                    break status.clone();
                }
                status.current_step.as_ref().map_or(last, |step| step.number)
            }
            _ => last,
        };
        let again = more < MORE && dice.u8(..3) == 0;
        if step != last || again {
            more += u32::from(step == last);
            last = step;
            stage.restart_operator();
            kills += 1;
        }
    };

    assert_ended(&end, Phase::Succeeded, None);
    assert!(kills > 10, "it was killed {kills} times only");
    assert_eq!(witness.weights(), [0, 20, 60, 100, 0]);
    let steps = witness.steps();
    for (run, steps) in &steps {
        assert!(steps.is_sorted(), "run {run} went {steps:?}");
    }
    let history: Vec<_> = end.history.iter().map(|run| (run.revision.version.as_str(), run.phase)).collect();
    assert_eq!(history, [("2.0.0", Phase::Succeeded), ("1.0.0", Phase::Succeeded)]);
    assert_eq!(witness.revisions().len(), 2);
    load.mark();
    load.answers(400).await.assert_all("2.0.0");
    load.finish_without_failure().await;
    stage.end().await;
}
