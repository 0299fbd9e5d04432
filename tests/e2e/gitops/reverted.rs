//! Commits that are undone in the repository because a check of their rollout failed.

use landfall::api::{
    deployment_status::Phase,
    source::{SourcePhase, SourceStatus, SyncResult},
};

use serde_json::json;

use super::forge::Forge;
use crate::stage::manifests::{deployment, package};

/// The candidate is asked before it gets anything. Version 2 answers every request with an error.
const STRATEGY: &str = "{scaleDownDelay: 1s, canary: {initialPercentage: 40, increment: 60, interval: 5s, \
                        healthCheckUrl: 'http://{{candidate.service}}/healthz'}}";

/// Commits a version of the application, and notes that are nobody's manifests.
fn commit(forge: &Forge, version: &str, notes: &str) -> String {
    let wanted =
        deployment(version).replace("profile: production\n", &format!("profile: production\n  strategy: {STRATEGY}\n"));
    let (good, bad) = (package("1.0.0", ""), package("2.0.0", ", --fault-rate=1"));
    let files = [
        ("shop/packages/1.yaml", good.as_str()),
        ("shop/packages/2.yaml", &bad),
        ("shop/web.yaml", &wanted),
        ("notes", notes),
    ];
    forge.commit(&format!("Release {version}"), &files)
}

async fn sync(forge: &Forge, request: &str) {
    forge.patch(json!({"metadata": {"annotations": {"landfall.dev/sync": request}}})).await;
}

fn is_undone(status: &SourceStatus) -> bool {
    status.revert.as_ref().is_some_and(|revert| revert.commit.is_some())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_which_a_check_failed_is_undone_on_the_branch_that_is_followed_and_all_is_quiet() {
    let forge = Forge::new("reverted").await;
    let good = commit(&forge, "1.0.0", "one");
    forge.follow_at("/shop", "prune: true, revert: {branch: main}").await;
    forge.in_force(&good).await;

    let bad = commit(&forge, "2.0.0", "two");
    let status = forge.until("a revert", |_, status| is_undone(status)).await;
    let revert = status.revert.unwrap();
    let own = revert.commit.unwrap();
    assert_eq!((&revert.of, &revert.to, revert.branch.as_str()), (&bad, &good, "main"));
    let status = forge.in_force(&own).await;
    let results: Vec<_> = status.history.iter().map(|sync| (sync.commit.as_str(), sync.result)).collect();
    assert_eq!(results[..2], [(own.as_str(), Some(SyncResult::Succeeded)), (bad.as_str(), Some(SyncResult::Failed))]);

    let git = |arguments: &[&str]| forge.server.repository.git(arguments, b"");
    assert_eq!(git(&["diff", "--name-only", &bad, "main"]), "shop/web.yaml", "what lies beside it stays");
    let message = git(&["log", "-1", "--format=%B", "main"]);
    assert!(message.starts_with("Revert \"Release 2.0.0\"\n"), "{message}");
    for words in [format!("This reverts commit {bad}."), "/web was rolled back".to_owned(), "503".to_owned()] {
        assert!(message.contains(&words), "{words}: {message}");
    }
    // A look that was asked for finds the same.
    sync(&forge, "quiet").await;
    forge.until("an answer", |_, status| status.handled_request.as_deref() == Some("quiet")).await;
    forge.in_force(&own).await;
    assert_eq!((forge.head(), git(&["rev-list", "--count", "main"])), (own, "3".to_owned()));
    forge.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_undone_on_another_branch_and_nothing_else_moves() {
    let forge = Forge::new("reverted-beside").await;
    let good = commit(&forge, "1.0.0", "one");
    forge.follow_at("/shop", "prune: true, revert: {branch: landfall/revert-shop}").await;
    forge.in_force(&good).await;

    let bad = commit(&forge, "2.0.0", "two");
    let status = forge.until("a revert", |_, status| is_undone(status)).await;
    let own = status.revert.unwrap().commit.unwrap();
    let git = |arguments: &[&str]| forge.server.repository.git(arguments, b"");
    assert_eq!((git(&["rev-parse", "landfall/revert-shop"]), forge.head()), (own.clone(), bad.clone()));
    assert_eq!(git(&["rev-parse", "landfall/revert-shop^"]), bad);

    // The refused revision stays refused, also when the same commit is synced again.
    sync(&forge, "again").await;
    let status = forge.until("an answer", |_, status| status.handled_request.as_deref() == Some("again")).await;
    assert_eq!((status.phase, status.applied.unwrap().id), (Some(SourcePhase::Failed), bad));
    let deployment = forge.stage.status().await;
    assert_eq!((deployment.phase, deployment.rejected.len()), (Some(Phase::RolledBack), 1));
    assert_eq!(git(&["rev-parse", "landfall/revert-shop"]), own);

    // Whoever merges it has the former state in force.
    git(&["update-ref", "refs/heads/main", &own]);
    forge.in_force(&own).await;
    forge.end().await;
}
