//! What is applied of a release, as server-side apply gets it.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    json::{entries, list, remove, set, text},
    release::{Release, RoutedService, Shared, Workload},
    render::Refusal,
};
use crate::api::{
    ADOPT_ANNOTATION, DEPLOYMENT_LABEL, EXPOSE_ANNOTATION, MANAGED_BY, MANAGED_BY_LABEL, NAMESPACE_LABEL, NO_REVISION,
    OWNER_ANNOTATION, POD_HASH_LABEL, REPLICAS_ANNOTATION, REVISION_LABEL, ROLE_LABEL, Role, SELECTS_ANNOTATION,
    WORKLOADS_ANNOTATION, crd,
    names::{derived, label_value},
};

/// The longest name of a `ReplicaSet` whose pods carry all of it in theirs: of a longer one the API server cuts the end,
/// where the revision stands.
const REPLICA_SET_NAME_MAX: usize = 57;

/// The longest name of a `ReplicaSet` and of a Service.
const NAME_MAX: usize = 63;

/// The Landfall Deployment that objects are made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its uid.
    pub uid: String,
}

impl Owner {
    /// Marks an object as made for this Deployment. The labels of the package stay, but for Landfall's own.
    pub fn mark(&self, object: &mut Value, role: Role, revision: Option<&str>) {
        set(object, &["metadata", "labels", DEPLOYMENT_LABEL], json!(label_value(&self.name)));
        set(object, &["metadata", "labels", ROLE_LABEL], json!(role.as_str()));
        if let Some(revision) = revision {
            set(object, &["metadata", "labels", REVISION_LABEL], json!(revision));
        }
        if label(object, MANAGED_BY_LABEL).is_none() {
            set(object, &["metadata", "labels", MANAGED_BY_LABEL], json!(MANAGED_BY));
        }
        // An owner in another namespace makes the garbage collector delete the object.
        if self.is_beside(object) {
            set(object, &["metadata", "ownerReferences"], json!([self.reference()]));
        } else {
            set(object, &["metadata", "labels", NAMESPACE_LABEL], json!(self.namespace));
            set(object, &["metadata", "annotations", OWNER_ANNOTATION], json!(self.uid));
        }
    }

    fn is_beside(&self, object: &Value) -> bool {
        text(object, "/metadata/namespace") == self.namespace
    }

    /// Whether an object of the cluster belongs to this Deployment, or was handed over to it. Names and labels say nothing:
    /// Deployments of other namespaces have the same, and what a former one of this name left may be another tenant's. What
    /// somebody else controls is theirs, whatever else stands on it.
    pub fn owns(&self, live: &Value) -> bool {
        let owners = list(live, "/metadata/ownerReferences");
        let controller = owners.iter().find(|reference| reference["controller"] == json!(true));
        if let Some(controller) = controller {
            return text(controller, "/uid") == self.uid;
        }
        let referred = owners.iter().any(|reference| text(reference, "/uid") == self.uid);
        let annotation = |key: &str| live.pointer("/metadata/annotations")?.get(key)?.as_str();
        let marked = !self.is_beside(live) && annotation(OWNER_ANNOTATION) == Some(&self.uid);
        referred || marked || annotation(ADOPT_ANNOTATION) == Some(&self.adoption(live))
    }

    /// The value of the annotation that hands this object over.
    pub fn adoption(&self, live: &Value) -> String {
        if self.is_beside(live) { self.name.clone() } else { format!("{}/{}", self.namespace, self.name) }
    }

    /// The reference by which the garbage collector deletes an object with its owner.
    pub fn reference(&self) -> Value {
        json!({
            "apiVersion": crd::api_version(), "kind": "Deployment",
            "name": self.name, "uid": self.uid, "controller": true,
        })
    }
}

fn label<'v>(object: &'v Value, key: &str) -> Option<&'v Value> {
    object.pointer("/metadata/labels")?.get(key)
}

/// The revisions that a Service selects, by their hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// None.
    Nothing,
    /// Exactly one.
    One(String),
    /// More than one, which is the same as all that have pods.
    Several(BTreeSet<String>),
}

impl Selection {
    /// The value of the label in the selector; none where it must not be there.
    pub fn label(&self) -> Option<&str> {
        match self {
            Self::Nothing => Some(NO_REVISION),
            Self::One(hash) => Some(hash),
            Self::Several(_) => None,
        }
    }

    /// The hashes, joined by commas.
    pub fn listed(&self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::One(hash) => hash.clone(),
            Self::Several(hashes) => hashes.iter().map(String::as_str).collect::<Vec<_>>().join(","),
        }
    }

    fn write(&self, service: &mut Value) {
        match self.label() {
            Some(label) => set(service, &["spec", "selector", POD_HASH_LABEL], json!(label)),
            None => remove(service, &["spec", "selector", POD_HASH_LABEL]),
        }
        set(service, &["metadata", "annotations", SELECTS_ANNOTATION], json!(self.listed()));
    }
}

/// The port of a Service that a made route sends requests to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposed {
    /// The name of the Service.
    pub service: String,
    /// The number of its port.
    pub port: u16,
    /// The name of the port; empty where it has none.
    pub port_name: String,
}

/// The pods of a workload of `base` instances when the largest workload of its revision, of `desired` instances, is to have
/// `pods`.
pub fn pods_of(base: u32, pods: u32, desired: u32) -> u32 {
    let wanted = (u64::from(base) * u64::from(pods)).div_ceil(u64::from(desired.max(1)));
    u32::try_from(wanted).unwrap_or(u32::MAX)
}

impl Release {
    /// The instances of the largest workload, at least 1.
    pub fn desired(&self) -> u32 {
        self.workloads.iter().map(|workload| workload.replicas).max().unwrap_or(1).max(1)
    }

    /// The instances that the manifests ask for: of the largest workload, and none where all of them ask for none.
    pub fn instances(&self) -> u32 {
        self.workloads.iter().map(|workload| workload.replicas).max().unwrap_or(1)
    }

    /// What a workload counts for beside the others. Where all ask for none, whoever asks for some later means all alike.
    pub fn base(&self, workload: &Workload) -> u32 {
        if self.instances() == 0 { 1 } else { workload.replicas }
    }

    /// The name of the `ReplicaSet` of a workload.
    pub fn replica_set_name(&self, workload: &Workload) -> String {
        derived(&workload.name, &self.hash, REPLICA_SET_NAME_MAX)
    }

    /// The `ReplicaSet` of a workload with so many pods.
    pub fn replica_set(&self, workload: &Workload, owner: &Owner, pods: u32) -> Value {
        let manifest = &workload.object;
        let spec = |field: &str| manifest["spec"][field].clone();
        let mut object = json!({
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": manifest["metadata"],
            "spec": {"replicas": pods, "selector": spec("selector"), "template": spec("template")},
        });
        set(&mut object, &["metadata", "name"], json!(self.replica_set_name(workload)));
        if !manifest["spec"]["minReadySeconds"].is_null() {
            set(&mut object, &["spec", "minReadySeconds"], spec("minReadySeconds"));
        }
        set(&mut object, &["metadata", "annotations", REPLICAS_ANNOTATION], json!(self.base(workload).to_string()));
        set(&mut object, &["metadata", "annotations", WORKLOADS_ANNOTATION], json!(self.workloads.len().to_string()));
        // The label in the selector is enough: no pod of another Deployment has this hash and the package's own labels.
        set(&mut object, &["spec", "selector", "matchLabels", POD_HASH_LABEL], json!(self.hash));
        let labels = ["spec", "template", "metadata", "labels"];
        set(&mut object, &[&labels[..], &[POD_HASH_LABEL]].concat(), json!(self.hash));
        set(&mut object, &[&labels[..], &[DEPLOYMENT_LABEL]].concat(), json!(label_value(&owner.name)));
        owner.mark(&mut object, Role::Workload, Some(&self.hash));
        object
    }

    /// The configurations of the revision.
    pub fn config_objects(&self, owner: &Owner) -> Vec<Value> {
        self.marked(&self.configs, owner, Role::Config)
    }

    /// The Jobs of the revision.
    pub fn job_objects(&self, owner: &Owner) -> Vec<Value> {
        self.marked(&self.jobs, owner, Role::Job)
    }

    fn marked(&self, objects: &[Value], owner: &Owner, role: Role) -> Vec<Value> {
        let mut objects = objects.to_vec();
        for object in &mut objects {
            owner.mark(object, role, Some(&self.hash));
        }
        objects
    }

    /// The port that a made route uses: the only one, or the one that an annotation names.
    ///
    /// # Errors
    /// There is no such port, or several.
    pub fn exposed(&self) -> Result<Exposed, Refusal> {
        let named = |service: &&RoutedService| exposed_name(service).is_some();
        let ports: Vec<_> = match self.services.iter().filter(named).collect::<Vec<_>>().as_slice() {
            [] => self.services.iter().flat_map(ports).collect(),
            [service] => {
                let wanted = exposed_name(service);
                let found: Vec<_> = ports(service).filter(|port| Some(port.port_name.as_str()) == wanted).collect();
                if found.is_empty() {
                    let message = format!("the Service has no such port: write the name of one in {EXPOSE_ANNOTATION}");
                    return Err(annotation_refusal(service, message));
                }
                found
            }
            [_, second, ..] => {
                let message = format!("another Service has {EXPOSE_ANNOTATION} too: keep one of them");
                return Err(annotation_refusal(second, message));
            }
        };
        only(ports)
    }
}

fn only(mut ports: Vec<Exposed>) -> Result<Exposed, Refusal> {
    let count = ports.len();
    match ports.pop() {
        Some(port) if count == 1 => Ok(port),
        None => Err(Refusal::new(
            "spec.workload.manifests",
            "a route needs a Service that selects the package's pods: add one with a TCP port",
        )),
        Some(_) => Err(Refusal::new(
            "spec.workload.manifests",
            format!(
                "a route needs one port, and the Services have {count}: annotate the Service that is meant with \
                 {EXPOSE_ANNOTATION}: <name of the port>"
            ),
        )),
    }
}

fn annotation_refusal(service: &RoutedService, message: String) -> Refusal {
    Refusal::new(format!("Service {}: metadata.annotations", service.name), message)
}

fn exposed_name(service: &RoutedService) -> Option<&str> {
    service.object.pointer("/metadata/annotations")?.get(EXPOSE_ANNOTATION)?.as_str()
}

/// The ports of a Service that requests can be sent to.
fn ports(service: &RoutedService) -> impl Iterator<Item = Exposed> {
    let tcp = list(&service.object, "/spec/ports").iter().filter(|port| ["", "TCP"].contains(&text(port, "/protocol")));
    tcp.filter_map(|port| {
        let number = u16::try_from(port["port"].as_u64()?).ok()?;
        Some(Exposed { service: service.name.clone(), port: number, port_name: text(port, "/name").to_owned() })
    })
}

/// An object that all revisions share.
pub fn shared_object(shared: &Shared, owner: &Owner) -> Value {
    let mut object = shared.object.clone();
    owner.mark(&mut object, Role::Shared, None);
    object
}

/// The Service that clients know.
pub fn stable_service(service: &RoutedService, owner: &Owner, selection: &Selection) -> Value {
    let mut object = service.object.clone();
    selection.write(&mut object);
    owner.mark(&mut object, Role::Stable, None);
    object
}

/// The name of the Service of the revision under test.
pub fn candidate_name(service: &str) -> String {
    derived(service, "candidate", NAME_MAX)
}

/// The Service of the revision under test: what a router needs of the Service that clients know, and nothing that
/// others could reach it by.
pub fn candidate_service(service: &RoutedService, owner: &Owner, selection: &Selection) -> Value {
    let spec = &service.object["spec"];
    let mut kept = Map::new();
    for field in ["selector", "sessionAffinity", "sessionAffinityConfig"] {
        if let Some(value) = spec.get(field) {
            kept.insert(field.to_owned(), value.clone());
        }
    }
    kept.insert("type".to_owned(), json!("ClusterIP"));
    kept.insert("ports".to_owned(), list(spec, "/ports").iter().map(candidate_port).collect());
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": candidate_name(&service.name), "namespace": service.object["metadata"]["namespace"]},
        "spec": kept,
    });
    selection.write(&mut object);
    owner.mark(&mut object, Role::Candidate, None);
    object
}

fn candidate_port(port: &Value) -> Value {
    let kept = ["name", "protocol", "port", "targetPort", "appProtocol"];
    let entries = entries(port, "").filter(|(key, _)| kept.contains(&key.as_str()));
    Value::Object(entries.map(|(key, value)| (key.clone(), value.clone())).collect())
}
