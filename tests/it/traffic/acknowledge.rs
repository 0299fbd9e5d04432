//! What routers say about a route.

use std::collections::BTreeMap;

use landfall::{
    engine::observed::Acknowledged,
    traffic::{
        acknowledge::{Controller, Verdict, acknowledged, judged, verdict},
        parent::{ParentKey, parents},
    },
};
use serde_json::{Value, json};

use super::to;

const CONTOUR: &str = "example.test/contour";

fn condition(kind: &str, status: &str, generation: u64) -> Value {
    json!({"type": kind, "status": status, "observedGeneration": generation, "reason": "Because", "message": "so"})
}

fn good(generation: u64) -> Value {
    json!([condition("Accepted", "True", generation), condition("ResolvedRefs", "True", generation)])
}

fn entry(parent: &Value, controller: &str, conditions: &Value) -> Value {
    json!({"parentRef": parent, "controllerName": controller, "conditions": conditions})
}

/// A route of generation 3, attached to these parents, with this status.
fn live(parents: &Value, entries: &Value) -> Value {
    let mut route = to(&json!([{"name": "shop"}]));
    route["spec"]["parentRefs"] = parents.clone();
    route["status"] = json!({"parents": entries});
    route
}

fn known(route: &Value) -> BTreeMap<ParentKey, Controller> {
    parents(route).into_iter().map(|parent| (parent, Controller::Known(CONTOUR.to_owned()))).collect()
}

/// What is said where the one parent has this one entry of its controller.
fn one(conditions: &Value) -> Acknowledged {
    let parent = json!({"name": "public", "namespace": "gateway"});
    let route = live(&json!([parent]), &json!([entry(&parent, CONTOUR, conditions)]));
    acknowledged(&route, &known(&route))
}

#[test]
fn only_a_yes_to_everything_at_this_generation_counts() {
    let with = |other: Value| Value::Array([good(3).as_array().unwrap().clone(), vec![other]].concat());
    let refused = |kind: &str, status: &str| {
        Acknowledged::Refused(format!("Gateway gateway/public: {kind} is {status}: Because: so"))
    };
    let no_generation = json!({"type": "ResolvedRefs", "status": "True"});
    for (conditions, expected) in [
        (good(3), Acknowledged::At(3)),
        (good(2), Acknowledged::Silent),
        (good(4), Acknowledged::Silent),
        (json!([]), Acknowledged::Silent),
        (json!([condition("Accepted", "True", 3)]), Acknowledged::Silent),
        (json!([condition("ResolvedRefs", "True", 3)]), Acknowledged::Silent),
        (json!([condition("Accepted", "True", 3), condition("ResolvedRefs", "True", 2)]), Acknowledged::Silent),
        (json!([condition("Accepted", "True", 3), no_generation]), Acknowledged::Silent),
        (json!([condition("Accepted", "Unknown", 3), condition("ResolvedRefs", "True", 3)]), Acknowledged::Silent),
        (
            json!([condition("Accepted", "False", 3), condition("ResolvedRefs", "True", 3)]),
            refused("Accepted", "False"),
        ),
        (
            json!([condition("Accepted", "True", 2), condition("ResolvedRefs", "False", 3)]),
            refused("ResolvedRefs", "False"),
        ),
        (json!([condition("Accepted", "False", 2), condition("ResolvedRefs", "True", 3)]), Acknowledged::Silent),
        (with(condition("PartiallyInvalid", "True", 3)), refused("PartiallyInvalid", "True")),
        (with(condition("PartiallyInvalid", "True", 2)), Acknowledged::Silent),
        (with(condition("PartiallyInvalid", "False", 2)), Acknowledged::At(3)),
        (with(condition("Programmed", "False", 3)), Acknowledged::At(3)),
    ] {
        assert_eq!(one(&conditions), expected, "{conditions}");
    }
}

#[test]
fn a_parent_is_the_same_with_and_without_what_is_left_out() {
    let full = json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", "namespace": "shop"});
    let short = json!({"name": "public"});
    for (spec, status) in [(&full, &short), (&short, &full), (&short, &short)] {
        let route = live(&json!([spec]), &json!([entry(status, CONTOUR, &good(3))]));
        assert_eq!(acknowledged(&route, &known(&route)), Acknowledged::At(3), "{spec} {status}");
    }
}

#[test]
fn the_word_about_another_parent_does_not_count() {
    let parent = json!({"name": "public", "sectionName": "http", "port": 80});
    for (field, other) in [
        ("name", json!("private")),
        ("namespace", json!("gateway")),
        ("kind", json!("Service")),
        ("group", json!("")),
        ("sectionName", json!("https")),
        ("sectionName", json!(null)),
        ("port", json!(443)),
        ("port", json!(null)),
    ] {
        let mut elsewhere = parent.clone();
        elsewhere[field] = other;
        let route = live(&json!([parent]), &json!([entry(&elsewhere, CONTOUR, &good(3))]));
        assert_eq!(acknowledged(&route, &known(&route)), Acknowledged::Silent, "{elsewhere}");
    }
}

#[test]
fn every_parent_has_to_say_yes_and_one_refusal_outweighs_silence() {
    let (one, two, three) = (json!({"name": "one"}), json!({"name": "two"}), json!({"name": "three"}));
    let no = json!([condition("Accepted", "False", 3), condition("ResolvedRefs", "True", 3)]);
    let all = json!([one, two, three]);
    let say = |entries: Value| {
        let route = live(&all, &entries);
        acknowledged(&route, &known(&route))
    };
    let yes = |parent: &Value| entry(parent, CONTOUR, &good(3));
    assert_eq!(say(json!([yes(&one), yes(&two), yes(&three)])), Acknowledged::At(3));
    assert_eq!(say(json!([yes(&one), yes(&three)])), Acknowledged::Silent);
    let refused = Acknowledged::Refused("Gateway shop/three: Accepted is False: Because: so".to_owned());
    assert_eq!(say(json!([yes(&one), entry(&three, CONTOUR, &no)])), refused);
}

#[test]
fn only_the_controller_of_the_gateway_is_heard_where_it_is_known() {
    let parent = json!({"name": "public"});
    let no = json!([condition("Accepted", "False", 3), condition("ResolvedRefs", "True", 3)]);
    let foreign = live(&json!([parent]), &json!([entry(&parent, "example.test/other", &good(3))]));
    assert_eq!(acknowledged(&foreign, &known(&foreign)), Acknowledged::Silent);
    let both =
        live(&json!([parent]), &json!([entry(&parent, "example.test/other", &no), entry(&parent, CONTOUR, &good(3))]));
    assert_eq!(acknowledged(&both, &known(&both)), Acknowledged::At(3));
}

#[test]
fn where_the_controller_is_unknown_all_that_speak_must_agree() {
    let parent = json!({"name": "public"});
    let no = json!([condition("Accepted", "False", 3), condition("ResolvedRefs", "True", 3)]);
    let say = |entries: Value| acknowledged(&live(&json!([parent]), &entries), &BTreeMap::new());
    let by = |name: &str, conditions: &Value| entry(&parent, name, conditions);
    assert_eq!(say(json!([])), Acknowledged::Silent);
    assert_eq!(say(json!([by("a", &good(3))])), Acknowledged::At(3));
    assert_eq!(say(json!([by("a", &good(3)), by("b", &good(3))])), Acknowledged::At(3));
    assert_eq!(say(json!([by("a", &good(3)), by("b", &good(2))])), Acknowledged::Silent);
    let refused = Acknowledged::Refused("Gateway shop/public: Accepted is False: Because: so".to_owned());
    assert_eq!(say(json!([by("a", &good(3)), by("b", &no)])), refused);
}

#[test]
fn a_parent_that_does_not_exist_is_silent_whatever_the_status_says() {
    let parent = json!({"name": "public"});
    let route = live(&json!([parent]), &json!([entry(&parent, CONTOUR, &good(3))]));
    let controllers = known(&route).into_keys().map(|key| (key, Controller::Missing("it does not exist".to_owned())));
    let controllers = controllers.collect();
    assert_eq!(acknowledged(&route, &controllers), Acknowledged::Silent);
    assert_eq!(judged(&route, &controllers), Verdict::Silent("Gateway shop/public: it does not exist".to_owned()));
}

#[test]
fn a_service_of_a_mesh_is_judged_like_a_gateway() {
    let parent = json!({"group": "", "kind": "Service", "name": "shop", "port": 80});
    let route = live(&json!([parent]), &json!([entry(&parent, "example.test/mesh", &good(3))]));
    assert!(!parents(&route)[0].is_gateway());
    assert_eq!(acknowledged(&route, &BTreeMap::new()), Acknowledged::At(3));
}

#[test]
fn silence_says_who_is_waited_for() {
    let parent = json!({"name": "public", "sectionName": "http", "port": 80});
    let silent = |route: &Value| match judged(route, &known(route)) {
        Verdict::Silent(why) => why,
        other => panic!("{other:?}"),
    };
    let start = "Gateway shop/public section http port 80: ";
    let about = |conditions: &Value| silent(&live(&json!([parent]), &json!([entry(&parent, CONTOUR, conditions)])));
    assert_eq!(silent(&live(&json!([parent]), &json!([]))), format!("{start}{CONTOUR} has said nothing yet"));
    assert_eq!(about(&good(2)), format!("{start}what it says is not about this generation"));
    assert_eq!(about(&json!([])), format!("{start}it has not said Accepted yet"));
    assert_eq!(silent(&live(&json!([]), &json!([]))), "the route is attached to nothing");
    let mut new = live(&json!([parent]), &json!([]));
    new["metadata"] = json!({});
    assert_eq!(silent(&new), "the route has no generation");
}

#[test]
fn a_refusal_is_one_line_of_at_most_300_characters() {
    let long = json!([
        {"type": "Accepted", "status": "False", "observedGeneration": 3, "reason": "NotAllowed", "message": "ä\n\t b\u{7}".repeat(200)},
        condition("ResolvedRefs", "True", 3),
    ]);
    let Acknowledged::Refused(why) = one(&long) else { panic!("not refused") };
    assert!(why.starts_with("Gateway gateway/public: Accepted is False: NotAllowed: ä b ä b"), "{why}");
    assert!(why.chars().count() == 300 && why.ends_with('…') && !why.contains(char::is_control), "{why}");
}

#[test]
fn the_conditions_of_one_router_are_judged_alone() {
    let conditions = good(5);
    assert_eq!(verdict(5, conditions.as_array().unwrap()), Verdict::Accepted);
    assert!(matches!(verdict(6, conditions.as_array().unwrap()), Verdict::Silent(_)));
}
