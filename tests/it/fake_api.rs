//! An API server that knows one Lease, in memory, with optimistic concurrency and faults on demand.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request, Response, StatusCode},
};
use kube::Client;
use serde_json::{Value, json};
use tower::BoxError;

/// What happens to one request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The connection breaks before the request has an effect.
    Break,
    /// No answer, no effect.
    Hang,
    /// The request has its effect, and no answer arrives.
    LoseAnswer,
    /// Somebody else changes the Lease just before: this one becomes its holder.
    Overtake(&'static str),
    /// The API server says no.
    Refuse(u16, &'static str),
}

#[derive(Default)]
struct State {
    lease: Option<Value>,
    version: u64,
    faults: VecDeque<Option<Fault>>,
    always: Option<Fault>,
    requests: Vec<String>,
}

/// A handle to the server; clones share it.
#[derive(Clone, Default)]
pub struct FakeApi(Arc<Mutex<State>>);

impl FakeApi {
    /// A client that talks to this server without a socket.
    pub fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let api = api.clone();
            async move {
                let (parts, body) = request.into_parts();
                api.answer(Request::from_parts(parts, Body::new(body))).await
            }
        });
        Client::new(service, "default")
    }

    /// The same server as routes, for a listener.
    pub fn router(&self) -> Router {
        let api = self.clone();
        Router::new().fallback(move |request: Request<Body>| async move {
            api.answer(request).await.unwrap_or_else(|error| text(StatusCode::BAD_GATEWAY, &error.to_string()))
        })
    }

    /// The next requests, one each; `None` is a request without a fault.
    pub fn next(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.0.lock().unwrap().faults.extend(faults);
    }

    /// Every request from now on, or none.
    pub fn always(&self, fault: Option<Fault>) {
        self.0.lock().unwrap().always = fault;
    }

    /// The Lease as stored.
    pub fn lease(&self) -> Option<Value> {
        self.0.lock().unwrap().lease.clone()
    }

    /// The holder as stored.
    pub fn holder(&self) -> Option<String> {
        self.lease()?["spec"]["holderIdentity"].as_str().map(str::to_owned)
    }

    /// Stores a Lease, or none, as somebody else would.
    pub fn store(&self, lease: Option<Value>) {
        let mut state = self.0.lock().unwrap();
        state.lease = None;
        if let Some(lease) = lease {
            state.put(lease);
        }
    }

    /// Changes the Lease as somebody else would.
    pub fn edit(&self, change: impl FnOnce(&mut Value)) {
        let mut lease = self.lease().expect("there is a Lease to edit");
        change(&mut lease);
        self.store(Some(lease));
    }

    /// The methods of all requests since the last call.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().requests)
    }

    async fn answer(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, 1 << 20).await?;
        let fault = self.fault_for(&parts.method);
        match fault {
            Some(Fault::Break) => return Err("connection reset by peer".into()),
            Some(Fault::Hang) => return never().await,
            Some(Fault::Refuse(code, reason)) => return Ok(refusal(code, reason, "not allowed")),
            Some(Fault::Overtake(holder)) => self.edit_or_create(holder),
            Some(Fault::LoseAnswer) | None => {}
        }
        let response = self.0.lock().unwrap().handle(&parts.method, parts.uri.path(), &body);
        if matches!(fault, Some(Fault::LoseAnswer)) { never().await } else { Ok(response) }
    }

    fn fault_for(&self, method: &Method) -> Option<Fault> {
        let mut state = self.0.lock().unwrap();
        state.requests.push(method.to_string());
        let always = state.always.clone();
        state.faults.pop_front().flatten().or(always)
    }

    fn edit_or_create(&self, holder: &str) {
        let lease = self.lease().unwrap_or_else(|| lease_held_by(holder));
        self.store(Some(lease));
        self.edit(|lease| lease["spec"]["holderIdentity"] = json!(holder));
    }
}

impl State {
    fn handle(&mut self, method: &Method, path: &str, body: &[u8]) -> Response<Body> {
        let collection = "/apis/coordination.k8s.io/v1/namespaces/landfall-system/leases";
        let object = format!("{collection}/landfall");
        match (method, path == object, path == collection) {
            (&Method::GET, true, _) => match &self.lease {
                Some(lease) => text(StatusCode::OK, &lease.to_string()),
                None => refusal(404, "NotFound", "leases \"landfall\" not found"),
            },
            (&Method::POST, _, true) if self.lease.is_some() => refusal(409, "AlreadyExists", "it exists"),
            (&Method::POST, _, true) => self.put(serde_json::from_slice(body).unwrap()),
            (&Method::PUT, true, _) => self.replace(serde_json::from_slice(body).unwrap()),
            _ => refusal(404, "NotFound", "no such path"),
        }
    }

    fn replace(&mut self, new: Value) -> Response<Body> {
        let version = |lease: &Value| lease["metadata"]["resourceVersion"].as_str().map(str::to_owned);
        match &self.lease {
            None => refusal(404, "NotFound", "it is gone"),
            Some(_) if version(&new).is_none() => refusal(422, "Invalid", "a replace must carry a resourceVersion"),
            Some(old) if version(old) != version(&new) => refusal(409, "Conflict", "the object has been modified"),
            Some(_) => self.put(new),
        }
    }

    fn put(&mut self, mut lease: Value) -> Response<Body> {
        self.version += 1;
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.lease = Some(lease.clone());
        text(StatusCode::OK, &lease.to_string())
    }
}

/// A Lease of another replica, ten seconds long, with times that no clock of a test agrees with.
pub fn lease_held_by(holder: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "landfall", "namespace": "landfall-system", "labels": {"kept": "yes"}},
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": 10,
            "acquireTime": "2001-01-01T00:00:00.000000Z",
            "renewTime": "2001-01-01T00:00:00.000000Z",
            "leaseTransitions": 4,
        },
    })
}

async fn never() -> Result<Response<Body>, BoxError> {
    tokio::time::sleep(Duration::from_hours(1)).await;
    Err("nobody waits that long".into())
}

fn refusal(code: u16, reason: &str, message: &str) -> Response<Body> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": message,
    });
    text(StatusCode::from_u16(code).unwrap(), &status.to_string())
}

fn text(status: StatusCode, body: &str) -> Response<Body> {
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(Body::from(body.to_owned())).unwrap()
}
