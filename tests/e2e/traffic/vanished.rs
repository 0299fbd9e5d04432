//! A candidate without a single pod left: requests fail until its traffic has gone back. How long that is, and how many.

use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::{
    core::v1::Pod,
    discovery::v1::{Endpoint, EndpointSlice},
};
use kube::{
    api::{DeleteParams, ListParams},
    runtime::{WatchStreamExt, watcher},
};
use landfall::api::deployment_status::Phase;

use super::{RATE, assert_ended, is_paused, stage, watched};
use crate::stage::{Stage, load::Seen};

/// The most that may pass from the end of the last endpoint to the write that takes the traffic away.
const GOES_BACK: Duration = Duration::from_secs(2);

/// The most that may pass from there until the data plane acts on it.
const FOLLOWS: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_loses_all_its_pods_at_once_loses_its_traffic_within_two_seconds() {
    let stage = stage("vanished", "{scaleDownDelay: 1s, canary: {steps: [{weight: 50}, {pause: {}}]}}").await;
    let stable = stage.stable().await;
    let (load, mut witness) = watched(&stage).await;
    stage.want("2.0.0").await;
    let paused = stage.until("a gate", is_paused).await;
    let candidate = paused.revision.and_then(|revision| revision.candidate).expect("it had a candidate").hash;

    let (began, gone) = vanish(&stage, &candidate).await;
    let back = witness.taken_back().await;
    let took = back.saturating_duration_since(gone);
    assert!(took < GOES_BACK, "the traffic went back after {took:?}");

    // New pods take the place of the lost ones, and the run goes on where it stood.
    stage.until("the share again", |status| is_paused(status) && status.waiting_for.as_deref() == Some(PERSON)).await;
    assert_eq!(stage.command("promote", "").await, "Done");
    assert_ended(&stage.ended().await, Phase::Succeeded, None);
    load.mark();
    load.answers(400).await.assert_all("2.0.0");

    let seen = load.finish().await;
    assert_outage(&seen, (began, back));
    assert_eq!(witness.weights().await, [0, 50, 0, 50, 100, 0]);
    assert_eq!(witness.fewest_pods_before_the_end(&stable).await, 3);
    stage.end().await;
}

/// What a run at a gate waits for, when everything else is as it should be.
const PERSON: &str = "a person to promote";

/// Deletes all pods of a revision without any grace, and returns when that began and when its last endpoint was gone.
async fn vanish(stage: &Stage, revision: &str) -> (Instant, Instant) {
    let slices = stage.world.api::<EndpointSlice>();
    let config = watcher::Config::default().labels("kubernetes.io/service-name=web-candidate");
    let mut looks = watcher(slices, config).applied_objects().boxed();
    let (began, at_once) = (Instant::now(), DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() });
    let of_revision = ListParams::default().labels(&format!("pod-template-hash={revision}"));
    let deleted = stage.world.api::<Pod>().delete_collection(&at_once, &of_revision).await.unwrap();
    assert_eq!(deleted.left().map(|pods| pods.items.len()), Some(2), "half of the requests need 2 pods");
    let gone = async {
        while let Some(look) = looks.next().await {
            if look.is_ok_and(|slice| !has_ready(&slice)) {
                return Instant::now();
            }
        }
        panic!("the watch goes on");
    };
    (began, stage.world.patiently("the end of the endpoints", gone).await)
}

fn has_ready(slice: &EndpointSlice) -> bool {
    let ready =
        |endpoint: &Endpoint| endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) == Some(true);
    slice.endpoints.iter().flatten().any(ready)
}

/// Fails where a request failed for another reason, or before and after the time in which nobody can answer for the
/// candidate. Tells how bad it was.
#[expect(clippy::print_stderr, reason = "the figure is what this is for")]
fn assert_outage(seen: &Seen, (began, back): (Instant, Instant)) {
    let first = seen.failures.iter().map(|failure| failure.known).min();
    let last = seen.failures.iter().map(|failure| failure.sent).max();
    let after = |moment: Option<Instant>| moment.map(|moment| moment.duration_since(began));
    eprintln!(
        "{} of {} requests failed, from {:?} to {:?} after the deletion; the weight was back after {:?}",
        seen.failures.len(),
        seen.answered(),
        after(first),
        after(last),
        back.duration_since(began)
    );
    for failure in &seen.failures {
        assert!(failure.why.contains(": 503 "), "{failure:?}");
        // On a busy machine an answer is known long after it was given.
        assert!(failure.known >= began && failure.sent < back + FOLLOWS, "{failure:?} in {seen:?}");
    }
    let most = RATE * u32::try_from((GOES_BACK + FOLLOWS).as_secs()).unwrap();
    assert!(seen.failures.len() < most as usize, "{} failures", seen.failures.len());
}
