//! What is told of a Deployment: from what is remembered and what was seen to the whole status.
//!
//! A status says nothing of the moment at which it is written, but in the times of transitions: where nothing happened,
//! the next one is equal and need not be written. What was not seen at this look is told as it was before.
//!
//! Its parts: [`world`] (instances, shares, health), [`step`] (where the run is), [`checks`], [`runs`] (ids, errors, history),
//! [`conditions`].

mod checks;
mod conditions;
mod runs;
mod step;
mod world;

use std::collections::BTreeMap;

use crate::{
    api::{
        DEPLOYMENT_LABEL,
        condition::ConditionReason,
        deployment::DeploymentSpec,
        deployment_status::{DeploymentStatus, Phase, RevisionRef, Revisions},
        run::{CommandAnswer, Run as RunStatus},
        version::Version,
    },
    engine::{
        moment::Moment,
        observed::{Known, Observed, Revision},
        plan::{Plan, Router},
        state::{Purpose, Run, State},
    },
    rollout::{
        commands::{self, Asked},
        plan::Intent,
        record::Record,
        words::{cut, phase},
    },
};

/// The longest sentence of a status, in characters.
const SENTENCE_MAX: usize = 1024;

/// How the details of a step end that waits for a person's promote.
pub const GATE: &str = "until a person promotes";

/// What the condition Stalled says while nothing hinders a run, and would not hinder the next one.
pub const UNHINDERED: &str = "nothing stands in the way";

/// The longest version, hash or commit of a revision, in characters.
const REVISION_MAX: usize = 64;

/// What stands against a Deployment before the engine is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Something that it names is not there yet.
    Pending {
        /// What is waited for.
        message: String,
    },
    /// Nothing will move before the spec or another object changes.
    Stalled {
        /// The word for it.
        reason: ConditionReason,
        /// What is wrong, and the remedy.
        message: String,
    },
}

impl Problem {
    /// The sentence.
    pub fn message(&self) -> &str {
        match self {
            Self::Pending { message } | Self::Stalled { message, .. } => message,
        }
    }
}

/// The Deployment that a status is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its uid.
    pub uid: &'a str,
    /// The generation that was looked at.
    pub generation: i64,
    /// The value of the label of everything that was made for it.
    pub label: &'a str,
    /// Its spec.
    pub spec: &'a DeploymentSpec,
}

/// All that a status is made from.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The Deployment.
    pub subject: Subject<'a>,
    /// The status before; none where there is none.
    pub prior: Option<&'a DeploymentStatus>,
    /// What is remembered after the decision.
    pub record: &'a Record,
    /// What was seen.
    pub observed: &'a Observed,
    /// What the spec asks for; none where a problem stands against it.
    pub intent: Option<&'a Intent>,
    /// What stands against it.
    pub problem: Option<&'a Problem>,
    /// What keeps the last decision from being carried out.
    pub trouble: Option<&'a Problem>,
    /// What the annotations ask for.
    pub asked: &'a Asked,
    /// The version that a range picked.
    pub pinned: Option<&'a Version>,
    /// How many instances the whole traffic needs.
    pub desired: u32,
    /// What time it is.
    pub now: Moment,
}

/// A view, and what several parts of the status need from it.
struct Scene<'a> {
    view: &'a View<'a>,
    /// The world, if all of it was seen; else why not.
    known: Result<Known, String>,
    /// The run as the status names it.
    run: Option<RunStatus>,
    /// Whether the status before is about the same run.
    same_run: bool,
}

impl<'a> Scene<'a> {
    fn new(view: &'a View<'a>) -> Self {
        let known = view.observed.known();
        let run = runs::run(view);
        let before = view.prior.and_then(|prior| prior.run.as_ref());
        let same_run = run.as_ref().zip(before).is_some_and(|(run, before)| run.id == before.id);
        Self { view, known, run, same_run }
    }

    /// That not all of the world was seen, and why.
    fn unseen(cause: &str) -> String {
        format!("the cluster was not seen completely: {cause}")
    }

    fn state(&self) -> &'a State {
        &self.view.record.state
    }

    fn active(&self) -> Option<&'a Run> {
        self.state().active()
    }

    /// The status before, if it is about the same run.
    fn before(&self) -> Option<&'a DeploymentStatus> {
        self.view.prior.filter(|_| self.same_run)
    }

    /// What stands against the spec, where no run is under way that goes on regardless.
    fn hindrance(&self) -> Option<&'a Problem> {
        self.view.problem.filter(|_| self.active().is_none())
    }

    /// What stands in the way: of the spec, or of a run.
    fn problem(&self) -> Option<&'a Problem> {
        self.hindrance().or(self.view.trouble)
    }

    /// The revision that is to come.
    fn candidate(&self) -> Option<&'a Revision> {
        let run = self.active()?;
        (self.state().stable.as_ref() != Some(&run.revision)).then_some(&run.revision)
    }

    /// What divides the traffic: the run's snapshot says so while there is one.
    fn router(&self) -> Router {
        let of_run = self.state().run.as_ref().map(|run| run.plan.router);
        let of_spec = self.view.intent.map(|intent| intent.plan.router);
        of_run.or(of_spec).unwrap_or(Router::Replicas)
    }

    /// A revision as people know it: its version, or its hash where that is not known.
    fn name(&self, revision: &Revision) -> String {
        self.view.record.versions.get(revision).unwrap_or(&revision.0).clone()
    }
}

/// The whole status.
pub fn report(view: &View<'_>) -> DeploymentStatus {
    let scene = Scene::new(view);
    let state = scene.state();
    let checks = checks::checks(&scene);
    let error = runs::error(&scene);
    let health = world::health(&scene, &checks);
    let traffic = world::traffic(&scene);
    let instances = world::instances(&scene);
    let mut status = DeploymentStatus {
        observed_generation: view.subject.generation,
        phase: Some(if scene.hindrance().is_some() { Phase::Pending } else { phase(state.phase) }),
        progress: step::progress(&scene),
        current_step: step::current(&scene),
        waiting_for: waiting_for(&scene),
        pinned_version: view.pinned.cloned(),
        revision: revisions(&scene),
        traffic,
        health: health.word,
        instances: instances.clone().or_else(|| view.prior?.instances.clone()),
        replicas: world::replicas(&scene),
        selector: Some(format!("{}={}", DEPLOYMENT_LABEL, view.subject.label)),
        checks,
        error,
        pending_changes: pending_changes(&scene).then_some(true),
        plan: step::plan(&scene),
        commands: answers(&scene),
        rejected: runs::rejected(&scene),
        history: runs::history(&scene),
        run: None,
        conditions: Vec::new(),
        record: Some(view.record.write()),
    };
    status.conditions = conditions::conditions(&scene, &status, &health);
    status.run = scene.run;
    status
}

fn waiting_for(scene: &Scene<'_>) -> Option<String> {
    let sentence = scene.problem().map(Problem::message).or(scene.state().waiting_for.as_deref());
    sentence.map(|sentence| cut(sentence, SENTENCE_MAX))
}

fn revisions(scene: &Scene<'_>) -> Option<Revisions> {
    let stable = scene.state().stable.as_ref().map(|revision| reference(scene, revision));
    let candidate = scene.candidate().map(|revision| reference(scene, revision));
    (stable.is_some() || candidate.is_some()).then_some(Revisions { stable, candidate })
}

fn reference(scene: &Scene<'_>, revision: &Revision) -> RevisionRef {
    let version = scene.view.record.versions.get(revision).map_or("", String::as_str);
    RevisionRef { version: cut(version, REVISION_MAX), hash: cut(&revision.0, REVISION_MAX), commit: None }
}

/// Whether the run goes by another plan than the spec now asks for.
fn pending_changes(scene: &Scene<'_>) -> bool {
    let (Some(run), Some(intent)) = (scene.active(), scene.view.intent) else { return false };
    // The time limit is read at every look.
    let planned = Plan { timeout: run.plan.timeout, ..intent.plan.clone() };
    let record = scene.view.record;
    let other_terms = record.terms.as_ref().is_some_and(|terms| *terms != intent.terms);
    run.purpose == Purpose::Deploy && (run.plan != planned || record.checks != intent.checks || other_terms)
}

fn answers(scene: &Scene<'_>) -> BTreeMap<String, CommandAnswer> {
    let none = BTreeMap::new();
    let prior = scene.view.prior.map_or(&none, |prior| &prior.commands);
    commands::answers(scene.view.asked, scene.view.record, prior, scene.view.now)
}
