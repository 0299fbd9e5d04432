//! The operator between engine and world, and what can go wrong there.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    engine::{
        action::{Action, Planned},
        moment::Moment,
        observed::{Observed, Seen},
        share::Share,
        stage::Stage,
        state::State,
        step::{Look, Step, Wanted, step},
    },
    simulation::{random::Random, witness::Witness, world::World},
};

/// How many old views are remembered.
const VIEWS: usize = 4;

/// One operator, its memory and its misfortunes.
#[derive(Debug)]
pub struct Operator {
    random: Option<Random>,
    views: VecDeque<Observed>,
    store: Option<State>,
    /// Counts the writes of the store, which refuses one that is based on an older version.
    version: u64,
    frozen: Option<Frozen>,
    throttled: u64,
    rival: Option<Rival>,
    weights: BTreeMap<u64, Vec<Share>>,
    escaped: bool,
}

/// A watch that was dropped without a word: what it delivers does not change for a while.
#[derive(Debug)]
struct Frozen {
    looks: u64,
    part: u64,
    view: Observed,
}

/// Another operator that takes itself for the leader: what it decided and stored, and after how many looks it comes to
/// writing it.
#[derive(Debug)]
struct Rival {
    looks: u64,
    made: Step,
}

impl Operator {
    /// Without a seed nothing goes wrong.
    pub fn new(seed: Option<u64>) -> Self {
        Self {
            random: seed.map(Random::new),
            views: VecDeque::new(),
            store: None,
            version: 0,
            frozen: None,
            throttled: 0,
            rival: None,
            weights: BTreeMap::new(),
            escaped: false,
        }
    }

    /// What is remembered.
    pub fn state(&self) -> Option<&State> {
        self.store.as_ref()
    }

    /// The raised weights of a run in percent; none where traffic had to flee in between.
    pub fn weights(&self, run: u64) -> Option<Vec<u32>> {
        let points = |shares: &Vec<Share>| shares.iter().map(|share| share.points() / 100).collect();
        (!self.escaped).then(|| self.weights.get(&run).map_or_else(Vec::new, points))
    }

    /// Loses the status.
    pub fn wipe(&mut self) {
        self.store = None;
        self.version += 1;
        self.weights.clear();
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.random.as_mut().is_some_and(|random| random.percent(percent))
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random.as_mut().map_or(0, |random| random.below(limit))
    }

    fn age(&mut self) -> usize {
        let views = self.views.len();
        self.random.as_mut().map_or(0, |random| random.place(views))
    }

    /// One look: observe, decide, store, execute. Any of them may go wrong.
    pub fn look(&mut self, world: &mut World, wanted: &Wanted, witness: &mut impl Witness) -> Option<Step> {
        world.router_lag = self.below(3) * 1000;
        let observed = self.observe(world);
        let prior = self.store.clone();
        let look = Look { wanted, prior: prior.as_ref(), observed: &observed, now: Moment(world.now) };
        let made = step(look);
        let version = self.version;
        self.rivalry(world, look, witness);
        if self.throttle() {
            return None;
        }
        // The status could not be written (a conflict, or killed before it): nothing of the decision remains.
        if version != self.version || self.chance(10) {
            return None;
        }
        self.remember(&made);
        witness.decision(look, &made, world);
        self.execute(world, (&made, wanted), witness);
        Some(made)
    }

    fn remember(&mut self, made: &Step) {
        self.store = Some(made.state.clone());
        self.version += 1;
        self.escaped |= made.notes.iter().any(|note| note.contains("lost all its endpoints"));
        let Some(run) = made.state.active().filter(|run| run.retreat.is_none()) else { return };
        for planned in &made.actions {
            if let Action::Weigh { from: Some(from), to } = planned.action
                && to > from
            {
                let raised = self.weights.entry(run.number).or_default();
                if raised.last() != Some(&to) {
                    raised.push(to);
                }
            }
        }
    }

    /// The API server answers 429 for a while: neither status nor world can be written.
    fn throttle(&mut self) -> bool {
        if self.throttled == 0 && self.chance(2) {
            self.throttled = 1 + self.below(4);
        }
        let refused = self.throttled > 0;
        self.throttled = self.throttled.saturating_sub(1);
        refused
    }

    /// A second operator reads the same store and its own view of the world, is let in by the store before the first one,
    /// and comes to writing some looks later.
    fn rivalry(&mut self, world: &mut World, look: Look<'_>, witness: &mut impl Witness) {
        match self.rival.take() {
            Some(rival) if rival.looks == 0 => self.execute(world, (&rival.made, look.wanted), witness),
            Some(rival) => self.rival = Some(Rival { looks: rival.looks - 1, ..rival }),
            None if self.chance(4) => {
                let observed = self.observe(world);
                let look = Look { observed: &observed, ..look };
                let made = step(look);
                self.remember(&made);
                witness.decision(look, &made, world);
                self.rival = Some(Rival { looks: self.below(6), made });
            }
            None => {}
        }
    }

    fn observe(&mut self, world: &World) -> Observed {
        let fresh = self.see(world);
        self.views.push_front(fresh.clone());
        self.views.truncate(VIEWS);
        let mut seen = fresh;
        if self.chance(20) {
            let age = self.age();
            seen = self.views.get(age).cloned().unwrap_or(seen);
        }
        self.tear(&mut seen);
        self.freeze(&mut seen);
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

    fn see(&self, world: &World) -> Observed {
        let run = self.store.as_ref().and_then(State::active);
        let renewed = run.and_then(|run| match run.stage() {
            Some(Stage::Renew(before)) => Some((&run.revision, *before)),
            _ => None,
        });
        world.observed(renewed, run.map(|run| &run.revision))
    }

    /// Each kind of object has its own watch: one can be behind the others.
    fn tear(&mut self, seen: &mut Observed) {
        if self.chance(10) {
            let (age, part) = (self.age(), self.below(4));
            if let Some(old) = self.views.get(age) {
                replace(seen, old, part);
            }
        }
    }

    /// One watch stands still for a while, and then jumps.
    fn freeze(&mut self, seen: &mut Observed) {
        if self.frozen.is_none() && self.chance(2) {
            self.frozen = Some(Frozen { looks: 1 + self.below(8), part: self.below(4), view: seen.clone() });
        }
        let Some(frozen) = &mut self.frozen else { return };
        replace(seen, &frozen.view, frozen.part);
        frozen.looks -= 1;
        if frozen.looks == 0 {
            self.frozen = None;
        }
    }

    fn execute(&mut self, world: &mut World, (made, wanted): (&Step, &Wanted), witness: &mut impl Witness) {
        let mut actions = made.actions.clone();
        if let Some(random) = &mut self.random {
            random.shuffle(&mut actions);
        }
        for planned in actions {
            // Killed here: the rest is never done.
            if self.chance(7) {
                return;
            }
            // Refused, or throttled for too long.
            if self.chance(7) {
                continue;
            }
            if planned.given.as_ref().is_some_and(|given| !world.holds(given)) || !world.allows(&planned.action) {
                continue;
            }
            witness.write(world, &made.state, &planned.action, wanted.desired);
            // Applied in part, or applied and reported as failed: the operator gives up on the rest.
            if self.write(world, made, &planned) || self.chance(5) {
                return;
            }
        }
    }

    /// Writes, and says whether it was killed half-way.
    fn write(&mut self, world: &mut World, made: &Step, planned: &Planned) -> bool {
        if let Action::Weigh { from: Some(_), to } = planned.action
            && self.chance(7)
        {
            world.weigh_half(to);
            return true;
        }
        let revision = made.state.run.as_ref().map(|run| &run.revision);
        world.apply(&planned.action, &planned.key, revision);
        false
    }
}

fn replace(seen: &mut Observed, old: &Observed, part: u64) {
    match part {
        0 => seen.revisions.clone_from(&old.revisions),
        1 => seen.stable.clone_from(&old.stable),
        2 => seen.candidate.clone_from(&old.candidate),
        _ => seen.route.clone_from(&old.route),
    }
}
