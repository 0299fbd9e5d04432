//! Whom a source believes: hosts of ssh by their keys, commits by their signatures.

use std::process::Command;

use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use landfall::api::{
    condition::{ConditionReason, ConditionType},
    profile::Profile,
    source::SyncResult,
};
use serde_json::{Value, json};

use super::forge::{Forge, PROFILE, holds, map};
use crate::git::ssh;

async fn keep(forge: &Forge, name: &str, values: Value) {
    let secret = json!({"metadata": {"name": name}, "stringData": values});
    let secret: Secret = serde_json::from_value(secret).unwrap();
    forge.stage.world.api::<Secret>().create(&PostParams::default(), &secret).await.unwrap();
}

fn reason(profile: &Profile) -> Option<ConditionReason> {
    let conditions = &profile.status.as_ref()?.conditions;
    conditions.iter().find(|one| one.type_ == ConditionType::Synced).map(|one| one.reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_over_ssh_is_followed_and_a_changed_host_key_is_a_reason_of_its_own() {
    let forge = Forge::new("source-ssh").await;
    let server = ssh::Server::start("source-ssh-host");
    let tree = server.repository.files(&[("one.yaml", &map("one", "1"))]);
    let commit = server.repository.commit_tree(&tree, "one", None);
    server.repository.branch("main", &commit);
    let stranger = ssh::Key::plain(&server.scratch.0, "stranger", "ed25519");
    let values = |host| json!({"identity": server.user.private(), "known_hosts": server.known(host)});
    keep(&forge, "deploy", values(&server.host)).await;
    keep(&forge, "changed", values(&stranger)).await;
    let git = json!({"url": server.url(), "interval": "1s", "secretRef": {"name": "deploy"}});
    let profile = json!({
        "apiVersion": "landfall.dev/v1alpha1", "kind": "Profile", "metadata": {"name": PROFILE},
        "spec": {"environment": "production", "source": {"git": git}},
    });
    forge.stage.apply(&profile.to_string()).await;
    forge.in_force(&commit).await;
    assert_eq!(forge.value("one").await.as_deref(), Some("1"));

    forge.patch(json!({"spec": {"source": {"git": {"secretRef": {"name": "changed"}}}}})).await;
    forge
        .until("changed host key", |profile, status| {
            let applied = status.applied.as_ref().is_some_and(|applied| applied.id == commit);
            applied && reason(profile) == Some(ConditionReason::HostKeyChanged)
        })
        .await;
    assert_eq!(forge.value("one").await.as_deref(), Some("1"), "what is in force stays so");
    forge.patch(json!({"spec": {"source": {"git": {"secretRef": {"name": "deploy"}}}}})).await;
    forge.in_force(&commit).await;
    forge.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_nobody_who_is_trusted_has_signed_changes_nothing() {
    let forge = Forge::new("source-signed").await;
    let repository = &forge.server.repository;
    let key = forge.server.scratch.0.join("ann");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    assert!(made.expect("ssh-keygen is missing: `hack/cluster/cluster tools` installs it").success());
    let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    keep(&forge, "signers", json!({"ann.pub": public})).await;
    let sign = |value: &str, parent: &[&str]| {
        let tree = repository.files(&[("one.yaml", &map("one", value))]);
        let key = format!("user.signingkey={}", key.display());
        let words = ["-c", "gpg.format=ssh", "-c", &key, "commit-tree", "-S", &tree, "-m", value];
        let commit = repository.git(&[&words[..], parent].concat(), b"");
        repository.branch("main", &commit);
        commit
    };
    let first = sign("1", &[]);
    let git = json!({
        "url": forge.server.url("basic"), "interval": "1s", "secretRef": {"name": "git"},
        "verify": {"mode": "HEAD", "secretRef": {"name": "signers"}},
    });
    let profile = json!({
        "apiVersion": "landfall.dev/v1alpha1", "kind": "Profile", "metadata": {"name": PROFILE},
        "spec": {"environment": "production", "source": {"git": git}},
    });
    forge.stage.apply(&profile.to_string()).await;
    forge.in_force(&first).await;

    let unsigned = forge.commit("unsigned", &[("one.yaml", &map("one", "2"))]);
    let status = forge.failed(&unsigned).await;
    let sync = status.last_sync.unwrap();
    assert_eq!(sync.result, Some(SyncResult::Failed));
    let message = sync.message.unwrap();
    assert!(message.starts_with(&format!("commit {} is not signed", &unsigned[..7])), "{message}");
    assert_eq!(status.failures[0].reason, "VerificationFailed");
    forge
        .until("reason", |profile, _| {
            reason(profile) == Some(ConditionReason::VerificationFailed) && holds(profile, ConditionType::Stalled)
        })
        .await;
    assert_eq!(forge.value("one").await.as_deref(), Some("1"), "nothing was changed");

    let third = sign("3", &["-p", &unsigned]);
    forge.in_force(&third).await;
    assert_eq!(forge.value("one").await.as_deref(), Some("3"));
    forge.end().await;
}
