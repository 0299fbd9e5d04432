//! Fields of a Deployment's spec: each does what its description says.

use std::process::Command;

use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use landfall::api::{
    condition::{ConditionReason, ConditionStatus, ConditionType},
    deployment_status::Phase,
    package::Package,
};
use serde_json::{Value, json};

use super::{
    GATE, SWIFT, condition, named_package, package, plain_stage, runs, service, settled, small, waits_for, workload,
};
use crate::stage::manifests;

#[tokio::test(flavor = "multi_thread")]
async fn spec_paused_holds_and_spec_stopped_takes_down_and_brings_back() {
    let stage = plain_stage("paused", SWIFT).await;
    settled(&stage, "1.0.0", &small("1.0.0")).await;
    stage.apply(&package("2.0.0", &small("2.0.0"))).await;
    stage.patch(json!({"paused": true, "package": {"version": "2.0.0"}})).await;
    let held = waits_for(&stage, "spec.paused").await;
    assert_eq!((held.phase, runs(&held).as_str()), (Some(Phase::Paused), "1.0.0"));
    assert!(stage.command("resume", "").await.contains("spec.paused"));
    stage.patch(json!({"paused": null})).await;
    let end = stage.until("the second version", |status| runs(status) == "2.0.0" && status.waiting_for.is_none()).await;
    assert_eq!(end.phase, Some(Phase::Succeeded));

    stage.patch(json!({"stopped": true})).await;
    let stopped = stage.until("stop", |status| status.phase == Some(Phase::Stopped)).await;
    assert!(condition(&stopped, ConditionType::Ready, ConditionStatus::True).is_some(), "{stopped:?}");
    assert!(stage.scales().await.values().all(|pods| *pods == 0));
    stage.patch(json!({"stopped": null})).await;
    let back = stage.until("the end", |status| status.phase == Some(Phase::Succeeded)).await;
    assert_eq!(back.instances.unwrap().ready, 1);
    assert_eq!(stage.scales().await[&stage.stable().await], 1);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_its_plan_and_touches_nothing() {
    let stage = plain_stage("dry", GATE).await;
    stage.apply(&package("1.0.0", &small("1.0.0"))).await;
    let deployment = |field: &str| format!("{}  {field}: true\n", manifests::deployment("1.0.0"));
    stage.apply(&deployment("dryRun")).await;
    let end = stage.ended().await;
    assert_eq!(end.phase, Some(Phase::Succeeded), "{end:?}");
    let plan = end.plan.clone().unwrap();
    assert!(plan.steps.len() > 1, "{plan:?}");
    let ready = condition(&end, ConditionType::Ready, ConditionStatus::True);
    assert_eq!(ready.map(|(why, _)| why), Some(ConditionReason::DryRunFinished));
    for (api, kind) in [("apps/v1", "ReplicaSet"), ("v1", "Service"), ("v1", "Secret")] {
        assert!(stage.list(api, kind, "landfall.dev/deployment").await.is_empty(), "{kind}");
    }

    stage.patch(json!({"dryRun": null, "validateOnly": true})).await;
    let generation = stage.deployments().get("web").await.unwrap().metadata.generation.unwrap();
    let valid = stage.until("validation", |status| {
        status.observed_generation == generation && status.phase == Some(Phase::Succeeded)
    });
    assert_eq!(runs(&valid.await), "");
    assert!(stage.scales().await.is_empty());

    stage.patch(json!({"validateOnly": null})).await;
    let end = stage.until("the version", |status| runs(status) == "1.0.0" && status.waiting_for.is_none()).await;
    assert_eq!(end.phase, Some(Phase::Succeeded));

    // Of another version it tells the steps, and what runs stays.
    stage.apply(&package("2.0.0", &small("2.0.0"))).await;
    stage.patch(json!({"dryRun": true, "package": {"version": "2.0.0"}})).await;
    let generation = stage.deployments().get("web").await.unwrap().metadata.generation.unwrap();
    let told = stage.until("the plan", |status| {
        let steps = status.plan.as_ref().map_or(0, |plan| plan.steps.len());
        status.observed_generation == generation && status.phase == Some(Phase::Succeeded) && steps > 2
    });
    let told = told.await;
    assert!(told.plan.as_ref().unwrap().steps.iter().any(|step| step.contains("50 %")), "{told:?}");
    assert_eq!((runs(&told).as_str(), stage.scales().await.len()), ("1.0.0", 1));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_waited_for() {
    let stage = plain_stage("schedule", SWIFT).await;
    stage.apply(&package("1.0.0", &small("1.0.0"))).await;
    let at = k8s_openapi::jiff::Timestamp::now() + std::time::Duration::from_secs(8);
    let at = k8s_openapi::jiff::Timestamp::from_second(at.as_second()).unwrap();
    stage.apply(&format!("{}  scheduleAt: {at}\n", manifests::deployment("1.0.0"))).await;
    let waits = stage.until("schedule", |status| status.phase == Some(Phase::Scheduled)).await;
    assert!(waits.waiting_for.unwrap().contains("its time"));
    assert!(stage.scales().await.is_empty());
    let end = stage.ended().await;
    assert_eq!(end.phase, Some(Phase::Succeeded));
    let made = stage.list("apps/v1", "ReplicaSet", "landfall.dev/deployment=web").await;
    assert!(made[0].metadata.creation_timestamp.clone().unwrap().0 >= at);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_request_id_runs_the_same_revision_again() {
    let stage = plain_stage("request", SWIFT).await;
    let first = settled(&stage, "1.0.0", &small("1.0.0")).await;
    stage.patch(json!({"requestId": "again"})).await;
    let second =
        stage.until("second run", |status| status.history.len() == 2 && status.phase == Some(Phase::Succeeded));
    let second = second.await;
    assert_ne!(second.run.as_ref().unwrap().id, first.run.unwrap().id);
    assert_eq!(second.run.unwrap().request_id.as_deref(), Some("again"));
    assert_eq!(stage.scales().await.len(), 1);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn overrides_and_secrets_of_the_namespace_make_a_revision_of_their_own() {
    let stage = plain_stage("override", SWIFT).await;
    settled(&stage, "1.0.0", &small("1.0.0")).await;
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "outside"}, "stringData": {"KEY": "x"}});
    stage.apply(&secret.to_string()).await;
    let env = json!({"env": [{"name": "COLOUR", "value": "blue"}], "images": [{"name": "localhost/landfall", "newTag": "dev"}]});
    stage.patch(json!({"overrides": env, "envFrom": [{"secret": "outside", "prefix": "OUT_"}]})).await;
    let end =
        stage.until("the changed version", |status| runs(status).starts_with("1.0.0+") && status.waiting_for.is_none());
    assert_eq!(end.await.phase, Some(Phase::Succeeded));
    let sets: Api<ReplicaSet> = stage.world.api();
    let set = sets.get(&format!("web-{}", stage.stable().await)).await.unwrap();
    let container = set.spec.template.unwrap().spec.unwrap().containers.remove(0);
    assert!(container.env.unwrap().iter().any(|env| env.name == "COLOUR" && env.value.as_deref() == Some("blue")));
    let from = &container.env_from.unwrap()[0];
    assert_eq!(from.secret_ref.as_ref().unwrap().name, "outside");
    assert_eq!(from.prefix.as_deref(), Some("OUT_"));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_scale_scales_what_runs_and_starts_no_run() {
    let stage = plain_stage("scale", SWIFT).await;
    let end = settled(&stage, "1.0.0", &small("1.0.0")).await;
    let scaled = Command::new("kubectl")
        .args(["scale", "deployments.landfall.dev/web", "--replicas=3", "-n", &stage.world.namespace])
        .output()
        .unwrap();
    assert!(scaled.status.success(), "{}", String::from_utf8_lossy(&scaled.stderr));
    let more = stage.until("three pods", |status| status.instances.as_ref().is_some_and(|pods| pods.ready == 3)).await;
    assert_eq!((more.run.unwrap().id, more.replicas), (end.run.unwrap().id, Some(3)));
    assert_eq!(more.phase, Some(Phase::Succeeded));
    let scale = stage.deployments().get_scale("web").await.unwrap();
    let status = scale.status.unwrap();
    assert_eq!((status.replicas, status.selector.as_deref()), (3, Some("landfall.dev/deployment=web")));
    stage.patch(json!({"replicas": 1})).await;
    stage
        .until("one pod", |status| status.instances.as_ref().is_some_and(|pods| pods.desired == 1 && pods.ready == 1))
        .await;
    assert_eq!(stage.scales().await.values().sum::<i64>(), 1);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dependency_is_waited_for_and_its_arrival_starts_what_waits() {
    let stage = plain_stage("depends", SWIFT).await;
    let mut waiting: Value = serde_json::from_str(&package("1.0.0", &small("1.0.0"))).unwrap();
    waiting["spec"]["dependsOn"] = json!([{"name": "store", "version": ">=2"}]);
    stage.apply(&waiting.to_string()).await;
    stage.want("1.0.0").await;
    let waits = waits_for(&stage, "store").await;
    assert_eq!(waits.phase, Some(Phase::Pending), "{waits:?}");
    assert!(stage.scales().await.is_empty());

    for version in ["1.0.0", "2.0.0"] {
        let store = [workload("store", version, 1), service("store", "store")];
        stage.apply(&named_package("store", version, &store)).await;
        stage.apply(&manifests::deployment(version).replace("web", "store")).await;
        let is = |status: &landfall::api::deployment_status::DeploymentStatus| runs(status) == version;
        stage.until_of("store", version, is).await;
        if version == "1.0.0" {
            assert_eq!(stage.status().await.phase, Some(Phase::Pending));
        }
    }
    assert_eq!(stage.ended().await.phase, Some(Phase::Succeeded));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_takes_newer_packages_by_itself_and_never_moves_down() {
    let stage = plain_stage("range", SWIFT).await;
    stage.apply(&package("1.0.0", &small("1.0.0"))).await;
    stage.apply(&package("2.0.0", &small("2.0.0"))).await;
    stage.apply(&manifests::deployment("1.0.0").replace("version: 1.0.0", "range: ~1")).await;
    let first = stage.ended().await;
    assert_eq!(runs(&first), "1.0.0");
    assert_eq!(first.pinned_version.unwrap().to_string(), "1.0.0");

    stage.apply(&package("1.1.0", &small("1.1.0"))).await;
    let second = stage.until("the newer one", |status| runs(status) == "1.1.0" && status.waiting_for.is_none()).await;
    assert_eq!(second.pinned_version.unwrap().to_string(), "1.1.0");
    let packages: Api<Package> = stage.world.api();
    let archive = Patch::Merge(json!({"spec": {"state": "Archived"}}));
    packages.patch("web-1.1.0", &PatchParams::default(), &archive).await.unwrap();
    // A pre-release is not meant, and what is archived stays.
    stage.apply(&package("1.2.0-rc.1", &small("1.2.0-rc.1"))).await;
    stage.command("restart", "").await;
    let after = stage.until("the restart", |status| status.history.len() == 3).await;
    assert_eq!(runs(&after), "1.1.0");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_version_replaces_a_run_at_its_gate() {
    let stage = plain_stage("newer", GATE).await;
    settled(&stage, "1.0.0", &small("1.0.0")).await;
    for version in ["2.0.0", "3.0.0"] {
        stage.apply(&package(version, &small(version))).await;
        stage.want(version).await;
        stage
            .until(version, |status| {
                let candidate = status.revision.as_ref().and_then(|revision| revision.candidate.as_ref());
                status.phase == Some(Phase::Paused) && candidate.is_some_and(|candidate| candidate.version == version)
            })
            .await;
    }
    stage.command("promote", "").await;
    let end = stage.ended().await;
    assert_eq!((end.phase, runs(&end).as_str()), (Some(Phase::Succeeded), "3.0.0"));
    assert_eq!(end.history[1].phase, Phase::Cancelled, "{:?}", end.history);
    // What was passed over leaves nothing behind.
    let passed = end.history[1].revision.hash.clone();
    let name = format!("web-{passed}");
    let gone =
        kube::runtime::wait::await_condition(stage.world.api::<ReplicaSet>(), &name, |set: Option<&ReplicaSet>| {
            set.is_none()
        });
    Box::pin(stage.world.patiently("the end of what was passed over", gone)).await.unwrap();
    stage.end().await;
}
