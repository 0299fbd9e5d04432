//! Objects that no API server would give: nothing may panic or overflow on them.

use std::collections::BTreeMap;

use landfall::{
    engine::share::Share,
    traffic::{
        RouteKind,
        acknowledge::{acknowledged, judged},
        claim::{claims, conflict},
        made, parent, read, refuse,
        service::{Selector, selects},
        weigh,
    },
};
use serde_json::{Value, json};

use super::{pairs, points};

/// A whole route with everything in it that is read anywhere.
fn whole() -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "shop", "namespace": "shop", "generation": 3, "annotations": {"landfall.dev/expose": "80"}},
        "spec": {
            "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", "port": 80}],
            "hostnames": ["a.test"],
            "rules": [{
                "matches": [{"path": {"type": "Exact", "value": "/"}, "method": {"service": "a", "method": "b"}}],
                "backendRefs": [{"name": "shop", "port": 80, "weight": 3}, {"name": "cart", "namespace": "shop"}],
            }],
            "selector": {"pod-template-hash": "a"},
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        },
        "status": {"parents": [{
            "parentRef": {"name": "public", "port": 80},
            "controllerName": "example.test/a",
            "conditions": [{"type": "Accepted", "status": "True", "observedGeneration": 3, "message": "m"}],
        }]},
    })
}

/// The pointers to all values in an object.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                pointers(value, &format!("{at}/{}", field.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointers(item, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// Asks everything about an object, and checks what must hold whatever it is.
fn ask_everything(object: &Value) {
    let pairs = pairs();
    let checked = weigh::check(object, &pairs);
    for share in [Share::NONE, points(1), points(5000), Share::WHOLE] {
        let written = weigh::weigh(object, &pairs, share);
        assert_eq!(written.is_ok(), checked.is_ok(), "{object}");
        if let Ok(route) = written {
            let read = read::written(&route, &pairs);
            assert!(read.least == share && read.most == share && read.complete, "{share} of {object}");
            assert!(weigh::concerns(object, &pairs) && RouteKind::from_manifest(object).is_some());
        }
    }
    let read = read::written(object, &pairs);
    assert!(read.least <= read.most, "{object}");
    assert!(read::matches(object, object));
    let all = claims(object);
    assert_eq!(conflict(&all, &[("a".to_owned(), all.clone())].into()).is_some(), !all.is_empty());
    let references = object["spec"]["parentRefs"].as_array().map_or(0, Vec::len);
    assert_eq!(parent::parents(object).len(), references);
    let (_, _) = (acknowledged(object, &BTreeMap::new()), judged(object, &BTreeMap::new()));
    let (_, _) = (made::backend(&[object]), refuse(object));
    selects(&Selector::read(object), &BTreeMap::new());
}

#[test]
fn no_missing_field_wrong_type_or_huge_number_is_more_than_an_answer() {
    let whole = whole();
    let mut found = Vec::new();
    pointers(&whole, "", &mut found);
    assert!(found.len() > 50, "the object was not understood");
    let bad = [
        json!(null),
        json!(true),
        json!(-1),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e308),
        json!(""),
        json!("ä"),
        json!([]),
        json!({}),
        json!([[]]),
        json!([{"name": "shop", "weight": 1_000_000}]),
    ];
    for pointer in &found {
        for value in &bad {
            let mut object = whole.clone();
            *object.pointer_mut(pointer).unwrap() = value.clone();
            ask_everything(&object);
        }
    }
}

#[test]
fn no_heap_of_wrong_values_is_more_than_an_answer() {
    let whole = whole();
    let mut found = Vec::new();
    pointers(&whole, "", &mut found);
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..3000 {
        let mut object = whole.clone();
        for _ in 0..random.usize(1..6) {
            let value = match random.u8(0..6) {
                0 => json!(null),
                1 => json!(random.u64(..)),
                2 => json!(random.i64(..)),
                3 => json!([{"name": "shop-candidate", "weight": random.u64(0..2_000_000)}]),
                4 => json!([{"name": "shop", "weight": random.u64(0..=1_000_000)}, {"name": "shop"}]),
                _ => json!(random.alphabetic().to_string()),
            };
            if let Some(place) = object.pointer_mut(&found[random.usize(..found.len())]) {
                *place = value;
            }
        }
        ask_everything(&object);
    }
}
