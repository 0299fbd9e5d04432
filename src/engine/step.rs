//! The decision: what to do now, what to remember, and when to look again.
//!
//! Total and deterministic: every input has an answer, and the same input the same one. The state is to be stored before
//! the actions are carried out, under the version of the object that the prior state was read from; whoever cannot store
//! it carries nothing out.

use std::time::Duration;

use crate::engine::{
    action::{Given, Planned},
    advance, command, explain, gate,
    moment::Moment,
    observed::{Known, Observed, Revision},
    plan::{Plan, Reach, Router},
    recover, retire, rollback,
    state::{Code, Hold, Origin, Purpose, Run, State, Stop},
    steer::{Steering, View},
    target::{self, Care},
};

/// What is wanted at this look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The revision.
    pub revision: Revision,
    /// How to bring it. A run keeps the plan that it started with.
    pub plan: Plan,
    /// A change starts a new run of the same revision.
    pub request: Option<String>,
    /// The pods that the whole traffic needs.
    pub desired: u32,
    /// Whether runs move.
    pub pace: Pace,
    /// Whether anything is to run.
    pub power: Power,
    /// How many former revisions are kept.
    pub keep: usize,
}

/// `spec.paused`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pace {
    /// Runs move.
    #[default]
    Go,
    /// Runs are held.
    Hold,
}

/// `spec.stopped`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Power {
    /// Pods run.
    #[default]
    Up,
    /// None do.
    Down,
}

/// All that a decision is made from.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// What is wanted.
    pub wanted: &'a Wanted,
    /// What was remembered; none where there is no status.
    pub prior: Option<&'a State>,
    /// What was seen.
    pub observed: &'a Observed,
    /// What time it is.
    pub now: Moment,
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Step {
    /// What to do, in any order, after the state is stored.
    pub actions: Vec<Planned>,
    /// What to remember.
    pub state: State,
    /// When to look again at the latest; none where only an event can change anything.
    pub next: Option<Moment>,
    /// What a person should hear of.
    pub notes: Vec<String>,
}

/// More passes than stages that could follow one another in one look.
const PASSES: usize = 1_000;

/// Decides.
pub fn step(look: Look<'_>) -> Step {
    let known = look.observed.known();
    let mut state = recover::remember(look, known.as_ref().ok());
    let mut notes = Vec::new();
    let known = known.and_then(|known| watch(&mut state, look, known));
    notes.extend(answer(&mut state, look));
    let steering = match &known {
        Ok(known) => drive(&mut state, look, known),
        Err(cause) => blind(&mut state, look, cause),
    };
    if let Some(run) = &mut state.run {
        run.keep_time(look.now);
    }
    explain::settle(&mut state, look.now, &steering);
    let actions = planned(&state, &steering, known.as_ref().ok());
    notes.extend(steering.notes.iter().cloned());
    let next = [steering.next, explain::next(&state, look.wanted.plan.timeout, look.now)].into_iter().flatten().min();
    Step { actions, state, next, notes }
}

/// Remembers which splits are possible. A look that is older than what was seen before is as good as none.
fn watch(state: &mut State, look: Look<'_>, known: Known) -> Result<Known, String> {
    if let Router::Split { settle } = router(state, look) {
        state.traffic = state.traffic.look(known.route.as_ref(), settle, look.now)?;
    }
    Ok(known)
}

fn answer(state: &mut State, look: Look<'_>) -> Vec<String> {
    let commands = &look.observed.commands;
    if state.origin == Origin::Unread || look.prior.is_none() {
        return command::answer_stale(state, commands, look.now);
    }
    command::answer(state, look.wanted, commands, look.now)
}

/// What can be decided without seeing: what is intended, and that a time has passed. Nothing is written, and no run ends.
fn blind(state: &mut State, look: Look<'_>, cause: &str) -> Steering {
    hold(state, look);
    power(state, look);
    if !state.active().is_some_and(Run::has_arrived) {
        supersede(state, look);
    }
    if let Some(run) = state.active_mut() {
        advance::expire(run, look);
    }
    Steering { waits: vec![format!("a complete view of the cluster: {cause}")], ..Steering::default() }
}

/// Decides until nothing more can be decided at this look.
fn drive(state: &mut State, look: Look<'_>, known: &Known) -> Steering {
    hold(state, look);
    power(state, look);
    for _ in 0..PASSES {
        supersede(state, look);
        if state.stopped.is_some() {
            return down(state, look, known);
        }
        if state.active().is_none() && !gate::start(state, look.wanted, look.now) {
            return rest(state, look, known);
        }
        if let Some(mut steering) = advance::advance(state, look, known) {
            retire::leftovers(state, look, known, &mut steering);
            return steering;
        }
    }
    Steering { waits: vec!["the next look".to_owned()], ..Steering::default() }
}

/// `spec.paused` is a hold beside a person's, and never replaces one.
fn hold(state: &mut State, look: Look<'_>) {
    let Some(run) = state.active_mut() else { return };
    match (look.wanted.pace, &run.hold) {
        (Pace::Hold, None) if run.retreat.is_none() => run.hold = Some(Hold::Spec),
        (Pace::Go, Some(Hold::Spec)) => run.release(look.now),
        _ => {}
    }
}

fn power(state: &mut State, look: Look<'_>) {
    match (look.wanted.power, state.stopped) {
        (Power::Down, None) => state.stopped = Some(Stop::Spec),
        (Power::Up, Some(Stop::Spec)) => rollback::lift_stop(state, look.wanted, look.now),
        _ => {}
    }
}

/// A newer wanted revision ends a run in every state. One that has all its traffic already is simply done. What is only
/// to be rehearsed waits for its turn.
fn supersede(state: &mut State, look: Look<'_>) {
    let rehearses = look.wanted.plan.reach != Reach::Deploy;
    let newer =
        !rehearses && state.attempted.as_ref().is_some_and(|attempted| attempted.revision != look.wanted.revision);
    // What was read back after a lost status, and let go by a person, may be for another revision than the wanted one.
    let other = |run: &Run| {
        !rehearses
            && run.purpose == Purpose::Deploy
            && run.hold != Some(Hold::Recovered)
            && run.revision != look.wanted.revision
    };
    let due = |run: &&mut Run| run.retreat.is_none() && (newer || other(run));
    let Some(run) = state.active_mut().filter(due) else { return };
    if run.has_arrived() {
        return advance::arrive(state, look.now, look.wanted.keep);
    }
    run.turn_back(Code::Superseded, format!("revision {} is wanted now", look.wanted.revision));
}

/// Everything down: the one case in which pods go although traffic may arrive.
fn down(state: &mut State, look: Look<'_>, known: &Known) -> Steering {
    advance::stop(state, look.now);
    let mut steering = Steering::default();
    retire::all(known, &mut steering);
    steering
}

/// Between runs the stable revision has everything.
fn rest(state: &mut State, look: Look<'_>, known: &Known) -> Steering {
    let mut steering = match &state.stable {
        Some(stable) => {
            let plan = state.run.as_ref().map_or(&look.wanted.plan, |run| &run.plan);
            let size = target::size(plan, look.wanted.desired);
            let view = View { known, traffic: &state.traffic, router: plan.divider(), size };
            crate::engine::steer::steer(view, &target::home(stable, size, Care::Escape))
        }
        None => Steering::default(),
    };
    retire::leftovers(state, look, known, &mut steering);
    steering
}

/// What divides the traffic: the run's snapshot says so while there is one.
fn router(state: &State, look: Look<'_>) -> Router {
    state.run.as_ref().map_or(look.wanted.plan.router, |run| run.plan.router)
}

fn planned(state: &State, steering: &Steering, known: Option<&Known>) -> Vec<Planned> {
    let run = state.run.as_ref();
    let prefix = run.map_or_else(String::new, |run| format!("{}/{}/", run.number, run.at));
    let plan = |action: &crate::engine::action::Action| Planned {
        action: action.clone(),
        key: advance::key(run, action).unwrap_or_else(|| format!("{prefix}{action}")),
        given: known.filter(|_| !action.is_free()).map(Given::of),
    };
    steering.actions.iter().map(plan).collect()
}

/// How long nothing but time may be waited for before the next look.
pub const PATIENCE: Duration = Duration::from_secs(30);
