//! Profiles whose objects are in another cluster, which is a real API server of its own.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    api::{DeleteParams, Patch, PatchParams},
    runtime::wait::await_condition,
};
use landfall::api::{
    condition::{ConditionReason, ConditionStatus, ConditionType},
    profile::Profile,
    source::SyncCounts,
};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    far::{Far, NAMESPACE, kubeconfig},
    forge::{Forge, PROFILE, condition, map},
};

const SECRET: &str = "far";

/// Makes the Profile, which follows the repository to the cluster of the Secret.
async fn follow(forge: &Forge, name: &str, target: &str, settings: &str) {
    let url = forge.server.url("basic");
    let source = format!("{{git: {{url: '{url}', interval: 1s, secretRef: {{name: git}}}}, {settings}}}");
    let target = if target.is_empty() { String::new() } else { format!("target: {target}, ") };
    forge
        .stage
        .apply(&format!(
            "{{apiVersion: landfall.dev/v1alpha1, kind: Profile, metadata: {{name: {name}}}, \
             spec: {{environment: {name}, {target}source: {source}}}}}"
        ))
        .await;
}

fn there() -> String {
    format!("{{namespace: {NAMESPACE}, kubeconfig: {{name: {SECRET}, key: value}}}}")
}

/// Writes another kubeconfig into the Secret.
async fn rotate(forge: &Forge, config: &Value) {
    let patch = Patch::Merge(json!({"stringData": {"value": config.to_string()}}));
    forge.stage.world.api::<Secret>().patch(SECRET, &PatchParams::default(), &patch).await.unwrap();
}

/// Waits until a `ConfigMap` there is as it is meant.
async fn until_there(forge: &Forge, far: &Far, name: &str, is: impl Fn(Option<&ConfigMap>) -> bool) {
    let condition = await_condition(far.maps(), name, |map: Option<&ConfigMap>| is(map));
    forge.stage.world.patiently(&format!("the ConfigMap {name} there"), condition).await.unwrap();
}

async fn is_gone(forge: &Forge) {
    let gone = await_condition(forge.profiles(), PROFILE, |profile: Option<&Profile>| profile.is_none());
    Box::pin(forge.stage.world.patiently("the end of the Profile", Box::pin(gone))).await.unwrap();
}

fn has(value: &str) -> impl Fn(Option<&ConfigMap>) -> bool {
    move |map| map.and_then(|map| map.data.as_ref()).is_some_and(|data| data["a"] == value)
}

/// A cluster that somebody else started has no programs for another one.
fn is_own_cluster() -> bool {
    std::env::var("LANDFALL_CLUSTER_KIND").as_deref() != Ok("current")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_is_there_and_not_here_and_goes_with_its_profile() {
    if !is_own_cluster() {
        return;
    }
    let forge = Forge::new("remote").await;
    let mut far = Far::start("story", &["first-hush", "second-hush"]).await;
    forge.give(SECRET, json!({"value": far.kubeconfig("first-hush").to_string()})).await;
    let first = forge.commit("first", &[("one.yaml", &map("one", "1")), ("two.yaml", &map("two", "1"))]);
    follow(&forge, PROFILE, &there(), "prune: true, deletionPolicy: Delete").await;
    let status = forge.in_force(&first).await;
    assert_eq!(status.last_sync.unwrap().counts, SyncCounts { created: 2, ..SyncCounts::default() });
    assert_eq!(far.names().await, ["one", "two"]);
    assert!(forge.names().await.is_empty(), "nothing of it is here");
    let entries = status.inventory.unwrap().entries;
    assert!(entries.iter().all(|entry| entry.contains(&format!(" {NAMESPACE}/"))), "{entries:?}");

    // What somebody changes or deletes there is set back.
    let other = PatchParams { field_manager: Some("somebody".to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({"data": {"a": "mine", "b": "kept"}}));
    far.maps().patch("one", &other, &patch).await.unwrap();
    until_there(&forge, &far, "one", has("1")).await;
    assert_eq!(far.maps().get("one").await.unwrap().data.unwrap()["b"], "kept");
    far.maps().delete("two", &DeleteParams::default()).await.unwrap();
    until_there(&forge, &far, "two", has("1")).await;

    // Another token is picked up, and the old one is not used any more.
    rotate(&forge, &far.kubeconfig("second-hush")).await;
    forge.patch(json!({"metadata": {"annotations": {"landfall.dev/sync": "rotated"}}})).await;
    forge.until("the answer", |_, status| status.handled_request.as_deref() == Some("rotated")).await;
    far.bindings().delete("first-hush", &DeleteParams::default()).await.unwrap();
    let second = forge.commit("second", &[("one.yaml", &map("one", "2"))]);
    let status = forge.in_force(&second).await;
    let counts = status.last_sync.unwrap().counts;
    assert_eq!(counts, SyncCounts { configured: 1, pruned: 1, ..SyncCounts::default() });
    assert_eq!(far.names().await, ["one"]);
    // Drift is seen with the new one too.
    far.maps().patch("one", &other, &patch).await.unwrap();
    until_there(&forge, &far, "one", has("2")).await;

    // They go with it.
    drop(forge.profiles().delete(PROFILE, &DeleteParams::default()).await.unwrap());
    is_gone(&forge).await;
    assert!(far.names().await.is_empty());
    far.stop();
    let log = std::fs::read_to_string(&forge.stage.log).unwrap();
    assert!(!log.contains("first-hush") && !log.contains("second-hush"), "a token is in the log");
    forge.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_accepted_is_said_and_the_next_one_is_tried() {
    if !is_own_cluster() {
        return;
    }
    let forge = Forge::new("remote-token").await;
    let mut far = Far::start("token", &["good-hush"]).await;
    forge.give(SECRET, json!({"value": far.kubeconfig("stale-hush").to_string()})).await;
    let first = forge.commit("first", &[("one.yaml", &map("one", "1"))]);
    follow(&forge, PROFILE, &there(), "prune: true, deletionPolicy: Delete").await;
    forge
        .until("a word about the token", |profile, _| {
            let words = said(profile, ConditionType::Synced);
            words.is_some_and(|(reason, words)| {
                reason == ConditionReason::NoAnswer
                    && words.contains("the cluster of spec.target.kubeconfig")
                    && words.contains("401")
            })
        })
        .await;
    rotate(&forge, &far.kubeconfig("good-hush")).await;
    forge.in_force(&first).await;
    assert_eq!(far.names().await, ["one"]);

    // A Profile that is deleted waits for a cluster that is gone, says so, and goes without its objects when it may.
    far.stop();
    drop(forge.profiles().delete(PROFILE, &DeleteParams::default()).await.unwrap());
    forge
        .until("the wait for the cluster", |_, status| {
            let words = status.waiting_for.as_deref().unwrap_or_default();
            words.contains("could not be deleted") && words.contains("set spec.source.deletionPolicy to Orphan")
        })
        .await;
    forge.tells_nothing_of(&["good-hush", "stale-hush"]).await;
    forge.patch(json!({"spec": {"source": {"deletionPolicy": "Orphan"}}})).await;
    is_gone(&forge).await;
    forge.end().await;
}

fn said(profile: &Profile, type_: ConditionType) -> Option<(ConditionReason, String)> {
    let mut all = profile.status.iter().flat_map(|status| &status.conditions);
    let one = all.find(|one| one.type_ == type_)?;
    Some((one.reason, one.message.clone()))
}

/// A server that takes connections, and says nothing on them.
struct Hole {
    port: u16,
    taken: watch::Receiver<usize>,
}

impl Hole {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, (count, taken)) = (listener.local_addr().unwrap().port(), watch::channel(0));
        std::thread::spawn(move || {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept() {
                held.push(stream);
                if count.send(held.len()).is_err() {
                    return;
                }
            }
        });
        Self { port, taken }
    }
}

/// How long a change of the one that has a cluster may take: less than a single call to a dead one does.
const SOON: Duration = Duration::from_secs(9);

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_does_not_answer_delays_nobody_else() {
    let forge = Forge::new("remote-dead").await;
    let mut hole = Hole::open();
    let server = format!("https://127.0.0.1:{}", hole.port);
    let config = kubeconfig(&server, Some(&forge.server.identity.authority), &json!({"token": "hush-hush"}));
    forge.give(SECRET, json!({"value": config.to_string()})).await;
    // More than all Profiles together have under way in one cluster.
    let many: Vec<_> = (0..40).map(|number| (format!("{number}.yaml"), map(&format!("map-{number}"), "1"))).collect();
    let commit = |value: &str| {
        let one = map("one", value);
        let mut files: Vec<(&str, &str)> = many.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        files.push(("one.yaml", &one));
        forge.commit(value, &files)
    };
    let first = commit("1");
    follow(&forge, PROFILE, "", "prune: true").await;
    forge.in_force(&first).await;
    let dead = ["dead-1", "dead-2", "dead-3"];
    for name in dead {
        follow(&forge, name, &there(), "prune: true, deletionPolicy: Delete").await;
    }
    let calls = hole.taken.wait_for(|taken| *taken >= 16);
    forge.stage.world.patiently("calls to the dead cluster", calls).await.unwrap();
    for value in ["2", "3", "4"] {
        let commit = commit(value);
        let started = Instant::now();
        forge.in_force(&commit).await;
        assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
        assert_eq!(forge.value("one").await.as_deref(), Some(value));
    }
    let profiles = forge.profiles();
    let is_told = |profile: Option<&Profile>| {
        let words = profile.and_then(|profile| said(profile, ConditionType::Synced));
        words.is_some_and(|(reason, words)| {
            reason == ConditionReason::NoAnswer && words.contains("the cluster of spec.target.kubeconfig")
        })
    };
    let told = await_condition(profiles.clone(), "dead-1", is_told);
    forge.stage.world.patiently("a word about the dead cluster", Box::pin(told)).await.unwrap();

    // Nothing of theirs was ever written, so nothing keeps them.
    for name in dead {
        drop(profiles.delete(name, &DeleteParams::default()).await.unwrap());
        let gone = await_condition(profiles.clone(), name, |profile: Option<&Profile>| profile.is_none());
        forge.stage.world.patiently("the end of a Profile", Box::pin(gone)).await.unwrap();
    }
    forge.tells_nothing_of(&["hush-hush"]).await;
    forge.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_that_would_start_a_program_or_open_a_file_is_refused_by_the_name_of_the_field() {
    let forge = Forge::new("remote-refused").await;
    let server = "https://127.0.0.1:1";
    let marker = std::env::temp_dir().join(format!("{}-started", forge.stage.world.namespace));
    let command = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "command": "/usr/bin/touch", "args": [marker],
        "interactiveMode": "Never",
    });
    let with = |user: Value| kubeconfig(server, None, &user);
    let mut insecure = with(json!({"token": "hush-hush"}));
    insecure["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = json!(true);
    let refused = [
        ("users[0].user.exec", with(json!({"exec": command}))),
        ("users[0].user.tokenFile", with(json!({"tokenFile": "/hush-hush"}))),
        ("users[0].user.as", with(json!({"token": "hush-hush", "as": "system:admin"}))),
        ("clusters[0].cluster.insecure-skip-tls-verify", insecure),
        ("clusters[0].cluster.server", kubeconfig("http://127.0.0.1:1", None, &json!({"token": "hush-hush"}))),
    ];
    forge.give(SECRET, json!({"value": "hush-hush"})).await;
    forge.commit("first", &[("one.yaml", &map("one", "1"))]);
    follow(&forge, PROFILE, &there(), "prune: true").await;
    for (field, config) in refused {
        rotate(&forge, &config).await;
        forge
            .until(field, |profile, _| {
                let words = said(profile, ConditionType::Synced);
                let is_said = words.is_some_and(|(reason, words)| {
                    reason == ConditionReason::KubeconfigRefused && words.contains(field)
                });
                is_said && condition(profile, ConditionType::Stalled) == Some(ConditionStatus::True)
            })
            .await;
    }
    assert!(!marker.exists(), "the program was started");
    assert!(forge.names().await.is_empty(), "nothing is written here instead");
    forge.tells_nothing_of(&["hush-hush"]).await;
    forge.end().await;
}
