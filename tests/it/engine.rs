//! The small parts of the engine as tables.

use std::time::Duration;

use landfall::engine::{
    command::Verb,
    moment::Moment,
    share::{Share, need},
    verdict::{Check, Measurement, NoData, Tally, Verdict, verdict},
};

#[test]
fn a_share_needs_its_part_of_the_pods_rounded_up_and_never_more_than_are_desired() {
    let table = [
        (10, 0, 10_000, 0),
        (10, 1, 10_000, 1),
        (10, 4_000, 10_000, 4),
        (10, 4_001, 10_000, 5),
        (3, 5_000, 10_000, 2),
        (10, 5_000, 12_000, 6),
        (10, 10_000, 12_000, 10),
        (0, 10_000, 10_000, 0),
        (u32::MAX, 10_000, u32::MAX, u32::MAX),
    ];
    for (desired, points, headroom, pods) in table {
        assert_eq!(need(desired, Share::of_points(points).unwrap(), headroom), pods, "{desired} × {points}");
    }
    assert_eq!(Share::of_points(10_001), None);
    assert_eq!(Share::of_points(50).unwrap().to_string(), "0.5 %");
    assert_eq!(Share::of_points(1_205).unwrap().to_string(), "12.05 %");
}

#[test]
fn no_data_counts_as_the_check_says_and_an_unknown_measurement_as_nothing() {
    let results = |no_data, measurement: Measurement| {
        let check =
            Check { name: "c".to_owned(), interval: Duration::from_secs(1), count: 1, failure_limit: 0, no_data };
        let mut tally = Tally::default();
        tally.add(&measurement, no_data, Moment(1));
        verdict(&check, &tally)
    };
    assert_eq!(results(NoData::Wait, Measurement::NoData), Verdict::Running);
    assert_eq!(results(NoData::Pass, Measurement::NoData), Verdict::Passed);
    assert!(matches!(results(NoData::Fail, Measurement::NoData), Verdict::Failed(_)));
    for no_data in [NoData::Wait, NoData::Pass, NoData::Fail] {
        assert_eq!(results(no_data, Measurement::Unknown("down".to_owned())), Verdict::Running);
        assert_eq!(results(no_data, Measurement::Success), Verdict::Passed);
        assert!(matches!(results(no_data, Measurement::Failure("500".to_owned())), Verdict::Failed(_)));
    }
}

#[test]
fn commands_of_one_look_are_answered_in_the_order_abort_stop_cancel_pause_others() {
    let mut verbs = [Verb::Promote, Verb::Pause, Verb::Cancel, Verb::Stop, Verb::Abort];
    verbs.sort();
    assert_eq!(verbs, [Verb::Abort, Verb::Stop, Verb::Cancel, Verb::Pause, Verb::Promote]);
}
