//! A newer version that is wanted while another one is on its way.

use landfall::api::deployment_status::{DeploymentStatus, Phase};

use super::{RATE, assert_ended, is_candidate, is_stable, stage};
use crate::stage::{Stage, load::Load, witness::Witness};

const STRATEGY: &str = "{scaleDownDelay: 1s, canary: {initialPercentage: 30, increment: 40, interval: 1s}}";

/// The steps of such a run that are seen: the first, which waits for what is missing, is over at once.
/// 2 pods, 3 weight 30, 4 time, 5 weight 70, 6 time, 7 weight 100, 8 the Service turns, 9 the traffic returns, 10 the
/// former revision drains for a second. That it gives up its pods is no step that is seen: the run is over then.
const DRAINS: i32 = 10;

/// After the last step: the run has ended, and the former revision gives up its pods.
const OVER: i32 = 12;

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_version_starts_from_every_early_step_and_the_stable_one_keeps_everything() {
    let (left, right) = (interrupt("newer-a", &[2, 4]), interrupt("newer-b", &[3, 5]));
    tokio::join!(left, right);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_version_starts_from_every_late_step_and_the_stable_one_keeps_everything() {
    let (left, right) = (interrupt("newer-c", &[6, 8]), interrupt("newer-d", &[7, 9]));
    tokio::join!(left, right);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_version_follows_at_once_on_one_that_has_all_the_traffic() {
    let (left, right) = (interrupt("newer-e", &[10]), interrupt("newer-f", &[OVER]));
    tokio::join!(left, right);
}

/// Wants a newer version at each of these steps of a run.
async fn interrupt(test: &str, steps: &[i32]) {
    let mut stage = stage(test, STRATEGY).await;
    let load = Load::start(&stage.host(), RATE).await;
    let mut version = 1;
    for step in steps {
        newer(&mut stage, (version, *step)).await;
        version += 2;
    }
    load.mark();
    load.answers(400).await.assert_all(&named(version));
    load.finish_without_failure().await;
    stage.end().await;
}

fn named(version: u32) -> String {
    format!("{version}.0.0")
}

/// The next version is wanted, and at a step of its run the one after it.
async fn newer(stage: &mut Stage, (version, step): (u32, i32)) {
    let mut witness = Witness::new(stage);
    let (stable, next, newest) = (named(version), named(version + 1), named(version + 2));
    let hash = stage.stable().await;
    stage.package(&next).await;
    stage.package(&newest).await;
    stage.want(&next).await;
    let reached = |status: &DeploymentStatus| status.current_step.as_ref().is_some_and(|found| found.number >= step);
    let is_over = |status: &DeploymentStatus| is_stable(status, &next) && status.phase == Some(Phase::Succeeded);
    witness.until(|status| is_over(status) || (is_candidate(status, &next) && reached(status))).await;
    // The run stands still while the newer version arrives, so that it arrives at this step on a busy machine too.
    stage.kill_operator();
    let found = stage.status().await.current_step.map_or(OVER, |step| step.number);
    assert!(found >= step, "step {found} after {step}");
    stage.want(&newest).await;
    stage.start_operator();

    let end = stage
        .until(&format!("{newest} instead of {next} at step {step}"), |status| {
            is_stable(status, &newest) && status.phase == Some(Phase::Succeeded)
        })
        .await;
    assert_ended(&end, Phase::Succeeded, None);
    let last: Vec<_> = end.history.iter().take(2).map(|run| (run.revision.version.clone(), run.phase)).collect();
    let first = if found >= DRAINS { Phase::Succeeded } else { Phase::Cancelled };
    assert_eq!(last, [(newest.clone(), Phase::Succeeded), (next.clone(), first)], "at step {found}");
    assert_eq!(end.rejected, [], "what is pre-empted is not bad");
    if found < DRAINS {
        let fewest = witness.fewest_pods_before_the_end(&hash).await;
        assert_eq!(fewest, 3, "pods of {stable} at step {step}");
    }
}
