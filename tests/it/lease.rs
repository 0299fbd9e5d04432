//! One replica's reads and writes against a fake API server: conflicts, lost answers, refusals, releases.

use std::time::Duration;

use landfall::{
    cluster::lease::{
        Timing,
        decide::{Loss, Vacancy},
        elector::{Elector, Standing},
    },
    telemetry::chain,
};
use serde_json::json;
use tokio::time::{Instant, advance};

use crate::fake_api::{FakeApi, Fault, lease_held_by};

pub fn timing() -> Timing {
    Timing::of(Duration::from_secs(10))
}

pub fn replica(api: &FakeApi, identity: &str) -> Elector {
    Elector::new(api.client(), "landfall-system", "landfall", identity, timing())
}

fn took(vacancy: Vacancy) -> Standing {
    Standing::Leader { took: Some(vacancy) }
}

const RENEWED: Standing = Standing::Leader { took: None };

#[tokio::test(start_paused = true)]
async fn the_first_replica_creates_the_lease_and_renews_it_without_reading() {
    let api = FakeApi::default();
    let mut a = replica(&api, "a");
    assert_eq!(a.attempt().await.unwrap(), took(Vacancy::Absent));
    assert_eq!(api.take_requests(), ["GET", "POST"]);
    let created = api.lease().unwrap();
    assert_eq!(created["metadata"]["labels"]["app.kubernetes.io/managed-by"], "landfall");
    assert_eq!(created["spec"]["holderIdentity"], "a");
    assert_eq!(created["spec"]["leaseDurationSeconds"], 10);
    assert_eq!(created["spec"]["leaseTransitions"], 0);

    assert_eq!(a.attempt().await.unwrap(), RENEWED);
    assert_eq!(api.take_requests(), ["PUT"]);
    let renewed = api.lease().unwrap();
    assert_eq!(renewed["spec"]["acquireTime"], created["spec"]["acquireTime"]);
    assert_ne!(renewed["spec"]["renewTime"], created["spec"]["renewTime"]);
}

#[tokio::test(start_paused = true)]
async fn a_standby_takes_over_when_the_record_did_not_change_for_a_lease() {
    let api = FakeApi::default();
    api.store(Some(lease_held_by("other")));
    let mut a = replica(&api, "a");
    let until = (Instant::now() + Duration::from_secs(10)).into_std();
    let waits = Standing::Standby { holder: "other".to_owned(), until };
    assert_eq!(a.attempt().await.unwrap(), waits);
    advance(Duration::from_millis(9_999)).await;
    assert_eq!(a.attempt().await.unwrap(), waits);
    advance(Duration::from_millis(1)).await;
    assert_eq!(a.attempt().await.unwrap(), took(Vacancy::Expired { holder: "other".to_owned() }));
    let lease = api.lease().unwrap();
    assert_eq!(lease["spec"]["leaseTransitions"], 5);
    assert_eq!(lease["metadata"]["labels"]["kept"], "yes", "what others wrote on the object stays");
}

#[tokio::test(start_paused = true)]
async fn only_a_change_of_the_spec_is_a_sign_of_life() {
    let api = FakeApi::default();
    api.store(Some(lease_held_by("other")));
    let mut a = replica(&api, "a");
    let _ = a.attempt().await.unwrap();
    advance(Duration::from_secs(9)).await;
    api.edit(|lease| lease["metadata"]["labels"]["touched"] = json!("yes"));
    let _ = a.attempt().await.unwrap();
    advance(Duration::from_secs(1)).await;
    assert_eq!(a.attempt().await.unwrap(), took(Vacancy::Expired { holder: "other".to_owned() }));

    let mut b = replica(&api, "b");
    let _ = b.attempt().await.unwrap();
    advance(Duration::from_secs(9)).await;
    api.edit(|lease| lease["spec"]["renewTime"] = json!("1999-01-01T00:00:00.000000Z"));
    let _ = b.attempt().await.unwrap();
    advance(Duration::from_secs(9)).await;
    let Standing::Standby { holder, .. } = b.attempt().await.unwrap() else { panic!("a time that went back counts") };
    assert_eq!(holder, "a");
}

#[tokio::test(start_paused = true)]
async fn the_same_pod_takes_its_lease_again_at_once_and_an_older_process_of_that_name_loses_it() {
    let api = FakeApi::default();
    let mut old = replica(&api, "pod");
    let _ = old.attempt().await.unwrap();
    advance(Duration::from_secs(1)).await;
    let mut new = replica(&api, "pod");
    assert_eq!(new.attempt().await.unwrap(), took(Vacancy::SameIdentity));
    assert_eq!(api.lease().unwrap()["spec"]["leaseTransitions"], 0, "the holder is the same");
    assert_eq!(old.attempt().await.unwrap(), Standing::Lost(Loss::TakenByNamesake));
    assert_eq!(new.attempt().await.unwrap(), RENEWED);
}

#[tokio::test(start_paused = true)]
async fn of_two_replicas_that_see_the_same_vacancy_one_is_refused_and_looks_again() {
    let api = FakeApi::default();
    let mut a = replica(&api, "a");
    api.next([None, Some(Fault::Overtake("b"))]);
    let Standing::Standby { holder, .. } = a.attempt().await.unwrap() else { panic!("b was first") };
    assert_eq!((holder.as_str(), api.holder().as_deref()), ("b", Some("b")));
    assert_eq!(api.take_requests(), ["GET", "POST", "GET"]);

    api.edit(|lease| lease["spec"]["holderIdentity"] = json!(""));
    api.next([None, Some(Fault::Overtake("c"))]);
    let Standing::Standby { holder, .. } = a.attempt().await.unwrap() else { panic!("c was first") };
    assert_eq!((holder.as_str(), api.holder().as_deref()), ("c", Some("c")));
    assert_eq!(api.take_requests(), ["GET", "PUT", "GET"]);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_whose_answer_is_lost_is_no_loss() {
    let api = FakeApi::default();
    let mut a = replica(&api, "a");
    let _ = a.attempt().await.unwrap();
    let ends = a.ends();
    api.next([Some(Fault::LoseAnswer)]);
    let error = a.attempt().await.unwrap_err();
    assert_eq!(chain(&error), "the Lease could not be replaced: the API server did not answer within 2 s");
    assert_eq!(a.ends(), ends, "what was not confirmed does not count");
    api.take_requests();
    assert_eq!(a.attempt().await.unwrap(), RENEWED);
    assert_eq!(api.take_requests(), ["PUT", "GET", "PUT"], "refused, looked again, renewed its own term");
}

#[tokio::test(start_paused = true)]
async fn a_take_whose_answer_is_lost_leads_only_after_it_is_written_again() {
    let api = FakeApi::default();
    let mut a = replica(&api, "a");
    api.next([None, Some(Fault::LoseAnswer)]);
    assert!(a.attempt().await.is_err());
    assert_eq!((a.ends(), api.holder().as_deref()), (None, Some("a")));
    assert_eq!(a.attempt().await.unwrap(), took(Vacancy::SameIdentity));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_steps_down_without_another_write() {
    let api = FakeApi::default();
    let mut a = replica(&api, "a");
    let _ = a.attempt().await.unwrap();
    advance(Duration::from_secs(8)).await;
    api.take_requests();
    assert_eq!(a.attempt().await.unwrap(), Standing::Lost(Loss::NotRenewed));
    assert_eq!(api.take_requests(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_leaders_last_call_does_not_outlast_its_lead() {
    let api = FakeApi::default();
    let mut a = replica(&api, "a");
    let _ = a.attempt().await.unwrap();
    let end = Instant::from_std(a.ends().unwrap());
    advance(Duration::from_millis(7_500)).await;
    api.always(Some(Fault::Hang));
    assert!(a.attempt().await.is_err());
    assert!(Instant::now() <= end + Duration::from_millis(2), "{:?} late", Instant::now() - end);
    assert_eq!(a.attempt().await.unwrap(), Standing::Lost(Loss::NotRenewed));
}

#[tokio::test(start_paused = true)]
async fn a_person_moves_the_lead_by_deleting_or_emptying_the_lease() {
    let api = FakeApi::default();
    let mut a = replica(&api, "a");
    let _ = a.attempt().await.unwrap();
    api.store(None);
    assert_eq!(a.attempt().await.unwrap(), Standing::Lost(Loss::Deleted));

    let _ = a.attempt().await.unwrap();
    api.edit(|lease| lease["spec"]["holderIdentity"] = json!(""));
    assert_eq!(a.attempt().await.unwrap(), Standing::Lost(Loss::Released));

    let _ = a.attempt().await.unwrap();
    api.edit(|lease| lease["spec"]["holderIdentity"] = json!("b"));
    assert_eq!(a.attempt().await.unwrap(), Standing::Lost(Loss::TakenBy("b".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_free_at_once() {
    let api = FakeApi::default();
    let (mut a, mut b) = (replica(&api, "a"), replica(&api, "b"));
    let _ = a.attempt().await.unwrap();
    let _ = b.attempt().await.unwrap();
    assert!(a.release().await.unwrap());
    assert_eq!(api.holder().as_deref(), Some(""));
    assert_eq!(b.attempt().await.unwrap(), took(Vacancy::Released));
    assert!(!a.release().await.unwrap(), "there is nothing left to give back");
    assert_eq!(api.holder().as_deref(), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn a_release_never_empties_the_lease_of_somebody_else() {
    let api = FakeApi::default();
    let mut a = replica(&api, "a");
    let _ = a.attempt().await.unwrap();
    api.next([Some(Fault::Overtake("b"))]);
    assert!(!a.release().await.unwrap());
    assert_eq!(api.holder().as_deref(), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn failures_say_what_was_tried_and_why_it_failed() {
    let api = FakeApi::default();
    let mut a = replica(&api, "a");
    let cases = [
        (vec![Some(Fault::Refuse(403, "Forbidden"))], "Refused", "could not be read: not allowed (HTTP 403 Forbidden)"),
        (vec![None, Some(Fault::Refuse(404, "NotFound"))], "Refused", "could not be created: not allowed (HTTP 404"),
        (vec![Some(Fault::Hang)], "TimedOut", "could not be read: the API server did not answer within 2 s"),
        (vec![Some(Fault::Break)], "Unreachable", "the API server could not be reached: connection reset by peer"),
    ];
    for (faults, reason, words) in cases {
        api.next(faults);
        let error = a.attempt().await.unwrap_err();
        assert_eq!(error.reason(), reason);
        assert!(chain(&error).contains(words), "{}", chain(&error));
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_loses_every_race_ends() {
    let api = FakeApi::default();
    let mut a = replica(&api, "a");
    let race = || [None, Some(Fault::Refuse(409, "Conflict"))];
    api.next([race(), race(), race()].into_iter().flatten());
    assert_eq!(a.attempt().await.unwrap_err().reason(), "Contended");
    assert_eq!(api.take_requests().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_replica_whose_release_went_unanswered_leads_no_more() {
    let api = FakeApi::default();
    let (mut a, mut b) = (replica(&api, "a"), replica(&api, "b"));
    let _ = a.attempt().await.unwrap();
    api.next([Some(Fault::LoseAnswer)]);
    assert!(a.release().await.is_err());
    assert_eq!(b.attempt().await.unwrap(), took(Vacancy::Released));
    assert_eq!(a.ends(), None);
}
