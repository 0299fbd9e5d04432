//! Values for files from objects of the namespace.

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::forge::{Forge, map};

const FROM: &str = "substituteFrom: [{kind: ConfigMap, name: colours}, {kind: Secret, name: keys}, \
                    {kind: ConfigMap, name: nowhere, optional: true}], substitute: {LAST: '3'}";

fn asks(name: &str, value: &str) -> String {
    format!("# landfall: substitute\n{}", map(name, value))
}

async fn set(forge: &Forge, name: &str, data: serde_json::Value) {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
    let how = PatchParams::apply("e2e").force();
    forge.maps().patch(name, &how, &Patch::Apply(object)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_objects_fill_files_and_their_changes_are_brought_into_force() {
    let forge = Forge::with("values", FROM, &[("one.yaml", &asks("one", "${COLOUR}-${KEY}-${LAST}"))]).await;
    forge
        .until("the wait for the ConfigMap", |_, status| {
            let words = "spec.source.substituteFrom[0]: there is no ConfigMap colours in ";
            status.waiting_for.as_deref().is_some_and(|sentence| sentence.contains(words))
        })
        .await;
    forge.give("keys", json!({"KEY": "hunter2", "LAST": "2"})).await;
    set(&forge, "colours", json!({"COLOUR": "green", "KEY": "1"})).await;
    let status = forge.in_force(&forge.head()).await;
    assert_eq!(forge.value("one").await.as_deref(), Some("green-hunter2-3"));
    assert!(!format!("{status:?}").contains("hunter2"));

    // The commit is the same, and so are its files.
    set(&forge, "colours", json!({"COLOUR": "blue", "KEY": "1"})).await;
    forge.until_map("one", |map| map.is_some_and(|map| map.data.as_ref().unwrap()["a"] == "blue-hunter2-3")).await;
    let status = forge.until("the end", |_, status| status.history.len() == 2).await;
    assert_eq!(status.last_sync.unwrap().counts.configured, 1);
    set(&forge, "nowhere", json!({"COLOUR": "red"})).await;
    forge.until_map("one", |map| map.is_some_and(|map| map.data.as_ref().unwrap()["a"] == "red-hunter2-3")).await;
    forge.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_reads_values_at_once_and_no_error_quotes_a_secret() {
    let forge = Forge::new("values-secret").await;
    let secrets: Api<Secret> = forge.stage.world.api();
    forge.give("keys", json!({"KEY": "first"})).await;
    let first = forge.commit("first", &[("one.yaml", &asks("one", "${KEY}"))]);
    forge.follow_every("1h", "substituteFrom: [{kind: Secret, name: keys}]").await;
    forge.in_force(&first).await;
    let patch = Patch::Merge(json!({"stringData": {"KEY": "hunter2"}}));
    secrets.patch("keys", &PatchParams::default(), &patch).await.unwrap();
    forge.patch(json!({"metadata": {"annotations": {"landfall.dev/sync": "1"}}})).await;
    forge.until_map("one", |map| map.is_some_and(|map| map.data.as_ref().unwrap()["a"] == "hunter2")).await;

    // A number is wanted, and the API server quotes what it gets.
    let service = "# landfall: substitute\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80, protocol: '${KEY}'}]}\n";
    let bad = forge.commit("bad", &[("web.yaml", service)]);
    forge.patch(json!({"metadata": {"annotations": {"landfall.dev/sync": "2"}}})).await;
    let status = forge.failed(&bad).await;
    assert_eq!(status.failures[0].file.as_deref(), Some("web.yaml"));
    assert!(status.failures[0].message.contains("may quote what is secret"), "{status:?}");
    forge.tells_nothing_of(&["hunter2"]).await;
    forge.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kustomization_gets_the_values_of_a_secret_and_nothing_quotes_them() {
    let forge = Forge::new("values-kustomized").await;
    forge.give("keys", json!({"KEY": "hunter2"})).await;
    let root = ("production/kustomization.yaml", "resources: [one.yaml]\n");
    let first = forge.commit("first", &[root, ("production/one.yaml", &asks("one", "${KEY}"))]);
    forge.follow_at("/production", "substituteFrom: [{kind: Secret, name: keys}]").await;
    forge.in_force(&first).await;
    assert_eq!(forge.value("one").await.as_deref(), Some("hunter2"));

    let broken =
        "# landfall: substitute\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata: {a: ${KEY}: [\n";
    let bad = forge.commit("bad", &[root, ("production/one.yaml", broken)]);
    let status = forge.failed(&bad).await;
    assert!(status.failures[0].message.contains("may quote values of a Secret"), "{status:?}");
    assert_eq!(forge.value("one").await.as_deref(), Some("hunter2"));
    forge.tells_nothing_of(&["hunter2"]).await;
    forge.end().await;
}
