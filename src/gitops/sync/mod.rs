//! Decides what a source does next: fetch, check, write, wait for health, delete, or nothing.
//!
//! [`step`] is total and has no clock. What has to outlive the process is in the status, which is stored before the action
//! is begun: the inventory names every object before it is written, so that whatever ends the process, nothing is left that
//! nobody knows of. The rest ([`State`]) is memory; a process without it begins the same commit again and finds unchanged
//! what it had written.

mod begin;
mod recall;
mod take;
mod undo;

use std::time::Duration;

use super::{revert::Pushed, words};
use crate::{
    api::{
        condition::ConditionReason,
        source::{
            Commit, Drift, Inventory, Rollout, Source, SourcePhase, SourceStatus, SyncCounts, SyncFailure, SyncResult,
        },
    },
    engine::moment::Moment,
};

/// What a repository says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Tip {
    /// It has not answered yet.
    #[default]
    Unseen,
    /// The commit that is wanted now.
    At(String),
    /// It does not answer, or not with a commit.
    Failed(Trouble),
}

/// Why nothing can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// As one word.
    pub reason: ConditionReason,
    /// As a sentence.
    pub message: String,
}

/// What decides what a sync comes to: another one is another sync.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// The commit.
    pub commit: String,
    /// The digest of all settings that have a part in it.
    pub settings: String,
}

/// Where a sync stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stage {
    /// None is under way.
    #[default]
    Idle,
    /// The commit is fetched, read, and compared with the inventory.
    Preparing,
    /// The API server is asked whether it would take the objects.
    Checking,
    /// They are written.
    Applying,
    /// Their health is awaited.
    Verifying,
    /// What is no longer wanted is deleted.
    Pruning,
    /// What somebody else changed is compared, and set back where that is wanted.
    Correcting,
    /// What is in force is read again, where this process has not read it.
    Recalling,
}

/// What is remembered between steps. Losing it costs a second look and nothing else.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// Where the sync stands.
    pub stage: Stage,
    /// What is being synced.
    pub target: Target,
    /// What was synced last, whatever became of it.
    pub tried: Option<Target>,
    /// When it is tried again, if it failed.
    pub retry: Option<Moment>,
    /// How many times in a row it failed.
    pub failed: u32,
    /// When the sync began.
    pub since: Moment,
    /// When the health of its objects was asked for first.
    pub verified_since: Option<Moment>,
    /// When it is asked for next.
    pub look: Option<Moment>,
    /// How many times it was asked for.
    pub looks: u32,
    /// What was read of the commit that is under way.
    pub prepared: Option<Box<Prepared>>,
    /// Why the last sync failed.
    pub trouble: Option<Trouble>,
    /// The request that the sync which is under way answers when it ends.
    pub asked: Option<String>,
    /// When what somebody changed is compared again, where the API server did not answer.
    pub repair: Option<Moment>,
    /// How many times in a row it did not.
    pub repairs: u32,
    /// What is in force and could not be read, so that nothing is compared with it.
    pub unread: Option<Unread>,
    /// When that is tried again.
    pub recall: Option<Moment>,
    /// How many times in a row it could not be read.
    pub recalls: u32,
    /// The commit of which a check failed, and what is said of that.
    pub condemned: Option<(String, String)>,
    /// Whether a revert is being pushed.
    pub pushing: bool,
    /// When that is tried again.
    pub push: Option<Moment>,
}

/// A commit that is in force and could not be read as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The commit, and the settings that it was to be read with.
    pub target: Target,
    /// Why not.
    pub why: String,
}

/// What is seen.
#[derive(Debug, Clone)]
pub struct Seen<'a> {
    /// The spec.
    pub source: &'a Source,
    /// The status as it is stored.
    pub status: &'a SourceStatus,
    /// The time.
    pub now: Moment,
    /// What the repository says.
    pub tip: &'a Tip,
    /// The digest of the settings.
    pub settings: &'a str,
    /// The request by annotation.
    pub request: Option<&'a str>,
    /// What has to be there first, and is not.
    pub blocked: Option<Trouble>,
    /// Whether it is known what is in force.
    pub known: Known,
    /// Whether somebody else changed an object.
    pub suspects: Suspects,
    /// What came of the action that was under way.
    pub found: Option<Found>,
    /// What became of the revert that was being pushed.
    pub pushed: Option<Pushed>,
}

/// Whether this process has the objects of what is in force: without them nothing is compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Known {
    /// It has not read them.
    #[default]
    Nothing,
    /// It has them.
    InForce,
}

/// Whether objects may differ from what is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Suspects {
    /// Nobody touched them.
    #[default]
    None,
    /// Somebody did.
    Some,
}

/// What came of an action.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// The repository did not give the commit, or the cluster could not be asked.
    Unreached(Trouble),
    /// The commit was refused before anything was written.
    Refused(ConditionReason, Vec<SyncFailure>),
    /// The commit was read.
    Prepared(Box<Prepared>),
    /// The API server would take all of it.
    Checked,
    /// It was written.
    Applied(Box<Applied>),
    /// How the objects are.
    Health(Box<Health>),
    /// What was no longer wanted is deleted.
    Pruned(Box<Applied>),
    /// What had been touched was compared.
    Corrected(Corrected),
    /// What is in force was read again.
    Recalled(Recalled),
}

/// A commit that is in force, as it reads now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recalled {
    /// The digest of everything that was read.
    pub digest: String,
    /// How many objects it has of which this is not known to be the content in force.
    pub others: usize,
}

/// What was compared with what is wanted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Corrected {
    /// The objects, by the names that [`Drift`] gives them.
    pub compared: Vec<String>,
    /// Those of them that are different and stay so.
    pub drift: Vec<Drift>,
}

/// A commit that was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prepared {
    /// The commit.
    pub commit: Commit,
    /// The digest of everything that was read.
    pub digest: String,
    /// The objects that were already there and those that are wanted, together.
    pub inventory: Inventory,
    /// How many objects are to be written.
    pub applies: usize,
    /// How many are as they were.
    pub unchanged: usize,
    /// How many are no longer wanted.
    pub prunes: usize,
}

/// What was written or deleted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Applied {
    /// In numbers.
    pub counts: SyncCounts,
    /// What was refused.
    pub failures: Vec<SyncFailure>,
    /// The objects that are looked after now.
    pub inventory: Inventory,
}

/// How the objects of a commit are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Health {
    /// Those that failed.
    pub failures: Vec<SyncFailure>,
    /// What is waited for, if it is.
    pub waiting_for: Option<String>,
    /// The Deployments among them.
    pub rollouts: Vec<Rollout>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Fetch the target's commit, read it, and compare it with the inventory.
    Prepare,
    /// Ask the API server whether it would take the objects.
    Check,
    /// Write them.
    Apply,
    /// Ask how they are.
    Look,
    /// Delete what is no longer wanted.
    Prune,
    /// Compare what was touched with what is wanted, and set it back where the spec says so.
    Correct,
    /// Fetch and read the target's commit, which is in force. Nothing is written.
    Recall,
}

impl Stage {
    /// Whether a commit is under way.
    const fn is_under_way(self) -> bool {
        !matches!(self, Self::Idle | Self::Correcting | Self::Recalling)
    }

    /// Whether a newer commit may take the place of the one that is under way. Writes are ended in order first.
    const fn may_be_left(self) -> bool {
        !matches!(self, Self::Applying | Self::Pruning)
    }
}

/// A decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What to remember.
    pub state: State,
    /// What to store, before the action.
    pub status: SourceStatus,
    /// What to do. Whatever else is under way is dropped then.
    pub action: Option<Action>,
    /// Whether what is under way is dropped.
    pub drops: Drops,
    /// Whether the revert that the status has is pushed, beside everything else.
    pub pushes: Pushes,
    /// Which commit the cluster is compared with from now on.
    pub in_force: InForce,
    /// When to look again, if nothing happens.
    pub next: Option<Duration>,
}

/// Which commit the cluster is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InForce {
    /// The same as before.
    Same,
    /// The one that was read last: it is in force, or some of it may be.
    Fresh,
}

/// What becomes of an action that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drops {
    /// It goes on.
    Nothing,
    /// It is dropped: nobody wants what it brings.
    Work,
}

/// Whether something is pushed to the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushes {
    /// Nothing.
    Nothing,
    /// The revert that the status has.
    Revert,
}

/// What a source does next.
#[must_use]
pub fn step(state: State, seen: &Seen<'_>) -> Step {
    let status = seen.status.clone();
    let mut step = Step {
        state,
        status,
        action: None,
        drops: Drops::Nothing,
        pushes: Pushes::Nothing,
        in_force: InForce::Same,
        next: None,
    };
    // First, so that nothing is written for a commit of which it is known in the same look that it is not wanted any more.
    step.leave_outdated(seen);
    if let Some(found) = seen.found.clone() {
        step.take(found, seen);
    }
    step.leave_outdated(seen);
    step.pushed(seen);
    step.begin(seen);
    step.undo(seen);
    step.forget_unread();
    step.answer(seen);
    step.words(seen);
    step
}

impl Step {
    fn go(&mut self, stage: Stage, action: Action) {
        self.state.stage = stage;
        self.state.look = None;
        self.action = Some(action);
    }

    /// Whether the last sync left nothing to be done.
    fn is_fine(&self) -> bool {
        words::last(&self.status) == Some(SyncResult::Succeeded)
    }

    /// Answers a request that no sync can answer: nothing is done now, or the look that was asked for brought no commit.
    fn answer(&mut self, seen: &Seen<'_>) {
        let silent = seen.blocked.is_none() && matches!(seen.tip, Tip::Failed(_));
        if self.state.stage.is_under_way() || !(seen.source.suspend || silent) {
            return;
        }
        if let Some(request) = seen.request {
            self.status.handled_request = Some(request.to_owned());
        }
    }

    /// Says where it stands, and when to look again.
    fn words(&mut self, seen: &Seen<'_>) {
        let (phase, waiting_for) = words::phase(&self.state, &self.status, seen);
        (self.status.phase, self.status.waiting_for) = (Some(phase), waiting_for);
        let repair = self.state.repair.filter(|_| seen.suspects == Suspects::Some);
        let recall = self.state.recall.filter(|_| self.unknown(seen).is_some());
        // What is due and was not begun waits for something else, which wakes it.
        let alarms = [self.state.look, self.state.retry, self.state.push, repair, recall]
            .into_iter()
            .flatten()
            .filter(|at| *at > seen.now);
        self.next = alarms.min().map(|at| Duration::from_millis(at.0 - seen.now.0));
    }

    /// Whether somebody has to know of this at once: it ends something, or something is written that rests on it.
    pub fn is_urgent(&self, before: &SourceStatus) -> bool {
        let adopts = self.status.inventory != before.inventory || self.status.applied != before.applied;
        // What was learnt by writing (uids) is told with the end: without it, it is learnt again.
        let writes = matches!(self.action, Some(Action::Apply | Action::Prune));
        (adopts && writes)
            || self.status.revert != before.revert
            || self.status.phase.is_some_and(|phase| matches!(phase, SourcePhase::Synced | SourcePhase::Failed))
    }
}

/// Twice as long each time, up to the longest.
fn growing((first, longest): (Duration, Duration), times: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(times.min(8))).min(longest)
}
