//! A package gets no further than its namespace's service account, and takes nothing that belongs to others.

use std::{fmt::Debug, process::Command};

use k8s_openapi::api::{
    core::v1::{ConfigMap, Service, ServiceAccount},
    rbac::v1::{ClusterRole, ClusterRoleBinding},
    scheduling::v1::PriorityClass,
};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    core::ClusterResourceScope,
};
use landfall::api::{condition::ConditionReason, deployment_status::Phase};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    GATE, SWIFT, config_map, package, plain_stage, runs, settled, small, small_with, stalled, waits_for, workload,
};
use crate::stage::{Stage, manifests};

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_service_account_is_named_and_the_rollout_starts_when_it_is_there() {
    let mut stage = Stage::without_operator("account").await;
    let accounts: Api<ServiceAccount> = stage.world.api();
    accounts.delete("landfall-deployer", &DeleteParams::default()).await.unwrap();
    stage.start_operator();
    stage.apply(&manifests::profile_without_router(SWIFT)).await;
    stage.apply(&package("1.0.0", &small("1.0.0"))).await;
    stage.want("1.0.0").await;

    let waits = waits_for(&stage, &format!("landfall init {}", stage.world.namespace)).await;
    assert_eq!(waits.phase, Some(Phase::Pending), "{waits:?}");
    assert!(stage.scales().await.is_empty());

    let init = Command::new(env!("CARGO_BIN_EXE_landfall")).args(["init", &stage.world.namespace]).output().unwrap();
    assert!(init.status.success());
    assert_eq!(stage.ended().await.phase, Some(Phase::Succeeded));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_role_binding_is_refused_and_nothing_moves() {
    let stage = plain_stage("escalation", SWIFT).await;
    settled(&stage, "1.0.0", &small("1.0.0")).await;
    let name = stage.world.namespace.clone();
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": name}],
    });
    stage.apply(&package("2.0.0", &small_with("2.0.0", [binding]))).await;
    stage.want("2.0.0").await;

    let said = stalled(&stage, ConditionReason::InvalidSpec).await;
    assert!(said.contains("landfall-deployer") && said.contains(&format!("ClusterRoleBinding {name}")), "{said}");
    assert!(said.contains("cannot get") || said.contains("cannot create") || said.contains("cannot patch"), "{said}");
    let bindings: Api<ClusterRoleBinding> = Api::all(stage.world.client.clone());
    assert!(bindings.get_opt(&name).await.unwrap().is_none());
    assert_eq!(stage.scales().await, [(stage.stable().await, 1)].into());

    // What is wanted instead goes on at once.
    stage.apply(&package("2.0.1", &small("2.0.1"))).await;
    stage.want("2.0.1").await;
    let end = stage.until("end of the better version", |status| runs(status) == "2.0.1").await;
    assert_eq!(end.waiting_for, None, "{end:?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_in_another_namespace_is_refused() {
    let stage = plain_stage("elsewhere", SWIFT).await;
    let mut map = config_map("intruder", "1");
    map["metadata"]["namespace"] = json!("kube-system");
    stage.apply(&package("1.0.0", &small_with("1.0.0", [map]))).await;
    stage.want("1.0.0").await;

    let said = stalled(&stage, ConditionReason::InvalidSpec).await;
    assert!(said.contains("metadata.namespace") && said.contains(&stage.world.namespace), "{said}");
    assert!(stage.scales().await.is_empty());
    let maps: Api<ConfigMap> = Api::namespaced(stage.world.client.clone(), "kube-system");
    assert!(maps.get_opt("intruder").await.unwrap().is_none());
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_others_is_left_alone_until_they_hand_it_over() {
    let stage = plain_stage("foreign", SWIFT).await;
    stage.apply(&config_map("settings", "theirs").to_string()).await;
    let theirs = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "theirs"}, "ports": [{"name": "http", "port": 80, "targetPort": 80}]},
    });
    stage.apply(&theirs.to_string()).await;
    stage.apply(&package("1.0.0", &small_with("1.0.0", [config_map("settings", "ours")]))).await;
    stage.want("1.0.0").await;

    let said = stalled(&stage, ConditionReason::ObjectNotOwned).await;
    assert!(
        said.contains("ConfigMap") && said.contains("settings") && said.contains("landfall.dev/adopt=web"),
        "{said}"
    );
    let handed = Patch::Merge(json!({"metadata": {"annotations": {"landfall.dev/adopt": "web"}}}));
    stage.world.api::<ConfigMap>().patch("settings", &PatchParams::default(), &handed).await.unwrap();

    let said = waits_for(&stage, "Service web").await.waiting_for.unwrap();
    assert!(said.contains("web") && said.contains("landfall.dev/adopt=web"), "{said}");
    let services: Api<Service> = stage.world.api();
    let service = services.get("web").await.unwrap();
    assert_eq!(service.spec.unwrap().selector.unwrap(), [("app".to_owned(), "theirs".to_owned())].into());
    services.patch("web", &PatchParams::default(), &handed).await.unwrap();

    assert_eq!(stage.ended().await.phase, Some(Phase::Succeeded));
    let map = stage.world.api::<ConfigMap>().get("settings").await.unwrap();
    assert_eq!(map.data.unwrap()["value"], "ours");
    assert_eq!(map.metadata.owner_references.unwrap()[0].name, "web");
    stage.end().await;
}

/// What belongs to the cluster and is there for a test, by kind.
async fn make_for_all<K>(stage: &Stage, object: Value) -> Api<K>
where
    K: Resource<Scope = ClusterResourceScope, DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    let api: Api<K> = Api::all(stage.world.client.clone());
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    api
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_namespace_is_not_taken_from_a_deployment_of_the_same_name_elsewhere() {
    let stage = plain_stage("clusterwide", SWIFT).await;
    let name = stage.world.namespace.clone();
    let allowed = json!([{"apiGroups": ["scheduling.k8s.io"], "resources": ["priorityclasses"], "verbs": ["*"]}]);
    let roles: Api<ClusterRole> = make_for_all(&stage, json!({"metadata": {"name": name}, "rules": allowed})).await;
    let binding = json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "landfall-deployer", "namespace": name}],
    });
    let bindings: Api<ClusterRoleBinding> = make_for_all(&stage, binding).await;
    let labels = json!({"landfall.dev/deployment": "web", "landfall.dev/namespace": "elsewhere"});
    let theirs = json!({
        "metadata": {"name": name, "labels": labels, "annotations": {"landfall.dev/owner": "another"}}, "value": 1,
    });
    let classes: Api<PriorityClass> = make_for_all(&stage, theirs).await;
    let class = json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": 1,
    });
    stage.apply(&package("1.0.0", &small_with("1.0.0", [class]))).await;
    stage.want("1.0.0").await;

    let said = stalled(&stage, ConditionReason::ObjectNotOwned).await;
    let remedy = format!("priorityclass {name} landfall.dev/adopt={name}/web");
    assert!(said.contains(&remedy), "{said}");
    assert_eq!(classes.get(&name).await.unwrap().annotations()["landfall.dev/owner"], "another");

    let adopt = ["adopt", &format!("priorityclass/{name}"), "web", "--namespace", &name];
    let adopt = Command::new(env!("CARGO_BIN_EXE_landfall")).args(adopt).output().unwrap();
    assert!(adopt.status.success(), "{}", String::from_utf8_lossy(&adopt.stderr));
    assert_eq!(stage.ended().await.phase, Some(Phase::Succeeded));
    let class = classes.get(&name).await.unwrap();
    let uid = stage.deployments().get("web").await.unwrap().metadata.uid.unwrap();
    assert_eq!(class.annotations()["landfall.dev/owner"], uid);
    assert_eq!(class.labels()["landfall.dev/namespace"], name);
    assert!(class.owner_references().is_empty());

    classes.delete(&name, &DeleteParams::default()).await.unwrap();
    bindings.delete(&name, &DeleteParams::default()).await.unwrap();
    roles.delete(&name, &DeleteParams::default()).await.unwrap();
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_that_must_not_run_twice_is_no_canary() {
    let stage = plain_stage("alone", GATE).await;
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    });
    let mut single = workload("web", "1.0.0", 1);
    single["spec"]["strategy"] = json!({"type": "Recreate"});
    single["spec"]["template"]["spec"]["volumes"] =
        json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
    stage.apply(&package("1.0.0", &[single, volume])).await;
    stage.want("1.0.0").await;

    let said = stalled(&stage, ConditionReason::InvalidSpec).await;
    assert!(said.contains("Recreate") && said.contains("rolling") && said.contains("maxSurge"), "{said}");
    assert!(stage.scales().await.is_empty());
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nine_hundred_kilobytes_that_do_not_compress_are_carried() {
    let stage = plain_stage("large", SWIFT).await;
    let secrets: Vec<Value> = (0..8_u64).map(|number| secret(number, 82_000)).collect();
    let mut manifests = small("1.0.0");
    manifests[0]["spec"]["template"]["spec"]["volumes"] =
        json!([{"name": "noise", "secret": {"secretName": secrets[0]["metadata"]["name"]}}]);
    let manifests: Vec<Value> = manifests.into_iter().chain(secrets).collect();
    let size = serde_json::to_vec(&manifests).unwrap().len();
    assert!((850_000..900_000).contains(&size), "{size}");
    settled(&stage, "1.0.0", &manifests).await;

    let records = stage.list("v1", "Secret", "landfall.dev/role=record").await;
    // Noise does not compress: the record has all of it.
    let content = |record: &DynamicObject| record.data["data"].to_string().len();
    assert!(records.iter().map(content).sum::<usize>() > 8 * 82_000);
    let secrets = stage.list("v1", "Secret", "landfall.dev/role=shared").await;
    assert_eq!(secrets.len(), 7);
    stage.end().await;
}

/// A Secret of so many bytes of noise, the same at every run.
fn secret(number: u64, bytes: usize) -> Value {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ (number + 1);
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    })
    .take(bytes)
    .collect();
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("noise-{number}")},
        "data": {"noise": BASE64_STANDARD.encode(noise)},
    })
}
