//! What belongs to a Deployment in the cluster, kept up to date by watches.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use futures::{Stream, StreamExt, future::ready, stream::select_all};
use k8s_openapi::api::{
    apps::v1::ReplicaSet,
    core::v1::{Pod, Service},
};
use kube::{
    ResourceExt,
    api::{ApiResource, DynamicObject},
    core::GroupVersionKind,
    runtime::watcher,
};

use crate::{
    api::{DEPLOYMENT_LABEL, deployment::Deployment, profile::Profile},
    cli::{
        access::{Session, ask},
        objects::{self, Event, Kind, follow, follow_one, is_refused, of_resource},
    },
};

/// Where a change comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The Deployment itself.
    Deployment,
    /// The pods of a revision, as one set.
    ReplicaSet,
    /// One instance.
    Pod,
    /// A Service.
    Service,
    /// A route for HTTP.
    HttpRoute,
    /// A route for gRPC.
    GrpcRoute,
}

/// What a Deployment consists of.
pub const PARTS: [Source; 5] = [Source::ReplicaSet, Source::Pod, Source::Service, Source::HttpRoute, Source::GrpcRoute];

impl Source {
    fn resource(self) -> ApiResource {
        let route = |kind| ApiResource::from_gvk(&GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", kind));
        match self {
            Self::Deployment => Kind::Deployments.resource(),
            Self::ReplicaSet => ApiResource::erase::<ReplicaSet>(&()),
            Self::Pod => ApiResource::erase::<Pod>(&()),
            Self::Service => ApiResource::erase::<Service>(&()),
            Self::HttpRoute => route("HTTPRoute"),
            Self::GrpcRoute => route("GRPCRoute"),
        }
    }
}

/// Objects of one kind by their names.
type Objects = BTreeMap<String, DynamicObject>;

/// All that was seen.
#[derive(Debug, Default)]
pub struct World {
    /// The Deployment.
    pub deployment: Option<Deployment>,
    /// Its parts.
    pub parts: BTreeMap<Source, Objects>,
    /// What cannot be seen, and why.
    pub notes: Vec<String>,
    /// The sources that have not said yet what there is.
    unheard: BTreeSet<Source>,
    /// What a source lists anew, until it is complete.
    listed: BTreeMap<Source, Objects>,
}

/// One change.
pub type Change = (Source, watcher::Result<Event>);

impl World {
    /// Whether every source has said what there is.
    pub fn is_complete(&self) -> bool {
        self.unheard.is_empty()
    }

    /// Takes a change in.
    ///
    /// # Errors
    /// The Deployment is gone, cannot be watched, or cannot be read.
    pub fn take(&mut self, (source, event): Change) -> anyhow::Result<()> {
        match event {
            Ok(Event::Init) => drop(self.listed.insert(source, Objects::new())),
            Ok(Event::InitApply(object)) => {
                self.listed.entry(source).or_default().insert(object.name_any(), object);
            }
            Ok(Event::InitDone) => {
                let listed = self.listed.remove(&source).unwrap_or_default();
                self.parts.insert(source, listed);
                self.unheard.remove(&source);
            }
            Ok(Event::Apply(object)) => {
                self.parts.entry(source).or_default().insert(object.name_any(), object);
            }
            Ok(Event::Delete(object)) => {
                self.parts.entry(source).or_default().remove(&object.name_any());
            }
            Err(error) => self.miss(source, &error)?,
        }
        if source == Source::Deployment { self.read_deployment() } else { Ok(()) }
    }

    /// A part that cannot be watched is left out and named; without the Deployment there is nothing to say.
    fn miss(&mut self, source: Source, error: &watcher::Error) -> anyhow::Result<()> {
        if !is_refused(error) {
            return Ok(());
        }
        if source == Source::Deployment {
            bail!("the Deployment cannot be watched: {error}");
        }
        let absent = matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404);
        // A kind that the cluster does not know has no objects.
        if self.unheard.remove(&source) && !absent {
            self.notes.push(format!("{}s are not shown: you may not watch them", source.resource().kind));
        }
        Ok(())
    }

    fn read_deployment(&mut self) -> anyhow::Result<()> {
        if self.unheard.contains(&Source::Deployment) {
            return Ok(());
        }
        match self.parts.get(&Source::Deployment).and_then(|objects| objects.values().next()) {
            None => bail!("the Deployment was deleted"),
            Some(object) => match objects::read(object) {
                Some(deployment) => self.deployment = Some(deployment),
                None => bail!("{} cannot be read by this version; update landfall", object.name_any()),
            },
        }
        Ok(())
    }

    /// The objects of one kind.
    pub fn all(&self, source: Source) -> impl Iterator<Item = &DynamicObject> {
        self.parts.get(&source).into_iter().flat_map(BTreeMap::values)
    }
}

/// Starts to watch a Deployment and its parts.
///
/// # Errors
/// There is no such Deployment, or it cannot be asked for.
pub async fn look(session: &Session, name: &str) -> anyhow::Result<(World, impl Stream<Item = Change>)> {
    let deployment = objects::deployment(session, name).await?;
    let mut world = World { unheard: [Source::Deployment].into(), ..World::default() };
    let own = follow_one(objects::api(session, Kind::Deployments), name);
    let mut streams = vec![own.map(|event| (Source::Deployment, event)).boxed()];
    match target(session, &deployment).await {
        Err(note) => world.notes.push(note),
        Ok(namespace) => {
            let filter = watcher::Config::default().labels(&selector(&deployment));
            for part in PARTS {
                let api = of_resource(&session.client, &namespace, &part.resource());
                let events = until_refused(follow(api, filter.clone()));
                streams.push(events.map(move |event| (part, event)).boxed());
                world.unheard.insert(part);
            }
        }
    }
    Ok((world, select_all(streams)))
}

/// A watch that is not tried again and again where the API server says no.
fn until_refused(events: impl Stream<Item = watcher::Result<Event>>) -> impl Stream<Item = watcher::Result<Event>> {
    let mut refused = false;
    events.take_while(move |event| {
        let goes_on = !refused;
        refused = event.as_ref().is_err_and(is_refused);
        ready(goes_on)
    })
}

/// The labels of everything that was made for a Deployment. The status says them, since a long name is not a label.
fn selector(deployment: &Deployment) -> String {
    let told = deployment.status.as_ref().and_then(|status| status.selector.clone());
    let told = told.filter(|selector| selector.starts_with(&format!("{DEPLOYMENT_LABEL}=")));
    told.unwrap_or_else(|| format!("{DEPLOYMENT_LABEL}={}", deployment.name_any()))
}

/// The namespace of a Deployment's parts, or why they are out of sight.
async fn target(session: &Session, deployment: &Deployment) -> Result<String, String> {
    let profile = ask(objects::api(session, Kind::Profiles).get_opt(&deployment.spec.profile)).await;
    let profile: Option<Profile> = profile.ok().flatten().as_ref().and_then(objects::read);
    let target = profile.and_then(|profile| profile.spec.target).unwrap_or_default();
    match target.kubeconfig {
        Some(_) => Err("it runs in another cluster, which is not looked at".to_owned()),
        None => Ok(target.namespace.unwrap_or_else(|| session.namespace.clone())),
    }
}
