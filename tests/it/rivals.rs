//! What one operator makes of the Lease of another installation: alive, gone, or not to be told.

use std::time::Duration;

use landfall::cluster::lease::{
    elector::Elector,
    rivals::{Rivals, Standing},
};
use serde_json::json;
use tokio::time::advance;

use crate::{
    fake_api::{FakeApi, Fault, lease_held_by},
    lease::{replica, timing},
};

/// The Lease that the fake API server has.
const LEASE: &str = "landfall-system/landfall";

fn rivals(api: &FakeApi) -> Rivals {
    Rivals::new(api.client(), "elsewhere/landfall", timing())
}

/// An API server, another installation that has just taken its Lease there, and who looks at it.
async fn beside_another() -> (FakeApi, Elector, Rivals) {
    let api = FakeApi::default();
    let mut other = replica(&api, "other");
    drop(other.attempt().await.unwrap());
    let rivals = rivals(&api);
    (api, other, rivals)
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_renews_is_alive_for_as_long_as_it_does() {
    let (_api, mut other, rivals) = beside_another().await;
    for _ in 0..8 {
        assert_eq!(rivals.standing(LEASE, "shop").await, Standing::Alive);
        advance(Duration::from_secs(3)).await;
        drop(other.attempt().await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_stopped_is_gone_after_its_duration_and_not_before() {
    let api = FakeApi::default();
    api.store(Some(lease_held_by("other")));
    let rivals = rivals(&api);
    assert_eq!(rivals.standing(LEASE, "shop").await, Standing::Alive, "its times are of another clock");
    advance(Duration::from_millis(9_999)).await;
    assert_eq!(rivals.standing(LEASE, "shop").await, Standing::Alive);
    advance(Duration::from_secs(2)).await;
    assert_eq!(rivals.standing(LEASE, "shop").await, Standing::Gone);
}

#[tokio::test(start_paused = true)]
async fn silence_is_told_by_looks_and_not_by_time_alone() {
    let (_api, mut other, rivals) = beside_another().await;
    assert_eq!(rivals.standing(LEASE, "shop").await, Standing::Alive);
    // Nobody asked for a long time, and it was renewed meanwhile.
    advance(Duration::from_secs(7)).await;
    drop(other.attempt().await.unwrap());
    advance(Duration::from_mins(1)).await;
    assert_eq!(rivals.standing(LEASE, "shop").await, Standing::Alive);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_given_back_or_deleted_has_nobody_behind_it() {
    let (api, mut other, rivals) = beside_another().await;
    assert_eq!(rivals.standing(LEASE, "shop").await, Standing::Alive);
    assert!(other.release().await.unwrap());
    advance(Duration::from_secs(3)).await;
    assert_eq!(rivals.standing(LEASE, "shop").await, Standing::Gone);
    api.store(None);
    advance(Duration::from_secs(3)).await;
    assert_eq!(rivals.standing(LEASE, "shop").await, Standing::Gone);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_read_says_nothing_and_its_owner_is_left_alone() {
    let api = FakeApi::default();
    api.store(Some(lease_held_by("other")));
    let rivals = rivals(&api);
    api.always(Some(Fault::Refuse(403, "Forbidden")));
    let Standing::Unknown(cause) = rivals.standing(LEASE, "shop").await else { panic!("it was told") };
    assert!(cause.contains("not allowed"), "{cause}");
    advance(Duration::from_mins(1)).await;
    assert!(matches!(rivals.standing(LEASE, "shop").await, Standing::Unknown(_)));
    // What was not seen does not count as silence.
    api.always(None);
    advance(Duration::from_secs(3)).await;
    assert_eq!(rivals.standing(LEASE, "shop").await, Standing::Alive);
}

#[tokio::test(start_paused = true)]
async fn one_that_watches_other_namespaces_only_has_left_this_one() {
    let api = FakeApi::default();
    let watched = ["shop".to_owned(), "bank".to_owned()];
    let mut other = replica(&api, "other").watching(&watched);
    drop(other.attempt().await.unwrap());
    assert_eq!(api.lease().unwrap()["metadata"]["annotations"], json!({"landfall.dev/watches": "shop,bank"}));
    let rivals = rivals(&api);
    for (namespace, standing) in [("shop", Standing::Alive), ("bank", Standing::Alive), ("sho", Standing::Gone)] {
        assert_eq!(rivals.standing(LEASE, namespace).await, standing, "{namespace}");
    }
    // Started anew without a list, it watches all.
    let mut again = replica(&api, "other");
    drop(again.attempt().await.unwrap());
    advance(Duration::from_secs(3)).await;
    assert_eq!(rivals.standing(LEASE, "sho").await, Standing::Alive);
}

#[tokio::test(start_paused = true)]
async fn the_own_lease_is_no_rival_and_one_lease_is_read_once_for_many_objects() {
    let api = FakeApi::default();
    api.store(Some(lease_held_by("other")));
    let own = Rivals::new(api.client(), LEASE, timing());
    assert_eq!(own.standing(LEASE, "shop").await, Standing::Gone);
    assert!(api.take_requests().is_empty());
    let rivals = rivals(&api);
    for _ in 0..100 {
        assert_eq!(rivals.standing(LEASE, "shop").await, Standing::Alive);
    }
    assert_eq!(api.take_requests(), ["GET"]);
}
