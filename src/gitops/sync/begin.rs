//! What is begun: what is wanted and not under way.

use super::{Action, Drops, Seen, Stage, Step, Suspects, Target, Tip};
use crate::api::source::{DriftPolicy, SyncResult};

impl Step {
    /// Begins what is wanted and not under way.
    pub(super) fn begin(&mut self, seen: &Seen<'_>) {
        if seen.source.drift == DriftPolicy::Ignore {
            self.status.drift.clear();
        }
        if self.state.stage.is_under_way() {
            return self.continue_looking(seen);
        }
        self.leave_recall(seen);
        match wanted(seen).filter(|_| held(seen).is_none()) {
            Some(wanted) if self.is_due(&wanted, seen) => self.prepare(wanted, seen),
            _ => {
                self.repair(seen);
                self.recall(seen);
            }
        }
    }

    fn is_due(&self, wanted: &Target, seen: &Seen<'_>) -> bool {
        let news = self.state.tried.as_ref() != Some(wanted);
        // What is in force is read to the end first: the commit that failed is no better for it.
        let free = self.state.stage != Stage::Recalling;
        let retry = free && self.state.retry.is_some_and(|retry| retry <= seen.now);
        news || retry || is_asked(self, seen)
    }

    fn prepare(&mut self, wanted: Target, seen: &Seen<'_>) {
        if self.state.tried.as_ref() != Some(&wanted) {
            self.state.failed = 0;
        }
        self.drop_work();
        self.state.target = wanted;
        (self.state.since, self.state.retry, self.state.verified_since) = (seen.now, None, None);
        self.state.condemned = None;
        // A sync that began before somebody asked is no answer.
        self.state.asked = if is_asked(self, seen) { seen.request.map(ToOwned::to_owned) } else { None };
        self.go(Stage::Preparing, Action::Prepare);
    }

    /// Asks for the health again when it is time. In between what somebody else changed is set back: it may be what is waited
    /// for.
    fn continue_looking(&mut self, seen: &Seen<'_>) {
        let Some(look) = self.state.look.filter(|_| self.state.stage == Stage::Verifying) else { return };
        if self.may_repair(seen) {
            self.go(Stage::Verifying, Action::Correct);
        } else if look <= seen.now {
            self.go(Stage::Verifying, Action::Look);
        }
    }

    /// Sees to what somebody else changed.
    fn repair(&mut self, seen: &Seen<'_>) {
        if self.state.stage == Stage::Idle && self.may_repair(seen) {
            self.go(Stage::Correcting, Action::Correct);
        }
    }

    fn may_repair(&self, seen: &Seen<'_>) -> bool {
        let due = self.state.repair.is_none_or(|repair| repair <= seen.now);
        seen.suspects == Suspects::Some && !seen.source.suspend && due
    }

    /// Leaves a sync that nobody wants any more. Whatever is wanted next is looked at from the beginning, be it the same.
    pub(super) fn leave_outdated(&mut self, seen: &Seen<'_>) {
        let stage = self.state.stage;
        let Some(why) = self.outdated(seen).filter(|_| stage.is_under_way() && stage.may_be_left()) else { return };
        self.drop_work();
        self.state.asked = None;
        if stage != Stage::Preparing {
            self.end(SyncResult::Superseded, Some(why), seen);
        }
        (self.state.stage, self.state.tried) = (Stage::Idle, None);
    }

    /// Why nobody wants what is under way any more.
    fn outdated(&self, seen: &Seen<'_>) -> Option<String> {
        let target = &self.state.target;
        held(seen).or_else(|| {
            // Settings count also while the repository does not answer: what they forbid now is not done.
            let newer = wanted(seen).is_some_and(|wanted| wanted.commit != target.commit);
            let changed = seen.settings != target.settings;
            let why = if newer { "a newer commit took its place" } else { "the settings changed" };
            (newer || changed).then(|| why.to_owned())
        })
    }

    pub(super) fn drop_work(&mut self) {
        self.action = None;
        self.drops = Drops::Work;
    }
}

/// What the repository and the spec ask for, where the repository answers.
fn wanted(seen: &Seen<'_>) -> Option<Target> {
    match seen.tip {
        Tip::At(commit) => Some(Target { commit: commit.clone(), settings: seen.settings.to_owned() }),
        Tip::Unseen | Tip::Failed(_) => None,
    }
}

/// Why nothing may be begun.
pub(super) fn held(seen: &Seen<'_>) -> Option<String> {
    if seen.source.suspend {
        return Some("spec.source.suspend is set".to_owned());
    }
    seen.blocked.as_ref().map(|blocked| blocked.message.clone())
}

/// Whether somebody asks for a sync that was not made yet.
fn is_asked(step: &Step, seen: &Seen<'_>) -> bool {
    seen.request.is_some() && step.status.handled_request.as_deref() != seen.request
}
