//! What is remembered from one look to the next. It is stored in the status, and written before the actions of the step
//! that it came from: whoever is killed between the two finds the decision and carries it out.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::engine::{
    command::{Answer, Verb},
    moment::Moment,
    observed::Revision,
    phase::Phase,
    plan::Plan,
    stage::Stage,
    traffic::Traffic,
    verdict::Tally,
};

/// All that is remembered of one Deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Where it stands.
    pub phase: Phase,
    /// What it waits for: always there while the phase is not terminal.
    pub waiting_for: Option<String>,
    /// The revision that all traffic returns to.
    pub stable: Option<Revision>,
    /// Former stable revisions, newest first.
    pub kept: Vec<Revision>,
    /// Revisions that are not started again by themselves.
    pub rejected: BTreeSet<Revision>,
    /// What the last run was started for.
    pub attempted: Option<Attempted>,
    /// What the last run that touched nothing was for; none since one that did.
    pub rehearsed: Option<Attempted>,
    /// The run that is under way, or the last one.
    pub run: Option<Run>,
    /// How many runs there were.
    pub runs: u64,
    /// Which splits may be in force.
    pub traffic: Traffic,
    /// Revisions without traffic whose pods are to go, and since when.
    pub leftovers: BTreeMap<Revision, Moment>,
    /// The answers to commands, by verb.
    pub answers: BTreeMap<Verb, Answer>,
    /// Whether everything is to be down, by command.
    pub stopped: Option<Stop>,
    /// Why the wanted revision cannot be started.
    pub refused: Option<String>,
    /// Whether this was the first look at an object without a status.
    pub origin: Origin,
}

/// Where the memory comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// There is none, and the world was not seen completely yet.
    #[default]
    Unread,
    /// The world was seen.
    Read,
}

/// Who stopped it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stop {
    /// A command, until restarted.
    Command,
    /// The spec, until it says otherwise.
    Spec,
}

/// What a run was started for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempted {
    /// The revision.
    pub revision: Revision,
    /// The request, where one was named.
    pub request: Option<String>,
}

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// To bring the wanted revision.
    Deploy,
    /// To return to a kept one.
    Rollback,
    /// To have the stable one again, after a stop or with new pods.
    Restart,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Counts the runs of this Deployment.
    pub number: u64,
    /// Where it goes.
    pub revision: Revision,
    /// Why.
    pub purpose: Purpose,
    /// Its snapshot of the plan.
    pub plan: Plan,
    /// Its stages.
    pub stages: Vec<Stage>,
    /// The stage it is in.
    pub at: usize,
    /// How many stages it has completed; never less than before.
    pub completed: usize,
    /// Since when it is in this stage.
    pub entered: Moment,
    /// Since when what the stage holds is reached; times are counted from here.
    pub reached: Option<Moment>,
    /// How much of its time it has used.
    pub clock: Clock,
    /// The last progress.
    pub progress: Moment,
    /// The most ready pods that the candidate had in this stage.
    pub best: u32,
    /// What holds it.
    pub hold: Option<Hold>,
    /// Whether a person said go in this stage.
    pub approved: Option<Approval>,
    /// The measurements of this stage by check.
    pub tallies: BTreeMap<String, Tally>,
    /// Set when it goes back.
    pub retreat: Option<Failure>,
    /// Set when it has ended.
    pub outcome: Option<Outcome>,
}

/// The time that a run has used, as moments of transitions: it stays the same while nothing happens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// What was used until it last stood still, in milliseconds.
    pub used: u64,
    /// Since when it runs; none while it stands still.
    pub since: Option<Moment>,
}

/// What holds a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hold {
    /// A person.
    Person,
    /// `spec.paused`.
    Spec,
    /// A failure, where the plan says that a person decides.
    Failed(Failure),
    /// The status was lost.
    Recovered,
}

/// How far an approval goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Approval {
    /// This stage.
    Stage,
    /// All that would wait.
    Full,
}

/// The word for a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Code {
    /// A person ended it.
    Aborted,
    /// A person ended it before traffic moved.
    Cancelled,
    /// A check failed.
    CheckFailed,
    /// No progress for too long.
    ProgressDeadline,
    /// It took too long as a whole.
    Timeout,
    /// The candidate's pods cannot run.
    PodsFailed,
    /// A newer revision is wanted.
    Superseded,
    /// Everything is to be down.
    Stopped,
}

/// Why a run did not arrive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The word.
    pub code: Code,
    /// The stage it was in.
    pub stage: usize,
    /// The sentence.
    pub message: String,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The terminal phase.
    pub phase: Phase,
    /// When.
    pub at: Moment,
    /// Why, where it did not arrive.
    pub failure: Option<Failure>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            phase: Phase::Pending,
            waiting_for: Some("the first look".to_owned()),
            stable: None,
            kept: Vec::new(),
            rejected: BTreeSet::new(),
            attempted: None,
            rehearsed: None,
            run: None,
            runs: 0,
            traffic: Traffic::default(),
            leftovers: BTreeMap::new(),
            answers: BTreeMap::new(),
            stopped: None,
            refused: None,
            origin: Origin::Unread,
        }
    }
}

impl State {
    /// The run, if one is under way.
    pub fn active(&self) -> Option<&Run> {
        self.run.as_ref().filter(|run| run.outcome.is_none())
    }

    /// The run, if one is under way, to change it.
    pub fn active_mut(&mut self) -> Option<&mut Run> {
        self.run.as_mut().filter(|run| run.outcome.is_none())
    }
}

impl Run {
    /// The stage it is in; none behind the last.
    pub fn stage(&self) -> Option<&Stage> {
        self.stages.get(self.at)
    }

    /// Goes to a stage. Progress counts the furthest.
    pub fn enter(&mut self, at: usize, now: Moment) {
        self.at = at;
        self.completed = self.completed.max(at);
        self.entered = now;
        self.progress = now;
        self.reached = None;
        self.best = 0;
        self.tallies.clear();
        if self.approved == Some(Approval::Stage) {
            self.approved = None;
        }
    }

    /// The part of the stages that is done, in whole percent.
    pub fn percentage(&self) -> usize {
        if self.outcome.as_ref().is_some_and(|outcome| outcome.phase == Phase::Succeeded) {
            return 100;
        }
        self.completed * 100 / self.stages.len().max(1)
    }

    /// Turns back. The first reason stays.
    pub fn turn_back(&mut self, code: Code, message: impl Into<String>) {
        let failure = Failure { code, stage: self.at, message: message.into() };
        self.retreat.get_or_insert(failure);
        self.hold = None;
    }
}

impl Run {
    /// Releases what holds it. Time under a hold is no time without progress.
    pub fn release(&mut self, now: Moment) {
        self.hold = None;
        self.progress = now;
    }

    /// Takes the measurements of this stage anew.
    pub fn measure_again(&mut self, now: Moment) {
        self.release(now);
        // What was measured before this moment has other keys, and is not taken for an answer.
        self.entered = now;
        self.tallies.clear();
    }

    /// Whether it has come to a stage that moves traffic.
    pub fn has_moved(&self) -> bool {
        let moves =
            |stage: &Stage| matches!(stage, Stage::Weight(_) | Stage::Turn | Stage::Roll { .. } | Stage::Return);
        self.stages.iter().take(self.at + 1).any(moves)
    }

    /// The checks that run in this stage. While a person is waited for they do not have to pass, and must not fail.
    pub fn checks(&self) -> &[String] {
        match self.stage() {
            Some(Stage::Hold { checks, .. }) => checks,
            Some(Stage::Approve) if self.has_moved() || self.plan.previews() => &self.plan.always,
            _ => &[],
        }
    }

    /// Lets its clock run or stand still, as its stage asks for.
    pub fn keep_time(&mut self, now: Moment) {
        let waits = matches!(self.stage(), Some(Stage::Admit)) || (self.waits_for_approval() && self.reached.is_some());
        let counts = self.outcome.is_none() && self.hold.is_none() && !waits;
        match (self.clock.since, counts) {
            (None, true) => self.clock.since = Some(now),
            (Some(since), false) => {
                self.clock = Clock { used: self.clock.used + now.0.saturating_sub(since.0), since: None };
            }
            _ => {}
        }
    }

    /// Whether it stands at a gate for a person.
    pub fn waits_for_approval(&self) -> bool {
        self.stage() == Some(&Stage::Approve) && self.approved.is_none()
    }
}

impl Run {
    /// When its time is over, of all that it may take.
    pub fn times_out(&self, limit: Option<Duration>) -> Option<Moment> {
        let since = self.clock.since.filter(|_| self.retreat.is_none() && !self.has_arrived())?;
        limit.map(|limit| Moment(since.after(limit).0.saturating_sub(self.clock.used)))
    }

    /// Whether all traffic is the revision's, and only the old one's pods are left to go.
    pub fn has_arrived(&self) -> bool {
        matches!(self.stage(), Some(Stage::Drain(_) | Stage::Retire))
    }
}
