//! Whole elections: the driver with its timers on a paused clock, and many seeded runs with faults.

use std::{sync::Arc, time::Duration};

use landfall::{
    cluster::lease::{decide::Loss, elector::Elector},
    controller::election::{Reporter, give_back, take_part},
    server::health::{Health, Role},
    telemetry::metrics::Metrics,
};
use serde_json::json;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, advance, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    fake_api::{FakeApi, Fault, lease_held_by},
    lease::{replica, timing},
};

/// A replica with its driver, as the controller runs it.
struct Running {
    health: watch::Receiver<Health>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), Loss>>,
}

impl Running {
    fn start(api: &FakeApi, identity: &str) -> Self {
        let (sender, health) = watch::channel(Health::new(timing().duration, Instant::now()));
        let (metrics, stop) = (Arc::new(Metrics::new()), CancellationToken::new());
        let mut reporter = Reporter::new(sender, Arc::clone(&metrics));
        let (mut elector, stopped) = (replica(api, identity), stop.clone());
        let task = tokio::spawn(async move {
            take_part(&mut elector, timing(), &mut reporter, &stopped).await?;
            give_back(&mut elector, &mut reporter).await;
            Ok(())
        });
        Self { health, metrics, stop, task }
    }

    fn role(&self) -> Role {
        self.health.borrow().role()
    }

    fn ready(&self) -> Result<&'static str, String> {
        self.health.borrow().ready(Instant::now())
    }

    fn metric(&self, name: &str) -> String {
        let page = self.metrics.encode().unwrap();
        let line = page.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_else(|| panic!("{name}"));
        line[name.len() + 1..].to_owned()
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_renews_every_third_of_the_lease() {
    let api = FakeApi::default();
    let a = Running::start(&api, "a");
    sleep(Duration::from_mins(1)).await;
    let renewals = api.take_requests().iter().filter(|method| *method == "PUT").count();
    assert!((17..=18).contains(&renewals), "{renewals} renewals in a minute");
    assert_eq!(a.ready(), Ok("leader"));
    assert_eq!(a.metric("landfall_leader"), "1");
    assert_eq!(a.metric("landfall_lease_transitions_total"), "1");
}

#[tokio::test(start_paused = true)]
async fn a_standby_is_ready_and_takes_over_a_crashed_leaders_lease_within_two_leases() {
    let api = FakeApi::default();
    let a = Running::start(&api, "a");
    let b = Running::start(&api, "b");
    sleep(Duration::from_secs(30)).await;
    assert_eq!((a.ready(), b.ready()), (Ok("leader"), Ok("standby")));
    a.task.abort();
    sleep(Duration::from_secs(6)).await;
    assert_eq!(b.role(), Role::Standby, "the holder may still be alive");
    sleep(Duration::from_secs(5)).await;
    assert_eq!((b.ready(), api.holder().as_deref()), (Ok("leader"), Some("b")));
    assert_eq!(b.metric("landfall_lease_transitions_total"), "1");
}

#[tokio::test(start_paused = true)]
async fn a_stopped_leader_hands_over_within_seconds() {
    let api = FakeApi::default();
    let a = Running::start(&api, "a");
    sleep(Duration::from_secs(1)).await;
    let b = Running::start(&api, "b");
    sleep(Duration::from_secs(1)).await;
    a.stop.cancel();
    assert_eq!(a.task.await.unwrap(), Ok(()));
    assert_eq!(a.health.borrow().role(), Role::Stopping);
    sleep(Duration::from_millis(2_500)).await;
    assert_eq!(b.ready(), Ok("leader"));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_loses_the_api_server_ends_before_its_lease_does() {
    let api = FakeApi::default();
    for fault in [Fault::Hang, Fault::Break, Fault::Refuse(500, "InternalError"), Fault::LoseAnswer] {
        api.store(None);
        let a = Running::start(&api, "a");
        sleep(Duration::from_secs(5)).await;
        api.always(Some(fault.clone()));
        let cut = Instant::now();
        assert_eq!(a.task.await.unwrap(), Err(Loss::NotRenewed), "{fault:?}");
        assert!(cut.elapsed() < Duration::from_secs(8), "{fault:?} after {:?}", cut.elapsed());
        api.always(None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_costs_nobody_the_lead() {
    let api = FakeApi::default();
    let a = Running::start(&api, "a");
    for _ in 0..10 {
        sleep(Duration::from_secs(7)).await;
        api.always(Some(Fault::Break));
        sleep(Duration::from_secs(4)).await;
        api.always(None);
    }
    assert_eq!((a.role(), api.holder().as_deref()), (Role::Leader, Some("a")));
    assert_eq!(api.lease().unwrap()["spec"]["leaseTransitions"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_replica_without_an_api_server_is_alive_and_not_ready_until_it_answers() {
    let api = FakeApi::default();
    api.always(Some(Fault::Break));
    let a = Running::start(&api, "a");
    sleep(Duration::from_mins(5)).await;
    assert_eq!(a.health.borrow().live(Instant::now()), Ok("alive"));
    let sentence = a.ready().unwrap_err();
    assert!(sentence.starts_with("the Lease has not been reached yet: the Lease could not be read: "), "{sentence}");
    let tries = api.take_requests().len();
    assert!((60..=130).contains(&tries), "{tries} tries in five minutes");
    api.always(None);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(a.ready(), Ok("leader"));
}

#[tokio::test(start_paused = true)]
async fn a_standby_that_cannot_read_the_lease_for_longer_than_it_lasts_is_not_ready() {
    let api = FakeApi::default();
    api.store(Some(lease_held_by("other")));
    let b = Running::start(&api, "b");
    sleep(Duration::from_secs(1)).await;
    api.always(Some(Fault::Refuse(403, "Forbidden")));
    sleep(Duration::from_secs(9)).await;
    assert_eq!(b.ready(), Ok("standby"));
    sleep(Duration::from_secs(3)).await;
    let sentence = b.ready().unwrap_err();
    assert!(sentence.contains("out of reach for 1") && sentence.contains("HTTP 403 Forbidden"), "{sentence}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_lease_is_given_away_ends() {
    let api = FakeApi::default();
    let a = Running::start(&api, "a");
    sleep(Duration::from_secs(1)).await;
    api.edit(|lease| lease["spec"]["holderIdentity"] = json!("b"));
    assert_eq!(a.task.await.unwrap(), Err(Loss::TakenBy("b".to_owned())));
    assert_eq!(api.holder().as_deref(), Some("b"), "and leaves it alone");
}

/// Three replicas, random times, random faults, random crashes: at no time two of them may act.
#[tokio::test(start_paused = true)]
async fn no_two_replicas_ever_lead_together() {
    let mut leads = 0;
    for seed in 0..200 {
        leads += one_run(seed).await;
    }
    assert!(leads > 2_000, "the runs hardly ever led: {leads}");
}

async fn one_run(seed: u64) -> usize {
    let mut random = fastrand::Rng::with_seed(seed);
    let api = FakeApi::default();
    let names = ["a", "b", "c"];
    let mut replicas: Vec<Elector> = names.iter().map(|name| replica(&api, name)).collect();
    let mut leads = 0;
    for turn in 0..150 {
        advance(Duration::from_millis(random.u64(0..4_000))).await;
        if random.u8(..) < 200 {
            api.next([fault(&mut random), fault(&mut random)]);
        }
        let who = random.usize(..names.len());
        match random.u8(..20) {
            // A crash: the process is gone, and the next life of the same pod knows nothing.
            0 => replicas[who] = replica(&api, names[who]),
            1 => drop(replicas[who].release().await),
            _ => drop(replicas[who].attempt().await),
        }
        let now = Instant::now().into_std();
        let leaders: Vec<&str> =
            replicas.iter().filter(|r| r.ends().is_some_and(|end| now < end)).map(Elector::identity).collect();
        assert!(leaders.len() <= 1, "seed {seed}, turn {turn}: {leaders:?} lead together");
        leads += leaders.len();
    }
    leads
}

fn fault(random: &mut fastrand::Rng) -> Option<Fault> {
    match random.u8(..10) {
        0 => Some(Fault::Break),
        1 => Some(Fault::Hang),
        2 => Some(Fault::LoseAnswer),
        3 => Some(Fault::Refuse(500, "InternalError")),
        4 => Some(Fault::Refuse(409, "Conflict")),
        _ => None,
    }
}
