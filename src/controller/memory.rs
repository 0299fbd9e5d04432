//! What is remembered between two looks at a Deployment, beside its status.
//!
//! All of it can be lost at any time: the status has what matters. It saves work, and it holds what was decided since
//! the last status was written, which is written at most once a second where nothing rests on it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    analysis::pods,
    api::{deployment::Deployment, deployment_status::DeploymentStatus},
    cluster::store::Key,
    rollout::{
        describe::{self, Event},
        record::Record,
    },
};

/// The memory of one Deployment.
#[derive(Debug, Default)]
pub struct Mind {
    /// What the engine remembers, newer than the status by at most a second.
    pub record: Option<Record>,
    /// The record in the status that this one follows.
    pub stored: Option<String>,
    /// What statuses that were passed over would have told.
    pub untold: Vec<Event>,
    /// The last status that was passed over since one was stored.
    pub passed: Option<Box<DeploymentStatus>>,
    /// When a status was last written.
    pub written: Option<Instant>,
    /// What went wrong at the last look, as a sentence, and how the status calls it.
    pub trouble: Option<Trouble>,
    /// How many looks in a row failed.
    pub failures: u32,
    /// How many looks in a row were older than the world.
    pub stale: u32,
    /// Whether the pods of the run were not all ready at the last look.
    pub short: bool,
    /// What the pods of the run last said, and when they were asked.
    pub said: Option<(Instant, pods::Trouble)>,
    /// What was done last, and how often it was done again without a difference.
    pub done: Repeated,
}

/// The same actions, decided once more.
#[derive(Debug, Default)]
pub struct Repeated {
    keys: Vec<String>,
    times: u32,
}

/// The first pause before the same is done once more, and the longest.
const REPEAT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

impl Repeated {
    /// Takes in what was done, and says how long to wait before the next look: not at all where it is something new, and
    /// longer each time where it made no difference that could be seen yet. What makes one wakes the look anyway.
    pub fn pause(&mut self, keys: Vec<String>) -> Duration {
        self.times = if self.keys == keys { self.times.saturating_add(1) } else { 0 };
        self.keys = keys;
        let (first, longest) = REPEAT;
        match self.times {
            0 => Duration::ZERO,
            times => first.saturating_mul(2_u32.saturating_pow(times.min(16) - 1)).min(longest),
        }
    }
}

/// What kept actions from being carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Whether somebody has to change something before it can be carried out.
    pub stalled: Option<crate::api::condition::ConditionReason>,
    /// What it is, and the remedy.
    pub message: String,
}

/// The most events that are told together with a status.
const UNTOLD_MAX: usize = 32;

impl Mind {
    /// Reads the status, unless it is the one that this memory follows. A status that somebody else wrote, or that was
    /// lost, counts for more than what is remembered here.
    pub fn refresh(&mut self, deployment: &Deployment) {
        let text = deployment.status.as_ref().and_then(|status| status.record.as_deref());
        if self.record.is_some() && self.stored.as_deref() == text {
            return;
        }
        self.record = text.and_then(Record::read);
        self.stored = text.map(ToOwned::to_owned);
    }

    /// Keeps what is told by statuses that are passed over, so that it is told with the one that is stored next. The status that
    /// is stored now is the one before them.
    pub fn pass(&mut self, stored: Option<&DeploymentStatus>, passed: impl IntoIterator<Item = DeploymentStatus>) {
        let none = DeploymentStatus::default();
        for status in passed {
            let before = self.passed.as_deref().or(stored).unwrap_or(&none);
            let room = UNTOLD_MAX.saturating_sub(self.untold.len());
            self.untold.extend(describe::events(before, &status).into_iter().take(room));
            self.passed = Some(Box::new(status));
        }
    }

    /// All that is to be told with a status that follows one that is stored.
    pub fn tell(&mut self, stored: Option<&DeploymentStatus>, status: &DeploymentStatus) -> Vec<Event> {
        let none = DeploymentStatus::default();
        let passed = self.passed.take();
        let mut events = std::mem::take(&mut self.untold);
        events.extend(describe::events(passed.as_deref().or(stored).unwrap_or(&none), status));
        events
    }
}

/// All memories.
#[derive(Default)]
pub struct Minds {
    minds: Mutex<HashMap<Key, Mind>>,
}

impl Minds {
    /// Takes the memory of a Deployment. There is one look at a time, so nobody else asks for it meanwhile.
    pub fn take(&self, key: &Key) -> Mind {
        self.minds.lock().unwrap_or_else(PoisonError::into_inner).remove(key).unwrap_or_default()
    }

    /// Gives it back.
    pub fn keep(&self, key: &Key, mind: Mind) {
        self.minds.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), mind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{deployment_status::Phase, run::Run};

    #[test]
    fn what_makes_no_difference_is_done_again_more_and_more_slowly() {
        let mut done = Repeated::default();
        let mut pause = |key: &str| done.pause(vec![key.to_owned()]).as_millis();
        assert_eq!(pause("a"), 0);
        assert_eq!([pause("a"), pause("a"), pause("a")], [50, 100, 200]);
        assert_eq!(pause("b"), 0, "something new is followed by a look at once");
        let last = (0..20).map(|_| pause("b")).last();
        assert_eq!(last, Some(5_000));
    }

    #[test]
    fn what_was_passed_over_is_told_once_and_not_without_end() {
        let status = |phase, id: &str| DeploymentStatus {
            phase: Some(phase),
            run: Some(Run { id: id.to_owned(), ..Run::default() }),
            ..DeploymentStatus::default()
        };
        let told = |events: Vec<Event>| events.into_iter().map(|event| event.note).collect::<Vec<_>>();
        let (idle, next) = (status(Phase::Succeeded, "deploy-1"), status(Phase::Progressing, "deploy-2"));
        let mut mind = Mind::default();
        mind.pass(Some(&idle), [next.clone(), next.clone()]);
        let last = status(Phase::Progressing, "deploy-3");
        let all = told(mind.tell(Some(&idle), &last));
        assert_eq!(all.len(), 2, "{all:?}");
        assert!(all[0].contains("deploy-2") && all[1].contains("deploy-3"), "{all:?}");
        assert!(mind.tell(Some(&last), &last).is_empty(), "it was told");
        mind.pass(None, (0..100).map(|number| status(Phase::Progressing, &format!("deploy-{number}"))));
        assert_eq!(mind.untold.len(), UNTOLD_MAX);
        assert!(mind.untold.last().is_some_and(|event| event.note.contains("deploy-31")), "the first things are told");
    }
}
