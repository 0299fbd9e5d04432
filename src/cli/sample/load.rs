//! `landfall sample load`: many requests, and which version answered how many of them.
//!
//! It measures what clients of a rollout see. It never repeats a request, so a failure that a client would see is counted.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};
use axum::{
    body::{Body, to_bytes},
    http::{Request, Uri, header::HOST},
};
use clap::Args;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{task::JoinSet, time::MissedTickBehavior};

use super::serve::X_VERSION;
use crate::cli::duration;

/// The longest body that is read, in bytes.
const BODY_MAX: usize = 1 << 20;

/// See the help texts.
#[derive(Debug, Clone, Args)]
pub struct LoadArgs {
    /// Where to send the requests: a URL with the scheme http
    pub url: Uri,

    /// The host name to ask for, when it is not the URL's
    #[arg(long)]
    pub host: Option<String>,

    /// How many requests to send
    #[arg(long, default_value = "1000", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub requests: u64,

    /// How many requests are under way at a time
    #[arg(long, default_value = "8", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub concurrency: u16,

    /// How many requests to send per second at most; without it as many as are answered
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: Option<u32>,

    /// How long one request may take
    #[arg(long, default_value = "5s", value_parser = duration)]
    pub timeout: Duration,
}

/// What the clients saw.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Successful answers (status 200 to 299) by the header x-version; empty for answers without it.
    pub by_version: BTreeMap<String, u64>,
    /// Requests without an answer in time, or with another status.
    pub failed: u64,
    /// Why the first of them failed.
    pub first_failure: Option<String>,
}

impl Tally {
    /// All successful answers.
    pub fn answered(&self) -> u64 {
        self.by_version.values().sum()
    }

    /// The share of one version among the successful answers, 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    pub fn share(&self, version: &str) -> f64 {
        self.by_version.get(version).copied().unwrap_or(0) as f64 / self.answered().max(1) as f64
    }

    fn add(&mut self, outcome: Result<String, String>) {
        match outcome {
            Ok(version) => *self.by_version.entry(version).or_default() += 1,
            Err(why) => {
                self.failed += 1;
                self.first_failure.get_or_insert(why);
            }
        }
    }

    fn merge(&mut self, other: Self) {
        let Self { by_version, failed, first_failure } = other;
        for (version, count) in by_version {
            *self.by_version.entry(version).or_default() += count;
        }
        self.failed += failed;
        self.first_failure = self.first_failure.take().or(first_failure);
    }
}

/// Sends the requests, prints the tally, and fails if a request did.
///
/// # Errors
/// The URL is not plain HTTP, or a request failed.
pub async fn run(args: LoadArgs) -> anyhow::Result<()> {
    if args.url.scheme_str() != Some("http") {
        bail!("{} is not an http:// URL", args.url);
    }
    let started = Instant::now();
    let tally = send(&args).await;
    print(&tally, started.elapsed());
    ensure!(tally.failed == 0, "{}", tally.first_failure.as_deref().unwrap_or("a request failed"));
    Ok(())
}

/// Sends the requests from as many workers as may be under way at a time.
pub async fn send(args: &LoadArgs) -> Tally {
    let client: Client<HttpConnector, Body> =
        Client::builder(TokioExecutor::new()).retry_canceled_requests(false).build_http();
    let taken = Arc::new(AtomicU64::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..args.concurrency {
        workers.spawn(work(args.clone(), client.clone(), Arc::clone(&taken)));
    }
    let mut tally = Tally::default();
    while let Some(part) = workers.join_next().await {
        match part {
            Ok(part) => tally.merge(part),
            Err(error) => tally.add(Err(format!("a worker ended early: {error}"))),
        }
    }
    tally
}

async fn work(args: LoadArgs, client: Client<HttpConnector, Body>, taken: Arc<AtomicU64>) -> Tally {
    let mut pace = args.rate.map(|rate| {
        let mut pace = tokio::time::interval(Duration::from_secs(1) * u32::from(args.concurrency) / rate);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pace
    });
    let mut tally = Tally::default();
    while taken.fetch_add(1, Ordering::Relaxed) < args.requests {
        if let Some(pace) = &mut pace {
            pace.tick().await;
        }
        let outcome = tokio::time::timeout(args.timeout, one(&args, &client)).await;
        tally.add(outcome.unwrap_or_else(|_| Err(format!("no answer within {} s", args.timeout.as_secs_f64()))));
    }
    tally
}

/// One request: the version that answered, or why there was no good answer.
async fn one(args: &LoadArgs, client: &Client<HttpConnector, Body>) -> Result<String, String> {
    let mut request = Request::get(args.url.clone());
    if let Some(host) = &args.host {
        request = request.header(HOST, host);
    }
    let request = request.body(Body::empty()).map_err(|error| error.to_string())?;
    let answer = client.request(request).await.map_err(|error| crate::telemetry::chain(&error))?;
    let status = answer.status();
    let version = answer.headers().get(&X_VERSION).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    // The body is read so that the connection can carry the next request.
    let body = to_bytes(Body::new(answer.into_body()), BODY_MAX).await.map_err(|error| error.to_string())?;
    if status.is_success() {
        Ok(version)
    } else {
        Err(format!("status {status}: {}", String::from_utf8_lossy(&body).trim_end()))
    }
}

#[expect(clippy::print_stdout, reason = "the tally is this command's output")]
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn print(tally: &Tally, elapsed: Duration) {
    let sent = tally.answered() + tally.failed;
    let seconds = elapsed.as_secs_f64();
    println!("{sent} requests in {seconds:.1} s ({:.0}/s), {} failed", sent as f64 / seconds, tally.failed);
    for (version, count) in &tally.by_version {
        let name = if version.is_empty() { "(no version)" } else { version };
        println!("  {name:<12} {count:>8}  {:>5.1} %", 100.0 * tally.share(version));
    }
}
