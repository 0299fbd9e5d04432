//! Profiles that are deleted, and what becomes of what they brought.

use std::process::{Child, Command, Stdio};

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
    runtime::wait::await_condition,
};
use landfall::api::profile::Profile;
use serde_json::json;

use super::{
    drift::event,
    forge::{Forge, PROFILE, map},
};
use crate::{git::server::Server, stage::Stage, world::World};

const DELETE: &str = "prune: true, deletionPolicy: Delete";

async fn delete(forge: &Forge) {
    drop(forge.profiles().delete(PROFILE, &DeleteParams::default()).await.unwrap());
}

async fn is_gone(forge: &Forge) {
    let gone = await_condition(forge.profiles(), PROFILE, |profile: Option<&Profile>| profile.is_none());
    Box::pin(forge.stage.world.patiently("the end of the Profile", Box::pin(gone))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_delete_the_objects_go_before_their_profile_and_what_says_so_stays() {
    let (one, two, kept) = (map("one", "1"), map("two", "1"), map("kept", "1"));
    let forge = Forge::with("leave", DELETE, &[("one.yaml", &one), ("two.yaml", &two), ("kept.yaml", &kept)]).await;
    forge.in_force(&forge.head()).await;
    assert_eq!(forge.profiles().get(PROFILE).await.unwrap().finalizers(), ["landfall.dev/source"]);
    let keep = Patch::Merge(json!({"metadata": {"annotations": {"landfall.dev/prune": "Disabled"}}}));
    forge.maps().patch("kept", &PatchParams::default(), &keep).await.unwrap();
    // One does not go by itself, and the Profile says so.
    let stuck = Patch::Merge(json!({"metadata": {"finalizers": ["shop.test/stuck"]}}));
    forge.maps().patch("two", &PatchParams::default(), &stuck).await.unwrap();
    delete(&forge).await;
    forge
        .until("the wait for the object", |profile, status| {
            let words = status.waiting_for.as_deref().unwrap_or_default();
            words.contains("/two to be gone; ") && profile.metadata.deletion_timestamp.is_some()
        })
        .await;
    forge.until_map("one", |map| map.is_none()).await;
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    forge.maps().patch("two", &PatchParams::default(), &free).await.unwrap();
    is_gone(&forge).await;
    assert_eq!(forge.names().await, ["kept"]);
    forge.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_it_they_stay_and_so_they_do_when_the_source_or_the_policy_is_removed() {
    let forge = Forge::with("leave-orphan", "prune: true", &[("one.yaml", &map("one", "1"))]).await;
    forge.in_force(&forge.head()).await;
    assert!(forge.profiles().get(PROFILE).await.unwrap().finalizers().is_empty());
    delete(&forge).await;
    is_gone(&forge).await;
    assert_eq!(forge.value("one").await.as_deref(), Some("1"));

    forge.follow(DELETE).await;
    forge.in_force(&forge.head()).await;
    forge.patch(json!({"spec": {"source": null}})).await;
    forge
        .until("the end of the source", |profile, _| {
            let status = profile.status.as_ref();
            profile.finalizers().is_empty() && status.is_some_and(|status| status.source.is_none())
        })
        .await;
    assert_eq!(forge.value("one").await.as_deref(), Some("1"));
    let note = event(&forge, "SourceRemoved").await;
    assert!(note.contains("its 1 objects stay"), "{note}");
    delete(&forge).await;
    is_gone(&forge).await;
    forge.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_operator_runs_uninstall_lets_a_profile_go() {
    let mut forge = Forge::with("leave-absent", DELETE, &[("one.yaml", &map("one", "1"))]).await;
    forge.in_force(&forge.head()).await;
    forge.stage.kill_operator();
    delete(&forge).await;
    assert!(forge.profiles().get(PROFILE).await.unwrap().metadata.deletion_timestamp.is_some());
    let namespace = forge.stage.world.namespace.clone();
    let output = Command::new(env!("CARGO_BIN_EXE_landfall")).args(["uninstall", "-n", &namespace]).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && out.starts_with(&format!("{namespace}/{PROFILE} is let go")), "{out}");
    is_gone(&forge).await;
    assert_eq!(forge.value("one").await.as_deref(), Some("1"));
    forge.end().await;
}

/// An operator whose Lease is somewhere else, so that it outlives the namespace that it looks after.
struct Outside(Child);

impl Outside {
    fn start(lease: &World, watched: &str) -> Self {
        let log = std::fs::File::create(std::env::temp_dir().join(format!("{}.log", lease.namespace))).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_landfall"))
            .args(["operator", "--listen", "127.0.0.1:0", "--lease-name", "operator", "--identity", "operator-0"])
            .args(["--lease-namespace", &lease.namespace, "--watch-namespace", watched, "--local-repositories"])
            .arg("--data-dir")
            .arg(std::env::temp_dir().join(format!("landfall-{}", lease.namespace)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_account_is_said_and_the_end_of_the_namespace_lets_the_profile_go() {
    let mut stage = Stage::without_operator("leave-namespace").await;
    let elsewhere = World::new("leave-lease").await;
    let operator = Outside::start(&elsewhere, &stage.world.namespace);
    stage.log = std::env::temp_dir().join(format!("{}.log", elsewhere.namespace));
    let forge = Forge { server: Server::start("leave-namespace"), stage };
    forge.secret().await;
    let first = forge.commit("first", &[("one.yaml", &map("one", "1"))]);
    forge.follow(DELETE).await;
    forge.in_force(&first).await;
    // It does not go by itself, so that there is something to wait for.
    let stuck = Patch::Merge(json!({"metadata": {"finalizers": ["shop.test/stuck"]}}));
    forge.maps().patch("one", &PatchParams::default(), &stuck).await.unwrap();

    let accounts: Api<ServiceAccount> = forge.stage.world.api();
    drop(accounts.delete("landfall-deployer", &DeleteParams::default()).await.unwrap());
    // The next operator remembers nothing of the account.
    drop(operator);
    let operator = Outside::start(&elsewhere, &forge.stage.world.namespace);
    delete(&forge).await;
    forge
        .until("the wait for the account", |_, status| {
            let words = "the service account landfall-deployer is missing";
            status.waiting_for.as_deref().is_some_and(|sentence| sentence.starts_with(words))
        })
        .await;
    let namespaces: Api<Namespace> = Api::all(forge.stage.world.client.clone());
    let namespace = forge.stage.world.namespace.clone();
    drop(namespaces.delete(&namespace, &DeleteParams::default()).await.unwrap());
    is_gone(&forge).await;
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    forge.maps().patch("one", &PatchParams::default(), &free).await.unwrap();
    let gone = await_condition(namespaces, &namespace, |namespace: Option<&Namespace>| namespace.is_none());
    elsewhere.patiently("the end of the namespace", gone).await.unwrap();
    drop(operator);
    elsewhere.end().await;
}
