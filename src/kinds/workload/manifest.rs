//! One manifest of a package: what it is, where it stands, and what does not belong in it.

use serde_json::Value;

use super::{
    json::{drop_nulls, remove, text},
    pod,
    render::Refusal,
};
use crate::api::{
    names::{check_label, check_subdomain},
    package::Manifest,
};

/// What the API server writes into `metadata`; a manifest that was copied from a cluster has it.
const WRITTEN_BY_THE_SERVER: [&str; 8] = [
    "uid",
    "resourceVersion",
    "managedFields",
    "creationTimestamp",
    "generation",
    "selfLink",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

/// The annotation in which `kubectl apply` keeps a copy of the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A manifest that has apiVersion, kind and name.
#[derive(Clone)]
pub struct Item {
    /// The field it stands in, such as `spec.workload.manifests[3]`.
    pub at: String,
    /// The object.
    pub object: Value,
}

impl Item {
    /// Its API group; empty for the core group.
    pub fn group(&self) -> &str {
        text(&self.object, "/apiVersion").rsplit_once('/').map_or("", |(group, _)| group)
    }

    /// Its kind.
    pub fn kind(&self) -> &str {
        text(&self.object, "/kind")
    }

    /// Its name.
    pub fn name(&self) -> &str {
        text(&self.object, "/metadata/name")
    }

    /// Whether it is of this group and kind, in whatever version.
    pub fn is(&self, group: &str, kind: &str) -> bool {
        self.group() == group && self.kind() == kind
    }

    /// A refusal of one of its fields.
    pub fn refuse(&self, field: &str, message: impl Into<String>) -> Refusal {
        Refusal::new(format!("{}.{field}", self.at), message)
    }

    /// Takes away what the API server or `kubectl` put in, and what says nothing.
    pub fn clean(&mut self) {
        drop_nulls(&mut self.object);
        remove(&mut self.object, &["status"]);
        for field in WRITTEN_BY_THE_SERVER {
            remove(&mut self.object, &["metadata", field]);
        }
        remove(&mut self.object, &["metadata", "annotations", LAST_APPLIED]);
    }

    /// Its pod template, if it is of a kind that has one.
    pub fn template(&self) -> Option<&Value> {
        self.object.pointer(pod::template(self.group(), self.kind())?)
    }

    /// Its pod template, to be changed.
    pub fn template_mut(&mut self) -> Option<&mut Value> {
        let pointer = pod::template(self.group(), self.kind())?;
        self.object.pointer_mut(pointer)
    }
}

/// Reads the manifests of a package.
///
/// # Errors
/// What is no object of Kubernetes; the good ones are returned beside it.
pub fn read(manifests: &[Manifest]) -> (Vec<Item>, Vec<Refusal>) {
    let (mut items, mut refusals) = (Vec::new(), Vec::new());
    for (index, manifest) in manifests.iter().enumerate() {
        match item(index, &manifest.0) {
            Ok(item) => items.push(item),
            Err(refusal) => refusals.push(refusal),
        }
    }
    (items, refusals)
}

fn item(index: usize, object: &Value) -> Result<Item, Refusal> {
    let item = Item { at: format!("spec.workload.manifests[{index}]"), object: object.clone() };
    if object.pointer("/metadata/generateName").is_some() {
        let message = "the objects of a revision have fixed names: write metadata.name instead";
        return Err(item.refuse("metadata.generateName", message));
    }
    if item.kind() == "List" || (item.kind().ends_with("List") && object["items"].is_array()) {
        return Err(item.refuse("kind", "a list is not one object: write its items as manifests of their own"));
    }
    if text(object, "/apiVersion").is_empty() || item.kind().is_empty() || item.name().is_empty() {
        let message = "a manifest is an object with apiVersion, kind and metadata.name: add what is missing";
        return Err(Refusal::new(item.at, message));
    }
    identity(&item)?;
    Ok(item)
}

/// Whether group, version, kind and name can stand in the path of a request.
fn identity(item: &Item) -> Result<(), Refusal> {
    let api_version = text(&item.object, "/apiVersion");
    let version = api_version.rsplit_once('/').map_or(api_version, |(_, version)| version);
    let group_is_good = !api_version.contains('/') || check_subdomain(item.group()).is_ok();
    if !group_is_good || check_label(version).is_err() {
        return Err(item.refuse("apiVersion", "this is no version of an API: write one such as v1 or apps/v1"));
    }
    if !item.kind().bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(item.refuse("kind", "this is no kind: write one such as Deployment"));
    }
    let name = match (item.group(), item.kind()) {
        ("", "Service" | "Namespace") => check_label(item.name()).map_err(|error| error.to_string()),
        ("rbac.authorization.k8s.io", _) => check_path_segment(item.name()),
        _ => check_subdomain(item.name()).map_err(|error| error.to_string()),
    };
    name.map_err(|message| item.refuse("metadata.name", message))
}

/// Roles may have names such as `system:auth`.
fn check_path_segment(name: &str) -> Result<(), String> {
    let good = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte));
    if good && name.len() <= 253 && ![".", ".."].contains(&name) {
        Ok(())
    } else {
        Err("this is no name of a role: use letters, digits, '-', '.', '_' and ':'".to_owned())
    }
}
