//! Clients that ask all the time, at a fixed rate, and count what they see. A failure is never repeated.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::Body;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{sync::Semaphore, task::JoinHandle, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::world::gateway_url;

/// Requests that may be under way at a time. More means that answers do not come.
const UNDER_WAY_MAX: usize = 256;

/// What was seen, since the start or since the last time that somebody asked.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Answers by the version that gave them.
    pub by_version: BTreeMap<String, u64>,
    /// What went wrong, each with its time since the start.
    pub failures: Vec<String>,
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

    /// Fails unless a version had its share: within one point, or four and a half standard deviations if that is more.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    pub fn assert_share(&self, version: &str, weight: f64) {
        let tolerance = f64::max(0.01, 4.5 * (weight * (1.0 - weight) / self.answered().max(1) as f64).sqrt());
        let share = self.share(version);
        assert!((share - weight).abs() <= tolerance, "share of {version} is {share:.4}, weight {weight}: {self:?}");
    }
}

/// Clients at work.
pub struct Load {
    total: Arc<Mutex<Seen>>,
    window: Arc<Mutex<Seen>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Load {
    /// Starts to send so many requests per second to a host behind the gateway.
    pub fn start(host: &str, rate: u32) -> Self {
        let (total, window) = (Arc::<Mutex<Seen>>::default(), Arc::<Mutex<Seen>>::default());
        let stop = CancellationToken::new();
        let task = tokio::spawn(send(host.to_owned(), rate, [Arc::clone(&total), Arc::clone(&window)], stop.clone()));
        Self { total, window, stop, task }
    }

    /// Begins a new count of what is seen from now on.
    pub fn mark(&self) {
        *self.window.lock().unwrap() = Seen::default();
    }

    /// What has been seen since the mark.
    pub fn since_mark(&self) -> Seen {
        self.window.lock().unwrap().clone()
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

    /// Stops, waits for the open requests, and returns what was seen in all.
    pub async fn finish(self) -> Seen {
        self.stop.cancel();
        self.task.await.unwrap();
        let seen = self.total.lock().unwrap().clone();
        seen
    }

    /// Stops, and fails if any request failed.
    pub async fn finish_without_failure(self) -> Seen {
        let seen = self.finish().await;
        assert!(seen.failures.is_empty(), "{} of {} failed: {:?}", seen.failures.len(), seen.answered(), seen.failures);
        seen
    }
}

async fn send(host: String, rate: u32, counts: [Arc<Mutex<Seen>>; 2], stop: CancellationToken) {
    let client: Client<HttpConnector, Body> = Client::builder(TokioExecutor::new()).build_http();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let slots = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    let start = tokio::time::Instant::now();
    while !stop.is_cancelled() {
        ticks.tick().await;
        let slot = Arc::clone(&slots).acquire_owned().await.unwrap();
        let (client, host, counts) = (client.clone(), host.clone(), counts.clone());
        tokio::spawn(async move {
            let result = ask(&client, &host).await;
            for count in &counts {
                let mut seen = count.lock().unwrap();
                match &result {
                    Ok(version) => *seen.by_version.entry(version.clone()).or_insert(0) += 1,
                    Err(why) => seen.failures.push(format!("{:.1} s: {why}", start.elapsed().as_secs_f32())),
                }
            }
            drop(slot);
        });
    }
    drop(slots.acquire_many(u32::try_from(UNDER_WAY_MAX).unwrap()).await.unwrap());
}

/// One request: the version that answered, or what went wrong.
async fn ask(client: &Client<HttpConnector, Body>, host: &str) -> Result<String, String> {
    let request = axum::http::Request::get(gateway_url()).header("host", host).body(Body::empty()).unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(5), client.request(request)).await;
    let answer = answer.map_err(|_| "no answer within 5 s".to_owned())?.map_err(|error| format!("{error:?}"))?;
    if !answer.status().is_success() {
        return Err(answer.status().to_string());
    }
    let version = answer.headers().get("x-version").and_then(|version| version.to_str().ok());
    Ok(version.unwrap_or_default().to_owned())
}
