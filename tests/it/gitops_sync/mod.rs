//! The engine of a source in a pretended world: plain stories, and random ones under seeds.
//!
//! `LANDFALL_SEEDS=2000` plays more of them; `LANDFALL_SEED=7` plays one.

mod laws;
mod random;
mod recall;
mod undo;
mod work;
mod world;

use landfall::{
    api::source::{DriftPolicy, SourcePhase, SyncResult},
    gitops::sync::{Action, Stage},
};

use self::world::{Content, Harm, Verdict, World, content, id, wanted};

/// A world in which this commit is in force.
fn in_force(objects: &[(&str, &str)]) -> World {
    let mut world = World::new(0);
    let first = world.push(content(objects));
    world.until("in force", |world| world.is_in_force(&first));
    world
}

fn results(world: &World) -> Vec<(&str, SyncResult)> {
    world.status.history.iter().map(|sync| (sync.commit.as_str(), sync.result.unwrap())).collect()
}

/// Lets time pass until this is under way and has done something.
fn in_the_middle_of(world: &mut World, action: Action) {
    world.until("in the middle", |world| {
        world.process.work.as_ref().is_some_and(|work| work.action == action && work.done > 0)
    });
}

fn is_as(world: &World, content: &Content) -> bool {
    world.own() == wanted(content)
}

#[test]
fn a_commit_is_brought_into_force_and_the_next_one_takes_away_what_it_has_not() {
    let mut world = in_force(&[("a0", "1"), ("b0", "1")]);
    assert_eq!(world.own().len(), 2);
    let next = content(&[("a0", "2"), ("b1", "1")]);
    let second = world.push(next.clone());
    world.until("in force", |world| world.is_in_force(&second));
    assert!(is_as(&world, &next));
    assert_eq!(results(&world), [("c2", SyncResult::Succeeded), ("c1", SyncResult::Succeeded)]);
    assert_eq!(world.status.inventory.as_ref().unwrap().count, 2);
}

#[test]
fn a_commit_that_is_nothing_to_this_source_stores_one_status_and_is_no_sync() {
    let mut world = in_force(&[("a0", "1")]);
    let stores = world.stores;
    let second = world.push(content(&[("a0", "1")]));
    world.until("seen", |world| world.is_in_force(&second));
    assert_eq!((world.stores - stores, results(&world)), (1, vec![("c1", SyncResult::Succeeded)]));
    assert_eq!(world.status.observed, world.status.applied);
}

#[test]
fn a_commit_that_is_refused_changes_nothing_until_it_is_mended() {
    for verdict in [Verdict::Unreadable, Verdict::Refused] {
        let mut world = in_force(&[("a0", "1")]);
        let before = world.own();
        let good = content(&[("a0", "2"), ("a1", "1")]);
        let bad = world.push(Content { verdict, ..good.clone() });
        world.until("failed", |world| world.status.phase == Some(SourcePhase::Failed));
        assert_eq!((world.own(), world.status.applied.as_ref().unwrap().id.as_str()), (before, "c1"));
        // It is tried again, and is in the history once.
        (0..200).for_each(|_| world.tick());
        assert_eq!(results(&world), [("c2", SyncResult::Failed), ("c1", SyncResult::Succeeded)], "{bad}");
        let third = world.push(good.clone());
        world.until("in force", |world| world.is_in_force(&third));
        assert!(is_as(&world, &good) && world.status.failures.is_empty());
    }
}

#[test]
fn a_commit_that_was_refused_is_tried_again_although_another_one_came_and_went() {
    let mut world = in_force(&[("a0", "1")]);
    let bad = world.push(Content { verdict: Verdict::Refused, ..content(&[("a0", "2")]) });
    world.until("failed", |world| world.status.phase == Some(SourcePhase::Failed));
    world.push(content(&[("a0", "3")]));
    world.until("being read", |world| world.process.state.stage == Stage::Preparing);
    world.tip.clone_from(&bad);
    world.commits.get_mut(&bad).unwrap().verdict = Verdict::Fine;
    world.until("in force", |world| world.is_in_force(&bad));
}

#[test]
fn a_newer_commit_takes_the_place_of_one_whose_health_is_awaited() {
    let mut world = in_force(&[("b0", "1")]);
    world.push(Content { healthy_after: None, ..content(&[("b0", "2")]) });
    world.until("waiting", |world| world.status.phase == Some(SourcePhase::Verifying));
    let third = world.push(content(&[("b0", "3")]));
    let since = world.now;
    world.until("in force", |world| world.is_in_force(&third));
    assert!(world.now - since < 10_000, "it was waited for");
    assert_eq!(results(&world)[..2], [("c3", SyncResult::Succeeded), ("c2", SyncResult::Superseded)]);
    let message = world.status.history[1].message.as_deref();
    assert_eq!(message, Some("a newer commit took its place"));
}

#[test]
fn health_that_never_comes_fails_the_sync_deletes_nothing_and_health_that_comes_late_mends_it() {
    let mut world = in_force(&[("b0", "1"), ("b1", "1")]);
    let second = world.push(Content { healthy_after: Some(400_000), ..content(&[("b0", "2")]) });
    world.until("failed", |world| world.status.phase == Some(SourcePhase::Failed));
    assert_eq!(results(&world)[0], ("c2", SyncResult::Failed));
    assert!(world.status.last_sync.as_ref().unwrap().message.as_ref().unwrap().starts_with("after 300 s"));
    assert!(world.cluster.contains_key(&id("b1")), "nothing is deleted before what takes its place is healthy");
    world.until("in force", |world| world.is_in_force(&second));
    assert!(!world.cluster.contains_key(&id("b1")));
    assert_eq!(results(&world)[..2], [("c2", SyncResult::Succeeded), ("c2", SyncResult::Failed)]);
}

#[test]
fn health_that_comes_object_by_object_is_seen_soon_after_the_last_one() {
    let names = ["b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7"];
    let mut world = in_force(&[("a0", "1")]);
    let objects: Vec<_> = names.iter().map(|name| (*name, "1")).collect();
    let second = world.push(Content { healthy_after: None, ..content(&objects) });
    world.until("waiting", |world| world.status.phase == Some(SourcePhase::Verifying));
    let mut last = world.now;
    for name in names {
        last += 3_000;
        world.cluster.get_mut(&id(name)).unwrap().healthy_at = Some(last);
    }
    world.until("in force", |world| world.is_in_force(&second));
    assert!(world.now - last <= 3_000, "{} ms after the last one", world.now - last);
}

#[test]
fn a_process_that_is_killed_in_the_middle_of_writing_or_deleting_goes_on_where_it_was() {
    for action in [Action::Apply, Action::Prune] {
        let mut world = in_force(&[("a0", "1"), ("a1", "1"), ("b0", "1"), ("b1", "1")]);
        let next = content(&[("a2", "1"), ("b2", "1"), ("b3", "1")]);
        let second = world.push(next.clone());
        in_the_middle_of(&mut world, action);
        world.kill();
        world.until("in force", |world| world.is_in_force(&second));
        assert!(is_as(&world, &next), "{action:?}");
        assert_eq!(world.status.inventory.as_ref().unwrap().count, 3);
    }
}

#[test]
fn what_a_killed_process_had_written_is_deleted_when_a_newer_commit_does_not_want_it() {
    let mut world = in_force(&[("a0", "1")]);
    world.push(content(&[("a0", "1"), ("a1", "1"), ("b1", "1"), ("b2", "1")]));
    in_the_middle_of(&mut world, Action::Apply);
    assert!(world.own().len() > 1);
    world.kill();
    let next = content(&[("a0", "1")]);
    let third = world.push(next.clone());
    world.until("in force", |world| world.is_in_force(&third));
    assert!(is_as(&world, &next));
}

/// What a process left half done is not in force because its repository cannot be asked.
#[test]
fn what_was_left_half_done_is_not_called_synced_while_the_repository_does_not_answer() {
    let mut world = in_force(&[("a0", "1")]);
    let second = world.push(content(&[("a0", "2"), ("b1", "1"), ("b2", "1")]));
    in_the_middle_of(&mut world, Action::Apply);
    world.kill();
    world.silent = true;
    world.until("told", |world| world.status.phase == Some(SourcePhase::Failed));
    world.silent = false;
    world.until("in force", |world| world.is_in_force(&second));
}

#[test]
fn a_revert_brings_back_what_was_there() {
    let first = content(&[("a0", "1"), ("b0", "1")]);
    let mut world = in_force(&[("a0", "1"), ("b0", "1")]);
    let second = world.push(content(&[("a0", "2")]));
    world.until("in force", |world| world.is_in_force(&second));
    let third = world.push(first.clone());
    world.until("in force", |world| world.is_in_force(&third));
    assert!(is_as(&world, &first));
    assert_eq!(world.status.history.len(), 3);
}

#[test]
fn a_source_that_is_suspended_in_the_middle_ends_its_writes_and_goes_on_later() {
    let mut world = in_force(&[("a0", "1")]);
    let next = content(&[("a1", "1"), ("b1", "1"), ("b2", "1")]);
    let second = world.push(next.clone());
    in_the_middle_of(&mut world, Action::Apply);
    world.edit(|world| world.source.suspend = true);
    world.until("suspended", |world| world.status.phase == Some(SourcePhase::Suspended));
    assert_eq!(results(&world)[0], ("c2", SyncResult::Superseded));
    assert_eq!(world.status.history[0].message.as_deref(), Some("spec.source.suspend is set"));
    assert_eq!(world.own().len(), 4, "everything is written, and nothing deleted");
    let begun = world.laws.begun;
    (0..100).for_each(|_| world.tick());
    assert_eq!(world.laws.begun, begun);
    world.edit(|world| world.source.suspend = false);
    world.until("in force", |world| world.is_in_force(&second));
    assert!(is_as(&world, &next));
}

#[test]
fn what_the_settings_forbid_now_is_not_done_although_the_repository_does_not_answer() {
    let mut world = in_force(&[("a0", "1"), ("b0", "1")]);
    let second = world.push(Content { healthy_after: Some(20_000), ..content(&[("a0", "2")]) });
    world.until("waiting", |world| world.status.phase == Some(SourcePhase::Verifying));
    world.silent = true;
    world.edit(|world| world.source.prune = false);
    (0..200).for_each(|_| world.tick());
    assert_eq!(results(&world)[0], ("c2", SyncResult::Superseded));
    assert!(world.cluster.contains_key(&id("b0")));
    world.silent = false;
    world.until("in force", |world| world.is_in_force(&second));
    assert!(world.cluster.contains_key(&id("b0")));
}

#[test]
fn a_request_is_answered_once_by_a_sync_that_was_begun_for_it() {
    let mut world = in_force(&[("a0", "1")]);
    let syncs = world.status.history.len();
    world.silent = true;
    world.faults.slow = 100;
    world.edit(|world| world.request = Some("r1".into()));
    (0..20).for_each(|_| world.tick());
    assert_eq!(world.status.handled_request, None, "nobody has looked");
    (world.silent, world.faults.slow) = (false, 0);
    world.until("answered", |world| world.status.handled_request.as_deref() == Some("r1"));
    (0..100).for_each(|_| world.tick());
    assert_eq!(world.status.history.len(), syncs + 1);
    assert_eq!(world.status.phase, Some(SourcePhase::Synced));
}

#[test]
fn a_request_in_the_middle_of_a_sync_is_answered_by_the_next_one() {
    let mut world = in_force(&[("b0", "1")]);
    world.push(content(&[("b0", "2"), ("b1", "1"), ("b2", "1")]));
    in_the_middle_of(&mut world, Action::Apply);
    world.edit(|world| world.request = Some("r1".into()));
    world.until("answered", |world| world.status.handled_request.as_deref() == Some("r1"));
    assert_eq!(results(&world)[..2], [("c2", SyncResult::Succeeded), ("c2", SyncResult::Succeeded)]);
}

#[test]
fn what_somebody_changes_is_set_back_at_once_also_while_health_is_awaited() {
    let mut world = in_force(&[("b0", "1")]);
    let second = content(&[("a0", "1"), ("b0", "2")]);
    world.push(Content { healthy_after: Some(60_000), ..second.clone() });
    world.until("waiting", |world| world.status.phase == Some(SourcePhase::Verifying));
    world.meddle("a0", Harm::Deleted);
    world.meddle("b0", Harm::Changed);
    let since = world.now;
    world.until("set back", |world| is_as(world, &second));
    assert!(world.now - since < 5_000 && world.process.state.stage == Stage::Verifying);
    world.until("in force", |world| world.is_in_force("c2"));
}

#[test]
fn an_object_that_was_deleted_and_made_anew_is_deleted_with_its_file() {
    let first = content(&[("a0", "1"), ("b0", "1")]);
    let mut world = in_force(&[("a0", "1"), ("b0", "1")]);
    world.meddle("b0", Harm::Deleted);
    world.until("made anew", |world| is_as(world, &first));
    let next = content(&[("a0", "1")]);
    let second = world.push(next.clone());
    world.until("in force", |world| world.is_in_force(&second));
    assert!(is_as(&world, &next));
}

#[test]
fn what_could_not_be_set_back_is_tried_again_later_and_later() {
    let first = content(&[("a0", "1")]);
    let mut world = in_force(&[("a0", "1")]);
    world.faults.unreached = 100;
    world.meddle("a0", Harm::Changed);
    let begun = world.laws.begun;
    (0..240).for_each(|_| world.tick());
    assert!((4..12).contains(&(world.laws.begun - begun)), "{}", world.laws.begun - begun);
    world.faults.unreached = 0;
    world.until("set back", |world| is_as(world, &first));
}

#[test]
fn differences_that_are_only_told_stay_told_when_another_object_is_compared() {
    let mut world = in_force(&[("a0", "1"), ("a1", "1")]);
    world.edit(|world| world.source.drift = DriftPolicy::Report);
    for name in ["a0", "a1"] {
        world.meddle(name, Harm::Changed);
        world.until("told", |world| world.status.drift.iter().any(|drift| drift.object.ends_with(name)));
    }
    assert_eq!(world.status.drift.len(), 2);
    let second = world.push(content(&[("a0", "2"), ("a1", "2")]));
    world.until("in force", |world| world.is_in_force(&second) && world.status.drift.is_empty());
}
