//! The IO half of the election: reads the Lease, asks [`decide`], writes what it says.
//!
//! It has no timers and logs nothing: whoever drives it decides when the next attempt is due and who hears about it.

use std::time::{Duration, Instant};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use thiserror::Error;

use super::{
    Timing,
    decide::{Candidate, Decision, Lead, Loss, Record, Seen, Vacancy, decide},
};
use crate::{
    api::{FIELD_MANAGER, MANAGED_BY, MANAGED_BY_LABEL, WATCHES_ANNOTATION},
    cluster::call::{CallError, call},
};

/// How often one attempt looks again after somebody else wrote first. More than two conflicts in a row mean that
/// replicas are in step; the driver's jitter separates them.
const LOOKS: usize = 3;

/// Why an attempt came to no result.
#[derive(Debug, Error)]
pub enum LeaseError {
    /// The current state is unknown.
    #[error("the Lease could not be read")]
    Read(#[source] CallError),
    /// There is no Lease, and it could not be created.
    #[error("the Lease could not be created")]
    Create(#[source] CallError),
    /// The Lease could not be taken, renewed or released.
    #[error("the Lease could not be replaced")]
    Replace(#[source] CallError),
    /// Somebody else wrote first, every time.
    #[error("the Lease changed before every write")]
    Contended,
}

impl LeaseError {
    /// All that [`LeaseError::reason`] can return beside [`CallError::REASONS`].
    pub const CONTENDED: &str = "Contended";

    /// One word for the kind of failure, for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Read(call) | Self::Create(call) | Self::Replace(call) => call.reason(),
            Self::Contended => Self::CONTENDED,
        }
    }
}

/// Where this process stands after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Standing {
    /// It leads.
    Leader {
        /// Why the Lease was free, if this attempt took it; none if it renewed it.
        took: Option<Vacancy>,
    },
    /// Somebody else leads.
    Standby {
        /// Who.
        holder: String,
        /// When the Lease becomes vacant if nothing changes.
        until: Instant,
    },
    /// It led until now and must stop at once.
    Lost(Loss),
}

/// One replica's part in the election.
pub struct Elector {
    leases: Api<Lease>,
    name: String,
    timing: Timing,
    me: Candidate,
    /// The namespaces that are looked after; none for all.
    watches: Vec<String>,
    /// The object at the last look or write; none if there was none.
    lease: Option<Lease>,
    /// What was made of it.
    seen: Seen,
    /// It was never looked at, or somebody else has written since.
    stale: bool,
}

impl Elector {
    /// A candidate for the Lease `namespace/name`. It sends nothing until the first attempt.
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str, timing: Timing) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            name: name.to_owned(),
            timing,
            me: Candidate { identity: identity.to_owned(), lead: None },
            watches: Vec::new(),
            lease: None,
            seen: Seen { record: None, unchanged_since: now() },
            stale: true,
        }
    }

    /// Says on the Lease which namespaces its holder looks after, for operators of other installations; none means all.
    #[must_use]
    pub fn watching(mut self, namespaces: &[String]) -> Self {
        namespaces.clone_into(&mut self.watches);
        self
    }

    /// The name under which this replica holds the Lease.
    pub fn identity(&self) -> &str {
        &self.me.identity
    }

    /// When this process must have stopped leading; none while it does not lead.
    pub fn ends(&self) -> Option<Instant> {
        self.me.lead.map(|lead| lead.ends)
    }

    /// Looks at the Lease, decides, and writes. A leader writes without looking first: `resourceVersion` tells it
    /// when the Lease is not the one it knows.
    ///
    /// # Errors
    /// See [`LeaseError`]. A leader is still one after an error, until [`Elector::ends`].
    pub async fn attempt(&mut self) -> Result<Standing, LeaseError> {
        for _ in 0..LOOKS {
            let took = match self.judge().await? {
                Decision::Wait { holder, until } => return Ok(Standing::Standby { holder, until }),
                Decision::StepDown(loss) => {
                    self.me.lead = None;
                    return Ok(Standing::Lost(loss));
                }
                Decision::Renew => None,
                Decision::Take(vacancy) => Some(vacancy),
            };
            if self.hold(took.as_ref()).await? {
                return Ok(Standing::Leader { took });
            }
        }
        Err(LeaseError::Contended)
    }

    /// Gives the Lease back, so that another replica can take it at once. To be called when nothing of this process
    /// acts any more. Tells whether there was something to give back.
    ///
    /// # Errors
    /// See [`LeaseError`]; the Lease then runs out by itself. This process does not lead afterwards in any case: the
    /// Lease may be empty although the answer was lost.
    pub async fn release(&mut self) -> Result<bool, LeaseError> {
        let outcome = self.hand_back().await;
        self.me.lead = None;
        outcome
    }

    async fn hand_back(&mut self) -> Result<bool, LeaseError> {
        for _ in 0..LOOKS {
            if self.me.lead.is_none() || self.judge().await? != Decision::Renew {
                return Ok(false);
            }
            let mut lease = self.current();
            let spec = lease.spec.get_or_insert_default();
            spec.holder_identity = Some(String::new());
            spec.renew_time = Some(MicroTime(now_in_micros()));
            if self.write(lease).await? {
                return Ok(true);
            }
        }
        Err(LeaseError::Contended)
    }

    async fn judge(&mut self) -> Result<Decision, LeaseError> {
        if self.stale || self.me.lead.is_none() {
            let lease = call(self.patience(), self.leases.get_opt(&self.name)).await.map_err(LeaseError::Read)?;
            self.note(lease);
        }
        Ok(decide(&self.seen, &self.me, self.timing.duration, now()))
    }

    /// Writes this process as the holder. False means that somebody else wrote first.
    async fn hold(&mut self, took: Option<&Vacancy>) -> Result<bool, LeaseError> {
        let time = now_in_micros();
        let mut lease = self.current();
        let spec = lease.spec.get_or_insert_default();
        spec.renew_time = Some(MicroTime(time));
        spec.lease_duration_seconds = i32::try_from(self.timing.duration.as_secs()).ok();
        if let Some(vacancy) = took {
            spec.holder_identity = Some(self.me.identity.clone());
            spec.acquire_time = Some(MicroTime(time));
            spec.lease_transitions = Some(transitions(spec, vacancy));
        }
        let sent = now();
        let term = self.me.lead.map_or(time, |lead| lead.term);
        let won = self.write(lease).await?;
        if won {
            self.me.lead = Some(Lead { term, ends: sent + self.timing.give_up_after });
        }
        Ok(won)
    }

    async fn write(&mut self, lease: Lease) -> Result<bool, LeaseError> {
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let answer = if self.lease.is_some() {
            match call(self.patience(), self.leases.replace(&self.name, &params, &lease)).await {
                Err(error) if error.is_conflict() || error.is_absent() => None,
                answer => Some(answer.map_err(LeaseError::Replace)?),
            }
        } else {
            match call(self.patience(), self.leases.create(&params, &lease)).await {
                Err(error) if error.is_conflict() => None,
                answer => Some(answer.map_err(LeaseError::Create)?),
            }
        };
        let Some(written) = answer else {
            self.stale = true;
            return Ok(false);
        };
        self.note(Some(written));
        Ok(true)
    }

    fn note(&mut self, lease: Option<Lease>) {
        let spec = |lease: &Option<Lease>| lease.as_ref().map(|l| l.spec.clone().unwrap_or_default());
        let (before, after) = (spec(&self.lease), spec(&lease));
        // The metadata is left out: a new label is no sign of life.
        if before != after {
            self.seen = Seen { record: after.map(record), unchanged_since: now() };
        }
        self.lease = lease;
        self.stale = false;
    }

    /// The object to write: as last seen, so that what others put on it stays.
    fn current(&self) -> Lease {
        let mut lease = self.lease.clone().unwrap_or_else(|| Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                labels: Some([(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned())].into()),
                ..ObjectMeta::default()
            },
            spec: None,
        });
        if self.watches.is_empty() {
            lease.metadata.annotations.iter_mut().for_each(|all| drop(all.remove(WATCHES_ANNOTATION)));
        } else {
            let annotations = lease.metadata.annotations.get_or_insert_default();
            annotations.insert(WATCHES_ANNOTATION.to_owned(), self.watches.join(","));
        }
        lease
    }

    /// How long to wait for an answer. A leader never waits beyond its end.
    fn patience(&self) -> Duration {
        let left = self.ends().map_or(Duration::MAX, |end| end.saturating_duration_since(now()));
        left.min(self.timing.call_timeout)
    }
}

/// Counts changes of the holder: a pod that takes its own Lease again is none.
fn transitions(spec: &LeaseSpec, vacancy: &Vacancy) -> i32 {
    let before = spec.lease_transitions.unwrap_or(0);
    match vacancy {
        Vacancy::Absent | Vacancy::SameIdentity => before,
        Vacancy::Released | Vacancy::Expired { .. } => before.saturating_add(1),
    }
}

/// What matters of a Lease.
pub(super) fn record(spec: LeaseSpec) -> Record {
    let seconds = spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok()).filter(|s| *s > 0);
    Record {
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        term: spec.acquire_time.map(|time| time.0),
        duration: seconds.map(Duration::from_secs),
    }
}

/// The monotonic clock, the one that a paused test runtime moves.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The wall clock as the API server stores it: a finer time would not compare equal to itself when read back.
fn now_in_micros() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}
