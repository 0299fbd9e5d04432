//! Sorts the objects of a package by what a revision does with them.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use super::{
    alone,
    json::{entries, list, remove, set, text},
    manifest::Item,
    mentions::{self, Configs},
    pod::{self, Config},
    release::{ApplyAt, FORMAT, Release, RoutedService, Shared, Workload},
    selector,
};
use crate::api::{APPLY_AT_ANNOTATION, names::derived};

/// The longest name of a `ConfigMap` or a Secret.
const CONFIG_NAME_MAX: usize = 253;
/// The longest name of a Job, which becomes a label of its pods.
const JOB_NAME_MAX: usize = 63;

/// What an object of a package is to a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It runs pods that serve.
    Workload,
    /// A pod is configured with it.
    Config,
    /// It runs pods that end.
    Job,
    /// It selects pods of the workloads.
    Service,
    /// It sends requests to such a Service.
    Route,
    /// Anything else.
    Shared,
}

/// What is to be known of the whole package to say what one of its objects is.
pub struct Package<'a> {
    services: BTreeSet<&'a str>,
    configs: Configs,
    namespace: &'a str,
}

impl<'a> Package<'a> {
    /// Looks at all objects.
    pub fn of(items: &'a [Item], namespace: &'a str) -> Self {
        let labels: Vec<_> = items.iter().filter(|item| is_workload(item)).filter_map(pod_labels).collect();
        let routed = |item: &&Item| {
            item.is("", "Service")
                && text(&item.object, "/spec/type") != "ExternalName"
                && labels.iter().any(|labels| selector::selects(&item.object["spec"]["selector"], labels))
        };
        let services = items.iter().filter(routed).map(Item::name).collect();
        Self { services, configs: configs(items), namespace }
    }

    /// The names of the Services that select pods of the workloads.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.services.iter().copied()
    }

    /// What this object is.
    pub fn part(&self, item: &Item) -> Part {
        let config = Config::of(item.group(), item.kind());
        if is_workload(item) {
            Part::Workload
        } else if item.is("batch", "Job") {
            Part::Job
        } else if config.is_some_and(|config| self.configs.contains(&(config, item.name().to_owned()))) {
            Part::Config
        } else if item.is("", "Service") && self.services.contains(item.name()) {
            Part::Service
        } else if self.routes(item) {
            Part::Route
        } else {
            Part::Shared
        }
    }

    fn routes(&self, item: &Item) -> bool {
        let is_route = item.group() == "gateway.networking.k8s.io" && ["HTTPRoute", "GRPCRoute"].contains(&item.kind());
        let backends = list(&item.object, "/spec/rules").iter().flat_map(|rule| list(rule, "/backendRefs"));
        is_route && backends.into_iter().any(|backend| self.is_routed(backend))
    }

    fn is_routed(&self, backend: &Value) -> bool {
        let is = |field: &str, default: &str| backend[field].as_str().unwrap_or(default) == default;
        is("group", "")
            && is("kind", "Service")
            && is("namespace", self.namespace)
            && backend["name"].as_str().is_some_and(|name| self.services.contains(name))
    }
}

/// Whether the item is a Deployment that becomes `ReplicaSet`s.
pub fn is_workload(item: &Item) -> bool {
    item.is("apps", "Deployment")
}

/// The labels of the pods of a workload.
pub fn pod_labels(item: &Item) -> Option<&Map<String, Value>> {
    item.template()?.pointer("/metadata/labels")?.as_object()
}

/// The package's own configurations that only its workloads and Jobs name.
fn configs(items: &[Item]) -> Configs {
    let (mut named, mut mentioned) = (Configs::new(), Configs::new());
    for item in items {
        match item.template() {
            Some(template) if is_workload(item) || item.is("batch", "Job") => named.extend(pod::named(template)),
            _ if Config::of(item.group(), item.kind()).is_some() => {}
            _ => mentions::collect(&item.object, "", &mut mentioned),
        }
    }
    let own = items.iter().filter_map(|item| Some((Config::of(item.group(), item.kind())?, item.name().to_owned())));
    own.filter(|config| named.contains(config) && !mentioned.contains(config)).collect()
}

/// Makes the release of objects that no rule refuses.
pub fn release(items: &[Item], namespace: &str, hash: &str) -> Release {
    let package = Package::of(items, namespace);
    let rename = |(config, name): &(Config, String)| ((*config, name.clone()), derived(name, hash, CONFIG_NAME_MAX));
    let names: BTreeMap<_, _> = package.configs.iter().map(rename).collect();
    let mut release = Release { format: FORMAT, hash: hash.to_owned(), ..Release::default() };
    for item in items {
        let mut settled = settled(item, namespace);
        if let Some(template) = settled.template_mut() {
            pod::rename(template, &names);
        }
        let object = settled.object;
        match package.part(item) {
            Part::Workload => release.workloads.push(workload(item, object, items)),
            Part::Config => release.configs.push(config(object, hash)),
            Part::Job => release.jobs.push(renamed(object, hash, JOB_NAME_MAX)),
            Part::Service => release.services.push(RoutedService { name: item.name().to_owned(), object }),
            Part::Route => release.routes.push(object),
            Part::Shared => release.shared.push(Shared { at: apply_at(&object).unwrap_or_default(), object }),
        }
    }
    release
}

/// The item as it is written: in its namespace, with the texts of a Secret encoded as the API server would.
fn settled(item: &Item, namespace: &str) -> Item {
    let mut settled = item.clone();
    if !is_cluster_scoped(item) {
        set(&mut settled.object, &["metadata", "namespace"], json!(namespace));
    }
    if item.is("", "Secret") {
        let texts: Vec<_> = entries(&item.object, "/stringData").collect();
        for (key, value) in texts {
            let encoded = STANDARD.encode(value.as_str().unwrap_or_default());
            set(&mut settled.object, &["data", key], json!(encoded));
        }
        remove(&mut settled.object, &["stringData"]);
    }
    settled
}

fn workload(item: &Item, object: Value, items: &[Item]) -> Workload {
    Workload {
        name: item.name().to_owned(),
        replicas: replicas(&object).unwrap_or(1),
        object,
        alone: alone::reason(item, items),
    }
}

/// How many instances a manifest asks for, if it says so rightly.
pub fn replicas(object: &Value) -> Option<u32> {
    u32::try_from(object.pointer("/spec/replicas")?.as_u64()?).ok()
}

fn config(object: Value, hash: &str) -> Value {
    let mut object = renamed(object, hash, CONFIG_NAME_MAX);
    set(&mut object, &["immutable"], json!(true));
    object
}

fn renamed(mut object: Value, hash: &str, max: usize) -> Value {
    let name = derived(text(&object, "/metadata/name"), hash, max);
    set(&mut object, &["metadata", "name"], json!(name));
    object
}

/// When a change of an object is applied; none where its annotation is neither word.
pub fn apply_at(object: &Value) -> Option<ApplyAt> {
    match object.pointer("/metadata/annotations").and_then(|annotations| annotations.get(APPLY_AT_ANNOTATION)) {
        None => Some(ApplyAt::default()),
        Some(Value::String(at)) if at == "Start" => Some(ApplyAt::Start),
        Some(Value::String(at)) if at == "Promotion" => Some(ApplyAt::Promotion),
        Some(_) => None,
    }
}

/// Kinds without namespace, by group. Which others there are, only a cluster knows.
const CLUSTER_SCOPED: [(&str, &[&str]); 13] = [
    ("", &["Namespace", "Node", "PersistentVolume"]),
    (
        "admissionregistration.k8s.io",
        &[
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        ],
    ),
    ("apiextensions.k8s.io", &["CustomResourceDefinition"]),
    ("apiregistration.k8s.io", &["APIService"]),
    ("cert-manager.io", &["ClusterIssuer"]),
    ("certificates.k8s.io", &["CertificateSigningRequest", "ClusterTrustBundle"]),
    ("flowcontrol.apiserver.k8s.io", &["FlowSchema", "PriorityLevelConfiguration"]),
    ("gateway.networking.k8s.io", &["GatewayClass"]),
    ("networking.k8s.io", &["IPAddress", "IngressClass", "ServiceCIDR"]),
    ("node.k8s.io", &["RuntimeClass"]),
    ("rbac.authorization.k8s.io", &["ClusterRole", "ClusterRoleBinding"]),
    ("scheduling.k8s.io", &["PriorityClass"]),
    ("storage.k8s.io", &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"]),
];

/// Whether the kind is known to have no namespace.
pub fn is_cluster_scoped(item: &Item) -> bool {
    CLUSTER_SCOPED.iter().any(|(group, kinds)| *group == item.group() && kinds.contains(&item.kind()))
}
