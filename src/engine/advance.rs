//! A run: whether its stage is over, what comes next, and how it ends.

use std::time::Duration;

use crate::engine::{
    action::Action,
    explain, gate,
    moment::Moment,
    observed::{Known, Measured, Revision, Service},
    phase::Phase,
    plan::{Ability, OnFailure, Reach},
    share::Share,
    stage::Stage,
    state::{Code, Failure, Hold, Outcome, Purpose, Run, State},
    steer::{Steering, View, steer},
    step::Look,
    target::{self, Size, Target},
    verdict::{Check, Verdict, due, verdict},
};

/// Carries the run one stage on. None when it moved, so that there is more to decide at this look.
pub fn advance(state: &mut State, look: Look<'_>, known: &Known) -> Option<Steering> {
    let run = state.active()?;
    let size = target::size(&run.plan, look.wanted.desired);
    if let Some(failure) = run.retreat.clone() {
        return retreat(state, look, known, size, failure);
    }
    if run.hold == Some(Hold::Recovered) {
        return Some(keep(state, run, known, size));
    }
    if run.stage() == Some(&Stage::Admit) {
        return admit(state, look);
    }
    let target = target::of_run(run, state, known, size);
    let steering = steer(view(state, run, known, size), &target);
    stage(state, look, known, steering)
}

fn view<'a>(state: &'a State, run: &Run, known: &'a Known, size: Size) -> View<'a> {
    View { known, traffic: &state.traffic, router: run.plan.divider(), size }
}

fn retreat(state: &mut State, look: Look<'_>, known: &Known, size: Size, failure: Failure) -> Option<Steering> {
    let run = state.active()?;
    let can = run.plan.capabilities.reverse == Ability::Can;
    let Some(stable) = state.stable.as_ref().filter(|_| can) else {
        let phase = if is_fault(failure.code) { Phase::Failed } else { Phase::Cancelled };
        end(state, phase, look.now, Some(failure));
        return None;
    };
    let steering = steer(view(state, run, known, size), &target::retreat(run, stable, known, size));
    if !steering.waits.is_empty() {
        return Some(steering);
    }
    let phase = if is_fault(failure.code) { Phase::RolledBack } else { Phase::Cancelled };
    end(state, phase, look.now, Some(failure));
    None
}

fn is_fault(code: Code) -> bool {
    matches!(code, Code::Aborted | Code::CheckFailed | Code::ProgressDeadline | Code::Timeout | Code::PodsFailed)
}

/// Traffic stays as it is, but for a candidate that cannot serve.
fn keep(state: &State, run: &Run, known: &Known, size: Size) -> Steering {
    let mut steering = Steering::default();
    let view = view(state, run, known, size);
    if view.splits() && known.route.is_some() {
        let target = Target { split: view.written(), ..target::nothing(size) };
        steering = steer(view, &target);
    }
    // Not even routes that differ are made equal: that would move traffic.
    steering.actions.retain(|action| matches!(action, Action::Weigh { to: Share::NONE, .. }));
    steering.waits.clear();
    steering
}

fn admit(state: &mut State, look: Look<'_>) -> Option<Steering> {
    let run = state.active_mut()?;
    if run.hold.is_some() {
        return Some(Steering::default());
    }
    if run.plan.reach != Reach::Deploy {
        let notes = rehearse(run);
        end(state, Phase::Succeeded, look.now, None);
        return Some(Steering { notes, ..Steering::default() });
    }
    if let Some(closed) = gate::closed(run, look) {
        return Some(closed);
    }
    run.enter(run.at + 1, look.now);
    None
}

fn rehearse(run: &Run) -> Vec<String> {
    match run.plan.reach {
        Reach::Deploy => Vec::new(),
        Reach::DryRun => run.stages.iter().map(|stage| format!("would {stage}")).collect(),
        Reach::Validate => vec![format!("revision {} can be carried out", run.revision)],
    }
}

fn stage(state: &mut State, look: Look<'_>, known: &Known, mut steering: Steering) -> Option<Steering> {
    let serves = state.stable.clone();
    let run = state.active_mut()?;
    notice(run, known, look.now);
    if run.hold.is_some() {
        return Some(steering);
    }
    if let Some((code, message)) = fault(run, serves.as_ref(), look) {
        fail(run, code, message, look.now);
        return None;
    }
    if !steering.waits.is_empty() && !only_retires(run, serves.as_ref(), &steering) {
        return if expire(run, look) { None } else { Some(steering) };
    }
    let reached = *run.reached.get_or_insert(look.now);
    if is_over(run, reached, (known, look), &mut steering) {
        run.enter(run.at + 1, look.now);
        if run.at >= run.stages.len() {
            arrive(state, look.now, look.wanted.keep);
        }
        return None;
    }
    if expire(run, look) { None } else { Some(steering) }
}

/// Whether nothing is left but to take the former revision's pods. The run has arrived then: nobody waits for that, and it
/// is asked for until it is done, by whom it may concern between runs too.
fn only_retires(run: &Run, former: Option<&Revision>, steering: &Steering) -> bool {
    let takes = |action: &Action| matches!(action, Action::Scale { revision, to: 0, .. } if Some(revision) == former);
    run.stage() == Some(&Stage::Retire)
        && steering.waits.len() == steering.actions.len()
        && steering.actions.iter().all(takes)
}

/// What is wrong with the candidate, if anything is.
fn fault(run: &mut Run, serves: Option<&Revision>, look: Look<'_>) -> Option<(Code, String)> {
    // Pods that are stable already are nothing to turn back from, and what a person waved through stays.
    let judged = serves != Some(&run.revision) && run.approved.is_none() && !run.has_arrived();
    if let Some(trouble) = look.observed.trouble.as_ref().filter(|_| judged && run.stage() != Some(&Stage::Admit)) {
        return Some((Code::PodsFailed, trouble.clone()));
    }
    // Where no pods are wanted there is nobody to ask.
    if look.wanted.desired == 0 {
        return None;
    }
    measure(run, &look.observed.measured, look.now).map(|message| (Code::CheckFailed, message))
}

/// More ready pods than ever in this stage are progress.
fn notice(run: &mut Run, known: &Known, now: Moment) {
    let ready = known.pods(&run.revision).ready;
    if ready > run.best {
        run.best = ready;
        run.progress = now;
    }
}

/// Whether a stage whose target is reached is over; what it waits for otherwise.
fn is_over(run: &Run, reached: Moment, (known, look): (&Known, Look<'_>), steering: &mut Steering) -> bool {
    let now = look.now;
    match run.stage() {
        Some(Stage::Hold { checks, .. }) if !checks.is_empty() && is_unreachable(run, known, look) => {
            steering.wait("the candidate Service to have an endpoint");
            false
        }
        Some(Stage::Hold { at_least, .. }) => {
            let until = reached.after(*at_least);
            let passed = look.wanted.desired == 0 || ask(run, Some(until), now, steering);
            let waited = wait_until(until, "the time of this step", now, steering);
            run.approved.is_some() || (passed && waited)
        }
        Some(Stage::Approve) if run.approved.is_some() => true,
        Some(Stage::Approve) => {
            if look.wanted.desired > 0 {
                ask(run, None, now, steering);
                steering.waits.clear();
            }
            false
        }
        Some(Stage::Drain(time)) => wait_until(reached.after(*time), "the old revision to drain", now, steering),
        Some(Stage::Renew(before)) => renewed(run, *before, (known, now), steering),
        _ => true,
    }
}

/// Before the first weight a check is asked through a Service that may not know its pods yet.
fn is_unreachable(run: &Run, known: &Known, look: Look<'_>) -> bool {
    let endpoints = known.candidate.as_ref().map_or(0, Service::ready);
    run.approved.is_none() && !run.has_moved() && look.wanted.desired > 0 && endpoints == 0
}

fn wait_until(until: Moment, what: &str, now: Moment, steering: &mut Steering) -> bool {
    if now >= until {
        return true;
    }
    steering.next = Some(until);
    steering.wait(format!("{what}, until {until}"));
    false
}

fn renewed(run: &Run, before: Moment, (known, now): (&Known, Moment), steering: &mut Steering) -> bool {
    let outdated = known.pods(&run.revision).outdated;
    // What was seen when it began was counted before anybody knew which pods are old.
    if now <= run.entered {
        steering.next = Some(now.after(Duration::from_secs(1)));
        steering.wait("old pods to be counted");
        return false;
    }
    if outdated == 0 {
        return true;
    }
    steering.wait(format!("{outdated} old pods to be replaced"));
    steering.actions.push(Action::Renew(run.revision.clone(), before));
    false
}

/// The checks of this stage.
fn checks(run: &Run) -> impl Iterator<Item = &Check> {
    run.plan.checks.iter().filter(|check| run.checks().contains(&check.name))
}

/// Asks for what is due until a moment or for ever, and says whether all checks passed.
fn ask(run: &Run, until: Option<Moment>, now: Moment, steering: &mut Steering) -> bool {
    let mut passed = true;
    for check in checks(run) {
        let tally = run.tallies.get(&check.name).cloned().unwrap_or_default();
        let done = verdict(check, &tally) == Verdict::Passed;
        if !done {
            let of = format!("check {}: {} of {} passed", check.name, tally.successes, check.count);
            steering.waits.insert(usize::from(!passed), of);
            passed = false;
        }
        let due = due(check, &tally).unwrap_or(now);
        if !done || until.is_none_or(|until| now < until) {
            if due <= now {
                steering.actions.push(Action::Measure(check.name.clone()));
            } else {
                steering.next = Some(steering.next.map_or(due, |next| next.min(due)));
            }
        }
    }
    passed
}

/// Takes in the measurements that were asked for, each once, and says whether a check failed.
fn measure(run: &mut Run, measured: &[Measured], now: Moment) -> Option<String> {
    let checks: Vec<Check> = checks(run).cloned().collect();
    for check in &checks {
        let key = measure_key(run, &check.name);
        if let Some(found) = measured.iter().find(|measured| measured.key == key) {
            let tally = run.tallies.entry(check.name.clone()).or_default();
            let before = tally.successes;
            tally.add(&found.result, check.no_data, now);
            if tally.successes > before {
                run.progress = now;
            }
        }
        let tally = run.tallies.get(&check.name).cloned().unwrap_or_default();
        if let (Verdict::Failed(message), None) = (verdict(check, &tally), run.approved) {
            return Some(message);
        }
    }
    None
}

/// The key of a measurement: of this run, stage, check, and how many there were before.
fn measure_key(run: &Run, check: &str) -> String {
    let taken = run.tallies.get(check).map_or(0, |tally| tally.taken);
    format!("{}/{}/{check}/{}.{taken}", run.number, run.at, run.entered.0)
}

/// The key of an action that has its own.
pub fn key(run: Option<&Run>, action: &Action) -> Option<String> {
    match (run, action) {
        (Some(run), Action::Measure(check)) => Some(measure_key(run, check)),
        _ => None,
    }
}

/// Fails the run if its time or its deadline has passed.
pub fn expire(run: &mut Run, look: Look<'_>) -> bool {
    let (now, timeout) = (look.now, look.wanted.plan.timeout);
    if run.times_out(timeout).is_some_and(|end| now >= end) {
        let limit = timeout.unwrap_or(Duration::ZERO).as_secs();
        run.turn_back(Code::Timeout, format!("the run took longer than the {limit} s that spec.timeout allows"));
        return true;
    }
    let Some(deadline) = explain::deadline(run).filter(|deadline| now >= *deadline) else { return false };
    let limit = run.plan.progress_deadline.unwrap_or(Duration::ZERO).as_secs();
    fail(run, Code::ProgressDeadline, format!("no progress for {limit} s, until {deadline}"), now);
    true
}

fn fail(run: &mut Run, code: Code, message: String, now: Moment) {
    run.progress = now;
    match run.plan.on_failure {
        OnFailure::Rollback => run.turn_back(code, message),
        OnFailure::Pause => run.hold = Some(Hold::Failed(Failure { code, stage: run.at, message })),
    }
}

/// The run is where it was to go.
pub fn arrive(state: &mut State, now: Moment, keep: usize) {
    let Some(run) = state.active() else { return };
    let (revision, purpose) = (run.revision.clone(), run.purpose);
    if let Some(before) = state.stable.replace(revision.clone()).filter(|before| *before != revision) {
        if purpose == Purpose::Rollback {
            state.rejected.insert(before.clone());
        }
        state.kept.insert(0, before);
    }
    forget(&mut state.kept, &revision, keep);
    end(state, Phase::Succeeded, now, None);
}

fn forget(kept: &mut Vec<Revision>, now_stable: &Revision, keep: usize) {
    kept.retain(|revision| revision != now_stable);
    let mut seen = std::collections::BTreeSet::new();
    kept.retain(|revision| seen.insert(revision.clone()));
    kept.truncate(keep);
}

/// Everything is to be down: the run ends where it is.
pub fn stop(state: &mut State, now: Moment) {
    if let Some(run) = state.active() {
        let failure = Failure { code: Code::Stopped, stage: run.at, message: "stopped".to_owned() };
        end(state, Phase::Stopped, now, Some(failure));
    }
}

fn end(state: &mut State, phase: Phase, at: Moment, failure: Option<Failure>) {
    let fault = failure.as_ref().is_some_and(|failure| is_fault(failure.code));
    let Some(run) = state.active_mut() else { return };
    let rejected = (fault && run.purpose == Purpose::Deploy).then(|| run.revision.clone());
    if phase == Phase::Succeeded {
        run.completed = run.stages.len();
    }
    run.hold = None;
    run.outcome = Some(Outcome { phase, at, failure });
    state.rejected.extend(rejected);
}
