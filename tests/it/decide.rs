//! The judgement over the Lease, as a table and against a clock that jumps.

use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use landfall::cluster::lease::{
    Timing,
    decide::{Candidate, Decision, Lead, Loss, Record, Seen, Vacancy, decide},
};

const LEASE: Duration = Duration::from_secs(10);

fn term(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn held(holder: &str, second: i64) -> Record {
    Record { holder: Some(holder.to_owned()), term: Some(term(second)), duration: Some(LEASE) }
}

fn released() -> Record {
    Record { holder: None, term: None, duration: Some(LEASE) }
}

#[test]
fn a_replica_that_does_not_lead_takes_only_what_nobody_holds() {
    let start = Instant::now();
    let me = Candidate { identity: "me".to_owned(), lead: None };
    let expired = || Decision::Take(Vacancy::Expired { holder: "other".to_owned() });
    let waits = || Decision::Wait { holder: "other".to_owned(), until: start + LEASE };
    let table = [
        ("no Lease", None, 0, Decision::Take(Vacancy::Absent)),
        ("released", Some(released()), 0, Decision::Take(Vacancy::Released)),
        ("my name, whatever the term", Some(held("me", 7)), 0, Decision::Take(Vacancy::SameIdentity)),
        ("another's, first seen now", Some(held("other", 7)), 0, waits()),
        ("another's, nearly over", Some(held("other", 7)), 9_999, waits()),
        ("another's, over", Some(held("other", 7)), 10_000, expired()),
        ("another's, long over", Some(held("other", 7)), 3_600_000, expired()),
    ];
    for (case, record, after_ms, expected) in table {
        let seen = Seen { record, unchanged_since: start };
        let now = start + Duration::from_millis(after_ms);
        assert_eq!(decide(&seen, &me, LEASE, now), expected, "{case}");
    }
}

#[test]
fn a_leader_goes_on_only_while_the_lease_is_the_one_it_wrote() {
    let start = Instant::now();
    let lead = Lead { term: term(7), ends: start + Duration::from_secs(8) };
    let me = Candidate { identity: "me".to_owned(), lead: Some(lead) };
    let table = [
        ("mine", Some(held("me", 7)), 0, Decision::Renew),
        ("mine, at the last moment", Some(held("me", 7)), 7_999, Decision::Renew),
        ("mine, too late", Some(held("me", 7)), 8_000, Decision::StepDown(Loss::NotRenewed)),
        ("deleted", None, 0, Decision::StepDown(Loss::Deleted)),
        ("released by a person", Some(released()), 0, Decision::StepDown(Loss::Released)),
        ("another's", Some(held("other", 9)), 0, Decision::StepDown(Loss::TakenBy("other".to_owned()))),
        ("another process with my name", Some(held("me", 9)), 0, Decision::StepDown(Loss::TakenByNamesake)),
    ];
    for (case, record, after_ms, expected) in table {
        let seen = Seen { record, unchanged_since: start };
        let now = start + Duration::from_millis(after_ms);
        assert_eq!(decide(&seen, &me, LEASE, now), expected, "{case}");
    }
}

#[test]
fn a_holder_is_trusted_for_its_own_duration_and_for_ours_if_it_states_none() {
    let start = Instant::now();
    let me = Candidate { identity: "me".to_owned(), lead: None };
    let until = |duration| {
        let record = Record { holder: Some("other".to_owned()), term: None, duration };
        match decide(&Seen { record: Some(record), unchanged_since: start }, &me, LEASE, start) {
            Decision::Wait { until, .. } => until - start,
            decision => panic!("{decision:?}"),
        }
    };
    assert_eq!(until(Some(Duration::from_mins(1))), Duration::from_mins(1));
    assert_eq!(until(None), LEASE);
}

#[test]
fn the_holders_clock_plays_no_part() {
    let start = Instant::now();
    let me = Candidate { identity: "me".to_owned(), lead: None };
    // A holder whose clock is centuries behind or ahead is judged like any other.
    for second in [-5_000_000_000, 0, 20_000_000_000] {
        let seen = Seen { record: Some(held("other", second)), unchanged_since: start };
        let waits = Decision::Wait { holder: "other".to_owned(), until: start + LEASE };
        assert_eq!(decide(&seen, &me, LEASE, start + LEASE / 2), waits);
    }
}

#[test]
fn a_leader_gives_up_before_anybody_else_may_take_over_and_has_two_tries_before_that() {
    for seconds in [1, 10, 15, 60] {
        let timing = Timing::of(Duration::from_secs(seconds));
        assert!(timing.give_up_after < timing.duration, "{timing:?}");
        let two_tries = timing.renew_every + timing.call_timeout + timing.retry_after;
        assert!(two_tries < timing.give_up_after, "{timing:?}");
    }
    assert_eq!(Timing::of(Duration::from_millis(1)).duration, Duration::from_secs(1));
}
