//! What would happen next: the engine's decision on what was read, and what people want to know of it. Pure.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::look::World;
use crate::{
    api::{check::Check, deployment::Deployment, package::Package},
    cluster::observe::{Beside, Sight, see},
    engine::{
        action::Action,
        moment::Moment,
        observed::{Observed, Pods, Revision, Seen},
        plan::{Plan, Strategy},
        stage::Stage,
        state::{Run, State},
        step::{Look, Step, step},
    },
    kinds::workload::{
        hash::{content, inputs_digest},
        render::{Refusal, Source, render},
    },
    rollout::{
        aim::{self, Chosen, Offer},
        commands::{self, Actors, Current},
        dependencies::{self, Neighbour},
        plan::Intent,
        record::{Record, Rendered},
        status::Problem,
        words,
    },
};

/// What would happen next, as it is printed.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outlook {
    /// The namespace.
    pub namespace: String,
    /// The name of the Deployment.
    pub name: String,
    /// What runs; none where nothing does.
    pub running: Option<Named>,
    /// What is wanted; none where that cannot be told.
    pub wanted: Option<Named>,
    /// Whether the two differ.
    pub differs: bool,
    /// The phase of the status.
    pub phase: String,
    /// The phase after the next look.
    pub next_phase: String,
    /// What would be waited for then.
    pub waiting_for: Option<String>,
    /// What stands against it.
    pub problems: Vec<Trouble>,
    /// How the revision would be brought.
    pub strategy: Option<String>,
    /// The steps of the run that would be under way.
    pub steps: Vec<StepLine>,
    /// How long the open steps take if pods are ready at once and nobody has to be waited for.
    pub estimated_seconds: Option<u64>,
    /// What the next look would do.
    pub actions: Vec<ActionLine>,
    /// The checks of the run.
    pub checks: Vec<CheckLine>,
    /// What else the engine says.
    pub notes: Vec<String>,
    /// Whether anything would change.
    pub changes: bool,
}

/// A revision, as people know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    /// The version of the package.
    pub version: String,
    /// The hash of its content.
    pub hash: String,
}

/// Something that stands against what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// The word: `Pending` where it is waited for, else the reason of the condition.
    pub reason: String,
    /// What it is, and the remedy.
    pub message: String,
}

/// One step of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepLine {
    /// Its number, from 1.
    pub number: usize,
    /// What it is.
    pub details: String,
    /// Whether it is behind, under way, or to come.
    pub state: StepState,
}

/// Where a run stands toward a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum StepState {
    /// It is over.
    Done,
    /// The run is in it.
    Current,
    /// It is to come.
    Open,
}

/// Something that the next look would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ActionLine {
    /// What, as a word.
    pub action: &'static str,
    /// What, as a sentence.
    pub details: String,
}

/// A check of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckLine {
    /// Its name.
    pub name: String,
    /// What it asks.
    pub asks: String,
    /// The numbers of the steps that it is made in.
    pub steps: Vec<usize>,
}

/// What an exit code says of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// Nothing would change.
    Same,
    /// Something would.
    Changes,
    /// What is wanted is refused.
    Refused,
}

/// What is wanted, and what stands against it.
#[derive(Default)]
struct Aim {
    rendered: Option<Rendered>,
    intent: Option<Intent>,
    depends_on: Vec<crate::api::package::Dependency>,
    problems: Vec<Problem>,
}

impl Outlook {
    /// Decides on what was read.
    pub fn of(world: &World, now: Moment, at: Instant) -> Self {
        let aim = aimed(world);
        let state = world.record.as_ref().map(|record| &record.state);
        let decided = aim.rendered.as_ref().and_then(|rendered| {
            let wanted = aim::wanted(&world.deployment.spec, rendered, aim.intent.as_ref(), world.record.as_ref())?;
            let observed = observed(world, &aim, at);
            Some(step(Look { wanted: &wanted, prior: state, observed: &observed, now }))
        });
        let mut outlook = Self::titled(world, &aim);
        match decided {
            Some(step) => outlook.take(world, &aim, &step),
            None => outlook.next_phase.clone_from(&outlook.phase),
        }
        outlook
    }

    fn titled(world: &World, aim: &Aim) -> Self {
        let (namespace, name) = world.title();
        let status = world.deployment.status.clone().unwrap_or_default();
        let stable = world.record.as_ref().and_then(|record| record.state.stable.as_ref());
        let running = stable.map(|revision| named(world.record.as_ref(), revision));
        let wanted = aim
            .rendered
            .as_ref()
            .map(|wanted| Named { version: wanted.version.clone(), hash: wanted.revision.0.clone() });
        Self {
            namespace,
            name,
            differs: wanted
                .as_ref()
                .is_some_and(|wanted| running.as_ref().is_none_or(|running| running.hash != wanted.hash)),
            running,
            wanted,
            phase: status.phase.map_or_else(|| "no operator has looked yet".to_owned(), |phase| phase.to_string()),
            problems: aim.problems.iter().map(Trouble::of).collect(),
            ..Self::default()
        }
    }

    fn take(&mut self, world: &World, aim: &Aim, step: &Step) {
        let state = &step.state;
        self.next_phase = words::phase(state.phase).to_string();
        self.waiting_for.clone_from(&state.waiting_for);
        self.notes.clone_from(&step.notes);
        self.actions = step.actions.iter().map(|planned| ActionLine::of(&planned.action)).collect();
        let writes = step.actions.iter().any(|planned| !matches!(planned.action, Action::Measure(_)));
        self.changes = writes || state.active().is_some();
        if let Some(refused) = state.refused.as_ref().filter(|_| state.active().is_none()) {
            self.problems.push(Trouble { reason: "Refused".to_owned(), message: refused.clone() });
        }
        if let Some(run) = shown(world, state) {
            self.strategy = Some(strategy(&run.plan));
            self.steps = steps(run);
            self.estimated_seconds =
                Some(open(run).iter().map(|stage| run.plan.time_of(stage)).sum::<Duration>().as_secs());
            self.checks = checks(run, &definitions(world, aim, run));
        }
    }

    /// What the exit code says.
    pub fn ends(&self) -> Ends {
        if self.problems.iter().any(|problem| problem.reason != PENDING) {
            Ends::Refused
        } else if self.changes {
            Ends::Changes
        } else {
            Ends::Same
        }
    }
}

/// The word for what is only waited for.
const PENDING: &str = "Pending";

impl Trouble {
    fn of(problem: &Problem) -> Self {
        let reason = match problem {
            Problem::Pending { .. } => PENDING.to_owned(),
            Problem::Stalled { reason, .. } => reason.to_string(),
        };
        Self { reason, message: problem.message().to_owned() }
    }
}

impl ActionLine {
    fn of(action: &Action) -> Self {
        let word = match action {
            Action::Create(..) => "Create",
            Action::Scale { .. } => "Scale",
            Action::Delete(_) => "Delete",
            Action::Front { .. } => "Front",
            Action::Preview { .. } => "Preview",
            Action::Weigh { .. } => "Weigh",
            Action::Renew(..) => "Renew",
            Action::Measure(_) => "Measure",
        };
        Self { action: word, details: action.to_string() }
    }
}

fn named(record: Option<&Record>, revision: &Revision) -> Named {
    let version = record.and_then(|record| record.versions.get(revision));
    Named { version: version.cloned().unwrap_or_default(), hash: revision.0.clone() }
}

/// What is wanted, as the operator finds it out.
fn aimed(world: &World) -> Aim {
    let (namespace, _) = world.title();
    let spec = &world.deployment.spec;
    let mut aim = Aim::default();
    let before = || world.record.as_ref().and_then(|record| record.wanted.clone());
    let Some(profile) = &world.profile else {
        aim.problems.push(aim::no_profile(&spec.profile, &namespace));
        aim.rendered = before();
        return aim;
    };
    if let Some(problem) = aim::refused_target(&profile.spec, &namespace) {
        aim.problems.push(problem);
        return aim;
    }
    match chosen(&world.deployment, world.record.as_ref(), &world.packages) {
        Ok(Some(package)) => {
            aim.depends_on.clone_from(&package.spec.depends_on);
            match rendered(world, package, &namespace) {
                Ok(rendered) => aim.rendered = Some(rendered),
                Err(problems) => aim.problems.extend(problems),
            }
        }
        Ok(None) => {}
        Err(problem) => aim.problems.push(problem),
    }
    aim.rendered = aim.rendered.or_else(before);
    match aim.rendered.as_ref().map(|rendered| aim::intent(spec, &profile.spec, rendered)) {
        Some(Ok(intent)) => aim.intent = Some(intent),
        Some(Err(problem)) => aim.problems.push(problem),
        None => {}
    }
    aim
}

/// The Package that is meant; none where it is gone and what was rendered of it serves.
///
/// # Errors
/// Says what is missing or wrong.
pub fn chosen<'p>(
    deployment: &Deployment,
    record: Option<&Record>,
    packages: &'p [Package],
) -> Result<Option<&'p Package>, Problem> {
    let reference = &deployment.spec.package;
    let pinned = deployment.status.as_ref().and_then(|status| status.pinned_version.as_ref());
    let offers = packages.iter().map(|package| {
        let checksum = package.status.as_ref().and_then(|status| status.checksum.as_deref());
        let checksum = checksum.filter(|_| !has_repository(package));
        Offer {
            version: package.spec.version.clone(),
            state: package.spec.state.unwrap_or_default(),
            content: aim::content(checksum, &content(&package.spec).digest),
        }
    });
    match aim::pick(reference, pinned, record, offers)? {
        Chosen::New(version) => Ok(packages.iter().find(|package| package.spec.version == version)),
        Chosen::Kept(_) => Ok(None),
    }
}

/// Whether a repository has the content of a Package.
pub fn has_repository(package: &Package) -> bool {
    package.spec.workload.as_ref().is_some_and(|workload| workload.git.is_some())
}

fn rendered(world: &World, package: &Package, namespace: &str) -> Result<Rendered, Vec<Problem>> {
    let spec = &world.deployment.spec;
    let overrides = spec.overrides.as_ref();
    let name = format!("{}-{}", package.spec.name, package.spec.version);
    let status = package.status.clone().unwrap_or_default();
    let (carried, brought) = match (has_repository(package), status.checksum.clone()) {
        (false, _) => (content(&package.spec).digest, None),
        (true, None) => return Err(vec![aim::not_brought(&name, &status)]),
        (true, Some(checksum)) => (checksum, Some(world.content.clone())),
    };
    let inputs = inputs_digest(&carried, namespace, overrides, &spec.env_from);
    let known = world.record.as_ref().and_then(|record| record.wanted.as_ref());
    if let Some(known) = known.filter(|known| brought.is_some() && known.inputs == inputs) {
        return Ok(known.clone());
    }
    let brought = brought.transpose().map_err(|message| vec![aim::pending(format!("Package {name}: {message}"))])?;
    let filled = brought.as_ref().map(|brought| brought.package(&package.spec));
    let source =
        Source { namespace, package: filled.as_ref().unwrap_or(&package.spec), overrides, env_from: &spec.env_from };
    let refused = |one: &Refusal| {
        let told = brought.as_ref().map_or_else(|| one.to_string(), |brought| brought.told(one));
        aim::invalid(format!("Package {name}: {told}"))
    };
    let release = render(&source).map_err(|refusals| refusals.iter().map(refused).collect::<Vec<_>>())?;
    Ok(aim::rendered(inputs, &release))
}

/// What the engine sees.
fn observed(world: &World, aim: &Aim, at: Instant) -> Observed {
    let (namespace, _) = world.title();
    let record = world.record.as_ref();
    let beside = Beside {
        namespace: &namespace,
        front: aim::front(aim.rendered.as_ref(), record),
        stable: record.and_then(|record| record.state.stable.as_ref()),
        candidate: record.and_then(|record| record.state.active()).map(|run| &run.revision),
        rendered: aim.rendered.as_ref(),
        controllers: &world.controllers,
    };
    let sight = see(&world.store, &world.owned, beside, at);
    let failed = sight.failed_job();
    let Sight { revisions, stable, candidate, route, jobs: _ } = sight;
    Observed {
        revisions: renewing(world, revisions),
        stable,
        candidate,
        route,
        missing: missing(world, aim),
        trouble: failed.or_else(|| world.trouble.fatal.clone()),
        measured: Vec::new(),
        commands: asked(world),
    }
}

fn renewing(world: &World, revisions: Seen<BTreeMap<Revision, Pods>>) -> Seen<BTreeMap<Revision, Pods>> {
    let run = world.record.as_ref().and_then(|record| record.state.active());
    match (revisions, run, &world.outdated) {
        (_, _, Some(Err(cause))) => Seen::Unknown(cause.clone()),
        (Seen::Present(mut known), Some(run), Some(Ok(outdated))) => {
            if let Some(pods) = known.get_mut(&run.revision) {
                pods.outdated = *outdated;
            }
            Seen::Present(known)
        }
        (revisions, _, _) => revisions,
    }
}

fn missing(world: &World, aim: &Aim) -> Seen<Vec<String>> {
    let spec = &world.deployment.spec;
    let same = world.neighbours.iter().filter(|one| one.spec.profile == spec.profile);
    let mut missing = dependencies::missing(&aim.depends_on, &same.map(Neighbour::of).collect::<Vec<_>>());
    let (namespace, _) = world.title();
    match &world.account {
        Ok(true) => {}
        Ok(false) => {
            missing.push(aim::no_account(&namespace, aim::account(world.profile.as_ref().map(|one| &one.spec))));
        }
        Err(cause) => return Seen::Unknown(cause.clone()),
    }
    if missing.is_empty() { Seen::Absent } else { Seen::Present(missing) }
}

fn asked(world: &World) -> Vec<crate::engine::command::Command> {
    let meta = &world.deployment.metadata;
    let uid = meta.uid.as_deref().unwrap_or_default();
    let id = world.record.as_ref().and_then(|record| record.current(uid));
    let current = id.as_ref().map(|(id, number)| Current { id, number: *number });
    let empty = BTreeMap::new();
    commands::read(meta.annotations.as_ref().unwrap_or(&empty), Actors::Unverified, current).commands
}

/// The run that is worth showing: the one under way, or a rehearsal that begins and ends at the next look.
fn shown<'a>(world: &World, state: &'a State) -> Option<&'a Run> {
    let before = world.record.as_ref().map_or(0, |record| record.state.runs);
    state.run.as_ref().filter(|run| run.outcome.is_none() || run.number > before)
}

fn steps(run: &Run) -> Vec<StepLine> {
    let state = |at: usize| match at.cmp(&run.at) {
        _ if run.outcome.is_some() => StepState::Open,
        std::cmp::Ordering::Less => StepState::Done,
        std::cmp::Ordering::Equal => StepState::Current,
        std::cmp::Ordering::Greater => StepState::Open,
    };
    let line = |(at, stage): (usize, &Stage)| StepLine { number: at + 1, details: stage.to_string(), state: state(at) };
    run.stages.iter().enumerate().map(line).collect()
}

/// The stages that are not over.
fn open(run: &Run) -> &[Stage] {
    let from = if run.outcome.is_some() { 0 } else { run.at };
    run.stages.get(from..).unwrap_or_default()
}

fn strategy(plan: &Plan) -> String {
    let word = match &plan.strategy {
        Strategy::Canary(_) => "canary",
        Strategy::BlueGreen(_) => "blueGreen",
        Strategy::Rolling(_) => "rolling",
    };
    let divided =
        if plan.splits() { "a router divides the traffic" } else { "the number of instances divides the traffic" };
    format!("{word}; {divided}")
}

/// The checks as they were when the run began, or as they are wanted now where it begins now.
fn definitions(world: &World, aim: &Aim, run: &Run) -> Vec<Check> {
    let kept = world
        .record
        .as_ref()
        .filter(|record| record.state.run.as_ref().is_some_and(|known| known.number == run.number));
    match (kept, &aim.intent) {
        (Some(record), _) => record.checks.clone(),
        (None, Some(intent)) => intent.checks.clone(),
        (None, None) => Vec::new(),
    }
}

fn checks(run: &Run, definitions: &[Check]) -> Vec<CheckLine> {
    let made: Vec<Run> = (0..run.stages.len()).map(|at| Run { at, ..run.clone() }).collect();
    let steps = |name: &str| {
        let is_made = |stage: &&Run| stage.checks().iter().any(|check| check == name);
        made.iter().filter(is_made).map(|stage| stage.at + 1).collect()
    };
    let line = |check: &Check| CheckLine { name: check.name.clone(), asks: asks(check), steps: steps(&check.name) };
    definitions.iter().map(line).collect()
}

fn asks(check: &Check) -> String {
    let Some(http) = &check.http else { return String::new() };
    let method = match http.method.unwrap_or_default() {
        crate::api::check::HttpMethod::Get => "GET",
        crate::api::check::HttpMethod::Head => "HEAD",
    };
    format!("{method} {}", http.url)
}
