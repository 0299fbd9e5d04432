//! Runs that a person starts: to a kept revision, and up again.

use crate::engine::{
    command::{Reply, With},
    gate,
    moment::Moment,
    observed::Revision,
    share::Share,
    stage::Stage,
    state::{Purpose, State},
    step::Wanted,
};

/// Starts a rollback: a run without steps.
pub fn start(state: &mut State, wanted: &Wanted, with: Option<&With>, now: Moment) -> Reply {
    match choose(state, with) {
        Err(why) => Reply::Refused(why),
        Ok(revision) => {
            let stages = wanted.plan.rollback_stages();
            gate::begin(state, Purpose::Rollback, revision, (wanted.plan.clone(), stages), now);
            Reply::Done
        }
    }
}

fn choose(state: &State, with: Option<&With>) -> Result<Revision, String> {
    if state.active().is_some() {
        return Err("a run is under way; use abort".to_owned());
    }
    if state.stopped.is_some() {
        return Err("it is stopped; use restart".to_owned());
    }
    match with {
        Some(With::To(revision)) if state.kept.contains(revision) => Ok(revision.clone()),
        Some(With::To(revision)) => Err(format!("revision {revision} is not kept")),
        Some(With::Full) | None => state.kept.first().cloned().ok_or_else(|| "no revision is kept".to_owned()),
    }
}

/// Up again after a stop, or new pods for the stable revision.
pub fn restart(state: &mut State, wanted: &Wanted, now: Moment) -> Reply {
    if state.stopped.is_some() {
        lift_stop(state, wanted, now);
        return Reply::Done;
    }
    match (state.active(), state.stable.clone()) {
        (Some(_), _) => Reply::Refused("a run is under way".to_owned()),
        (None, None) => Reply::Refused("there is no stable revision".to_owned()),
        (None, Some(stable)) => {
            gate::begin(state, Purpose::Restart, stable, (wanted.plan.clone(), vec![Stage::Renew(now)]), now);
            Reply::Done
        }
    }
}

/// Ends a stop: the stable revision comes back, and after it whatever is wanted beside it.
pub fn lift_stop(state: &mut State, wanted: &Wanted, now: Moment) {
    state.stopped = None;
    if state.stable.as_ref() != Some(&wanted.revision) {
        state.attempted = None;
    }
    if let Some(stable) = state.stable.clone() {
        let stages = vec![Stage::Prepare(Share::WHOLE)];
        gate::begin(state, Purpose::Restart, stable, (wanted.plan.clone(), stages), now);
    }
}
