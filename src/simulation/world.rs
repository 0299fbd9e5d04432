//! The pretended cluster: what is true, and what can be seen of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{
    action::{Action, Given},
    command::Command,
    moment::Moment,
    observed::{Acknowledged, Measured, Observed, Pods, Revision, Route, Seen, Service},
    share::Share,
    verdict::Measurement,
};

/// A second, in the unit of moments.
pub const SECOND: u64 = 1000;
/// How long a pod takes to become ready.
const START: u64 = 3 * SECOND;
/// How many measurements are kept.
const MEASURED: usize = 16;
/// How long a router takes to acknowledge.
const ACKNOWLEDGE: u64 = SECOND;

/// The pods of one revision.
#[derive(Debug, Clone, Default)]
pub struct Set {
    /// How many are asked for.
    pub scale: u32,
    /// When each pod was started.
    pub pods: Vec<u64>,
    /// Pods of it never become ready.
    pub broken: bool,
    /// A part of it is gone.
    pub torn: bool,
}

/// One Service.
#[derive(Debug, Clone, Default)]
pub struct Svc {
    /// What its selector matches.
    pub selects: BTreeSet<Revision>,
    /// One of those that it stands for selects nothing.
    pub partial: bool,
    /// The version of the object.
    pub version: u64,
    /// What its slices say; a tick behind the truth.
    pub endpoints: BTreeMap<Revision, u32>,
    coming: BTreeMap<Revision, u32>,
}

/// Two routes, which carry their weights together.
#[derive(Debug, Clone)]
pub struct Routes {
    /// What each says.
    pub written: [Share; 2],
    /// What routed requests meet in each.
    pub effective: [Share; 2],
    /// Counts how often routes were made.
    pub lineage: u64,
    generation: u64,
    version: u64,
    written_at: u64,
    acknowledged: u64,
    /// How long after the acknowledgement the routers follow.
    lag: u64,
}

/// All that is true.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is one thing that can be wrong with the world")]
pub struct World {
    /// What time it is.
    pub now: u64,
    /// The revisions that exist.
    pub revisions: BTreeMap<Revision, Set>,
    /// The Service that clients know.
    pub stable: Option<Svc>,
    /// The Service of the revision under test.
    pub candidate: Option<Svc>,
    /// The routes.
    pub route: Option<Routes>,
    /// Revisions whose checks fail.
    pub bad: BTreeSet<Revision>,
    /// Revisions whose pods crash.
    pub crashing: BTreeSet<Revision>,
    /// What is asked by checks has nothing to say.
    pub silent: bool,
    /// What the package depends on and is not there.
    pub missing: Vec<String>,
    /// The routes cannot be read.
    pub unknown_route: bool,
    /// What was measured.
    pub measured: Vec<Measured>,
    /// The commands on the object.
    pub commands: Vec<Command>,
    /// How late routers follow the next write.
    pub router_lag: u64,
    /// The routers refuse the routes.
    pub refusing: bool,
    /// Somebody else wrote the routes.
    pub meddled: bool,
    lineages: u64,
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

impl Set {
    /// How many of them are ready.
    pub fn ready(&self, now: u64) -> u32 {
        let ready = |born: &&u64| !self.broken && !self.torn && now >= **born + START;
        count(self.pods.iter().filter(ready))
    }
}

impl World {
    /// A second passes.
    pub fn tick(&mut self) {
        self.now += SECOND;
        let ready: BTreeMap<Revision, u32> =
            self.revisions.iter().map(|(revision, set)| (revision.clone(), set.ready(self.now))).collect();
        for service in [&mut self.stable, &mut self.candidate].into_iter().flatten() {
            service.endpoints = std::mem::take(&mut service.coming);
            let selected = ready.iter().filter(|(revision, ready)| service.selects.contains(*revision) && **ready > 0);
            service.coming = selected.map(|(revision, ready)| (revision.clone(), *ready)).collect();
            // A pod that is gone is gone at once: slices keep no more endpoints than there are pods.
            for (revision, count) in &mut service.endpoints {
                *count = (*count).min(ready.get(revision).copied().unwrap_or_default());
            }
        }
        self.follow();
    }

    fn follow(&mut self) {
        let Some(route) = &mut self.route else { return };
        if !self.refusing && self.now >= route.written_at + ACKNOWLEDGE {
            route.acknowledged = route.generation;
        }
        if route.acknowledged == route.generation && self.now >= route.written_at + ACKNOWLEDGE + route.lag {
            route.effective = route.written;
        }
    }

    /// What can be seen by somebody who replaces this revision's pods of before this moment, and tries this candidate.
    pub fn observed(&self, renewed: Option<(&Revision, Moment)>, candidate: Option<&Revision>) -> Observed {
        let outdated = |revision: &Revision, set: &Set| match renewed {
            Some((name, before)) if name == revision => count(set.pods.iter().filter(|born| **born < before.0)),
            _ => 0,
        };
        let pods = |revision: &Revision, set: &Set| Pods {
            scale: set.scale,
            ready: set.ready(self.now),
            outdated: outdated(revision, set),
            partial: set.torn,
        };
        let sets = self.revisions.iter().map(|(revision, set)| (revision.clone(), pods(revision, set))).collect();
        let crashes = candidate.filter(|revision| self.crashing.contains(*revision));
        let crashes = crashes.filter(|revision| self.revisions.get(*revision).is_some_and(|set| set.scale > 0));
        let route = seen(self.route.as_ref().map(|route| self.see(route)));
        Observed {
            revisions: Seen::Present(sets),
            stable: seen(self.stable.as_ref().map(service)),
            candidate: seen(self.candidate.as_ref().map(service)),
            route: if self.unknown_route { Seen::Unknown("the API server is silent".to_owned()) } else { route },
            missing: Seen::Present(self.missing.clone()),
            trouble: crashes.map(|revision| format!("the pods of revision {revision} crash again and again")),
            measured: self.measured.clone(),
            commands: self.commands.clone(),
        }
    }

    fn see(&self, route: &Routes) -> Route {
        let [first, second] = route.written;
        Route {
            version: route.version,
            generation: route.generation,
            lineage: route.lineage,
            split: first.max(second),
            least: first.min(second),
            acknowledged: match (self.refusing, route.acknowledged) {
                (true, _) => Acknowledged::Refused("no such listener".to_owned()),
                (false, 0) => Acknowledged::Silent,
                (false, generation) => Acknowledged::At(generation),
            },
        }
    }

    /// Whether what a decision rested on still holds.
    pub fn holds(&self, given: &Given) -> bool {
        given.route == self.route.as_ref().map(|route| route.version)
            && given.stable == self.stable.as_ref().map(|service| service.version)
            && given.candidate == self.candidate.as_ref().map(|service| service.version)
    }

    /// Carries an action out; `key` and `run` are for measurements.
    pub fn apply(&mut self, action: &Action, key: &str, run: Option<&Revision>) {
        match action {
            Action::Create(revision, pods) => {
                // What is there stays as it is, and what is missing of it is made.
                if let Some(set) = self.revisions.get_mut(revision) {
                    set.torn = false;
                } else {
                    self.revisions.insert(revision.clone(), Set::default());
                    self.scale(revision, *pods);
                }
            }
            Action::Scale { revision, to, .. } => self.scale(revision, *to),
            Action::Delete(revision) => drop(self.revisions.remove(revision)),
            Action::Front { to, .. } => select(&mut self.stable, to.clone()),
            Action::Preview { to, .. } => select(&mut self.candidate, [to.clone()].into()),
            Action::Weigh { to, .. } => self.weigh([*to, *to]),
            Action::Renew(revision, before) => self.renew(revision, *before),
            Action::Measure(_) => self.measure(key, run),
        }
    }

    fn scale(&mut self, revision: &Revision, pods: u32) {
        let now = self.now;
        let Some(set) = self.revisions.get_mut(revision) else { return };
        set.scale = pods;
        set.pods.resize(pods as usize, now);
    }

    /// One pod at a time, and only while all the others are ready.
    fn renew(&mut self, revision: &Revision, before: Moment) {
        let now = self.now;
        let Some(set) = self.revisions.get_mut(revision) else { return };
        if set.ready(now) == set.scale
            && let Some(old) = set.pods.iter_mut().find(|born| **born < before.0)
        {
            *old = now;
        }
    }

    /// Writes the shares of both routes.
    pub fn weigh(&mut self, shares: [Share; 2]) {
        let (lag, now) = (self.router_lag, self.now);
        match &mut self.route {
            Some(route) if route.written == shares => {}
            Some(route) => {
                route.written = shares;
                route.generation += 1;
                route.version += 1;
                route.written_at = now;
                route.lag = lag;
            }
            None => self.make(shares),
        }
    }

    /// A write of a weight that was cut off between the two routes.
    pub fn weigh_half(&mut self, share: Share) {
        if let Some([_, second]) = self.route.as_ref().map(|route| route.written) {
            self.weigh([share, second]);
        }
    }

    /// Routes that were not there before, whatever was.
    pub fn make(&mut self, shares: [Share; 2]) {
        self.lineages += 1;
        self.route = Some(Routes {
            written: shares,
            effective: shares,
            lineage: self.lineages,
            generation: 1,
            version: self.lineages << 32 | 1,
            written_at: self.now,
            acknowledged: 0,
            lag: self.router_lag,
        });
    }

    /// Whether the state of the world is the one that an action starts from.
    pub fn allows(&self, action: &Action) -> bool {
        match action {
            Action::Scale { revision, from, .. } => self.revisions.get(revision).is_some_and(|set| set.scale == *from),
            _ => true,
        }
    }

    fn measure(&mut self, key: &str, run: Option<&Revision>) {
        if self.measured.iter().any(|measured| measured.key == key) {
            return;
        }
        let result = match run {
            _ if self.silent => Measurement::NoData,
            Some(revision) if self.bad.contains(revision) => Measurement::Failure("status 500".to_owned()),
            _ => Measurement::Success,
        };
        if self.measured.len() >= MEASURED {
            self.measured.remove(0);
        }
        self.measured.push(Measured { key: key.to_owned(), result });
    }

    /// All pods of a revision start anew.
    pub fn lose(&mut self, revision: &Revision) {
        let now = self.now;
        let Some(set) = self.revisions.get_mut(revision) else { return };
        set.pods.fill(now);
        for service in [&mut self.stable, &mut self.candidate].into_iter().flatten() {
            service.endpoints.remove(revision);
            service.coming.remove(revision);
        }
    }

    /// The shares that the router may have in force: what it does, and what it was told to do.
    pub fn splits(&self) -> Vec<Share> {
        self.route.as_ref().map_or_else(Vec::new, |route| [route.effective, route.written].concat())
    }
}

fn seen<T>(value: Option<T>) -> Seen<T> {
    value.map_or(Seen::Absent, Seen::Present)
}

fn service(service: &Svc) -> Service {
    // Where it selects nothing there are no endpoints, and there have to be some in each.
    let endpoints = if service.partial { BTreeMap::new() } else { service.endpoints.clone() };
    Service { selects: service.selects.clone(), endpoints, partial: service.partial, version: service.version }
}

fn select(service: &mut Option<Svc>, to: BTreeSet<Revision>) {
    let service = service.get_or_insert_default();
    service.selects = to;
    service.partial = false;
    service.version += 1;
}
