//! What is in force, read again. A process that begins while the repository leads to a commit that is refused has not read it, and
//! would compare nothing until a better one comes.
//!
//! What counts is what was written: a commit that reads otherwise now (other values, other keys) is compared with nothing.

use super::{Action, InForce, Known, Recalled, Seen, Stage, Step, Target, Tip, Unread, growing, take::RETRY_PAUSES};
use crate::{
    api::{condition::ConditionReason, source::DriftPolicy},
    gitops::words::short,
};

impl Step {
    /// Reads what is in force again, where this process does not know it. What is wanted newly comes first.
    pub(super) fn recall(&mut self, seen: &Seen<'_>) {
        if self.state.stage != Stage::Idle {
            return;
        }
        let Some(target) = self.unknown(seen) else { return };
        match &self.state.unread {
            Some(unread) if unread.target == target => {
                if self.state.recall.is_some_and(|at| at > seen.now) {
                    return;
                }
            }
            _ => self.state.recalls = 0,
        }
        self.state.target = target;
        self.go(Stage::Recalling, Action::Recall);
    }

    /// Leaves that, where nobody wants it any more.
    pub(super) fn leave_recall(&mut self, seen: &Seen<'_>) {
        if self.state.stage == Stage::Recalling && self.unknown(seen).is_none() {
            self.drop_work();
            self.state.stage = Stage::Idle;
        }
    }

    /// What is in force, if this process does not know it and is to compare with it. As long as the repository has not answered,
    /// the same commit may come by itself.
    pub(super) fn unknown(&self, seen: &Seen<'_>) -> Option<Target> {
        let source = seen.source;
        let known = seen.known == Known::InForce || self.in_force == InForce::Fresh;
        let wanted = !known && !source.suspend && source.drift != DriftPolicy::Ignore;
        // Who waits for others has everything that reading takes.
        let free = seen.blocked.as_ref().is_none_or(|blocked| blocked.reason == ConditionReason::DependencyNotReady);
        let commit = self.status.applied.as_ref()?.id.clone();
        let target = Target { commit, settings: seen.settings.to_owned() };
        (wanted && free && *seen.tip != Tip::Unseen).then_some(target)
    }

    /// Takes in what was read. It counts if it is what was written.
    pub(super) fn recalled(&mut self, recalled: &Recalled, seen: &Seen<'_>) {
        let is_applied = self.status.applied.as_ref().is_some_and(|applied| applied.id == self.state.target.commit);
        let is_same = self.status.digest.as_ref() == Some(&recalled.digest) || recalled.others == 0;
        if is_applied && is_same {
            self.state.stage = Stage::Idle;
            self.in_force = InForce::Fresh;
            return;
        }
        let count = recalled.others;
        let why = format!("values, keys or other settings changed since, and {count} of its objects with them");
        self.not_recalled(&why, seen);
    }

    /// It is tried again, later each time.
    pub(super) fn not_recalled(&mut self, why: &str, seen: &Seen<'_>) {
        let target = self.state.target.clone();
        let why = format!("commit {}, which is in force, cannot be read: {why}", short(&target.commit));
        self.state.unread = Some(Unread { target, why });
        self.state.recall = Some(seen.now.after(growing(RETRY_PAUSES, self.state.recalls)));
        self.state.recalls = self.state.recalls.saturating_add(1);
        self.state.stage = Stage::Idle;
    }

    /// What is in force is known from now on.
    pub(super) fn forget_unread(&mut self) {
        if self.in_force == InForce::Fresh {
            (self.state.unread, self.state.recall, self.state.recalls) = (None, None, 0);
        }
    }
}
