//! The policy on records, whose expressions are evaluated here as far as they need no API server.
//!
//! `tests/e2e/admission.rs` asks a real one.

use std::collections::HashMap;

use kube::core::cel::cel::{self, Context, Program, to_value};
use serde_json::{Value, json};

const GOLDEN: &str = include_str!("../chart/default.golden");

fn policy() -> Value {
    let objects: Vec<Value> = serde_saphyr::from_multiple(GOLDEN).unwrap();
    let is = |object: &Value| {
        object["kind"] == "ValidatingAdmissionPolicy" && object["metadata"]["name"] == "landfall-records"
    };
    objects.into_iter().find(is).unwrap()
}

/// What an expression says of a write.
fn evaluate(
    expression: &Value,
    (before, after): (&Value, &Value),
    variables: &HashMap<String, cel::Value>,
) -> cel::Value {
    let mut context = Context::default();
    for (name, value) in [("object", after), ("oldObject", before)] {
        context.add_variable_from_value(name, to_value(value).unwrap());
    }
    context.add_variable_from_value("variables", variables.clone());
    let text = expression.as_str().unwrap();
    Program::compile(text).unwrap().execute(&context).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Whether the policy looks at a write at all, and whether anybody may make it who may write Secrets.
fn judged(before: &Value, after: &Value) -> (bool, bool) {
    let spec = &policy()["spec"];
    let (write, mut variables) = ((before, after), HashMap::new());
    let looks = evaluate(&spec["matchConditions"][0]["expression"], write, &variables);
    for variable in spec["variables"].as_array().unwrap() {
        let value = evaluate(&variable["expression"], write, &variables);
        variables.insert(variable["name"].as_str().unwrap().to_owned(), value);
    }
    (looks == cel::Value::Bool(true), variables["harmless"] == cel::Value::Bool(true))
}

fn record() -> Value {
    json!({
        "type": "landfall.dev/revision", "immutable": true, "data": {"release": "YQ=="},
        "metadata": {
            "name": "landfall-rev-web-0123456789", "labels": {"landfall.dev/deployment": "web", "team": "shop"},
            "annotations": {"landfall.dev/parts": "1"},
            "ownerReferences": [{
                "apiVersion": "landfall.dev/v1alpha1", "kind": "Deployment", "name": "web", "uid": "1", "controller": true,
            }],
        },
    })
}

/// The record with another value at this place; null removes it.
fn with(pointer: &str, value: Value) -> Value {
    let mut record = record();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = record.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    let key = key.replace("~1", "/");
    if value.is_null() {
        drop(parent.remove(&key));
    } else {
        drop(parent.insert(key, value));
    }
    record
}

#[test]
fn other_secrets_are_not_looked_at() {
    let none = Value::Null;
    for other in ["Opaque", "kubernetes.io/tls", "landfall.devel/revision"] {
        assert!(!judged(&none, &with("/type", json!(other))).0, "{other}");
    }
    assert!(!judged(&none, &with("/type", Value::Null)).0);
    assert_eq!(judged(&none, &record()), (true, false), "a new one takes the right");
    assert_eq!(judged(&none, &with("/type", json!("landfall.dev/other"))), (true, false));
    // Should a type ever change, neither way is free.
    assert!(judged(&with("/type", json!("Opaque")), &record()).0);
    assert!(judged(&record(), &with("/type", json!("Opaque"))).0);
}

#[test]
fn a_record_may_become_less_and_never_more() {
    let owners = "/metadata/ownerReferences";
    let owner = |uid: &str, name: &str| json!({"apiVersion": "landfall.dev/v1alpha1", "kind": "Deployment", "name": name, "uid": uid});
    for free in [
        record(),
        with(owners, Value::Null),
        with(owners, json!([])),
        with(owners, json!([owner("1", "web")])),
        with("/metadata/finalizers", json!(["orphan"])),
        with("/metadata/labels", Value::Null),
        with("/metadata/labels/team", json!("other")),
        with("/metadata/annotations", json!({"note": "mine"})),
    ] {
        assert_eq!(judged(&record(), &free), (true, true), "{free}");
    }
    for more in [
        with(owners, json!([owner("1", "web"), owner("2", "web")])),
        with(owners, json!([owner("2", "web")])),
        with(owners, json!([owner("1", "other")])),
        with("/metadata/labels/landfall.dev~1deployment", json!("other")),
        with("/metadata/labels/landfall.dev~1role", json!("record")),
        with("/metadata/annotations/landfall.dev~1parts", json!("2")),
    ] {
        assert_eq!(judged(&record(), &more), (true, false), "{more}");
    }
    // What somebody could change afterwards was not written by the operator.
    let open = with("/immutable", Value::Null);
    assert_eq!(judged(&open, &open), (true, false));
    assert_eq!(judged(&with("/immutable", json!(false)), &record()), (true, false));
    // Nothing is taken over once its owner is gone.
    assert_eq!(judged(&with(owners, Value::Null), &record()), (true, false));
}
