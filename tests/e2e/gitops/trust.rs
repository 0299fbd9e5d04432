//! Whom a source believes: hosts of ssh by their keys, commits by their signatures.

use std::{path::PathBuf, process::Command};

use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use landfall::api::{
    condition::{ConditionReason, ConditionType},
    profile::Profile,
    source::SyncResult,
};
use serde_json::{Value, json};

use super::forge::{Forge, PROFILE, holds, map};
use crate::git::{openpgp::Gnupg, ssh};

async fn keep(forge: &Forge, name: &str, values: Value) {
    let secret = json!({"metadata": {"name": name}, "stringData": values});
    let secret: Secret = serde_json::from_value(secret).unwrap();
    forge.stage.world.api::<Secret>().create(&PostParams::default(), &secret).await.unwrap();
}

/// Lets the Profile follow a commit of the repository, with a mode of `verify` and the keys of the Secret `signers`.
async fn follow(forge: &Forge, wanted: Value, mode: &str) {
    let mut git = json!({
        "url": forge.server.url("basic"), "interval": "1s", "secretRef": {"name": "git"},
        "verify": {"mode": mode, "secretRef": {"name": "signers"}},
    });
    git.as_object_mut().unwrap().extend(wanted.as_object().unwrap().clone());
    let profile = json!({
        "apiVersion": "landfall.dev/v1alpha1", "kind": "Profile", "metadata": {"name": PROFILE},
        "spec": {"environment": "production", "source": {"git": git}},
    });
    forge.stage.apply(&profile.to_string()).await;
}

/// Waits until this commit is refused, while the value is what it was. Returns what is said of it.
async fn refused(forge: &Forge, commit: &str, value: &str) -> String {
    let status = forge.failed(commit).await;
    assert_eq!(status.failures[0].reason, "VerificationFailed");
    assert_eq!(forge.value("one").await.as_deref(), Some(value), "nothing was changed");
    status.last_sync.unwrap().message.unwrap()
}

/// Somebody who signs with a key of SSH.
struct Signer(PathBuf);

impl Signer {
    fn make(forge: &Forge, name: &str) -> Self {
        let key = forge.server.scratch.0.join(name);
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
        assert!(made.expect("ssh-keygen is missing: `hack/cluster/cluster tools` installs it").success());
        Self(key)
    }

    fn public(&self) -> String {
        std::fs::read_to_string(self.0.with_extension("pub")).unwrap()
    }

    fn git(&self, forge: &Forge, words: &[&str]) -> String {
        let key = format!("user.signingkey={}", self.0.display());
        forge.server.repository.git(&[&["-c", "gpg.format=ssh", "-c", &key], words].concat(), b"")
    }

    /// A signed commit with this value, to which no branch leads yet.
    fn commit(&self, forge: &Forge, value: &str, parent: &[&str]) -> String {
        let tree = forge.server.repository.files(&[("one.yaml", &map("one", value))]);
        self.git(forge, &[&["commit-tree", "-S", &tree, "-m", value], parent].concat())
    }

    fn tag(&self, forge: &Forge, name: &str, commit: &str) {
        self.git(forge, &["tag", "-s", "-m", name, name, commit]);
    }
}

/// A commit with this value that nobody signed, to which no branch leads.
fn unsigned(forge: &Forge, value: &str) -> String {
    let tree = forge.server.repository.files(&[("one.yaml", &map("one", value))]);
    forge.server.repository.commit_tree(&tree, value, None)
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
    let ann = Signer::make(&forge, "ann");
    keep(&forge, "signers", json!({"ann.pub": ann.public()})).await;
    let sign = |value: &str, parent: &[&str]| {
        let commit = ann.commit(&forge, value, parent);
        repository.branch("main", &commit);
        commit
    };
    let first = sign("1", &[]);
    follow(&forge, json!({}), "HEAD").await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_has_to_be_signed_brings_its_commit_whoever_made_that() {
    let forge = Forge::new("source-tag-signed").await;
    let (ann, stranger) = (Signer::make(&forge, "ann"), Signer::make(&forge, "stranger"));
    keep(&forge, "signers", json!({"ann.pub": ann.public()})).await;
    let first = unsigned(&forge, "1");
    ann.tag(&forge, "v1.0.0", &first);
    follow(&forge, json!({"semver": ">=1"}), "Tag").await;
    forge.in_force(&first).await;

    let second = ann.commit(&forge, "2", &[]);
    stranger.tag(&forge, "v1.1.0", &second);
    let message = refused(&forge, &second, "1").await;
    assert!(message.starts_with("the tag v1.1.0 is signed by the key SHA256:"), "{message}");

    // A signed tag under a name that is worth more.
    let repository = &forge.server.repository;
    let third = unsigned(&forge, "3");
    ann.tag(&forge, "v0.1.0", &third);
    let tag = repository.git(&["rev-parse", "v0.1.0"], b"");
    repository.git(&["update-ref", "refs/tags/v1.2.0", &tag], b"");
    let message = refused(&forge, &third, "1").await;
    assert!(message.starts_with("the tag v1.2.0 was made with another name"), "{message}");

    let fourth = unsigned(&forge, "4");
    ann.tag(&forge, "v1.3.0", &fourth);
    forge.in_force(&fourth).await;
    assert_eq!(forge.value("one").await.as_deref(), Some("4"));
    forge.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_tag_and_commit_have_to_be_signed_neither_does_for_both() {
    let forge = Forge::new("source-both-signed").await;
    let ann = Signer::make(&forge, "ann");
    keep(&forge, "signers", json!({"allowed_signers": format!("ann@shop.test {}", ann.public())})).await;
    let first = ann.commit(&forge, "1", &[]);
    ann.tag(&forge, "v1.0.0", &first);
    follow(&forge, json!({"semver": ">=1"}), "TagAndHEAD").await;
    forge.in_force(&first).await;

    let second = unsigned(&forge, "2");
    ann.tag(&forge, "v1.1.0", &second);
    let message = refused(&forge, &second, "1").await;
    assert!(message.starts_with(&format!("commit {} is not signed", &second[..7])), "{message}");

    let third = ann.commit(&forge, "3", &[]);
    forge.server.repository.git(&["tag", "-a", "-m", "about", "v1.2.0", &third], b"");
    let message = refused(&forge, &third, "1").await;
    assert!(message.starts_with("the tag v1.2.0 is not signed"), "{message}");

    let fourth = ann.commit(&forge, "4", &[]);
    ann.tag(&forge, "v1.3.0", &fourth);
    forge.in_force(&fourth).await;
    assert_eq!(forge.value("one").await.as_deref(), Some("4"));
    forge.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_a_key_of_openpgp_has_signed_is_in_force_and_one_of_another_key_changes_nothing() {
    let forge = Forge::new("source-openpgp").await;
    let gnupg = Gnupg::new();
    let (ann, stranger) = (gnupg.key("ann"), gnupg.key("stranger"));
    let public = gnupg.public(&["ann"]);
    keep(&forge, "signers", json!({"ann.asc": public})).await;
    let repository = &forge.server.repository;
    let sign = |key: &str, value: &str| {
        let tree = repository.files(&[("one.yaml", &map("one", value))]);
        let commit = gnupg.git(repository, key, &["commit-tree", "-S", &tree, "-m", value]);
        repository.branch("main", &commit);
        commit
    };
    let first = sign(&ann, "1");
    follow(&forge, json!({}), "HEAD").await;
    forge.in_force(&first).await;
    assert_eq!(forge.value("one").await.as_deref(), Some("1"));

    let second = sign(&stranger, "2");
    let message = refused(&forge, &second, "1").await;
    let words = format!("commit {} is signed by the key {stranger}, which is not among those", &second[..7]);
    assert!(message.starts_with(&words), "{message}");
    forge.until("stalled", |profile, _| holds(profile, ConditionType::Stalled)).await;

    let third = sign(&ann, "3");
    forge.in_force(&third).await;
    assert_eq!(forge.value("one").await.as_deref(), Some("3"));
    let lines: Vec<&str> = public.lines().filter(|line| line.len() == 64).collect();
    assert!(!lines.is_empty());
    forge.tells_nothing_of(&lines).await;
    forge.end().await;
}
