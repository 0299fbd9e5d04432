//! Profiles that follow repositories with submodules.

use serde_json::json;

use super::forge::{Forge, map};
use crate::git::server::Repository;

fn modules(url: &str) -> String {
    format!("[submodule \"shared\"]\n\tpath = vendor/shared\n\turl = {url}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_bases_of_a_submodule_are_in_force_as_the_commit_records_them() {
    let forge = Forge::new("submodules").await;
    let shared = Repository::named(&forge.server.scratch.0, "shared.git");
    let base = "resources: [settings.yaml]\n";
    let of_shared = |value: &str| {
        let files = [("base/kustomization.yaml", base), ("base/settings.yaml", &map("settings", value))];
        shared.commit_modules(&files, &[])
    };
    let (old, new) = (of_shared("1"), of_shared("2"));
    shared.git(&["config", "uploadpack.allowAnySHA1InWant", "true"], b"");
    let overlay = "resources: [../vendor/shared/base]\nnamePrefix: shop-\n";
    let commit = |url: &str, recorded: &str| {
        let files = [("production/kustomization.yaml", overlay), (".gitmodules", &modules(url))];
        forge.server.repository.commit_modules(&files, &[("vendor/shared", recorded)])
    };
    let first = commit("../shared.git", &old);
    forge.follow_at("/production", "prune: true").await;
    let status = forge.failed(&first).await;
    assert!(status.failures[0].message.contains("spec.source.git.submodules"), "{:?}", status.failures);

    forge.patch(json!({"spec": {"source": {"git": {"submodules": true}}}})).await;
    forge.in_force(&first).await;
    assert_eq!(forge.value("shop-settings").await.as_deref(), Some("1"), "what is recorded counts, not the branch");
    let second = commit("../shared.git", &new);
    forge.in_force(&second).await;
    assert_eq!(forge.value("shop-settings").await.as_deref(), Some("2"));

    let hostile = commit("file:///etc", &old);
    let failure = &forge.failed(&hostile).await.failures[0];
    let place = (failure.reason.as_str(), failure.file.as_deref(), failure.line);
    assert_eq!(place, ("SubmoduleRefused", Some(".gitmodules"), Some(3)), "{failure:?}");
    assert_eq!(forge.value("shop-settings").await.as_deref(), Some("2"), "what is in force stays so");

    // The manifests themselves, of a directory in the submodule.
    let third = commit("../shared.git", &old);
    forge.in_force(&third).await;
    let git = json!({"path": "/vendor/shared/base"});
    forge.patch(json!({"spec": {"source": {"git": git}}})).await;
    forge.until_map("settings", |map| map.is_some()).await;
    assert_eq!(forge.value("settings").await.as_deref(), Some("1"));
    forge.end().await;
}
