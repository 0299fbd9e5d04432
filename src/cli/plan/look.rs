//! What a plan rests on, read from the cluster once and as the caller. What may not be read counts as unknown, as it does
//! for the operator.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    apps::v1::ReplicaSet,
    batch::v1::Job,
    core::v1::{Pod, Service, ServiceAccount},
    discovery::v1::EndpointSlice,
};
use kube::{
    Api, ResourceExt,
    api::{ApiResource, ListParams},
    core::GroupVersionKind,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::outlook::{chosen, has_repository};
use crate::{
    analysis::pods::{Trouble, summary, trouble},
    api::{
        DEPLOYMENT_LABEL, POD_HASH_LABEL, deployment::Deployment, names::label_value, package::Package,
        profile::Profile, version::Version,
    },
    cli::{
        access::{Session, ask},
        objects::{Everywhere, Kind, all, api, deployment, of_resource, read},
    },
    cluster::{
        call::CallError,
        content::{Keeper, load},
        pods::old_pods,
        routers::Routers,
        store::{
            Key, Owned, Part, Store,
            view::{JobView, ReplicaSetView, RouteView, ServiceView, SliceView},
        },
        write::Writer,
    },
    engine::{observed::Revision, stage::Stage},
    kinds::workload::brought::Content,
    rollout::{aim, record::Record},
    telemetry::chain,
    traffic::{acknowledge::Controller, parent::ParentKey, parent::parents},
};

/// All that was read.
pub struct World {
    /// The Deployment, with the version that is planned.
    pub deployment: Deployment,
    /// What the operator remembers of it.
    pub record: Option<Record>,
    /// Its Profile; none where it does not exist.
    pub profile: Option<Profile>,
    /// The Packages of its name.
    pub packages: Vec<Package>,
    /// What a repository gave for the Package that is meant, or why it is not known; empty where none is wanted.
    pub content: Result<Content, String>,
    /// The Deployments of the namespace.
    pub neighbours: Vec<Deployment>,
    /// What belongs to it, and what of that could not be listed.
    pub store: Store,
    /// What belongs to it.
    pub owned: Owned,
    /// Who looks after the parents of its routes.
    pub controllers: BTreeMap<ParentKey, Controller>,
    /// Whether the account exists that its package is written as, or why that is not known.
    pub account: Result<bool, String>,
    /// What the pods of the run under way say of themselves.
    pub trouble: Trouble,
    /// How many pods a restart that is under way still has to replace.
    pub outdated: Option<Result<u32, String>>,
}

impl World {
    /// Reads everything.
    ///
    /// # Errors
    /// There is no such Deployment, or Landfall's own kinds cannot be read.
    pub async fn see(session: &Session, name: &str, version: Option<&Version>) -> anyhow::Result<Self> {
        let mut deployment = deployment(session, name).await?;
        if let Some(version) = version {
            deployment.spec.package.version = Some(version.clone());
            deployment.spec.package.range = None;
        }
        let profile: Option<Profile> = optional(session, Kind::Profiles, &deployment.spec.profile).await?;
        let mut packages: Vec<Package> = readable(session, Kind::Packages).await?;
        packages.retain(|package| package.spec.name == deployment.spec.package.name);
        let neighbours = readable(session, Kind::Deployments).await?;
        let key = Key::new(&session.namespace, &label_value(name));
        let store = Store::default();
        Box::pin(fill(session, &key, &store)).await;
        let owned = store.owned(&key, deployment.metadata.uid.as_deref().unwrap_or_default());
        let writer = Writer::new(session.client.clone());
        let all_parents = owned.routes.iter().flat_map(|route| parents(&route.object)).collect();
        let controllers = Routers::default().of(&writer, all_parents).await;
        let account = aim::account(profile.as_ref().map(|profile| &profile.spec)).to_owned();
        let text = deployment.status.as_ref().and_then(|status| status.record.as_deref());
        let record = text.and_then(Record::read);
        Ok(Self {
            content: brought(&writer, chosen(&deployment, record.as_ref(), &packages).ok().flatten()).await,
            account: exists(session, &account).await,
            trouble: troubled(session, &key, record.as_ref()).await,
            outdated: outdated(&writer, &key, record.as_ref()).await,
            deployment,
            record,
            profile,
            packages,
            neighbours,
            store,
            owned,
            controllers,
        })
    }
}

/// What a repository gave for a Package, read as the caller.
async fn brought(writer: &Writer, package: Option<&Package>) -> Result<Content, String> {
    let none = || "its manifests are not known".to_owned();
    let package = package.filter(|package| has_repository(package)).ok_or_else(none)?;
    let checksum = package.status.as_ref().and_then(|status| status.checksum.as_deref()).ok_or_else(none)?;
    let keeper = Keeper {
        package: package.name_any(),
        namespace: package.namespace().unwrap_or_default(),
        uid: package.metadata.uid.clone().unwrap_or_default(),
    };
    load(writer, &keeper, checksum).await.map_err(|error| chain(&error))
}

async fn optional<K: DeserializeOwned>(session: &Session, kind: Kind, name: &str) -> anyhow::Result<Option<K>> {
    match ask(api(session, kind).get_opt(name)).await {
        Ok(found) => Ok(found.and_then(|object| read(&object))),
        Err(error) => Err(crate::cli::objects::explain(error, session, kind, name)),
    }
}

/// All objects of a kind; one that a newer version wrote is as good as none.
async fn readable<K: DeserializeOwned>(session: &Session, kind: Kind) -> anyhow::Result<Vec<K>> {
    Ok(all(session, kind, Everywhere::No).await?.iter().filter_map(read).collect())
}

/// Lists what belongs to a Deployment.
async fn fill(session: &Session, key: &Key, store: &Store) {
    let take = |part, found: Result<Vec<Value>, CallError>, put: fn(&Store, Value)| match found {
        Ok(objects) => {
            for object in objects {
                put(store, object);
            }
            store.listed(part, &session.namespace, Ok(()));
        }
        // A router's kind that is not installed has no objects.
        Err(error) if error.is_absent() => store.listed(part, &session.namespace, Ok(())),
        Err(error) => store.listed(part, &session.namespace, Err(error.to_string())),
    };
    let list = |kind| list(session, key, kind);
    let route = |kind| ApiResource::from_gvk(&GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", kind));
    let (sets, services, slices, jobs, http, grpc) = tokio::join!(
        list(ApiResource::erase::<ReplicaSet>(&())),
        list(ApiResource::erase::<Service>(&())),
        list(ApiResource::erase::<EndpointSlice>(&())),
        list(ApiResource::erase::<Job>(&())),
        list(route("HTTPRoute")),
        list(route("GRPCRoute")),
    );
    take(Part::ReplicaSets, sets, |store, object| {
        parsed(object).as_ref().and_then(ReplicaSetView::of).into_iter().for_each(|view| store.put_replica_set(view));
    });
    take(Part::Services, services, |store, object| {
        parsed(object).as_ref().and_then(ServiceView::of).into_iter().for_each(|view| store.put_service(view));
    });
    take(Part::Slices, slices, |store, object| {
        parsed(object).as_ref().and_then(SliceView::of).into_iter().for_each(|view| store.put_slice(view));
    });
    take(Part::Jobs, jobs, |store, object| {
        parsed(object).as_ref().and_then(JobView::of).into_iter().for_each(|view| store.put_job(view));
    });
    let put_route = |store: &Store, object| RouteView::of(object).into_iter().for_each(|view| store.put_route(view));
    take(Part::HttpRoutes, http, put_route);
    take(Part::GrpcRoutes, grpc, put_route);
}

fn parsed<K: DeserializeOwned>(object: Value) -> Option<K> {
    serde_json::from_value(object).ok()
}

async fn list(session: &Session, key: &Key, kind: ApiResource) -> Result<Vec<Value>, CallError> {
    let labels = format!("{DEPLOYMENT_LABEL}={}", key.name);
    let api = of_resource(&session.client, &session.namespace, &kind);
    let found = ask(api.list(&ListParams::default().labels(&labels))).await?;
    // The items of a list do not say themselves what they are.
    let named = |object| {
        let mut object = json!(object);
        object["apiVersion"] = json!(kind.api_version);
        object["kind"] = json!(kind.kind);
        object
    };
    Ok(found.items.into_iter().map(named).collect())
}

async fn exists(session: &Session, account: &str) -> Result<bool, String> {
    let api: Api<ServiceAccount> = namespaced(session);
    let found = ask(api.get_opt(account)).await;
    found.map(|found| found.is_some()).map_err(|error| format!("service account {account}: {error}"))
}

fn namespaced<K>(session: &Session) -> Api<K>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
{
    Api::namespaced(session.client.clone(), &session.namespace)
}

/// What the pods of the run under way say of themselves. That they cannot be asked is nothing against them.
async fn troubled(session: &Session, key: &Key, record: Option<&Record>) -> Trouble {
    let Some(run) = record.and_then(|record| record.state.active()) else { return Trouble::default() };
    let labels = format!("{DEPLOYMENT_LABEL}={},{POD_HASH_LABEL}={}", key.name, run.revision);
    let pods = ask(namespaced::<Pod>(session).list(&ListParams::default().labels(&labels))).await;
    let pods = pods.map(|list| list.items).unwrap_or_default();
    trouble(&pods.iter().map(summary).collect::<Vec<_>>())
}

async fn outdated(writer: &Writer, key: &Key, record: Option<&Record>) -> Option<Result<u32, String>> {
    let run = record?.state.active()?;
    let Some(Stage::Renew(before)) = run.stage() else { return None };
    let of: (&str, &Revision) = (&key.name, &run.revision);
    let pods = old_pods(writer, &key.namespace, of, *before).await;
    Some(pods.map(|pods| u32::try_from(pods.len()).unwrap_or(u32::MAX)).map_err(|error| error.to_string()))
}

impl World {
    /// The namespace and the name, as people write them.
    pub fn title(&self) -> (String, String) {
        (self.deployment.namespace().unwrap_or_default(), self.deployment.name_any())
    }
}
