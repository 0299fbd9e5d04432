//! Rules for `kind: Deployment` of apps/v1, which becomes one `ReplicaSet` per revision.

use serde_json::{Map, Value};

use super::{
    json::entries,
    manifest::Item,
    parts::{is_workload, pod_labels, replicas},
    render::Refusal,
    selector,
};

/// The fields of its spec; another one would be lost without a word on the way to a `ReplicaSet`.
const FIELDS: [&str; 8] = [
    "minReadySeconds",
    "paused",
    "progressDeadlineSeconds",
    "replicas",
    "revisionHistoryLimit",
    "selector",
    "strategy",
    "template",
];

/// What is wrong with a Deployment; nothing with other kinds.
pub fn refusals(item: &Item, items: &[Item]) -> Vec<Refusal> {
    if !is_workload(item) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let unknown = entries(&item.object, "/spec").filter(|(key, _)| !FIELDS.contains(&key.as_str()));
    found.extend(unknown.map(|(key, _)| {
        item.refuse(&format!("spec.{key}"), "a Deployment has no such field: remove it, or correct its name")
    }));
    found.extend(bad_replicas(item));
    found.extend(paused(item));
    found.extend(no_containers(item));
    found.extend(unmatched(item).err());
    found.extend(overlap(item, items));
    found
}

fn bad_replicas(item: &Item) -> Option<Refusal> {
    item.object.pointer("/spec/replicas")?;
    let message = "this is no number of instances: write an integer from 0 on";
    replicas(&item.object).is_none().then(|| item.refuse("spec.replicas", message))
}

fn paused(item: &Item) -> Option<Refusal> {
    let message = "Landfall would not see this pause: set spec.paused of the Deployment of landfall.dev";
    (item.object.pointer("/spec/paused")? == true).then(|| item.refuse("spec.paused", message))
}

fn no_containers(item: &Item) -> Option<Refusal> {
    let containers = item.template().and_then(|template| template.pointer("/spec/containers")?.as_array());
    let message = "a pod needs at least one container: add it";
    containers.is_none_or(Vec::is_empty).then(|| item.refuse("spec.template.spec.containers", message))
}

/// Whether the selector matches the Deployment's own pods, as apps/v1 demands.
fn unmatched(item: &Item) -> Result<(), Refusal> {
    let selector = &item.object["spec"]["selector"];
    if selector::is_empty(selector) {
        let message = "a Deployment needs a selector: add matchLabels that its pods have";
        return Err(item.refuse("spec.selector", message));
    }
    let none = Map::new();
    match selector::matches(selector, pod_labels(item).unwrap_or(&none)) {
        Ok(true) => Ok(()),
        Ok(false) => {
            let message = "the selector does not match the labels of the template: make them agree";
            Err(item.refuse("spec.selector", message))
        }
        Err(message) => Err(item.refuse("spec.selector.matchExpressions", message)),
    }
}

/// All workloads of a revision have the same hash, so that nothing but their own labels tells their pods apart.
fn overlap(item: &Item, items: &[Item]) -> Option<Refusal> {
    let selector = item.object.pointer("/spec/selector").filter(|selector| !selector::is_empty(selector))?;
    let others = items.iter().filter(|other| is_workload(other) && other.at != item.at && other.name() != item.name());
    let caught = others.into_iter().find(|other| catches(selector, other))?;
    let message =
        format!("the selector also matches the pods of {}: add a label to both that tells them apart", caught.name());
    Some(item.refuse("spec.selector", message))
}

fn catches(selector: &Value, other: &Item) -> bool {
    pod_labels(other).is_some_and(|labels| selector::matches(selector, labels) == Ok(true))
}
