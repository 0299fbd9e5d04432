//! Routes that a package brings itself, and hosts that two Deployments want.

use k8s_openapi::api::core::v1::Service;
use landfall::api::{condition::ConditionReason, deployment_status::Phase, profile::Profile};
use serde_json::{Value, json};

use super::{SWIFT, at_gate, named_package, package, runs, service, settled, small, small_with, waits_for, workload};
use crate::stage::{Stage, manifests};

const STEPS: &str = "{scaleDownDelay: 0s, canary: {steps: [{weight: 25}, {pause: {}}]}}";

fn backend(name: &str) -> Value {
    json!({"name": name, "port": 80})
}

fn route(kind: &str, host: &str, rules: &Value) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": {"name": "own"},
        "spec": {"parentRefs": [{"name": "public", "namespace": "gateway"}], "hostnames": [host], "rules": rules},
    })
}

/// The weights that a rule gives, by backend.
fn weights(route: &Value, rule: usize) -> Vec<(String, i64)> {
    let backends = route["spec"]["rules"][rule]["backendRefs"].as_array().unwrap();
    let mut weights: Vec<_> = backends
        .iter()
        .map(|backend| (backend["name"].as_str().unwrap().to_owned(), backend["weight"].as_i64().unwrap_or(1)))
        .collect();
    weights.sort();
    weights
}

async fn own(stage: &Stage, kind: &str) -> Value {
    let routes = stage.list("gateway.networking.k8s.io/v1", kind, "landfall.dev/deployment=web").await;
    assert_eq!(routes.len(), 1, "{routes:?}");
    routes[0].data.clone()
}

async fn assert_weighed(stage: &Stage, kind: &str, manifests: impl Fn(&str) -> Vec<Value>) {
    settled(stage, "1.0.0", &manifests("1.0.0")).await;
    let before = own(stage, kind).await;
    stage.apply(&package("2.0.0", &manifests("2.0.0"))).await;
    stage.want("2.0.0").await;
    at_gate(stage).await;
    stage.at_weight("25").await;

    let route = own(stage, kind).await;
    let weighed = weights(&route, 0);
    let of = |name: &str| weighed.iter().find(|(backend, _)| backend == name).map(|(_, weight)| *weight);
    assert_eq!(of("web").map(|stable| stable == 3 * of("web-candidate").unwrap()), Some(true), "{weighed:?}");
    assert_eq!(route["spec"]["rules"][1], before["spec"]["rules"][1], "a rule of another service is not touched");
    stage.command("promote", "").await;
    let end = stage.ended().await;
    assert_eq!((end.phase, runs(&end).as_str()), (Some(Phase::Succeeded), "2.0.0"), "{end:?}");
    assert_eq!(own(stage, kind).await["spec"]["rules"][1], before["spec"]["rules"][1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packages_own_http_route_carries_the_weights_and_keeps_its_other_rules() {
    let stage = Stage::new("httproute").await;
    stage.apply(&manifests::profile_without_router(STEPS)).await;
    stage.apply(&workload("other", "1.0.0", 1).to_string()).await;
    stage.apply(&service("other", "other").to_string()).await;
    let host = stage.host();
    let all = |version: &str| {
        let rules = json!([
            {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": [backend("web")]},
            {"matches": [{"path": {"type": "PathPrefix", "value": "/other"}}], "backendRefs": [backend("other")]},
        ]);
        small_with(version, [route("HTTPRoute", &host, &rules)])
    };
    assert_weighed(&stage, "HTTPRoute", all).await;

    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packages_own_grpc_route_carries_the_weights() {
    let stage = Stage::new("grpcroute").await;
    stage.apply(&manifests::profile_without_router(STEPS)).await;
    stage.apply(&service("other", "other").to_string()).await;
    let host = stage.host();
    let all = |version: &str| {
        let rules = json!([
            {"matches": [{"method": {"service": "shop.Cart", "method": "Add"}}], "backendRefs": [backend("web")]},
            {"matches": [{"method": {"service": "shop.Other", "method": "Add"}}], "backendRefs": [backend("other")]},
        ]);
        small_with(version, [route("GRPCRoute", &host, &rules)])
    };
    assert_weighed(&stage, "GRPCRoute", all).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_changes_with_the_version_is_changed_at_promotion_and_back() {
    let stage = Stage::new("newroute").await;
    stage.apply(&manifests::profile_without_router(STEPS)).await;
    let host = stage.host();
    let all = |version: &str, path: &str| {
        let rules =
            json!([{"matches": [{"path": {"type": "PathPrefix", "value": path}}], "backendRefs": [backend("web")]}]);
        small_with(version, [route("HTTPRoute", &host, &rules)])
    };
    let path = async |stage: &Stage| {
        own(stage, "HTTPRoute").await["spec"]["rules"][0]["matches"][0]["path"]["value"].as_str().unwrap().to_owned()
    };
    settled(&stage, "1.0.0", &all("1.0.0", "/one")).await;
    stage.apply(&package("2.0.0", &all("2.0.0", "/two"))).await;
    stage.want("2.0.0").await;
    at_gate(&stage).await;
    stage.at_weight("25").await;
    assert_eq!(path(&stage).await, "/one");
    stage.command("promote", "").await;
    let end = stage.ended().await;
    assert_eq!((end.phase, path(&stage).await.as_str()), (Some(Phase::Succeeded), "/two"), "{end:?}");
    stage.command("rollback", "").await;
    stage.until("the first version", |status| runs(status) == "1.0.0" && status.waiting_for.is_none()).await;
    assert_eq!(path(&stage).await, "/one");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_and_path_of_another_deployment_are_refused_by_its_name() {
    let stage = Stage::new("claimed").await;
    stage.profile(SWIFT).await;
    settled(&stage, "1.0.0", &small("1.0.0")).await;
    let second = [workload("two", "1.0.0", 1), service("two", "two")];
    stage.apply(&named_package("two", "1.0.0", &second)).await;
    let deployment = manifests::deployment("1.0.0").replace("web", "two");
    stage.apply(&deployment).await;

    let refused = stage.until_of("two", "a refusal", |status| {
        status.conditions.iter().any(|condition| {
            condition.type_ == landfall::api::condition::ConditionType::Stalled
                && condition.status == landfall::api::condition::ConditionStatus::True
                && condition.reason == ConditionReason::InvalidSpec
                && condition.message.contains("web")
                && condition.message.contains("example.test")
        })
    });
    refused.await;
    // Another path is another claim.
    let patch = json!({"spec": {"traffic": {"path": "/two"}}});
    let merge = kube::api::Patch::Merge(patch);
    stage.deployments().patch("two", &kube::api::PatchParams::default(), &merge).await.unwrap();
    stage.until_of("two", "success", |status| status.phase == Some(Phase::Succeeded)).await;
    stage.end().await;
}

/// The host names of the route that was made.
async fn hosts(stage: &Stage) -> Value {
    own(stage, "HTTPRoute").await["spec"]["hostnames"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_changes_under_a_run_changes_neither_its_hosts_nor_who_writes() {
    let stage = Stage::new("terms").await;
    stage.apply(&manifests::profile(STEPS)).await;
    settled(&stage, "1.0.0", &small("1.0.0")).await;
    let before = hosts(&stage).await;
    stage.apply(&package("2.0.0", &small("2.0.0"))).await;
    stage.want("2.0.0").await;
    at_gate(&stage).await;

    // The target cannot be changed: whoever wants another account makes the Profile anew.
    let profiles: kube::Api<Profile> = stage.world.api();
    profiles.delete("production", &kube::api::DeleteParams::default()).await.unwrap();
    let moved = manifests::profile(STEPS).replace("HOST", "moved-HOST");
    let moved = format!("{}  target: {{serviceAccount: nobody}}\n", moved.trim_end_matches(' '));
    stage.apply(&moved).await;
    stage.until("word of pending changes", |status| status.pending_changes == Some(true)).await;
    stage.command("promote", "").await;
    let end = stage.until("end of the run", |status| runs(status) == "2.0.0").await;
    assert_eq!(end.pending_changes, None, "{end:?}");
    stage.ended().await;
    assert_eq!(hosts(&stage).await, before);

    // The next run is on the new terms, and says which account it lacks.
    stage.apply(&package("3.0.0", &small("3.0.0"))).await;
    stage.want("3.0.0").await;
    waits_for(&stage, "service account nobody").await;
    assert_eq!(hosts(&stage).await, before);
    stage.end().await;
}

/// Two Services before the pods, of which a route names the first.
fn two_services(version: &str) -> Vec<Value> {
    let mut manifests = small_with(version, [service("second", "web")]);
    manifests[1]["metadata"]["annotations"] = json!({"landfall.dev/expose": "http"});
    manifests
}

/// Waits until a Service selects this revision.
async fn selected(stage: &Stage, name: &str, revision: &str) {
    let is = |service: Option<&Service>| {
        let selector = service.and_then(|service| service.spec.as_ref()?.selector.as_ref());
        selector.and_then(|labels| labels.get("pod-template-hash")).is_some_and(|hash| hash == revision)
    };
    stage.world.wait_for::<Service, _>(name, is).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_several_services_that_lost_its_turn_is_turned_again() {
    let stage = Stage::new("lostturn").await;
    stage.apply(&manifests::profile(SWIFT)).await;
    settled(&stage, "1.0.0", &two_services("1.0.0")).await;
    let stable = stage.stable().await;
    let services: kube::Api<Service> = stage.world.api();
    let select = async |hash: &str| {
        let patch = kube::api::Patch::Merge(json!({"spec": {"selector": {"pod-template-hash": hash}}}));
        services.patch("second", &kube::api::PatchParams::default(), &patch).await.unwrap();
    };
    select(landfall::api::NO_REVISION).await;
    selected(&stage, "second", &stable).await;
    services.delete("second", &kube::api::DeleteParams::default()).await.unwrap();
    selected(&stage, "second", &stable).await;

    // A revision that has no pods any more.
    settled(&stage, "2.0.0", &two_services("2.0.0")).await;
    let newer = stage.stable().await;
    select(&stable).await;
    selected(&stage, "second", &newer).await;
    stage.end().await;
}
