//! Landfall's custom resources as the command line reads them: whole objects, of which a part is understood.
//!
//! An object that this program cannot read, because a newer one wrote it, is shown by its name and does not hide the others.

use anyhow::{anyhow, bail};
use clap::ValueEnum;
use futures::{Stream, StreamExt};
use k8s_openapi::jiff::Timestamp;
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams},
    runtime::{
        WatchStreamExt,
        watcher::{self, watcher},
    },
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::access::{Session, ask};
use crate::{
    api::{deployment::Deployment, package::Package, profile::Profile},
    cluster::call::CallError,
};

/// A kind of custom resource, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Deployments.
    #[value(name = "deployments", aliases = ["deployment", "dpl"])]
    Deployments,
    /// Packages.
    #[value(name = "packages", aliases = ["package", "pkg"])]
    Packages,
    /// Profiles.
    #[value(name = "profiles", aliases = ["profile", "prof"])]
    Profiles,
}

impl Kind {
    /// How the API server knows it.
    pub fn resource(self) -> ApiResource {
        match self {
            Self::Deployments => ApiResource::erase::<Deployment>(&()),
            Self::Packages => ApiResource::erase::<Package>(&()),
            Self::Profiles => ApiResource::erase::<Profile>(&()),
        }
    }
}

/// The objects of a kind in one namespace.
pub fn api(session: &Session, kind: Kind) -> Api<DynamicObject> {
    Api::namespaced_with(session.client.clone(), &session.namespace, &kind.resource())
}

/// One object by its name.
///
/// # Errors
/// It does not exist, or cannot be asked for; the message says what to do.
pub async fn one(session: &Session, kind: Kind, name: &str) -> anyhow::Result<DynamicObject> {
    ask(api(session, kind).get(name)).await.map_err(|error| explain(error, session, kind, name))
}

/// All objects of a kind, of one namespace or of all, sorted by namespace and name.
///
/// # Errors
/// They cannot be asked for; the message says what to do.
pub async fn all(session: &Session, kind: Kind, everywhere: Everywhere) -> anyhow::Result<Vec<DynamicObject>> {
    list(session, kind, everywhere).await.map_err(|error| explain(error, session, kind, ""))
}

/// As [`all`], and none where the cluster does not know the kind.
///
/// # Errors
/// They cannot be asked for.
pub async fn any(session: &Session, kind: Kind, everywhere: Everywhere) -> anyhow::Result<Vec<DynamicObject>> {
    match list(session, kind, everywhere).await {
        Err(error) if error.is_absent() => Ok(Vec::new()),
        found => found.map_err(|error| explain(error, session, kind, "")),
    }
}

async fn list(session: &Session, kind: Kind, everywhere: Everywhere) -> Result<Vec<DynamicObject>, CallError> {
    let api = match everywhere {
        Everywhere::No => api(session, kind),
        Everywhere::Yes => Api::all_with(session.client.clone(), &kind.resource()),
    };
    let mut items = ask(api.list(&ListParams::default())).await?.items;
    items.sort_by_key(|object| (object.metadata.namespace.clone(), object.metadata.name.clone()));
    Ok(items)
}

/// Whether all namespaces are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Everywhere {
    /// One namespace.
    No,
    /// All.
    Yes,
}

/// Why an object cannot be had, with the remedy.
pub fn explain(error: CallError, session: &Session, kind: Kind, name: &str) -> anyhow::Error {
    let resource = kind.resource();
    match error {
        CallError::Refused { code: 404, message, .. } if !name.is_empty() && message.contains(name) => {
            let plural = &resource.plural;
            anyhow!("there is no {plural}.{} {name} in namespace {}", resource.group, session.namespace)
        }
        CallError::Refused { code: 404, .. } => anyhow!(
            "the cluster does not know {}.{}: install Landfall, or its definitions with `landfall crds | kubectl apply --server-side -f -`",
            resource.plural,
            resource.group
        ),
        other => other.into(),
    }
}

/// The part of an object that this program understands; none where it cannot be read.
pub fn read<K: DeserializeOwned>(object: &DynamicObject) -> Option<K> {
    serde_json::from_value(whole(object)).ok()
}

/// An object as JSON, without the record of who owns which field.
pub fn whole(object: &DynamicObject) -> Value {
    let mut object = object.clone();
    object.metadata.managed_fields = None;
    json!(object)
}

/// A Deployment by its name.
///
/// # Errors
/// It does not exist, cannot be asked for, or was written by a newer version.
pub async fn deployment(session: &Session, name: &str) -> anyhow::Result<Deployment> {
    understood(&one(session, Kind::Deployments, name).await?)
}

/// A Profile by its name.
///
/// # Errors
/// As [`deployment`].
pub async fn profile(session: &Session, name: &str) -> anyhow::Result<Profile> {
    understood(&one(session, Kind::Profiles, name).await?)
}

/// An object as a type of this program.
///
/// # Errors
/// It was written by a newer version.
pub fn understood<K: DeserializeOwned>(object: &DynamicObject) -> anyhow::Result<K> {
    match read(object) {
        Some(object) => Ok(object),
        None => bail!("{} cannot be read by this version: a newer one wrote it; update landfall", object.name_any()),
    }
}

/// What happens to objects, by label or field; it goes on until it is dropped.
///
/// Every watch ends by itself before the client takes the silence for a failure, and goes on where it was.
pub fn follow(api: Api<DynamicObject>, filter: watcher::Config) -> impl Stream<Item = watcher::Result<Event>> {
    watcher(api, filter.timeout(10)).default_backoff().boxed()
}

/// One thing that happened to an object.
pub type Event = watcher::Event<DynamicObject>;

/// What happens to one object.
pub fn follow_one(api: Api<DynamicObject>, name: &str) -> impl Stream<Item = watcher::Result<Event>> {
    follow(api, watcher::Config::default().fields(&format!("metadata.name={name}")))
}

/// Whether a failed watch will not work later either: the API server said no.
pub fn is_refused(error: &watcher::Error) -> bool {
    let code = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code,
        _ => 0,
    };
    matches!(code, 401 | 403 | 404)
}

/// The age of an object as kubectl writes it; empty where it has none.
pub fn age(object: &DynamicObject, now: Timestamp) -> String {
    let born = object.metadata.creation_timestamp.as_ref().map(|time| time.0);
    born.map(|born| short_span(now.as_second() - born.as_second())).unwrap_or_default()
}

/// A span of seconds in its largest unit, two where the number is small.
pub fn short_span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600, seconds / 60);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 if seconds % 60 > 0 => format!("{minutes}m{}s", seconds % 60),
        120..10_800 => format!("{minutes}m"),
        10_800..172_800 => format!("{hours}h"),
        _ => format!("{days}d"),
    }
}

/// A client's API for objects of any resource in a namespace.
pub fn of_resource(client: &Client, namespace: &str, resource: &ApiResource) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        let spans = [
            (-5, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (660, "11m"),
            (10_800, "3h"),
            (172_800, "2d"),
        ];
        for (seconds, text) in spans {
            assert_eq!(short_span(seconds), text);
        }
    }
}
