//! What is remembered between looks of Packages whose content a repository has: what is under way, and what it came to.
//!
//! A Package is fetched and rendered until that went well once. Afterwards nobody asks its repository again, unless what was kept
//! is lost.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    api::{condition::ConditionReason, package::Workload},
    cluster::store::{Key, table::Item, view::PackageView},
    controller::{
        background::Running,
        operator::Operator,
        pause::jittered,
        sources::packaged::{Asked, Fault, Kept, bring},
    },
};

/// The pause after the first failure; it doubles with each.
const PAUSE: Duration = Duration::from_secs(10);

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_mins(9);

/// The longest pause where a Secret may be what is wrong: nobody tells that it was mended, and that is to be noticed within a minute.
const SECRET_PAUSE_MAX: Duration = Duration::from_secs(50);

/// How far the content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It is kept, as the status says.
    Known,
    /// It was kept just now.
    Kept(Kept),
    /// It could not be had; it is tried again.
    Failed(Fault),
    /// Nothing is known yet.
    Open,
}

#[derive(Default)]
struct Memory {
    uid: String,
    running: Option<Running>,
    /// Where the work leaves what it came to.
    slot: Arc<Mutex<Option<Result<Kept, Fault>>>>,
    result: Option<Result<Kept, Fault>>,
    failures: u32,
    next: Option<Instant>,
    /// What was kept is gone.
    is_lost: bool,
}

/// All of them, by the name of what is released and the name of the object.
#[derive(Default)]
pub struct Contents {
    memories: Mutex<HashMap<Key, BTreeMap<String, Memory>>>,
}

/// What a look finds.
pub struct Look {
    /// How far the content is.
    pub progress: Progress,
    /// When to look again.
    pub next: Option<Duration>,
    /// Whether something was made again that Deployments wait for.
    pub is_found_again: bool,
}

impl Contents {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, BTreeMap<String, Memory>>> {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops everything about Packages that are gone.
    pub fn keep_only<'n>(&self, key: &Key, names: &(impl Iterator<Item = &'n str> + Clone)) {
        let mut memories = self.lock();
        let Some(family) = memories.get_mut(key) else { return };
        family.retain(|name, _| names.clone().any(|kept| kept == name));
        if family.is_empty() {
            memories.remove(key);
        }
    }

    /// Notes that what was kept of a Package is gone.
    pub fn lost(&self, view: &PackageView) {
        let mut memories = self.lock();
        let memory = memories.entry(view.owner()).or_default().entry(view.name().to_owned()).or_default();
        memory.uid.clone_from(&view.uid);
        if !memory.is_lost {
            (memory.is_lost, memory.result) = (true, None);
        }
    }

    /// Looks at a Package, and begins what is to be done.
    pub fn look(&self, operator: &Arc<Operator>, view: &PackageView, workload: &Arc<Workload>) -> Look {
        let mut memories = self.lock();
        let family = memories.entry(view.owner()).or_default();
        let memory = family.entry(view.name().to_owned()).or_default();
        if memory.uid != view.uid {
            *memory = Memory { uid: view.uid.clone(), ..Memory::default() };
        }
        let is_found_again = memory.take() && memory.result.as_ref().is_some_and(Result::is_ok);
        let is_wanted = view.status.checksum.is_none() || memory.is_lost;
        if is_wanted && memory.is_due() {
            memory.begin(operator, view, workload);
        }
        let progress = match &memory.result {
            Some(Ok(kept)) if view.status.checksum.is_none() => Progress::Kept(kept.clone()),
            Some(Err(fault)) if is_wanted => Progress::Failed(fault.clone()),
            _ if view.status.checksum.is_some() => Progress::Known,
            _ => Progress::Open,
        };
        let now = Instant::now();
        let next = memory.next.filter(|_| is_wanted).map(|next| next.saturating_duration_since(now));
        if !is_wanted {
            // Nothing is to be remembered of what is done.
            family.remove(view.name());
        }
        Look { progress, next, is_found_again }
    }
}

impl Memory {
    /// Takes in what the work came to. Says whether there was anything.
    fn take(&mut self) -> bool {
        let taken = self.slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(result) = taken else { return false };
        self.running = None;
        match &result {
            Ok(_) => (self.failures, self.next, self.is_lost) = (0, None, false),
            Err(fault) => {
                self.failures = self.failures.saturating_add(1);
                self.next = Some(Instant::now() + pause(self.failures, fault.reason));
            }
        }
        self.result = Some(result);
        true
    }

    fn is_due(&self) -> bool {
        let is_done = matches!(self.result, Some(Ok(_))) && !self.is_lost;
        !is_done && self.running.is_none() && self.next.is_none_or(|next| next <= Instant::now())
    }

    fn begin(&mut self, operator: &Arc<Operator>, view: &PackageView, workload: &Arc<Workload>) {
        self.next = None;
        let found = self.result.as_ref().and_then(|result| result.as_ref().err()?.commit.clone());
        let asked = Asked {
            key: view.owner(),
            keeper: view.keeper(),
            workload: Arc::clone(workload),
            spec: view.digest.clone(),
            pinned: view.status.commit.clone().or(found),
            remembered: view.status.checksum.clone(),
        };
        let (slot, key, shared) = (Arc::clone(&self.slot), view.owner(), Arc::clone(operator));
        self.running = Some(operator.background.begin(async move {
            let result = bring(Arc::clone(&shared), asked).await;
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            shared.packages.add(key);
        }));
    }
}

/// The pause after so many failures, ±10 %.
fn pause(failures: u32, reason: ConditionReason) -> Duration {
    let secret = matches!(
        reason,
        ConditionReason::AccessDenied | ConditionReason::VerificationFailed | ConditionReason::HostKeyChanged
    );
    let most = if secret { SECRET_PAUSE_MAX } else { PAUSE_MAX };
    let plain = PAUSE.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(10)));
    jittered(plain.min(most), 0.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_a_secret_that_was_mended_is_noticed_within_a_minute() {
        let seconds = |failures, reason| pause(failures, reason).as_secs();
        for failures in 1..40 {
            assert!(seconds(failures, ConditionReason::AccessDenied) < 60);
            assert!((9..=600).contains(&seconds(failures, ConditionReason::FetchFailed)));
        }
        assert!(seconds(1, ConditionReason::FetchFailed) < seconds(3, ConditionReason::FetchFailed));
    }
}
