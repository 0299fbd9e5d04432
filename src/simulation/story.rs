//! Plays a scenario and writes it down: a line per decision.

use std::{collections::VecDeque, fmt::Write};

use crate::engine::{
    command::{About, Command, With},
    observed::Revision,
    plan::Reach,
    share::Share,
    state::{Run, State},
    step::{Pace, Power, Step, Wanted},
};

use crate::simulation::{
    operator::Operator,
    scenario::{Event, Scenario, Unturned, When},
    witness::Witness,
    world::World,
};

/// How much longer a story may take when things go wrong.
const SLOWER: u64 = 6;
/// The longest story, in seconds: a week.
const LONGEST: u64 = 7 * 24 * 3600;
/// How many former revisions are kept.
pub const KEPT: usize = 2;
/// How many seconds nothing changes after the end.
const QUIET: u32 = 12;

/// A scenario that is being played.
#[derive(Debug)]
pub struct Story<'a, W> {
    world: World,
    operator: Operator,
    witness: &'a mut W,
    wanted: Option<Wanted>,
    scenario: &'a Scenario,
    open: VecDeque<Event>,
    patience: u64,
    since: u64,
    commands: u64,
    transcript: String,
    last: String,
}

/// A story that was played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// A line for each change of what is done and said.
    pub transcript: String,
    /// How it ended otherwise than expected.
    pub unexpected: Option<String>,
}

/// Plays a scenario to its end: the expected one, or the last moment for it. With a seed, things go wrong.
pub fn play(scenario: &Scenario, seed: Option<u64>, witness: &mut impl Witness) -> Told {
    let mut story = Story {
        world: World::default(),
        operator: Operator::new(seed),
        witness,
        wanted: None,
        open: scenario.events.clone().into(),
        patience: scenario.expect.after.saturating_mul(if seed.is_some() { SLOWER } else { 1 }).min(LONGEST),
        scenario,
        since: 0,
        commands: 0,
        transcript: format!("# {}\n", scenario.title),
        last: String::new(),
    };
    story.run_out();
    let unexpected = story.unexpected();
    Told { transcript: story.transcript, unexpected }
}

fn revision(name: &str) -> Revision {
    Revision(name.to_owned())
}

impl<W: Witness> Story<'_, W> {
    fn run_out(&mut self) {
        let mut quiet = 0;
        for _ in 0..self.patience {
            self.tick();
            let done = self.open.is_empty() && self.unexpected().is_none();
            quiet = if done { quiet + 1 } else { 0 };
            if quiet > QUIET {
                break;
            }
        }
    }

    fn tick(&mut self) {
        self.world.tick();
        while self.due() {
            if let Some(event) = self.open.pop_front() {
                self.since = self.world.now;
                self.happen(&event);
            }
        }
        let Some(wanted) = self.wanted.clone() else { return };
        if let Some(made) = self.operator.look(&mut self.world, &wanted, self.witness) {
            self.write(&made);
        }
        let serving = self.state().is_some_and(|state| state.stable.is_some() && state.stopped.is_none());
        if serving && !self.scenario.outage && wanted.desired > 0 {
            self.witness.served(&self.world);
        }
    }

    fn state(&self) -> Option<&State> {
        self.operator.state()
    }

    fn due(&self) -> bool {
        let Some(event) = self.open.front() else { return false };
        self.world.now >= self.since.saturating_add(event.after.saturating_mul(1000))
            && event.when.is_none_or(|when| self.is(when))
    }

    fn is(&self, when: When) -> bool {
        let run = self.state().and_then(State::active);
        match when {
            When::Phase(phase) => self.state().is_some_and(|state| state.phase == phase),
            When::Weight(percent) => {
                let routes = self.world.route.as_ref();
                let has = |share: &Share| share.points() / 100 == percent;
                routes.is_some_and(|route| route.effective.iter().all(has) && route.written == route.effective)
            }
            When::Stage(stage) => run.is_some_and(|run| run.at == stage),
        }
    }

    fn happen(&mut self, event: &Event) {
        let _ = writeln!(self.transcript, "{:>4} s  >> {}", self.world.now / 1000, tell(event));
        self.change_world(event);
        let plan = self.scenario.plan.plan().clone();
        let wanted = self.wanted.get_or_insert_with(|| Wanted {
            revision: revision("none"),
            plan,
            request: None,
            desired: self.scenario.pods,
            pace: Pace::Go,
            power: Power::Up,
            keep: KEPT,
        });
        if let Some(name) = &event.want {
            wanted.revision = revision(name);
        }
        if event.request.is_some() {
            wanted.request.clone_from(&event.request);
        }
        if let Some(pods) = event.pods {
            wanted.desired = pods;
        }
        if let Some(rehearse) = event.rehearse {
            wanted.plan.reach = if rehearse { Reach::DryRun } else { Reach::Deploy };
        }
        if let Some(paused) = event.paused {
            wanted.pace = if paused { Pace::Hold } else { Pace::Go };
        }
        if let Some(stopped) = event.stopped {
            wanted.power = if stopped { Power::Down } else { Power::Up };
        }
        self.command(event);
    }

    fn change_world(&mut self, event: &Event) {
        let world = &mut self.world;
        world.bad.extend(event.bad.as_deref().map(revision));
        if let Some(name) = event.mended.as_deref() {
            let name = revision(name);
            world.bad.remove(&name);
            world.crashing.remove(&name);
            if let Some(set) = world.revisions.get_mut(&name) {
                set.broken = false;
            }
        }
        if let Some(name) = event.broken.as_deref() {
            world.revisions.entry(revision(name)).or_default().broken = true;
        }
        if let Some(set) = event.torn.as_deref().and_then(|name| world.revisions.get_mut(&revision(name))) {
            set.torn = true;
        }
        let lost = match event.unturned {
            None => [None, None],
            Some(Unturned::Stable) => [world.stable.as_mut(), None],
            Some(Unturned::Candidate) => [None, world.candidate.as_mut()],
            Some(Unturned::Both) => [world.stable.as_mut(), world.candidate.as_mut()],
        };
        for service in lost.into_iter().flatten() {
            service.partial = true;
            service.version += 1;
        }
        if let Some(name) = event.lose.as_deref() {
            world.lose(&revision(name));
        }
        world.crashing.extend(event.crashing.as_deref().map(revision));
        world.meddled |= event.uneven.is_some() || event.remade.is_some();
        if let Some([first, second]) = event.uneven {
            world.weigh([first.0, second.0]);
        }
        if let Some(share) = event.remade {
            world.make([share.0, share.0]);
        }
        world.silent = event.silent.unwrap_or(world.silent);
        world.unknown_route = event.unknown_route.unwrap_or(world.unknown_route);
        world.refusing = event.refusing.unwrap_or(world.refusing);
        if let Some(missing) = &event.missing {
            world.missing.clone_from(missing);
        }
        if event.wipe {
            self.operator.wipe();
            self.witness.forgotten();
        }
    }

    fn command(&mut self, event: &Event) {
        let Some(verb) = event.command else { return };
        self.commands += 1;
        let current = self.state().and_then(|state| state.run.as_ref()).map_or(0, |run| run.number);
        let with = match &event.to {
            Some(name) => Some(With::To(revision(name))),
            None => event.full.then_some(With::Full),
        };
        let about = About::Run(event.run.unwrap_or(current));
        self.world.commands.retain(|command| command.verb != verb);
        self.world.commands.push(Command { verb, id: format!("c{}", self.commands), about, with });
    }

    fn write(&mut self, made: &Step) {
        let actions: Vec<String> = made.actions.iter().map(|planned| planned.action.to_string()).collect();
        let sentence = match (&made.state.waiting_for, &made.state.run) {
            (Some(wait), _) => format!("waiting for {wait}"),
            (None, Some(run)) => run.outcome.as_ref().map_or_else(String::new, |outcome| match &outcome.failure {
                Some(failure) => format!("{:?}: {}", failure.code, failure.message),
                None if run.plan.reach != Reach::Deploy => format!("{} was not touched", run.revision),
                None => format!("{} is stable", run.revision),
            }),
            (None, None) => String::new(),
        };
        let percent = made.state.run.as_ref().map_or(0, Run::percentage);
        let mut line = format!("{:<11} {percent:>3} %  ", format!("{:?}", made.state.phase));
        if !actions.is_empty() {
            let _ = write!(line, "{} | ", actions.join(", "));
        }
        line.push_str(&sentence);
        for note in &made.notes {
            let _ = write!(line, " ({note})");
        }
        if line != self.last {
            let _ = writeln!(self.transcript, "{:>4} s  {line}", self.world.now / 1000);
            self.last = line;
        }
    }

    /// How the world differs from the expected end.
    fn unexpected(&self) -> Option<String> {
        let expect = &self.scenario.expect;
        let Some(state) = self.state() else { return Some("no status".to_owned()) };
        let stable = state.stable.as_ref().map(|revision| revision.0.clone());
        if state.phase != expect.phase || stable != expect.stable {
            return Some(format!("{:?} with {stable:?}, not {:?} with {:?}", state.phase, expect.phase, expect.stable));
        }
        let run = state.run.as_ref();
        let code = run.and_then(|run| run.outcome.as_ref()?.failure.as_ref()).map(|failure| failure.code);
        if expect.code.is_some() && expect.code != code {
            return Some(format!("the code is {code:?}"));
        }
        let waits = state.waiting_for.as_deref().or(state.refused.as_deref()).unwrap_or_default();
        if !waits.starts_with(expect.waits.as_deref().unwrap_or_default()) {
            return Some(format!("it waits for {waits}"));
        }
        for (verb, wanted) in &expect.answers {
            let reply = state.answers.get(verb).map(|answer| answer.result.to_string()).unwrap_or_default();
            if !reply.starts_with(wanted) {
                return Some(format!("{verb} was answered: {reply}"));
            }
        }
        if let (Some(weights), Some(run)) = (&expect.weights, run) {
            let given = self.operator.weights(run.number);
            if given.as_ref().is_some_and(|given| given != weights) {
                return Some(format!("the weights were {given:?}"));
            }
        }
        self.unsettled(state)
    }

    /// At the end of a story everything is with the stable revision.
    fn unsettled(&self, state: &State) -> Option<String> {
        let (Some(stable), None) = (&state.stable, &state.stopped) else { return None };
        if !state.phase.is_terminal() {
            return None;
        }
        let front = self.world.stable.as_ref()?;
        if front.selects != [stable.clone()].into() {
            return Some(format!("the stable Service selects {:?}", front.selects));
        }
        let scale = self.world.revisions.get(stable).map_or(0, |set| set.scale);
        let desired = self.wanted.as_ref().map_or(0, |wanted| wanted.desired);
        if scale != desired {
            return Some(format!("{stable} has {scale} pods of {desired}"));
        }
        let other = self.world.revisions.iter().find(|(name, set)| *name != stable && set.scale > 0);
        let split = self.world.splits().into_iter().find(|split| split.points() > 0);
        match (other, split) {
            (Some((name, set)), _) => Some(format!("{name} still has {} pods", set.scale)),
            (None, Some(split)) => Some(format!("the candidate Service has {split}")),
            (None, None) => None,
        }
    }
}

fn tell(event: &Event) -> String {
    let mut words: Vec<String> = Vec::new();
    words.extend(event.want.as_ref().map(|name| format!("{name} is wanted")));
    words.extend(event.request.as_ref().map(|name| format!("request {name}")));
    words.extend(event.command.map(|verb| format!("command {verb}{}", if event.full { " full" } else { "" })));
    words.extend(event.to.as_ref().map(|name| format!("to {name}")));
    words.extend(event.bad.as_ref().map(|name| format!("checks of {name} fail")));
    words.extend(event.broken.as_ref().map(|name| format!("pods of {name} never become ready")));
    words.extend(event.mended.as_ref().map(|name| format!("nothing is wrong with {name} any more")));
    words.extend(event.lose.as_ref().map(|name| format!("all pods of {name} restart")));
    words.extend(event.pods.map(|pods| format!("{pods} pods are desired")));
    words.extend(event.torn.as_ref().map(|name| format!("a part of {name} is deleted")));
    words.extend(event.unturned.map(|unturned| match unturned {
        Unturned::Stable => "one of the stable Services selects nothing".to_owned(),
        Unturned::Candidate => "one of the candidate Services selects nothing".to_owned(),
        Unturned::Both => "one of the stable and one of the candidate Services select nothing".to_owned(),
    }));
    words.extend(event.crashing.as_ref().map(|name| format!("pods of {name} crash")));
    words.extend(event.rehearse.map(|rehearse| format!("dryRun is {rehearse}")));
    words.extend(event.uneven.map(|[first, second]| format!("the routes say {} and {}", first.0, second.0)));
    words.extend(event.remade.map(|share| format!("the routes are made anew with {}", share.0)));
    words.extend(event.silent.map(|silent| format!("checks have {} data", if silent { "no" } else { "their" })));
    words.extend(event.paused.map(|paused| format!("spec.paused is {paused}")));
    words.extend(event.stopped.map(|stopped| format!("spec.stopped is {stopped}")));
    words.extend(event.wipe.then(|| "the status is lost".to_owned()));
    words.extend(
        event.unknown_route.map(|unknown| format!("the route is {}", if unknown { "unknown" } else { "known" })),
    );
    words.extend(event.refusing.map(|no| format!("the router {} the route", if no { "refuses" } else { "accepts" })));
    words.extend(event.missing.as_ref().map(|names| format!("missing: {names:?}")));
    words.join(", ")
}
