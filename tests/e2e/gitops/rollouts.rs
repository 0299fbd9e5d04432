//! Packages and Deployments in a repository.

use landfall::api::{
    deployment_status::Phase,
    source::{SourcePhase, SyncResult},
};

use super::forge::Forge;
use crate::stage::manifests::{deployment, package};

/// Half of it, then a person.
const STRATEGY: &str = "{scaleDownDelay: 1s, progressDeadline: 10s, canary: {steps: [{weight: 50}, {pause: {}}]}}";

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_starts_a_rollout_and_its_end_is_told_of_the_commit() {
    let (first, second, bad) = (package("1.0.0", ""), package("2.0.0", ""), package("3.0.0", ", --no-such-flag"));
    let forge = Forge::new("rollouts").await;
    let files = |version: &str| -> Vec<(&str, String)> {
        let wanted = deployment(version)
            .replace("profile: production\n", &format!("profile: production\n  strategy: {STRATEGY}\n"));
        vec![
            ("packages/1.yaml", first.clone()),
            ("packages/2.yaml", second.clone()),
            ("packages/3.yaml", bad.clone()),
            ("web.yaml", wanted),
        ]
    };
    let commit = |version: &str| {
        let files = files(version);
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        forge.commit(version, &files)
    };
    let one = commit("1.0.0");
    forge.follow("prune: true").await;
    let status = forge.in_force(&one).await;
    assert_eq!((status.rollouts.len(), status.rollouts[0].phase.as_str()), (1, "Succeeded"), "{:?}", status.rollouts);

    let two = commit("2.0.0");
    let waits = forge
        .until("the wait for a person", |_, status| {
            status.phase == Some(SourcePhase::Verifying)
                && status.waiting_for.as_deref().is_some_and(|sentence| sentence.contains("promote"))
        })
        .await;
    assert_eq!(waits.applied.unwrap().id, two);
    assert_eq!(forge.stage.command("promote", "").await, "Done");
    let status = forge.in_force(&two).await;
    assert_eq!(status.rollouts[0].phase, "Succeeded");

    let three = commit("3.0.0");
    let status = forge.failed(&three).await;
    assert_eq!(status.last_sync.as_ref().unwrap().result, Some(SyncResult::Failed));
    assert_eq!(
        (status.failures[0].file.as_deref(), status.failures[0].reason.as_str()),
        (Some("web.yaml"), "Unhealthy")
    );
    assert_eq!(forge.stage.status().await.phase, Some(Phase::RolledBack));
    assert_eq!(status.rollouts[0].phase, "RolledBack");

    // A revert wants the revision that runs.
    let back = commit("2.0.0");
    forge.in_force(&back).await;
    forge.end().await;
}
