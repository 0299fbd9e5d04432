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

/// Hides what stands at some places of an object, before and after. A number leads to every place of a list: what stands where in one
/// may change.
pub fn hide_at(mut before: Option<&mut Value>, after: &mut Value, places: &[Vec<String>]) {
    for place in places {
        let (mut old, mut new) = (Vec::new(), Vec::new());
        if let Some(before) = before.as_deref_mut() {
            reach(before, place, &mut old);
        }
        reach(after, place, &mut new);
        let texts = |values: &[&mut Value]| values.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        let (of_old, of_new) = (texts(&old), texts(&new));
        for (values, others, word) in [(old, of_new, "before"), (new, of_old, "after")] {
            for value in values {
                *value = Value::String(hidden((!others.contains(&value.to_string())).then_some(word)));
            }
        }
    }
}

/// The values at a place.
fn reach<'v>(value: &'v mut Value, place: &[String], found: &mut Vec<&'v mut Value>) {
    match (place.split_first(), value) {
        (Some((key, rest)), Value::Object(fields)) => {
            if let Some(value) = fields.get_mut(key) {
                reach(value, rest, found);
            }
        }
        (Some((_, rest)), Value::Array(items)) => items.iter_mut().for_each(|item| reach(item, rest, found)),
        // What is there in place of an object or a list may be the value too.
        (_, value) => found.push(value),
    }
}

/// What is shown in place of a value, with a word for one that is not the same on both sides.
fn hidden(different: Option<&str>) -> String {
    different.map_or_else(|| HIDDEN.to_owned(), |word| format!("{HIDDEN} ({word})"))
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
                    *value = Value::String(hidden((!is_same).then_some(word)));
                }
            }
            Some(other) => *other = Value::String(format!("{HIDDEN} ({word})")),
            None => {}
        }
    }
}
