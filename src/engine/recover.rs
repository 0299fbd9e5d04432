//! An object without a status: is it new, or was the status lost?
//!
//! Where pods live there was a status once. Then the stable revision is what the stable Service selects, the candidate the
//! other one in traffic, traffic stays as it is, and a person decides.

use crate::engine::{
    gate,
    observed::{Known, Revision},
    share::Share,
    stage::Stage,
    state::{Attempted, Hold, Origin, Purpose, State},
    step::Look,
};

/// What is remembered, or what can be read back from the world. Nothing is read from a world that was not seen whole.
pub fn remember(look: Look<'_>, known: Option<&Known>) -> State {
    let prior = look.prior.cloned().unwrap_or_default();
    match known {
        Some(known) if prior.origin == Origin::Unread => read(look, known, prior),
        _ => prior,
    }
}

fn read(look: Look<'_>, known: &Known, prior: State) -> State {
    let mut state = State { origin: Origin::Read, ..prior };
    let nobody = known.revisions.values().all(|pods| pods.scale == 0);
    state.stable = front(known, &look.wanted.revision);
    if nobody && (look.wanted.desired > 0 || state.stable.is_none()) {
        state.stable = None;
        return state;
    }
    let candidate = candidate(known, state.stable.as_ref()).unwrap_or_else(|| look.wanted.revision.clone());
    state.kept = kept(known, &state, &candidate);
    if state.stable.as_ref() != Some(&candidate) {
        hold(&mut state, look, known, candidate);
    }
    state
}

/// What the stable Service selects; of several the one with the most pods, and not the wanted one where that is equal.
fn front(known: &Known, wanted: &Revision) -> Option<Revision> {
    let service = known.stable.as_ref()?;
    let rank = |revision: &&Revision| (known.pods(revision).scale, *revision != wanted);
    service.selects.iter().max_by_key(rank).cloned()
}

/// The other revision in traffic, or about to be.
fn candidate(known: &Known, stable: Option<&Revision>) -> Option<Revision> {
    let services = [&known.stable, &known.candidate].into_iter().flatten();
    services.flat_map(|service| &service.selects).find(|revision| Some(*revision) != stable).cloned()
}

fn kept(known: &Known, state: &State, candidate: &Revision) -> Vec<Revision> {
    let other = |revision: &&Revision| *revision != candidate && Some(*revision) != state.stable.as_ref();
    known.revisions.keys().filter(other).cloned().collect()
}

/// A run that stands where the traffic is, and moves only when a person says so.
fn hold(state: &mut State, look: Look<'_>, known: &Known, candidate: Revision) {
    let plan = look.wanted.plan.clone();
    let stages = if state.stable.is_some() { plan.stages() } else { plan.first_stages() };
    let at = place(&stages, known, &candidate);
    gate::begin(state, Purpose::Deploy, candidate, (plan, stages), look.now);
    state.attempted = Some(Attempted { revision: look.wanted.revision.clone(), request: look.wanted.request.clone() });
    if let Some(run) = &mut state.run {
        run.enter(at, look.now);
        run.hold = Some(Hold::Recovered);
    }
}

/// The last stage that asks for no more traffic than the candidate has, so that nothing goes backwards.
fn place(stages: &[Stage], known: &Known, candidate: &Revision) -> usize {
    let fronted = known.stable.as_ref().is_some_and(|service| service.selects.contains(candidate));
    let split = known.route.as_ref().map_or(Share::NONE, |route| route.split);
    let fits = |stage: &Stage| match stage {
        Stage::Weight(share) => *share <= split || fronted,
        Stage::Roll { .. } => fronted,
        _ => false,
    };
    if fronted { stages.iter().position(fits) } else { stages.iter().rposition(fits) }.unwrap_or_default()
}
