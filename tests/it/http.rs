//! The operator's routes, called without a socket.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode, header::CONTENT_TYPE},
};
use landfall::{
    cluster::store::{Store, watch::start},
    server::{
        health::{Health, Role},
        probes::{Probes, router},
    },
    telemetry::metrics::Metrics,
};
use tokio::{
    sync::watch,
    time::{Instant, advance},
};
use tower::ServiceExt;

use crate::watches::{client, counted};

const LEASE: Duration = Duration::from_secs(10);

/// Sends one GET to routes.
pub async fn get(routes: &Router, path: &str) -> (StatusCode, HeaderMap, String) {
    let request = Request::builder().uri(path).body(Body::empty()).unwrap();
    let (parts, body) = routes.clone().oneshot(request).await.unwrap().into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

struct Process {
    health: watch::Sender<Health>,
    metrics: Arc<Metrics>,
    store: Store,
    routes: Router,
}

impl Process {
    fn new() -> Self {
        let (health, probed) = watch::channel(Health::new(LEASE, Instant::now()));
        let metrics = Arc::new(Metrics::new());
        let store = Store::default();
        let routes = router(Probes { health: probed, metrics: Arc::clone(&metrics), store: store.clone() });
        Self { health, metrics, store, routes }
    }

    fn contact(&self, role: Role) {
        self.health.send_modify(|health| health.contact(role, Instant::now()));
    }

    fn failure(&self, problem: &str) {
        self.health.send_modify(|health| health.failure(problem.to_owned(), Instant::now()));
    }

    async fn probe(&self, path: &str) -> (u16, String) {
        let (status, _, body) = get(&self.routes, path).await;
        (status.as_u16(), body)
    }
}

fn answer(status: u16, body: &str) -> (u16, String) {
    (status, format!("{body}\n"))
}

#[tokio::test(start_paused = true)]
async fn a_process_that_just_started_is_alive_and_not_ready() {
    let process = Process::new();
    assert_eq!(process.probe("/livez").await, answer(200, "alive"));
    assert_eq!(process.probe("/readyz").await, answer(503, "the Lease has not been reached yet"));
    process.failure("the Lease could not be read");
    let expected = answer(503, "the Lease has not been reached yet: the Lease could not be read");
    assert_eq!(process.probe("/readyz").await, expected);
}

#[tokio::test(start_paused = true)]
async fn leader_and_standby_are_both_ready() {
    let process = Process::new();
    process.contact(Role::Standby);
    assert_eq!(process.probe("/readyz").await, answer(200, "standby"));
    process.contact(Role::Leader);
    assert_eq!(process.probe("/readyz").await, answer(200, "leader"));
}

#[tokio::test(start_paused = true)]
async fn a_process_is_ready_through_an_outage_shorter_than_the_lease() {
    let process = Process::new();
    process.contact(Role::Standby);
    advance(Duration::from_secs(10)).await;
    process.failure("no answer");
    assert_eq!(process.probe("/readyz").await, answer(200, "standby"));
    advance(Duration::from_secs(1)).await;
    let expected = answer(503, "the Lease has been out of reach for 11 s: no answer");
    assert_eq!(process.probe("/readyz").await, expected);
    assert_eq!(process.probe("/livez").await, answer(200, "alive"), "a restart would not bring the answer");
    process.contact(Role::Standby);
    assert_eq!(process.probe("/readyz").await, answer(200, "standby"));
}

#[tokio::test(start_paused = true)]
async fn a_control_loop_that_does_not_turn_any_more_is_not_alive() {
    let process = Process::new();
    process.contact(Role::Leader);
    advance(LEASE * 3).await;
    assert_eq!(process.probe("/livez").await, answer(200, "alive"));
    advance(Duration::from_secs(1)).await;
    assert_eq!(process.probe("/livez").await, answer(503, "the control loop has not turned for 31 s"));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_stops_is_not_ready_and_is_left_to_drain() {
    let process = Process::new();
    process.contact(Role::Leader);
    process.health.send_modify(Health::stopping);
    assert_eq!(process.probe("/readyz").await, answer(503, "the process is stopping"));
    advance(LEASE * 10).await;
    assert_eq!(process.probe("/livez").await, answer(200, "alive"));
}

#[tokio::test(start_paused = true)]
async fn metrics_are_open_metrics_with_every_series_from_the_start() {
    let process = Process::new();
    let (status, headers, page) = get(&process.routes, "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers[CONTENT_TYPE], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(page.ends_with("# EOF\n"), "{page}");
    for line in [
        &format!("landfall_build_info{{version=\"{}\",", env!("CARGO_PKG_VERSION")),
        "landfall_leader 0\n",
        "landfall_lease_transitions_total 0\n",
        "landfall_lease_failures_total{reason=\"TimedOut\"} 0\n",
        "landfall_lease_failures_total{reason=\"Contended\"} 0\n",
        "landfall_lists_refused{part=\"GRPCRoutes\"} 0\n",
        "process_start_time_seconds 1",
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
    process.metrics.leads();
    process.metrics.lease_changed_hands();
    let (_, _, page) = get(&process.routes, "/metrics").await;
    assert!(page.contains("landfall_leader 1\n") && page.contains("landfall_lease_transitions_total 1\n"), "{page}");
}

#[tokio::test(start_paused = true)]
async fn there_is_nothing_else_and_nothing_to_write_to() {
    let process = Process::new();
    assert_eq!(process.probe("/").await.0, 404);
    let request = Request::builder().method(Method::POST).uri("/livez").body(Body::empty()).unwrap();
    assert_eq!(process.routes.clone().oneshot(request).await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
}

/// Another replica with the same rights would see no more, and one that is not ready is not asked for its metrics.
#[tokio::test(start_paused = true)]
async fn what_may_not_be_listed_is_named_and_takes_no_readiness() {
    let process = Process::new();
    process.contact(Role::Leader);
    let some = |path: &str, _| if path.contains("grpcroutes") { StatusCode::FORBIDDEN } else { StatusCode::OK };
    let watches = start(&client(Arc::new(some)), &[], &process.store, &counted().1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let said = "leader\nthe GRPCRoutes may not be listed: no (HTTP 403 Refused)";
    assert_eq!(process.probe("/readyz").await, answer(200, said));
    let (_, _, page) = get(&process.routes, "/metrics").await;
    for line in ["landfall_lists_refused{part=\"GRPCRoutes\"} 1\n", "landfall_lists_refused{part=\"HTTPRoutes\"} 0\n"] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
    drop(watches);
}
