//! A Deployment and its parts as a picture. Pure.

use std::collections::BTreeSet;

use anstyle::Style;
use kube::{ResourceExt, api::DynamicObject};
use serde_json::Value;

use super::{
    picture::{Line, Node, bar},
    report,
    world::{Source, World},
};
use crate::{
    api::{
        NO_REVISION, POD_HASH_LABEL, REVISION_LABEL, SELECTS_ANNOTATION,
        deployment::Deployment,
        deployment_status::{CheckPhase, CheckStatus, DeploymentStatus, RevisionRef},
    },
    cli::{
        objects::short_span,
        terminal::{BAD, BUSY, FAINT, GOOD, STRONG, style_of},
    },
};

/// As many instances of a set are shown one by one; those that are not ready come first.
const PODS_MAX: usize = 8;

/// The whole picture.
pub fn picture(world: &World) -> Vec<Line> {
    let Some(deployment) = &world.deployment else { return Vec::new() };
    let status = deployment.status.clone().unwrap_or_default();
    let mut lines = head(deployment, &status);
    lines.push(Line::default());
    lines.extend(tree(world, deployment, &status).lines());
    lines.extend(tail(&status));
    lines.extend(world.notes.iter().map(|note| Line::default().then(FAINT, format!("note: {note}"))));
    lines
}

fn head(deployment: &Deployment, status: &DeploymentStatus) -> Vec<Line> {
    let progress = status.progress.clone().unwrap_or_default();
    let style = status.phase.map_or(BUSY, style_of);
    let percentage = progress.percentage;
    let mut first = Line::default()
        .then(STRONG, deployment.name_any())
        .then(style, format!("  {}  {}", report::phase(status), bar(percentage)))
        .then(Style::new(), format!(" {percentage}%"));
    if let Some(step) = &status.current_step {
        first = first.then(FAINT, format!("  step {} of {}, {}", step.number, progress.total_steps, step.action));
    }
    let details = status.current_step.as_ref().and_then(|step| step.details.clone());
    let waiting = status.waiting_for.as_ref().map(|sentence| format!("waiting for: {sentence}"));
    let pending = status.pending_changes.filter(|pending| *pending);
    let pending = pending.map(|_| "the spec was changed since; the change waits for the next run".to_owned());
    let mut lines = vec![first];
    lines.extend([details, waiting, pending].into_iter().flatten().map(|text| Line::new(format!("  {text}"))));
    lines
}

fn tree(world: &World, deployment: &Deployment, status: &DeploymentStatus) -> Node {
    let mut inside: Vec<_> = revisions(world, status).iter().map(|seen| revision(world, seen)).collect();
    inside.extend(world.all(Source::Service).map(service));
    inside.extend(world.all(Source::HttpRoute).chain(world.all(Source::GrpcRoute)).map(route));
    let namespace = deployment.namespace().unwrap_or_default();
    let health = status.health.map(|health| format!(", {health}")).unwrap_or_default();
    Node { line: Line::new(format!("Deployment {namespace}/{}{health}", deployment.name_any())), inside }
}

/// A revision, and what it is at the moment.
struct Seen {
    hash: String,
    words: String,
    style: Style,
}

/// The candidate, the stable revision, and others that still have pods.
fn revisions(world: &World, status: &DeploymentStatus) -> Vec<Seen> {
    let named = status.revision.clone().unwrap_or_default();
    let traffic = status.traffic.clone().unwrap_or_default();
    let seen = |side: RevisionRef, role: &str, share: String, style| Seen {
        words: format!("revision {} {}, {role}, {share}%", side.hash, side.version),
        hash: side.hash,
        style,
    };
    let same = named.stable.as_ref().map(|stable| &stable.hash) == named.candidate.as_ref().map(|one| &one.hash);
    let candidate = named.candidate.filter(|_| !same);
    let mut all: Vec<_> =
        candidate.map(|one| seen(one, "candidate", traffic.candidate.to_string(), BUSY)).into_iter().collect();
    all.extend(named.stable.map(|one| seen(one, "stable", traffic.stable.to_string(), GOOD)));
    let others: BTreeSet<_> = world.all(Source::ReplicaSet).map(revision_of).collect();
    let others: Vec<_> = others.into_iter().filter(|hash| all.iter().all(|seen| seen.hash != *hash)).collect();
    all.extend(others.into_iter().map(|hash| Seen { words: format!("revision {hash}"), hash, style: FAINT }));
    all
}

fn revision_of(object: &DynamicObject) -> String {
    object.labels().get(REVISION_LABEL).cloned().unwrap_or_default()
}

fn revision(world: &World, seen: &Seen) -> Node {
    let sets = world.all(Source::ReplicaSet).filter(|set| revision_of(set) == seen.hash);
    let inside = sets.map(|set| replica_set(world, set)).collect();
    Node { line: Line::default().then(seen.style, &*seen.words), inside }
}

fn replica_set(world: &World, set: &DynamicObject) -> Node {
    let number = |pointer: &str| set.data.pointer(pointer).and_then(Value::as_i64).unwrap_or_default();
    let (wanted, ready) = (number("/spec/replicas"), number("/status/readyReplicas"));
    let style = if ready >= wanted { GOOD } else { BUSY };
    let line = Line::new(format!("ReplicaSet {} ", set.name_any())).then(style, format!("{ready}/{wanted} ready"));
    let owned = |pod: &&DynamicObject| pod.owner_references().iter().any(|owner| owner.name == set.name_any());
    let mut pods: Vec<_> = world.all(Source::Pod).filter(owned).map(Instance::of).collect();
    pods.sort_by_key(|pod| (pod.is_ready, pod.name.clone()));
    let hidden = pods.len().saturating_sub(PODS_MAX);
    let mut inside: Vec<_> = pods.iter().take(PODS_MAX).map(Instance::node).collect();
    if hidden > 0 {
        inside.push(Node::leaf(Line::default().then(FAINT, format!("and {hidden} more"))));
    }
    Node { line, inside }
}

/// One pod.
struct Instance {
    name: String,
    is_ready: bool,
    words: String,
}

impl Instance {
    fn of(pod: &DynamicObject) -> Self {
        let status = &pod.data["status"];
        let conditions = status["conditions"].as_array().into_iter().flatten();
        let is_ready = conditions.into_iter().any(|one| one["type"] == "Ready" && one["status"] == "True");
        let containers = || status["containerStatuses"].as_array().into_iter().flatten();
        let restarts: i64 = containers().filter_map(|one| one["restartCount"].as_i64()).sum();
        let trouble = containers().find_map(|one| one.pointer("/state/waiting/reason")?.as_str());
        let phase = status["phase"].as_str().unwrap_or("Unknown");
        let words = match (pod.metadata.deletion_timestamp.is_some(), is_ready) {
            (true, _) => "terminating".to_owned(),
            (false, true) => "ready".to_owned(),
            (false, false) => trouble.unwrap_or(phase).to_owned(),
        };
        let words = if restarts > 0 { format!("{words}, {restarts} restarts") } else { words };
        Self { name: pod.name_any(), is_ready, words }
    }

    fn node(&self) -> Node {
        let style = if self.is_ready { GOOD } else { BUSY };
        Node::leaf(Line::new(format!("Pod {} ", self.name)).then(style, &*self.words))
    }
}

fn service(service: &DynamicObject) -> Node {
    let selected = service.data.pointer("/spec/selector").and_then(|selector| selector.get(POD_HASH_LABEL));
    let several = || service.annotations().get(SELECTS_ANNOTATION).cloned().unwrap_or_default();
    let target = match selected.and_then(Value::as_str) {
        Some(NO_REVISION) => "nothing".to_owned(),
        Some(hash) => hash.to_owned(),
        None => several(),
    };
    let target = if target.is_empty() { "nothing".to_owned() } else { target };
    Node::leaf(Line::new(format!("Service {}", service.name_any())).then(FAINT, format!(" selects {target}")))
}

fn route(route: &DynamicObject) -> Node {
    let kind = route.types.as_ref().map_or("Route", |types| types.kind.as_str());
    let rules = route.data.pointer("/spec/rules").and_then(Value::as_array).into_iter().flatten();
    let mut shares: Vec<_> = rules.map(shares).filter(|text| !text.is_empty()).collect();
    shares.dedup();
    let line = Line::new(format!("{kind} {} ", route.name_any()));
    match shares.as_slice() {
        [only] => Node::leaf(line.then(STRONG, &**only)),
        _ => {
            Node { line, inside: shares.iter().map(|text| Node::leaf(Line::default().then(STRONG, &**text))).collect() }
        }
    }
}

/// The shares of one rule in percent.
fn shares(rule: &Value) -> String {
    let backends: Vec<_> = rule["backendRefs"].as_array().into_iter().flatten().collect();
    let weight = |backend: &Value| backend["weight"].as_i64().unwrap_or(1).max(0);
    let sum = backends.iter().fold(0, |sum: i64, backend| sum.saturating_add(weight(backend)));
    let share = |backend: &&Value| {
        let points = weight(backend).saturating_mul(10_000).checked_div(sum).unwrap_or_default();
        let text = format!("{}.{:02}", points / 100, points % 100);
        let text = text.trim_end_matches('0').trim_end_matches('.');
        format!("{} {text}%", backend["name"].as_str().unwrap_or_default())
    };
    backends.iter().map(share).collect::<Vec<_>>().join(", ")
}

/// Checks, what went wrong, and the run before.
fn tail(status: &DeploymentStatus) -> Vec<Line> {
    let mut lines = Vec::new();
    if !status.checks.is_empty() {
        let inside = status.checks.iter().map(|check| Node::leaf(check_line(check))).collect();
        lines.extend(Node { line: Line::new("Checks"), inside }.lines());
    }
    if let Some(error) = &status.error {
        let step = error.step.map(|step| format!(" in step {step}")).unwrap_or_default();
        lines.push(Line::default().then(BAD, format!("Error {}{step}: {}", error.code, error.message)));
        lines.extend(error.details.as_ref().map(|details| Line::default().then(FAINT, format!("  {details}"))));
    }
    if let Some(last) = status.history.first() {
        let took = last.run.duration_ms.map(|ms| format!(" in {}", short_span(ms / 1_000))).unwrap_or_default();
        let by = last.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        let line = Line::default().then(FAINT, format!("Last run {}: {} ", last.run.id, last.revision.version));
        lines.push(line.then(style_of(last.phase), last.phase.to_string()).then(FAINT, format!("{took}{by}")));
    }
    lines
}

fn check_line(check: &CheckStatus) -> Line {
    let style = match check.phase {
        CheckPhase::Passed => GOOD,
        CheckPhase::Failed => BAD,
        _ => BUSY,
    };
    let value = check.value.as_ref().map(|value| format!(", last value {value}")).unwrap_or_default();
    let message = check.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
    let counts = format!(" {} ok, {} failed{value}{message}", check.successes, check.failures);
    Line::new(format!("{} ", check.name)).then(style, check.phase.to_string()).then(FAINT, counts)
}
