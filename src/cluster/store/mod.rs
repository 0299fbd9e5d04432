//! What the operator sees of the cluster: a projection of every watched object, by the Deployment that it belongs to.
//!
//! Only what decisions read is kept: of a Package its words and not its manifests, of a `ReplicaSet` its numbers. Watches
//! fill it ([`watch`]); the answers to the operator's own writes are put in as well, so that the next look is not older
//! than the last write. It decides nothing, and a look says of each part whether it can be trusted.

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
    view::{JobView, PackageView, ReplicaSetView, RouteView, ServiceView, SliceView},
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

    /// All routes that Landfall divides, with the Deployments that they belong to.
    pub fn routes(&self) -> Vec<(Key, Arc<RouteView>)> {
        let tables = self.read();
        let both = [&tables.http_routes, &tables.grpc_routes];
        both.into_iter().flat_map(|table| table.with_keys()).collect()
    }

    /// What belongs to a Deployment.
    pub fn owned(&self, key: &Key) -> Owned {
        let tables = self.read();
        let routes = [&tables.http_routes, &tables.grpc_routes];
        Owned {
            replica_sets: tables.replica_sets.family(key).clone(),
            services: tables.services.family(key).clone(),
            slices: tables.slices.family(key).clone(),
            routes: routes.into_iter().flat_map(|table| table.family(key).values().cloned()).collect(),
            jobs: tables.jobs.family(key).clone(),
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

    /// Whether the first list of every part has arrived.
    pub fn is_synced(&self) -> bool {
        let tables = self.read();
        !tables.watched.is_empty() && tables.watched.values().all(|watched| watched.synced)
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
            return Err(format!("the {} have not been listed yet{cause}", part.word()));
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
