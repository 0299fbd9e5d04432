//! Drives reconciles: what changed is looked at, at most so many at a time, each with a timeout and a guard.
//!
//! It runs only in the replica that leads, and ends with the process.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::Instant,
};
use tracing::{Instrument, error, info, info_span};

use super::{
    background::Workplace,
    hooks::Reception,
    operator::Operator,
    packages,
    pause::jittered,
    profiles,
    queue::{Queue, Schedule, Turn},
    reconcile,
};
use crate::{
    api::{command::Verb, deployment::Deployment},
    cluster::store::{
        Key, Part,
        table::Item,
        watch::{Change, Listener, start},
    },
    server::health::{Health, Role},
};

/// How many objects are looked at at the same time.
const WORKERS: usize = 32;

/// How long one look may take. Its calls have timeouts of their own; this one is for what nobody thought of.
const TIMEOUT: Duration = Duration::from_mins(2);

/// The first pause after a failed look, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_mins(1));

/// What becomes of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing more to do before this much time has passed, or before something changes.
    Done(Option<Duration>),
    /// The view was older than the world: another look, soon.
    Stale,
    /// It failed; the number of failures in a row decides when the next look is.
    Failed(u32),
}

/// Drives until it is dropped. Nothing happens before this replica leads, not even what makes an operator.
pub async fn drive(
    operator: impl Future<Output = Operator>,
    (workplace, reception): (Workplace, Reception),
    mut health: watch::Receiver<Health>,
) {
    if health.wait_for(|health| health.role() == Role::Leader).await.is_err() {
        return;
    }
    let operator = Arc::new(operator.await);
    reception.open(&operator);
    let listener = listener(&operator);
    let mut watches = start(&operator.watcher, &operator.scopes, &operator.store, &listener);
    let work = async {
        tokio::join!(
            work(Arc::clone(&operator), operator.rollouts.clone(), Kind::Rollout),
            work(Arc::clone(&operator), operator.packages.clone(), Kind::Package),
            work(Arc::clone(&operator), operator.profiles.clone(), Kind::Profile),
        )
    };
    tokio::select! {
        _ = work => {}
        () = workplace.work() => error!("the work beside the looks ended, which it never should"),
        ended = watches.join_next() => error!(?ended, "a watch ended, which it never should"),
    }
}

/// From what changed to what is to be looked at.
fn listener(operator: &Arc<Operator>) -> Listener {
    let operator = Arc::clone(operator);
    Arc::new(move |change| match change {
        Change::Of(part, key) => changed(&operator, part, key),
        // Only Profiles tell what others do not read.
        Change::Own(_, key) => operator.profiles.add(key),
        Change::Listed(_) => listed(&operator),
        Change::Unreadable { .. } => operator.metrics.object_unreadable(),
    })
}

fn changed(operator: &Operator, part: Part, key: Key) {
    match part {
        Part::Packages => {
            wake(operator, &key, |one| one.spec.package.name == *key.name);
            operator.packages.add(key);
        }
        Part::Profiles => {
            wake(operator, &key, |one| one.spec.profile == *key.name);
            operator.profiles.add(key);
        }
        Part::Deployments => {
            let one = operator.store.deployment(&key);
            if let Some(one) = &one {
                operator.profiles.add_after(Key::new(&key.namespace, &one.spec.profile), profiles::DEBOUNCE);
            }
            operator.rollouts.add_in(one.map_or(Turn::First, |one| turn(&one)), key);
        }
        // What a rollout consists of: a pod that is ready moves traffic.
        _ => operator.rollouts.add_in(Turn::First, key),
    }
}

/// The turn of a Deployment that changed, or that is seen for the first time: a run under way, and what a person asks for, do not
/// wait behind hundreds that are to begin.
fn turn(deployment: &Deployment) -> Turn {
    let phase = deployment.status.as_ref().and_then(|status| status.phase);
    let under_way = phase.is_some_and(|phase| !phase.is_terminal());
    let mut annotations = deployment.metadata.annotations.iter().flatten();
    let commanded = annotations.any(|(name, _)| Verb::from_annotation(name).is_some());
    if under_way || commanded { Turn::First } else { Turn::Usual }
}

/// Asks for a look at the Deployments beside an object that mean it.
fn wake(operator: &Operator, beside: &Key, means: impl Fn(&Deployment) -> bool) {
    for one in operator.store.deployments_in(&beside.namespace).iter().filter(|one| means(one)) {
        operator.rollouts.add(one.owner());
    }
}

/// After a list everything is looked at, but not before all first lists are there: half a view decides nothing.
fn listed(operator: &Operator) {
    if !operator.store.is_synced() {
        return;
    }
    if operator.has_seen_all() {
        info!(
            deployments = operator.store.count(Part::Deployments),
            packages = operator.store.count(Part::Packages),
            "the cluster is in view"
        );
    }
    for key in operator.store.deployments() {
        let turn = operator.store.deployment(&key).map_or(Turn::Usual, |one| turn(&one));
        operator.rollouts.add_in(turn, key);
    }
    operator.store.package_names().into_iter().for_each(|key| operator.packages.add(key));
    operator.store.profiles().into_iter().for_each(|key| operator.profiles.add(key));
}

/// What a key names.
#[derive(Clone, Copy)]
enum Kind {
    Rollout,
    Package,
    Profile,
}

async fn work(operator: Arc<Operator>, queue: Queue, kind: Kind) {
    let mut schedule = Schedule::new(queue.clone(), kind.timed());
    let workers = Arc::new(Semaphore::new(WORKERS));
    // Looks end with whoever drives them: before the Lease is given back, nothing of this process may write any more.
    let mut looks = JoinSet::new();
    loop {
        while looks.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&workers).acquire_owned().await else { return };
        let key = schedule.next().await;
        let (operator, queue) = (Arc::clone(&operator), queue.clone());
        looks.spawn(async move {
            let started = Instant::now();
            let outcome = Box::pin(look(&operator, &key, kind)).await;
            operator.metrics.looked(kind.word(), outcome.word(), started.elapsed());
            queue.done(&key);
            match outcome {
                Outcome::Done(None) => {}
                Outcome::Done(Some(delay)) => queue.add_after(key, delay),
                Outcome::Stale => queue.add_after(key, BACKOFF.0 / 4),
                Outcome::Failed(times) => queue.add_after(key, pause(times)),
            }
            drop(permit);
        });
    }
}

/// One look, with a limit and a guard: a bug in one object's look stops no other object.
async fn look(operator: &Arc<Operator>, key: &Key, kind: Kind) -> Outcome {
    let span = info_span!("look", kind = kind.word(), object = %key);
    let work = async {
        match kind {
            Kind::Rollout => Box::pin(reconcile::look(operator, key)).await,
            Kind::Package => packages::look(operator, key).await,
            Kind::Profile => Box::pin(profiles::look(operator, key)).await,
        }
    };
    let guarded = AssertUnwindSafe(work.instrument(span.clone())).catch_unwind();
    match Box::pin(tokio::time::timeout(TIMEOUT, guarded)).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => {
            span.in_scope(|| error!("a look panicked; the object is left alone for a while"));
            Outcome::Failed(u32::MAX)
        }
        Err(_) => {
            span.in_scope(|| error!(seconds = TIMEOUT.as_secs(), "a look did not end in time"));
            Outcome::Failed(u32::MAX)
        }
    }
}

/// The pause after so many failures in a row, longer each time, ±20 %.
fn pause(times: u32) -> Duration {
    let (first, longest) = BACKOFF;
    jittered(first.saturating_mul(2_u32.saturating_pow(times.min(16))).min(longest), 0.2)
}

impl Kind {
    /// The turn of what is due by time. Of a rollout that is the next step of a run.
    const fn timed(self) -> Turn {
        match self {
            Self::Rollout => Turn::First,
            Self::Package | Self::Profile => Turn::Usual,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Rollout => "deployment",
            Self::Package => "package",
            Self::Profile => "profile",
        }
    }
}

impl Outcome {
    const fn word(self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Stale => "stale",
            Self::Failed(_) => "failed",
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::api::deployment_status::{DeploymentStatus, Phase};

    fn deployment(phase: Option<Phase>, annotation: Option<&str>) -> Deployment {
        let spec = serde_json::from_value(serde_json::json!({"package": {"name": "web"}, "profile": "production"}));
        let mut deployment = Deployment::new("web", spec.unwrap());
        deployment.status = phase.map(|phase| DeploymentStatus { phase: Some(phase), ..DeploymentStatus::default() });
        deployment.metadata.annotations = annotation.map(|name| [(name.to_owned(), "now".to_owned())].into());
        deployment
    }

    #[test]
    fn runs_under_way_and_what_a_person_asks_for_come_first() {
        assert_eq!(turn(&deployment(None, None)), Turn::Usual, "new");
        assert_eq!(turn(&deployment(Some(Phase::Succeeded), None)), Turn::Usual, "another version");
        assert_eq!(turn(&deployment(Some(Phase::Progressing), None)), Turn::First);
        assert_eq!(turn(&deployment(Some(Phase::RollingBack), None)), Turn::First);
        let asked = deployment(Some(Phase::Succeeded), Some("command.landfall.dev/rollback"));
        assert_eq!(turn(&asked), Turn::First, "a person");
        assert_eq!(turn(&deployment(Some(Phase::Succeeded), Some("example.test/note"))), Turn::Usual);
    }
}
