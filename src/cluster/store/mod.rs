//! What the operator sees of the cluster: a projection of every watched object, by the Deployment that it belongs to.
//!
//! Only what decisions read is kept: of a Package its words and not its manifests, of a `ReplicaSet` its numbers. Watches
//! fill it ([`watch`]); the answers to the operator's own writes are put in as well, so that the next look is not older
//! than the last write. It decides nothing, and a look says of each part whether it can be trusted.

mod lean;
pub mod table;
pub mod view;
pub mod watch;

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, Instant},
};

use self::{
    table::{Family, Table},
    view::{Controlled, JobView, PackageView, ReplicaSetView, RouteView, ServiceView, SliceView},
};
use crate::api::{deployment::Deployment, profile::Profile};

/// How long a watch may fail before what it saw counts as unknown.
const TRUST: Duration = Duration::from_secs(15);

/// A namespace and a name in it. For what belongs to a Deployment the name is the value of its label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl Key {
    /// A key of two texts.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What is watched. Each is one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// Landfall's Packages.
    Packages,
    /// Landfall's Profiles.
    Profiles,
    /// Landfall's Deployments.
    Deployments,
    /// Pods in numbers.
    ReplicaSets,
    /// Selectors.
    Services,
    /// Ready endpoints.
    Slices,
    /// `HTTPRoute`s.
    HttpRoutes,
    /// `GRPCRoute`s.
    GrpcRoutes,
    /// Jobs.
    Jobs,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Packages,
        Self::Profiles,
        Self::Deployments,
        Self::ReplicaSets,
        Self::Services,
        Self::Slices,
        Self::HttpRoutes,
        Self::GrpcRoutes,
        Self::Jobs,
    ];

    /// The word in sentences.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Packages => "Packages",
            Self::Profiles => "Profiles",
            Self::Deployments => "Deployments",
            Self::ReplicaSets => "ReplicaSets",
            Self::Services => "Services",
            Self::Slices => "EndpointSlices",
            Self::HttpRoutes => "HTTPRoutes",
            Self::GrpcRoutes => "GRPCRoutes",
            Self::Jobs => "Jobs",
        }
    }
}

/// How a part is being watched.
#[derive(Debug, Clone, Default)]
struct Watched {
    synced: bool,
    failing: Option<(Instant, String)>,
    /// Whether the account may not list it, as the API server said last.
    refused: bool,
}

#[derive(Default)]
struct Tables {
    packages: Table<PackageView>,
    profiles: Table<Profile>,
    deployments: Table<Deployment>,
    replica_sets: Table<ReplicaSetView>,
    services: Table<ServiceView>,
    slices: Table<SliceView>,
    http_routes: Table<RouteView>,
    grpc_routes: Table<RouteView>,
    jobs: Table<JobView>,
    watched: BTreeMap<(Part, String), Watched>,
}

/// All projections. Cheap to share.
#[derive(Clone, Default)]
pub struct Store {
    tables: Arc<RwLock<Tables>>,
}

/// What belongs to one Deployment.
#[derive(Clone, Default)]
pub struct Owned {
    /// The pods of its revisions.
    pub replica_sets: Family<ReplicaSetView>,
    /// Its Services.
    pub services: Family<ServiceView>,
    /// The endpoints of its Services.
    pub slices: Family<SliceView>,
    /// Its routes of all kinds.
    pub routes: Vec<Arc<RouteView>>,
    /// The Jobs of its revisions.
    pub jobs: Family<JobView>,
}

/// What this uid controls.
fn of<V: Controlled>(family: &Family<V>, uid: &str) -> Family<V> {
    let own = family.iter().filter(|(_, value)| value.controller() == Some(uid));
    own.map(|(name, value)| (Arc::clone(name), Arc::clone(value))).collect()
}

impl Store {
    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        // A panic while the lock is held leaves whole tables: each change is one insertion.
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The Deployment of a key.
    pub fn deployment(&self, key: &Key) -> Option<Arc<Deployment>> {
        self.read().deployments.family(key).values().next().cloned()
    }

    /// All Deployments of a namespace.
    pub fn deployments_in(&self, namespace: &str) -> Vec<Arc<Deployment>> {
        self.read().deployments.in_namespace(namespace)
    }

    /// The keys of all Deployments.
    pub fn deployments(&self) -> Vec<Key> {
        self.read().deployments.keys().cloned().collect()
    }

    /// A Profile by name.
    pub fn profile(&self, namespace: &str, name: &str) -> Option<Arc<Profile>> {
        self.read().profiles.family(&Key::new(namespace, name)).values().next().cloned()
    }

    /// The keys of all Profiles.
    pub fn profiles(&self) -> Vec<Key> {
        self.read().profiles.keys().cloned().collect()
    }

    /// The Packages of one name, by object name.
    pub fn packages(&self, namespace: &str, name: &str) -> Family<PackageView> {
        self.read().packages.family(&Key::new(namespace, name)).clone()
    }

    /// The names of all Packages, each once.
    pub fn package_names(&self) -> Vec<Key> {
        self.read().packages.keys().cloned().collect()
    }

    /// All routes that Landfall divides, with the Deployments that control them. A label alone takes no host from anybody: it
    /// could be written in any namespace.
    pub fn routes(&self) -> Vec<(Key, Arc<RouteView>)> {
        let tables = self.read();
        let both = [&tables.http_routes, &tables.grpc_routes];
        let routes = both.into_iter().flat_map(Table::with_keys);
        routes
            .filter(|(key, route)| {
                let owner = tables.deployments.family(key).values().next();
                owner.is_some_and(|owner| owner.metadata.uid.as_deref() == route.controller())
            })
            .collect()
    }

    /// What belongs to the Deployment of this uid. A label alone makes nothing its own: anybody can write one, and what a
    /// former Deployment of the same name left is there for a while.
    pub fn owned(&self, key: &Key, uid: &str) -> Owned {
        let tables = self.read();
        let routes = [&tables.http_routes, &tables.grpc_routes];
        Owned {
            replica_sets: of(tables.replica_sets.family(key), uid),
            services: of(tables.services.family(key), uid),
            slices: tables.slices.family(key).clone(),
            routes: routes.into_iter().flat_map(|table| of(table.family(key), uid).into_values()).collect(),
            jobs: of(tables.jobs.family(key), uid),
        }
    }

    /// How many objects a part holds.
    pub fn count(&self, part: Part) -> usize {
        let tables = self.read();
        match part {
            Part::Packages => tables.packages.len(),
            Part::Profiles => tables.profiles.len(),
            Part::Deployments => tables.deployments.len(),
            Part::ReplicaSets => tables.replica_sets.len(),
            Part::Services => tables.services.len(),
            Part::Slices => tables.slices.len(),
            Part::HttpRoutes => tables.http_routes.len(),
            Part::GrpcRoutes => tables.grpc_routes.len(),
            Part::Jobs => tables.jobs.len(),
        }
    }

    /// Says what is going to be watched: these namespaces, or all. Before that nothing is complete.
    pub fn expect(&self, scopes: &[String]) {
        let mut tables = self.write();
        for part in Part::ALL {
            for scope in scopes {
                tables.watched.entry((part, scope.clone())).or_default();
            }
        }
    }

    /// Whether every part has been answered: its first list has arrived, or the account may not have it, which no waiting
    /// changes. What such a part would say stays unknown, see [`Store::trusted`].
    pub fn is_synced(&self) -> bool {
        let tables = self.read();
        !tables.watched.is_empty() && tables.watched.values().all(|watched| watched.synced || watched.refused)
    }

    /// The parts that the account may not list, and what the API server says to that.
    pub fn refusals(&self) -> BTreeMap<Part, String> {
        let tables = self.read();
        let refused = tables.watched.iter().filter(|(_, watched)| watched.refused);
        let cause = |watched: &Watched| watched.failing.as_ref().map(|(_, cause)| cause.clone()).unwrap_or_default();
        refused.map(|((part, _), watched)| (*part, cause(watched))).collect()
    }

    /// Whether all that is wanted in a namespace has been listed: its Packages, Profiles and Deployments.
    pub fn knows_wishes(&self, namespace: &str) -> bool {
        let tables = self.read();
        let listed = |part: Part| {
            let one = tables.watched.get(&(part, namespace.to_owned()));
            one.or_else(|| tables.watched.get(&(part, String::new()))).is_some_and(|watched| watched.synced)
        };
        [Part::Packages, Part::Profiles, Part::Deployments].into_iter().all(listed)
    }

    /// Whether what a part says of a namespace can be relied on.
    ///
    /// # Errors
    /// Says why not.
    pub fn trusted(&self, part: Part, namespace: &str, now: Instant) -> Result<(), String> {
        let tables = self.read();
        let one = tables.watched.get(&(part, namespace.to_owned()));
        let watched = one.or_else(|| tables.watched.get(&(part, String::new()))).cloned().unwrap_or_default();
        if !watched.synced {
            let cause = watched.failing.map(|(_, cause)| format!(": {cause}")).unwrap_or_default();
            let what = if watched.refused { "may not be listed" } else { "have not been listed yet" };
            return Err(format!("the {} {what}{cause}", part.word()));
        }
        match watched.failing {
            Some((since, cause)) if now.saturating_duration_since(since) > TRUST => {
                Err(format!("the {} cannot be watched: {cause}", part.word()))
            }
            _ => Ok(()),
        }
    }

    /// Says that a namespace was listed once, and is not watched: the part is complete, or says why it is not.
    pub fn listed(&self, part: Part, namespace: &str, outcome: Result<(), String>) {
        self.mark(part, namespace, |watched| {
            watched.synced = outcome.is_ok();
            watched.failing = outcome.err().map(|cause| (Instant::now(), cause));
            watched.refused = false;
        });
    }

    fn mark(&self, part: Part, scope: &str, change: impl FnOnce(&mut Watched)) {
        change(self.write().watched.entry((part, scope.to_owned())).or_default());
    }
}

/// Puts answers to the operator's own writes into the store; what is older than what is there is dropped.
impl Store {
    /// A Deployment.
    pub fn put_deployment(&self, deployment: Deployment) {
        self.write().deployments.put(deployment);
    }

    /// A Profile.
    pub fn put_profile(&self, profile: Profile) {
        self.write().profiles.put(profile);
    }

    /// A `ReplicaSet`.
    pub fn put_replica_set(&self, replica_set: ReplicaSetView) {
        self.write().replica_sets.put(replica_set);
    }

    /// A Service.
    pub fn put_service(&self, service: ServiceView) {
        self.write().services.put(service);
    }

    /// A route.
    pub fn put_route(&self, route: RouteView) {
        let mut tables = self.write();
        let table = match route.part() {
            Part::GrpcRoutes => &mut tables.grpc_routes,
            _ => &mut tables.http_routes,
        };
        table.put(route);
    }

    /// An `EndpointSlice`.
    pub fn put_slice(&self, slice: SliceView) {
        self.write().slices.put(slice);
    }

    /// A Job.
    pub fn put_job(&self, job: JobView) {
        self.write().jobs.put(job);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::{Value, json};

    use super::{
        view::{ReplicaSetObject, ServiceObject},
        *,
    };

    fn meta(name: &str, uid: Option<&str>) -> Value {
        let owners: Vec<Value> = uid
            .map(|uid| json!({"apiVersion": "landfall.dev/v1alpha1", "kind": "Deployment", "name": "web", "uid": uid, "controller": true}))
            .into_iter()
            .collect();
        json!({
            "name": name, "namespace": "shop", "resourceVersion": "1", "ownerReferences": owners,
            "labels": {"landfall.dev/deployment": "web", "landfall.dev/revision": "bcdfg", "landfall.dev/role": "stable"},
        })
    }

    #[test]
    fn wishes_are_known_when_all_kinds_of_them_have_been_listed() {
        let store = Store::default();
        store.expect(&[String::new()]);
        for part in [Part::Packages, Part::Profiles, Part::Deployments] {
            assert!(!store.knows_wishes("shop"), "before the {}", part.word());
            store.mark(part, "", |watched| watched.synced = true);
        }
        assert!(store.knows_wishes("shop"));
    }

    #[test]
    fn what_only_a_label_says_to_be_of_a_deployment_is_not() {
        let store = Store::default();
        for (name, uid) in [("own", Some("new")), ("former", Some("old")), ("forged", None)] {
            let kinds = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet"});
            let with = |spec: Value| {
                let mut object = kinds.clone();
                object["metadata"] = meta(name, uid);
                object["spec"] = spec;
                object
            };
            let set: ReplicaSetObject = serde_json::from_value(with(json!({"replicas": 3}))).unwrap();
            store.put_replica_set(ReplicaSetView::of(&set).unwrap());
            let service: ServiceObject = serde_json::from_value(with(json!({"selector": {"app": "web"}}))).unwrap();
            store.put_service(ServiceView::of(&service).unwrap());
            let mut route = with(json!({}));
            route["kind"] = json!("HTTPRoute");
            store.put_route(RouteView::of(route).unwrap());
        }
        assert!(store.routes().is_empty(), "nobody has these hosts: there is no such Deployment");
        let deployment = json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": "new", "resourceVersion": "1"},
            "spec": {"package": {"name": "web", "version": "1.0.0"}, "profile": "production"},
        });
        store.put_deployment(serde_json::from_value(deployment).unwrap());
        let hosts_of = |routes: Vec<(Key, Arc<RouteView>)>| {
            routes.into_iter().map(|(_, route)| route.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(hosts_of(store.routes()), ["own"], "a label takes no host from others");
        let owned = store.owned(&Key::new("shop", "web"), "new");
        let names: Vec<&str> = owned.replica_sets.keys().chain(owned.services.keys()).map(|name| &**name).collect();
        assert_eq!(names, ["own", "own"]);
        assert_eq!(owned.routes.iter().map(|route| &*route.name).collect::<Vec<_>>(), ["own"]);
    }
}
