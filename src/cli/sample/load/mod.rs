//! `landfall sample load`: many requests, and which version answered how many of them.
//!
//! It measures what clients of a rollout see. It never repeats a request, so a failure that a client would see is counted.

mod report;
pub mod tally;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{bail, ensure};
use axum::{
    body::{Body, to_bytes},
    http::{Request, Uri, header::HOST},
};
use clap::{Args, ValueEnum};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    task::JoinSet,
    time::{Interval, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use self::{
    report::{Reporter, report_windows},
    tally::{Failure, Tally},
};
use super::serve::X_VERSION;
use crate::{cli::duration, server::signals::cancelled_by_signals};

/// The longest body that is read, in bytes.
const BODY_MAX: usize = 1 << 20;

/// See the help texts.
#[derive(Debug, Clone, Args)]
pub struct LoadCommand {
    /// What to send.
    #[command(flatten)]
    load: LoadArgs,

    /// Go on until SIGTERM or SIGINT, and then say what there was
    #[arg(long, conflicts_with = "requests")]
    until_stopped: bool,

    /// Say every so often what there was since the last time
    #[arg(long, value_parser = duration)]
    every: Option<Duration>,

    /// The form of the answer
    #[arg(short, long, value_enum, default_value = "text")]
    output: Form,
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Lines for people
    Text,
    /// One JSON object per line: those of --every as `window`, the last one as `total`
    Json,
}

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

/// Sends the requests, prints the tally, and fails if a request did.
///
/// # Errors
/// The URL is not plain HTTP, or a request failed.
pub async fn run(command: LoadCommand) -> anyhow::Result<()> {
    let LoadCommand { mut load, until_stopped, every, output } = command;
    if load.url.scheme_str() != Some("http") {
        bail!("{} is not an http:// URL", load.url);
    }
    if until_stopped {
        load.requests = u64::MAX;
    }
    let sending = Sending { stop: cancelled_by_signals()?, ..Sending::default() };
    let reporter = Reporter::start(output);
    let windows = every.filter(|every| !every.is_zero());
    let windows = windows.map(|every| tokio::spawn(report_windows(reporter, every, sending.clone())));
    send_into(&load, &sending).await;
    sending.done.cancel();
    if let Some(windows) = windows {
        windows.await??;
    }
    let tally = sending.total();
    reporter.total(&tally)?;
    ensure!(tally.failed == 0, "{}", tally.first_failure.as_deref().unwrap_or("a request failed"));
    Ok(())
}

/// Sends the requests from as many workers as may be under way at a time.
pub async fn send(args: &LoadArgs) -> Tally {
    let sending = Sending::default();
    send_into(args, &sending).await;
    sending.total()
}

/// What workers and whoever reports share.
#[derive(Debug, Clone, Default)]
struct Sending {
    /// How many requests were taken by a worker.
    taken: Arc<AtomicU64>,
    /// All that was seen, and what was seen since the last window.
    seen: Arc<Mutex<[Tally; 2]>>,
    /// No more requests are to be sent.
    stop: CancellationToken,
    /// All requests have their answer.
    done: CancellationToken,
}

impl Sending {
    fn add(&self, outcome: Result<String, Failure>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let [total, window] = &mut *seen;
        total.add(outcome.clone());
        window.add(outcome);
    }

    fn total(&self) -> Tally {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)[0].clone()
    }

    /// What was seen since the last time that somebody asked.
    fn window(&self) -> Tally {
        std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner)[1])
    }
}

async fn send_into(args: &LoadArgs, sending: &Sending) {
    let client: Client<HttpConnector, Body> =
        Client::builder(TokioExecutor::new()).retry_canceled_requests(false).build_http();
    let mut workers = JoinSet::new();
    for _ in 0..args.concurrency {
        workers.spawn(work(args.clone(), client.clone(), sending.clone()));
    }
    while let Some(ended) = workers.join_next().await {
        if let Err(error) = ended {
            sending.add(Err(Failure::without_version(format!("a worker ended early: {error}"))));
        }
    }
}

async fn work(args: LoadArgs, client: Client<HttpConnector, Body>, sending: Sending) {
    let mut pace = args.rate.map(|rate| {
        let mut pace = tokio::time::interval(Duration::from_secs(1) * u32::from(args.concurrency) / rate);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pace
    });
    while sending.taken.fetch_add(1, Ordering::Relaxed) < args.requests {
        tokio::select! {
            biased;
            () = sending.stop.cancelled() => return,
            () = due(pace.as_mut()) => {}
        }
        let outcome = tokio::time::timeout(args.timeout, one(&args, &client)).await;
        sending.add(outcome.unwrap_or_else(|_| {
            Err(Failure::without_version(format!("no answer within {} s", args.timeout.as_secs_f64())))
        }));
    }
}

async fn due(pace: Option<&mut Interval>) {
    if let Some(pace) = pace {
        pace.tick().await;
    }
}

/// One request: the version that answered, or why there was no good answer.
async fn one(args: &LoadArgs, client: &Client<HttpConnector, Body>) -> Result<String, Failure> {
    let mut request = Request::get(args.url.clone());
    if let Some(host) = &args.host {
        request = request.header(HOST, host);
    }
    let request = request.body(Body::empty()).map_err(|error| Failure::without_version(error.to_string()))?;
    let answer =
        client.request(request).await.map_err(|error| Failure::without_version(crate::telemetry::chain(&error)))?;
    let status = answer.status();
    let version = answer.headers().get(&X_VERSION).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    // The body is read so that the connection can carry the next request.
    let body = match to_bytes(Body::new(answer.into_body()), BODY_MAX).await {
        Ok(body) => body,
        Err(error) => return Err(Failure { version, why: error.to_string() }),
    };
    if status.is_success() {
        Ok(version)
    } else {
        let why = format!("status {status}: {}", String::from_utf8_lossy(&body).trim_end());
        Err(Failure { version, why })
    }
}
