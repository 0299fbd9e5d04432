//! What a package must be: a list of rules, each of which looks at one object or at all of them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    autoscaler, deployment,
    json::text,
    manifest::Item,
    metadata, objects,
    parts::{Package, is_workload},
    pod,
    render::Refusal,
};
use crate::api::{
    GROUP, POD_HASH_LABEL,
    package::{INLINE_CONTENT_MAX, Manifest, Workload},
};

/// What runs pods and is not supported yet, by group and kind.
const UNSUPPORTED: [(&str, &str); 5] = [
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("apps", "ReplicaSet"),
    ("", "Pod"),
    ("", "ReplicationController"),
];

/// Whether the manifests fit into a Package.
pub fn size(manifests: &[Manifest]) -> Option<Refusal> {
    let size = serde_json::to_vec(manifests).map_or(0, |json| json.len());
    let message = format!("{size} bytes, at most {INLINE_CONTENT_MAX} fit into a Package: split it into several");
    (size > INLINE_CONTENT_MAX).then(|| Refusal::new("spec.workload.manifests", message))
}

/// Everything that stands against these objects.
pub fn refusals(items: &[Item], workload: &Workload, namespace: &str) -> Vec<Refusal> {
    let package = Package::of(items, namespace);
    let mut found = Vec::new();
    found.extend(no_workload(items));
    found.extend(twice(items));
    for item in items {
        found.extend(kind(item));
        found.extend(metadata::refusals(item, &package, namespace));
        found.extend(secret(item, workload));
        found.extend(deployment::refusals(item, items));
        found.extend(claimed_selector(item));
        found.extend(candidate_name(item, &package));
        found.extend(autoscaler::refusal(item, items));
    }
    found
}

fn no_workload(items: &[Item]) -> Option<Refusal> {
    // What stands in for a workload is refused by itself, with a better remedy.
    let tries = items.iter().any(|item| is_workload(item) || kind(item).is_some());
    (!tries).then(|| Refusal::new("spec.workload.manifests", "nothing here runs pods: add a Deployment of apps/v1"))
}

fn twice(items: &[Item]) -> Vec<Refusal> {
    let mut seen = BTreeSet::new();
    let repeated = items.iter().filter(|item| !seen.insert((item.group(), item.kind(), item.name())));
    repeated
        .map(|item| Refusal::new(&item.at, format!("{} {} is here twice: remove one", item.kind(), item.name())))
        .collect()
}

fn kind(item: &Item) -> Option<Refusal> {
    let (group, kind) = (item.group(), item.kind());
    if UNSUPPORTED.contains(&(group, kind)) {
        return Some(item.refuse("kind", format!("{kind} is not supported yet: use a Deployment of apps/v1")));
    }
    if kind == "Deployment" && (group == "extensions" || is_workload(item) && item.object["apiVersion"] != "apps/v1") {
        return Some(item.refuse("apiVersion", "this version of Deployment is gone: write apps/v1"));
    }
    if group == GROUP || group.ends_with(&format!(".{GROUP}")) {
        let message = "an object of Landfall is not content of a Package: apply it by itself";
        return Some(item.refuse("apiVersion", message));
    }
    None
}

/// What stands against a Secret.
pub fn secret(item: &Item, workload: &Workload) -> Option<Refusal> {
    reserved_type(item).or_else(|| plain_secret(item, workload))
}

/// A Secret of such a type says what is carried out: only the operator writes one.
fn reserved_type(item: &Item) -> Option<Refusal> {
    let reserved = format!("{GROUP}/");
    let claimed = item.is("", "Secret") && text(&item.object, "/type").starts_with(&reserved);
    let message =
        format!("Secrets whose type starts with {reserved} are written by Landfall alone: give it another type");
    claimed.then(|| item.refuse("type", message))
}

fn plain_secret(item: &Item, workload: &Workload) -> Option<Refusal> {
    let has_content =
        ["data", "stringData"].iter().any(|field| item.object[field].as_object().is_some_and(|map| !map.is_empty()));
    if !item.is("", "Secret") {
        None
    } else if item.object.get("sops").is_some() {
        let message = "Secrets that SOPS has encrypted are not supported yet: name one of the cluster in spec.envFrom of \
                       the Deployment";
        Some(item.refuse("sops", message))
    } else if has_content && workload.allow_plain_secrets != Some(true) {
        let readers = if workload.git.is_some() { "the repository" } else { "Packages" };
        let message = format!(
            "a Secret in plain text is readable by everybody who may read {readers}: name one of the cluster in \
             spec.envFrom of the Deployment, or set spec.workload.allowPlainSecrets"
        );
        Some(Refusal::new(&item.at, message))
    } else {
        None
    }
}

/// The label that tells revisions apart is Landfall's.
fn claimed_selector(item: &Item) -> Option<Refusal> {
    let is_claimed = |pointer: &str| item.object.pointer(pointer).and_then(|map| map.get(POD_HASH_LABEL)).is_some();
    let message = format!("{POD_HASH_LABEL} tells the pods of revisions apart and is set by Landfall: remove it");
    if item.is("", "Service") && is_claimed("/spec/selector") {
        return Some(item.refuse("spec.selector", message));
    }
    let template = pod::template(item.group(), item.kind())?;
    let fields = [format!("{template}/metadata/labels"), "/spec/selector/matchLabels".to_owned()];
    let field = fields.iter().find(|field| is_claimed(field))?;
    Some(item.refuse(field.trim_start_matches('/').replace('/', ".").as_str(), message))
}

/// Beside every Service that is routed Landfall puts another one.
fn candidate_name(item: &Item, package: &Package<'_>) -> Option<Refusal> {
    let taken =
        item.is("", "Service") && package.services().any(|service| objects::candidate_name(service) == item.name());
    let message = "Landfall makes a Service of this name for the version under test: give this one another name";
    taken.then(|| item.refuse("metadata.name", message))
}

/// Whether a value is a map of texts, as labels are.
pub fn is_text_map(value: &Value) -> bool {
    value.as_object().is_some_and(|map| map.values().all(Value::is_string))
}
