//! What all reconciles share.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use kube::Client;
use tokio::sync::Semaphore;

use super::{
    background::Background, events::Events, memory::Minds, packages::repository::Contents, queue::Queue,
    reconcile::others::Others, sources::Sources,
};
use crate::{
    cluster::{
        bring::Bringer,
        call::CallError,
        capabilities::Asked,
        probe::{Prober, forbidden::Forbidden},
        releases::Releases,
        routers::Routers,
        store::{Key, Store},
        write::{Account, Place, Writer},
    },
    engine::{moment::Moment, observed::Measured},
    git::verifier::Verifier,
    renderer::programs::Renderers,
    rollout::commands::Actors,
    server::pace::Pace,
    telemetry::metrics::Metrics,
};

/// The parts of an operator that leads.
pub struct Operator {
    /// Reads and writes.
    pub writer: Writer,
    /// For watches.
    pub watcher: Client,
    /// The namespaces that are looked after; none for all.
    pub scopes: Vec<String>,
    /// What is seen.
    pub store: Store,
    /// The releases in use.
    pub releases: Releases,
    /// Who looks after gateways.
    pub routers: Routers,
    /// Asks URLs.
    pub prober: Prober,
    /// Tells people what happened.
    pub events: Events,
    /// What is counted.
    pub metrics: std::sync::Arc<Metrics>,
    /// Whether the names of people can be relied on.
    pub actors: Actors,
    /// The Deployments to look at.
    pub rollouts: Queue,
    /// The names of Packages to look at.
    pub packages: Queue,
    /// The Profiles to look at.
    pub profiles: Queue,
    /// What is remembered between looks, beside the statuses.
    pub minds: Minds,
    /// Answers of checks that no look has taken in yet.
    pub measured: Answers,
    /// Whether everything has been seen once.
    pub seen: AtomicBool,
    /// Service accounts that are there, and since when that is known.
    pub accounts: Mutex<HashMap<Key, Instant>>,
    /// Operators of other installations.
    pub others: Others,
    /// The statuses that may be on their way at the same time.
    pub writing: Semaphore,
    /// Brings objects of repositories into the cluster.
    pub bringer: Bringer,
    /// What repositories say, and what becomes of it.
    pub sources: Sources,
    /// What Packages have in repositories.
    pub contents: Contents,
    /// Programs that make manifests.
    pub renderers: Renderers,
    /// Whether signatures of commits and tags hold.
    pub verifier: Verifier,
    /// What the cluster offers.
    pub capabilities: std::sync::Arc<Asked>,
    /// Addresses that no connection on behalf of a tenant is made to.
    pub forbidden: Forbidden,
    /// Work beside the looks.
    pub background: Background,
    /// How many statuses may be written that differ in words only.
    pub words: Pace,
    /// How many statuses may be written that tell of a step with nothing to do.
    pub steps: Pace,
    /// How many times pods may be asked what they wait for.
    pub questions: Pace,
}

/// How long a service account is taken to be there.
const ACCOUNT_FRESH: Duration = Duration::from_mins(1);

impl Operator {
    /// Whether a service account exists. That it does is remembered for a while; that it does not is asked again.
    ///
    /// # Errors
    /// The API server could not be asked.
    pub async fn has_account(&self, namespace: &str, name: &str) -> Result<bool, CallError> {
        let known = |accounts: &HashMap<Key, Instant>| {
            accounts.get(&Key::new(namespace, name)).is_some_and(|at| at.elapsed() < ACCOUNT_FRESH)
        };
        if known(&self.accounts.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(true);
        }
        let place = Place::named("v1", "ServiceAccount", namespace, name);
        let found = self.writer.get(&Account::Own, &place).await?.is_some();
        if found {
            let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
            accounts.retain(|_, at| at.elapsed() < ACCOUNT_FRESH);
            accounts.insert(Key::new(namespace, name), Instant::now());
        }
        Ok(found)
    }

    /// Notes that everything has been seen. True at the first time.
    pub fn has_seen_all(&self) -> bool {
        !self.seen.swap(true, Ordering::Relaxed)
    }
}

/// The time, as the engine is told it.
pub fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The answers of checks, by Deployment. One that nobody asks for any more goes with the next that is taken.
#[derive(Default)]
pub struct Answers {
    all: Mutex<HashMap<Key, Vec<Answer>>>,
}

#[derive(Debug, Clone)]
struct Answer {
    key: String,
    found: Option<Measured>,
}

/// The most answers that one Deployment has under way: more checks than a plan can have.
const ANSWERS_MAX: usize = 64;

impl Answers {
    /// Notes that an answer is under way. False where it is already, or was given.
    pub fn begin(&self, owner: &Key, key: &str) -> bool {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = all.entry(owner.clone()).or_default();
        if answers.len() >= ANSWERS_MAX || answers.iter().any(|answer| answer.key == key) {
            return false;
        }
        answers.push(Answer { key: key.to_owned(), found: None });
        true
    }

    /// Takes an answer in.
    pub fn give(&self, owner: &Key, measured: Measured) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = all.get_mut(owner).and_then(|all| all.iter_mut().find(|one| one.key == measured.key)) {
            answer.found = Some(measured);
        }
    }

    /// The answers that are there.
    pub fn of(&self, owner: &Key) -> Vec<Measured> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(owner).into_iter().flatten().filter_map(|answer| answer.found.clone()).collect()
    }

    /// Drops everything about a Deployment that is gone. An answer that is still under way finds nobody.
    pub fn forget(&self, owner: &Key) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(owner);
    }

    /// Drops the answers that a look has taken in, once that is stored.
    pub fn drop_taken(&self, owner: &Key, taken: &[Measured]) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answers) = all.get_mut(owner) {
            answers.retain(|answer| !taken.iter().any(|one| one.key == answer.key));
            if answers.is_empty() {
                all.remove(owner);
            }
        }
    }
}
