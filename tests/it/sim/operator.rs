//! The operator between engine and world, and what can go wrong there.

use std::collections::VecDeque;

use landfall::engine::{
    moment::Moment,
    observed::{Observed, Seen},
    state::State,
    step::{Look, Step, Wanted, step},
};

use super::{
    invariants::{self, Watch},
    random::Random,
    world::World,
};

/// How many old views are remembered.
const VIEWS: usize = 4;

/// One look whose decision was stored.
pub struct Looked {
    pub wanted: Wanted,
    pub observed: Observed,
    /// Whether there was a status to start from.
    pub remembered: bool,
    pub state: State,
    pub now: Moment,
}

pub struct Operator {
    random: Option<Random>,
    views: VecDeque<Observed>,
    store: Option<State>,
    pub watch: Watch,
    pub looks: Vec<Looked>,
}

impl Operator {
    /// Without a seed nothing goes wrong.
    pub fn new(seed: Option<u64>) -> Self {
        let (random, watch) = (seed.map(Random::new), Watch::default());
        Self { random, views: VecDeque::new(), store: None, watch, looks: Vec::new() }
    }

    pub fn state(&self) -> Option<&State> {
        self.store.as_ref()
    }

    pub fn wipe(&mut self) {
        self.store = None;
        self.watch.forget();
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.random.as_mut().is_some_and(|random| random.percent(percent))
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random.as_mut().map_or(0, |random| random.below(limit))
    }

    /// One look: observe, decide, store, execute. Any of them may go wrong.
    pub fn look(&mut self, world: &mut World, wanted: &Wanted) -> Option<Step> {
        world.router_lag = self.below(3) * 1000;
        let observed = self.observe(world);
        let prior = self.store.clone();
        let look = Look { wanted, prior: prior.as_ref(), observed: &observed, now: Moment(world.now) };
        let made = step(look);
        // The status could not be written (a conflict, or killed before it): nothing of the decision remains.
        if self.chance(10) {
            return None;
        }
        self.store = Some(made.state.clone());
        self.watch.decision(look, &made, world);
        let (remembered, now) = (prior.is_some(), look.now);
        self.looks.push(Looked { wanted: wanted.clone(), observed, remembered, state: made.state.clone(), now });
        self.execute(world, wanted, &made);
        Some(made)
    }

    fn observe(&mut self, world: &World) -> Observed {
        let fresh = world.observed();
        self.views.push_front(fresh.clone());
        self.views.truncate(VIEWS);
        let mut seen = fresh;
        if self.chance(20) {
            let age = usize::try_from(self.below(self.views.len() as u64)).unwrap();
            seen = self.views[age].clone();
        }
        self.tear(&mut seen);
        if self.chance(8) {
            let dropped = || "dropped".to_owned();
            match self.below(5) {
                0 => seen.revisions = Seen::Unknown(dropped()),
                1 => seen.stable = Seen::Unknown(dropped()),
                2 => seen.candidate = Seen::Unknown(dropped()),
                3 => seen.missing = Seen::Unknown(dropped()),
                _ => seen.route = Seen::Unknown(dropped()),
            }
        }
        seen
    }

    /// Each kind of object has its own watch: one can be behind the others.
    fn tear(&mut self, seen: &mut Observed) {
        if self.chance(10) {
            let age = usize::try_from(self.below(self.views.len() as u64)).unwrap();
            let old = self.views[age].clone();
            match self.below(4) {
                0 => seen.revisions = old.revisions,
                1 => seen.stable = old.stable,
                2 => seen.candidate = old.candidate,
                _ => seen.route = old.route,
            }
        }
    }

    fn execute(&mut self, world: &mut World, wanted: &Wanted, made: &Step) {
        let mut actions = made.actions.clone();
        if let Some(random) = &mut self.random {
            random.shuffle(&mut actions);
        }
        let revision = made.state.run.as_ref().map(|run| run.revision.clone());
        for planned in actions {
            // Killed here: the rest is never done.
            if self.chance(7) {
                return;
            }
            // Refused, or throttled for too long.
            if self.chance(7) {
                continue;
            }
            if planned.given.as_ref().is_some_and(|given| !world.holds(given)) {
                continue;
            }
            invariants::before_write(world, &made.state, wanted.desired, &planned.action);
            world.apply(&planned.action, &planned.key, revision.as_ref());
            // Applied, and reported as failed: the operator gives up on the rest.
            if self.chance(5) {
                return;
            }
        }
    }
}
