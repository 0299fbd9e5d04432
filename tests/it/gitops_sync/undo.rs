//! Commits that are undone in the repository.

use landfall::{
    api::source::{Reverted, SourcePhase, SyncResult},
    gitops::{
        owner::Owner,
        revert::{BRANCH_TAKEN, Head, NOTHING_BEFORE, PUSH_REFUSED, Setback, TIP_MOVED, Way, proposal, way},
        words::revert_event,
    },
};
use serde_json::json;

use super::{
    in_force, results,
    world::{Content, World, content, unreached},
};

/// A commit of which a rollout ends like this.
fn bad(code: &'static str) -> Content {
    Content { rolled_back: Some(code), ..content(&[("a0", "2")]) }
}

/// A world in which a commit is in force, and another one is undone on this branch.
fn reverting(branch: &str) -> World {
    let mut world = in_force(&[("a0", "1")]);
    world.source.revert = serde_json::from_value(json!({"branch": branch})).unwrap();
    world
}

fn revert(world: &World) -> Reverted {
    world.status.revert.clone().unwrap_or_default()
}

fn is_over(world: &World) -> bool {
    let revert = revert(world);
    revert.commit.is_some() || revert.reason.is_some()
}

fn failed(world: &World) -> bool {
    world.status.phase == Some(SourcePhase::Failed)
}

fn rest(world: &mut World) {
    (0..2000).for_each(|_| world.tick());
}

#[test]
fn a_commit_of_which_a_check_failed_is_undone_and_the_revert_is_the_end_of_it() {
    let mut world = reverting("main");
    let bad = world.push(bad("CHECK_FAILED"));
    world.until("in force", |world| world.is_in_force("c3"));
    let Reverted { of, to, commit, attempts, reason, message, .. } = revert(&world);
    assert_eq!((of, to.as_str(), commit.as_deref(), attempts, reason), (bad, "c1", Some("c3"), 1, None));
    let cause = "the Deployment shop/web was rolled back: check errors failed (last failing value 0.5)";
    assert_eq!(message.as_deref(), Some(cause));
    rest(&mut world);
    assert_eq!((world.tip.as_str(), world.commits.len()), ("c3", 3));
    assert_eq!(results(&world)[..2], [("c3", SyncResult::Succeeded), ("c2", SyncResult::Failed)]);
}

#[test]
fn on_another_branch_nothing_but_that_changes_and_what_was_refused_stays_refused() {
    let mut world = reverting("landfall/revert-shop");
    let bad = world.push(bad("CHECK_FAILED"));
    world.until("undone", |world| revert(world).commit.is_some());
    rest(&mut world);
    assert_eq!((world.tip, world.branches["landfall/revert-shop"].as_str()), (bad, "c3"));
    assert_eq!((world.status.phase, world.commits.len()), (Some(SourcePhase::Failed), 3));
}

#[test]
fn what_a_person_ended_or_took_too_long_or_cannot_start_is_not_undone() {
    for code in ["ABORTED", "TIMEOUT", "PROGRESS_DEADLINE", "PODS_FAILED"] {
        let mut world = reverting("main");
        world.push(bad(code));
        world.until("failed", failed);
        rest(&mut world);
        assert_eq!((world.commits.len(), &world.status.revert), (2, &None), "{code}");
    }
    let mut world = reverting("main");
    world.push(Content { healthy_after: None, ..content(&[("b0", "2")]) });
    world.until("failed", failed);
    rest(&mut world);
    assert_eq!((world.commits.len(), &world.status.revert), (2, &None), "time was over");
}

#[test]
fn without_the_field_nothing_is_pushed() {
    let mut world = in_force(&[("a0", "1")]);
    world.push(bad("CHECK_FAILED"));
    world.until("failed", failed);
    rest(&mut world);
    assert_eq!((world.commits.len(), &world.status.revert), (2, &None));
    // Whoever wants it later gets it for the commit that is there.
    world.edit(|world| world.source.revert = serde_json::from_value(json!({"branch": "main"})).unwrap());
    world.until("in force", |world| world.is_in_force("c3"));
}

#[test]
fn where_nothing_was_in_force_before_nothing_is_pushed_and_that_is_said() {
    let mut world = World::new(0);
    world.source.revert = serde_json::from_value(json!({"branch": "main"})).unwrap();
    world.push(bad("CHECK_FAILED"));
    world.until("said", is_over);
    rest(&mut world);
    assert_eq!((world.commits.len(), revert(&world).reason.as_deref()), (1, Some(NOTHING_BEFORE)));
}

#[test]
fn a_revert_of_which_a_check_fails_too_is_not_undone() {
    let mut world = reverting("main");
    world.push(bad("CHECK_FAILED"));
    world.until("undone", |world| revert(world).commit.is_some());
    world.commits.get_mut("c3").unwrap().rolled_back = Some("CHECK_FAILED");
    world.until("failed", |world| world.status.last_sync.as_ref().is_some_and(|sync| sync.commit == "c3"));
    rest(&mut world);
    assert_eq!((world.commits.len(), world.tip.as_str()), (3, "c3"));
}

#[test]
fn a_newer_commit_is_synced_while_a_push_is_under_way_and_the_push_comes_to_nothing() {
    let mut world = reverting("main");
    world.push(bad("CHECK_FAILED"));
    world.until("pushing", |world| world.process.push.is_some());
    let third = world.push(content(&[("a0", "3")]));
    world.until("in force", |world| world.is_in_force(&third));
    assert_eq!((revert(&world).reason.as_deref(), world.commits.len()), (Some(TIP_MOVED), 3));
}

#[test]
fn a_process_that_is_killed_while_it_pushes_pushes_once() {
    for arrives in [false, true] {
        let mut world = reverting("landfall/revert");
        world.push(bad("CHECK_FAILED"));
        world.until("pushing", |world| world.process.push.is_some());
        if arrives {
            world.faults.unreached = 100;
            world.tick();
            world.faults.unreached = 0;
        }
        world.kill();
        world.until("undone", |world| revert(world).commit.is_some());
        rest(&mut world);
        assert_eq!((world.reverts.len(), revert(&world).commit.as_deref()), (1, Some("c3")), "{arrives}");
    }
}

#[test]
fn a_server_that_does_not_answer_is_asked_a_few_times_and_one_that_refuses_once() {
    let mut world = reverting("main");
    world.refusal = Some(unreached());
    world.push(bad("CHECK_FAILED"));
    world.until("given up", |world| revert(world).attempts == 6 && revert(world).reason.is_some());
    rest(&mut world);
    assert_eq!((revert(&world).attempts, world.commits.len()), (6, 2));
    // Whoever asks for a sync has mended something.
    world.refusal = None;
    world.edit(|world| world.request = Some("again".into()));
    world.until("in force", |world| world.is_in_force("c3"));

    let mut world = reverting("main");
    world.refusal = Some(Setback { reason: PUSH_REFUSED, message: "protected".into() });
    world.push(bad("CHECK_FAILED"));
    world.until("refused", is_over);
    rest(&mut world);
    assert_eq!((revert(&world).attempts, revert(&world).message.as_deref()), (1, Some("protected")));
    // Another branch is another matter.
    world.refusal = None;
    world.edit(|world| world.source.revert = serde_json::from_value(json!({"branch": "x"})).unwrap());
    world.until("undone", |world| revert(world).commit.is_some());
}

#[test]
fn what_came_of_a_revert_is_told_once_at_its_first_failure_and_at_its_end() {
    let of = |attempts: i32, reason: Option<&str>, commit: Option<&str>| {
        let revert = Reverted {
            of: "b".repeat(40),
            to: "a".repeat(40),
            branch: "x".into(),
            commit: commit.map(Into::into),
            attempts,
            reason: reason.map(Into::into),
            message: Some("why".into()),
            at: None,
        };
        landfall::api::source::SourceStatus { revert: Some(revert), ..Default::default() }
    };
    let told = |after| revert_event(&of(1, None, None), &after).map(|(reason, _, note)| (reason, note));
    let note = "commit bbbbbbb is not undone on x: why".to_owned();
    assert_eq!(told(of(1, None, None)), None);
    assert_eq!(told(of(1, Some("FetchFailed"), None)), Some(("RevertFailed", note.clone())));
    assert_eq!(told(of(2, Some("FetchFailed"), None)), None);
    assert_eq!(told(of(6, Some("FetchFailed"), None)), Some(("RevertFailed", note.clone())));
    assert_eq!(told(of(2, Some(PUSH_REFUSED), None)), Some(("RevertFailed", note)));
    let done = "commit ccccccc on x undoes bbbbbbb and goes back to aaaaaaa: why".to_owned();
    assert_eq!(told(of(1, None, Some(&"c".repeat(40)))), Some(("RevertPushed", done)));
}

/// What is pushed for a commit, where the source has these settings.
fn proposed(settings: serde_json::Value) -> landfall::gitops::revert::Proposal {
    let source = serde_json::from_value(settings).unwrap();
    let status = serde_json::from_value(json!({
        "observed": {"id": "b", "message": "Release\t5\u{1b}[2J"},
        "revert": {
            "of": "b", "to": "a", "branch": "x", "at": "2026-11-28T20:00:00Z", "attempts": 1,
            "message": "the Deployment shop/web was rolled back: check errors failed",
        },
    }))
    .unwrap();
    proposal(&source, &status, &Owner { namespace: "shop", profile: "production" }).unwrap()
}

#[test]
fn a_revert_says_what_it_undoes_why_and_by_whom() {
    let plain = proposed(json!({"git": {"url": "https://git.test/shop", "path": "/p"}, "revert": {"branch": "x"}}));
    assert_eq!((plain.name.as_str(), plain.email.as_str()), ("Landfall", "landfall@production.shop"));
    assert_eq!((plain.seconds, plain.followed.as_deref()), (1_795_896_000, Some("main")));
    let message = "Revert \"Release 5 [2J\"\n\nThe Deployment shop/web was rolled back: check errors failed.\n\n\
                   This reverts commit b.\nThe directory /p is as in commit a.\n\nLandfall-Source: production.shop\n";
    assert_eq!(plain.message, message);
    let author = json!({"name": "Bot", "email": "bot@shop.test"});
    let git = json!({"url": "https://git.test/shop", "tag": "v1"});
    let named = proposed(json!({"git": git, "revert": {"branch": "x", "author": author}}));
    assert_eq!((named.name.as_str(), named.email.as_str(), named.followed), ("Bot", "bot@shop.test", None));
}

#[test]
fn a_branch_is_made_or_moved_from_what_nobody_else_has_on_it() {
    let other = proposed(json!({"git": {"url": "https://git.test/shop"}, "revert": {"branch": "x"}}));
    let git = json!({"url": "https://git.test/shop", "branch": "x"});
    let followed = proposed(json!({"git": git, "revert": {"branch": "x"}}));
    let head = |id: &str, message: &str| Head {
        id: id.into(),
        message: message.into(),
        author: "Landfall <l>".into(),
        committer: "Landfall <l>".into(),
    };
    let earlier = head("e", "Revert \"x\"\n\nThis reverts commit d.\n\nLandfall-Source: production.shop\n");
    let amended = Head { committer: "Ann <a>".into(), ..earlier.clone() };
    let foreign = head("e", "Revert \"x\"\n\nThis reverts commit d.\n\nLandfall-Source: staging.shop\n");
    let reason = |way: Result<Way, Setback>| way.map_err(|setback| setback.reason);
    let moved = |id: &str| Ok(Way::Push(Some(id.into())));
    assert_eq!(reason(way(&other, None)), Ok(Way::Push(None)));
    assert_eq!(reason(way(&other, Some(&head("b", "Release")))), moved("b"));
    assert_eq!(reason(way(&other, Some(&earlier))), moved("e"));
    assert_eq!(reason(way(&other, Some(&amended))), Err(BRANCH_TAKEN));
    assert_eq!(reason(way(&other, Some(&foreign))), Err(BRANCH_TAKEN));
    assert_eq!(reason(way(&other, Some(&head("f", "Feature")))), Err(BRANCH_TAKEN));
    let by_hand = head("h", "Revert \"Release\"\n\nThis reverts commit b.\n");
    assert_eq!(reason(way(&other, Some(&by_hand))), Ok(Way::Done("h".into())));
    assert_eq!(reason(way(&followed, Some(&head("b", "Release")))), moved("b"));
    assert_eq!(reason(way(&followed, Some(&earlier))), Err(TIP_MOVED));
    assert_eq!(reason(way(&followed, Some(&head("f", "Feature")))), Err(TIP_MOVED));
}
