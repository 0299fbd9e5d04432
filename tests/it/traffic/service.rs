//! What Services select, and where their requests arrive.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::discovery::v1::EndpointSlice;
use landfall::{
    engine::observed::{Pods, Revision, Service},
    traffic::{
        endpoints::{Endpoint, Slice, by_revision},
        service::{Member, Selector, combine_services, selects, virtual_service},
    },
};
use serde_json::{Value, json};

fn set(revisions: &[&str]) -> BTreeSet<Revision> {
    revisions.iter().map(|revision| Revision((*revision).to_owned())).collect()
}

fn counts(revisions: &[(&str, u32)]) -> BTreeMap<Revision, u32> {
    revisions.iter().map(|(revision, count)| (Revision((*revision).to_owned()), *count)).collect()
}

/// Revisions, each with its scale and how many of its pods are ready.
fn pods(revisions: &[(&str, u32, u32)]) -> BTreeMap<Revision, Pods> {
    let pods = |scale, ready| Pods { scale, ready, ..Pods::default() };
    revisions.iter().map(|(revision, scale, ready)| (Revision((*revision).to_owned()), pods(*scale, *ready))).collect()
}

#[test]
fn a_service_selects_what_its_selector_tells_apart_or_else_every_revision_with_pods() {
    let hash = |hash: &str| json!({"app": "shop", "pod-template-hash": hash});
    let open = json!({"app": "shop"});
    let exist = pods(&[("a", 2, 2), ("b", 0, 1), ("c", 1, 0), ("d", 0, 0)]);
    for (selector, annotation, expected) in [
        (hash("a"), json!("b"), set(&["a"])),
        (hash("gone"), json!(null), set(&["gone"])),
        (hash("none"), json!("a,b"), set(&[])),
        (open.clone(), json!(null), set(&["a", "b", "c"])),
        (open.clone(), json!("a, d,"), set(&["a", "b", "c", "d"])),
        (open, json!("gone"), set(&["a", "b", "c", "gone"])),
        (json!({}), json!("a"), set(&[])),
        (json!(null), json!("a"), set(&[])),
    ] {
        let service =
            json!({"metadata": {"annotations": {"landfall.dev/selects": annotation}}, "spec": {"selector": selector}});
        assert_eq!(selects(&Selector::read(&service), &exist), expected, "{service}");
    }
}

fn endpoint(pod: &str) -> Endpoint {
    Endpoint { ready: Some(true), terminating: Some(false), pod: Some(pod.to_owned()) }
}

fn counted(endpoints: Vec<Endpoint>, sets: &[(&str, &str)]) -> BTreeMap<Revision, u32> {
    let sets: Vec<_> = sets.iter().map(|(name, hash)| ((*name).to_owned(), Revision((*hash).to_owned()))).collect();
    by_revision(&[Slice { endpoints }], &sets)
}

#[test]
fn ready_pods_count_once_and_by_their_revision() {
    let sets = [("shop-a".to_owned(), Revision("a".to_owned())), ("shop-b".to_owned(), Revision("b".to_owned()))];
    let four = Slice { endpoints: ["shop-a-bbbbb", "shop-a-ccccc", "shop-b-bbbbb"].map(endpoint).to_vec() };
    let six = Slice { endpoints: ["shop-a-ccccc", "shop-a-ddddd"].map(endpoint).to_vec() };
    assert_eq!(by_revision(&[four, six], &sets), counts(&[("a", 3), ("b", 1)]));
    assert_eq!(by_revision(&[], &sets), counts(&[]));
}

#[test]
fn what_gets_no_requests_does_not_count() {
    let base = endpoint("shop-a-bbbbb");
    for (endpoint, expected) in [
        (base.clone(), 1),
        (Endpoint { ready: None, ..base.clone() }, 1),
        (Endpoint { terminating: None, ..base.clone() }, 1),
        (Endpoint { ready: Some(false), ..base.clone() }, 0),
        (Endpoint { terminating: Some(true), ..base.clone() }, 0),
        (Endpoint { pod: None, terminating: Some(true), ..base }, 0),
    ] {
        let found = counted(vec![endpoint.clone()], &[("shop-a", "a")]);
        assert_eq!(found.values().sum::<u32>(), expected, "{endpoint:?}");
    }
}

#[test]
fn requests_to_what_is_no_pod_arrive_at_no_known_revision() {
    let foreign = Endpoint { pod: None, ..endpoint("") };
    let found = counted(vec![foreign.clone(), foreign, endpoint("shop-a-bbbbb")], &[("shop-a", "a")]);
    assert_eq!(found, counts(&[("?", 2), ("a", 1)]));
}

#[test]
fn a_pod_belongs_to_the_replica_set_that_could_have_named_it() {
    let sets = [("shop", "s"), ("shop-a", "a"), ("shop-bbbbb", "b")];
    for (pod, revision) in [
        ("shop-a-bbbbb", "a"),
        ("shop-bbbbb-ccccc", "b"),
        ("shop-bbbbb", "s"),
        ("shop-a-bbbb", "?"),
        ("shop-a-bbbbbb", "?"),
        ("shop-a-aaaaa", "?"),
        ("shop-a-bb-bb", "?"),
        ("shop-ä-bbbbb", "?"),
        ("other", "?"),
        ("", "?"),
    ] {
        assert_eq!(counted(vec![endpoint(pod)], &sets), counts(&[(revision, 1)]), "{pod}");
    }
}

#[test]
fn a_long_name_is_cut_as_the_api_server_cuts_it() {
    for (length, kept) in [(56, 56), (57, 57), (58, 58), (63, 58), (200, 58)] {
        let set = "x".repeat(length);
        let pod = format!("{}{}bcdfg", "x".repeat(kept), if length < 58 { "-" } else { "" });
        assert!(pod.len() <= 63);
        assert_eq!(counted(vec![endpoint(&pod)], &[(&set, "a")]), counts(&[("a", 1)]), "{length}");
    }
}

#[test]
fn a_pod_that_two_revisions_could_have_made_belongs_to_none() {
    let (one, two) = (format!("{}-one", "x".repeat(60)), format!("{}-two", "x".repeat(60)));
    let pod = format!("{}bcdfg", "x".repeat(58));
    assert_eq!(counted(vec![endpoint(&pod)], &[(&one, "a"), (&two, "b")]), counts(&[("?", 1)]));
    assert_eq!(counted(vec![endpoint(&pod)], &[(&one, "a"), (&two, "a")]), counts(&[("a", 1)]));
}

#[test]
fn a_slice_is_read_as_the_cluster_gives_it() {
    let of = |kind: &str, name: &str| json!({"addresses": ["10.0.0.1"], "targetRef": {"kind": kind, "name": name}});
    let with = |mut endpoint: Value, conditions: Value| {
        endpoint["conditions"] = conditions;
        endpoint
    };
    let slice: EndpointSlice = serde_json::from_value(json!({
        "addressType": "IPv4",
        "endpoints": [
            of("Pod", "shop-a-bbbbb"),
            with(of("Pod", "shop-a-ccccc"), json!({"ready": true, "serving": true, "terminating": false})),
            with(of("Pod", "shop-a-ddddd"), json!({"ready": false, "serving": true, "terminating": true})),
            of("Node", "shop-a-fffff"),
            {"addresses": ["10.0.0.2"]},
        ],
    }))
    .unwrap();
    let read = Slice::from(&slice);
    assert_eq!(read.endpoints.len(), 5);
    assert_eq!(counted(read.endpoints, &[("shop-a", "a")]), counts(&[("?", 2), ("a", 2)]));
}

fn member(name: &str, selects: &[&str], endpoints: &[(&str, u32)]) -> Member {
    Member {
        name: name.to_owned(),
        resource_version: "1".to_owned(),
        selects: set(selects),
        endpoints: counts(endpoints),
    }
}

fn both(left: Member, right: Member) -> Service {
    combine_services(&[left, right]).unwrap()
}

#[test]
fn a_revision_that_all_services_select_has_as_few_endpoints_as_anywhere() {
    let service = both(member("cart", &["a"], &[("a", 3)]), member("shop", &["a"], &[("a", 5)]));
    assert_eq!((service.selects, service.endpoints), (set(&["a"]), counts(&[("a", 3)])));
    let missing = both(member("cart", &["a"], &[]), member("shop", &["a"], &[("a", 5)]));
    assert_eq!(missing.ready(), 0);
}

#[test]
fn a_revision_that_requests_still_reach_anywhere_keeps_all_from_having_followed() {
    let turning = both(member("cart", &["b"], &[("b", 2)]), member("shop", &["b"], &[("a", 1), ("b", 2)]));
    assert_eq!(turning.endpoints, counts(&[("a", 1), ("b", 2)]));
    assert!(!turning.has_followed());
    let turned = both(member("cart", &["b"], &[("b", 2)]), member("shop", &["b"], &[("a", 0), ("b", 2)]));
    assert!(turned.has_followed());
}

#[test]
fn services_that_select_different_revisions_select_both() {
    let half = both(member("cart", &["b"], &[("b", 2)]), member("shop", &["a"], &[("a", 4)]));
    assert_eq!((half.selects, half.endpoints), (set(&["a", "b"]), counts(&[("a", 4), ("b", 2)])));
}

#[test]
fn a_service_that_lost_its_turn_does_not_hide_behind_the_others() {
    let lost = both(member("cart", &[], &[]), member("shop", &["a"], &[("a", 4)]));
    assert_eq!((&lost.selects, lost.ready(), lost.partial), (&set(&["a"]), 0, true));
    assert!(!lost.is_turned_to(&set(&["a"])));
    let whole = both(member("cart", &["a"], &[("a", 4)]), member("shop", &["a"], &[("a", 4)]));
    assert!(whole.is_turned_to(&set(&["a"])) && !whole.is_turned_to(&set(&["b"])));
    // Before anything was turned nothing is lost.
    assert!(!both(member("cart", &[], &[]), member("shop", &[], &[])).partial);
}

#[test]
fn the_version_of_services_tells_every_change_whatever_their_order() {
    let one = || member("cart", &["a"], &[]);
    let two = || member("shop", &["a"], &[]);
    assert_eq!(both(one(), two()), both(two(), one()));
    let changed = Member { resource_version: "2".to_owned(), ..two() };
    assert_ne!(both(one(), two()).version, both(one(), changed).version);
    assert_eq!(combine_services(&[]), None);
}

#[test]
fn a_package_without_services_has_one_that_selects_what_is_remembered() {
    let service = virtual_service(&set(&["a", "gone", "b"]), &pods(&[("a", 3, 2), ("b", 1, 0), ("c", 1, 1)]));
    assert_eq!(
        service,
        Service { selects: set(&["a", "b", "gone"]), endpoints: counts(&[("a", 2)]), partial: false, version: 0 }
    );
    assert!(service.has_followed());
}
