//! The watches that fill the store, one per part.
//!
//! An object that cannot be read is reported and left out: it stops neither the watch nor the others. A watch that breaks is
//! started again with growing pauses, for ever; meanwhile the store says that it is not to be trusted.

use std::{
    fmt::Debug,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt;
use k8s_openapi::api::{apps::v1::ReplicaSet, batch::v1::Job, core::v1::Service, discovery::v1::EndpointSlice};
use kube::{
    Api, Client, Resource,
    core::{ApiResource, DynamicObject, GroupVersionKind, NamespaceResourceScope, error_boundary::InvalidObject},
    runtime::{
        utils::Backoff,
        watcher,
        watcher::{DefaultBackoff, Event},
    },
};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::{
    Key, Part, Store, Tables, Watched,
    lean::{Lean, Parted},
    table::{Item, News, Table},
    view::{
        JobObject, JobView, PackageView, ReplicaSetObject, ReplicaSetView, RouteView, ServiceObject, ServiceView,
        SliceView,
    },
};
use crate::{
    api::{DEPLOYMENT_LABEL, deployment::Deployment, package::Package, profile::Profile},
    cluster::call::CallError,
};

/// The objects of one page of a list.
const PAGE: u32 = 500;

/// The longest pause before a watch that broke is started again.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Something of the object with this key.
    Of(Part, Key),
    /// What nobody but the object with this key reads.
    Own(Part, Key),
    /// A part was listed again: anything may have changed.
    Listed(Part),
    /// An object could not be read.
    Unreadable {
        /// The part.
        part: Part,
        /// The object.
        key: Key,
        /// Why.
        cause: String,
    },
}

/// Who hears of changes.
pub type Listener = Arc<dyn Fn(Change) + Send + Sync>;

/// Watches everything in these namespaces; in all where none is named. The tasks end when the set is dropped.
pub fn start(client: &Client, namespaces: &[String], store: &Store, listener: &Listener) -> JoinSet<()> {
    let everywhere = [String::new()];
    let scopes = if namespaces.is_empty() { &everywhere } else { namespaces };
    store.expect(scopes);
    let mut tasks = JoinSet::new();
    for scope in scopes {
        watch_all(&mut tasks, Watch { client, scope, store, listener });
    }
    tasks
}

fn watch_all(tasks: &mut JoinSet<()>, watch: Watch<'_>) {
    let all = watcher::Config::default().page_size(PAGE);
    let ours = all.clone().labels(DEPLOYMENT_LABEL);
    let package = |package| PackageView::of(&package);
    watch.lean::<Package, _>(tasks, (Part::Packages, &all, watch.typed()), package, |tables| &mut tables.packages);
    watch.lean::<Profile, _>(tasks, (Part::Profiles, &all, watch.typed()), Some, |tables| &mut tables.profiles);
    let deployment = |deployment| Some(trimmed(deployment));
    watch.lean(tasks, (Part::Deployments, &all, watch.typed()), deployment, |tables| &mut tables.deployments);
    let api = watch.api(&ApiResource::erase::<ReplicaSet>(&()));
    let set = |set: ReplicaSetObject| ReplicaSetView::of(&set);
    watch.lean(tasks, (Part::ReplicaSets, &ours, api), set, |tables| &mut tables.replica_sets);
    let api = watch.api(&ApiResource::erase::<Service>(&()));
    let service = |service: ServiceObject| ServiceView::of(&service);
    watch.lean(tasks, (Part::Services, &ours, api), service, |tables| &mut tables.services);
    let api = watch.api(&ApiResource::erase::<Job>(&()));
    let job = |job: JobObject| JobView::of(&job);
    watch.lean(tasks, (Part::Jobs, &ours, api), job, |tables| &mut tables.jobs);
    let api = watch.typed::<EndpointSlice>();
    watch.plain(tasks, (Part::Slices, &ours, api), |slice| SliceView::of(&slice), |tables| &mut tables.slices);
    let api = watch.api::<DynamicObject>(&route_kind("HTTPRoute", "httproutes"));
    watch.plain(tasks, (Part::HttpRoutes, &ours, api), route, |tables| &mut tables.http_routes);
    let api = watch.api::<DynamicObject>(&route_kind("GRPCRoute", "grpcroutes"));
    watch.plain(tasks, (Part::GrpcRoutes, &ours, api), route, |tables| &mut tables.grpc_routes);
}

/// The kinds of routes are no part of the client's types.
fn route_kind(kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", kind), plural)
}

/// Without what only other programs read.
fn trimmed(mut deployment: Deployment) -> Deployment {
    if let Some(annotations) = &mut deployment.metadata.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    deployment
}

fn route(object: DynamicObject) -> Option<RouteView> {
    RouteView::of(serde_json::to_value(object).ok()?)
}

#[derive(Clone, Copy)]
struct Watch<'a> {
    client: &'a Client,
    scope: &'a str,
    store: &'a Store,
    listener: &'a Listener,
}

/// Where the objects of a part are kept.
type Place<V> = fn(&mut Tables) -> &mut Table<V>;

impl Watch<'_> {
    fn api<K>(&self, kind: &ApiResource) -> Api<K>
    where
        K: Resource<DynamicType = ApiResource, Scope = kube::core::DynamicResourceScope>,
    {
        match self.scope {
            "" => Api::all_with(self.client.clone(), kind),
            namespace => Api::namespaced_with(self.client.clone(), namespace, kind),
        }
    }

    fn typed<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match self.scope {
            "" => Api::all(self.client.clone()),
            namespace => Api::namespaced(self.client.clone(), namespace),
        }
    }

    /// Watches objects that may be of another release and not be readable, or that have more in them than is read.
    fn lean<K, V>(
        &self,
        tasks: &mut JoinSet<()>,
        (part, config, api): (Part, &watcher::Config, Api<Lean<K>>),
        project: fn(K) -> Option<V>,
        place: Place<V>,
    ) where
        K: Parted + Resource + Clone + Debug + Send + Sync + 'static,
        V: Item + Send + Sync + 'static,
    {
        let sink = self.sink(part, place);
        let read = move |object: Lean<K>| object.0.map(project);
        tasks.spawn(run(api, config.clone(), read, sink));
    }

    fn sink<V>(&self, part: Part, place: Place<V>) -> Sink<V> {
        let (store, listener) = (self.store.clone(), Arc::clone(self.listener));
        Sink { part, scope: self.scope.to_owned(), store, listener, place }
    }

    fn plain<K, V>(
        &self,
        tasks: &mut JoinSet<()>,
        (part, config, api): (Part, &watcher::Config, Api<K>),
        project: fn(K) -> Option<V>,
        place: Place<V>,
    ) where
        K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
        V: Item + Send + Sync + 'static,
    {
        let sink = self.sink(part, place);
        tasks.spawn(run(api, config.clone(), move |object: K| Ok(project(object)), sink));
    }
}

async fn run<K, V>(
    api: Api<K>,
    config: watcher::Config,
    read: impl Fn(K) -> Result<Option<V>, Box<InvalidObject>> + Send,
    mut sink: Sink<V>,
) where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    V: Item + Send + Sync + 'static,
{
    let mut pauses = DefaultBackoff::default();
    loop {
        let mut events = std::pin::pin!(watcher(api.clone(), config.clone()));
        let error = loop {
            match events.next().await {
                Some(Ok(event)) => {
                    if matches!(event, Event::InitDone) {
                        pauses.reset();
                    }
                    sink.take(event, &read);
                }
                Some(Err(error)) => break error,
                None => break watcher::Error::NoResourceVersion,
            }
        };
        sink.failed(error);
        // A watch that goes on after a failure says nothing until something changes, which may be never: only a new list
        // shows that it works again, and what it missed.
        tokio::time::sleep(pauses.next().unwrap_or(PAUSE_MAX)).await;
    }
}

/// Where the events of one watch go.
struct Sink<V> {
    part: Part,
    scope: String,
    store: Store,
    listener: Listener,
    place: Place<V>,
}

impl<V: Item> Sink<V> {
    fn take<K>(&mut self, event: Event<K>, read: &impl Fn(K) -> Result<Option<V>, Box<InvalidObject>>) {
        match event {
            // That a list begins is no sign that the API server answers it.
            Event::Init => return (self.place)(&mut self.store.write()).begin(&self.scope),
            Event::InitApply(object) => return drop(self.put(read(object))),
            Event::InitDone => {
                (self.place)(&mut self.store.write()).finish(&self.scope);
                self.store.mark(self.part, &self.scope, |watched| watched.synced = true);
                (self.listener)(Change::Listed(self.part));
            }
            Event::Apply(object) => {
                if let Some(change) = self.put(read(object)) {
                    (self.listener)(change);
                }
            }
            Event::Delete(object) => self.drop(read(object)),
        }
        self.store.mark(self.part, &self.scope, |watched| (watched.failing, watched.refused) = (None, false));
    }

    /// There are none. It is said once and not at every try.
    fn nothing(&self) {
        let gone = {
            let mut tables = self.store.write();
            let table = (self.place)(&mut tables);
            table.begin(&self.scope);
            table.finish(&self.scope)
        };
        let mut news = !gone.is_empty();
        self.store.mark(self.part, &self.scope, |watched| {
            news |= !watched.synced || watched.failing.is_some();
            *watched = Watched { synced: true, ..Watched::default() };
        });
        if news {
            (self.listener)(Change::Listed(self.part));
        }
    }

    /// Takes an object in, and says what that changes.
    fn put(&self, read: Result<Option<V>, Box<InvalidObject>>) -> Option<Change> {
        match read {
            Ok(Some(value)) => {
                let owner = value.owner();
                match (self.place)(&mut self.store.write()).put(value) {
                    News::None => None,
                    News::Own => Some(Change::Own(self.part, owner)),
                    News::All => Some(Change::Of(self.part, owner)),
                }
            }
            Ok(None) => None,
            Err(broken) => {
                let InvalidObject { error: cause, metadata: meta } = *broken;
                let text = |text: &Option<String>| text.clone().unwrap_or_default();
                let key = Key::new(&text(&meta.namespace), &text(&meta.name));
                warn!(part = self.part.word(), object = %key, cause, "an object cannot be read and is left out");
                (self.listener)(Change::Unreadable { part: self.part, key, cause });
                None
            }
        }
    }

    fn drop(&self, read: Result<Option<V>, Box<InvalidObject>>) {
        if let Ok(Some(value)) = read {
            let owner = value.owner();
            (self.place)(&mut self.store.write()).remove(&owner, value.name());
            (self.listener)(Change::Of(self.part, owner));
        }
    }

    fn failed(&self, error: watcher::Error) {
        let mut refused = false;
        let cause = match explain(error) {
            // A router's kind that is not installed has no objects; its definition may come later.
            Some(error) if error.is_absent() && matches!(self.part, Part::HttpRoutes | Part::GrpcRoutes) => {
                return self.nothing();
            }
            Some(error) => {
                refused = error.is_forbidden();
                error.to_string()
            }
            None => "the API server ended it".to_owned(),
        };
        debug!(part = self.part.word(), cause, "a watch broke and starts again");
        let mut first = false;
        self.store.mark(self.part, &self.scope, |watched| {
            // What was refused once stays refused until it is given, whatever else goes wrong meanwhile.
            refused &= !watched.refused;
            watched.refused |= refused;
            first = watched.failing.is_none() || refused;
            let since = watched.failing.take().map_or_else(Instant::now, |(since, _)| since);
            watched.failing = Some((since, cause.clone()));
        });
        if refused {
            let (part, namespace) = (self.part.word(), &self.scope);
            warn!(part, namespace, cause, "objects may not be listed: what rests on them is not decided");
        }
        if first {
            (self.listener)(Change::Listed(self.part));
        }
    }
}

fn explain(error: watcher::Error) -> Option<CallError> {
    match error {
        watcher::Error::InitialListFailed(source)
        | watcher::Error::WatchStartFailed(source)
        | watcher::Error::WatchFailed(source) => Some(CallError::from(source)),
        watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => None,
    }
}
