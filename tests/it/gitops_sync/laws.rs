//! What holds at every tick, whatever goes wrong.

use std::collections::BTreeSet;

use landfall::{
    api::source::{DriftPolicy, SourceStatus, SyncResult},
    gitops::{
        object::{Id, Manifest},
        sync::{Action, Drops, Found, Health, Step, Tip},
    },
};

use super::{
    work::Work,
    world::{Owner, Verdict, World, read, shown},
};

/// What is remembered to judge by.
#[derive(Debug, Default)]
pub struct Laws {
    /// Objects that left the repository and stay, because the spec says so.
    pub forgotten: BTreeSet<Id>,
    /// The request that a sync was begun for.
    began_for: Option<String>,
    /// How many actions were begun.
    pub begun: usize,
    /// How many of them read again what is in force.
    pub recalls: usize,
}

fn holds(world: &World, (holds, law): (bool, &str)) {
    assert!(holds, "{law}\n{:?}\n{:#?}\n{}", world.process.state, world.status, world.told());
}

impl Laws {
    /// Nothing is left that nobody knows of.
    pub fn at_a_tick(world: &World) {
        let inventory = world.status.inventory.as_ref().map(read).unwrap_or_default();
        for id in world.own().keys() {
            let known = inventory.get(id).is_some() || world.laws.forgotten.contains(id);
            holds(world, (known, &format!("{id} is in the cluster and in no inventory")));
        }
    }

    pub fn at_a_step(world: &mut World, step: &Step, found: Option<&Found>) {
        holds(world, (step.next.is_none_or(|next| !next.is_zero()), "it looks again at once"));
        let writes = |work: &Work| matches!(work.action, Action::Apply | Action::Prune);
        let dropped = step.drops == Drops::Work && world.process.work.as_ref().is_some_and(writes);
        holds(world, (!dropped, "writes are dropped in the middle"));
        let before = world.process.status.clone().unwrap_or_else(|| world.status.clone());
        if let Some(Found::Refused(..)) = found {
            let of = |status: &SourceStatus| {
                (status.applied.clone(), status.digest.clone(), status.inventory.clone(), status.drift.clone())
            };
            holds(world, (of(&before) == of(&step.status), "a commit that was refused changed something"));
        }
        Self::order(world, step, found);
        Self::history(world, (&before, &step.status));
        Self::request(world, (&before, &step.status), found);
        if let Some(Found::Checked | Found::Prepared(_)) = found {
            let left = world.process.fresh.plan.forget.iter().map(|entry| entry.id.clone());
            world.laws.forgotten.extend(left.collect::<Vec<_>>());
        }
    }

    /// What is pushed was stored before, in all that it is made from.
    pub fn at_a_push(world: &World) {
        let decided = world.process.status.as_ref().and_then(|status| status.revert.as_ref());
        let stored = world.status.revert.as_ref();
        holds(world, (stored.is_some() && stored == decided, "something is pushed that is not stored"));
        holds(world, (world.source.revert.is_some(), "something is pushed although the spec wants none"));
        holds(world, (!world.source.suspend, "something is pushed while it is suspended"));
    }

    /// A commit is undone once on a branch, only if a check failed, and never if it undoes another one.
    pub fn at_a_revert(world: &World, of: &str) {
        let guilty = world.commits[of].rolled_back == Some("CHECK_FAILED");
        holds(world, (guilty, "a commit is undone of which no check failed"));
        holds(world, (!world.reverts.contains_key(of), "a revert is undone"));
        let to = world.status.revert.as_ref().map(|revert| revert.to.clone()).unwrap_or_default();
        let good = world.commits[&to].rolled_back.is_none() && world.commits[&to].verdict == Verdict::Fine;
        holds(world, (good, "what is brought back was never in force"));
    }

    /// Nothing is written that was not judged, and nothing is deleted before what takes its place is healthy.
    fn order(world: &World, step: &Step, found: Option<&Found>) {
        let judged = matches!(found, Some(Found::Checked));
        let healthy = matches!(found, Some(Found::Health(health)) if *health.as_ref() == Health::default());
        match step.action {
            Some(Action::Apply) => holds(world, (judged, "objects are written that were not judged")),
            Some(Action::Prune) => holds(world, (healthy, "something is deleted before all is healthy")),
            _ => {}
        }
    }

    fn history(world: &World, (before, after): (&SourceStatus, &SourceStatus)) {
        let history = &after.history;
        holds(world, (history.iter().all(|sync| sync.result.is_some()), "what is under way is in the history"));
        let ended = after.last_sync.as_ref().filter(|sync| sync.result.is_some());
        let first = history.first();
        holds(world, (ended.is_none() || ended == first, "a sync that ended is not in the history"));
        let twice = history.iter().enumerate().any(|(at, sync)| history[at + 1..].contains(sync));
        holds(world, (!twice, "a sync is in the history twice"));
        let same = |one: &[_], other: &[_]| one.iter().zip(other).all(|(one, other): (&_, &_)| one == other);
        let kept = history == &before.history
            || history.get(1..).is_some_and(|rest| {
                same(rest, &before.history) || before.history.get(1..).is_some_and(|older| same(rest, older))
            });
        holds(world, (kept, "the history was rewritten"));
    }

    /// A request is answered by a sync that was begun for it and has ended, or where none can be made.
    fn request(world: &World, (before, after): (&SourceStatus, &SourceStatus), found: Option<&Found>) {
        if before.handled_request == after.handled_request {
            return;
        }
        let last = after.history.first();
        let superseded = last.is_some_and(|sync| sync.result == Some(SyncResult::Superseded));
        let ended = before.history.first() != last && !superseded || matches!(found, Some(Found::Prepared(_)));
        let by_sync = ended && world.laws.began_for == after.handled_request;
        let by_word = world.source.suspend || matches!(world.process.tip, Tip::Failed(_));
        holds(world, (by_sync || by_word, "a request is answered before its sync"));
    }

    pub fn at_a_beginning(world: &mut World, action: Action) {
        world.laws.begun += 1;
        holds(world, (!world.source.suspend, "something is begun while it is suspended"));
        match action {
            Action::Recall => {
                let ignores = world.source.drift == DriftPolicy::Ignore;
                holds(world, (!ignores && world.process.loaded.is_none(), "a commit is read again for nothing"));
                let commit = &world.process.state.target.commit;
                let is_applied = world.status.applied.as_ref().is_some_and(|applied| applied.id == *commit);
                holds(world, (is_applied, "a commit is read again that is not in force"));
                world.laws.recalls += 1;
            }
            Action::Prepare => {
                let looked = world.process.looked_for == world.request;
                world.laws.began_for = if looked { world.request.clone() } else { None };
            }
            Action::Apply => {
                let stored = world.status.inventory.as_ref() == Some(&shown(&world.process.fresh.inventory));
                holds(world, (stored, "objects are written before their inventory is stored"));
                let target = &world.process.state.target;
                let newer = matches!(&world.process.tip, Tip::At(commit) if *commit != target.commit);
                let current = !newer && target.settings == world.settings();
                holds(world, (current, "a commit is written that nobody wants any more"));
            }
            _ => {}
        }
    }

    pub fn at_a_write(world: &mut World, manifest: &Manifest) {
        let inventory = world.status.inventory.as_ref().map(read).unwrap_or_default();
        holds(world, (inventory.get(&manifest.id).is_some(), "an object is written that is in no inventory"));
        let commit = world.status.applied.as_ref().map(|commit| commit.id.clone()).unwrap_or_default();
        let content = &world.commits[&commit];
        // What was in force before is so whatever would become of the rest of the commit.
        let fine = matches!(content.verdict, Verdict::Fine | Verdict::RefusedLate) || inventory.has(manifest);
        holds(world, (fine && content.manifests().contains(manifest), "what is written is not in the commit in force"));
        let theirs = world.cluster.get(&manifest.id).is_some_and(|live| live.owner == Owner::Somebody);
        holds(world, (!theirs, "an object of somebody else's is written"));
        world.laws.forgotten.remove(&manifest.id);
    }

    /// Nothing is corrected against a commit that is not applied.
    pub fn at_a_correction(world: &World, commit: &str) {
        let is_applied = world.status.applied.as_ref().is_some_and(|applied| applied.id == commit);
        holds(world, (is_applied, "something is set back to a commit that is not in force"));
    }

    pub fn at_a_deletion(world: &World, work: &Work, id: &Id) {
        holds(world, (work.prunes, "something is deleted although the spec forbids it"));
        let commit = world.status.applied.as_ref().map(|commit| commit.id.clone()).unwrap_or_default();
        let wanted = world.commits[&commit].objects.contains_key(&id.name);
        holds(world, (!wanted && commit == work.commit, "something is deleted that the commit in force wants"));
        holds(world, (world.cluster[id].owner == Owner::Source, "an object of somebody else's is deleted"));
    }
}
