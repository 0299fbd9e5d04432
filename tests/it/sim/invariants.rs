//! What must hold, whatever goes wrong. Writes are judged against the truth at the moment they happen, not against what
//! the operator believed.

use std::collections::{BTreeMap, BTreeSet};

use landfall::{
    engine::{
        action::Action,
        observed::{Observed, Revision, Seen},
        plan::{Reach, Router, Strategy},
        share::{Share, need},
        stage::Stage,
        state::{Hold, Purpose, Run, State},
        step::{Look, Step, step},
    },
    simulation::{
        witness::Witness,
        world::{Svc, World},
    },
};

fn reaches(service: Option<&Svc>, revision: &Revision) -> bool {
    service.is_some_and(|service| {
        service.selects.contains(revision) || service.endpoints.get(revision).is_some_and(|ready| *ready > 0)
    })
}

/// The largest share that a revision may really have.
fn share(world: &World, run: &Run, revision: &Revision) -> Share {
    let splits = matches!(run.plan.divider(), Router::Split { .. });
    let of = |split: Share| {
        let front = if reaches(world.stable.as_ref(), revision) { split.rest() } else { Share::NONE };
        let preview = if splits && reaches(world.candidate.as_ref(), revision) { split } else { Share::NONE };
        front.plus(preview)
    };
    if splits { world.splits().into_iter().map(of).max().unwrap_or_default() } else { of(Share::NONE) }
}

/// Judges one write just before it happens.
fn before_write(world: &World, state: &State, desired: u32, action: &Action) {
    let Some(run) = &state.run else { return };
    match action {
        Action::Scale { revision, to, .. } => {
            let now = world.revisions.get(revision).map_or(0, |set| set.scale);
            if *to < now && state.stopped.is_none() {
                shrinks(world, run, desired, revision, *to);
                stays_available(world, run, desired, (revision, *to));
            }
        }
        Action::Delete(revision) => shrinks(world, run, desired, revision, 0),
        // What selects nothing has no traffic, and what selects the same already is not turned.
        Action::Front { to, .. } if selects(world.stable.as_ref(), to) => {}
        Action::Preview { to, .. } if selects(world.candidate.as_ref(), &[to.clone()].into()) => {}
        Action::Front { to, .. } => turns(world, run, to.len()),
        Action::Preview { .. } if run.plan.splits() => {
            assert!(world.splits().iter().all(|split| *split == Share::NONE), "candidate Service turned with traffic");
        }
        Action::Weigh { to, .. } => assert_eq!(to.points() + to.rest().points(), 10_000),
        _ => {}
    }
}

fn selects(service: Option<&Svc>, revisions: &BTreeSet<Revision>) -> bool {
    service.is_some_and(|service| service.selects == *revisions)
}

fn shrinks(world: &World, run: &Run, desired: u32, revision: &Revision, to: u32) {
    if desired == 0 {
        return;
    }
    let selected = [&world.stable, &world.candidate].into_iter().flatten().any(|s| s.selects.contains(revision));
    assert!(to >= u32::from(selected), "{revision} scaled to {to} while a Service selects it");
    let both = !run.plan.splits() && world.stable.as_ref().is_some_and(|service| service.selects.len() > 1);
    if !both {
        let needed = need(desired, share(world, run, revision), run.plan.headroom);
        assert!(to >= needed, "{revision} scaled to {to}, its share needs {needed}");
    }
}

/// A rolling replacement takes no ready pod beyond what may be missing.
fn stays_available(world: &World, run: &Run, desired: u32, (revision, to): (&Revision, u32)) {
    let Strategy::Rolling(rolling) = &run.plan.strategy else { return };
    let ready = |name: &Revision| world.revisions.get(name).map_or(0, |set| set.ready(world.now));
    let before: u32 = world.revisions.keys().map(ready).sum();
    let taken = ready(revision).saturating_sub(to);
    let least = desired.saturating_sub(rolling.max_unavailable);
    assert!(taken == 0 || before < least || before - taken >= least, "{before} ready pods of {desired}, {taken} taken");
}

fn turns(world: &World, run: &Run, width: usize) {
    let Some(service) = &world.stable else { return };
    let serves = service.endpoints.values().any(|ready| *ready > 0);
    if run.plan.splits() && serves {
        assert!(world.splits().iter().all(|split| *split == Share::WHOLE), "stable Service turned with traffic");
        assert_eq!(width, 1);
    }
}

/// Every how many decisions one is made again.
const SAMPLE: u32 = 5;

/// What is compared from one decision to the next.
#[derive(Default)]
pub struct Watch {
    last: Option<State>,
    raised: BTreeMap<u64, Vec<Share>>,
    escaped: bool,
    decisions: u32,
}

impl Witness for Watch {
    fn write(&mut self, world: &World, state: &State, action: &Action, desired: u32) {
        before_write(world, state, desired, action);
    }

    fn served(&mut self, world: &World) {
        served(world);
    }

    /// The status was wiped: the count of runs starts anew.
    fn forgotten(&mut self) {
        self.last = None;
        self.raised.clear();
    }

    /// Judges a decision whose state was stored.
    fn decision(&mut self, look: Look<'_>, made: &Step, world: &World) {
        // A decision is made twice and stored as text for one in some: this takes most of the time.
        self.decisions += 1;
        if self.decisions.is_multiple_of(SAMPLE) {
            deterministic(look, made);
        }
        told(&made.state);
        preempted(look, &made.state);
        unknown_decides_nothing(look.observed, made);
        self.escaped |= made.notes.iter().any(|note| note.contains("lost all its endpoints"));
        raises(look.observed, made, look.wanted.desired);
        if let (Some(before), Some(run)) = (self.last.as_ref().and_then(|state| state.run.as_ref()), &made.state.run)
            && before.number == run.number
        {
            follows(before, run);
            if !self.escaped {
                counted(before, run, world);
            }
        }
        self.once(made);
        self.last = Some(made.state.clone());
    }
}

impl Watch {
    /// No weight of a run is passed over, and none is given twice, but after an escape.
    fn once(&mut self, made: &Step) {
        let Some(run) = made.state.active().filter(|run| run.retreat.is_none() && !self.escaped) else { return };
        let weights =
            run.stages.iter().filter_map(|stage| if let Stage::Weight(share) = stage { Some(*share) } else { None });
        if !weights.is_sorted() {
            return;
        }
        for planned in &made.actions {
            if let Action::Weigh { from: Some(from), to } = planned.action
                && to > from
            {
                let raised = self.raised.entry(run.number).or_default();
                if raised.last() != Some(&to) {
                    assert!(raised.last().is_none_or(|last| *last < to), "{to} after {raised:?}");
                    raised.push(to);
                }
            }
        }
    }
}

fn deterministic(look: Look<'_>, made: &Step) {
    assert_eq!(step(look), *made, "the same input gave another decision");
    let text = serde_json::to_string(&made.state).unwrap();
    assert_eq!(serde_json::from_str::<State>(&text).unwrap(), made.state, "the state does not survive the status");
}

fn told(state: &State) {
    let sentence = state.waiting_for.as_deref().is_some_and(|text| !text.is_empty());
    assert_eq!(sentence, !state.phase.is_terminal(), "{:?}: {:?}", state.phase, state.waiting_for);
}

fn unknown_decides_nothing(observed: &Observed, made: &Step) {
    let blind = matches!(observed.revisions, Seen::Unknown(_))
        || matches!(observed.stable, Seen::Unknown(_))
        || matches!(observed.candidate, Seen::Unknown(_))
        || matches!(observed.route, Seen::Unknown(_));
    assert!(!blind || made.actions.is_empty(), "decided without seeing: {:?}", made.actions);
}

/// No run goes on for a revision that is not wanted any more.
fn preempted(look: Look<'_>, state: &State) {
    if look.wanted.plan.reach != Reach::Deploy {
        return;
    }
    let Some(run) = state.active().filter(|run| run.purpose == Purpose::Deploy) else { return };
    let waits = run.retreat.is_some() || run.hold == Some(Hold::Recovered) || run.has_arrived();
    assert!(waits || run.revision == look.wanted.revision, "{} goes on, not wanted any more", run.revision);
}

/// A share is raised only to enough ready endpoints, as they were seen.
fn raises(observed: &Observed, made: &Step, desired: u32) {
    let (Some(run), Ok(known)) = (made.state.active(), observed.known()) else { return };
    for planned in &made.actions {
        let Action::Weigh { from: Some(_), to } = planned.action else { continue };
        let from =
            known.route.as_ref().map_or(Share::NONE, |route| if to > route.least { route.least } else { route.split });
        let service = if to > from { known.candidate.as_ref() } else { known.stable.as_ref() };
        let ready = service.map_or(0, landfall::engine::observed::Service::ready);
        let same = known.stable.as_ref().map(|s| &s.selects) == known.candidate.as_ref().map(|s| &s.selects);
        let enough = if to > from && run.retreat.is_none() && !same { need(desired, to, run.plan.headroom) } else { 1 };
        // Before the first revision serves, nobody is behind the stable Service.
        let nobody = known.stable.is_none() && made.state.stable.is_none();
        let enough = if nobody { 0 } else { enough.min(desired) };
        assert!(ready >= enough, "weight {from} to {to} with {ready} of {enough} endpoints");
    }
}

fn follows(before: &Run, run: &Run) {
    assert!(run.completed >= before.completed, "progress went from {} to {}", before.completed, run.completed);
    assert!(run.percentage() >= before.percentage());
    if before.outcome.is_some() {
        assert_eq!(before, run, "a finished run changed");
    }
}

/// A weight counts only when the router really has it in force.
fn counted(before: &Run, run: &Run, world: &World) {
    // What a stranger wrote a moment ago is in no view yet.
    let Some(route) = world.route.as_ref().filter(|_| run.plan.splits() && !world.meddled) else { return };
    if run.at > before.at && before.retreat.is_none() {
        let last =
            before.stages[before.at..run.at.min(before.stages.len())].iter().rev().find_map(|stage| match stage {
                Stage::Weight(share) => Some(*share),
                Stage::Return => Some(Share::NONE),
                _ => None,
            });
        if let Some(share) = last {
            assert_eq!(
                (route.effective, route.written),
                ([share; 2], [share; 2]),
                "{share} counted before it was in force"
            );
        }
    }
}

/// The end of every story without a fault in the pods: somebody answers.
fn served(world: &World) {
    let at = world.now;
    let ready = |service: Option<&Svc>| service.map_or(0, |service| service.endpoints.values().sum::<u32>());
    for split in world.route.iter().flat_map(|route| route.effective) {
        assert!(split == Share::WHOLE || ready(world.stable.as_ref()) > 0, "{at}: nobody behind the stable Service");
        assert!(
            split == Share::NONE || ready(world.candidate.as_ref()) > 0,
            "{at}: nobody behind the candidate Service"
        );
    }
}
