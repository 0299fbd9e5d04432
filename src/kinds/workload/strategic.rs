//! Strategic merge patches: merge patches that know which lists are sets of named things.
//!
//! Only the built-in kinds have such lists. For the objects of other groups a patch replaces lists whole, as `kubectl` and
//! kustomize do.

use serde_json::{Map, Value};

/// The word that tells what to do with the object around it.
const DIRECTIVE: &str = "$patch";
/// The word that lists the only fields which the object around it keeps.
const RETAIN: &str = "$retainKeys";

/// Lists whose items are known by one of their fields.
const MERGE_KEYS: [(&str, &str); 13] = [
    ("containers", "name"),
    ("initContainers", "name"),
    ("ephemeralContainers", "name"),
    ("volumes", "name"),
    ("env", "name"),
    ("volumeMounts", "mountPath"),
    ("volumeDevices", "devicePath"),
    ("imagePullSecrets", "name"),
    ("secrets", "name"),
    ("hostAliases", "ip"),
    ("topologySpreadConstraints", "topologyKey"),
    ("resourceClaims", "name"),
    ("schedulingGates", "name"),
];

/// Lists whose items know each other by themselves.
const SETS: [&str; 1] = ["finalizers"];

/// Which lists a patch merges.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lists {
    /// Those of the built-in kinds.
    BuiltIn,
    /// None: all are replaced.
    Replaced,
}

/// What a patch did to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is changed, or was so already.
    Kept,
    /// It is to be removed.
    Deleted,
}

/// Applies a patch to an object.
///
/// # Errors
/// What in the patch cannot be understood.
pub fn apply(object: &mut Value, patch: &Value, lists: Lists) -> Result<Outcome, String> {
    let (Value::Object(object), Value::Object(patch)) = (object, patch) else {
        return Err("a patch of an object is an object itself".to_owned());
    };
    merge(object, patch, lists)
}

fn merge(object: &mut Map<String, Value>, patch: &Map<String, Value>, lists: Lists) -> Result<Outcome, String> {
    match directive(patch)? {
        Some("delete") => return Ok(Outcome::Deleted),
        Some("replace") => object.clear(),
        _ => {}
    }
    for (key, new) in patch.iter().filter(|(key, _)| *key != DIRECTIVE) {
        if key == RETAIN {
            retain(object, new);
        } else if key.starts_with('$') {
            return Err(format!("the directive {key} is not supported: use {DIRECTIVE} or {RETAIN}"));
        } else {
            field(object, key, new, lists)?;
        }
    }
    Ok(Outcome::Kept)
}

fn directive(patch: &Map<String, Value>) -> Result<Option<&str>, String> {
    match patch.get(DIRECTIVE).map(|word| word.as_str().unwrap_or_default()) {
        None => Ok(None),
        Some(word @ ("merge" | "replace" | "delete")) => Ok(Some(word)),
        Some(_) => Err(format!("{DIRECTIVE} is merge, replace or delete: write one of them")),
    }
}

fn retain(object: &mut Map<String, Value>, keys: &Value) {
    let kept = keys.as_array().map(Vec::as_slice).unwrap_or_default();
    object.retain(|key, _| kept.iter().any(|word| word == key));
}

fn field(object: &mut Map<String, Value>, key: &str, new: &Value, lists: Lists) -> Result<(), String> {
    match new {
        Value::Null => drop(object.remove(key)),
        Value::Object(patch) => {
            let mut inner = match object.remove(key) {
                Some(Value::Object(inner)) => inner,
                _ => Map::new(),
            };
            if merge(&mut inner, patch, lists)? == Outcome::Kept {
                object.insert(key.to_owned(), Value::Object(inner));
            }
        }
        Value::Array(patch) => {
            let old = match object.remove(key) {
                Some(Value::Array(old)) => old,
                _ => Vec::new(),
            };
            object.insert(key.to_owned(), Value::Array(list(old, key, patch, lists)?));
        }
        other => drop(object.insert(key.to_owned(), other.clone())),
    }
    Ok(())
}

fn list(old: Vec<Value>, field: &str, patch: &[Value], lists: Lists) -> Result<Vec<Value>, String> {
    if lists == Lists::BuiltIn && SETS.contains(&field) {
        let added: Vec<_> = patch.iter().filter(|item| !old.contains(item)).cloned().collect();
        return Ok([old, added].concat());
    }
    let is_mark = |item: &&Value| item[DIRECTIVE] == "replace" && item.as_object().is_some_and(|map| map.len() == 1);
    let old = if patch.iter().any(|item| is_mark(&item)) { Vec::new() } else { old };
    let mut items = patch.iter().filter(|item| !is_mark(item));
    match merge_key(&old, field, patch, lists) {
        Some(key) => items.try_fold(old, |list, item| item_into(list, key, item, lists)),
        None => items.map(|item| fresh(item, lists)).collect(),
    }
}

/// The field by which the items of a list are known; none if the list is replaced.
fn merge_key(old: &[Value], field: &str, patch: &[Value], lists: Lists) -> Option<&'static str> {
    if lists == Lists::Replaced {
        return None;
    }
    if field == "ports" {
        // Containers and Services both have ports.
        let of_container = old.iter().chain(patch).any(|port| port.get("containerPort").is_some());
        return Some(if of_container { "containerPort" } else { "port" });
    }
    MERGE_KEYS.iter().find(|(name, _)| *name == field).map(|(_, key)| *key)
}

fn item_into(mut list: Vec<Value>, key: &str, patch: &Value, lists: Lists) -> Result<Vec<Value>, String> {
    let (Some(name), Some(map)) = (patch.get(key), patch.as_object()) else {
        return Err(format!("an item of this list is known by its {key}: add it to the patch"));
    };
    let Some(at) = list.iter().position(|item| item.get(key) == Some(name)) else {
        if directive(map)? != Some("delete") {
            list.push(fresh(patch, lists)?);
        }
        return Ok(list);
    };
    let outcome = list.get_mut(at).map_or(Ok(Outcome::Kept), |item| apply(item, patch, lists))?;
    if outcome == Outcome::Deleted {
        list.remove(at);
    }
    Ok(list)
}

/// What a patch adds where nothing was: itself without nulls and directives.
fn fresh(patch: &Value, lists: Lists) -> Result<Value, String> {
    let Value::Object(map) = patch else { return Ok(patch.clone()) };
    let mut new = Map::new();
    merge(&mut new, map, lists)?;
    Ok(Value::Object(new))
}
