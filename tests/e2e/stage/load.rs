//! Clients that ask all the time, at a fixed rate, and count what they see. A failure is never repeated.

use std::{
    collections::BTreeMap,
    env, fmt,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    body::{Body, to_bytes},
    http::Request,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::JoinHandle,
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

use crate::world::gateway_url;

/// Requests that may be under way at a time. More means that answers do not come.
const UNDER_WAY_MAX: usize = 1024;

/// How long a client waits. It is twice as long as the gateway does: a request that went nowhere is told from one that a
/// busy machine answered late. `LANDFALL_ANSWER_SECONDS=5` is what a user would wait, for a machine that does nothing else: where
/// several runs of tests share two processors, good answers take longer, and the clients themselves are late.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often clients of a Service may still be answered by what it selects no more, before its proxies have followed.
const TRIES: u32 = 20;

/// The longest answer, in bytes.
const BODY_MAX: usize = 1 << 16;

/// Connections that are kept for the next request: as many as there may be at a time. One that is closed keeps its port for a
/// minute, and clients that catch up after they were late would use up all ports there are.
const IDLE_MAX: usize = UNDER_WAY_MAX;

/// How long a connection is kept without a request. The gateway closes one after a minute, and a request that meets the close
/// on its way fails, as any client's would: a third of that leaves a busy machine time to notice.
const IDLE: Duration = Duration::from_secs(20);

/// Where requests go.
struct Goal {
    url: String,
    host: String,
    /// How many connections are kept for the next request.
    kept: usize,
}

/// What was seen, since the start or since the last time that somebody asked.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Answers by the version that gave them.
    pub by_version: BTreeMap<String, u64>,
    /// What went wrong.
    pub failures: Vec<Failure>,
}

/// A request that failed: when it was sent, when that was known, and why, with the time since the start.
#[derive(Clone)]
pub struct Failure {
    pub sent: Instant,
    pub known: Instant,
    pub why: String,
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Seen {
    pub fn answered(&self) -> u64 {
        self.by_version.values().sum()
    }

    /// The share of a version among all answers, from 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    pub fn share(&self, version: &str) -> f64 {
        self.by_version.get(version).copied().unwrap_or(0) as f64 / self.answered().max(1) as f64
    }

    /// Fails unless every answer was of this version.
    pub fn assert_all(&self, version: &str) {
        let expected = BTreeMap::from([(version.to_owned(), self.answered())]);
        assert!(self.by_version == expected && self.failures.is_empty(), "all answers of {version}: {self:?}");
    }

    /// Fails unless a version had its share: within one point, or four and a half standard deviations if that is more.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    pub fn assert_share(&self, version: &str, weight: f64) {
        let tolerance = f64::max(0.01, 4.5 * (weight * (1.0 - weight) / self.answered().max(1) as f64).sqrt());
        let share = self.share(version);
        assert!((share - weight).abs() <= tolerance, "share of {version} is {share:.4}, weight {weight}: {self:?}");
    }
}

/// Counts of the clients.
#[derive(Default)]
struct Counts {
    total: Seen,
    /// Of the requests that were sent since the mark.
    window: Seen,
    /// How many marks there were.
    mark: u64,
}

impl Counts {
    fn add(&mut self, result: Result<Answer, String>, (sent, sent_after): (Instant, u64)) {
        match result {
            Ok(answer) => {
                if sent_after == self.mark {
                    *self.window.by_version.entry(answer.version.clone()).or_insert(0) += 1;
                }
                *self.total.by_version.entry(answer.version).or_insert(0) += 1;
            }
            Err(why) => {
                let failure = Failure { sent, known: Instant::now(), why };
                self.window.failures.push(failure.clone());
                self.total.failures.push(failure);
            }
        }
    }
}

/// Clients at work.
pub struct Load {
    counts: Arc<Mutex<Counts>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
    _turn: Option<SemaphorePermit<'static>>,
}

/// How many loads the gateway has at a time. All tests together are no measure of it: their clients wait for the processor
/// then, and for nothing that a rollout does.
const LOADS_MAX: usize = 4;

static LOADS: Semaphore = Semaphore::const_new(LOADS_MAX);

impl Load {
    /// Starts to send so many requests per second to a host behind the gateway, when it is its turn.
    pub async fn start(host: &str, rate: u32) -> Self {
        let turn = LOADS.acquire().await.unwrap();
        let load = Self::toward(Goal { url: gateway_url(), host: host.to_owned(), kept: IDLE_MAX }, rate);
        Self { _turn: Some(turn), ..load }
    }

    /// Starts to send so many requests per second to an address without a router, once one of these pods answers there:
    /// the address of a new Service leads nowhere, or to what an older one selected, until its proxies know it. Every
    /// request has a connection of its own: a Service divides connections, not requests.
    pub async fn start_at(address: &str, pods: &[String], rate: u32) -> Self {
        let goal = Goal { url: format!("http://{address}"), host: address.to_owned(), kept: 0 };
        // Nothing but an answer tells.
        let mut look = tokio::time::interval(Duration::from_millis(100));
        let answered = async {
            while !goal.is_answered_by(pods).await {
                look.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, answered).await.expect("the proxies follow the Service");
        Self::toward(goal, rate)
    }

    fn toward(goal: Goal, rate: u32) -> Self {
        let counts = Arc::<Mutex<Counts>>::default();
        let stop = CancellationToken::new();
        let task = tokio::spawn(send(goal, rate, Arc::clone(&counts), stop.clone()));
        Self { counts, stop, task, _turn: None }
    }

    /// Begins a new count: of the requests that are sent from now on. On a busy machine answers to earlier ones, which may
    /// be of another version, come for a while.
    pub fn mark(&self) {
        let mut counts = self.counts.lock().unwrap();
        counts.window = Seen::default();
        counts.mark += 1;
    }

    /// What has been seen of the requests since the mark, and every failure since then.
    pub fn since_mark(&self) -> Seen {
        self.counts.lock().unwrap().window.clone()
    }

    /// Waits until this many answers have come since the mark.
    pub async fn answers(&self, count: u64) -> Seen {
        // The clients are what is waited for: there is nothing to watch.
        let mut look = tokio::time::interval(Duration::from_millis(20));
        loop {
            look.tick().await;
            let seen = self.since_mark();
            if seen.answered() >= count || !seen.failures.is_empty() {
                return seen;
            }
        }
    }

    /// Waits until as many answers in a row are of this version. The proxies of a Service follow its endpoints after a
    /// while that can only be seen from the answers.
    pub async fn answers_of(&self, version: &str, count: u64) {
        for _ in 0..TRIES {
            self.mark();
            let seen = self.answers(count).await;
            assert!(seen.failures.is_empty(), "{seen:?}");
            if seen.by_version.keys().eq([version]) {
                return;
            }
        }
        panic!("not all answers are of {version}: {:?}", self.since_mark());
    }

    /// Stops, waits for the open requests, and returns what was seen in all.
    pub async fn finish(self) -> Seen {
        self.stop.cancel();
        self.task.await.unwrap();
        self.counts.lock().unwrap().total.clone()
    }

    /// Stops, and fails if any request failed.
    pub async fn finish_without_failure(self) -> Seen {
        let seen = self.finish().await;
        assert!(seen.failures.is_empty(), "{} of {} failed: {:?}", seen.failures.len(), seen.answered(), seen.failures);
        seen
    }
}

impl Goal {
    fn client(&self) -> Client<HttpConnector, Body> {
        Client::builder(TokioExecutor::new())
            .retry_canceled_requests(false)
            .pool_max_idle_per_host(self.kept)
            .pool_idle_timeout(IDLE)
            .build_http()
    }

    /// Whether one of these pods answers.
    async fn is_answered_by(&self, pods: &[String]) -> bool {
        let answer = tokio::time::timeout(Duration::from_secs(1), ask(&self.client(), self)).await;
        matches!(answer, Ok(Ok(answer)) if pods.iter().any(|pod| answer.body.contains(pod.as_str())))
    }
}

/// A good answer.
struct Answer {
    version: String,
    body: String,
}

async fn send(goal: Goal, rate: u32, counts: Arc<Mutex<Counts>>, stop: CancellationToken) {
    let client = goal.client();
    let goal = Arc::new(goal);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let slots = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    let start = tokio::time::Instant::now();
    while !stop.is_cancelled() {
        let due = ticks.tick().await;
        let slot = Arc::clone(&slots).acquire_owned().await.unwrap();
        let (client, goal, counts) = (client.clone(), Arc::clone(&goal), counts.clone());
        tokio::spawn(async move {
            let sent = (Instant::now(), counts.lock().unwrap().mark);
            let late = due.elapsed().as_secs_f32();
            let result = in_time(&client, &goal).await.map_err(|why| {
                let (now, took) = (start.elapsed().as_secs_f32(), sent.0.elapsed().as_secs_f32());
                format!("{now:.1} s: {why} (after {took:.1} s, and sent {late:.1} s after its time)")
            });
            counts.lock().unwrap().add(result, sent);
            drop(slot);
        });
    }
    drop(slots.acquire_many(u32::try_from(UNDER_WAY_MAX).unwrap()).await.unwrap());
}

/// One request that may not take longer than a user would wait.
async fn in_time(client: &Client<HttpConnector, Body>, goal: &Goal) -> Result<Answer, String> {
    let (sent, limit) = (Instant::now(), limit());
    let answer = tokio::time::timeout(PATIENCE, ask(client, goal)).await;
    let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))?;
    let took = sent.elapsed();
    if took <= limit {
        return Ok(answer);
    }
    Err(format!("an answer of {} after {:.1} s", answer.version, took.as_secs_f32()))
}

fn limit() -> Duration {
    let given = env::var("LANDFALL_ANSWER_SECONDS").ok();
    given.map_or(PATIENCE, |text| Duration::from_secs(text.parse().expect("seconds")))
}

/// One request: the answer, or what went wrong.
async fn ask(client: &Client<HttpConnector, Body>, goal: &Goal) -> Result<Answer, String> {
    let request = Request::get(&goal.url).header("host", &goal.host).body(Body::empty()).unwrap();
    let answer = client.request(request).await.map_err(|error| format!("{error:?}"))?;
    let (head, body) = answer.into_parts();
    // An answer is whole, and its connection free for the next request, when its body has been read.
    let body = to_bytes(Body::new(body), BODY_MAX).await.map_err(|error| error.to_string())?;
    let body = String::from_utf8_lossy(&body).into_owned();
    if !head.status.is_success() {
        return Err(format!("{}: {}", head.status, body.trim_end()));
    }
    let version = head.headers.get("x-version").and_then(|version| version.to_str().ok());
    Ok(Answer { version: version.unwrap_or_default().to_owned(), body })
}
