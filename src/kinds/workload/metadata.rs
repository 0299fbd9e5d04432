//! Rules for the metadata of an object: its namespace, its owners, and the words that are Landfall's own.

use serde_json::Value;

use super::{
    json::entries,
    manifest::Item,
    parts::{Package, Part, apply_at, is_cluster_scoped},
    pod,
    render::Refusal,
    rules::is_text_map,
};
use crate::api::{APPLY_AT_ANNOTATION, EXPOSE_ANNOTATION, GROUP};

/// What is wrong with the metadata of an object and of its pods.
pub fn refusals(item: &Item, package: &Package<'_>, namespace: &str) -> Vec<Refusal> {
    let mut found = Vec::new();
    found.extend(foreign_namespace(item, namespace));
    found.extend(owners(item));
    found.extend(reserved(item, "metadata"));
    if let Some(template) = pod::template(item.group(), item.kind()) {
        found.extend(reserved(item, &format!("{}.metadata", template.trim_start_matches('/').replace('/', "."))));
    }
    found.extend(misplaced(item, package));
    found
}

fn foreign_namespace(item: &Item, namespace: &str) -> Option<Refusal> {
    let named = item.object.pointer("/metadata/namespace")?;
    if is_cluster_scoped(item) {
        return Some(item.refuse("metadata.namespace", format!("a {} has no namespace: remove it", item.kind())));
    }
    let message = format!("the target is {namespace}: remove the namespace, or write {namespace}");
    (named.as_str() != Some(namespace)).then(|| item.refuse("metadata.namespace", message))
}

fn owners(item: &Item) -> Option<Refusal> {
    item.object.pointer("/metadata/ownerReferences")?;
    Some(item.refuse("metadata.ownerReferences", "Landfall sets the owner of what it makes: remove the field"))
}

/// Words of Landfall that a package may not use: it would pass for somebody else's object.
fn reserved(item: &Item, at: &str) -> Vec<Refusal> {
    let pointer = format!("/{}", at.replace('.', "/"));
    let maps = ["labels", "annotations"].map(|map| (format!("{pointer}/{map}"), format!("{at}.{map}")));
    let mut found = Vec::new();
    for (pointer, field) in maps {
        if item.object.pointer(&pointer).is_some_and(|map| !is_text_map(map)) {
            found.push(item.refuse(&field, "this is a map of texts: put numbers and booleans in quotes"));
        }
        let claimed = entries(&item.object, &pointer).filter(|(key, _)| is_reserved(key));
        let allowed =
            |key: &str| field == "metadata.annotations" && [APPLY_AT_ANNOTATION, EXPOSE_ANNOTATION].contains(&key);
        let claimed = claimed.filter(|(key, _)| !allowed(key));
        found.extend(claimed.map(|(key, _)| item.refuse(&field, format!("{key} is set by Landfall alone: remove it"))));
    }
    found
}

/// Whether a key is in the group of Landfall or in one below it.
fn is_reserved(key: &str) -> bool {
    let prefix = key.split_once('/').map_or("", |(prefix, _)| prefix);
    prefix == GROUP || prefix.ends_with(&format!(".{GROUP}"))
}

/// Annotations that mean something, on objects to which they mean nothing.
fn misplaced(item: &Item, package: &Package<'_>) -> Vec<Refusal> {
    let field = "metadata.annotations";
    let has = |key: &str| {
        item.object.pointer("/metadata/annotations").and_then(|map| map.get(key)).is_some_and(Value::is_string)
    };
    let mut found = Vec::new();
    let part = package.part(item);
    if apply_at(&item.object).is_none() {
        found.push(item.refuse(field, format!("{APPLY_AT_ANNOTATION} is Start or Promotion: write one of them")));
    } else if has(APPLY_AT_ANNOTATION) && part != Part::Shared {
        let message =
            format!("{APPLY_AT_ANNOTATION} has a meaning only for objects that all revisions share: remove it");
        found.push(item.refuse(field, message));
    }
    if has(EXPOSE_ANNOTATION) && part != Part::Service {
        let message =
            format!("{EXPOSE_ANNOTATION} belongs on a Service that selects the package's pods: move it there");
        found.push(item.refuse(field, message));
    }
    found
}
