//! Operators of other installations: whether the one that looks after an object is still there to do so.
//!
//! Replicas of one installation share a Lease. An installation with another Lease knows nothing of it, so what an operator
//! looks after bears the name of its Lease, and another one leaves that alone while the Lease is alive and its holder
//! still watches the namespace. The judgement of what is alive is [`decide`]'s, and as there no time that another process
//! wrote is compared with a clock.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::{Api, Client, api::ListParams};
use tokio::sync::Mutex;

use super::{
    Timing,
    decide::{Candidate, Decision, Seen, decide},
    elector::record,
};
use crate::{
    api::{MANAGED_BY, MANAGED_BY_LABEL, WATCHES_ANNOTATION},
    cluster::call::{CallError, call},
};

/// Whether another installation looks after an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It does not any more: the object may be taken.
    Gone,
    /// It does.
    Alive,
    /// That could not be found out, and why.
    Unknown(String),
}

/// What was seen of a Lease.
#[derive(Debug, Clone)]
struct Sight {
    lease: Option<Lease>,
    unchanged_since: Instant,
    looked: Instant,
    failure: Option<String>,
}

/// All Leases of others that objects name. Each is read only while there is something that names it, and now and then.
pub struct Rivals {
    client: Client,
    own: String,
    timing: Timing,
    seen: Mutex<HashMap<String, Sight>>,
}

impl Rivals {
    /// Others than the one whose Lease this is, `namespace/name`.
    pub fn new(client: Client, own: &str, timing: Timing) -> Self {
        Self { client, own: own.to_owned(), timing, seen: Mutex::default() }
    }

    /// The Lease of this installation.
    pub fn own(&self) -> &str {
        &self.own
    }

    /// How long until a Lease is read again.
    pub fn pause(&self) -> Duration {
        self.timing.duration
    }

    /// Whether the holder of this Lease still looks after a namespace. A Lease that was never seen before counts as alive for
    /// its duration: only then it can be told.
    pub async fn standing(&self, lease: &str, namespace: &str) -> Standing {
        let Some((place, name)) = lease.split_once('/').filter(|_| lease != self.own) else { return Standing::Gone };
        let mut seen = self.seen.lock().await;
        let before = seen.get(lease).cloned();
        let sight = match before {
            Some(sight) if now().saturating_duration_since(sight.looked) < self.timing.look_every => sight,
            before => {
                let leases: Api<Lease> = Api::namespaced(self.client.clone(), place);
                let answer = call(self.timing.call_timeout, leases.get_opt(name)).await;
                look(before, answer, now())
            }
        };
        seen.insert(lease.to_owned(), sight.clone());
        self.judge(&sight, namespace)
    }

    fn judge(&self, sight: &Sight, namespace: &str) -> Standing {
        if let Some(cause) = &sight.failure {
            return Standing::Unknown(cause.clone());
        }
        if sight.lease.as_ref().is_some_and(|lease| !watches(lease, namespace)) {
            return Standing::Gone;
        }
        let seen = Seen { record: spec(sight).map(record), unchanged_since: sight.unchanged_since };
        let nobody = Candidate { identity: String::new(), lead: None };
        // At the time of the look: what was not looked at since says nothing of now.
        match decide(&seen, &nobody, self.timing.duration, sight.looked) {
            Decision::Take(_) => Standing::Gone,
            Decision::Wait { .. } | Decision::Renew | Decision::StepDown(_) => Standing::Alive,
        }
    }
}

/// The Leases of all installations that there are, as `namespace/name`.
///
/// # Errors
/// They cannot be listed.
pub async fn installations(client: &Client, timeout: Duration) -> Result<Vec<String>, CallError> {
    let leases: Api<Lease> = Api::all(client.clone());
    let ours = ListParams::default().labels(&format!("{MANAGED_BY_LABEL}={MANAGED_BY}"));
    let found = call(timeout, leases.list(&ours)).await?;
    let name = |lease: Lease| Some(format!("{}/{}", lease.metadata.namespace?, lease.metadata.name?));
    Ok(found.items.into_iter().filter_map(name).collect())
}

fn spec(sight: &Sight) -> Option<LeaseSpec> {
    sight.lease.as_ref().map(|lease| lease.spec.clone().unwrap_or_default())
}

fn look(before: Option<Sight>, answer: Result<Option<Lease>, CallError>, now: Instant) -> Sight {
    let failed = |cause: String| Sight { lease: None, unchanged_since: now, looked: now, failure: Some(cause) };
    let lease = match answer {
        Ok(lease) => lease,
        Err(error) => return failed(error.to_string()),
    };
    let fresh = Sight { lease, unchanged_since: now, looked: now, failure: None };
    match before {
        Some(before) if before.failure.is_none() && spec(&before) == spec(&fresh) => {
            Sight { unchanged_since: before.unchanged_since, ..fresh }
        }
        _ => fresh,
    }
}

/// Whether the holder of a Lease says that it watches a namespace; one that says nothing watches all.
fn watches(lease: &Lease, namespace: &str) -> bool {
    let said = lease.metadata.annotations.as_ref().and_then(|all| all.get(WATCHES_ANNOTATION));
    said.is_none_or(|said| said.split(',').any(|one| one == namespace))
}

/// The monotonic clock, the one that a paused test runtime moves.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
