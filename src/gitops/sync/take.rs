//! What an action came to, and what follows from it.

use std::time::Duration;

use super::{Action, Applied, Corrected, Found, Health, InForce, Prepared, Seen, Stage, Step, Trouble, growing};
use crate::{
    api::{
        condition::ConditionReason,
        source::{Commit, Sync, SyncCounts, SyncFailure, SyncResult},
        time_span::TimeSpan,
    },
    gitops::words,
    rollout::words::time,
};

/// How long objects may take to become healthy where the spec does not say.
const HEALTH_TIMEOUT: Duration = Duration::from_mins(5);

/// The pauses between two looks at the health of objects: the first one, and the longest.
const HEALTH_PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// The pauses after which a commit that failed is tried again: the first one, and the longest.
pub(super) const RETRY_PAUSES: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(10));

/// The pauses after which what somebody changed is compared again: the first one, and the longest.
const REPAIR_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// The most failures that a status tells.
const FAILURES_MAX: usize = 20;

/// The most syncs that a status remembers.
const HISTORY_MAX: usize = 10;

impl Step {
    /// Takes in what an action came to.
    pub(super) fn take(&mut self, found: Found, seen: &Seen<'_>) {
        match (self.state.stage, found) {
            (Stage::Preparing, Found::Prepared(prepared)) => self.prepared(*prepared, seen),
            (Stage::Preparing | Stage::Checking, Found::Refused(reason, failures)) => {
                self.saw();
                self.fail(SyncResult::Failed, reason, failures, seen);
            }
            (Stage::Checking, Found::Checked) => self.checked(),
            (Stage::Applying, Found::Applied(applied)) => self.applied(*applied, seen),
            (Stage::Verifying, Found::Health(health)) => self.health(*health, seen),
            (Stage::Pruning, Found::Pruned(pruned)) => self.pruned(*pruned, seen),
            (Stage::Correcting | Stage::Verifying, Found::Corrected(corrected)) => self.corrected(corrected, seen),
            (Stage::Recalling, Found::Recalled(recalled)) => self.recalled(&recalled, seen),
            (Stage::Recalling, Found::Refused(_, failures)) => self.not_recalled(&refusal(&failures), seen),
            (Stage::Recalling, Found::Unreached(trouble)) => self.not_recalled(&trouble.message, seen),
            (Stage::Correcting, Found::Unreached(_)) => {
                self.put_off(seen);
                self.state.stage = Stage::Idle;
            }
            (Stage::Verifying, Found::Unreached(_)) => {
                self.put_off(seen);
                self.pause(seen);
            }
            (Stage::Preparing | Stage::Checking, Found::Unreached(trouble)) => {
                self.give_up(SyncResult::Failed, (trouble, Vec::new()), seen);
            }
            (stage @ (Stage::Applying | Stage::Pruning), Found::Unreached(trouble)) => {
                if stage == Stage::Applying {
                    self.in_force = InForce::Fresh;
                }
                self.give_up(SyncResult::Partial, (trouble, Vec::new()), seen);
            }
            // What another action came to, which nobody waits for any more.
            _ => {}
        }
    }

    /// The commit was seen, although nothing but its hash is known where it could not be read.
    fn saw(&mut self) {
        if self.status.observed.as_ref().is_none_or(|known| known.id != self.state.target.commit) {
            self.status.observed = Some(Commit { id: self.state.target.commit.clone(), ..Commit::default() });
        }
    }

    fn prepared(&mut self, prepared: Prepared, seen: &Seen<'_>) {
        let Prepared { commit, digest, applies, unchanged, prunes, .. } = &prepared;
        self.status.observed = Some(commit.clone());
        let nothing = *applies == 0 && *prunes == 0 && self.status.digest.as_ref() == Some(digest);
        if nothing && self.is_fine() && self.state.asked.is_none() {
            // Another commit, and nothing of it is for this source.
            self.status.settled = Some(commit.id.clone());
            self.status.applied = Some(commit.clone());
            self.in_force = InForce::Fresh;
            return self.rest();
        }
        self.status.last_sync = Some(Sync {
            commit: commit.id.clone(),
            started_at: Some(time(self.state.since)),
            counts: SyncCounts { unchanged: words::count(*unchanged), ..SyncCounts::default() },
            ..Sync::default()
        });
        let checks = *applies > 0;
        self.state.prepared = Some(Box::new(prepared));
        if checks {
            self.go(Stage::Checking, Action::Check);
        } else {
            self.adopt();
            self.in_force = InForce::Fresh;
            self.verify(seen);
        }
    }

    /// From here on the commit counts, and its inventory is stored before the first object of it is written.
    fn adopt(&mut self) {
        if let Some(prepared) = self.state.prepared.as_deref() {
            self.status.applied = Some(prepared.commit.clone());
            self.status.digest = Some(prepared.digest.clone());
            self.status.inventory = Some(prepared.inventory.clone());
        }
    }

    fn checked(&mut self) {
        self.adopt();
        self.go(Stage::Applying, Action::Apply);
    }

    fn applied(&mut self, applied: Applied, seen: &Seen<'_>) {
        self.in_force = InForce::Fresh;
        self.count(&applied.counts);
        self.status.inventory = Some(applied.inventory);
        if applied.failures.is_empty() {
            return self.verify(seen);
        }
        self.fail(SyncResult::Partial, ConditionReason::ApplyFailed, applied.failures, seen);
    }

    /// Waits for health. What differed before is compared anew.
    fn verify(&mut self, seen: &Seen<'_>) {
        self.status.drift.clear();
        (self.state.verified_since, self.state.looks) = (Some(seen.now), 0);
        self.go(Stage::Verifying, Action::Look);
    }

    fn health(&mut self, health: Health, seen: &Seen<'_>) {
        let Health { failures, waiting_for, rollouts } = health;
        self.status.rollouts = rollouts.into_iter().take(FAILURES_MAX).collect();
        if !failures.is_empty() {
            self.condemn();
            return self.fail(SyncResult::Failed, ConditionReason::HealthCheckFailed, failures, seen);
        }
        let Some(waiting_for) = waiting_for else {
            if self.state.prepared.as_ref().is_some_and(|prepared| prepared.prunes > 0) {
                return self.go(Stage::Pruning, Action::Prune);
            }
            return self.succeed(seen);
        };
        // What moves is looked at again soon: others wait for its end.
        if self.status.waiting_for.replace(waiting_for.clone()).is_some_and(|before| before != waiting_for) {
            self.state.looks = self.state.looks.min(1);
        }
        let limit = seen.source.health_timeout.map_or(HEALTH_TIMEOUT, TimeSpan::as_duration);
        if self.state.verified_since.unwrap_or(seen.now).after(limit) <= seen.now {
            let message = format!("after {} s still waiting for {waiting_for}", limit.as_secs());
            let trouble = Trouble { reason: ConditionReason::HealthCheckFailed, message };
            return self.give_up(SyncResult::Failed, (trouble, Vec::new()), seen);
        }
        self.pause(seen);
    }

    /// Asks for the health again, later each time.
    fn pause(&mut self, seen: &Seen<'_>) {
        let pause = growing(HEALTH_PAUSES, self.state.looks);
        self.state.looks = self.state.looks.saturating_add(1);
        self.state.look = Some(seen.now.after(pause));
    }

    fn pruned(&mut self, pruned: Applied, seen: &Seen<'_>) {
        self.count(&pruned.counts);
        self.status.inventory = Some(pruned.inventory);
        if pruned.failures.is_empty() {
            return self.succeed(seen);
        }
        self.fail(SyncResult::Partial, ConditionReason::ApplyFailed, pruned.failures, seen);
    }

    /// Takes in what was compared. What is told of other objects stays true.
    fn corrected(&mut self, corrected: Corrected, seen: &Seen<'_>) {
        let Corrected { compared, drift } = corrected;
        let known = std::mem::take(&mut self.status.drift);
        let mut all: Vec<_> = known.into_iter().filter(|one| !compared.contains(&one.object)).chain(drift).collect();
        all.sort_by(|one, other| one.object.cmp(&other.object));
        all.truncate(FAILURES_MAX);
        self.status.drift = all;
        (self.state.repair, self.state.repairs) = (None, 0);
        match self.state.stage {
            // What was set back has another health now.
            Stage::Verifying => self.pause(seen),
            _ => self.state.stage = Stage::Idle,
        }
    }

    /// Compares again what could not be compared, later each time.
    fn put_off(&mut self, seen: &Seen<'_>) {
        self.state.repair = Some(seen.now.after(growing(REPAIR_PAUSES, self.state.repairs)));
        self.state.repairs = self.state.repairs.saturating_add(1);
    }

    fn count(&mut self, more: &SyncCounts) {
        if let Some(sync) = &mut self.status.last_sync {
            let SyncCounts { created, configured, unchanged, pruned, failed } = *more;
            sync.counts.created += created;
            sync.counts.configured += configured;
            sync.counts.unchanged += unchanged;
            sync.counts.pruned += pruned;
            sync.counts.failed += failed;
        }
    }

    /// Nothing is under way any more, and nothing failed. A request that it was begun for is answered.
    fn rest(&mut self) {
        self.state.tried = Some(std::mem::take(&mut self.state.target));
        (self.state.prepared, self.state.look) = (None, None);
        (self.state.stage, self.state.retry, self.state.failed, self.state.trouble) = (Stage::Idle, None, 0, None);
        if let Some(asked) = self.state.asked.take() {
            self.status.handled_request = Some(asked);
        }
    }

    fn succeed(&mut self, seen: &Seen<'_>) {
        self.status.settled = Some(self.state.target.commit.clone());
        self.end(SyncResult::Succeeded, None, seen);
        self.status.failures.clear();
    }

    fn fail(&mut self, result: SyncResult, reason: ConditionReason, failures: Vec<SyncFailure>, seen: &Seen<'_>) {
        let message = refusal(&failures);
        self.give_up(result, (Trouble { reason, message }, failures), seen);
    }

    /// Ends a sync that failed. It is tried again, later each time.
    fn give_up(&mut self, result: SyncResult, (trouble, failures): (Trouble, Vec<SyncFailure>), seen: &Seen<'_>) {
        let failed = self.state.failed;
        self.end(result, Some(trouble.message.clone()), seen);
        self.status.failures = failures.into_iter().take(FAILURES_MAX).collect();
        self.state.failed = failed.saturating_add(1);
        self.state.retry = Some(seen.now.after(growing(RETRY_PAUSES, failed)));
        self.state.trouble = Some(trouble);
    }

    /// Ends a sync.
    pub(super) fn end(&mut self, result: SyncResult, message: Option<String>, seen: &Seen<'_>) {
        let commit = self.state.target.commit.clone();
        // In the first stage what stands there is another one.
        let own = |sync: &Sync| self.state.stage != Stage::Preparing && sync.commit == commit;
        let sync = self.status.last_sync.take().filter(own);
        let mut sync =
            sync.unwrap_or_else(|| Sync { commit, started_at: Some(time(self.state.since)), ..Sync::default() });
        sync.result = Some(result);
        sync.completed_at = Some(time(seen.now));
        sync.duration_ms = i64::try_from(seen.now.0.saturating_sub(self.state.since.0)).ok();
        sync.message = message;
        let history = &mut self.status.history;
        let same = history.first().is_some_and(|last| last.commit == sync.commit && last.result == sync.result);
        if same && result != SyncResult::Succeeded {
            // A commit that fails again and again is told once.
            history.remove(0);
        }
        history.insert(0, sync.clone());
        history.truncate(HISTORY_MAX);
        self.status.last_sync = Some(sync);
        self.rest();
    }
}

/// The first of some refusals, and how many more there are.
fn refusal(failures: &[SyncFailure]) -> String {
    let Some(first) = failures.first() else { return "it was refused".to_owned() };
    let place = match (&first.file, first.line) {
        (Some(file), Some(line)) => format!("{file}:{line}: "),
        (Some(file), None) => format!("{file}: "),
        _ => String::new(),
    };
    let object = first.object.as_ref().map(|object| format!("{object}: ")).unwrap_or_default();
    let more = match failures.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    words::cut(&format!("{place}{object}{}{more}", first.message), 1000)
}
