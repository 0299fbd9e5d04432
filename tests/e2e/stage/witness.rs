//! Sees everything that happens to the rollout of `web`, in order and with its time: the weights that are written, the
//! pods that are asked for, and the statuses.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt, stream::select_all};
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject},
    core::GroupVersionKind,
    runtime::{WatchStreamExt, watcher},
};
use landfall::api::deployment_status::DeploymentStatus;
use tokio::{sync::mpsc, task::JoinHandle};

use super::{NAME, Stage};

/// How long the next thing may take to happen.
const PATIENCE: Duration = Duration::from_secs(100);

/// What a rollout owns.
const OWNED: &str = "landfall.dev/deployment";

/// One thing that was seen.
#[derive(Debug, Clone)]
pub enum Sight {
    /// The candidate's share as written into the route, in percent.
    Weight(u64),
    /// The pods that a revision is asked to have.
    Scale { revision: String, pods: i32 },
    /// What the operator says.
    Status(Box<DeploymentStatus>),
}

/// What was seen, and when.
#[derive(Debug, Clone)]
pub struct Event {
    pub at: Instant,
    pub sight: Sight,
}

/// Somebody who watches. Route, pods and status are seen by a watch each: what is written to one of them is seen in its
/// order, and what is written to two at nearly the same time in any.
pub struct Witness {
    log: Arc<Mutex<Vec<Event>>>,
    news: mpsc::UnboundedReceiver<Event>,
    task: JoinHandle<()>,
}

impl Witness {
    /// Begins to watch. What is there already is seen first.
    pub fn new(stage: &Stage) -> Self {
        let log = Arc::<Mutex<Vec<Event>>>::default();
        let (send, news) = mpsc::unbounded_channel();
        let mut sights = select_all([weights(stage).boxed(), scales(stage).boxed(), statuses(stage).boxed()]);
        let written = Arc::clone(&log);
        let task = tokio::spawn(async move {
            while let Some(sight) = sights.next().await {
                let event = Event { at: Instant::now(), sight };
                written.lock().unwrap().push(event.clone());
                // Most tests read the log at the end only.
                drop(send.send(event));
            }
        });
        Self { log, news, task }
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

    /// Everything so far.
    pub fn log(&self) -> Vec<Event> {
        self.log.lock().unwrap().clone()
    }

    /// The weights that were written, each change once.
    pub fn weights(&self) -> Vec<u64> {
        let log = self.log();
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
            let log = self.log();
            let mut weights = log.iter().filter_map(|event| match event.sight {
                Sight::Weight(weight) => Some((weight, event.at)),
                Sight::Scale { .. } | Sight::Status(_) => None,
            });
            let risen = weights.find(|(weight, _)| *weight > 0);
            if let Some((_, at)) = risen.and_then(|_| weights.find(|(weight, _)| *weight == 0)) {
                return at;
            }
            self.next().await;
        }
    }

    /// The fewest pods that a revision was asked to have.
    pub fn fewest_pods(&self, revision: &str) -> i32 {
        fewest(&self.log(), revision)
    }

    /// The fewest pods that a revision was asked to have until another one had all the traffic for the last time.
    pub fn fewest_pods_before_the_end(&self, revision: &str) -> i32 {
        let log = self.log();
        let whole = log.iter().rposition(|event| matches!(event.sight, Sight::Weight(100)));
        fewest(&log[..whole.expect("a revision got all the traffic")], revision)
    }

    /// The revisions that had pods at any time.
    pub fn revisions(&self) -> BTreeSet<String> {
        let log = self.log();
        let named = |event: &Event| match &event.sight {
            Sight::Scale { revision, .. } => Some(revision.clone()),
            _ => None,
        };
        log.iter().filter_map(named).collect()
    }

    /// The steps that were shown, by run, in the order in which they were seen, each change once.
    pub fn steps(&self) -> BTreeMap<String, Vec<i32>> {
        let mut steps: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for event in self.log() {
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

fn weights(stage: &Stage) -> impl Stream<Item = Sight> + use<> {
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
    let kind = ApiResource::from_gvk_with_plural(&kind, "httproutes");
    let api: Api<DynamicObject> = Api::namespaced_with(stage.world.client.clone(), &stage.world.namespace, &kind);
    watch(api, OWNED).filter_map(async |route| share(&route).map(Sight::Weight))
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

fn scales(stage: &Stage) -> impl Stream<Item = Sight> + use<> {
    watch(stage.world.api::<ReplicaSet>(), OWNED).map(|set| Sight::Scale {
        revision: set.labels().get("landfall.dev/revision").cloned().unwrap_or_default(),
        pods: set.spec.replicas.unwrap_or_default(),
    })
}

fn statuses(stage: &Stage) -> impl Stream<Item = Sight> + use<> {
    let statuses = watch(stage.deployments(), "");
    statuses.map(|deployment| Sight::Status(Box::new(deployment.status.unwrap_or_default())))
}

fn watch<K>(api: Api<K>, labels: &str) -> impl Stream<Item = K> + use<K>
where
    K: kube::Resource + Clone + std::fmt::Debug + Send + serde::de::DeserializeOwned + 'static,
{
    let looks = watcher(api, watcher::Config::default().labels(labels)).applied_objects();
    // A watch that breaks begins anew by itself, and at once: what happens meanwhile is not seen.
    looks.filter_map(async |look| look.ok())
}
