//! What somebody else changed of an object, and whether they keep doing it.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::engine::moment::Moment;

/// The most fields that are named.
const FIELDS_MAX: usize = 20;
/// The most objects that are named together.
const NAMED: usize = 5;
/// How often the same field may be taken back within [`PERIOD`].
const TIMES: usize = 3;
/// See [`contested`].
pub const PERIOD: Duration = Duration::from_mins(10);

/// What the API server and controllers write of any object.
const LIVE: [&str; 8] = [
    "managedFields",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "uid",
    "selfLink",
];

/// The JSON pointers of fields that our write would change, at most twenty: `live` is the object as it is, `answer` what the API
/// server says that our write would make of it. No value is named.
pub fn differs(live: &Value, answer: &Value) -> Vec<String> {
    let mut fields = Vec::new();
    compare(&relevant(live), &relevant(answer), &mut String::new(), &mut fields);
    fields.truncate(FIELDS_MAX);
    fields
}

/// The parts of an object that a write of ours can change.
fn relevant(object: &Value) -> Value {
    let Some(object) = object.as_object() else { return object.clone() };
    let mut kept: Map<String, Value> =
        object.iter().filter(|(key, _)| *key != "status").map(|(key, value)| (key.clone(), value.clone())).collect();
    if let Some(metadata) = kept.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| !LIVE.contains(&key.as_str()));
    }
    Value::Object(kept)
}

fn compare(live: &Value, answer: &Value, pointer: &mut String, fields: &mut Vec<String>) {
    match (live, answer) {
        (Value::Object(one), Value::Object(other)) => {
            let keys = one.keys().chain(other.keys().filter(|key| !one.contains_key(*key)));
            for key in keys {
                let step = key.replace('~', "~0").replace('/', "~1");
                inside(pointer, &step, |pointer| compare(&live[key], &answer[key], pointer, fields));
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (live, answer)) in one.iter().zip(other).enumerate() {
                inside(pointer, &index.to_string(), |pointer| compare(live, answer, pointer, fields));
            }
        }
        _ if is_same(live, answer) => {}
        _ => fields.push(pointer.clone()),
    }
}

/// Whether two values are the same: nothing is the same as null.
fn is_same(live: &Value, answer: &Value) -> bool {
    let same_number = || live.is_number() && answer.is_number() && live.as_f64() == answer.as_f64();
    live == answer || same_number()
}

fn inside(pointer: &mut String, step: &str, work: impl FnOnce(&mut String)) {
    let length = pointer.len();
    pointer.push('/');
    pointer.push_str(step);
    work(pointer);
    pointer.truncate(length);
}

/// The objects that were set back together, by their names: the first five, and how many more there are; none where there are none.
pub fn batch(objects: &[String]) -> Option<String> {
    let named = objects.get(..NAMED.min(objects.len())).filter(|named| !named.is_empty())?.join(", ");
    let more = objects.len().saturating_sub(NAMED);
    Some(if more == 0 { named } else { format!("{named} and {more} more") })
}

/// Whether somebody changes a field again and again, three times within [`PERIOD`]: these are the moments at which it was taken back.
pub fn contested(taken_back: &[Moment], now: Moment) -> bool {
    taken_back.iter().filter(|moment| moment.after(PERIOD) > now).count() >= TIMES
}

/// Who wrote a field last, by the name of the field manager; none where that is `own`, or nobody's name stands there.
pub fn manager<'l>(live: &'l Value, pointer: &str, own: &str) -> Option<&'l str> {
    let records = live.pointer("/metadata/managedFields").and_then(Value::as_array);
    let others = records.into_iter().flatten().filter(|record| record["manager"] != own);
    let writers = others.filter(|record| has_field(&record["fieldsV1"], live, pointer));
    writers.max_by_key(|record| record["time"].as_str())?["manager"].as_str()
}

/// Whether a record of owned fields has the one that a pointer of this object names, or one around it.
fn has_field(fields: &Value, object: &Value, pointer: &str) -> bool {
    let (mut fields, mut at) = (fields, object);
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        let Some(owned) = fields.as_object() else { return false };
        let (next, value) = match at {
            Value::Array(items) => {
                let item = step.parse::<usize>().ok().and_then(|index| items.get(index)).unwrap_or(&Value::Null);
                (owned.iter().find(|(key, _)| is_item(key, item)).map(|(_, inner)| inner), item)
            }
            other => (owned.get(&format!("f:{step}")), &other[&step]),
        };
        match next {
            None => return false,
            // What is owned as a whole has nothing in it.
            Some(leaf) if leaf.as_object().is_none_or(Map::is_empty) => return true,
            Some(inner) => (fields, at) = (inner, value),
        }
    }
    true
}

/// Whether a key of a record, such as `k:{"name":"main"}` or `v:"x"`, means this item of a list.
fn is_item(key: &str, item: &Value) -> bool {
    let read = |text| serde_json::from_str::<Value>(text).ok();
    if let Some(Value::Object(keys)) = key.strip_prefix("k:").and_then(read) {
        return keys.iter().all(|(name, value)| &item[name] == value);
    }
    key.strip_prefix("v:").and_then(read).is_some_and(|value| &value == item)
}
