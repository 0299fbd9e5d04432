//! Profiles that follow repositories, on a real Git server and a real cluster.

mod differences;
mod drift;
mod encrypted;
mod far;
mod forge;
mod health;
mod interrupted;
mod leave;
mod order;
mod package;
mod remote;
mod rendered;
mod reverted;
mod rollouts;
mod submodules;
mod trust;
mod unwatched;
mod values;
mod webhooks;

use landfall::api::{
    condition::{ConditionStatus, ConditionType},
    source::{SyncCounts, SyncResult},
};
use serde_json::json;

use self::forge::{Forge, condition, map};

#[tokio::test(flavor = "multi_thread")]
async fn commits_are_brought_into_force_and_what_is_no_longer_in_them_is_deleted() {
    let (one, two) = (map("one", "1"), map("two", "1"));
    let forge = Forge::new("source").await;
    let first =
        forge.commit("first\n\nlong", &[("one.yaml", &one), ("deep/two.yaml", &two), ("README.md", "no manifest")]);
    forge.follow("prune: true").await;
    let status = forge.in_force(&first).await;
    let commit = status.applied.unwrap();
    assert_eq!((commit.message.as_str(), commit.author.as_str()), ("first", "Bob <bob@shop.test>"));
    let counts = status.last_sync.unwrap().counts;
    assert_eq!(counts, SyncCounts { created: 2, ..SyncCounts::default() });
    assert_eq!(forge.names().await, ["one", "two"]);

    let second = forge.commit("second", &[("one.yaml", &map("one", "2")), ("three.yaml", &map("three", "1"))]);
    let status = forge.in_force(&second).await;
    let counts = status.last_sync.unwrap().counts;
    assert_eq!(counts, SyncCounts { created: 1, configured: 1, pruned: 1, ..SyncCounts::default() });
    assert_eq!(forge.names().await, ["one", "three"]);
    assert_eq!(forge.value("one").await.as_deref(), Some("2"));
    assert_eq!(status.inventory.unwrap().count, 2);
    assert_eq!(status.history.len(), 2);

    // A commit that is nothing to this source is seen and does nothing.
    let third =
        forge.commit("third", &[("one.yaml", &map("one", "2")), ("three.yaml", &map("three", "1")), ("x.md", "x")]);
    let status = forge.in_force(&third).await;
    assert_eq!((status.history.len(), status.last_sync.unwrap().result), (2, Some(SyncResult::Succeeded)));
    forge.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_with_anything_wrong_in_it_changes_nothing_and_names_the_place() {
    let forge = Forge::with("refused", "prune: true", &[("one.yaml", &map("one", "1"))]).await;
    let first = forge.head();
    forge.in_force(&first).await;

    let changed = map("one", "2");
    let broken: [(&str, &str, &str, i64); 4] = [
        ("bad.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x\n", "NotYaml", 3),
        ("bad.yaml", "\n\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndatum: {}\n", "Invalid", 3),
        (
            "bad.yaml",
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: x}\n",
            "Forbidden",
            1,
        ),
        ("bad.yaml", "apiVersion: shop.test/v1\nkind: Cake\nmetadata: {name: x}\n", "UnknownKind", 1),
    ];
    for (file, content, reason, line) in broken {
        let commit = forge.commit(reason, &[("one.yaml", &changed), (file, content)]);
        let status = forge.failed(&commit).await;
        let failure = status.failures.first().unwrap_or_else(|| panic!("{reason}: {status:#?}"));
        assert_eq!((failure.file.as_deref(), failure.reason.as_str()), (Some(file), reason), "{failure:?}");
        assert_eq!(failure.line, Some(line), "{failure:?}");
        assert_eq!(status.applied.unwrap().id, first, "{reason}");
        assert_eq!((forge.value("one").await.as_deref(), forge.names().await.len()), (Some("1"), 1), "{reason}");
    }
    let profile = forge.profiles().get("production").await.unwrap();
    assert_eq!(condition(&profile, ConditionType::Stalled), Some(ConditionStatus::True));

    let good = forge.commit("good", &[("one.yaml", &changed)]);
    forge.in_force(&good).await;
    assert_eq!(forge.value("one").await.as_deref(), Some("2"));
    let empty = forge.commit("empty", &[("README.md", "")]);
    assert_eq!(forge.failed(&empty).await.failures[0].reason, "Empty");
    assert_eq!(forge.names().await, ["one"]);
    forge.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_changes_or_deletes_is_set_back() {
    let forge =
        Forge::with("drift", "prune: true", &[("one.yaml", &map("one", "1")), ("two.yaml", &map("two", "1"))]).await;
    let first = forge.head();
    forge.in_force(&first).await;
    let other =
        kube::api::PatchParams { field_manager: Some("somebody".to_owned()), ..kube::api::PatchParams::default() };
    let patch = kube::api::Patch::Merge(json!({"data": {"a": "mine", "b": "kept"}}));
    forge.maps().patch("one", &other, &patch).await.unwrap();
    let is_back = |map: Option<&k8s_openapi::api::core::v1::ConfigMap>| {
        map.and_then(|map| map.data.as_ref()).is_some_and(|data| data["a"] == "1")
    };
    forge.until_map("one", is_back).await;
    let kept = forge.maps().get("one").await.unwrap().data.unwrap();
    assert_eq!(kept["b"], "kept", "what the repository says nothing about is nobody's business");

    forge.maps().delete("two", &kube::api::DeleteParams::default()).await.unwrap();
    forge.until_map("two", is_back).await;
    forge.end().await;
}
