//! The pretended cluster: what is true, and what can be seen of it.

use std::collections::{BTreeMap, BTreeSet};

use landfall::engine::{
    action::{Action, Given},
    command::Command,
    observed::{Acknowledged, Measured, Observed, Pods, Revision, Route, Seen, Service},
    share::Share,
    verdict::Measurement,
};

pub const SECOND: u64 = 1000;
/// How long a pod takes to become ready.
const START: u64 = 3 * SECOND;
/// How long a router takes to acknowledge.
const ACKNOWLEDGE: u64 = SECOND;

#[derive(Debug, Clone, Default)]
pub struct Set {
    pub scale: u32,
    /// When each pod was started.
    pub pods: Vec<u64>,
    /// Pods of it never become ready.
    pub broken: bool,
}

#[derive(Debug, Clone, Default)]
pub struct Svc {
    pub selects: BTreeSet<Revision>,
    pub version: u64,
    /// What its slices say; a tick behind the truth.
    pub endpoints: BTreeMap<Revision, u32>,
    coming: BTreeMap<Revision, u32>,
}

#[derive(Debug, Clone)]
pub struct Routes {
    pub written: Share,
    pub generation: u64,
    pub version: u64,
    written_at: u64,
    acknowledged: u64,
    /// What routed requests meet.
    pub effective: Share,
    /// How long after the acknowledgement the router follows.
    lag: u64,
}

#[derive(Debug, Clone, Default)]
pub struct World {
    pub now: u64,
    pub revisions: BTreeMap<Revision, Set>,
    pub stable: Option<Svc>,
    pub candidate: Option<Svc>,
    pub route: Option<Routes>,
    pub bad: BTreeSet<Revision>,
    pub silent_checks: bool,
    pub missing: Vec<String>,
    pub unknown_route: bool,
    pub measured: Vec<Measured>,
    pub commands: Vec<Command>,
    pub router_lag: u64,
    pub refusing: bool,
}

impl Set {
    fn ready(&self, now: u64) -> u32 {
        let ready = |born: &&u64| !self.broken && now >= **born + START;
        u32::try_from(self.pods.iter().filter(ready).count()).unwrap()
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

    pub fn observed(&self) -> Observed {
        let pods = |set: &Set| Pods { scale: set.scale, ready: set.ready(self.now), outdated: 0 };
        let sets = self.revisions.iter().map(|(revision, set)| (revision.clone(), pods(set))).collect();
        let route = self.route.as_ref().map(|route| Route {
            version: route.version,
            generation: route.generation,
            lineage: 1,
            split: route.written,
            least: route.written,
            acknowledged: match (self.refusing, route.acknowledged) {
                (true, _) => Acknowledged::Refused("no such listener".to_owned()),
                (false, 0) => Acknowledged::Silent,
                (false, generation) => Acknowledged::At(generation),
            },
        });
        Observed {
            revisions: Seen::Present(sets),
            stable: seen(self.stable.as_ref().map(service)),
            candidate: seen(self.candidate.as_ref().map(service)),
            route: if self.unknown_route { Seen::Unknown("the API server is silent".to_owned()) } else { seen(route) },
            missing: Seen::Present(self.missing.clone()),
            trouble: None,
            measured: self.measured.clone(),
            commands: self.commands.clone(),
        }
    }

    /// Whether what a decision rested on still holds.
    pub fn holds(&self, given: &Given) -> bool {
        given.route == self.route.as_ref().map(|route| route.version)
            && given.stable == self.stable.as_ref().map(|service| service.version)
            && given.candidate == self.candidate.as_ref().map(|service| service.version)
    }

    pub fn apply(&mut self, action: &Action, key: &str, run: Option<&Revision>) {
        match action {
            Action::Create(revision, pods) => {
                if !self.revisions.contains_key(revision) {
                    self.revisions.insert(revision.clone(), Set::default());
                    self.scale(revision, *pods);
                }
            }
            Action::Scale { revision, to, .. } => self.scale(revision, *to),
            Action::Delete(revision) => drop(self.revisions.remove(revision)),
            Action::Front { to, .. } => select(&mut self.stable, to.clone()),
            Action::Preview { to, .. } => select(&mut self.candidate, [to.clone()].into()),
            Action::Weigh { to, .. } => self.weigh(*to),
            Action::Renew(revision, _) => drop(self.revisions.get(revision)),
            Action::Measure(_) => self.measure(key, run),
        }
    }

    fn scale(&mut self, revision: &Revision, pods: u32) {
        let now = self.now;
        let Some(set) = self.revisions.get_mut(revision) else { return };
        set.scale = pods;
        set.pods.resize(pods as usize, now);
    }

    fn weigh(&mut self, share: Share) {
        let (lag, now) = (self.router_lag, self.now);
        match &mut self.route {
            Some(route) if route.written == share => {}
            Some(route) => {
                route.written = share;
                route.generation += 1;
                route.version += 1;
                route.written_at = now;
                route.lag = lag;
            }
            None => {
                let (written_at, effective) = (now, share);
                let fresh =
                    Routes { written: share, generation: 1, version: 1, written_at, acknowledged: 0, effective, lag };
                self.route = Some(fresh);
            }
        }
    }

    fn measure(&mut self, key: &str, run: Option<&Revision>) {
        if self.measured.iter().any(|measured| measured.key == key) {
            return;
        }
        let result = match run {
            _ if self.silent_checks => Measurement::NoData,
            Some(revision) if self.bad.contains(revision) => Measurement::Failure("status 500".to_owned()),
            _ => Measurement::Success,
        };
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
        self.route.as_ref().map_or_else(Vec::new, |route| vec![route.effective, route.written])
    }
}

fn seen<T>(value: Option<T>) -> Seen<T> {
    value.map_or(Seen::Absent, Seen::Present)
}

fn service(service: &Svc) -> Service {
    Service { selects: service.selects.clone(), endpoints: service.endpoints.clone(), version: service.version }
}

fn select(service: &mut Option<Svc>, to: BTreeSet<Revision>) {
    let service = service.get_or_insert_default();
    service.selects = to;
    service.version += 1;
}
