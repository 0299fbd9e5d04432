//! What a rollout survives: its Package, its operator and its status.

use futures::{StreamExt, TryStreamExt};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
    runtime::{WatchStreamExt, watcher},
};
use landfall::api::{
    condition::{ConditionReason, ConditionStatus, ConditionType},
    deployment::Deployment,
    deployment_status::Phase,
    package::Package,
};
use serde_json::json;

use super::{GATE, SWIFT, at_gate, condition, package, plain_stage, runs, settled, small};
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_outlives_its_package() {
    let stage = plain_stage("orphan", SWIFT).await;
    settled(&stage, "1.0.0", &small("1.0.0")).await;
    let first = stage.stable().await;
    stage.apply(&package("2.0.0", &small("2.0.0"))).await;
    stage.want("2.0.0").await;
    stage.ended().await;
    let packages: Api<Package> = stage.world.api();
    for name in ["web-1.0.0", "web-2.0.0"] {
        packages.delete(name, &DeleteParams::default()).await.unwrap();
    }

    stage.command("rollback", &format!(" to={first}")).await;
    let back = stage.until("the first version", |status| runs(status) == "1.0.0" && status.waiting_for.is_none()).await;
    assert_eq!(back.phase, Some(Phase::Succeeded), "{back:?}");
    stage.apply(&package("3.0.0", &small("3.0.0"))).await;
    stage.want("3.0.0").await;
    stage.until("the third version", |status| runs(status) == "3.0.0" && status.waiting_for.is_none()).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_operator_starts_no_run_and_changes_no_object() {
    let mut stage = plain_stage("restart", SWIFT).await;
    let end = settled(&stage, "1.0.0", &small("1.0.0")).await;
    let versions = async |stage: &Stage| {
        let mut seen = Vec::new();
        for (api, kind) in [("apps/v1", "ReplicaSet"), ("v1", "Service"), ("v1", "Secret")] {
            let objects = stage.list(api, kind, "landfall.dev/deployment").await;
            seen.extend(
                objects.iter().map(|object| (kind, object.name_any(), object.metadata.generation, object.uid())),
            );
        }
        seen
    };
    let before = versions(&stage).await;
    stage.restart_operator();
    // What it does next proves that it has looked.
    stage.apply(&package("2.0.0", &small("2.0.0"))).await;
    assert!(stage.command("promote", "").await.starts_with("Refused"));

    let status = stage.status().await;
    assert_eq!(status.run.as_ref().map(|run| &run.id), end.run.as_ref().map(|run| &run.id));
    assert_eq!((status.phase, &status.history), (Some(Phase::Succeeded), &end.history));
    assert_eq!(versions(&stage).await, before);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_status_moves_nothing_until_a_person_decides() {
    for verb in ["resume", "abort"] {
        let stage = Stage::new(&format!("lost-{verb}")).await;
        stage.profile("{scaleDownDelay: 0s, canary: {steps: [{weight: 40}, {pause: {}}]}}").await;
        settled(&stage, "1.0.0", &small("1.0.0")).await;
        let first = stage.stable().await;
        stage.apply(&package("2.0.0", &small("2.0.0"))).await;
        stage.want("2.0.0").await;
        at_gate(&stage).await;
        stage.at_weight("40").await;
        let scales = stage.scales().await;

        let lost = Patch::Json::<()>(
            serde_json::from_value(json!([{"op": "replace", "path": "/status", "value": {}}])).unwrap(),
        );
        stage.deployments().patch_status("web", &PatchParams::default(), &lost).await.unwrap();

        let found = stage
            .until("recovered state", |status| {
                condition(status, ConditionType::Ready, ConditionStatus::Unknown)
                    .is_some_and(|(why, _)| why == ConditionReason::StateRecovered)
            })
            .await;
        assert_eq!(found.phase, Some(Phase::Paused), "{found:?}");
        let traffic = found.traffic.unwrap();
        assert_eq!((traffic.candidate.to_string().as_str(), stage.scales().await), ("40", scales));
        assert_eq!(found.revision.unwrap().stable.unwrap().hash, first);

        let answer = stage.command(verb, "").await;
        assert!(answer.starts_with("Accepted") || answer.starts_with("Done"), "{answer}");
        if verb == "resume" {
            at_gate(&stage).await;
            stage.until("the gate", |status| status.waiting_for.as_deref() == Some("a person to promote")).await;
            stage.command("promote", "").await;
        }
        let end = stage.ended().await;
        let wanted = if verb == "resume" { (Phase::Succeeded, "2.0.0") } else { (Phase::RolledBack, "1.0.0") };
        assert_eq!((end.phase.unwrap(), runs(&end).as_str()), wanted, "{end:?}");
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_nothing_happens_to_writes_no_status() {
    let stage = plain_stage("quiet", GATE).await;
    settled(&stage, "1.0.0", &small("1.0.0")).await;
    stage.apply(&package("2.0.0", &small("2.0.0"))).await;
    stage.want("2.0.0").await;
    at_gate(&stage).await;
    stage.at_weight("50").await;
    let config = watcher::Config::default().fields("metadata.name=web");
    let looks = watcher(stage.deployments(), config).default_backoff().applied_objects().boxed();
    let mut seen: Vec<Deployment> = Vec::new();
    let watching = looks.try_for_each(|look| {
        seen.push(look);
        std::future::ready(Ok(()))
    });
    drop(tokio::time::timeout(std::time::Duration::from_secs(8), watching).await);
    assert!(seen.len() <= 2, "{seen:#?}");
    stage.end().await;
}
