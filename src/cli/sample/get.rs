//! `landfall sample get`: one request, seen from where it runs. In a pod it shows what the pod's own resolver and
//! network say. Plain HTTP only: it is for the sample, not for the world.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use axum::{
    body::{Body, to_bytes},
    http::{StatusCode, Uri},
};
use clap::Args;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use crate::cli::duration;

/// The longest body that is read, in bytes.
const BODY_MAX: usize = 1 << 20;

/// See the help texts.
#[derive(Debug, Clone, Args)]
pub struct GetArgs {
    /// Where to send the request: a URL with the scheme http
    url: Uri,

    /// How long the whole exchange may take
    #[arg(long, default_value = "5s", value_parser = duration)]
    timeout: Duration,

    /// The status that counts as success
    #[arg(long, default_value = "200")]
    expect_status: StatusCode,
}

/// Sends the request and prints status and body.
///
/// # Errors
/// The URL is not plain HTTP, nobody answers in time, or the answer has another status.
pub async fn run(args: GetArgs) -> anyhow::Result<()> {
    let GetArgs { url, timeout, expect_status } = args;
    match url.scheme_str() {
        Some("http") => {}
        Some("https") => bail!("https is not supported here; use an http:// URL"),
        _ => bail!("{url} is not a URL; one looks like http://host:8080/path"),
    }
    let (status, body) = tokio::time::timeout(timeout, get(&url))
        .await
        .with_context(|| format!("{url} did not answer within {} s", timeout.as_secs_f64()))??;
    print(status, &body);
    ensure!(status == expect_status, "{url} answered {status}, expected {expect_status}");
    Ok(())
}

async fn get(url: &Uri) -> anyhow::Result<(StatusCode, String)> {
    let client: Client<HttpConnector, Body> = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.get(url.clone()).await.with_context(|| format!("{url} could not be reached"))?;
    let status = answer.status();
    let body = to_bytes(Body::new(answer.into_body()), BODY_MAX)
        .await
        .with_context(|| format!("the body of {url} could not be read"))?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

#[expect(clippy::print_stdout, reason = "the answer is this command's output")]
fn print(status: StatusCode, body: &str) {
    println!("{status}\n{}", body.trim_end_matches('\n'));
}
