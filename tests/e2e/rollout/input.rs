//! Bad input gives a clear status, and never a hot loop or a change to what runs.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::{
    Api,
    api::{Patch, PatchParams},
    runtime::{WatchStreamExt, watcher},
};
use landfall::api::{condition::ConditionReason, deployment_status::Phase, package::Package};
use serde_json::{Value, json};

use super::{
    GATE, SWIFT, named_package, package, plain_stage, settled, small, small_with, stalled, waits_for, workload,
};
use crate::stage::{Stage, manifests};

/// How often the Deployment changes while it is watched for a while.
async fn changes(stage: &Stage, during: Duration) -> usize {
    let config = watcher::Config::default().fields("metadata.name=web");
    let changes = watcher(stage.deployments(), config).default_backoff().applied_objects().boxed();
    let mut count = 0;
    let counting = changes.try_for_each(|_| {
        count += 1;
        std::future::ready(Ok(()))
    });
    drop(tokio::time::timeout(during, counting).await);
    count
}

/// That nothing is tried over and over: neither in the status nor in the log.
async fn assert_calm(stage: &Stage) {
    let lines = || std::fs::read_to_string(&stage.log).unwrap().lines().count();
    let before = lines();
    let changes = changes(stage, Duration::from_secs(6)).await;
    // The first is the object as it was.
    assert!(changes <= 3, "{changes} changes in 6 s; see {}", stage.log.display());
    let said = lines() - before;
    assert!(said <= 30, "{said} lines of log in 6 s; see {}", stage.log.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_named_and_not_there_is_waited_for() {
    let stage = Stage::new("unknown").await;
    stage.want("1.0.0").await;
    let waits = waits_for(&stage, "Profile production").await;
    assert_eq!(waits.phase, Some(Phase::Pending));
    stage.apply(&manifests::profile_without_router(SWIFT)).await;
    let waits = waits_for(&stage, "Package web-1.0.0").await;
    assert_eq!(waits.phase, Some(Phase::Pending));
    assert_calm(&stage).await;
    stage.apply(&package("1.0.0", &small("1.0.0"))).await;
    assert_eq!(stage.ended().await.phase, Some(Phase::Succeeded));

    // What runs goes on while the next thing is missing.
    stage.want("9.0.0").await;
    let waits = waits_for(&stage, "Package web-9.0.0").await;
    assert_eq!(super::runs(&waits), "1.0.0");
    assert_eq!(stage.scales().await, [(stage.stable().await, 1)].into());
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_names_an_unknown_check_and_an_unreadable_range_are_refused() {
    let stage = plain_stage("badspec", "{canary: {steps: [{weight: 50}, {checks: [speed]}]}}").await;
    stage.apply(&package("1.0.0", &small("1.0.0"))).await;
    stage.want("1.0.0").await;
    let said = stalled(&stage, ConditionReason::InvalidSpec).await;
    assert!(said.contains("speed") && said.contains("check"), "{said}");
    assert!(stage.scales().await.is_empty());
    assert_calm(&stage).await;

    let range = json!({"spec": {"package": {"version": null, "range": "newest"}}});
    let refused = stage.deployments().patch("web", &PatchParams::default(), &Patch::Merge(range)).await;
    if let Err(error) = refused {
        assert!(error.to_string().contains("range"), "{error}");
    } else {
        waits_for(&stage, "range").await;
        stalled(&stage, ConditionReason::InvalidSpec).await;
    }
    stage.apply(&manifests::profile_without_router(SWIFT)).await;
    stage.patch(json!({"package": {"version": "1.0.0", "range": null}})).await;
    assert_eq!(stage.ended().await.phase, Some(Phase::Succeeded));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_is_not_what_was_recorded_is_not_used() {
    let stage = plain_stage("changed", SWIFT).await;
    settled(&stage, "1.0.0", &small("1.0.0")).await;
    let packages: Api<Package> = stage.world.api();
    stage.apply(&package("2.0.0", &small("2.0.0"))).await;
    let recorded = kube::runtime::wait::await_condition(packages.clone(), "web-2.0.0", |package: Option<&Package>| {
        package.and_then(|package| package.status.as_ref()).is_some_and(|status| status.checksum.is_some())
    });
    let checksum = recorded.await.unwrap().unwrap().status.unwrap().checksum;
    let other = Patch::Merge(json!({"status": {"checksum": "0".repeat(64)}}));
    packages.patch_status("web-2.0.0", &PatchParams::default(), &other).await.unwrap();
    let changed = kube::runtime::wait::await_condition(packages.clone(), "web-2.0.0", |package: Option<&Package>| {
        package.and_then(|package| package.status.as_ref()).is_some_and(|status| status.error.is_some())
    });
    changed.await.unwrap();

    stage.want("2.0.0").await;
    let said = stalled(&stage, ConditionReason::ContentChanged).await;
    assert!(said.contains("web-2.0.0"), "{said}");
    assert_eq!(stage.scales().await, [(stage.stable().await, 1)].into());

    let back = Patch::Merge(json!({"status": {"checksum": checksum}}));
    packages.patch_status("web-2.0.0", &PatchParams::default(), &back).await.unwrap();
    let end = stage.until("the restored version", |status| super::runs(status) == "2.0.0").await;
    assert_eq!(end.waiting_for, None);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_deployment_stops_no_other() {
    let stage = plain_stage("beside", SWIFT).await;
    // What no reconciler can render: a manifest that the API server will refuse, field by field.
    let mut broken = workload("broken", "1.0.0", 1);
    broken["spec"]["template"]["spec"]["containers"][0]["ports"] = json!("many");
    stage.apply(&named_package("broken", "1.0.0", &[broken])).await;
    stage.apply(&package("1.0.0", &small("1.0.0"))).await;
    stage.apply(&manifests::deployment("1.0.0").replace("web", "broken")).await;
    stage.want("1.0.0").await;

    assert_eq!(stage.ended().await.phase, Some(Phase::Succeeded));
    let broken = stage.until_of("broken", "a sentence about ports", |status| {
        let said = status.conditions.iter().any(|condition| {
            condition.type_ == landfall::api::condition::ConditionType::Stalled
                && condition.status == landfall::api::condition::ConditionStatus::True
        });
        said && format!("{:?}", status.conditions).contains("ports")
    });
    broken.await;
    stage.end().await;
}

fn without_image(version: &str) -> Vec<Value> {
    let mut manifests = small(version);
    manifests[0]["spec"]["template"]["spec"]["containers"][0]["image"] = json!("localhost/nowhere:1");
    manifests
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_does_not_exist_is_named_and_the_deadline_ends_the_run() {
    let stage = plain_stage("noimage", "{progressDeadline: 15s, canary: {steps: [{weight: 50}]}}").await;
    settled(&stage, "1.0.0", &small("1.0.0")).await;
    let stable = stage.stable().await;
    stage.apply(&package("2.0.0", &without_image("2.0.0"))).await;
    stage.want("2.0.0").await;

    let waits = stage.until("the reason", |status| {
        status.waiting_for.as_deref().is_some_and(|said| said.contains("ImagePull") && said.contains("nowhere"))
    });
    waits.await;
    let end = stage.ended().await;
    assert_eq!(end.phase, Some(Phase::RolledBack), "{end:?}");
    let error = end.error.unwrap();
    assert_eq!(error.code, "PROGRESS_DEADLINE", "{error:?}");
    assert!(error.message.contains("ImagePull"), "{error:?}");
    assert_eq!(stage.stable().await, stable);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_crashes_fails_by_what_its_pods_say() {
    let stage = plain_stage("crash", GATE).await;
    settled(&stage, "1.0.0", &small("1.0.0")).await;
    let mut manifests = small("2.0.0");
    manifests[0]["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["no-such-command"]);
    stage.apply(&package("2.0.0", &manifests)).await;
    stage.want("2.0.0").await;

    let end = stage.ended().await;
    assert_eq!(end.phase, Some(Phase::RolledBack), "{end:?}");
    let error = end.error.unwrap();
    assert_eq!(error.code, "PODS_FAILED", "{error:?}");
    assert!(error.message.contains("app"), "{error:?}");
    assert_calm(&stage).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_before_the_pods_count_and_one_that_fails_ends_the_run() {
    let stage = plain_stage("job", SWIFT).await;
    let job = |arguments: Value| {
        json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"},
            "spec": {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [{
                "name": "job", "image": "localhost/landfall:dev", "imagePullPolicy": "IfNotPresent", "args": arguments,
            }]}}},
        })
    };
    settled(&stage, "1.0.0", &small_with("1.0.0", [job(json!(["--version"]))])).await;
    stage.apply(&package("2.0.0", &small_with("2.0.0", [job(json!(["no-such-command"]))]))).await;
    stage.want("2.0.0").await;
    let end = stage.ended().await;
    assert_eq!(end.phase, Some(Phase::RolledBack), "{end:?}");
    assert!(end.error.as_ref().unwrap().message.contains("Job migrate-"), "{:?}", end.error);
    assert_eq!(super::runs(&end), "1.0.0");
    stage.end().await;
}
