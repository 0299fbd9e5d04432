//! What a Deployment does with all that people give it, on the real cluster, with packages as small as they can be.

mod commands;
mod config;
mod endings;
mod input;
mod life;
mod others;
mod records;
mod routes;
mod tenancy;
mod wishes;

use landfall::api::{
    condition::{ConditionReason, ConditionStatus, ConditionType},
    deployment_status::{DeploymentStatus, Phase},
};
use serde_json::{Value, json};

use crate::stage::{Stage, manifests};

/// Half of the traffic, then a person.
const GATE: &str = "{scaleDownDelay: 0s, canary: {steps: [{weight: 50}, {pause: {}}]}}";

/// No gate and no wait.
const SWIFT: &str = "{scaleDownDelay: 0s, canary: {steps: [{weight: 50}]}}";

/// A stage without a router: what does not need one is quicker.
async fn plain_stage(test: &str, strategy: &str) -> Stage {
    let stage = Stage::new(test).await;
    stage.apply(&manifests::profile_without_router(strategy)).await;
    stage
}

/// The Package `web` of a version with these manifests.
fn package(version: &str, manifests: &[Value]) -> String {
    named_package("web", version, manifests)
}

fn named_package(name: &str, version: &str, manifests: &[Value]) -> String {
    json!({
        "apiVersion": "landfall.dev/v1alpha1",
        "kind": "Package",
        "metadata": {"name": format!("{name}-{version}")},
        "spec": {
            "name": name,
            "version": version,
            "workload": {"manifests": manifests, "allowPlainSecrets": true},
        },
    })
    .to_string()
}

/// A workload that says this version; its pods take no time to end.
fn workload(name: &str, version: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{
                        "name": "app",
                        "image": "localhost/landfall:dev",
                        "imagePullPolicy": "IfNotPresent",
                        "args": ["sample", "serve", format!("--version={version}")],
                        "ports": [{"name": "http", "containerPort": 8080}],
                        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
                        "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}},
                    }],
                },
            },
        },
    })
}

fn service(name: &str, app: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": app}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
    })
}

fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value}})
}

/// The smallest package that serves.
fn small(version: &str) -> Vec<Value> {
    vec![workload("web", version, 1), service("web", "web")]
}

/// As [`small`], with more.
fn small_with(version: &str, more: impl IntoIterator<Item = Value>) -> Vec<Value> {
    small(version).into_iter().chain(more).collect()
}

/// Brings a first version to the end.
async fn settled(stage: &Stage, version: &str, manifests: &[Value]) -> DeploymentStatus {
    stage.apply(&package(version, manifests)).await;
    stage.want(version).await;
    let end = stage.ended().await;
    assert_eq!(end.phase, Some(Phase::Succeeded), "{end:?}");
    end
}

/// The message of a condition that has this status and reason.
fn condition(
    status: &DeploymentStatus,
    about: ConditionType,
    value: ConditionStatus,
) -> Option<(ConditionReason, &str)> {
    let found = status.conditions.iter().find(|condition| condition.type_ == about && condition.status == value)?;
    Some((found.reason, &found.message))
}

/// Waits until it is stalled for this reason, and returns the sentence.
async fn stalled(stage: &Stage, reason: ConditionReason) -> String {
    let is = |status: &DeploymentStatus| {
        condition(status, ConditionType::Stalled, ConditionStatus::True).is_some_and(|(why, _)| why == reason)
    };
    let status = stage.until(&format!("stall for {reason:?}"), is).await;
    let ready = condition(&status, ConditionType::Ready, ConditionStatus::False);
    assert!(ready.is_some_and(|(why, _)| why == reason), "{:?}", status.conditions);
    let message = ready.map_or("", |(_, message)| message);
    format!("{} {message}", status.waiting_for.as_deref().unwrap_or_default())
}

/// Waits until what it waits for has these words in it.
async fn waits_for(stage: &Stage, words: &str) -> DeploymentStatus {
    stage
        .until(&format!("wait for {words}"), |status| {
            status.waiting_for.as_deref().is_some_and(|sentence| sentence.contains(words))
        })
        .await
}

/// The version of the stable revision.
fn runs(status: &DeploymentStatus) -> String {
    let stable = status.revision.as_ref().and_then(|revision| revision.stable.as_ref());
    stable.map(|stable| stable.version.clone()).unwrap_or_default()
}

/// Waits for the gate of the run under way.
async fn at_gate(stage: &Stage) -> DeploymentStatus {
    stage.until("gate", |status| status.phase == Some(Phase::Paused)).await
}
