//! Newer commits, dead servers, and an operator that is killed in the middle.

use landfall::api::{
    condition::{ConditionStatus, ConditionType},
    source::{SourcePhase, SyncResult},
};
use serde_json::json;

use super::forge::{Forge, condition, holds, map};

/// A workload that never becomes ready: nobody has its image.
const NEVER: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: never}
spec:
  selector: {matchLabels: {app: never}}
  template:
    metadata: {labels: {app: never}}
    spec: {containers: [{name: main, image: 'localhost/nobody/has:this', imagePullPolicy: Never}]}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_commit_takes_the_place_of_one_whose_objects_do_not_become_healthy() {
    let forge = Forge::with("overtaken", "prune: true", &[("never.yaml", NEVER), ("one.yaml", &map("one", "1"))]).await;
    let waits = forge
        .until("the wait for health", |_, status| {
            let waiting_for = status.waiting_for.as_deref().unwrap_or_default();
            status.phase == Some(SourcePhase::Verifying) && waiting_for.contains("never")
        })
        .await;
    assert_eq!(waits.applied.unwrap().id, forge.head());
    let good = forge.commit("good", &[("one.yaml", &map("one", "2"))]);
    let status = forge.in_force(&good).await;
    let results: Vec<_> = status.history.iter().map(|sync| sync.result.unwrap()).collect();
    assert_eq!(results, [SyncResult::Succeeded, SyncResult::Superseded]);
    assert_eq!(status.last_sync.unwrap().counts.pruned, 1);
    forge.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_do_not_become_healthy_in_time_fail_the_commit_and_nothing_is_deleted() {
    let forge = Forge::with("unhealthy", "prune: true, healthTimeout: 2s", &[("one.yaml", &map("one", "1"))]).await;
    forge.in_force(&forge.head()).await;
    let commit = forge.commit("never", &[("never.yaml", NEVER)]);
    let status = forge.failed(&commit).await;
    assert!(status.last_sync.unwrap().message.unwrap().contains("never"));
    assert_eq!(forge.names().await, ["one"], "what the failed commit leaves out is still there");
    forge.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_is_killed_at_any_time_comes_to_the_same_end() {
    let mut forge = Forge::new("killed").await;
    let many = |value: &str, names: std::ops::Range<usize>| -> Vec<(String, String)> {
        names.map(|number| (format!("m{number}.yaml"), map(&format!("m{number}"), value))).collect()
    };
    let as_files = |files: &[(String, String)]| -> Vec<(String, String)> { files.to_vec() };
    let commit = |forge: &Forge, message: &str, files: &[(String, String)]| {
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        forge.commit(message, &files)
    };
    let first = commit(&forge, "first", &as_files(&many("1", 0..60)));
    forge.follow("prune: true").await;
    forge.until("the first object", |_, status| status.inventory.is_some()).await;
    forge.stage.restart_operator();
    forge.in_force(&first).await;
    assert_eq!(forge.names().await.len(), 60);

    // Half of the objects change and half go; the operator is killed when the first ones have changed.
    for (round, value) in ["2", "3", "4"].into_iter().enumerate() {
        let kept = 60 - (round + 1) * 15;
        let next = commit(&forge, value, &many(value, 0..kept));
        forge
            .until_map("m0", |found| found.and_then(|found| found.data.as_ref()).is_some_and(|data| data["a"] == value))
            .await;
        forge.stage.restart_operator();
        let status = forge.in_force(&next).await;
        assert_eq!(forge.names().await.len(), kept, "after round {round}");
        assert_eq!(status.inventory.unwrap().count, i32::try_from(kept).unwrap());
        for name in [0, kept - 1] {
            assert_eq!(forge.value(&format!("m{name}")).await.as_deref(), Some(value));
        }
    }
    forge.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_objects_than_a_status_holds_are_remembered_beside_it() {
    let forge = Forge::new("large").await;
    let all: String = (0..600).map(|number| map(&format!("m{number}"), "1") + "---\n").collect();
    let first = forge.commit("first", &[("all.yaml", &all)]);
    forge.follow("prune: true").await;
    let status = forge.in_force(&first).await;
    let inventory = status.inventory.unwrap();
    assert_eq!((inventory.count, inventory.entries.len(), inventory.config_maps.len()), (600, 0, 1));
    let second = forge.commit("second", &[("one.yaml", &map("m0", "2"))]);
    let status = forge.in_force(&second).await;
    let counts = status.last_sync.unwrap().counts;
    assert_eq!((counts.configured, counts.pruned), (1, 599));
    assert_eq!(forge.names().await, ["m0"]);
    forge.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_does_not_answer_leaves_what_is_in_force_and_is_said() {
    let forge = Forge::with("silent", "prune: true", &[("one.yaml", &map("one", "1"))]).await;
    forge.in_force(&forge.head()).await;
    // The branch is deleted, as after a wrong push.
    let head = forge.head();
    forge.server.repository.git(&["update-ref", "-d", "refs/heads/main"], b"");
    let status = forge
        .until("the missing branch", |profile, _| {
            condition(profile, ConditionType::Synced) == Some(ConditionStatus::Unknown)
        })
        .await;
    assert!(status.waiting_for.unwrap().contains("branch main"));
    assert_eq!(forge.names().await, ["one"]);
    let profile = forge.profiles().get("production").await.unwrap();
    assert!(holds(&profile, ConditionType::Ready), "{profile:#?}");
    forge.server.repository.branch("main", &head);
    forge.in_force(&head).await;
    forge.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_while_the_source_is_suspended() {
    let forge = Forge::with("suspended", "prune: true", &[("one.yaml", &map("one", "1"))]).await;
    forge.in_force(&forge.head()).await;
    forge.patch(json!({"spec": {"source": {"suspend": true}}})).await;
    forge.until("suspension", |_, status| status.phase == Some(SourcePhase::Suspended)).await;
    let next = forge.commit("next", &[("one.yaml", &map("one", "2"))]);
    forge.maps().delete("one", &kube::api::DeleteParams::default()).await.unwrap();
    // Nothing would be seen of nothing: the end of the suspension is, and what came first would have been seen before.
    forge.patch(json!({"spec": {"source": {"suspend": false}}})).await;
    let status = forge.in_force(&next).await;
    assert_eq!(status.history.len(), 2);
    assert_eq!(forge.value("one").await.as_deref(), Some("2"));
    forge.end().await;
}
