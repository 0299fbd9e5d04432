//! Versions that turn out to be bad, and pods that go away.

use std::{collections::BTreeMap, time::Duration};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    api::DeleteParams,
    runtime::{
        WatchStreamExt,
        watcher::{self, watcher},
    },
};
use landfall::api::deployment_status::{CheckPhase, Phase};

use super::{assert_ended, is_paused, is_stable, stage, watched};
use crate::stage::{Stage, manifests};

/// The most that may pass from a verdict to the write that takes the traffic away.
const TURNS_BACK: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_only_fails_never_gets_a_request() {
    let strategy = "{canary: {initialPercentage: 20, increment: 40, interval: 30s, \
                    healthCheckUrl: 'http://{{candidate.service}}/healthz'}}";
    let stage = stage("faulty", strategy).await;
    // Its pods are ready, and every answer is an error.
    stage.apply(&manifests::package("3.0.0", ", --fault-rate=1")).await;
    let stable = stage.stable().await;
    let (load, witness) = watched(&stage).await;

    stage.want("3.0.0").await;
    let end = stage.ended().await;

    assert_ended(&end, Phase::RolledBack, Some("CHECK_FAILED"));
    let error = end.error.expect("a failed run says why");
    assert!(error.message.contains("health") && error.message.contains("503"), "{}", error.message);
    assert_eq!(stage.stable().await, stable);
    load.finish_without_failure().await.assert_all("1.0.0");
    assert_eq!(witness.weights().await, [0]);
    assert_eq!(witness.fewest_pods(&stable).await, 3);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_found_bad_under_traffic_loses_it_within_two_seconds_of_the_verdict() {
    // What it answers is no error to its clients; the check wants something else.
    let strategy = "{checks: [{name: answer, interval: 1s, failureLimit: 1, http: {url: 'http://{{candidate.service}}/', \
                    expectedBody: another-version}}], \
                    canary: {steps: [{weight: 40}, {pause: {duration: 2s}}, {checks: [answer]}, {weight: 80}]}}";
    let stage = stage("bad", strategy).await;
    let stable = stage.stable().await;
    let (load, mut witness) = watched(&stage).await;

    stage.want("2.0.0").await;
    let fails = |phase: CheckPhase| phase == CheckPhase::Failed;
    let (verdict, _) = witness
        .until(|status| {
            status.phase == Some(Phase::RollingBack) || status.checks.iter().any(|check| fails(check.phase))
        })
        .await;
    let took = witness.taken_back().await.saturating_duration_since(verdict);
    assert!(took < TURNS_BACK, "the traffic went back after {took:?}");

    let end = stage.ended().await;
    assert_ended(&end, Phase::RolledBack, Some("CHECK_FAILED"));
    let error = end.error.clone().expect("a failed run says why");
    assert_eq!(error.step, Some(5), "{error:?}");
    for word in ["answer", "200", "2 failed", "at most 1 may"] {
        assert!(error.message.contains(word), "{word}: {}", error.message);
    }
    assert!(is_stable(&end, "1.0.0"));
    load.mark();
    load.answers(400).await.assert_all("1.0.0");
    let seen = load.finish_without_failure().await;
    assert!(seen.share("2.0.0") > 0.0, "{seen:?}");
    assert_eq!(witness.weights().await, [0, 40, 0]);
    assert_eq!(witness.fewest_pods(&stable).await, 3);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_of_both_revisions_may_go_one_after_the_other() {
    let stage = stage("pods", "{scaleDownDelay: 1s, canary: {steps: [{weight: 50}, {pause: {}}]}}").await;
    let (load, witness) = watched(&stage).await;
    stage.want("2.0.0").await;
    stage.until("a gate", is_paused).await;
    let all = stage.world.pods().await;
    assert_eq!(all.len(), 5, "3 for all requests, 2 for half of them: {all:?}");
    for pod in &all {
        lose(&stage, pod, all.len()).await;
    }
    assert_eq!(stage.command("promote", "").await, "Done");
    assert_ended(&stage.ended().await, Phase::Succeeded, None);

    load.finish_without_failure().await;
    assert_eq!(witness.weights().await, [0, 50, 100, 0]);
    stage.end().await;
}

/// Deletes a pod and waits until another one is ready in its place.
async fn lose(stage: &Stage, name: &str, count: usize) {
    let pods = stage.world.api::<Pod>();
    let mut looks = watcher(pods.clone(), watcher::Config::default()).default_backoff().boxed();
    pods.delete(name, &DeleteParams::default()).await.unwrap();
    let mut ready = BTreeMap::new();
    let replaced = async {
        while let Some(look) = looks.next().await {
            match look {
                Ok(watcher::Event::Apply(pod) | watcher::Event::InitApply(pod)) => {
                    ready.insert(pod.name_any(), is_ready(&pod));
                }
                Ok(watcher::Event::Delete(pod)) => {
                    ready.remove(&pod.name_any());
                }
                Ok(watcher::Event::Init) => ready.clear(),
                Ok(watcher::Event::InitDone) | Err(_) => {}
            }
            if ready.get(name) != Some(&true) && ready.values().filter(|ready| **ready).count() == count {
                return;
            }
        }
    };
    stage.world.patiently(&format!("a pod in place of {name}"), replaced).await;
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut ready = conditions.filter(|condition| condition.type_ == "Ready" && condition.status == "True");
    pod.metadata.deletion_timestamp.is_none() && ready.next().is_some()
}
