//! A revision is all of its objects: workloads, configurations, and what revisions share.

use k8s_openapi::api::{
    apps::v1::ReplicaSet,
    core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service},
};
use kube::{Api, ResourceExt, runtime::wait::await_condition};
use landfall::api::deployment_status::Phase;
use serde_json::{Value, json};

use super::{GATE, SWIFT, at_gate, config_map, package, plain_stage, runs, service, settled, small_with, workload};
use crate::stage::Stage;

/// A workload whose pods read a `ConfigMap` and a Secret of the package.
fn configured(version: &str, value: &str) -> Vec<Value> {
    let mut web = workload("web", version, 1);
    let container = &mut web["spec"]["template"]["spec"]["containers"][0];
    container["envFrom"] = json!([{"configMapRef": {"name": "settings"}}]);
    container["env"] = json!([{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "key", "key": "key"}}}]);
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "stringData": {"key": format!("hunter-{value}")}});
    vec![web, service("web", "web"), config_map("settings", value), secret]
}

/// What the pods of a revision are configured with: the `ConfigMap`'s value and the Secret's.
async fn configuration(stage: &Stage, hash: &str) -> (String, String) {
    let sets: Api<ReplicaSet> = stage.world.api();
    let set = sets.get(&format!("web-{hash}")).await.unwrap();
    let pod = set.spec.template.unwrap().spec.unwrap();
    let container = &pod.containers[0];
    let map = container.env_from.as_ref().unwrap()[0].config_map_ref.as_ref().unwrap().name.clone();
    let env = container.env.as_ref().unwrap().iter().find(|env| env.name == "KEY").unwrap();
    let secret = env.value_from.as_ref().unwrap().secret_key_ref.as_ref().unwrap().name.clone();
    let map = stage.world.api::<ConfigMap>().get(&map).await.unwrap();
    let secret = stage.world.api::<Secret>().get(&secret).await.unwrap();
    assert_eq!((map.immutable, secret.immutable), (Some(true), Some(true)));
    let key = String::from_utf8(secret.data.unwrap()["key"].0.clone()).unwrap();
    (map.data.unwrap()["value"].clone(), key)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_brings_the_old_configuration_back() {
    let stage = plain_stage("config", SWIFT).await;
    settled(&stage, "1.0.0", &configured("1.0.0", "one")).await;
    let first = stage.stable().await;
    settled(&stage, "2.0.0", &configured("2.0.0", "two")).await;
    let second = stage.stable().await;
    assert_eq!(configuration(&stage, &first).await, ("one".to_owned(), "hunter-one".to_owned()));
    assert_eq!(configuration(&stage, &second).await, ("two".to_owned(), "hunter-two".to_owned()));

    stage.command("rollback", &format!(" to={first}")).await;
    let end = stage.until("the first version", |status| runs(status) == "1.0.0" && status.waiting_for.is_none()).await;
    assert_eq!(end.phase, Some(Phase::Succeeded), "{end:?}");
    assert_eq!((stage.stable().await, stage.scales().await[&first]), (first, 1));
    // A secret is in the cluster and nowhere else.
    let log = std::fs::read_to_string(&stage.log).unwrap();
    let status = serde_json::to_string(&stage.status().await).unwrap();
    assert!(!log.contains("hunter-") && !status.contains("hunter-"));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workloads_of_one_package_move_together() {
    let stage = plain_stage("lockstep", GATE).await;
    let both = |version: &str| {
        // Scaled to nothing by its owner, which is no reason to wait for it.
        let idle = workload("idle", version, 0);
        vec![workload("web", version, 2), workload("worker", version, 1), idle, service("web", "web")]
    };
    settled(&stage, "1.0.0", &both("1.0.0")).await;
    let first = stage.stable().await;
    assert_eq!(stage.scales().await, [(first.clone(), 3)].into());
    stage.apply(&package("2.0.0", &both("2.0.0"))).await;
    stage.want("2.0.0").await;
    let gate = at_gate(&stage).await;
    let candidate = gate.revision.unwrap().candidate.unwrap().hash;
    let scales = stage.scales().await;
    assert_eq!(scales[&candidate], 2, "one pod of each at 50 %: {scales:?}");
    stage.command("promote", "").await;
    let end = stage.ended().await;
    assert_eq!((end.phase, runs(&end).as_str()), (Some(Phase::Succeeded), "2.0.0"));
    let sets: Api<ReplicaSet> = stage.world.api();
    for (name, replicas) in [("web", 2), ("worker", 1), ("idle", 0)] {
        let set = sets.get(&format!("{name}-{candidate}")).await.unwrap();
        assert_eq!(set.spec.replicas, Some(replicas), "{name}");
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_with_a_workload_of_no_instances_beside_one_of_one_is_carried() {
    let stage = plain_stage("idle", SWIFT).await;
    let both = [workload("web", "1.0.0", 1), workload("idle", "1.0.0", 0), service("web", "web")];
    settled(&stage, "1.0.0", &both).await;
    assert_eq!(stage.scales().await.values().sum::<i64>(), 1);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_asks_for_no_instances_is_carried_and_can_be_scaled() {
    let stage = plain_stage("nothing", SWIFT).await;
    settled(&stage, "1.0.0", &[workload("web", "1.0.0", 0), service("web", "web")]).await;
    assert_eq!(stage.scales().await.values().sum::<i64>(), 0);
    stage.patch(json!({"replicas": 1})).await;
    stage.until("one pod", |status| status.instances.as_ref().is_some_and(|pods| pods.ready == 1)).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_revisions_share_follows_the_stable_one() {
    let stage = plain_stage(
        "shared",
        "{scaleDownDelay: 0s, revisionHistoryLimit: 1, canary: {steps: [{weight: 50}, {pause: {}}]}}",
    )
    .await;
    let maps: Api<ConfigMap> = stage.world.api();
    let value = async |name: &str| maps.get_opt(name).await.unwrap().map(|map| map.data.unwrap()["value"].clone());
    let some = |value: &str| Some(value.to_owned());
    let data = |name: &str| {
        json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Mi"}}},
        })
    };
    let first = small_with(
        "1.0.0",
        [config_map("shared", "one"), config_map("old", "one"), data("data"), service("extra", "web")],
    );
    settled(&stage, "1.0.0", &first).await;

    stage.apply(&package("2.0.0", &small_with("2.0.0", [config_map("shared", "two"), config_map("new", "two")]))).await;
    stage.want("2.0.0").await;
    at_gate(&stage).await;
    assert_eq!((value("shared").await, value("new").await), (some("one"), some("two")));
    stage.command("promote", "").await;
    stage.ended().await;
    assert_eq!((value("shared").await, value("old").await), (some("two"), some("one")));

    stage.command("rollback", "").await;
    stage.until("the first version", |status| runs(status) == "1.0.0" && status.waiting_for.is_none()).await;
    assert_eq!((value("shared").await, value("old").await), (some("one"), some("one")));

    // When the first revision leaves the history, so does what only it had, but for data.
    stage.apply(&package("3.0.0", &small_with("3.0.0", [config_map("shared", "three")]))).await;
    stage.apply(&package("4.0.0", &small_with("4.0.0", [config_map("shared", "four")]))).await;
    for version in ["3.0.0", "4.0.0"] {
        stage.want(version).await;
        at_gate(&stage).await;
        stage.command("promote", "").await;
        stage.until(version, |status| runs(status) == version && status.waiting_for.is_none()).await;
    }
    let gone = |name: &'static str| await_condition(maps.clone(), name, |map: Option<&ConfigMap>| map.is_none());
    stage.world.patiently("the end of old", gone("old")).await.unwrap();
    stage.world.patiently("the end of new", gone("new")).await.unwrap();
    assert_eq!(value("shared").await, some("four"));
    let services: Api<Service> = stage.world.api();
    for name in ["extra", "extra-candidate"] {
        let gone = await_condition(services.clone(), name, |service: Option<&Service>| service.is_none());
        stage.world.patiently(name, gone).await.unwrap();
    }
    assert!(services.get_opt("web").await.unwrap().is_some());
    assert!(stage.world.api::<PersistentVolumeClaim>().get_opt("data").await.unwrap().is_some());
    // One kept beside the stable one.
    let all = |sets: &[ReplicaSet]| sets.len();
    let sets = stage.world.api::<ReplicaSet>().list(&kube::api::ListParams::default()).await.unwrap();
    assert_eq!(all(&sets.items), 2, "{:?}", sets.iter().map(ResourceExt::name_any).collect::<Vec<_>>());
    let records = stage.list("v1", "Secret", "landfall.dev/role=record").await;
    assert_eq!(records.len(), 2);
    for record in records {
        assert!(record.name_any().starts_with("landfall-rev-web-"), "{}", record.name_any());
        assert_eq!(record.data["immutable"], json!(true));
    }
    stage.end().await;
}
