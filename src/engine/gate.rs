//! Before a run: whether one is to start, and whether it may touch anything yet.

use std::collections::BTreeMap;

use crate::engine::{
    moment::Moment,
    observed::{Revision, Seen},
    plan::{Plan, Reach},
    stage::Stage,
    state::{Attempted, Clock, Purpose, Run, State},
    steer::Steering,
    step::{Look, Wanted},
};

/// Starts a run where one is due. A rejected revision is due again only when another one was wanted in between, or when a
/// person says so.
pub fn start(state: &mut State, wanted: &Wanted, now: Moment) -> bool {
    let this = Attempted { revision: wanted.revision.clone(), request: wanted.request.clone() };
    let rehearses = wanted.plan.reach != Reach::Deploy;
    let before = if rehearses { &state.rehearsed } else { &state.attempted };
    if before.as_ref() == Some(&this) {
        return false;
    }
    if !rehearses && state.attempted.as_ref().is_some_and(|before| before.revision != this.revision) {
        state.rejected.clear();
    }
    state.refused = refusal(state, wanted);
    if state.refused.is_some() {
        return false;
    }
    if rehearses {
        state.rehearsed = Some(this);
    } else {
        state.attempted = Some(this);
        state.rehearsed = None;
    }
    let stages = stages(state, wanted);
    begin(state, Purpose::Deploy, wanted.revision.clone(), (wanted.plan.clone(), stages), now);
    true
}

fn refusal(state: &State, wanted: &Wanted) -> Option<String> {
    if state.rejected.contains(&wanted.revision) && wanted.plan.reach == Reach::Deploy {
        return Some(format!("revision {} was rejected; retry it, or want another", wanted.revision));
    }
    wanted.plan.check().err().map(|invalid| invalid.to_string())
}

fn stages(state: &State, wanted: &Wanted) -> Vec<Stage> {
    match &state.stable {
        None => wanted.plan.first_stages(),
        Some(stable) if *stable == wanted.revision => wanted.plan.rerun_stages(),
        Some(_) => wanted.plan.stages(),
    }
}

/// Puts a new run into the state.
pub fn begin(state: &mut State, purpose: Purpose, revision: Revision, how: (Plan, Vec<Stage>), now: Moment) {
    let (plan, stages) = how;
    state.runs += 1;
    state.refused = None;
    state.leftovers.remove(&revision);
    state.run = Some(Run {
        number: state.runs,
        revision,
        purpose,
        plan,
        stages,
        at: 0,
        completed: 0,
        entered: now,
        reached: None,
        clock: Clock::default(),
        progress: now,
        best: 0,
        hold: None,
        approved: None,
        tallies: BTreeMap::new(),
        retreat: None,
        outcome: None,
    });
}

/// What keeps a run from its first write; none where it may begin.
pub fn closed(run: &Run, look: Look<'_>) -> Option<Steering> {
    let wait = |what: String, next| Some(Steering { waits: vec![what], next, ..Steering::default() });
    if let Some(start) = run.plan.not_before.filter(|start| look.now < *start) {
        return wait(format!("its time, {start}"), Some(start));
    }
    match &look.observed.missing {
        Seen::Unknown(cause) => wait(format!("a view of what it depends on: {cause}"), None),
        Seen::Present(names) if !names.is_empty() => wait(names.join(", "), None),
        Seen::Present(_) | Seen::Absent => None,
    }
}
