//! The phase and the sentence: the same words for status, events, command line and dashboard.

use std::time::Duration;

use crate::engine::{
    moment::Moment,
    phase::Phase,
    stage::Stage,
    state::{Hold, Purpose, Run, State},
    steer::Steering,
    step::PATIENCE,
};

/// Writes phase and sentence into the state.
pub fn settle(state: &mut State, now: Moment, steering: &Steering) {
    state.phase = phase(state, now, steering);
    state.waiting_for = (!state.phase.is_terminal()).then(|| sentence(state, steering));
}

fn phase(state: &State, now: Moment, steering: &Steering) -> Phase {
    match (&state.run, state.stopped) {
        (_, Some(_)) if steering.waits.is_empty() => Phase::Stopped,
        (_, Some(_)) => Phase::Progressing,
        (None, None) => Phase::Pending,
        (Some(run), None) => run.outcome.as_ref().map_or_else(|| active(run, now), |outcome| outcome.phase),
    }
}

fn active(run: &Run, now: Moment) -> Phase {
    if run.retreat.is_some() {
        return Phase::RollingBack;
    }
    if run.hold.is_some() {
        return Phase::Paused;
    }
    match run.stage() {
        Some(Stage::Admit) if run.plan.not_before.is_some_and(|start| now < start) => Phase::Scheduled,
        Some(Stage::Admit) => Phase::Pending,
        Some(Stage::Approve) if run.reached.is_some() => Phase::Paused,
        Some(Stage::Hold { checks, .. }) if !checks.is_empty() => Phase::Verifying,
        _ if run.purpose == Purpose::Rollback => Phase::RollingBack,
        _ => Phase::Progressing,
    }
}

fn sentence(state: &State, steering: &Steering) -> String {
    let run = state.active();
    if let Some(hold) = run.and_then(|run| run.hold.as_ref()) {
        return held(hold);
    }
    if let Some(wait) = steering.waits.first() {
        return wait.clone();
    }
    if let Some(refused) = &state.refused {
        return refused.clone();
    }
    match run.and_then(Run::stage) {
        Some(Stage::Approve) => "a person to promote".to_owned(),
        Some(other) => format!("{other}"),
        None => "the next look".to_owned(),
    }
}

fn held(hold: &Hold) -> String {
    match hold {
        Hold::Person => "a person to resume".to_owned(),
        Hold::Spec => "spec.paused to be lifted".to_owned(),
        Hold::Failed(failure) => format!("a person to promote, retry or abort: {}", failure.message),
        Hold::Recovered => {
            "a person to resume or abort: the status was lost and was read back from the cluster (StateRecovered)"
                .to_owned()
        }
    }
}

/// When a run fails for want of progress. Time under a hold, before the start, and time that the plan lets pass is no
/// time without progress.
pub fn deadline(run: &Run) -> Option<Moment> {
    let counts = match run.stage() {
        Some(Stage::Admit) => false,
        Some(Stage::Approve | Stage::Drain(_)) => run.reached.is_none(),
        Some(Stage::Hold { checks, .. }) if checks.is_empty() => run.reached.is_none(),
        _ => true,
    };
    let free = run.outcome.is_none() && run.hold.is_none() && run.retreat.is_none();
    let base = match (run.stage(), run.reached) {
        (Some(Stage::Hold { at_least, .. }), Some(reached)) => run.progress.max(reached.after(*at_least)),
        _ => run.progress,
    };
    run.plan.progress_deadline.filter(|_| counts && free).map(|limit| base.after(limit))
}

/// When to look again although nothing happened.
pub fn next(state: &State, timeout: Option<Duration>, now: Moment) -> Option<Moment> {
    let run = state.active()?;
    let soon = now.after(PATIENCE);
    [Some(soon), deadline(run), run.times_out(timeout)].into_iter().flatten().min()
}
