//! `landfall sample serve`: an application that says which version answered, fails on demand, and drains.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
use axum::{
    Router,
    extract::State,
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CONNECTION, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use clap::Args;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{
    cli::{LogArgs, duration, host::host_name},
    server::{serve, signals::cancelled_by_signals},
    telemetry,
};

/// The header that names the version which answered.
pub(super) const X_VERSION: HeaderName = HeaderName::from_static("x-version");

/// See the help texts.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Address to serve on
    #[arg(long, default_value = "0.0.0.0:8080")]
    listen: SocketAddr,

    /// The version that answers name, in the body and in the header x-version
    #[arg(long = "version", default_value = "v1", value_parser = header_value)]
    version: String,

    /// Share of requests that fail with 503, /healthz included and /readyz not: 0 is none, 1 is all
    #[arg(long, default_value = "0", value_parser = share)]
    fault_rate: f64,

    /// How long every answer takes at least
    #[arg(long, default_value = "0ms", value_parser = duration)]
    delay: Duration,

    /// How long to go on serving after SIGTERM, until routers have turned away
    #[arg(long, default_value = "5s", value_parser = duration)]
    drain: Duration,

    #[command(flatten)]
    log: LogArgs,
}

/// What the sample answers.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The version it names.
    pub version: String,
    /// The pod it names.
    pub pod: String,
    /// The share of requests that fail, 0 to 1.
    pub fault_rate: f64,
    /// How long every answer takes at least.
    pub delay: Duration,
    /// Once cancelled, every answer asks the client to use another connection next time.
    pub draining: CancellationToken,
}

/// The sample's routes.
pub fn router(sample: Sample) -> Router {
    Router::new().route("/", get(root)).route("/healthz", get(healthz)).route("/readyz", get(readyz)).with_state(sample)
}

/// Serves until SIGTERM and the drain after it.
///
/// # Errors
/// The address cannot be listened on, or the server broke.
pub async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let ServeArgs { listen, version, fault_rate, delay, drain, log } = args;
    telemetry::log::start(log.format())?;
    let draining = cancelled_by_signals()?;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let pod = host_name().unwrap_or_else(|| "unknown".to_owned());
    info!(address = %listener.local_addr()?, version, pod, "listening");

    let close = CancellationToken::new();
    tokio::spawn(drain_then_close(draining.clone(), drain, close.clone()));
    let sample = Sample { version, pod, fault_rate, delay, draining };
    serve(listener, router(sample), close).await.context("the server broke")?;
    info!("closed");
    Ok(())
}

/// A pod gets SIGTERM before routers know that it leaves, so requests still arrive and must be answered.
async fn drain_then_close(draining: CancellationToken, drain: Duration, close: CancellationToken) {
    draining.cancelled().await;
    info!(seconds = drain.as_secs_f64(), "draining");
    tokio::time::sleep(drain).await;
    close.cancel();
}

async fn root(State(sample): State<Sample>) -> Response {
    let body = json!({"version": sample.version, "pod": sample.pod}).to_string();
    answer(&sample, "application/json", body).await
}

async fn healthz(State(sample): State<Sample>) -> Response {
    answer(&sample, "text/plain; charset=utf-8", "ok\n".to_owned()).await
}

/// A faulty version is ready: only a check of what it answers finds out.
async fn readyz() -> &'static str {
    "ready\n"
}

async fn answer(sample: &Sample, content_type: &'static str, body: String) -> Response {
    tokio::time::sleep(sample.delay).await;
    let mut response = if fastrand::f64() < sample.fault_rate {
        (StatusCode::SERVICE_UNAVAILABLE, "fault on demand\n").into_response()
    } else {
        ([(CONTENT_TYPE, content_type)], body).into_response()
    };
    let headers = response.headers_mut();
    if let Ok(version) = HeaderValue::from_str(&sample.version) {
        headers.insert(X_VERSION, version);
    }
    if sample.draining.is_cancelled() {
        // A kept connection would break under the next request when the drain ends.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn header_value(text: &str) -> Result<String, String> {
    HeaderValue::from_str(text).map(|_| text.to_owned()).map_err(|_| "it must fit into an HTTP header".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "a share is a number such as 0.25".to_owned())?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("a share lies between 0 and 1".to_owned()) }
}
