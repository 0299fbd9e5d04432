//! The projections: of each object what decisions read.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use k8s_openapi::api::{batch::v1::JobStatus, discovery::v1::EndpointSlice};
use kube::{
    ResourceExt,
    core::{Object, ObjectMeta},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Key, Part, table::Item};
use crate::{
    api::{
        DEPLOYMENT_LABEL, LEFT_ANNOTATION, REPLICAS_ANNOTATION, REVISION_LABEL, ROLE_LABEL, Role, SELECTS_ANNOTATION,
        WORKLOADS_ANNOTATION,
        deployment::Deployment,
        names::label_value,
        package::{Package, PackageState, PackageStatus, Workload},
        profile::Profile,
        version::Version,
    },
    cluster::content::Keeper,
    engine::observed::Revision,
    kinds::workload::hash::content,
    traffic::{
        endpoints::{Endpoint, Slice},
        service::Selector,
    },
};

/// The label that an `EndpointSlice` names its Service with.
const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// The part of a `ReplicaSet`'s spec that is read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ReplicaSetSpec {
    /// The pods that are asked for.
    #[serde(default)]
    pub replicas: Option<u32>,
}

/// The part of a `ReplicaSet`'s status that is read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaSetStatus {
    /// Ready pods. Those that have been ready for `minReadySeconds` are `available_replicas`.
    #[serde(default)]
    pub available_replicas: Option<u32>,
    /// All pods.
    #[serde(default)]
    pub replicas: Option<u32>,
}

/// A `ReplicaSet` as it is read.
pub type ReplicaSetObject = Object<ReplicaSetSpec, ReplicaSetStatus>;

/// The pods of one workload of one revision, in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaSetView {
    owner: Key,
    /// Its name.
    pub name: Arc<str>,
    /// Its version.
    pub version: u64,
    /// The uid of the object that controls it.
    pub controller: Option<String>,
    /// The revision.
    pub revision: Revision,
    /// The instances that the manifest asks for.
    pub base: u32,
    /// The pods that are asked for.
    pub replicas: u32,
    /// The ready pods.
    pub ready: u32,
    /// All pods, also those that are starting.
    pub pods: u32,
    /// How many there are of the revision.
    pub siblings: usize,
}

impl ReplicaSetView {
    /// The projection; none for one that belongs to no revision.
    pub fn of(object: &ReplicaSetObject) -> Option<Self> {
        let meta = &object.metadata;
        let replicas = object.spec.replicas.unwrap_or(1);
        let status = object.status.clone().unwrap_or_default();
        let base = annotation(meta, REPLICAS_ANNOTATION).and_then(|text| text.parse().ok()).unwrap_or(replicas);
        Some(Self {
            owner: owner(meta)?,
            name: meta.name.as_deref()?.into(),
            version: version(meta),
            controller: controller(meta),
            revision: Revision(label(meta, REVISION_LABEL)?.to_owned()),
            base,
            replicas,
            ready: status.available_replicas.unwrap_or(0),
            pods: status.replicas.unwrap_or(0),
            siblings: annotation(meta, WORKLOADS_ANNOTATION).and_then(|text| text.parse().ok()).unwrap_or(1),
        })
    }
}

/// The part of a Service's spec that is read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    /// The labels of its pods.
    #[serde(default)]
    pub selector: BTreeMap<String, String>,
    /// Its address.
    #[serde(default, rename = "clusterIP")]
    pub cluster_ip: Option<String>,
    /// Its ports.
    #[serde(default)]
    pub ports: Vec<ServicePort>,
}

/// A port of a Service.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ServicePort {
    /// Its number.
    pub port: u16,
}

/// A Service as it is read.
pub type ServiceObject = Object<ServiceSpec, Value>;

/// A Service of a Deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceView {
    owner: Key,
    /// Its name.
    pub name: Arc<str>,
    /// Its version.
    pub version: u64,
    /// Whether it is the candidate's, or the one that clients know.
    pub role: Role,
    /// The uid of the object that controls it.
    pub controller: Option<String>,
    /// What it selects.
    pub selector: Selector,
    /// The revision that it was turned to although that has no such Service.
    pub left: Option<Revision>,
    /// Its address.
    pub address: Option<IpAddr>,
    /// Its first port.
    pub port: u16,
}

impl ServiceView {
    /// Whether the revision that it selects has no such Service.
    pub fn is_left_over(&self) -> bool {
        matches!((&self.selector, &self.left), (Selector::One(selected), Some(left)) if selected == left)
    }

    /// The projection; none for one that is not routed.
    pub fn of(object: &ServiceObject) -> Option<Self> {
        let meta = &object.metadata;
        let role =
            [Role::Stable, Role::Candidate].into_iter().find(|role| label(meta, ROLE_LABEL) == Some(role.as_str()))?;
        Some(Self {
            owner: owner(meta)?,
            name: meta.name.as_deref()?.into(),
            version: version(meta),
            role,
            controller: controller(meta),
            selector: Selector::new(Some(&object.spec.selector), annotation(meta, SELECTS_ANNOTATION)),
            left: annotation(meta, LEFT_ANNOTATION).map(|hash| Revision(hash.to_owned())),
            address: object.spec.cluster_ip.as_deref().and_then(|address| address.parse().ok()),
            port: object.spec.ports.first().map_or(80, |port| port.port),
        })
    }
}

/// The endpoints of a Service, or a part of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceView {
    owner: Key,
    name: Arc<str>,
    version: u64,
    /// The Service's name.
    pub service: Arc<str>,
    /// Its endpoints to which requests are sent.
    pub serving: Slice,
}

impl SliceView {
    /// The projection; none for a slice of somebody else's Service.
    pub fn of(object: &EndpointSlice) -> Option<Self> {
        let meta = &object.metadata;
        let mut serving = Slice::from(object);
        serving.endpoints.retain(Endpoint::serves);
        Some(Self {
            owner: owner(meta)?,
            name: meta.name.as_deref()?.into(),
            version: version(meta),
            service: label(meta, SERVICE_NAME_LABEL)?.into(),
            serving,
        })
    }
}

/// A Job as it is read.
pub type JobObject = Object<Value, JobStatus>;

/// A Job of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobView {
    owner: Key,
    /// Its name.
    pub name: Arc<str>,
    version: u64,
    /// The uid of the object that controls it.
    pub controller: Option<String>,
    /// The revision.
    pub revision: Revision,
    /// How it stands.
    pub end: JobEnd,
}

/// How a Job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEnd {
    /// It runs, or will.
    Open,
    /// It did what it had to.
    Complete,
    /// It failed, and why.
    Failed(String),
}

impl JobView {
    /// The projection; none for one that belongs to no revision.
    pub fn of(object: &JobObject) -> Option<Self> {
        let meta = &object.metadata;
        let conditions = object.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let mut ended = conditions.filter(|condition| condition.status == "True");
        let end = ended.find_map(|condition| match condition.type_.as_str() {
            "Complete" => Some(JobEnd::Complete),
            "Failed" => Some(JobEnd::Failed(condition.message.clone().unwrap_or_default())),
            _ => None,
        });
        Some(Self {
            owner: owner(meta)?,
            name: meta.name.as_deref()?.into(),
            version: version(meta),
            controller: controller(meta),
            revision: Revision(label(meta, REVISION_LABEL)?.to_owned()),
            end: end.unwrap_or(JobEnd::Open),
        })
    }
}

/// A route of a Deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteView {
    owner: Key,
    /// Its name.
    pub name: Arc<str>,
    /// Its version.
    pub version: u64,
    /// The uid of the object that controls it.
    pub controller: Option<String>,
    /// All of it but the record of its fields' owners.
    pub object: Value,
}

impl RouteView {
    /// The projection; none for one that Landfall has nothing to do with.
    pub fn of(mut object: Value) -> Option<Self> {
        let meta = ObjectMeta::deserialize(object.get("metadata")?).ok()?;
        if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            meta.remove("managedFields");
        }
        Some(Self {
            owner: owner(&meta)?,
            name: meta.name.as_deref()?.into(),
            version: version(&meta),
            controller: controller(&meta),
            object,
        })
    }

    /// The table that it belongs to.
    pub fn part(&self) -> Part {
        match self.object.get("kind").and_then(Value::as_str) {
            Some("GRPCRoute") => Part::GrpcRoutes,
            _ => Part::HttpRoutes,
        }
    }
}

/// A Package without its content.
#[derive(Debug, Clone, PartialEq)]
pub struct PackageView {
    owner: Key,
    name: Arc<str>,
    object_version: u64,
    /// Its generation.
    pub generation: i64,
    /// The version of the release.
    pub version: Version,
    /// Whether it may be used.
    pub state: PackageState,
    /// What must run first.
    pub depends_on: Vec<crate::api::package::Dependency>,
    /// The digest of its content as it is now.
    pub digest: String,
    /// The size of its content and the number of its objects.
    pub size: (usize, usize),
    /// Its uid.
    pub uid: String,
    /// Its content, where a repository has it.
    pub repository: Option<Arc<Workload>>,
    /// Its status.
    pub status: PackageStatus,
}

impl PackageView {
    /// The projection.
    pub fn of(package: &Package) -> Option<Self> {
        let meta = &package.metadata;
        let spec = &package.spec;
        let manifests = spec.workload.as_ref().and_then(|workload| workload.manifests.as_deref()).unwrap_or_default();
        let content = content(spec);
        Some(Self {
            owner: Key::new(meta.namespace.as_deref()?, &spec.name),
            name: meta.name.as_deref()?.into(),
            object_version: version(meta),
            generation: meta.generation.unwrap_or(0),
            version: spec.version.clone(),
            state: spec.state.unwrap_or_default(),
            depends_on: spec.depends_on.clone(),
            digest: content.digest,
            size: (content.size, manifests.len()),
            uid: meta.uid.clone().unwrap_or_default(),
            repository: spec.workload.as_ref().filter(|workload| workload.git.is_some()).cloned().map(Arc::new),
            status: package.status.clone().unwrap_or_default(),
        })
    }
}

impl PackageView {
    /// The digest of what a Deployment would get; none while nothing is known of what a repository has.
    pub fn carried(&self) -> Option<&str> {
        match &self.repository {
            None => Some(&self.digest),
            Some(_) => self.status.checksum.as_deref(),
        }
    }

    /// The Package as the owner of what is kept of it.
    pub fn keeper(&self) -> Keeper {
        Keeper { package: self.name.to_string(), namespace: self.owner.namespace.to_string(), uid: self.uid.clone() }
    }
}

/// What a Deployment controls.
pub trait Controlled {
    /// The uid of the object that controls it.
    fn controller(&self) -> Option<&str>;
}

macro_rules! controlled {
    ($($view:ident),+) => {
        $(impl Controlled for $view {
            fn controller(&self) -> Option<&str> {
                self.controller.as_deref()
            }
        })+
    };
}
controlled!(JobView, ReplicaSetView, ServiceView, RouteView);

macro_rules! item {
    ($($view:ident: $version:ident),+) => {
        $(impl Item for $view {
            fn owner(&self) -> Key {
                self.owner.clone()
            }

            fn name(&self) -> &str {
                &self.name
            }

            fn version(&self) -> u64 {
                self.$version
            }
        })+
    };
}
item!(JobView: version, ReplicaSetView: version, ServiceView: version, SliceView: version, RouteView: version, PackageView: object_version);

impl Item for Deployment {
    fn owner(&self) -> Key {
        Key::new(self.metadata.namespace.as_deref().unwrap_or_default(), &label_value(&self.name_any()))
    }

    fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    fn version(&self) -> u64 {
        version(&self.metadata)
    }
}

impl Item for Profile {
    fn owner(&self) -> Key {
        Key::new(self.metadata.namespace.as_deref().unwrap_or_default(), self.name())
    }

    /// What its status counts changes with every run of its Deployments, and is nothing to them.
    fn generation(&self) -> Option<i64> {
        self.metadata.generation
    }

    fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    fn version(&self) -> u64 {
        version(&self.metadata)
    }
}

/// The version of an object as a number. API servers count them up; one that does not gets 0, which is never newer.
pub fn version(meta: &ObjectMeta) -> u64 {
    meta.resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn label<'a>(meta: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    meta.labels.as_ref()?.get(name).map(String::as_str)
}

fn annotation<'a>(meta: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(name).map(String::as_str)
}

fn owner(meta: &ObjectMeta) -> Option<Key> {
    Some(Key::new(meta.namespace.as_deref()?, label(meta, DEPLOYMENT_LABEL)?))
}

fn controller(meta: &ObjectMeta) -> Option<String> {
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    owners.iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.clone())
}
