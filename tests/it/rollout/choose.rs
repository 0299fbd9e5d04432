//! Which Package a Deployment means.

use landfall::{
    api::{
        condition::ConditionReason,
        deployment::PackageRef,
        package::PackageState,
        version::{Version, VersionRange},
    },
    rollout::choose::{Candidate, Choice, Content, Standing, choose},
};

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn candidate(text: &str) -> Candidate {
    let (state, content, standing) = (PackageState::Active, Content::Same, Standing::Free);
    Candidate { version: version(text), state, content, standing }
}

fn range(text: &str) -> PackageRef {
    PackageRef { name: "shop".to_owned(), version: None, range: Some(VersionRange::new(text)) }
}

fn named(text: &str) -> PackageRef {
    PackageRef { name: "shop".to_owned(), version: Some(version(text)), range: None }
}

fn of(reference: &PackageRef, pinned: Option<&str>, packages: &[Candidate]) -> Choice {
    choose(reference, pinned.map(version).as_ref(), packages.iter().cloned())
}

fn reason(choice: &Choice) -> Option<ConditionReason> {
    if let Choice::Stalled { reason, .. } = choice { Some(*reason) } else { None }
}

#[test]
fn a_range_picks_the_highest_active_package_that_nobody_rejected() {
    let archived = Candidate { state: PackageState::Archived, ..candidate("1.4.9") };
    let rejected = Candidate { standing: Standing::Quarantined, ..candidate("1.4.8") };
    let all =
        [candidate("1.4.2"), archived, candidate("1.4.10-rc.1"), rejected, candidate("1.4.7"), candidate("2.0.0")];
    assert_eq!(of(&range("~1.4"), None, &all), Choice::Use(version("1.4.7")));
}

#[test]
fn a_pre_release_is_picked_only_where_the_range_names_one() {
    let all = [candidate("2.0.0-rc.1"), candidate("1.9.0")];
    assert_eq!(of(&range(">=1"), None, &all), Choice::Use(version("1.9.0")));
    assert_eq!(of(&range(">=2.0.0-rc.0"), None, &all), Choice::Use(version("2.0.0-rc.1")));
}

#[test]
fn a_range_never_moves_down_by_itself() {
    let rejected = Candidate { standing: Standing::Quarantined, ..candidate("1.5.0") };
    let all = [candidate("1.4.2"), rejected];
    assert_eq!(of(&range("^1"), Some("1.5.0"), &all), Choice::Use(version("1.5.0")));
    assert_eq!(of(&range("^1"), Some("1.6.0"), &all), Choice::Keep(version("1.6.0")));
    assert_eq!(
        of(&range("^1"), Some("1.4.2"), &[candidate("1.4.2"), candidate("1.4.3")]),
        Choice::Use(version("1.4.3"))
    );
    // The owner narrowed the range: that is not by itself.
    assert_eq!(of(&range("~1.4"), Some("1.5.0"), &all), Choice::Use(version("1.4.2")));
}

#[test]
fn a_version_is_taken_while_it_is_active_or_archived() {
    let archived = Candidate { state: PackageState::Archived, ..candidate("1.0.0") };
    let deleted = Candidate { state: PackageState::Deleted, ..candidate("1.0.0") };
    assert_eq!(of(&named("1.0.0"), None, &[archived]), Choice::Use(version("1.0.0")));
    assert_eq!(reason(&of(&named("1.0.0"), None, std::slice::from_ref(&deleted))), Some(ConditionReason::InvalidSpec));
    assert_eq!(of(&named("1.0.0"), Some("1.0.0"), &[deleted]), Choice::Keep(version("1.0.0")));
}

#[test]
fn what_does_not_exist_is_waited_for_unless_it_was_chosen_before() {
    let waits = |choice| matches!(choice, Choice::Pending(text) if text.contains("shop"));
    assert!(waits(of(&named("1.0.0"), None, &[candidate("1.0.1")])));
    assert!(waits(of(&range("^1"), None, &[candidate("2.0.0")])));
    assert_eq!(of(&named("1.0.0"), Some("1.0.0"), &[]), Choice::Keep(version("1.0.0")));
}

#[test]
fn changed_content_and_an_unreadable_range_need_a_person() {
    let tampered = Candidate { content: Content::Changed, ..candidate("1.1.0") };
    let all = [candidate("1.0.0"), tampered];
    for choice in
        [of(&named("1.1.0"), Some("1.1.0"), &all), of(&range("^1"), None, &all), of(&range("^1"), Some("1.1.0"), &all)]
    {
        assert_eq!(reason(&choice), Some(ConditionReason::ContentChanged));
    }
    assert_eq!(of(&range("~1.0"), Some("1.0.0"), &all), Choice::Use(version("1.0.0")));
    for packages in [&all[..], &[]] {
        assert_eq!(reason(&of(&range("one"), None, packages)), Some(ConditionReason::InvalidSpec));
    }
}
