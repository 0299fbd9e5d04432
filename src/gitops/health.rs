//! Whether a live object has become what its spec asks for, by the rules that other programs have too (kstatus).
//!
//! Where those rules are lenient, these are not: a Job has to complete, and a Service that wants an address from outside has to
//! get one.

use serde_json::Value;

use crate::api::{GROUP, deployment_status::Phase};

/// How an object stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It is what its spec asks for.
    Current,
    /// It is on its way; what it waits for.
    InProgress(String),
    /// It will not get there by itself; why.
    Failed(String),
    /// It is not there.
    Gone,
}

impl Health {
    /// What is to be said of it, unless all is well.
    pub fn sentence(&self) -> Option<&str> {
        match self {
            Self::Current => None,
            Self::InProgress(sentence) | Self::Failed(sentence) => Some(sentence),
            Self::Gone => Some("it is not there"),
        }
    }
}

type Rule = fn(&Live<'_>) -> Health;

/// The kinds that have rules of their own.
const RULES: &[(&str, &str, Rule)] = &[
    ("apps", "Deployment", deployment),
    ("apps", "StatefulSet", stateful_set),
    ("apps", "DaemonSet", daemon_set),
    ("apps", "ReplicaSet", replica_set),
    ("batch", "Job", job),
    ("", "Pod", pod),
    ("", "PersistentVolumeClaim", claim),
    ("", "Service", service),
    ("", "Namespace", namespace),
    ("apiextensions.k8s.io", "CustomResourceDefinition", definition),
    ("apiregistration.k8s.io", "APIService", available),
    (GROUP, "Deployment", rollout),
    (GROUP, "Package", package),
];

/// Judges an object as the cluster has it; none where there is none.
pub fn health(live: Option<&Value>) -> Health {
    let Some(object) = live else { return Health::Gone };
    let live = Live(object);
    let (group, kind) = (live.text("/apiVersion").rsplit_once('/').map_or("", |(group, _)| group), live.text("/kind"));
    let own = RULES.iter().find(|(g, k, _)| (*g, *k) == (group, kind)).map(|(_, _, rule)| rule);
    unobserved(&live).unwrap_or_else(|| own.map_or_else(|| conditions(&live), |rule| rule(&live)))
}

fn waits(sentence: impl Into<String>) -> Health {
    Health::InProgress(sentence.into())
}

fn fails(sentence: impl Into<String>) -> Health {
    Health::Failed(sentence.into())
}

/// A live object and ways to look at it.
struct Live<'o>(&'o Value);

impl<'o> Live<'o> {
    fn text(&self, pointer: &str) -> &'o str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    fn number(&self, pointer: &str) -> Option<i64> {
        self.0.pointer(pointer).and_then(Value::as_i64)
    }

    fn count(&self, field: &str) -> i64 {
        self.number(&format!("/status/{field}")).unwrap_or(0)
    }

    fn list(&self, pointer: &str) -> &'o [Value] {
        self.0.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The instances that the spec asks for.
    fn replicas(&self) -> i64 {
        self.number("/spec/replicas").unwrap_or(1)
    }

    fn condition(&self, kind: &str) -> Option<Condition<'o>> {
        let found = self.list("/status/conditions").iter().find(|condition| condition["type"] == kind)?;
        let text = |key: &str| found.get(key).and_then(Value::as_str).unwrap_or_default();
        Some(Condition { status: text("status"), reason: text("reason"), message: text("message") })
    }

    /// The condition, where it has this status.
    fn says(&self, kind: &str, status: &str) -> Option<Condition<'o>> {
        self.condition(kind).filter(|condition| condition.status == status)
    }
}

struct Condition<'o> {
    status: &'o str,
    reason: &'o str,
    message: &'o str,
}

impl Condition<'_> {
    /// What it says: its message, or its reason where it has none.
    fn words(&self, otherwise: &str) -> String {
        let words = [self.message, self.reason, otherwise].into_iter().find(|words| !words.is_empty());
        words.unwrap_or(otherwise).to_owned()
    }
}

/// What is said of an object that nobody has looked at since it changed, or that goes.
fn unobserved(live: &Live<'_>) -> Option<Health> {
    if !live.text("/metadata/deletionTimestamp").is_empty() {
        return Some(waits("it is being deleted"));
    }
    let (generation, observed) = (live.number("/metadata/generation")?, live.number("/status/observedGeneration")?);
    (generation != observed).then(|| waits("its controller has not seen the last change yet"))
}

/// What conditions say that everybody uses.
fn conditions(live: &Live<'_>) -> Health {
    if let Some(stalled) = live.says("Stalled", "True") {
        return fails(stalled.words("it is stalled"));
    }
    if let Some(reconciling) = live.says("Reconciling", "True") {
        return waits(reconciling.words("work is under way"));
    }
    match live.condition("Ready").filter(|ready| ready.status != "True") {
        Some(ready) => waits(ready.words("it is not ready")),
        None => Health::Current,
    }
}

/// Whether a controller that always writes what it has seen has written it.
fn is_observed(live: &Live<'_>) -> bool {
    live.number("/status/observedGeneration").is_some() || live.number("/metadata/generation").is_none()
}

const UNSEEN: &str = "its controller has not looked at it yet";

/// The first count that is not what it has to be: so many there are, so many are wanted, and what they are.
fn counted(counts: &[(i64, i64, &str)]) -> Option<Health> {
    let (there, wanted, what) = counts.iter().find(|(there, wanted, _)| there < wanted)?;
    Some(waits(format!("{there} of {wanted} instances are {what}")))
}

fn deployment(live: &Live<'_>) -> Health {
    if let Some(late) = live.condition("Progressing").filter(|one| one.reason == "ProgressDeadlineExceeded") {
        return fails(late.words("its progress deadline has passed"));
    }
    if !is_observed(live) {
        return waits(UNSEEN);
    }
    let (wanted, updated) = (live.replicas(), live.count("updatedReplicas"));
    if let Some(missing) = counted(&[(updated, wanted, "of the wanted template")]) {
        return missing;
    }
    let former = live.count("replicas") - updated;
    if former > 0 {
        return waits(format!("{former} instances of the former template are still there"));
    }
    let counts =
        [(live.count("readyReplicas"), wanted, "ready"), (live.count("availableReplicas"), wanted, "available")];
    let unavailable = || live.says("Available", "False").map(|one| waits(one.words("it is not available")));
    counted(&counts).or_else(unavailable).unwrap_or(Health::Current)
}

fn stateful_set(live: &Live<'_>) -> Health {
    if !is_observed(live) {
        return waits(UNSEEN);
    }
    let wanted = live.replicas();
    let there = [(live.count("replicas"), wanted, "there"), (live.count("readyReplicas"), wanted, "ready")];
    if let Some(missing) = counted(&there) {
        return missing;
    }
    if live.count("replicas") > wanted {
        return waits(format!("{} instances are too many", live.count("replicas") - wanted));
    }
    // Whoever deletes its pods by hand decides when they are updated.
    if live.text("/spec/updateStrategy/type") == "OnDelete" {
        return Health::Current;
    }
    let held = live.number("/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0).clamp(0, wanted);
    let (now, next) = (live.text("/status/currentRevision"), live.text("/status/updateRevision"));
    let updated = if held == 0 && now == next { wanted } else { live.count("updatedReplicas") };
    let rolling = (held == 0 && now != next && updated >= wanted).then(|| waits("its update is not finished"));
    counted(&[(updated, wanted - held, "of the wanted template")]).or(rolling).unwrap_or(Health::Current)
}

fn daemon_set(live: &Live<'_>) -> Health {
    if !is_observed(live) || live.number("/status/desiredNumberScheduled").is_none() {
        return waits(UNSEEN);
    }
    let wanted = live.count("desiredNumberScheduled");
    let by_hand = live.text("/spec/updateStrategy/type") == "OnDelete";
    let updated = if by_hand { wanted } else { live.count("updatedNumberScheduled") };
    counted(&[
        (live.count("currentNumberScheduled"), wanted, "there"),
        (updated, wanted, "of the wanted template"),
        (live.count("numberReady"), wanted, "ready"),
        (live.count("numberAvailable"), wanted, "available"),
    ])
    .unwrap_or(Health::Current)
}

fn replica_set(live: &Live<'_>) -> Health {
    if !is_observed(live) {
        return waits(UNSEEN);
    }
    if let Some(failure) = live.says("ReplicaFailure", "True") {
        return waits(failure.words("its pods cannot be made"));
    }
    let wanted = live.replicas();
    if live.count("replicas") > wanted {
        return waits(format!("{} instances are too many", live.count("replicas") - wanted));
    }
    counted(&[
        (live.count("replicas"), wanted, "there"),
        (live.count("readyReplicas"), wanted, "ready"),
        (live.count("availableReplicas"), wanted, "available"),
    ])
    .unwrap_or(Health::Current)
}

fn job(live: &Live<'_>) -> Health {
    if live.says("Complete", "True").is_some() {
        return Health::Current;
    }
    if let Some(failed) = live.says("Failed", "True") {
        return fails(failed.words("it failed"));
    }
    if live.0.pointer("/spec/suspend") == Some(&Value::Bool(true)) {
        return Health::Current;
    }
    let (active, failed) = (live.count("active"), live.count("failed"));
    waits(format!("it has not completed: {active} pods are at work, {failed} failed"))
}

fn pod(live: &Live<'_>) -> Health {
    match live.text("/status/phase") {
        "Succeeded" => Health::Current,
        "Failed" => fails(first(&[live.text("/status/message"), live.text("/status/reason"), "it failed"])),
        "Running" if live.says("Ready", "True").is_some() => Health::Current,
        phase => waiting_container(live).unwrap_or_else(|| {
            let held = live.says("PodScheduled", "False").map(|one| one.words("no node takes it"));
            waits(held.unwrap_or_else(|| first(&[&phase.to_lowercase(), UNSEEN])))
        }),
    }
}

/// A container that is started again and again, or whose image cannot be named so.
fn waiting_container(live: &Live<'_>) -> Option<Health> {
    let lists = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let statuses = lists.into_iter().flat_map(|list| live.list(list));
    let reason = |status: &Value| status.pointer("/state/waiting/reason").and_then(Value::as_str).map(str::to_owned);
    let named = |status: &Value| Some((status["name"].as_str()?.to_owned(), reason(status)?));
    let (name, reason) = statuses.filter_map(named).find(|(_, reason)| HOPELESS.contains(&reason.as_str()))?;
    Some(fails(format!("its container {name} does not start: {reason}")))
}

const HOPELESS: [&str; 2] = ["CrashLoopBackOff", "InvalidImageName"];

fn first(words: &[&str]) -> String {
    words.iter().find(|words| !words.is_empty()).copied().unwrap_or_default().to_owned()
}

fn claim(live: &Live<'_>) -> Health {
    match live.text("/status/phase") {
        "Bound" => Health::Current,
        "Lost" => fails("its volume is lost"),
        _ => waits("it has no volume yet"),
    }
}

fn service(live: &Live<'_>) -> Health {
    if live.text("/spec/type") == "LoadBalancer" && live.list("/status/loadBalancer/ingress").is_empty() {
        return waits("it has no address from outside yet");
    }
    Health::Current
}

fn namespace(live: &Live<'_>) -> Health {
    if live.text("/status/phase") == "Active" { Health::Current } else { waits("it is not active") }
}

fn definition(live: &Live<'_>) -> Health {
    if let Some(refused) = live.says("NamesAccepted", "False") {
        return fails(refused.words("its names are taken"));
    }
    match live.condition("Established") {
        Some(condition) if condition.status == "True" => Health::Current,
        Some(condition) => waits(condition.words("it is not established")),
        None => waits("it is not established"),
    }
}

fn available(live: &Live<'_>) -> Health {
    match live.condition("Available") {
        Some(condition) if condition.status == "True" => Health::Current,
        Some(condition) => waits(condition.words("it is not available")),
        None => waits("it is not available"),
    }
}

/// A Deployment of Landfall: the outcome of the rollout is the outcome of the commit.
fn rollout(live: &Live<'_>) -> Health {
    if !is_observed(live) {
        return waits(UNSEEN);
    }
    let phase = live.0.pointer("/status/phase").and_then(|phase| serde_json::from_value(phase.clone()).ok());
    let ready = live.condition("Ready").map(|one| one.words("")).unwrap_or_default();
    let why = |otherwise| first(&[live.text("/status/error/message"), &ready, otherwise]);
    match phase {
        Some(Phase::Succeeded | Phase::Stopped) => Health::Current,
        Some(Phase::Failed) => fails(why("the run failed")),
        Some(Phase::RolledBack) => fails(why("the run failed, and the former revision runs again")),
        Some(Phase::Cancelled) => fails(why("a person ended the run")),
        _ => match live.says("Stalled", "True") {
            Some(stalled) => fails(stalled.words("it is stalled")),
            None => waits(first(&[live.text("/status/waitingFor"), &ready, UNSEEN])),
        },
    }
}

fn package(live: &Live<'_>) -> Health {
    match live.text("/status/phase") {
        "Ready" => Health::Current,
        "Failed" => fails(first(&[live.text("/status/error"), "it cannot be used"])),
        _ => waits(first(&[live.text("/status/error"), UNSEEN])),
    }
}
