//! The route of webhooks, called without a socket: what it answers to whom, and what it tells the operator.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header::RETRY_AFTER},
};
use futures::{StreamExt, stream};
use landfall::{
    engine::moment::Moment,
    gitops::hook::{BODY_MAX, Key, Provider, Push},
    server::{
        health::{Health, Role},
        hooks::{AT_ONCE, BODY_TIMEOUT, Desk, Hooked, Hooks, PER_SECOND, router},
    },
};
use tokio::{
    sync::watch,
    time::{Instant, advance},
};
use tower::ServiceExt;

use crate::hooks::{NOW, SECRET, headers, hex_code, recorded, signed};

const SHOP: &str = "/hooks/shop/production";

/// An operator with the Profile shop/production.
#[derive(Clone, Default)]
struct Operator {
    asked: Arc<AtomicU64>,
    changed: Arc<Mutex<Vec<(String, Push)>>>,
}

impl Hooks for Operator {
    async fn secret(&self, namespace: &str, profile: &str) -> Option<Hooked> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let url = "https://github.com/acme/shop".to_owned();
        let known = namespace == "shop" && matches!(profile, "production" | "staging");
        known.then(|| Hooked { key: Key::new(SECRET.as_bytes()).unwrap(), url })
    }

    fn changed(&self, namespace: &str, profile: &str, push: &Push) {
        self.changed.lock().unwrap().push((format!("{namespace}/{profile}"), push.clone()));
    }
}

struct Process {
    operator: Operator,
    health: watch::Sender<Health>,
    routes: Router,
}

impl Process {
    fn leading() -> Self {
        let (health, seen) = watch::channel(Health::new(Duration::from_secs(10), Instant::now()));
        health.send_modify(|health| health.contact(Role::Leader, Instant::now()));
        let operator = Operator::default();
        let routes = router(Desk::new(operator.clone(), seen, || NOW));
        Self { operator, health, routes }
    }

    async fn post(&self, path: &str, headers: &HeaderMap, body: impl Into<Body>) -> (u16, String) {
        let (status, _, text) = send(self.routes.clone(), path, headers, body.into()).await;
        (status.as_u16(), text)
    }

    async fn push(&self, path: &str) -> (u16, String) {
        let body = recorded("github-push");
        self.post(path, &signed(Provider::GitHub, "push", &body), body).await
    }

    fn changed(&self) -> Vec<(String, Push)> {
        self.operator.changed.lock().unwrap().clone()
    }
}

async fn send(routes: Router, path: &str, headers: &HeaderMap, body: Body) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::builder().method(Method::POST).uri(path).body(body).unwrap();
    request.headers_mut().extend(headers.clone());
    let (parts, body) = routes.oneshot(request).await.unwrap().into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

fn answer(code: u16, sentence: &str) -> (u16, String) {
    (code, format!("{sentence}\n"))
}

fn unsigned() -> (u16, String) {
    answer(401, "the signature is missing or wrong")
}

#[tokio::test(start_paused = true)]
async fn a_push_is_accepted_once_and_told_to_the_operator() {
    let process = Process::leading();
    assert_eq!(process.push(SHOP).await, answer(202, "accepted"));
    assert_eq!(process.push(SHOP).await, answer(409, "this was received already"));
    let changed = process.changed();
    let [(profile, push)] = changed.as_slice() else { panic!("{changed:?}") };
    assert_eq!((profile.as_str(), push.changes[0].reference.as_str()), ("shop/production", "refs/heads/main"));
    assert_eq!(process.push("/hooks/shop/staging").await, answer(202, "accepted"), "another Profile of the repository");
    assert_eq!(process.changed().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn every_provider_may_push() {
    let cases = [
        (Provider::GitLab, "Push Hook", "gitlab-push"),
        (Provider::Gitea, "push", "gitea-push"),
        (Provider::Bitbucket, "repo:push", "bitbucket-cloud-push"),
        (Provider::Generic, "", "generic"),
    ];
    let process = Process::leading();
    for (provider, event, file) in cases {
        let ours = String::from_utf8(recorded(file)).unwrap();
        let ours = ["gitlab.example.test", "git.example.test", "bitbucket.org"]
            .iter()
            .fold(ours, |text, host| text.replace(host, "github.com"));
        let given = signed(provider, event, ours.as_bytes());
        assert_eq!(process.post(SHOP, &given, ours).await, answer(202, "accepted"), "{file}");
    }
    let providers: Vec<_> = process.changed().iter().map(|(_, push)| push.provider).collect();
    assert_eq!(providers, cases.map(|(provider, ..)| provider));
}

#[tokio::test(start_paused = true)]
async fn a_ping_and_what_is_no_push_are_answered_and_do_nothing() {
    let process = Process::leading();
    let ping = recorded("github-ping");
    let given = signed(Provider::GitHub, "ping", &ping);
    assert_eq!(process.post(SHOP, &given, ping.clone()).await, answer(200, "pong"));
    assert_eq!(process.post(SHOP, &given, ping).await, answer(200, "pong"), "a ping may be repeated");
    let given = signed(Provider::GitHub, "issues", b"{}");
    assert_eq!(process.post(SHOP, &given, "{}").await, answer(200, "nothing is done: this is no push"));
    let other = r#"{"repository":{"clone_url":"https://github.com/acme/blog.git"}}"#;
    let given = signed(Provider::GitHub, "push", other.as_bytes());
    let expected = answer(200, "nothing is done: the Profile follows another repository");
    assert_eq!(process.post(SHOP, &given, other).await, expected);
    assert_eq!(process.changed(), []);
}

#[tokio::test(start_paused = true)]
async fn whoever_has_not_the_secret_cannot_tell_which_profiles_there_are() {
    let process = Process::leading();
    let nobody = "\0".repeat(32);
    let of_nobody = headers(&[
        ("x-github-event", "push"),
        ("x-hub-signature-256", &format!("sha256={}", hex_code(&nobody, b"{}"))),
    ]);
    let mut wrong = signed(Provider::GitHub, "push", b"{}");
    wrong.insert("x-hub-signature-256", HeaderValue::from_static("sha256=00"));
    for path in [SHOP, "/hooks/shop/nobody", "/hooks/nowhere/production", "/hooks/shop/..%2F..", "/hooks/%00/%F0%9F"] {
        for given in [&HeaderMap::new(), &of_nobody, &wrong] {
            let answered = process.post(path, given, "{}").await;
            if path.contains("%F0") {
                assert_eq!(answered.0, 400, "a path that is no UTF-8");
            } else {
                assert_eq!(answered, unsigned(), "{path}");
            }
        }
        advance(Duration::from_secs(1)).await;
    }
    assert_eq!(process.operator.asked.load(Ordering::Relaxed), 12, "each is looked up alike");
    assert_eq!(process.push("/hooks/shop/nobody").await, unsigned(), "a good signature of another Profile");
    assert_eq!(process.changed(), []);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_cannot_be_read_is_refused_with_a_sentence() {
    let process = Process::leading();
    let given = signed(Provider::GitHub, "push", b"[");
    let expected = answer(400, "the body cannot be read: it is no JSON, or too deep");
    assert_eq!(process.post(SHOP, &given, "[").await, expected);
    let broken = stream::iter([Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("reset"))]);
    let answered = process.post(SHOP, &given, Body::from_stream(broken)).await;
    assert_eq!(answered, answer(400, "the body did not arrive whole"));
}

#[tokio::test(start_paused = true)]
async fn a_body_is_at_most_a_megabyte_announced_or_not() {
    let process = Process::leading();
    let too_long = answer(413, "the body is longer than 1 MiB; the change is found at the next interval");
    let long = vec![b' '; BODY_MAX + 1];
    let given = signed(Provider::GitHub, "push", &long);
    assert_eq!(process.post(SHOP, &given, long.clone()).await, too_long);
    let parts = long.chunks(1 << 16).map(|part| Ok::<_, Infallible>(Bytes::copy_from_slice(part))).collect::<Vec<_>>();
    let endless = stream::iter(parts).chain(stream::repeat(Ok(Bytes::from_static(b" "))));
    assert_eq!(process.post(SHOP, &given, Body::from_stream(endless)).await, too_long);
    assert_eq!(process.operator.asked.load(Ordering::Relaxed), 0, "nobody was asked for a secret");
    let exact = vec![b' '; BODY_MAX];
    assert_eq!(process.post(SHOP, &signed(Provider::GitHub, "push", &exact), exact).await, answer(202, "accepted"));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_waited_for_ten_seconds_and_by_few_at_once() {
    let process = Process::leading();
    let start = Instant::now();
    let never = || Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    let waiting: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let routes = process.routes.clone();
            tokio::spawn(async move { send(routes, SHOP, &HeaderMap::new(), never()).await })
        })
        .collect();
    tokio::task::yield_now().await;
    assert_eq!(process.push(SHOP).await.0, 429);
    for one in waiting {
        let (status, _, text) = one.await.unwrap();
        assert_eq!((status.as_u16(), text), answer(408, "the body did not arrive within 10 s"));
    }
    assert!(start.elapsed() >= BODY_TIMEOUT && start.elapsed() < BODY_TIMEOUT + Duration::from_secs(1));
    assert_eq!(process.push(SHOP).await, answer(202, "accepted"), "their places are free again");
}

#[tokio::test(start_paused = true)]
async fn more_than_twenty_a_second_are_sent_away() {
    let process = Process::leading();
    for _ in 0..PER_SECOND {
        assert_eq!(process.post(SHOP, &HeaderMap::new(), "{}").await, unsigned());
    }
    let (status, headers, text) = send(process.routes.clone(), SHOP, &HeaderMap::new(), Body::empty()).await;
    assert_eq!((status.as_u16(), &headers[RETRY_AFTER]), (429, &HeaderValue::from_static("1")));
    assert_eq!(text, "too many webhooks; the change is found at the next interval\n");
    advance(Duration::from_secs(1)).await;
    assert_eq!(process.push(SHOP).await, answer(202, "accepted"));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_does_not_lead_says_so_and_remembers_nothing() {
    let process = Process::leading();
    process.health.send_modify(|health| health.contact(Role::Standby, Instant::now()));
    let body = recorded("github-push");
    let given = signed(Provider::GitHub, "push", &body);
    let (status, headers, text) = send(process.routes.clone(), SHOP, &given, body.into()).await;
    assert_eq!((status.as_u16(), &headers[RETRY_AFTER]), (503, &HeaderValue::from_static("5")));
    assert_eq!(text, "this replica does not lead; the change is found at the next interval\n");
    process.health.send_modify(|health| health.contact(Role::Leader, Instant::now()));
    assert_eq!(process.push(SHOP).await, answer(202, "accepted"));
}

#[tokio::test(start_paused = true)]
async fn there_is_nothing_but_post_and_no_other_path() {
    let process = Process::leading();
    let request = Request::builder().uri(SHOP).body(Body::empty()).unwrap();
    let answered = process.routes.clone().oneshot(request).await.unwrap().status();
    assert_eq!(answered, StatusCode::METHOD_NOT_ALLOWED);
    for path in ["/", "/hooks", "/hooks/shop", "/hooks/shop/production/more"] {
        assert_eq!(process.push(path).await.0, 404, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_time_that_is_signed_is_compared_with_the_clock_of_the_process() {
    let (_health, seen) = {
        let (health, seen) = watch::channel(Health::new(Duration::from_secs(10), Instant::now()));
        health.send_modify(|health| health.contact(Role::Leader, Instant::now()));
        (health, seen)
    };
    let late = router(Desk::new(Operator::default(), seen, || Moment(NOW.0 + 301_000)));
    let (status, _, text) = send(late, SHOP, &signed(Provider::Generic, "", b"{}"), Body::from("{}")).await;
    assert_eq!((status.as_u16(), text), answer(401, "the signed time is more than 5 minutes away from now"));
}

#[test]
fn a_secret_is_in_no_debug_print() {
    let hooked = Hooked { key: Key::new(SECRET.as_bytes()).unwrap(), url: "https://git.example.test/shop".to_owned() };
    assert!(!format!("{hooked:?}").contains("secret"), "{hooked:?}");
}
