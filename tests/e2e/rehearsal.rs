//! Rehearsals: they say what would happen and what would be refused, and touch nothing.

use landfall::api::{
    condition::{ConditionReason, ConditionStatus, ConditionType},
    deployment_status::{DeploymentStatus, Phase},
};
use serde_json::json;

use crate::stage::{Stage, manifests};

const FAST: &str = "{scaleDownDelay: 0s, canary: {steps: [{weight: 50}, {pause: {duration: 1s}}]}}";

/// A condition's status, reason and message.
fn condition(status: &DeploymentStatus, about: ConditionType) -> (ConditionStatus, ConditionReason, String) {
    let found = status.conditions.iter().find(|condition| condition.type_ == about).expect("all conditions are there");
    (found.status, found.reason, found.message.clone())
}

fn is_rehearsed(status: &DeploymentStatus) -> bool {
    let (ready, reason, _) = condition(status, ConditionType::Ready);
    ready == ConditionStatus::True && reason == ConditionReason::DryRunFinished
}

/// Everything in the namespace that belongs to a Deployment, as kind and name.
async fn made(stage: &Stage) -> Vec<String> {
    let kinds = [
        ("apps/v1", "ReplicaSet"),
        ("v1", "Service"),
        ("v1", "Secret"),
        ("v1", "ConfigMap"),
        ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ];
    let mut all = Vec::new();
    for (version, kind) in kinds {
        let found = stage.list(version, kind, "landfall.dev/deployment").await;
        all.extend(found.into_iter().map(|object| format!("{kind} {}", object.metadata.name.unwrap_or_default())));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_its_steps_and_makes_nothing_until_it_is_lifted() {
    let stage = Stage::new("rehearsal").await;
    stage.profile(FAST).await;
    stage.package("1.0.0").await;
    stage.apply(&manifests::deployment("1.0.0").replace("spec:\n", "spec:\n  dryRun: true\n")).await;
    let rehearsed = stage.ended().await;
    assert!(is_rehearsed(&rehearsed), "{rehearsed:?}");
    let plan = rehearsed.plan.expect("a dry run has a plan");
    assert!(plan.steps.len() > 2, "{plan:?}");
    assert_eq!(made(&stage).await, [""; 0]);

    stage.patch(json!({"dryRun": false})).await;
    let status = stage.ended().await;
    assert_eq!((status.phase, status.plan), (Some(Phase::Succeeded), None));
    assert_eq!(stage.scales().await.into_values().collect::<Vec<_>>(), [3]);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_names_what_the_api_server_would_refuse_and_what_runs_stays_as_it_is() {
    let stage = Stage::new("refusal").await;
    stage.profile(FAST).await;
    stage.package("1.0.0").await;
    stage.want("1.0.0").await;
    assert_eq!(stage.ended().await.phase, Some(Phase::Succeeded));
    let stable = stage.stable().await;
    let before = made(&stage).await;

    let bad =
        manifests::package("2.0.0", "").replace("terminationGracePeriodSeconds", "terminationGracePeriod").replace(
            "ports: [{name: http, port: 80",
            "sessionAffinity: Sometimes\n          ports: [{name: http, port: 80",
        );
    stage.apply(&bad).await;
    stage.patch(json!({"package": {"version": "2.0.0"}, "validateOnly": true})).await;
    let refused =
        stage.until("refusal", |status| condition(status, ConditionType::Stalled).0 == ConditionStatus::True).await;
    let (_, reason, message) = condition(&refused, ConditionType::Stalled);
    assert_eq!(reason, ConditionReason::InvalidSpec, "{message}");
    assert!(message.contains("ReplicaSet web-") && message.contains("spec.terminationGracePeriod\""), "{message}");
    assert!(message.contains("Service web: ") && message.contains("sessionAffinity"), "{message}");

    // A good one asks for another number of instances, which is not theirs yet.
    stage.apply(&manifests::package("3.0.0", "").replace("replicas: 3", "replicas: 4")).await;
    stage.patch(json!({"package": {"version": "3.0.0"}, "validateOnly": false, "dryRun": true})).await;
    let rehearsed = stage.ended().await;
    assert!(is_rehearsed(&rehearsed), "{rehearsed:?}");
    assert_eq!(made(&stage).await, before);
    assert_eq!((stage.stable().await, stage.scales().await[&stable]), (stable.clone(), 3));

    stage.patch(json!({"dryRun": false})).await;
    let status = stage.ended().await;
    assert_eq!(status.phase, Some(Phase::Succeeded), "{status:?}");
    let now = stage.stable().await;
    assert_ne!(now, stable);
    assert_eq!(stage.scales().await[&now], 4);
    stage.end().await;
}
