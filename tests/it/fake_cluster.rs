//! An API server that keeps objects of any kind, in memory: get, list, watch, merge patches and server-side apply, also as
//! dry runs.
//!
//! It believes everything that it is sent. What it is good for is to see what the command line asks and how it takes the
//! answers; what a real API server refuses is tried in `tests/e2e`.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, Method, Request, Response, StatusCode, request::Parts},
};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::cli::{landfall, scratch};

/// What an operator does when an object was written.
type Operator = Box<dyn FnMut(&mut Value) + Send>;

#[derive(Default)]
struct State {
    /// Objects by their path.
    objects: BTreeMap<String, Value>,
    /// What happened, in order; the version is the place in it.
    events: Vec<(String, Value)>,
    operator: Option<Operator>,
    refusals: BTreeMap<String, u16>,
    refused_writes: BTreeMap<String, u16>,
    written: Vec<Written>,
}

/// One request that changed something.
#[derive(Debug, Clone)]
pub struct Written {
    /// The path.
    pub path: String,
    /// The query, with the field manager.
    pub query: String,
    /// The form of the patch.
    pub content_type: String,
    /// What was sent.
    pub body: Value,
}

/// A handle to the server; clones share it.
#[derive(Clone)]
pub struct FakeCluster {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<usize>,
    kubeconfig: PathBuf,
    address: SocketAddr,
}

impl FakeCluster {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A server behind a socket, and a kubeconfig for it whose context has the namespace `shop`.
    pub fn start(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let kubeconfig = kubeconfig(name, &address.to_string());
        let cluster = Self { state: Arc::default(), changed: watch::Sender::new(0), kubeconfig, address };
        let server = cluster.clone();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, server.router()).await.unwrap();
            });
        });
        cluster
    }

    /// The binary with a kubeconfig for this server.
    pub fn landfall(&self, arguments: &[&str]) -> Command {
        let mut command = landfall(arguments);
        command.env("KUBECONFIG", &self.kubeconfig);
        command
    }

    /// Stores an object as somebody else would.
    pub fn put(&self, path: &str, object: Value) {
        self.state.lock().unwrap().put(path, object);
        self.tell();
    }

    /// Changes an object as somebody else would.
    pub fn edit(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.object(path).expect("there is an object to edit");
        change(&mut object);
        self.put(path, object);
    }

    /// An object as stored.
    pub fn object(&self, path: &str) -> Option<Value> {
        self.state.lock().unwrap().objects.get(path).cloned()
    }

    /// What happens to every object that is written from now on.
    pub fn operator(&self, operator: impl FnMut(&mut Value) + Send + 'static) {
        self.state.lock().unwrap().operator = Some(Box::new(operator));
    }

    /// Refuses every request of a path that ends so.
    pub fn refuse(&self, ending: &str, code: u16) {
        self.state.lock().unwrap().refusals.insert(ending.to_owned(), code);
    }

    /// Refuses every write of a path that ends so.
    pub fn refuse_writes(&self, ending: &str, code: u16) {
        self.state.lock().unwrap().refused_writes.insert(ending.to_owned(), code);
    }

    /// All requests that changed something, in their order.
    pub fn written(&self) -> Vec<Written> {
        self.state.lock().unwrap().written.clone()
    }

    /// Waits until somebody watches: from then on a change is seen as one.
    pub fn wait_for_watchers(&self, count: usize) {
        let end = Instant::now() + Duration::from_secs(20);
        while self.changed.receiver_count() < count {
            assert!(Instant::now() < end, "nobody watches");
            thread::yield_now();
        }
    }

    fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    fn router(&self) -> Router {
        let cluster = self.clone();
        Router::new().fallback(move |request: Request<Body>| {
            let cluster = cluster.clone();
            async move { cluster.answer(request).await }
        })
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        let query = parts.uri.query().unwrap_or_default();
        if query.contains("watch=true") && !self.state.lock().unwrap().is_refused(parts.uri.path()) {
            return self.watch(parts.uri.path(), query);
        }
        let response = self.state.lock().unwrap().handle(&parts, &body);
        self.tell();
        response
    }

    fn watch(&self, path: &str, query: &str) -> Response<Body> {
        let from = parameter(query, "resourceVersion").parse().unwrap_or(0);
        let (state, path, query) = (self.state.clone(), path.to_owned(), query.to_owned());
        let events = stream::unfold((from, self.changed.subscribe()), move |(seen, mut changed)| {
            let (state, path, query) = (state.clone(), path.clone(), query.clone());
            async move {
                loop {
                    changed.borrow_and_update();
                    let (lines, end) = state.lock().unwrap().events_after(seen, &path, &query);
                    if end > seen && !lines.is_empty() {
                        return Some((Ok::<_, Infallible>(lines), (end, changed)));
                    }
                    changed.changed().await.ok()?;
                }
            }
        });
        Response::builder().header("content-type", "application/json").body(Body::from_stream(events.boxed())).unwrap()
    }
}

impl State {
    fn handle(&mut self, parts: &Parts, body: &Bytes) -> Response<Body> {
        let path = parts.uri.path();
        let query = parts.uri.query().unwrap_or_default();
        if self.is_refused(path) {
            return refusal(
                self.refusals.iter().find(|(ending, _)| path.ends_with(*ending)).map_or(403, |(_, code)| *code),
                "no",
            );
        }
        match (parts.method.clone(), path) {
            (Method::GET, "/api") => {
                let core =
                    [("services", "Service", "svc"), ("secrets", "Secret", ""), ("namespaces", "Namespace", "ns")];
                json_of(&groups("", "v1", &core))
            }
            (Method::GET, "/apis") => json_of(&groups("apps", "v1", &[("deployments", "Deployment", "deploy")])),
            (Method::POST, _) if path.ends_with("/selfsubjectreviews") => {
                json_of(&json!({"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {},
                                "status": {"userInfo": {"username": "jane"}}}))
            }
            (Method::GET, _) => self.read(path, query),
            (Method::PATCH, _) => self.patch(path, query, &parts.headers, body),
            _ => refusal(405, "not here"),
        }
    }

    fn is_refused(&self, path: &str) -> bool {
        self.refusals.keys().any(|ending| path.ends_with(ending))
    }

    fn read(&self, path: &str, query: &str) -> Response<Body> {
        if let Some(object) = self.objects.get(path) {
            return json_of(object);
        }
        let collection = path.rsplit('/').next().unwrap_or_default();
        let is_collection = path.contains("/v1") && ["s", "es"].iter().any(|end| collection.ends_with(end));
        if !is_collection || path.rsplit('/').nth(1) == Some("deployments") {
            return refusal(404, &format!("\"{collection}\" not found"));
        }
        let items: Vec<_> = self.objects.iter().filter(|(at, object)| selects(path, query, at, object)).collect();
        let items: Vec<_> = items.into_iter().map(|(_, object)| object).collect();
        let version = self.events.len().max(1).to_string();
        json_of(&json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": items}))
    }

    fn patch(&mut self, path: &str, query: &str, headers: &HeaderMap, body: &Bytes) -> Response<Body> {
        let content_type = headers["content-type"].to_str().unwrap().to_owned();
        let sent: Value = serde_json::from_slice(body).unwrap();
        let written = Written { path: path.to_owned(), query: query.to_owned(), content_type, body: sent.clone() };
        let applies = written.content_type.contains("apply");
        self.written.push(written);
        if let Some((_, code)) = self.refused_writes.iter().find(|(ending, _)| path.ends_with(*ending)) {
            return refusal(*code, "no");
        }
        let Some(mut object) = self.objects.get(path).cloned().or_else(|| applies.then(|| json!({}))) else {
            return refusal(404, "not found");
        };
        let before = object.clone();
        merge(&mut object, &sent);
        if query.contains("dryRun=All") {
            return json_of(&object);
        }
        if object != before {
            self.put(path, object.clone());
        }
        let answer = json_of(&self.objects[path]);
        if let Some(operator) = &mut self.operator {
            operator(&mut object);
            self.put(path, object);
        }
        answer
    }

    fn put(&mut self, path: &str, mut object: Value) {
        let version = (self.events.len() + 1).to_string();
        object["metadata"]["resourceVersion"] = json!(version);
        let word = if self.objects.contains_key(path) { "MODIFIED" } else { "ADDED" };
        self.events.push((path.to_owned(), json!({"type": word, "object": object})));
        self.objects.insert(path.to_owned(), object);
    }

    fn events_after(&self, seen: usize, path: &str, query: &str) -> (String, usize) {
        let new = self.events.iter().skip(seen).filter(|(at, event)| selects(path, query, at, &event["object"]));
        (new.fold(String::new(), |text, (_, event)| text + &event.to_string() + "\n"), self.events.len())
    }
}

/// Whether an object is in a collection, and fits its selectors.
fn selects(collection: &str, query: &str, path: &str, object: &Value) -> bool {
    let (prefix, _) = path.rsplit_once('/').unwrap_or_default();
    let mut steps: Vec<_> = prefix.split('/').collect();
    if let Some(at) = steps.iter().position(|step| *step == "namespaces")
        && !collection.contains("/namespaces/")
    {
        steps.drain(at..at + 2);
    }
    let named = parameter(query, "fieldSelector").replace("%3D", "=");
    let labelled = parameter(query, "labelSelector").replace("%3D", "=").replace("%2F", "/");
    let name_fits = named.strip_prefix("metadata.name=").is_none_or(|name| object["metadata"]["name"] == name);
    let label_fits = labelled.split_once('=').is_none_or(|(key, value)| object["metadata"]["labels"][key] == value);
    steps.join("/") == collection && name_fits && label_fits
}

fn parameter<'a>(query: &'a str, name: &str) -> &'a str {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next().unwrap_or_default()
}

fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (key, change) in changes {
        if change.is_null() {
            object.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut object[key], change);
        }
    }
}

/// Discovery of one group with its resources: plural, kind, short name.
fn groups(group: &str, version: &str, resources: &[(&str, &str, &str)]) -> Value {
    let resources: Vec<_> = resources
        .iter()
        .map(|(plural, kind, short)| {
            let scope = if *kind == "Namespace" { "Cluster" } else { "Namespaced" };
            json!({"resource": plural, "singularResource": kind.to_lowercase(), "scope": scope, "shortNames": [short],
                   "responseKind": {"group": group, "version": version, "kind": kind}, "verbs": ["get", "patch"]})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {},
           "items": [{"metadata": {"name": group}, "versions": [{"version": version, "resources": resources}]}]})
}

fn json_of(value: &Value) -> Response<Body> {
    Response::builder().header("content-type", "application/json").body(Body::from(value.to_string())).unwrap()
}

fn refusal(code: u16, message: &str) -> Response<Body> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "code": code, "reason": if code == 404 { "NotFound" } else { "Forbidden" }, "message": message,
    });
    let mut response = json_of(&status);
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}

fn kubeconfig(name: &str, address: &str) -> PathBuf {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "test", "user": {"token": "s3cret-token"}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "shop"}}],
    });
    let path = scratch(&format!("cluster-{name}.kubeconfig"));
    fs::write(&path, config.to_string()).unwrap();
    path
}
