//! Objects without what is not to be shown, or differs all the time. Pure.
//!
//! A value of a Secret becomes asterisks, on both sides the same where it is the same, also where the Secret stands inside
//! another object, such as a Package.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// What a hidden value becomes that both sides have.
const HIDDEN: &str = "***";

/// The fields of a Secret that hold values.
const SECRET_FIELDS: [&str; 2] = ["data", "stringData"];

/// What the API server keeps for itself.
const KEPT_BY_SERVER: [&str; 6] =
    ["managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink"];

/// A copy of a whole object, which may hold the values of a Secret.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Two states of an object as they may be shown beside each other.
pub fn shown(before: &Value, after: &Value) -> (Value, Value) {
    let (of_before, of_after) = (secrets(before), secrets(after));
    let one = |object: &Value, others: &BTreeSet<Secret>, word: &str| {
        let mut object = object.clone();
        without_server_fields(&mut object);
        clean(&mut object, others, word);
        object
    };
    (one(before, &of_after, "before"), one(after, &of_before, "after"))
}

/// The name of a Secret, of one of its keys, and the value.
type Secret = (String, String, String);

fn secrets(value: &Value) -> BTreeSet<Secret> {
    let mut found = BTreeSet::new();
    collect(value, &mut found);
    found
}

fn collect(value: &Value, found: &mut BTreeSet<Secret>) {
    match value {
        Value::Object(fields) => {
            if is_secret(fields) {
                let each = |field: &&str| fields.get(*field).and_then(Value::as_object).cloned().unwrap_or_default();
                let pairs = SECRET_FIELDS.iter().flat_map(each);
                found.extend(pairs.map(|(key, value)| (name(fields), key, value.to_string())));
            }
            fields.values().for_each(|inner| collect(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| collect(inner, found)),
        _ => {}
    }
}

fn is_secret(fields: &Map<String, Value>) -> bool {
    fields.get("kind").is_some_and(|kind| kind == "Secret")
}

fn name(fields: &Map<String, Value>) -> String {
    let name = fields.get("metadata").and_then(|metadata| metadata["name"].as_str());
    name.unwrap_or_default().to_owned()
}

fn without_server_fields(object: &mut Value) {
    let Some(fields) = object.as_object_mut() else { return };
    fields.remove("status");
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|field, _| !KEPT_BY_SERVER.contains(&field.as_str()));
    }
}

fn clean(value: &mut Value, others: &BTreeSet<Secret>, word: &str) {
    match value {
        Value::Object(fields) => {
            without_copy(fields);
            if is_secret(fields) {
                hide(fields, others, word);
            }
            fields.values_mut().for_each(|inner| clean(inner, others, word));
        }
        Value::Array(items) => items.iter_mut().for_each(|inner| clean(inner, others, word)),
        _ => {}
    }
}

fn without_copy(fields: &mut Map<String, Value>) {
    let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) else { return };
    annotations.remove(LAST_APPLIED);
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
}

fn hide(fields: &mut Map<String, Value>, others: &BTreeSet<Secret>, word: &str) {
    let of = name(fields);
    for field in SECRET_FIELDS {
        match fields.get_mut(field) {
            Some(Value::Object(values)) => {
                for (key, value) in values.iter_mut() {
                    let is_same = others.contains(&(of.clone(), key.clone(), value.to_string()));
                    *value = Value::String(if is_same { HIDDEN.to_owned() } else { format!("{HIDDEN} ({word})") });
                }
            }
            Some(other) => *other = Value::String(format!("{HIDDEN} ({word})")),
            None => {}
        }
    }
}
