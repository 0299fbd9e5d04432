//! `/livez`, `/readyz` and `/metrics`.
//!
//! They answer from memory. A probe that asked the API server would restart every replica when the API server is slow.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{sync::watch, time::Instant};

use super::health::Health;
use crate::{
    cluster::store::Store,
    telemetry::metrics::{Metrics, OPEN_METRICS},
};

/// What the handlers read.
#[derive(Clone)]
pub struct Probes {
    /// The state of the control loop.
    pub health: watch::Receiver<Health>,
    /// The process's metrics.
    pub metrics: Arc<Metrics>,
    /// What is seen of the cluster; empty in a replica that does not lead.
    pub store: Store,
}

/// The routes of an operator process.
pub fn router(probes: Probes) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(probes)
}

async fn livez(State(probes): State<Probes>) -> Response {
    answer(probes.health.borrow().live(Instant::now()).map(ToOwned::to_owned))
}

async fn readyz(State(probes): State<Probes>) -> Response {
    let state = probes.health.borrow().ready(Instant::now());
    // Another replica could list no more, and one that is not ready is not asked for its metrics: it is only said.
    let lacks = probes.store.refusals();
    let lacks = lacks.iter().map(|(part, cause)| format!("the {} may not be listed: {cause}", part.word()));
    answer(state.map(|word| [word.to_owned()].into_iter().chain(lacks).collect::<Vec<_>>().join("\n")))
}

async fn metrics(State(probes): State<Probes>) -> Response {
    probes.metrics.lists_refused(&probes.store.refusals().into_keys().collect());
    match probes.metrics.encode() {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

fn answer(state: Result<String, String>) -> Response {
    match state {
        Ok(word) => (StatusCode::OK, format!("{word}\n")).into_response(),
        Err(sentence) => (StatusCode::SERVICE_UNAVAILABLE, format!("{sentence}\n")).into_response(),
    }
}
