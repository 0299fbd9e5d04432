//! How the checks of the run stand.

use super::{SENTENCE_MAX, Scene};
use crate::{
    api::deployment_status::{CheckPhase, CheckStatus},
    engine::verdict::{Check, Tally, Verdict, verdict},
    rollout::words::{cut, number},
};

/// The longest value that is shown, in characters.
const VALUE_MAX: usize = 200;

/// The checks of the run under way, or of the last one. Outside of the steps that make a check, it stands as it stood last.
pub(super) fn checks(scene: &Scene<'_>) -> Vec<CheckStatus> {
    let Some(run) = scene.state().run.as_ref().filter(|_| !scene.is_dry_run()) else { return Vec::new() };
    let made_here = run.checks();
    let status = |check: &Check| match run.tallies.get(&check.name) {
        Some(tally) => told(check, tally),
        None if made_here.contains(&check.name) => told(check, &Tally::default()),
        None => before(scene, &check.name).unwrap_or_else(|| told(check, &Tally::default())),
    };
    run.plan.checks.iter().map(status).collect()
}

fn before(scene: &Scene<'_>, name: &str) -> Option<CheckStatus> {
    scene.before()?.checks.iter().find(|check| check.name == name).cloned()
}

fn told(check: &Check, tally: &Tally) -> CheckStatus {
    let (phase, message) = match verdict(check, tally) {
        Verdict::Failed(message) => (CheckPhase::Failed, message),
        Verdict::Passed => (CheckPhase::Passed, passed(check, tally)),
        Verdict::Running if tally.taken == 0 => (CheckPhase::Pending, "not measured yet in this step".to_owned()),
        Verdict::Running => (CheckPhase::Running, passed(check, tally)),
    };
    CheckStatus {
        name: cut(&check.name, 63),
        phase,
        successes: number(tally.successes),
        failures: number(tally.failures),
        value: tally.value.as_deref().map(|value| cut(value, VALUE_MAX)),
        message: Some(cut(&message, SENTENCE_MAX)),
    }
}

fn passed(check: &Check, tally: &Tally) -> String {
    format!("{} of {} measurements passed", tally.successes, check.count)
}

/// The figures that the verdict of a failed check rests on.
pub(super) fn figures(check: &Check, tally: &Tally) -> String {
    format!(
        "check {}: last failing value {}; {} failures, limit {}; {} successes of {} needed; {} measurements",
        check.name,
        tally.value.as_deref().unwrap_or("unknown"),
        tally.failures,
        check.failure_limit,
        tally.successes,
        check.count,
        tally.taken,
    )
}
