//! The custom resources on a real API server: it takes the definitions, and refuses what it should, with these words.
//!
//! `tests/it/validation.rs` has every rule; here are those that a server may see differently from a library: what it
//! prunes, what it compares, and what it costs.

use kube::{
    Api, Error, ResourceExt,
    api::{DynamicObject, Patch, PatchParams, PostParams, ValidationDirective},
    core::{GroupVersionKind, Request},
    discovery,
};
use serde_json::{Value, json};

use crate::world::{World, install_definitions};

const QUICKSTART: [&str; 4] = [
    include_str!("../../examples/quickstart/package-v1.yaml"),
    include_str!("../../examples/quickstart/package-v2.yaml"),
    include_str!("../../examples/quickstart/profile.yaml"),
    include_str!("../../examples/quickstart/deployment.yaml"),
];

/// A namespace with the quickstart in it.
async fn world(test: &str) -> World {
    let world = World::new(test).await;
    install_definitions(&world.client).await;
    for text in QUICKSTART {
        let object: Value = serde_saphyr::from_str(text).unwrap();
        apply(&world, &object).await.unwrap();
    }
    world
}

async fn api(world: &World, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("landfall.dev", "v1alpha1", kind);
    let (resource, _) = discovery::pinned_kind(&world.client, &kind).await.unwrap();
    Api::namespaced_with(world.client.clone(), &world.namespace, &resource)
}

/// Server-side apply with strict field validation, as kubectl and Landfall do it.
async fn apply(world: &World, object: &Value) -> kube::Result<DynamicObject> {
    let how = PatchParams { field_validation: Some(ValidationDirective::Strict), ..PatchParams::apply("e2e").force() };
    let (kind, name) = (object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
    api(world, kind).await.patch(name, &how, &Patch::Apply(object)).await
}

/// The whole object again with other content, as `kubectl replace` does it.
async fn replace(
    world: &World,
    kind: &str,
    name: &str,
    change: impl FnOnce(&mut Value),
) -> kube::Result<DynamicObject> {
    let api = api(world, kind).await;
    let mut object = api.get(name).await?;
    change(&mut object.data["spec"]);
    api.replace(name, &PostParams::default(), &object).await
}

async fn merge(world: &World, kind: &str, name: &str, spec: &Value) -> kube::Result<DynamicObject> {
    let patch = json!({"spec": spec});
    api(world, kind).await.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await
}

#[track_caller]
fn refused(result: kube::Result<DynamicObject>, words: &str) {
    match result {
        Err(Error::Api(status)) => assert!(status.message.contains(words), "{words:?} is not in {:?}", status.message),
        other => panic!("not refused for {words:?}: {other:?}"),
    }
}

fn example(index: usize) -> Value {
    serde_saphyr::from_str(QUICKSTART[index]).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_object_is_not_ready_yet_scales_and_has_a_short_name_and_columns() {
    let world = world("crd-new").await;
    for (kind, name) in [("Package", "web-1.0.0"), ("Profile", "production"), ("Deployment", "web")] {
        let object = api(&world, kind).await.get(name).await.unwrap();
        assert_eq!(object.data["status"], json!({"observedGeneration": -1}), "{kind}");
    }

    let deployments = api(&world, "Deployment").await;
    let four = json!({"spec": {"replicas": 4}});
    deployments.patch_scale("web", &PatchParams::default(), &Patch::Merge(&four)).await.unwrap();
    assert_eq!(deployments.get("web").await.unwrap().data["spec"]["replicas"], 4);
    let status = json!({"status": {
        "observedGeneration": 1, "replicas": 3, "selector": "app=web", "phase": "Progressing",
        "progress": {"percentage": 60, "completedSteps": 3, "totalSteps": 5}, "waitingFor": "2 of 5 pods",
        "currentStep": {"number": 4, "action": "SetWeight"}, "health": "Healthy",
        "traffic": {"stable": "99.5", "candidate": "0.5", "verified": true},
    }});
    deployments.patch_status("web", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    let scale = deployments.get_scale("web").await.unwrap();
    let status = scale.status.unwrap();
    assert_eq!((status.replicas, status.selector.as_deref()), (3, Some("app=web")));

    // What `kubectl get dpl` prints.
    let path = format!("/apis/landfall.dev/v1alpha1/namespaces/{}/deployments", world.namespace);
    let mut request = Request::new(path).get("web", &kube::api::GetParams::default()).unwrap();
    request.headers_mut().insert("accept", "application/json;as=Table;v=v1;g=meta.k8s.io".parse().unwrap());
    let table: Value = world.client.request(request).await.unwrap();
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(
        cells[..6],
        [json!("web"), json!("Progressing"), json!(60), json!("SetWeight"), json!("0.5"), json!("Healthy")]
    );
    assert_eq!(cells[7], "2 of 5 pods");
    assert_eq!(table["columnDefinitions"][7]["priority"], 1);

    let resources = world.client.list_api_group_resources("landfall.dev/v1alpha1").await.unwrap().resources;
    for (plural, short) in [("packages", "pkg"), ("profiles", "prof"), ("deployments", "dpl")] {
        let resource = resources.iter().find(|resource| resource.name == plural).unwrap();
        assert_eq!(resource.short_names.as_deref(), Some(&[short.to_owned()][..]));
        assert_eq!(resource.categories.as_deref(), Some(&["landfall".to_owned()][..]));
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_keeps_its_name_version_and_content() {
    let world = world("crd-package").await;
    let mut misnamed = example(0);
    misnamed["metadata"]["name"] = json!("web");
    refused(
        apply(&world, &misnamed).await,
        "metadata.name must be spec.name, a '-' and spec.version: rename the object",
    );
    let mut loud = example(0);
    (loud["metadata"]["name"], loud["spec"]["version"]) = (json!("web-1.0.0-rc"), json!("1.0.0-RC"));
    refused(apply(&world, &loud).await, "a version is a semantic version in lower case");
    let mut two = example(0);
    two["spec"]["database"] = json!({});
    refused(apply(&world, &two).await, "field not declared in schema");
    let mut none = example(0);
    (none["metadata"]["name"], none["spec"]["name"]) = (json!("none-1.0.0"), json!("none"));
    none["spec"]["workload"] = json!({});
    refused(apply(&world, &none).await, "spec.workload.manifests: Required value");
    none["spec"].as_object_mut().unwrap().remove("workload");
    refused(apply(&world, &none).await, "spec: exactly one content kind is needed");

    let content = "spec.workload is immutable: make a Package of a new version";
    let change = async |change: fn(&mut Value)| replace(&world, "Package", "web-1.0.0", change).await;
    refused(change(|spec| spec["version"] = json!("3.0.0")).await, "spec.version is immutable");
    refused(change(|spec| spec["name"] = json!("shop")).await, "spec.name is immutable");
    refused(change(|spec| drop(spec.as_object_mut().unwrap().remove("workload"))).await, content);
    let renames: [fn(&mut Value); 4] = [
        |spec| rename(&mut spec["workload"]["manifests"][0], "spec", "template"),
        |spec| rename(&mut spec["workload"]["manifests"][0]["spec"], "replicas", "replica"),
        |spec| rename(&mut spec["workload"]["manifests"][1]["spec"], "selector", "selectors"),
        |spec| spec["workload"]["manifests"][0]["metadata"] = json!({"generateName": "web"}),
    ];
    for rename in renames {
        refused(change(rename).await, content);
    }
    let changed = change(|spec| {
        (spec["description"], spec["tags"], spec["state"]) = (json!("other"), json!(["a"]), json!("Archived"));
        spec["metadata"] = json!({"a": "b"});
    });
    assert_eq!(changed.await.unwrap().data["spec"]["state"], "Archived");
    world.end().await;
}

fn rename(object: &mut Value, from: &str, to: &str) {
    let map = object.as_object_mut().unwrap();
    let value = map.remove(from).unwrap();
    map.insert(to.to_owned(), value);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_and_a_profile_refuse_what_they_cannot_carry_out() {
    let world = world("crd-rules").await;
    let mut unknown = example(3);
    unknown["spec"]["dryrun"] = json!(true);
    refused(apply(&world, &unknown).await, "field not declared in schema");
    let mut long = example(3);
    long["metadata"]["name"] = json!("x".repeat(64));
    refused(apply(&world, &long).await, "a Deployment's name has at most 63 characters");

    let web = async |spec: Value| merge(&world, "Deployment", "web", &spec).await;
    refused(web(json!({"profile": "staging"})).await, "spec.profile is immutable: make another Deployment");
    refused(web(json!({"package": {"name": "shop"}})).await, "spec.package.name is immutable: make another Deployment");
    refused(web(json!({"package": {"range": "~1.4"}})).await, "exactly one of `version` and `range` is needed");
    refused(
        web(json!({"strategy": {"canary": {}, "rolling": {}}})).await,
        "exactly one of `canary`, `blueGreen` and `rolling`",
    );
    for bad in [json!(101), json!(-1), json!("0.555"), json!("ten")] {
        refused(
            web(json!({"strategy": {"canary": {"increment": bad}}})).await,
            "a percentage is an integer from 0 to 100",
        );
        refused(
            web(json!({"strategy": {"canary": {"steps": [{"weight": bad}]}}})).await,
            "a percentage is an integer from 0 to 100",
        );
    }
    refused(web(json!({"strategy": {"canary": {"increment": 0.5}}})).await, "spec.strategy.canary.increment");
    refused(web(json!({"strategy": {"canary": {"increment": "0%"}}})).await, "canary.increment: 0 would never arrive");
    refused(
        web(json!({"strategy": {"canary": {"interval": "soon"}}})).await,
        "a length of time is whole numbers with units",
    );
    refused(
        web(json!({"strategy": {"canary": {"steps": [{"weight": 1, "pause": {}}]}}})).await,
        "a step is exactly one of",
    );
    refused(
        web(json!({"strategy": {"rolling": {"maxSurge": "1.5"}}})).await,
        "an amount is a number of instances such as 2",
    );
    refused(
        web(json!({"strategy": {"rolling": {"maxSurge": 0, "maxUnavailable": "0%"}}})).await,
        "both 0 nothing can move",
    );
    refused(web(json!({"scheduleAt": "tomorrow"})).await, "spec.scheduleAt");
    refused(web(json!({"template": {"metadata": {}, "spec": {}}})).await, "spec.template: only `metadata` may be here");
    let kustomized = json!({"template": {"metadata": {"labels": {"a": "b"}}}, "selector": {"matchLabels": {"a": "b"}}});
    web(kustomized).await.unwrap();
    web(json!({"package": {"version": "2.0.0"}, "strategy": {"canary": {"steps": [{"weight": "0.5%"}, {"pause": {}}]}}})).await.unwrap();

    let profile = async |spec: Value| merge(&world, "Profile", "production", &spec).await;
    refused(profile(json!({"environment": "staging"})).await, "spec.environment is immutable: make another Profile");
    refused(profile(json!({"target": {"namespace": "other"}})).await, "spec.target is immutable: make another Profile");
    refused(profile(json!({"target": {"serviceAccount": "a:b"}})).await, "spec.target.serviceAccount");
    refused(profile(json!({"checks": [{"name": "up"}]})).await, "a check needs exactly one provider");
    let check = json!({"name": "up", "http": {"url": "http://x"}});
    refused(profile(json!({"checks": [check, check]})).await, "spec.checks: a name may occur once only");
    profile(json!({"checks": [check]})).await.unwrap();
    world.end().await;
}

/// Definitions are shared by all tests; installing them again changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_definitions_are_accepted_as_they_are_and_installing_them_again_changes_nothing() {
    let world = World::new("crd-again").await;
    install_definitions(&world.client).await;
    let resource = kube::core::ApiResource::from_gvk(&GroupVersionKind::gvk(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
    ));
    let definitions: Api<DynamicObject> = Api::all_with(world.client.clone(), &resource);
    let name = "deployments.landfall.dev";
    let before = definitions.get(name).await.unwrap();
    install_definitions(&world.client).await;
    let after = definitions.get(name).await.unwrap();
    assert_eq!(before.metadata.generation, after.metadata.generation, "{}", after.name_any());
    let conditions = after.data["status"]["conditions"].as_array().unwrap();
    assert!(conditions.iter().all(|condition| condition["type"] != "NonStructuralSchema"), "{conditions:?}");
    world.end().await;
}
