//! A pretended repository, cluster and process around the engine of a source.
//!
//! What the process does beside its looks takes a tick per object, so that it can be killed, refused or overtaken at every
//! point. What it stores and what it remembers is kept as the operator keeps it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use landfall::{
    api::{
        condition::ConditionReason,
        source::{self, Commit, Reverted, Source, SourcePhase, SourceStatus, SyncFailure},
    },
    engine::moment::Moment,
    gitops::{
        inventory::{Inventory, Stored},
        object::{Id, Manifest, digest},
        plan::Plan,
        revert::{NOTHING_DIFFERS, Pushed, Setback, TIP_MOVED},
        sync::{Drops, Found, InForce, Known, Pushes, Seen, Stage, State, Step, Suspects, Tip, Trouble, step},
    },
    simulation::random::Random,
};
use serde_json::json;

use super::{laws::Laws, work::Work};

/// The length of a tick, in milliseconds.
pub const TICK: u64 = 500;
/// How long a step may last before its name is stored although nothing rests on it.
const SILENCE: u64 = 1000;
/// The most looks between two ticks.
const LOOKS_MAX: usize = 12;

/// What becomes of a commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Verdict {
    #[default]
    Fine,
    /// It cannot be read.
    Unreadable,
    /// The API server would not take it.
    Refused,
    /// The API server says it would take it, and refuses the last object of it then.
    RefusedLate,
}

/// A commit: names of objects with their values, and how long they take to become healthy.
#[derive(Debug, Clone, Default)]
pub struct Content {
    pub objects: BTreeMap<String, String>,
    pub verdict: Verdict,
    /// In milliseconds; none: never.
    pub healthy_after: Option<u64>,
    /// How a rollout of it ends, where it ends badly.
    pub rolled_back: Option<&'static str>,
}

pub fn content(objects: &[(&str, &str)]) -> Content {
    let objects = objects.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Content { objects, healthy_after: Some(0), ..Content::default() }
}

pub fn id(name: &str) -> Id {
    let (api_version, kind) = if name.starts_with('a') { ("v1", "ConfigMap") } else { ("apps/v1", "Deployment") };
    Id { api_version: api_version.into(), kind: kind.into(), namespace: Some("shop".into()), name: name.into() }
}

impl Content {
    pub fn manifests(&self) -> Vec<Manifest> {
        let one = |(name, value): (&String, &String)| {
            let id = id(name);
            let object = json!({"apiVersion": id.api_version, "kind": id.kind, "metadata": {"name": name}, "v": value});
            Manifest::new(id, object, "a.yaml".into(), 1)
        };
        self.objects.iter().map(one).collect()
    }
}

/// Whose an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Source,
    Somebody,
}

/// An object in the cluster.
#[derive(Debug, Clone)]
pub struct Live {
    pub uid: String,
    pub digest: String,
    pub healthy_at: Option<u64>,
    pub owner: Owner,
    /// Whether somebody wrote after the source did.
    pub touched: bool,
}

/// A commit that was read, with what is to be done.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    pub commit: String,
    pub content: Content,
    pub manifests: Vec<Manifest>,
    pub plan: Plan,
    pub inventory: Inventory,
}

/// What ends with the process.
#[derive(Default)]
pub struct Process {
    pub state: State,
    pub status: Option<SourceStatus>,
    pub tip: Tip,
    /// The request that the repository was looked at for.
    pub looked_for: Option<String>,
    pub untold: Option<u64>,
    pub work: Option<Work>,
    pub delivered: Option<Found>,
    pub fresh: Loaded,
    pub loaded: Option<Loaded>,
    pub touched: BTreeSet<Id>,
    pub wake: Option<u64>,
    /// A revert that is on its way to the repository.
    pub push: Option<Reverted>,
    pub pushed: Option<Pushed>,
}

/// What somebody does to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    Changed,
    Deleted,
}

/// How likely things go wrong, in percent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    pub conflict: u64,
    pub unreached: u64,
    pub slow: u64,
}

pub struct World {
    pub now: u64,
    pub random: Random,
    pub faults: Faults,
    pub commits: BTreeMap<String, Content>,
    pub tip: String,
    pub silent: bool,
    /// Commits that the repository does not give any more.
    pub gone: BTreeSet<String>,
    /// Branches but the one that is followed.
    pub branches: BTreeMap<String, String>,
    /// What each revert in the repository undoes.
    pub reverts: BTreeMap<String, String>,
    /// What the server says to a push, where it refuses one.
    pub refusal: Option<Setback>,
    pub cluster: BTreeMap<Id, Live>,
    pub source: Source,
    pub blocked: bool,
    pub request: Option<String>,
    /// As it is stored.
    pub status: SourceStatus,
    pub process: Process,
    pub laws: Laws,
    pub story: VecDeque<String>,
    pub stores: usize,
    uids: u64,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let source = serde_json::from_value(json!({"git": {"url": "https://git.test/shop"}, "prune": true})).unwrap();
        Self {
            now: 1_700_000_000_000,
            random: Random::new(seed),
            faults: Faults::default(),
            commits: BTreeMap::new(),
            tip: String::new(),
            silent: false,
            gone: BTreeSet::new(),
            branches: BTreeMap::new(),
            reverts: BTreeMap::new(),
            refusal: None,
            cluster: BTreeMap::new(),
            source,
            blocked: false,
            request: None,
            status: SourceStatus::default(),
            process: Process::default(),
            laws: Laws::default(),
            story: VecDeque::new(),
            stores: 0,
            uids: 0,
        }
    }

    pub fn tell(&mut self, what: impl Into<String>) {
        self.story.push_back(format!("{} {}", self.now % 10_000_000, what.into()));
        if self.story.len() > 60 {
            self.story.pop_front();
        }
    }

    pub fn told(&self) -> String {
        self.story.iter().cloned().collect::<Vec<_>>().join("\n")
    }

    pub fn uid(&mut self) -> String {
        self.uids += 1;
        format!("u{}", self.uids)
    }

    /// A newer commit. It is known as `c1`, `c2` and so on.
    pub fn push(&mut self, content: Content) -> String {
        let commit = format!("c{}", self.commits.len() + 1);
        self.tell(format!("push {commit} {content:?}"));
        self.commits.insert(commit.clone(), content);
        self.tip.clone_from(&commit);
        commit
    }

    /// What decides, beside the files.
    pub fn settings(&self) -> String {
        format!("{} {}", self.source.prune, self.source.allow_empty)
    }

    pub fn kill(&mut self) {
        self.tell("killed");
        self.process = Process { wake: Some(self.now), ..Process::default() };
    }

    /// Whether something goes wrong this time.
    pub fn goes_wrong(&mut self, chance: u64) -> bool {
        self.random.percent(chance)
    }

    /// A while passes: the repository is looked at, what is under way goes on, and the process looks as often as it is woken.
    pub fn tick(&mut self) {
        self.now += TICK;
        self.look_at_repository();
        self.go_on();
        self.arrive();
        let mut looks = 0;
        while self.is_woken() {
            looks += 1;
            assert!(looks < LOOKS_MAX, "it looks again and again: {:?}", self.process.state);
            self.process.wake = None;
            self.look();
        }
        Laws::at_a_tick(self);
    }

    fn is_woken(&self) -> bool {
        self.process.delivered.is_some()
            || self.process.pushed.is_some()
            || self.process.wake.is_some_and(|at| at <= self.now)
    }

    fn look_at_repository(&mut self) {
        if self.goes_wrong(self.faults.slow) {
            return;
        }
        let tip = match self.silent {
            true => Tip::Failed(trouble(ConditionReason::FetchFailed)),
            false if self.tip.is_empty() => Tip::Unseen,
            false => Tip::At(self.tip.clone()),
        };
        if self.process.tip != tip || self.process.looked_for != self.request {
            self.process.looked_for.clone_from(&self.request);
            self.process.tip = tip;
            self.process.wake = Some(self.now);
        }
    }

    /// One look, as the operator makes it.
    fn look(&mut self) {
        let before = self.process.status.clone().unwrap_or_else(|| self.status.clone());
        let tip = if self.source.suspend { Tip::Unseen } else { self.process.tip.clone() };
        let looked = self.request.is_some() && (self.process.looked_for == self.request || self.source.suspend);
        let request = if looked { self.request.clone() } else { before.handled_request.clone() };
        let (found, pushed) = (self.process.delivered.take(), self.process.pushed.take());
        let touched = self.process.loaded.is_some() && !self.process.touched.is_empty();
        let suspects = if touched { Suspects::Some } else { Suspects::None };
        let settings = self.settings();
        let seen = Seen {
            source: &self.source,
            status: &before,
            now: Moment(self.now),
            tip: &tip,
            settings: &settings,
            request: request.as_deref(),
            blocked: self.blocked.then(|| trouble(ConditionReason::DependencyNotReady)),
            known: if self.process.loaded.is_some() { Known::InForce } else { Known::Nothing },
            suspects,
            found: found.clone(),
            pushed: pushed.clone(),
        };
        let step = step(self.process.state.clone(), &seen);
        let silence = self.process.untold.map_or(0, |since| self.now - since);
        let urgent = step.is_urgent(&self.status) || silence >= SILENCE;
        if step.status == self.status {
            self.process.untold = None;
        } else if self.process.untold.is_none() {
            self.process.untold = Some(self.now);
        }
        if urgent && step.status != self.status {
            if self.goes_wrong(self.faults.conflict) {
                self.tell("the status is not stored");
                (self.process.delivered, self.process.pushed) = (found, pushed);
                self.process.wake = Some(self.now + TICK);
                return;
            }
            self.status = step.status.clone();
            (self.process.untold, self.stores) = (None, self.stores + 1);
        }
        Laws::at_a_step(self, &step, found.as_ref());
        self.done((step, urgent));
    }

    fn done(&mut self, (step, urgent): (Step, bool)) {
        let untold = (step.status != self.status && !urgent).then_some(self.now + SILENCE);
        let next = step.next.map(|next| self.now + u64::try_from(next.as_millis()).unwrap());
        self.process.wake = [self.process.wake, next, untold].into_iter().flatten().min();
        if step.drops == Drops::Work {
            self.drop_work();
        }
        if step.in_force == InForce::Fresh {
            self.want();
        }
        (self.process.state, self.process.status) = (step.state, Some(step.status));
        if let Some(action) = step.action {
            self.begin(action);
        }
        if step.pushes == Pushes::Revert {
            Laws::at_a_push(self);
            self.process.push.clone_from(&self.status.revert);
        }
    }

    /// What is being pushed arrives, or is refused. A push that is cut off may have arrived all the same.
    fn arrive(&mut self) {
        if self.process.push.is_none() || self.goes_wrong(self.faults.slow) {
            return;
        }
        let Some(revert) = self.process.push.take() else { return };
        let pushed = self.receive(&revert);
        self.tell(format!("push of {} to {}: {pushed:?}", revert.of, revert.branch));
        let cut = self.goes_wrong(self.faults.unreached);
        self.process.pushed = Some(if cut { Pushed::Not(unreached()) } else { pushed });
    }

    fn receive(&mut self, revert: &Reverted) -> Pushed {
        let Reverted { of, to, branch, .. } = revert.clone();
        let head = if branch == "main" { Some(&self.tip) } else { self.branches.get(&branch) };
        if let Some(head) = head.filter(|head| self.reverts.get(*head) == Some(&of)) {
            return Pushed::Done(head.clone());
        }
        if let Some(refusal) = &self.refusal {
            return Pushed::Not(refusal.clone());
        }
        if self.tip != of {
            return Pushed::Not(Setback { reason: TIP_MOVED, message: "moved".into() });
        }
        if self.commits[&to].objects == self.commits[&of].objects {
            return Pushed::Not(Setback { reason: NOTHING_DIFFERS, message: "the same".into() });
        }
        let before = self.tip.clone();
        let commit = self.push(self.commits[&to].clone());
        if branch != "main" {
            self.branches.insert(branch, commit.clone());
            self.tip = before;
        }
        Laws::at_a_revert(self, &of);
        self.reverts.insert(commit.clone(), of);
        Pushed::Done(commit)
    }

    /// The commit that was read last is the one that everything is compared with.
    fn want(&mut self) {
        let loaded = self.process.fresh.clone();
        let differs = |manifest: &&Manifest| self.cluster.get(&manifest.id).is_none_or(|live| live.touched);
        self.process.touched = loaded.manifests.iter().filter(differs).map(|manifest| manifest.id.clone()).collect();
        if !self.process.touched.is_empty() {
            self.process.wake = Some(self.now + TICK);
        }
        self.process.loaded = Some(loaded);
    }

    /// Somebody else changes or deletes an object.
    pub fn meddle(&mut self, name: &str, harm: Harm) {
        let id = id(name);
        let Some(live) = self.cluster.get_mut(&id).filter(|live| live.owner == Owner::Source) else { return };
        if harm == Harm::Deleted {
            self.cluster.remove(&id);
        } else {
            (live.digest, live.touched) = ("another".to_owned(), true);
        }
        self.tell(format!("somebody touches {name}: {harm:?}"));
        let wanted = |loaded: &Loaded| loaded.manifests.iter().any(|manifest| manifest.id == id);
        if self.process.loaded.as_ref().is_some_and(wanted) {
            self.process.touched.insert(id);
            self.process.wake = Some(self.now);
        }
    }

    /// Somebody deletes an object and makes one of the same name.
    pub fn take_over(&mut self, name: &str) {
        let uid = self.uid();
        let live = Live { uid, digest: "theirs".into(), healthy_at: Some(0), owner: Owner::Somebody, touched: false };
        self.cluster.insert(id(name), live);
        self.tell(format!("somebody takes {name}"));
    }

    /// The spec or an annotation changed.
    pub fn edit(&mut self, change: impl FnOnce(&mut Self)) {
        change(self);
        let World { source, blocked, request, .. } = self;
        let told = format!("suspend {} prune {} blocked {blocked} request {request:?}", source.suspend, source.prune);
        self.tell(told);
        self.process.wake = Some(self.now);
    }

    /// Lets time pass until something is so.
    pub fn until(&mut self, what: &str, is: impl Fn(&Self) -> bool) {
        for _ in 0..4000 {
            self.tick();
            if is(self) {
                return;
            }
        }
        panic!("never {what}: {:?}\n{:#?}\n{}", self.process.state, self.status, self.told());
    }

    pub fn is_in_force(&self, commit: &str) -> bool {
        let applied = self.status.applied.as_ref().is_some_and(|applied| applied.id == commit);
        applied && self.status.phase == Some(SourcePhase::Synced) && self.process.state.stage == Stage::Idle
    }

    /// The objects of the source, with their digests.
    pub fn own(&self) -> BTreeMap<Id, String> {
        let own = self.cluster.iter().filter(|(_, live)| live.owner == Owner::Source);
        own.map(|(id, live)| (id.clone(), live.digest.clone())).collect()
    }
}

pub fn wanted(content: &Content) -> BTreeMap<Id, String> {
    content.manifests().into_iter().map(|manifest| (manifest.id, manifest.digest)).collect()
}

pub fn unreached() -> Setback {
    Setback { reason: "FetchFailed", message: "no answer".into() }
}

pub fn trouble(reason: ConditionReason) -> Trouble {
    Trouble { reason, message: "no answer".into() }
}

pub fn failure(object: &str) -> SyncFailure {
    SyncFailure {
        object: Some(object.into()),
        reason: "Invalid".into(),
        message: "no".into(),
        ..SyncFailure::default()
    }
}

pub fn commit(id: &str) -> Commit {
    Commit { id: id.into(), ..Commit::default() }
}

/// The inventory of a status.
pub fn read(inventory: &source::Inventory) -> Inventory {
    Inventory::read(inventory.entries.iter().map(String::as_str)).unwrap()
}

pub fn shown(inventory: &Inventory) -> source::Inventory {
    let Stored::Entries(entries) = inventory.store() else { panic!("too many for a status") };
    source::Inventory { count: i32::try_from(entries.len()).unwrap(), entries, config_maps: Vec::new() }
}

/// The digest of everything that was read.
pub fn digest_of(content: &Content, settings: &str) -> String {
    digest(&json!([content.objects, settings]))
}
