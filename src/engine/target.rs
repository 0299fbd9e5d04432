//! The world that a stage asks for.
//!
//! A target states what is to be in the end, not the way there. The way is [`crate::engine::steer`]'s, from whatever is
//! there, so a stage, an abort, a newer revision and a restart of the operator are all the same thing: another target.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{
    observed::{Known, Revision},
    plan::{Plan, Strategy},
    share::{Share, need},
    stage::Stage,
    state::{Run, State},
    strategy::rolling::{self, Count, Rolling},
};

/// How much care the way takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// Every share is raised only when there are enough pods for all of it.
    Full,
    /// What is left may be bad: one ready pod of the stable revision is better than it.
    Escape,
}

/// What is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What the stable Service selects; empty where it is to be left alone.
    pub front: BTreeSet<Revision>,
    /// What the candidate Service selects; none where it is to be left alone.
    pub preview: Option<Revision>,
    /// The candidate Service's share.
    pub split: Share,
    /// The pods of each revision.
    pub scale: BTreeMap<Revision, u32>,
    /// How many ready pods a revision must have to be alone behind the stable Service.
    pub enough: u32,
    /// The revision whose pods are waited for.
    pub awaited: Option<Revision>,
    /// How careful the way is.
    pub care: Care,
}

/// How many pods are wanted, and what else it takes to count them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// The pods that the whole traffic needs.
    pub desired: u32,
    /// See [`Plan::headroom`].
    pub headroom: u32,
}

impl Size {
    /// The least that is anybody at all: one, unless nobody is wanted.
    pub fn any(self) -> u32 {
        self.desired.min(1)
    }

    /// The pods that a share needs.
    pub fn need(self, share: Share) -> u32 {
        need(self.desired, share, self.headroom)
    }
}

/// The stable revision alone, as between runs and at the end of every way back.
pub fn home(stable: &Revision, size: Size, care: Care) -> Target {
    Target {
        front: [stable.clone()].into(),
        preview: Some(stable.clone()),
        split: Share::NONE,
        scale: [(stable.clone(), size.desired)].into(),
        enough: size.need(Share::WHOLE),
        awaited: None,
        care,
    }
}

/// The way back of a run: the stable revision alone, and the candidate without pods.
pub fn retreat(run: &Run, stable: &Revision, known: &Known, size: Size) -> Target {
    // Half way through a rolling replacement the stable revision may have one pod: the Service waits for the others.
    let care = if matches!(run.plan.strategy, Strategy::Rolling(_)) { Care::Full } else { Care::Escape };
    let mut target = home(stable, size, care);
    let kept = covers(run, stable, known, size);
    target.scale.entry(run.revision.clone()).or_insert(kept);
    target
}

/// The pods of a candidate that serve until the stable revision has its own again, where both are behind one Service.
fn covers(run: &Run, stable: &Revision, known: &Known, size: Size) -> u32 {
    let Strategy::Rolling(rolling) = &run.plan.strategy else { return 0 };
    let least = size.desired.saturating_sub(rolling.max_unavailable);
    least.saturating_sub(known.pods(stable).ready).min(known.pods(&run.revision).scale)
}

/// What the run asks for in the stage that it is in: the sum of the stages up to it.
pub fn of_run(run: &Run, state: &State, known: &Known, size: Size) -> Target {
    let mut target = match &state.stable {
        Some(stable) => home(stable, size, Care::Full),
        None => nothing(size),
    };
    target.preview = Some(run.revision.clone());
    target.awaited = Some(run.revision.clone());
    let mut sum = Sum { target, run, stable: state.stable.as_ref(), known, size };
    for stage in run.stages.iter().take(run.at + 1) {
        sum.add(stage);
    }
    sum.target
}

/// Nothing in particular.
pub fn nothing(size: Size) -> Target {
    Target {
        front: BTreeSet::new(),
        preview: None,
        split: Share::NONE,
        scale: BTreeMap::new(),
        enough: size.need(Share::WHOLE),
        awaited: None,
        care: Care::Full,
    }
}

struct Sum<'a> {
    target: Target,
    run: &'a Run,
    stable: Option<&'a Revision>,
    known: &'a Known,
    size: Size,
}

impl Sum<'_> {
    fn add(&mut self, stage: &Stage) {
        match stage {
            Stage::Admit | Stage::Hold { .. } | Stage::Approve | Stage::Drain(_) | Stage::Renew(_) => {}
            Stage::Prepare(share) => self.pods(self.least(*share)),
            Stage::Scale(share) => self.pods(self.least(*share).max(self.given())),
            Stage::Weight(share) => self.weight(*share),
            Stage::Roll { surge, unavailable } => self.roll(*surge, *unavailable),
            Stage::Turn => self.turn(),
            Stage::Return => self.target.split = Share::NONE,
            Stage::Retire => self.retire(),
        }
    }

    fn pods(&mut self, pods: u32) {
        // A rerun of the stable revision does not take pods from it.
        if self.stable != Some(&self.run.revision) {
            self.target.scale.insert(self.run.revision.clone(), pods);
        }
    }

    /// The pods for a share. A revision under test keeps one even without traffic: a Service selects it.
    fn least(&self, share: Share) -> u32 {
        self.size.need(share).max(self.size.any())
    }

    fn given(&self) -> u32 {
        self.target.scale.get(&self.run.revision).copied().unwrap_or_default()
    }

    fn weight(&mut self, share: Share) {
        self.pods(self.least(share));
        if self.run.plan.splits() {
            self.target.split = share;
        } else {
            self.share_front(share);
        }
    }

    /// Without a router both revisions stand behind the stable Service, and the number of pods is the share.
    fn share_front(&mut self, share: Share) {
        if share > Share::NONE {
            self.target.front.insert(self.run.revision.clone());
        }
    }

    fn roll(&mut self, surge: u32, unavailable: u32) {
        let rolling = Rolling { max_surge: surge, max_unavailable: unavailable };
        self.share_front(Share::WHOLE);
        self.target.enough = self.size.desired;
        let Some(stable) = self.stable else { return };
        let (old, new) = (self.count(stable), self.count(&self.run.revision));
        let (old, new) = rolling::pods(&rolling, self.size.desired, old, new);
        self.target.scale.insert(stable.clone(), old);
        self.target.scale.insert(self.run.revision.clone(), new);
    }

    fn count(&self, revision: &Revision) -> Count {
        let pods = self.known.pods(revision);
        Count { pods: pods.scale, ready: pods.ready }
    }

    fn turn(&mut self) {
        self.pods(self.size.desired);
        self.target.front = [self.run.revision.clone()].into();
    }

    fn retire(&mut self) {
        if let Some(stable) = self.stable.filter(|stable| **stable != self.run.revision) {
            self.target.scale.insert(stable.clone(), 0);
        }
    }
}

/// The settings that count pods for a plan.
pub fn size(plan: &Plan, desired: u32) -> Size {
    Size { desired, headroom: plan.headroom }
}
