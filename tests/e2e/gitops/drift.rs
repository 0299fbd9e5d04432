//! What somebody else changes: set back, contested, or theirs to change; and what cannot be changed at all.

use futures::StreamExt;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap, events::v1::Event};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
    runtime::{WatchStreamExt, watcher},
};
use landfall::api::source::SyncCounts;
use serde_json::{Value, json};

use super::forge::{Forge, map};

fn somebody() -> PatchParams {
    PatchParams { field_manager: Some("somebody".to_owned()), ..PatchParams::default() }
}

/// Waits for an event of this reason, and returns what it says.
pub async fn event(forge: &Forge, reason: &str) -> String {
    let config = watcher::Config::default().fields(&format!("reason={reason}"));
    let mut events = watcher(forge.stage.world.api::<Event>(), config).applied_objects().boxed();
    let told = forge.stage.world.patiently(&format!("the event {reason}"), events.next()).await;
    told.expect("events go on").unwrap().note.unwrap_or_default()
}

async fn change(forge: &Forge, value: &str) {
    let patch = Patch::Merge(json!({"data": {"a": value}}));
    forge.maps().patch("one", &somebody(), &patch).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_changes_a_field_again_and_again_is_named_and_left_alone() {
    let forge = Forge::with("contested", "prune: true", &[("one.yaml", &map("one", "1"))]).await;
    forge.in_force(&forge.head()).await;
    let is_back = |map: Option<&ConfigMap>| map.is_some_and(|map| map.data.as_ref().unwrap()["a"] == "1");
    for value in ["mine-1", "mine-2", "mine-3"] {
        change(&forge, value).await;
        forge.until_map("one", is_back).await;
    }
    let note = event(&forge, "DriftCorrected").await;
    let namespace = &forge.stage.world.namespace;
    assert_eq!(note, format!("what somebody else changed is set back: ConfigMap {namespace}/one"));
    change(&forge, "mine-4").await;
    let status = forge.until("the contested drift", |_, status| !status.drift.is_empty()).await;
    let [drift] = status.drift.as_slice() else { panic!("{status:#?}") };
    assert_eq!(
        (drift.object.as_str(), drift.manager.as_deref()),
        (format!("ConfigMap {namespace}/one").as_str(), Some("somebody"))
    );
    assert!(drift.message.contains("/data/a") && !drift.message.contains("mine-4"), "{drift:?}");
    let note = event(&forge, "DriftContested").await;
    assert!(note.starts_with("somebody changes ConfigMap ") && note.contains("/data/a"), "{note}");
    assert_eq!(forge.value("one").await.as_deref(), Some("mine-4"), "it is left to them");
    let text = metrics(&forge);
    assert!(text.contains("landfall_drift_total{outcome=\"corrected\"} 3"), "{text}");
    assert!(text.contains("landfall_drift_total{outcome=\"contested\"} 1"), "{text}");

    // Another commit is brought into force all the same.
    let second = forge.commit("second", &[("one.yaml", &map("one", "2"))]);
    forge.in_force(&second).await;
    assert_eq!(forge.value("one").await.as_deref(), Some("2"));
    forge.end().await;
}

/// The operator's metrics.
fn metrics(forge: &Forge) -> String {
    let url = format!("http://{}/metrics", forge.stage.http());
    let arguments = ["sample", "get", url.as_str()];
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_landfall")).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_instances_that_an_autoscaler_set_are_left_alone() {
    let web = |label: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web, labels: {{a: '{label}'}}}}\nspec:\n  replicas: 0\n  \
             selector: {{matchLabels: {{app: web}}}}\n  template:\n    metadata: {{labels: {{app: web}}}}\n    \
             spec: {{terminationGracePeriodSeconds: 0, containers: [{{name: web, image: 'registry.invalid/web:1'}}]}}\n"
        )
    };
    let forge = Forge::with("scaled", "prune: true", &[("web.yaml", &web("1"))]).await;
    forge.in_force(&forge.head()).await;
    let deployments: Api<Deployment> = forge.stage.world.api();
    let until = async |label: &str| {
        let is =
            |found: Option<&Deployment>| found.is_some_and(|found| found.labels().get("a").is_some_and(|a| a == label));
        forge.stage.world.wait_for("web", is).await;
    };
    let scale = Patch::Merge(json!({"spec": {"replicas": 2}}));
    deployments.patch_scale("web", &somebody(), &scale).await.unwrap();
    let label = Patch::Merge(json!({"metadata": {"labels": {"a": "mine"}}}));
    deployments.patch("web", &somebody(), &label).await.unwrap();
    until("1").await;
    let replicas = async || deployments.get("web").await.unwrap().spec.replicas;
    assert_eq!(replicas().await, Some(2), "what was set back beside it is no reason");
    forge.commit("second", &[("web.yaml", &web("2"))]);
    until("2").await;
    assert_eq!(replicas().await, Some(2), "nor is another commit");
    let kept: Value = serde_json::to_value(deployments.get("web").await.unwrap()).unwrap();
    assert_eq!(kept["metadata"]["labels"]["landfall.dev/profile"], "production");
    forge.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_never_changes_is_refused_or_the_object_made_anew() {
    let fixed = |value: &str| format!("{}immutable: true\n", map("one", value));
    let forge =
        Forge::with("replace", "prune: true", &[("one.yaml", &fixed("1")), ("two.yaml", &map("two", "1"))]).await;
    forge.in_force(&forge.head()).await;
    let uid = async || forge.maps().get("one").await.unwrap().uid();
    let before = uid().await;
    let second = forge.commit("second", &[("one.yaml", &fixed("2")), ("two.yaml", &map("two", "2"))]);
    let status = forge.failed(&second).await;
    let [failure] = status.failures.as_slice() else { panic!("{status:#?}") };
    assert_eq!(
        (failure.reason.as_str(), failure.file.as_deref(), failure.line),
        ("Immutable", Some("one.yaml"), Some(1))
    );
    assert!(failure.message.contains("set spec.source.replace"), "{failure:?}");
    assert_eq!((forge.value("one").await.as_deref(), forge.value("two").await.as_deref()), (Some("1"), Some("1")));
    assert_eq!(uid().await, before);

    forge.patch(json!({"spec": {"source": {"replace": true}}})).await;
    let status = forge.in_force(&second).await;
    assert_eq!((forge.value("one").await.as_deref(), forge.value("two").await.as_deref()), (Some("2"), Some("2")));
    assert_ne!(uid().await, before, "it is another object");
    let counts = status.last_sync.unwrap().counts;
    assert_eq!(counts, SyncCounts { created: 1, configured: 1, ..SyncCounts::default() });
    let inventory = status.inventory.unwrap().entries.join("\n");
    assert!(inventory.contains(&uid().await.unwrap()) && !inventory.contains(&before.unwrap()), "{inventory}");
    forge.end().await;
}

/// A file that is no manifest.
const BROKEN: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_begins_with_a_refused_commit_sets_back_what_is_applied() {
    let (one, two) = (map("one", "1"), map("two", "1"));
    let files = [("one.yaml", one.as_str()), ("two.yaml", &two)];
    let mut forge = Forge::with("refused-drift", "prune: true", &files).await;
    let first = forge.head();
    forge.in_force(&first).await;
    let bad = forge.commit("bad", &[("one.yaml", &map("one", "2")), ("bad.yaml", BROKEN)]);
    forge.failed(&bad).await;
    forge.stage.kill_operator();
    change(&forge, "mine").await;
    forge.stage.start_operator();
    let is_back = |map: Option<&ConfigMap>| map.is_some_and(|map| map.data.as_ref().unwrap()["a"] == "1");
    forge.until_map("one", is_back).await;
    forge.maps().delete("two", &kube::api::DeleteParams::default()).await.unwrap();
    forge.until_map("two", is_back).await;
    let status = forge.failed(&bad).await;
    assert_eq!(status.applied.unwrap().id, first);

    // Another path, and the commit is not what was applied: nothing is set back to it.
    forge.stage.kill_operator();
    forge.patch(json!({"spec": {"source": {"git": {"path": "/elsewhere"}}}})).await;
    change(&forge, "mine").await;
    forge.stage.start_operator();
    let said = |status: &landfall::api::source::SourceStatus| {
        status.waiting_for.as_deref().unwrap_or_default().contains("what somebody else changes stays meanwhile")
    };
    forge.until("what is not compared", |_, status| said(status)).await;
    assert_eq!(forge.value("one").await.as_deref(), Some("mine"));

    // The repository does not give it any more, and the mirror is lost.
    forge.patch(json!({"spec": {"source": {"git": {"path": "/"}}}})).await;
    forge.until_map("one", is_back).await;
    forge.stage.kill_operator();
    forge.stage.lose_data();
    let repository = &forge.server.repository;
    repository.git(&["update-ref", "-d", "refs/heads/main"], b"");
    forge.commit("worse", &[("bad.yaml", BROKEN)]);
    repository.git(&["gc", "--quiet", "--prune=now"], b"");
    forge.stage.start_operator();
    let status = forge.until("what is lost", |_, status| said(status)).await;
    let waits = status.waiting_for.unwrap();
    assert!(waits.contains(&format!("the repository has no commit {} any more", &first[..7])), "{waits}");
    let note = event(&forge, "DriftNotCompared").await;
    assert!(note.contains(&first[..7]), "{note}");

    let good = forge.commit("good", &[("one.yaml", &map("one", "3"))]);
    let status = forge.in_force(&good).await;
    assert_eq!((status.waiting_for, forge.value("one").await.as_deref()), (None, Some("3")));
    forge.end().await;
}
