//! Whether the commit that failed is undone in its repository. That goes on beside everything else, and delays nothing.

use super::{Pushes, Seen, Step, Tip, begin::held, growing};
use crate::{
    api::source::Reverted,
    gitops::{
        revert::{NOTHING_BEFORE, PAUSES, Pushed, cause, condemned, former, is_over},
        words,
    },
    rollout::words::time,
};

impl Step {
    /// Notes that a Deployment speaks against the commit that is under way.
    pub(super) fn condemn(&mut self) {
        let Some(rollout) = condemned(&self.status.rollouts) else { return };
        let commit = self.state.target.commit.clone();
        self.state.condemned = Some((commit.clone(), cause(rollout)));
        // Whoever asks has mended something.
        let failed = |revert: &Reverted| revert.of == commit && revert.reason.is_some();
        if self.state.asked.is_some() && self.status.revert.as_ref().is_some_and(failed) {
            (self.status.revert, self.state.push) = (None, None);
        }
    }

    /// Takes in what became of a push.
    pub(super) fn pushed(&mut self, seen: &Seen<'_>) {
        let Some(pushed) = seen.pushed.clone() else { return };
        self.state.pushing = false;
        let Some(revert) = &mut self.status.revert else { return };
        match pushed {
            Pushed::Done(commit) => (revert.commit, revert.reason) = (Some(commit), None),
            Pushed::Not(setback) => {
                revert.reason = Some(setback.reason.to_owned());
                revert.message = Some(words::cut(&setback.message, 1000));
            }
        }
        let again = (!is_over(revert)).then(|| growing(PAUSES, u32::try_from(revert.attempts - 1).unwrap_or(0)));
        self.state.push = again.map(|pause| seen.now.after(pause));
    }

    /// Begins to undo a commit, where the spec wants that.
    pub(super) fn undo(&mut self, seen: &Seen<'_>) {
        let Some(wanted) = &seen.source.revert else { return };
        if self.state.pushing || held(seen).is_some() {
            return;
        }
        let known = self.status.revert.clone().filter(|known| known.branch == wanted.branch);
        if let Some(known) = known.clone().filter(|known| known.commit.is_none() && known.reason.is_none()) {
            // A process that is gone had begun it. What came of that, the branch says.
            return self.push(known);
        }
        let Some((commit, cause)) = self.condemned(seen) else { return };
        let known = known.filter(|known| known.of == commit);
        if known.as_ref().is_some_and(is_over) || self.state.push.is_some_and(|at| at > seen.now && known.is_some()) {
            return;
        }
        let revert = Reverted {
            to: former(&self.status, &commit).unwrap_or_default(),
            at: known.as_ref().and_then(|known| known.at.clone()).or_else(|| Some(time(seen.now))),
            attempts: known.map_or(0, |known| known.attempts),
            branch: wanted.branch.clone(),
            message: Some(cause),
            of: commit,
            ..Reverted::default()
        };
        if revert.to.is_empty() {
            let message = "no other commit was in force before with everything healthy: there is nothing to go back to";
            let (reason, message) = (Some(NOTHING_BEFORE.to_owned()), Some(message.to_owned()));
            self.status.revert = Some(Reverted { reason, message, ..revert });
            return;
        }
        self.push(revert);
    }

    /// The commit that the repository leads to, if something speaks against it, and what. A revert is never undone itself.
    fn condemned(&self, seen: &Seen<'_>) -> Option<(String, String)> {
        let (commit, cause) = self.state.condemned.clone()?;
        let is_tip = *seen.tip == Tip::At(commit.clone());
        let is_revert = self.status.revert.as_ref().is_some_and(|known| known.commit.as_ref() == Some(&commit));
        (is_tip && !is_revert).then_some((commit, cause))
    }

    fn push(&mut self, revert: Reverted) {
        let attempts = revert.attempts.saturating_add(1);
        self.status.revert = Some(Reverted { attempts, ..revert });
        (self.state.pushing, self.state.push, self.pushes) = (true, None, Pushes::Revert);
    }
}
