//! Plays a scenario and writes it down: a line per decision.

use std::{collections::VecDeque, fmt::Write};

use landfall::engine::{
    command::{About, Command, With},
    moment::Moment,
    observed::Revision,
    state::State,
    step::{Pace, Power, Step, Wanted},
};

use super::{
    invariants,
    operator::Operator,
    scenario::{Event, Scenario},
    world::World,
};

/// How much longer a story may take when things go wrong.
const SLOWER: u64 = 6;

pub struct Story {
    pub world: World,
    pub operator: Operator,
    wanted: Option<Wanted>,
    scenario: Scenario,
    open: VecDeque<Event>,
    since: u64,
    commands: u64,
    pub transcript: String,
    last: String,
}

pub fn revision(name: &str) -> Revision {
    Revision(name.to_owned())
}

impl Story {
    pub fn new(scenario: &Scenario, seed: Option<u64>) -> Self {
        Self {
            world: World::default(),
            operator: Operator::new(seed),
            wanted: None,
            open: scenario.events.clone().into(),
            scenario: scenario.clone(),
            since: 0,
            commands: 0,
            transcript: format!("# {}\n", scenario.title),
            last: String::new(),
        }
    }

    /// Plays to the end: the expected one, or the last moment for it.
    pub fn play(mut self, seed: Option<u64>) -> Self {
        let patience = self.scenario.expect.after * if seed.is_some() { SLOWER } else { 1 };
        let mut quiet = 0;
        for _ in 0..patience {
            self.tick();
            let done = self.open.is_empty() && self.unexpected().is_none();
            quiet = if done { quiet + 1 } else { 0 };
            if quiet > 12 {
                break;
            }
        }
        if let Some(text) = self.unexpected() {
            panic!("{} (seed {seed:?}): {text}\nopen: {:?}\n{}", self.scenario.title, self.open, self.transcript);
        }
        self
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
        if let Some(made) = self.operator.look(&mut self.world, &wanted) {
            self.write(&made);
        }
        let serving = self.state().is_some_and(|state| state.stable.is_some() && state.stopped.is_none());
        if serving && !self.scenario.outage {
            invariants::served(&self.world, Moment(self.world.now));
        }
    }

    fn state(&self) -> Option<&State> {
        self.operator.state()
    }

    fn due(&self) -> bool {
        let Some(event) = self.open.front() else { return false };
        self.world.now >= self.since + event.after * 1000 && event.when.as_deref().is_none_or(|when| self.is(when))
    }

    fn is(&self, when: &str) -> bool {
        let (what, value) = when.split_once(' ').expect("a condition has two words");
        let run = self.state().and_then(|state| state.run.as_ref());
        match what {
            "phase" => self.state().is_some_and(|state| format!("{:?}", state.phase) == value),
            "weight" => self.world.route.as_ref().is_some_and(|route| {
                format!("{}", route.effective.points() / 100) == value && route.written == route.effective
            }),
            "stage" => run.is_some_and(|run| run.outcome.is_none() && run.at.to_string() == value),
            _ => panic!("no such condition: {when}"),
        }
    }

    fn happen(&mut self, event: &Event) {
        let _ = writeln!(self.transcript, "{:>4} s  >> {}", self.world.now / 1000, tell(event));
        self.change_world(event);
        let plan = self.scenario.plan.plan();
        let wanted = self.wanted.get_or_insert_with(|| Wanted {
            revision: revision("none"),
            plan,
            request: None,
            desired: self.scenario.pods,
            pace: Pace::Go,
            power: Power::Up,
            keep: 2,
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
            world.bad.remove(&revision(name));
        }
        if let Some(name) = event.broken.as_deref() {
            world.revisions.entry(revision(name)).or_default().broken = true;
        }
        if let Some(name) = event.lose.as_deref() {
            world.lose(&revision(name));
        }
        world.unknown_route = event.unknown_route.unwrap_or(world.unknown_route);
        world.refusing = event.refusing.unwrap_or(world.refusing);
        if let Some(missing) = &event.missing {
            world.missing.clone_from(missing);
        }
        if event.wipe {
            self.operator.wipe();
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
                None => format!("{} is stable", run.revision),
            }),
            (None, None) => String::new(),
        };
        let percent = made.state.run.as_ref().map_or(0, landfall::engine::state::Run::percentage);
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
        let phase = format!("{:?}", state.phase);
        let stable = state.stable.as_ref().map(|revision| revision.0.clone());
        if phase != expect.phase || stable != expect.stable {
            return Some(format!("{phase} with {stable:?}, not {} with {:?}", expect.phase, expect.stable));
        }
        let run = state.run.as_ref();
        let code = run.and_then(|run| run.outcome.as_ref()?.failure.as_ref()).map(|f| format!("{:?}", f.code));
        if expect.code.is_some() && expect.code != code {
            return Some(format!("the code is {code:?}"));
        }
        for (verb, wanted) in &expect.answers {
            let reply = state.answers.get(verb).map(|answer| answer.result.to_string()).unwrap_or_default();
            if !reply.starts_with(wanted) {
                return Some(format!("{verb} was answered: {reply}"));
            }
        }
        if let (Some(weights), Some(run)) = (&expect.weights, run) {
            let given = self.operator.watch.weights(run.number);
            if !self.operator.watch.escaped && given != *weights {
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
    words.extend(event.mended.as_ref().map(|name| format!("checks of {name} pass")));
    words.extend(event.lose.as_ref().map(|name| format!("all pods of {name} restart")));
    words.extend(event.pods.map(|pods| format!("{pods} pods are desired")));
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
