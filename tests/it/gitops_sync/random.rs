//! Stories that nobody thought of: commits, faults, kills and people from a seed.

use std::{
    env,
    panic::{self, AssertUnwindSafe},
};

use landfall::api::source::SourcePhase;

use super::world::{Content, Faults, Harm, Verdict, World, content, unreached, wanted};
use crate::gitops_sync::work::Work;

/// `make test` plays 200, by `LANDFALL_SEEDS`.
const SEEDS: u64 = 60;
/// How long things go wrong, in ticks.
const TROUBLED: usize = 600;
/// How many ticks a newer commit has, and how many the same one, which waits for its next try.
const PATIENCE: (usize, usize) = (240, 3000);

#[test]
fn whatever_goes_wrong_the_laws_hold_and_the_newest_commit_is_reached() {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("LANDFALL_SEED") {
        return play(seed);
    }
    let failure = |seed: u64| {
        let cause = panic::catch_unwind(AssertUnwindSafe(|| play(seed))).err()?;
        let text = cause.downcast_ref::<String>().map_or("a law was broken", String::as_str);
        Some(format!("seed {seed}: {text}"))
    };
    let failures: Vec<String> = (0..number("LANDFALL_SEEDS").unwrap_or(SEEDS)).filter_map(failure).take(2).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn play(seed: u64) {
    let mut world = World::new(seed);
    world.source.health_timeout = Some("30s".parse().unwrap());
    world.faults = Faults { conflict: seed % 3 * 10, unreached: seed % 4 * 4, slow: seed % 5 * 10 };
    world.push(random_content(&mut World::new(seed + 1_000_000)));
    for _ in 0..TROUBLED {
        if world.random.percent(6) {
            happen(&mut world);
        }
        world.tick();
    }
    settle(&mut world, seed);
    let (begun, stores) = (world.laws.begun, world.stores);
    (0..300).for_each(|_| world.tick());
    assert_eq!((world.laws.begun, world.stores), (begun, stores), "it is not quiet\n{}", world.told());
}

/// Nothing goes wrong any more. Either the last commit is good and is reached, or a newer one is.
fn settle(world: &mut World, seed: u64) {
    (world.faults, world.refusal) = (Faults::default(), None);
    world.edit(|world| (world.silent, world.blocked, world.source.suspend) = (false, false, false));
    let tip = world.commits[&world.tip].clone();
    let good = tip.verdict == Verdict::Fine
        && tip.rolled_back.is_none()
        && !tip.objects.contains_key("b5")
        && !tip.objects.is_empty();
    let late = tip.healthy_after.is_none() || never_healthy(world, &tip);
    let (wanted_commit, patience) = if seed.is_multiple_of(2) && good && !late {
        (world.tip.clone(), PATIENCE.1)
    } else {
        let last = content(&[("a0", "last"), ("a1", "last"), ("b0", "last"), ("b1", "last")]);
        (world.push(last), PATIENCE.0)
    };
    let content = world.commits[&wanted_commit].clone();
    for _ in 0..patience {
        world.tick();
        if is_settled(world, &wanted_commit, &content) {
            return;
        }
    }
    panic!("{wanted_commit} is never in force: {:?}\n{:#?}\n{}", world.process.state, world.status, world.told());
}

/// Whether an object that stays as it is was written by a commit that never becomes healthy.
fn never_healthy(world: &World, content: &Content) -> bool {
    let never = |id: &_| world.cluster.get(id).is_some_and(|live| live.healthy_at.is_none());
    content.manifests().iter().any(|manifest| never(&manifest.id))
}

fn is_settled(world: &World, commit: &str, content: &Content) -> bool {
    let mut own = world.own();
    let wanted = wanted(content);
    own.retain(|id, _| wanted.contains_key(id) || !world.laws.forgotten.contains(id));
    let answered = world.request.is_none() || world.status.handled_request == world.request;
    world.is_in_force(commit) && own == wanted && answered && world.status.phase == Some(SourcePhase::Synced)
}

fn random_content(world: &mut World) -> Content {
    let names = ["a0", "a1", "a2", "b0", "b1", "b2", "b3", "b5"];
    let random = &mut world.random;
    let chosen = names.into_iter().filter(|_| random.percent(50)).collect::<Vec<_>>();
    let objects = chosen.into_iter().map(|name| (name.to_owned(), random.below(3).to_string())).collect();
    let verdict = match random.below(10) {
        0 => Verdict::Unreadable,
        1 => Verdict::Refused,
        2 => Verdict::RefusedLate,
        _ => Verdict::Fine,
    };
    let healthy_after = [Some(0), Some(0), Some(3_000), Some(20_000), None][random.place(5)];
    let rolled_back = [None, None, None, None, Some("CHECK_FAILED"), Some("ABORTED")][random.place(6)];
    Content { objects, verdict, healthy_after, rolled_back }
}

fn happen(world: &mut World) {
    let name = ["a0", "a1", "b0", "b1", "b2"][world.random.place(5)];
    match world.random.below(23) {
        0..=3 => {
            let content = random_content(world);
            world.push(content);
        }
        4..=6 => world.kill(),
        7 | 8 => world.meddle(name, Harm::Changed),
        9 => world.meddle(name, Harm::Deleted),
        10 => world.edit(|world| world.silent = !world.silent),
        11 | 12 => world.edit(|world| world.source.suspend = !world.source.suspend),
        13 => world.edit(|world| world.blocked = !world.blocked),
        14 | 15 => {
            let request = format!("r{}", world.random.below(1000));
            world.edit(|world| world.request = Some(request));
        }
        16 => world.edit(|world| world.source.prune = !world.source.prune),
        17 => {
            // Somebody moves the branch back.
            let at = world.random.place(world.commits.len());
            world.tip = world.commits.keys().nth(at).cloned().unwrap_or_default();
            world.tell(format!("the branch is moved to {}", world.tip));
        }
        20 => {
            let branch = ["main", "landfall/revert"][world.random.place(2)];
            let source = serde_json::json!({"branch": branch});
            world.edit(|world| world.source.revert = serde_json::from_value(source).unwrap());
        }
        21 => world.edit(|world| world.source.revert = None),
        22 => world.refusal = if world.refusal.is_some() { None } else { Some(unreached()) },
        18 => world.edit(|world| world.source.allow_empty = !world.source.allow_empty),
        _ => take_over(world),
    }
}

/// Somebody takes the name of an object that no commit in force wants, while nobody is about to write it.
fn take_over(world: &mut World) {
    let is_wanted = |commit: &str| world.commits[commit].objects.contains_key("b5");
    let in_force = world.status.applied.as_ref().is_some_and(|commit| is_wanted(&commit.id));
    let writes = |work: &Work| work.commit.is_empty() || is_wanted(&work.commit);
    if !in_force && !world.process.work.as_ref().is_some_and(writes) {
        world.take_over("b5");
    }
}
