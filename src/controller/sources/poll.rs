//! Objects that nobody may watch, compared at each interval as the account that writes them.
//!
//! The operator's own account sees no Secrets, and a watch is a connection, so that there are not too many of them. What it does
//! not see is listed by the account of the Profile, by its metadata alone; where that may not list, object by object; and where it may do
//! neither, that is said once. What is read goes into the view that watches fill, and what follows is the same.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, stream};
use tracing::{debug, warn};

use super::{
    correct::event,
    drift::Spot,
    sight::{Sight, name},
    work::{AT_ONCE, Job, MESSAGE_MAX, place},
};
use crate::{
    api::{PROFILE_LABEL, PROFILE_NAMESPACE_LABEL},
    cluster::{
        call::CallError,
        write::{Account, Place},
    },
    controller::{background::Running, pause::jittered},
    engine::moment::Moment,
    gitops::{
        object::Id,
        words::{NOT_COMPARED, cut},
    },
    rollout::describe::{Event, Kind},
};

/// The most objects of a kind and namespace that are asked for one by one at an interval. Others have their turn at the next ones.
const GETS_MAX: usize = 200;

/// How long an account that may neither list nor get is not asked again.
const DENIED: Duration = Duration::from_mins(10);

/// How much shorter and longer than the interval a pause may be, as a share of it.
const JITTER: f64 = 0.1;

/// The most kinds and namespaces of one Profile of which that is remembered.
const DENIED_MAX: usize = 500;

/// When the objects of one source that nobody watches are compared.
#[derive(Default)]
pub struct Rounds {
    /// When the last one began, or was to begin, and the pause before the next; none where there is nothing to compare.
    last: Option<(Moment, Duration)>,
    /// The request by annotation that it was made for.
    asked: Option<String>,
    running: Option<Running>,
    has_ended: Arc<AtomicBool>,
    memory: Arc<Mutex<Memory>>,
}

/// What is remembered between rounds.
#[derive(Default)]
struct Memory {
    /// Where nothing may be read, and until when nobody tries.
    denied: BTreeMap<Spot, Moment>,
    /// Where only single objects may be read: the first one of the next round.
    next: BTreeMap<Spot, Id>,
}

impl Rounds {
    /// Begins a round if it is time, or somebody asks for one; one at a time. Returns when to look again.
    pub fn go_on(
        &mut self,
        (now, asked): (Moment, Option<&str>),
        job: impl FnOnce() -> Job,
        every: Duration,
    ) -> Duration {
        let next = jittered(every, JITTER);
        let Some((last, pause)) = self.last else {
            (self.last, self.asked) = (Some((now, next)), asked.map(ToOwned::to_owned));
            return next;
        };
        let is_asked = asked.is_some() && self.asked.as_deref() != asked;
        let due = last.after(pause.min(every.mul_f64(1.0 + JITTER)));
        if !is_asked && due > now {
            return Duration::from_millis(due.0.saturating_sub(now.0));
        }
        self.last = Some((now, next));
        // One that takes longer than the interval is not overtaken.
        if self.running.is_none() || self.has_ended.load(Ordering::Acquire) {
            self.asked = asked.map(ToOwned::to_owned);
            self.begin(job());
        }
        next
    }

    /// Nothing is compared any more.
    pub fn stop(&mut self) {
        (self.last, self.running) = (None, None);
    }

    fn begin(&mut self, job: Job) {
        self.has_ended = Arc::default();
        let (ended, memory) = (Arc::clone(&self.has_ended), Arc::clone(&self.memory));
        let background = job.operator.background.clone();
        self.running = Some(background.begin(async move {
            round(&job, &memory).await;
            ended.store(true, Ordering::Release);
        }));
    }
}

async fn round(job: &Job, memory: &Mutex<Memory>) {
    let lock = || memory.lock().unwrap_or_else(PoisonError::into_inner);
    for spot in job.target.touched.unwatched(&job.key) {
        if lock().denied.get(&spot).is_some_and(|until| *until > crate::controller::operator::now()) {
            continue;
        }
        let read = match list(job, &spot).await {
            Err(error) if error.is_denied() => {
                let from = lock().next.get(&spot).cloned();
                let (read, next) = get(job, &spot, from).await;
                let mut memory = lock();
                match next {
                    Some(next) if memory.next.len() < DENIED_MAX => drop(memory.next.insert(spot.clone(), next)),
                    _ => drop(memory.next.remove(&spot)),
                }
                read
            }
            read => read,
        };
        match read {
            Ok(()) => drop(lock().denied.remove(&spot)),
            Err(error) if error.is_denied() => denied(job, &spot, &mut lock(), &error),
            // The next round does what this one could not.
            Err(error) => debug!(kind = spot.kind, cause = %error, "objects that nobody watches cannot be compared"),
        }
    }
}

/// Takes in what was read of objects.
fn take(job: &Job, since: u64, found: Vec<(Id, Option<Sight>)>) {
    if job.target.touched.compared(&job.key, since, found) {
        job.operator.profiles.add(job.key.clone());
    }
}

/// The labels of what a Profile has there.
fn labels(job: &Job, spot: &Spot) -> String {
    let own = format!("{PROFILE_LABEL}={}", job.key.name);
    if spot.namespace.as_deref() == Some(&*job.key.namespace) {
        return own;
    }
    format!("{own},{PROFILE_NAMESPACE_LABEL}={}", job.key.namespace)
}

async fn list(job: &Job, spot: &Spot) -> Result<(), CallError> {
    let Spot { api_version, kind, namespace } = spot.clone();
    let (who, all) = (&job.target.account, Place { api_version, kind, namespace, name: String::new() });
    let since = job.target.touched.moment();
    let found = job.target.bringer.list_metadata(who, &all, &labels(job, spot)).await?;
    let own = |meta| name(meta, (&spot.api_version, &spot.kind)).filter(|(key, _)| *key == job.key);
    let mut seen: BTreeMap<Id, Sight> =
        found.iter().filter_map(|meta| own(meta).map(|(_, id)| (id, Sight::of(meta)))).collect();
    let wanted = job.target.touched.wanted_in(&job.key, spot);
    let found = wanted.into_iter().map(|id| {
        let sight = seen.remove(&id);
        (id, sight)
    });
    take(job, since, found.collect());
    Ok(())
}

/// Asks for objects one by one, from one of them on. Returns with which one to go on, where these were not all.
async fn get(job: &Job, spot: &Spot, from: Option<Id>) -> (Result<(), CallError>, Option<Id>) {
    let mut wanted = job.target.touched.wanted_in(&job.key, spot);
    let begin = from.map_or(0, |from| wanted.partition_point(|id| *id < from));
    let count = wanted.len();
    wanted.rotate_left(begin.min(count));
    let next = wanted.get(GETS_MAX).cloned();
    wanted.truncate(GETS_MAX);
    let since = job.target.touched.moment();
    let (who, bringer) = (&job.target.account, &job.target.bringer);
    let answers = stream::iter(wanted.into_iter().map(|id| async move {
        let found = bringer.metadata(who, &place(&id)).await;
        (id, found)
    }));
    let answers: Vec<_> = answers.buffer_unordered(AT_ONCE).collect().await;
    let (mut found, mut refused) = (Vec::new(), None);
    for (id, answer) in answers {
        match answer {
            Ok(meta) => found.push((id, meta.as_ref().map(Sight::of))),
            Err(error) => refused = Some(error),
        }
    }
    // One that may not be read is none of which nobody knows anything.
    let outcome = refused.filter(|_| found.is_empty()).map_or(Ok(()), Err);
    take(job, since, found);
    (outcome, next)
}

/// Nothing may be read there: that is said once, and tried again much later.
fn denied(job: &Job, spot: &Spot, memory: &mut Memory, error: &CallError) {
    let until = crate::controller::operator::now().after(DENIED);
    if memory.denied.len() >= DENIED_MAX && !memory.denied.contains_key(spot) {
        return;
    }
    if memory.denied.insert(spot.clone(), until).is_some() {
        return;
    }
    let whose = match &job.target.account {
        Account::Service { name, .. } => format!("the service account {name}"),
        Account::Own => "whoever spec.target.kubeconfig names".to_owned(),
    };
    let Spot { kind, namespace, .. } = spot;
    let place = namespace.as_ref().map(|namespace| format!(" in {namespace}")).unwrap_or_default();
    let note = format!(
        "what somebody changes of objects of the kind {kind}{place} stays until the repository changes them: the operator may not watch \
         them, and {whose} may neither list nor get them: give it the verb list; {error}"
    );
    let note = cut(&note, MESSAGE_MAX);
    warn!(reason = NOT_COMPARED, "{note}");
    event(job, Event { reason: NOT_COMPARED, kind: Kind::Warning, note });
}
