//! From what is in the store to what the engine sees. It decides nothing: it counts, and says what it could not see.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use super::store::{
    Owned, Part, Store,
    view::{JobEnd, ReplicaSetView, ServiceView},
};
use crate::{
    api::Role,
    engine::{
        observed::{Pods, Revision, Route, Seen, Service},
        share::Share,
    },
    kinds::workload::objects::candidate_name,
    rollout::record::Rendered,
    traffic::{
        Pair,
        acknowledge::{Controller, acknowledged},
        backend::services_of,
        combine::{Member as RouteMember, combine},
        endpoints::{Slice, by_revision},
        parent::ParentKey,
        read::written,
        service::{Member, combine_services, selects, virtual_service},
    },
};

/// The part of the world that a Deployment's decisions rest on.
#[derive(Debug, Clone, PartialEq)]
pub struct Sight {
    /// The revisions.
    pub revisions: Seen<BTreeMap<Revision, Pods>>,
    /// The Service that clients know.
    pub stable: Seen<Service>,
    /// The Service of the revision under test.
    pub candidate: Seen<Service>,
    /// The routes.
    pub route: Seen<Route>,
    /// What Jobs keep a revision from being ready, by revision.
    pub jobs: BTreeMap<Revision, Vec<(String, JobEnd)>>,
}

impl Sight {
    /// Why a Job fails its revision; none where none does.
    pub fn failed_job(&self) -> Option<String> {
        self.jobs.values().flatten().find_map(|(name, end)| match end {
            JobEnd::Failed(why) => Some(format!("Job {name} failed: {why}")),
            JobEnd::Open | JobEnd::Complete => None,
        })
    }
}

/// What cannot be seen in the store.
#[derive(Debug, Clone, Copy)]
pub struct Beside<'a> {
    /// The namespace that is looked at.
    pub namespace: &'a str,
    /// What the Service of a package without Services would select; none where the package has Services.
    pub front: Option<&'a BTreeSet<Revision>>,
    /// The revision of the run under way.
    pub candidate: Option<&'a Revision>,
    /// The stable revision: its Jobs are over and done with.
    pub stable: Option<&'a Revision>,
    /// What was rendered last: how many Services a revision has.
    pub rendered: Option<&'a Rendered>,
    /// Who looks after the parents of the routes.
    pub controllers: &'a BTreeMap<ParentKey, Controller>,
}

/// Looks.
pub fn see(store: &Store, owned: &Owned, beside: Beside<'_>, now: Instant) -> Sight {
    let namespace = beside.namespace;
    let trust = |parts: &[Part]| parts.iter().find_map(|part| store.trusted(*part, namespace, now).err());
    let jobs = open_jobs(owned, beside.stable);
    let pods = pods(owned, &jobs);
    let sets: Vec<(String, Revision)> =
        owned.replica_sets.values().map(|set| (set.name.to_string(), set.revision.clone())).collect();
    let service =
        |role| services(owned, role, &pods, &sets).map(|service| whole(owned, role, beside.rendered, service));
    let (front, preview) = pretended(beside, &pods);
    let stable = service(Role::Stable).or(front);
    let candidate = service(Role::Candidate).or(preview);
    Sight {
        stable: seen(trust(&[Part::Services, Part::Slices]), stable),
        candidate: seen(trust(&[Part::Services, Part::Slices]), candidate),
        route: seen(trust(&[Part::HttpRoutes, Part::GrpcRoutes]), route(owned, beside.controllers)),
        revisions: seen(trust(&[Part::ReplicaSets, Part::Jobs]), Some(pods)),
        jobs,
    }
}

/// The Services that a package without any is taken to have: they select what they are to select, so that nothing is left
/// to be done about them, while a run is under way and between two.
fn pretended(beside: Beside<'_>, pods: &BTreeMap<Revision, Pods>) -> (Option<Service>, Option<Service>) {
    let Some(front) = beside.front else { return (None, None) };
    let preview = beside.candidate.or(beside.stable).map(|only| BTreeSet::from([only.clone()]));
    (Some(virtual_service(front, pods)), preview.map(|only| virtual_service(&only, pods)))
}

fn seen<T>(distrust: Option<String>, value: Option<T>) -> Seen<T> {
    match (distrust, value) {
        (Some(cause), _) => Seen::Unknown(cause),
        (None, Some(value)) => Seen::Present(value),
        (None, None) => Seen::Absent,
    }
}

/// The pods of every revision of which anything is there. One of which a part is missing has none that are ready.
fn pods(owned: &Owned, jobs: &BTreeMap<Revision, Vec<(String, JobEnd)>>) -> BTreeMap<Revision, Pods> {
    let mut sets: BTreeMap<&Revision, Vec<&ReplicaSetView>> = BTreeMap::new();
    for set in owned.replica_sets.values() {
        sets.entry(&set.revision).or_default().push(set);
    }
    sets.into_iter()
        .map(|(revision, sets)| {
            let pods = together(&sets);
            let partial = sets.iter().any(|set| set.siblings > sets.len());
            let ready = if partial || jobs.contains_key(revision) { 0 } else { pods.ready };
            (revision.clone(), Pods { ready, partial, ..pods })
        })
        .collect()
}

/// Several workloads count in units of the largest: as many as all of them have the pods for.
fn together(sets: &[&ReplicaSetView]) -> Pods {
    let desired = sets.iter().map(|set| set.base).max().unwrap_or(1).max(1);
    let units = |pods: u32, base: u32| {
        let units = u64::from(pods) * u64::from(desired) / u64::from(base.max(1));
        u32::try_from(units).unwrap_or(u32::MAX)
    };
    let counted: Vec<_> = sets.iter().filter(|set| set.base > 0).collect();
    let least = |of: fn(&ReplicaSetView) -> u32| counted.iter().map(|set| units(of(set), set.base)).min().unwrap_or(0);
    let scale = least(|set| set.replicas);
    // Whatever restart begins now, they are all older than it.
    let outdated = sets.iter().map(|set| set.pods).fold(0, u32::saturating_add);
    // Pods of one workload that should have none: they are there to be taken.
    let some = counted.iter().any(|set| set.replicas > 0);
    let scale = if scale == 0 { u32::from(some) } else { scale };
    Pods { scale, ready: least(|set| set.ready), outdated, partial: false }
}

fn open_jobs(owned: &Owned, stable: Option<&Revision>) -> BTreeMap<Revision, Vec<(String, JobEnd)>> {
    let mut open: BTreeMap<Revision, Vec<(String, JobEnd)>> = BTreeMap::new();
    let jobs = owned.jobs.values().filter(|job| job.end != JobEnd::Complete && Some(&job.revision) != stable);
    for job in jobs {
        open.entry(job.revision.clone()).or_default().push((job.name.to_string(), job.end.clone()));
    }
    open
}

fn services(
    owned: &Owned,
    role: Role,
    pods: &BTreeMap<Revision, Pods>,
    sets: &[(String, Revision)],
) -> Option<Service> {
    let member = |service: &ServiceView| {
        let slices: Vec<Slice> = owned
            .slices
            .values()
            .filter(|slice| slice.service == service.name)
            .map(|slice| slice.serving.clone())
            .collect();
        Member {
            name: service.name.to_string(),
            resource_version: service.version.to_string(),
            selects: selects(&service.selector, pods),
            endpoints: by_revision(&slices, sets),
        }
    };
    let all = || owned.services.values().filter(|service| service.role == role);
    let named: BTreeSet<&str> = owned.routes.iter().flat_map(|route| services_of(&route.object)).collect();
    // Nobody waits for endpoints of a Service that a revision does not have, unless a route still sends requests there.
    let is_left =
        |service: &ServiceView| service.is_left_over() && (role == Role::Stable || !named.contains(&*service.name));
    let members: Vec<Member> = all().filter(|service| !is_left(service)).map(|service| member(service)).collect();
    let mut together = combine_services(&members)?;
    for left in all().filter(|service| is_left(service)).map(|service| member(service)) {
        for (revision, ready) in left.endpoints.into_iter().filter(|(it, _)| !together.selects.contains(it)) {
            let most = together.endpoints.entry(revision).or_default();
            *most = ready.max(*most);
        }
    }
    Some(together)
}

/// A revision of which a Service is not there has not got all of its turn.
fn whole(owned: &Owned, role: Role, rendered: Option<&Rendered>, service: Service) -> Service {
    let all = || owned.services.values().filter(|service| service.role == role);
    let there = all().filter(|service| !service.is_left_over()).count();
    let lacks = |rendered: &Rendered| service.selects.iter().eq([&rendered.revision]) && there < rendered.services;
    if !rendered.is_some_and(lacks) {
        return service;
    }
    Service { endpoints: BTreeMap::new(), partial: true, ..service }
}

fn route(owned: &Owned, controllers: &BTreeMap<ParentKey, Controller>) -> Option<Route> {
    let stable = owned.services.values().filter(|service| service.role == Role::Stable);
    let pairs: Vec<Pair> = stable
        .map(|service| Pair { stable: service.name.to_string(), candidate: candidate_name(&service.name) })
        .collect();
    let members: Vec<RouteMember> = owned
        .routes
        .iter()
        .map(|route| {
            let text = |pointer: &str| {
                route.object.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
            };
            let generation = route.object.pointer("/metadata/generation").and_then(serde_json::Value::as_u64);
            RouteMember {
                uid: text("/metadata/uid"),
                resource_version: text("/metadata/resourceVersion"),
                generation: generation.unwrap_or(0),
                written: written(&route.object, &pairs),
                acknowledged: acknowledged(&route.object, controllers),
            }
        })
        .collect();
    // A route that does not name the candidate's Service yet, and gives it nothing, is one that has to be written first.
    let combined = combine(&members).filter(|combined| combined.complete || combined.split > Share::NONE)?;
    Some(Route {
        version: combined.version,
        generation: combined.generation,
        lineage: combined.lineage,
        split: combined.split,
        least: combined.least,
        acknowledged: combined.acknowledged,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::{super::store::view::SliceView, *};

    fn service(name: &str, annotations: &Value) -> (Arc<str>, Arc<ServiceView>) {
        let object = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": name, "namespace": "shop", "annotations": annotations,
                "labels": {"landfall.dev/deployment": "web", "landfall.dev/role": "stable"},
            },
            "spec": {"selector": {"app": name, "pod-template-hash": "bcdfg"}},
        });
        (name.into(), Arc::new(ServiceView::of(&serde_json::from_value(object).unwrap()).unwrap()))
    }

    /// Two pods behind the Service web, none behind worker.
    fn owned(worker: &Value) -> Owned {
        let endpoint = |pod: &str| json!({"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": pod}});
        let slice = json!({
            "addressType": "IPv4",
            "metadata": {
                "name": "web-1", "namespace": "shop",
                "labels": {"landfall.dev/deployment": "web", "kubernetes.io/service-name": "web"},
            },
            "endpoints": [endpoint("web-bcdfg-bbbbb"), endpoint("web-bcdfg-ccccc")],
        });
        let slice = SliceView::of(&serde_json::from_value(slice).unwrap()).unwrap();
        Owned {
            services: [service("web", &json!({})), service("worker", worker)].into(),
            slices: [("web-1".into(), Arc::new(slice))].into(),
            ..Owned::default()
        }
    }

    #[test]
    fn a_service_that_a_revision_does_not_have_is_not_waited_for() {
        let sets = [("web-bcdfg".to_owned(), Revision("bcdfg".to_owned()))];
        let ready = |worker: Value| services(&owned(&worker), Role::Stable, &BTreeMap::new(), &sets).unwrap().ready();
        assert_eq!(ready(json!({"landfall.dev/left-over": "bcdfg"})), 2);
        assert_eq!(ready(json!({})), 0, "one of its own is");
        assert_eq!(ready(json!({"landfall.dev/left-over": "other"})), 0, "so is one that it has again");
    }

    #[test]
    fn the_services_that_a_package_does_not_have_are_turned_already() {
        let [old, new] = ["bcdfg", "hjklm"].map(|name| Revision(name.to_owned()));
        let (front, controllers) = (BTreeSet::from([old.clone()]), BTreeMap::new());
        let selected = |front, candidate| {
            let beside = Beside {
                namespace: "shop",
                front,
                candidate,
                stable: Some(&old),
                rendered: None,
                controllers: &controllers,
            };
            let (front, preview) = pretended(beside, &BTreeMap::new());
            (front.map(|service| service.selects), preview.map(|service| service.selects))
        };
        let only = |revision: &Revision| Some(BTreeSet::from([revision.clone()]));
        assert_eq!(selected(Some(&front), Some(&new)), (only(&old), only(&new)));
        assert_eq!(selected(Some(&front), None), (only(&old), only(&old)), "between two runs nothing is to be done");
        assert_eq!(selected(None, Some(&new)), (None, None), "where there are Services they are seen");
    }

    #[test]
    fn a_service_that_is_not_there_is_missed_among_others() {
        let seen = |wanted: &str, services: usize, worker: &Value| {
            let owned = owned(worker);
            let sets = [("web-bcdfg".to_owned(), Revision("bcdfg".to_owned()))];
            let rendered = Rendered { revision: Revision(wanted.to_owned()), services, ..Rendered::default() };
            let service = super::services(&owned, Role::Stable, &BTreeMap::new(), &sets).unwrap();
            whole(&owned, Role::Stable, Some(&rendered), service)
        };
        let left = json!({"landfall.dev/left-over": "bcdfg"});
        assert!(!seen("bcdfg", 2, &json!({})).partial);
        assert!(seen("bcdfg", 3, &json!({})).partial);
        assert!(!seen("bcdfg", 1, &left).partial);
        let missed = seen("bcdfg", 2, &left);
        assert_eq!((missed.partial, missed.ready()), (true, 0), "one that is left over is none of its own");
        assert!(!seen("other", 3, &json!({})).partial, "how many another revision has says nothing");
    }

    /// One of two workloads of a revision, with three pods.
    fn replica_set(name: &str) -> (Arc<str>, Arc<ReplicaSetView>) {
        let object = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": name, "namespace": "shop",
                "annotations": {"landfall.dev/replicas": "3", "landfall.dev/workloads": "2"},
                "labels": {"landfall.dev/deployment": "web", "landfall.dev/revision": "bcdfg"},
            },
            "spec": {"replicas": 3}, "status": {"replicas": 3, "availableReplicas": 3},
        });
        (name.into(), Arc::new(ReplicaSetView::of(&serde_json::from_value(object).unwrap()).unwrap()))
    }

    #[test]
    fn what_is_left_of_a_revision_has_pods_and_none_of_them_is_ready() {
        let revision = Revision("bcdfg".to_owned());
        let seen = |sets: &[&str]| {
            let owned = Owned { replica_sets: sets.iter().map(|name| replica_set(name)).collect(), ..Owned::default() };
            pods(&owned, &BTreeMap::new()).get(&revision).copied()
        };
        let whole = Pods { scale: 3, ready: 3, outdated: 6, partial: false };
        assert_eq!(seen(&["web-bcdfg", "worker-bcdfg"]), Some(whole));
        assert_eq!(seen(&["worker-bcdfg"]), Some(Pods { ready: 0, outdated: 3, partial: true, ..whole }));
        assert_eq!(seen(&[]), None);
    }
}
