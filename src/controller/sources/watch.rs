//! A watch of one kind: what it sees goes into the view of all.

use std::{collections::HashSet, time::Duration};

use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, PartialObjectMeta},
    runtime::watcher::{self, DefaultBackoff, Event, watcher},
};
use tracing::debug;

use super::{
    drift::{Shared, Spot, lock},
    sight::{Sight, name},
};
use crate::{
    cluster::{call::CallError, store::Key},
    controller::queue::Queue,
    gitops::object::Id,
};

/// How long a watch may be silent. API servers end each one sooner, so a longer silence is a connection that is dead.
const SILENCE_MAX: Duration = Duration::from_mins(6);

/// The longest pause before a watch that broke is started again.
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// A watch of one kind.
pub struct Watch {
    /// For the calls.
    pub client: Client,
    /// The kind as the API server names it.
    pub resource: ApiResource,
    /// The kind, and the namespace that is watched; none for all.
    pub spot: Spot,
    /// The labels of what is watched.
    pub labels: String,
    /// Where it goes.
    pub all: Shared,
    /// Who is told.
    pub profiles: Queue,
}

impl Watch {
    /// Watches for ever. A watch that is refused is tried again all the same: rights may come later.
    pub async fn run(self) {
        let api: Api<PartialObjectMeta<DynamicObject>> = match self.spot.namespace.as_deref() {
            None => Api::all_with(self.client.clone(), &self.resource),
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &self.resource),
        };
        let config = watcher::Config::default().labels(&self.labels).page_size(500);
        // They begin anew by themselves after a while without trouble: a list that is answered is none, where no watch follows.
        let mut pauses = DefaultBackoff::default();
        loop {
            let mut events = std::pin::pin!(watcher(api.clone(), config.clone()));
            let mut listed = None;
            while let Ok(Some(event)) = tokio::time::timeout(SILENCE_MAX, events.next()).await {
                match event {
                    Ok(event) => self.take(event, &mut listed),
                    Err(error) => {
                        self.broke(error);
                        break;
                    }
                }
            }
            tokio::time::sleep(pauses.next().unwrap_or(PAUSE_MAX)).await;
        }
    }

    fn broke(&self, error: watcher::Error) {
        let cause = match error {
            watcher::Error::InitialListFailed(source)
            | watcher::Error::WatchStartFailed(source)
            | watcher::Error::WatchFailed(source) => {
                let error = CallError::from(source);
                if error.is_denied() {
                    self.tell(lock(&self.all).refused(&self.spot));
                }
                error.to_string()
            }
            _ => "the API server ended it".to_owned(),
        };
        debug!(kind = self.resource.kind, cause, "objects of repositories cannot be watched");
    }

    fn take(&self, event: Event<PartialObjectMeta<DynamicObject>>, listed: &mut Option<HashSet<(Key, Id)>>) {
        match event {
            Event::Init => *listed = Some(HashSet::new()),
            Event::InitApply(object) => {
                if let Some(seen) = self.saw(&object.metadata)
                    && let Some(listed) = listed
                {
                    listed.insert(seen);
                }
            }
            Event::InitDone => {
                let listed = listed.take().unwrap_or_default();
                self.tell(lock(&self.all).listed(self.spot.clone(), &listed));
            }
            Event::Apply(object) => drop(self.saw(&object.metadata)),
            Event::Delete(object) => {
                if let Some((key, id)) = self.name(&object.metadata)
                    && lock(&self.all).gone(&key, &id)
                {
                    self.profiles.add(key);
                }
            }
        }
    }

    fn name(&self, meta: &ObjectMeta) -> Option<(Key, Id)> {
        name(meta, (&self.spot.api_version, &self.spot.kind))
    }

    fn saw(&self, meta: &ObjectMeta) -> Option<(Key, Id)> {
        let (key, id) = self.name(meta)?;
        if lock(&self.all).saw(&key, &id, Sight::of(meta)) {
            self.profiles.add(key.clone());
        }
        Some((key, id))
    }

    fn tell(&self, keys: impl IntoIterator<Item = Key>) {
        keys.into_iter().for_each(|key| self.profiles.add(key));
    }
}
