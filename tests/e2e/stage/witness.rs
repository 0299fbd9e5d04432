//! Sees everything that happens to the rollout of `web`, in order and with its time: the weights that are written, the
//! pods that are asked for, what the Services select, and the statuses.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt, stream::select_all};
use k8s_openapi::{
    api::{apps::v1::ReplicaSet, core::v1::Service},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Resource, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams},
    core::GroupVersionKind,
    runtime::{WatchStreamExt, watcher},
};
use landfall::{
    api::{ROLE_LABEL, Role, SELECTS_ANNOTATION, deployment::Deployment, deployment_status::DeploymentStatus},
    engine::observed::Acknowledged,
    traffic::{acknowledge::acknowledged, service::Selector},
};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use super::{NAME, Stage};

/// How long the next thing may take to happen.
const PATIENCE: Duration = Duration::from_secs(100);

/// What the rollout of [`NAME`] owns.
const OWNED: &str = "landfall.dev/deployment=web";

const ROUTE: &str = "HTTPRoute";
const SET: &str = "ReplicaSet";
const SERVICE: &str = "Service";
const DEPLOYMENT: &str = "Deployment";

/// One thing that was seen.
#[derive(Debug, Clone)]
pub enum Sight {
    /// The candidate's share as written into the route, in percent.
    Weight(u64),
    /// The pods that a revision is asked to have.
    Scale { revision: String, pods: i32 },
    /// The revisions that a Service is meant to select: the one that clients know, or the candidate's.
    Selects { role: Role, revisions: Vec<String> },
    /// What the operator says.
    Status(Box<DeploymentStatus>),
}

/// What was seen, and when.
#[derive(Debug, Clone)]
pub struct Event {
    pub at: Instant,
    /// The version of the object that it was seen in. All objects of a cluster count together.
    pub version: u64,
    pub sight: Sight,
}

/// An object that is watched: its kind and name.
type Subject = (&'static str, String);

/// Somebody who watches. Route, pods, Services and status are seen by a watch each, and one may be seconds behind another on a busy
/// machine: the versions of the objects tell the order, and what is asked of the witness waits until all are seen.
pub struct Witness {
    log: Arc<Mutex<Vec<Event>>>,
    news: mpsc::UnboundedReceiver<Event>,
    newest: watch::Receiver<BTreeMap<Subject, u64>>,
    routes: Api<DynamicObject>,
    sets: Api<ReplicaSet>,
    services: Api<Service>,
    deployments: Api<Deployment>,
    task: JoinHandle<()>,
}

/// What one of the watches gave.
struct Look {
    subject: Subject,
    version: u64,
    sight: Option<Sight>,
}

impl Witness {
    /// Begins to watch. What is there already is seen first.
    pub fn new(stage: &Stage) -> Self {
        let log = Arc::<Mutex<Vec<Event>>>::default();
        let (send, news) = mpsc::unbounded_channel();
        let (seen, newest) = watch::channel(BTreeMap::new());
        let (routes, deployments) = (routes(stage), stage.deployments());
        let (sets, services) = (stage.world.api::<ReplicaSet>(), stage.world.api::<Service>());
        let mut looks = select_all([
            look(routes.clone(), OWNED, ROUTE, |route| share(route).map(Sight::Weight)).boxed(),
            look(sets.clone(), OWNED, SET, |set| Some(scale(set))).boxed(),
            look(services.clone(), OWNED, SERVICE, selection).boxed(),
            look(deployments.clone(), "", DEPLOYMENT, status).boxed(),
        ]);
        let written = Arc::clone(&log);
        let task = tokio::spawn(async move {
            while let Some(Look { subject, version, sight }) = looks.next().await {
                if let Some(sight) = sight {
                    let event = Event { at: Instant::now(), version, sight };
                    written.lock().unwrap().push(event.clone());
                    // Most tests read the log at the end only.
                    drop(send.send(event));
                }
                seen.send_modify(|seen| {
                    seen.insert(subject, version);
                });
            }
        });
        Self { log, news, newest, routes, sets, services, deployments, task }
    }

    /// The next thing that happens.
    pub async fn next(&mut self) -> Event {
        let next = tokio::time::timeout(PATIENCE, self.news.recv()).await;
        next.expect("something happens").expect("the watch goes on")
    }

    /// Waits until the status is as it should be, and returns when that was seen and everything before it is in the log.
    pub async fn until(&mut self, is: impl Fn(&DeploymentStatus) -> bool) -> (Instant, DeploymentStatus) {
        loop {
            let event = self.next().await;
            if let Sight::Status(status) = event.sight
                && is(&status)
            {
                return (event.at, *status);
            }
        }
    }

    /// As [`Witness::until`], of the status as it is now: one that another one has followed already does not count.
    pub async fn until_now(&mut self, is: impl Fn(&DeploymentStatus) -> bool) {
        loop {
            let mut newest = Some(self.next().await);
            let mut status = None;
            while let Some(event) = newest {
                if let Sight::Status(seen) = event.sight {
                    status = Some(seen);
                }
                newest = self.news.try_recv().ok();
            }
            if status.is_some_and(|status| is(&status)) {
                return;
            }
        }
    }

    /// All that has been seen so far. What another watch has yet to give may be missing in it.
    pub fn seen(&self) -> Vec<Event> {
        let mut log = self.log.lock().unwrap().clone();
        log.sort_by_key(|event| event.version);
        log
    }

    /// Waits until the routers act on the route as it is written.
    pub async fn acknowledged(&self) {
        let config = watcher::Config::default().labels(OWNED);
        let mut looks = watcher(self.routes.clone(), config).applied_objects().boxed();
        let said = async {
            while let Some(look) = looks.next().await {
                if look.is_ok_and(|route| is_acknowledged(&route)) {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, said).await.expect("the routers acknowledge the route");
    }

    /// Everything that has happened until now, in its order and without a gap: what happens meanwhile may have been seen only in
    /// part, and is left out.
    pub async fn log(&self) -> Vec<Event> {
        let (now, mut there) = versions(&self.routes, OWNED, ROUTE).await;
        there.extend(versions(&self.sets, OWNED, SET).await.1);
        there.extend(versions(&self.services, OWNED, SERVICE).await.1);
        there.extend(versions(&self.deployments, "", DEPLOYMENT).await.1);
        let mut newest = self.newest.clone();
        let all = |seen: &BTreeMap<Subject, u64>| {
            there.iter().all(|(subject, version)| seen.get(subject).is_some_and(|seen| seen >= version))
        };
        let caught_up = tokio::time::timeout(PATIENCE, newest.wait_for(all)).await;
        drop(caught_up.expect("what is there is seen").expect("the watch goes on"));
        let mut log = self.seen();
        log.retain(|event| event.version <= now);
        log
    }

    /// The weights that were written, each change once.
    pub async fn weights(&self) -> Vec<u64> {
        let log = self.log().await;
        let mut weights: Vec<u64> = log
            .iter()
            .filter_map(|event| if let Sight::Weight(weight) = event.sight { Some(weight) } else { None })
            .collect();
        weights.dedup();
        weights
    }

    /// Waits until the candidate lost a weight that it had, and returns when that was seen.
    pub async fn taken_back(&mut self) -> Instant {
        loop {
            let log = self.log.lock().unwrap().clone();
            let mut weights = log.iter().filter_map(|event| match event.sight {
                Sight::Weight(weight) => Some((weight, event.at)),
                Sight::Scale { .. } | Sight::Selects { .. } | Sight::Status(_) => None,
            });
            let risen = weights.find(|(weight, _)| *weight > 0);
            if let Some((_, at)) = risen.and_then(|_| weights.find(|(weight, _)| *weight == 0)) {
                return at;
            }
            self.next().await;
        }
    }

    /// The fewest pods that a revision was asked to have.
    pub async fn fewest_pods(&self, revision: &str) -> i32 {
        fewest(&self.log().await, revision)
    }

    /// The fewest pods that a revision was asked to have until another one had all the traffic for the last time.
    pub async fn fewest_pods_before_the_end(&self, revision: &str) -> i32 {
        let log = self.log().await;
        let whole = log.iter().rposition(|event| matches!(event.sight, Sight::Weight(100)));
        fewest(&log[..whole.expect("a revision got all the traffic")], revision)
    }

    /// The revisions that had pods at any time.
    pub async fn revisions(&self) -> BTreeSet<String> {
        let log = self.log().await;
        let named = |event: &Event| match &event.sight {
            Sight::Scale { revision, .. } => Some(revision.clone()),
            _ => None,
        };
        log.iter().filter_map(named).collect()
    }

    /// The steps that were shown, by run, in their order, each change once.
    pub async fn steps(&self) -> BTreeMap<String, Vec<i32>> {
        let mut steps: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for event in self.log().await {
            let Sight::Status(status) = event.sight else { continue };
            if let (Some(run), Some(step)) = (status.run, status.current_step) {
                let of = steps.entry(run.id).or_default();
                if of.last() != Some(&step.number) {
                    of.push(step.number);
                }
            }
        }
        steps
    }
}

fn fewest(log: &[Event], revision: &str) -> i32 {
    let pods = log.iter().filter_map(|event| match &event.sight {
        Sight::Scale { revision: of, pods } if of == revision => Some(*pods),
        _ => None,
    });
    pods.min().expect("the revision was seen")
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn routes(stage: &Stage) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
    let kind = ApiResource::from_gvk_with_plural(&kind, "httproutes");
    Api::namespaced_with(stage.world.client.clone(), &stage.world.namespace, &kind)
}

/// The candidate's share of a route, in whole percent.
fn share(route: &DynamicObject) -> Option<u64> {
    let backends = route.data.pointer("/spec/rules/0/backendRefs")?.as_array()?;
    let weight = |name: &str| {
        backends.iter().find(|backend| backend["name"] == name).and_then(|backend| backend["weight"].as_u64())
    };
    let (stable, candidate) = (weight(NAME)?, weight(&format!("{NAME}-candidate"))?);
    Some(100 * candidate / (stable + candidate))
}

fn scale(set: &ReplicaSet) -> Sight {
    let revision = set.labels().get("landfall.dev/revision").cloned().unwrap_or_default();
    Sight::Scale { revision, pods: set.spec.replicas.unwrap_or_default() }
}

/// What a Service that tells revisions apart is meant to select.
fn selection(service: &Service) -> Option<Sight> {
    let value = service.labels().get(ROLE_LABEL)?;
    let role = [Role::Stable, Role::Candidate].into_iter().find(|role| role.as_str() == value)?;
    let annotation = service.annotations().get(SELECTS_ANNOTATION).map(String::as_str);
    let revisions = match Selector::new(service.spec.as_ref()?.selector.as_ref(), annotation) {
        Selector::Nothing => return None,
        Selector::One(revision) => vec![revision.0],
        Selector::Every(meant) => meant.into_iter().map(|revision| revision.0).collect(),
    };
    Some(Sight::Selects { role, revisions })
}

fn is_acknowledged(route: &DynamicObject) -> bool {
    let live = serde_json::to_value(route).unwrap();
    matches!(acknowledged(&live, &BTreeMap::new()), Acknowledged::At(_))
}

fn status(deployment: &Deployment) -> Option<Sight> {
    let is_ours = deployment.name_any() == NAME;
    is_ours.then(|| Sight::Status(Box::new(deployment.status.clone().unwrap_or_default())))
}

fn look<K>(
    api: Api<K>,
    labels: &str,
    kind: &'static str,
    sight: fn(&K) -> Option<Sight>,
) -> impl Stream<Item = Look> + use<K>
where
    K: Resource + Clone + Debug + Send + DeserializeOwned + 'static,
{
    let looks = watcher(api, watcher::Config::default().labels(labels)).applied_objects();
    // A watch that breaks begins anew by itself, and at once: what happens meanwhile is not seen.
    looks.filter_map(move |look| {
        let seen = look.ok().map(|object| Look {
            subject: (kind, object.name_any()),
            version: version(object.meta()),
            sight: sight(&object),
        });
        async move {
            // Where the client is gone, it breaks without ever waiting: a test that ends could not end this.
            if seen.is_none() {
                tokio::task::yield_now().await;
            }
            seen
        }
    })
}

/// The version of the whole cluster, and those of the objects that are there.
async fn versions<K>(api: &Api<K>, labels: &str, kind: &'static str) -> (u64, Vec<(Subject, u64)>)
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let list = api.list_metadata(&ListParams::default().labels(labels)).await.unwrap();
    let now = number(list.metadata.resource_version.as_ref());
    (now, list.iter().map(|object| ((kind, object.name_any()), version(object.meta()))).collect())
}

fn version(meta: &ObjectMeta) -> u64 {
    number(meta.resource_version.as_ref())
}

fn number(version: Option<&String>) -> u64 {
    version.and_then(|version| version.parse().ok()).expect("versions are numbers")
}
