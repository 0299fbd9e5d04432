//! A process that begins while the repository leads to a commit that is refused: what is in force is read again.

use landfall::{
    api::source::{DriftPolicy, SourcePhase},
    gitops::sync::{Action, Stage},
};

use super::{
    in_force, in_the_middle_of, is_as,
    world::{Content, Faults, Harm, Verdict, World, content, id},
};

fn failed(world: &World) -> bool {
    world.status.phase == Some(SourcePhase::Failed)
}

fn rest(world: &mut World) {
    (0..2000).for_each(|_| world.tick());
}

fn waits_for(world: &World) -> String {
    world.status.waiting_for.clone().unwrap_or_default()
}

/// A world in which a process began after the commit of `first` was applied and the next one was refused.
fn restarted(first: &[(&str, &str)], verdict: Verdict) -> World {
    let mut world = in_force(first);
    world.push(Content { verdict, ..content(&[("a0", "9"), ("a9", "9")]) });
    world.until("failed", failed);
    world.kill();
    world
}

#[test]
fn whoever_restarts_with_a_refused_tip_sets_back_what_is_applied() {
    let first = [("a0", "1"), ("a1", "1"), ("b0", "1")];
    for verdict in [Verdict::Unreadable, Verdict::Refused] {
        let mut world = restarted(&first, verdict);
        // While nobody looks, and later.
        world.meddle("a0", Harm::Changed);
        world.until("set back", |world| is_as(world, &content(&first)));
        world.meddle("a1", Harm::Changed);
        world.meddle("b0", Harm::Deleted);
        world.until("set back", |world| is_as(world, &content(&first)));
        assert_eq!((world.status.applied.as_ref().unwrap().id.as_str(), failed(&world)), ("c1", true));
        assert_eq!(world.status.drift, []);
        // A better commit goes its way.
        let third = content(&[("a0", "3")]);
        world.push(third.clone());
        world.until("in force", |world| world.is_in_force("c3"));
        rest(&mut world);
        assert!(is_as(&world, &third) && world.laws.recalls == 1);
    }
}

#[test]
fn a_repository_that_does_not_answer_is_no_reason_not_to_set_back_what_is_there() {
    let mut world = in_force(&[("a0", "1")]);
    world.silent = true;
    world.kill();
    world.meddle("a0", Harm::Changed);
    world.until("set back", |world| is_as(world, &content(&[("a0", "1")])));
    // Nor is somebody else who is waited for.
    world.silent = false;
    world.blocked = true;
    world.kill();
    world.meddle("a0", Harm::Deleted);
    world.until("set back", |world| is_as(world, &content(&[("a0", "1")])));
}

#[test]
fn nothing_is_read_again_where_nobody_wants_it() {
    for (suspend, drift) in [(true, DriftPolicy::Correct), (false, DriftPolicy::Ignore)] {
        let mut world = restarted(&[("a0", "1")], Verdict::Refused);
        (world.source.suspend, world.source.drift) = (suspend, drift);
        world.meddle("a0", Harm::Changed);
        rest(&mut world);
        assert_eq!((world.laws.recalls, world.process.loaded.is_some()), (0, false));
        assert!(!waits_for(&world).contains("stays meanwhile"));
        world.edit(|world| (world.source.suspend, world.source.drift) = (false, DriftPolicy::Correct));
        world.until("set back", |world| is_as(world, &content(&[("a0", "1")])));
    }
}

#[test]
fn a_source_that_is_suspended_in_the_middle_reads_nothing() {
    let mut world = restarted(&[("a0", "1")], Verdict::Refused);
    world.until("reading", |world| world.process.state.stage == Stage::Recalling);
    world.faults.slow = 100;
    world.edit(|world| world.source.suspend = true);
    world.until("suspended", |world| world.status.phase == Some(SourcePhase::Suspended));
    assert!(world.process.work.is_none() && world.process.loaded.is_none());
}

#[test]
fn only_differences_are_told_where_nothing_is_to_be_set_back() {
    let mut world = restarted(&[("a0", "1")], Verdict::Unreadable);
    world.source.drift = DriftPolicy::Report;
    world.meddle("a0", Harm::Changed);
    world.until("told", |world| world.status.drift.iter().any(|drift| drift.object.ends_with("a0")));
    rest(&mut world);
    assert_eq!(world.cluster[&id("a0")].digest, "another");
}

#[test]
fn a_commit_that_the_repository_does_not_give_any_more_is_asked_for_later_and_later_and_that_is_said() {
    let mut world = restarted(&[("a0", "1")], Verdict::Refused);
    world.gone.insert("c1".into());
    world.meddle("a0", Harm::Changed);
    let said = "; what somebody else changes stays meanwhile: commit c1, which is in force, cannot be read: no answer";
    world.until("said", |world| waits_for(world).ends_with(said));
    let (stores, since) = (world.stores, world.now);
    // An hour.
    (0..7200).for_each(|_| world.tick());
    assert!((8..16).contains(&world.laws.recalls), "{} in {} ms", world.laws.recalls, world.now - since);
    assert!(failed(&world) && waits_for(&world).ends_with(said) && world.stores - stores < 20, "{}", world.stores);
    assert_eq!(world.cluster[&id("a0")].digest, "another");
    world.gone.clear();
    world.until("set back", |world| is_as(world, &content(&[("a0", "1")])));
    world.until("not said any more", |world| failed(world) && !waits_for(world).contains("meanwhile"));
}

#[test]
fn a_commit_that_reads_otherwise_than_it_was_written_is_compared_with_nothing() {
    let mut world = restarted(&[("a0", "1"), ("a1", "1")], Verdict::Unreadable);
    // As values do it.
    world.source.allow_empty = true;
    world.commits.get_mut("c1").unwrap().objects.insert("a0".into(), "other".into());
    for name in ["a0", "a1"] {
        world.meddle(name, Harm::Changed);
    }
    world.until("said", |world| waits_for(world).contains("values, keys or other settings changed since, and 1 of"));
    rest(&mut world);
    assert!(world.process.loaded.is_none());
    for name in ["a0", "a1"] {
        assert_eq!(world.cluster[&id(name)].digest, "another");
    }
    // The settings as they were, and the commit is what was written.
    world.commits.get_mut("c1").unwrap().objects.insert("a0".into(), "1".into());
    world.edit(|world| world.source.allow_empty = false);
    world.until("set back", |world| is_as(world, &content(&[("a0", "1"), ("a1", "1")])));
}

#[test]
fn settings_that_change_nothing_of_what_is_written_are_no_reason() {
    let mut world = restarted(&[("a0", "1")], Verdict::Unreadable);
    world.source.allow_empty = true;
    world.meddle("a0", Harm::Changed);
    world.until("set back", |world| is_as(world, &content(&[("a0", "1")])));
}

#[test]
fn of_a_commit_that_was_written_in_part_only_what_is_known_to_be_in_force_is_set_back() {
    let mut world = in_force(&[("a0", "1"), ("b0", "1")]);
    world.push(content(&[("a0", "1"), ("a1", "2"), ("b0", "2"), ("b1", "2"), ("b2", "2")]));
    in_the_middle_of(&mut world, Action::Apply);
    world.kill();
    world.push(Content { verdict: Verdict::Unreadable, ..Content::default() });
    world.until("failed", failed);
    let others = world.own();
    world.meddle("a0", Harm::Changed);
    world.until("set back", |world| world.own() == others);
    rest(&mut world);
    assert_eq!((world.own(), world.status.applied.as_ref().unwrap().id.as_str()), (others, "c2"));
}

#[test]
fn a_commit_of_which_a_check_failed_is_what_is_applied_until_its_revert_is() {
    let mut world = in_force(&[("a0", "1")]);
    world.source.revert = serde_json::from_value(serde_json::json!({"branch": "main"})).unwrap();
    let bad = content(&[("a0", "2")]);
    world.push(Content { rolled_back: Some("CHECK_FAILED"), ..bad.clone() });
    world.until("undone", |world| world.commits.contains_key("c3"));
    world.commits.get_mut("c3").unwrap().verdict = Verdict::Unreadable;
    let of = |world: &World| world.status.last_sync.as_ref().map(|sync| sync.commit.clone());
    world.until("failed", |world| failed(world) && of(world).as_deref() == Some("c3"));
    world.kill();
    world.meddle("a0", Harm::Changed);
    world.until("set back", |world| is_as(world, &bad));
    rest(&mut world);
    assert_eq!((world.commits.len(), world.reverts.len()), (3, 1), "nothing more is undone");
}

#[test]
fn whatever_went_wrong_before_what_is_applied_is_set_back_in_the_end() {
    let first = [("a0", "1"), ("a1", "1"), ("b0", "1")];
    for seed in 0..60 {
        let mut world = World::new(seed);
        world.push(content(&first));
        world.until("in force", |world| world.is_in_force("c1"));
        let verdict = if seed % 2 == 0 { Verdict::Unreadable } else { Verdict::Refused };
        world.push(Content { verdict, ..content(&[("a0", "9"), ("b9", "9")]) });
        world.faults = Faults { conflict: seed % 3 * 10, unreached: 5 + seed % 4 * 10, slow: seed % 5 * 10 };
        for _ in 0..300 {
            match world.random.below(40) {
                0 => world.kill(),
                1 | 2 => {
                    let name = ["a0", "a1", "b0"][world.random.place(3)];
                    let harm = [Harm::Changed, Harm::Deleted][world.random.place(2)];
                    world.meddle(name, harm);
                }
                3 => world.edit(|world| world.source.suspend = !world.source.suspend),
                4 => world.edit(|world| world.blocked = !world.blocked),
                5 => world.silent = !world.silent,
                _ => {}
            }
            world.tick();
        }
        world.kill();
        world.meddle("a0", Harm::Changed);
        (world.faults, world.silent) = (Faults::default(), false);
        world.edit(|world| (world.source.suspend, world.blocked) = (false, false));
        world.until("set back", |world| is_as(world, &content(&first)));
        assert_eq!(world.status.applied.as_ref().unwrap().id, "c1", "seed {seed}");
        rest(&mut world);
        let (begun, recalls) = (world.laws.begun, world.laws.recalls);
        (0..300).for_each(|_| world.tick());
        assert_eq!(world.laws.recalls, recalls, "seed {seed}: it is read once");
        assert!(world.laws.begun - begun <= 2, "seed {seed}: only the commit is tried again");
    }
}
