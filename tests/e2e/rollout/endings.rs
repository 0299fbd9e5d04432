//! What other programs see of a Deployment, and what is left when it goes.

use std::process::Command;

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, api::DeleteParams, runtime::wait::delete::delete_and_finalize};

use super::{GATE, SWIFT, at_gate, config_map, package, plain_stage, settled, small, small_with};
use crate::stage::Stage;

fn kubectl(stage: &Stage, arguments: &[&str]) -> String {
    let output = Command::new("kubectl").args(arguments).args(["-n", &stage.world.namespace]).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_waits_for_ready_and_describe_tells_the_story() {
    let stage = plain_stage("kubectl", SWIFT).await;
    stage.apply(&package("1.0.0", &small("1.0.0"))).await;
    stage.want("1.0.0").await;
    let waited = kubectl(&stage, &["wait", "--for=condition=Ready", "dpl/web", "--timeout=90s"]);
    assert!(waited.contains("condition met"), "{waited}");
    let shown = kubectl(&stage, &["get", "dpl", "web"]);
    assert!(shown.contains("Succeeded") && shown.contains("100") && shown.contains("Healthy"), "{shown}");

    // Filed beside the rollout, so they may be a moment later than the status.
    let events: Api<k8s_openapi::api::core::v1::Event> = stage.world.api();
    let told = async |reason: &'static str| {
        use futures::{StreamExt, TryStreamExt};
        use kube::runtime::{WatchStreamExt, watcher};
        let config = watcher::Config::default().fields("involvedObject.name=web");
        let mut looks = watcher(events.clone(), config).default_backoff().applied_objects().boxed();
        while let Some(event) = looks.try_next().await.unwrap() {
            if event.reason.as_deref() == Some(reason) {
                return;
            }
        }
    };
    stage.world.patiently("the event RunStarted", told("RunStarted")).await;
    stage.world.patiently("the event Succeeded", told("Succeeded")).await;
    let described = kubectl(&stage, &["describe", "dpl", "web"]);
    assert!(described.contains("RunStarted") && described.contains("Succeeded"), "{described}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_deployment_takes_all_its_objects_with_it() {
    let stage = Stage::new("deleted").await;
    stage.profile(GATE).await;
    settled(&stage, "1.0.0", &small_with("1.0.0", [config_map("shared", "1")])).await;
    stage.apply(&package("2.0.0", &small("2.0.0"))).await;
    stage.want("2.0.0").await;
    at_gate(&stage).await;
    let kinds = [
        ("apps/v1", "ReplicaSet"),
        ("v1", "Service"),
        ("v1", "Secret"),
        ("v1", "ConfigMap"),
        ("v1", "Pod"),
        ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ];
    for (api, kind) in kinds {
        let objects = stage.list(api, kind, "landfall.dev/deployment=web").await;
        assert!(!objects.is_empty(), "{kind}");
    }
    let how = DeleteParams::default();
    let deletion = delete_and_finalize(stage.deployments(), "web", &how);
    Box::pin(stage.world.patiently("the end of the Deployment", deletion)).await.unwrap();
    for (api, kind) in kinds {
        let plural = format!("{}s", kind.to_lowercase());
        let resource = match api.split_once('/') {
            Some((group, _)) => format!("{plural}.{group}"),
            None => plural,
        };
        let selector = "landfall.dev/deployment=web";
        let none = stage.list(api, kind, selector).await.is_empty();
        if !none {
            kubectl(&stage, &["wait", "--for=delete", &resource, "-l", selector, "--timeout=90s"]);
        }
        assert!(stage.list(api, kind, selector).await.is_empty(), "{kind}");
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_deleted_in_a_run_goes() {
    let stage = Stage::new("nsgone").await;
    stage.profile(GATE).await;
    settled(&stage, "1.0.0", &small("1.0.0")).await;
    stage.apply(&package("2.0.0", &small("2.0.0"))).await;
    stage.want("2.0.0").await;
    at_gate(&stage).await;
    let namespaces: Api<Namespace> = Api::all(stage.world.client.clone());
    let how = DeleteParams::default();
    // The operator goes on all the while.
    let deletion = delete_and_finalize(namespaces, &stage.world.namespace, &how);
    stage.world.patiently("the end of the namespace", deletion).await.unwrap();
    let log = std::fs::read_to_string(&stage.log).unwrap();
    assert!(!log.contains("panicked"), "see {}", stage.log.display());
    drop(std::fs::remove_file(&stage.log));
}
