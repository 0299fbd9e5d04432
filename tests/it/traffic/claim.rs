//! Hosts and paths that two Deployments want.

use std::collections::BTreeMap;

use landfall::traffic::claim::{Claim, claims, conflict};
use serde_json::{Value, json};

use super::route;

fn at(hostnames: &Value, rules: &Value) -> Value {
    let mut route = route(rules);
    route["spec"]["hostnames"] = hostnames.clone();
    route
}

/// The claims of a route as `host path`.
fn shown(route: &Value) -> Vec<String> {
    claims(route).iter().map(|claim| format!("{} {}", claim.hostname, claim.path)).collect()
}

fn path(kind: &str, value: &str) -> Value {
    json!({"matches": [{"path": {"type": kind, "value": value}}]})
}

#[test]
fn a_route_takes_every_path_of_every_host_at_every_parent() {
    let rules = json!([path("PathPrefix", "/a/"), path("Exact", "/a"), path("RegularExpression", "/.*")]);
    let mut two = at(&json!(["A.test", "*.b.test"]), &rules);
    let paths = ["/a", "/a (Exact)", "/.* (RegularExpression)"];
    let expected: Vec<_> =
        ["a.test", "*.b.test"].iter().flat_map(|host| paths.map(|path| format!("{host} {path}"))).collect();
    assert_eq!(shown(&two), expected);
    two["spec"]["parentRefs"] = json!([{"name": "one"}, {"name": "two"}]);
    assert_eq!(claims(&two).len(), 12);
}

#[test]
fn what_is_left_out_means_everything() {
    for rules in [json!([{}]), json!([{"matches": []}]), json!([{"matches": [{}]}]), json!([path("PathPrefix", "")])] {
        assert_eq!(shown(&at(&json!([]), &rules)), ["* /"], "{rules}");
    }
}

#[test]
fn a_match_that_asks_for_more_than_a_path_takes_nothing_from_others() {
    for more in [
        json!({"headers": [{"name": "a", "value": "b"}]}),
        json!({"queryParams": [{"name": "a", "value": "b"}]}),
        json!({"method": "GET"}),
    ] {
        assert_eq!(shown(&at(&json!([]), &json!([{"matches": [more]}]))), [""; 0], "{more}");
    }
    assert_eq!(shown(&at(&json!([]), &json!([{"matches": [{"headers": []}]}]))), ["* /"]);
}

#[test]
fn a_grpc_route_takes_services_and_methods() {
    for (method, expected) in [
        (json!({"service": "shop.Cart", "method": "Add"}), "* /shop.Cart/Add (Exact)"),
        (json!({"service": "shop.Cart"}), "* /shop.Cart"),
        (json!({"method": "Add"}), "* /*/Add (Exact)"),
        (json!({"service": "shop.*", "type": "RegularExpression"}), "* /shop.* (RegularExpression)"),
        (json!(null), "* /"),
    ] {
        let mut grpc = at(&json!([]), &json!([{"matches": [{"method": method}]}]));
        grpc["kind"] = json!("GRPCRoute");
        assert_eq!(shown(&grpc), [expected]);
    }
}

fn claim(host: &str, path: &str, parent: &Value) -> Vec<Claim> {
    let mut route = at(&json!([host]), &json!([{"matches": [{"path": {"value": path}}]}]));
    route["spec"]["parentRefs"] = json!([parent]);
    claims(&route)
}

#[test]
fn a_host_and_path_belong_to_one_deployment() {
    let public = json!({"name": "public", "namespace": "gateway"});
    let others: BTreeMap<_, _> =
        [("web/a".to_owned(), claim("a.test", "/x", &public)), ("web/b".to_owned(), claim("*.b.test", "/", &public))]
            .into();
    let meets = |host, path| conflict(&claim(host, path, &public), &others);
    assert_eq!(meets("a.test", "/"), None);
    assert_eq!(meets("c.test", "/x"), None);
    assert_eq!(meets("x.b.test", "/"), None, "the longer host name wins at the router");
    let text = meets("a.test", "/x/").unwrap();
    let start = "host a.test and path /x at Gateway gateway/public belong to Deployment web/a: choose another";
    assert!(text.starts_with(start), "{text}");
    assert!(meets("*.b.test", "/").unwrap().contains("Deployment web/b"));
    assert_eq!(conflict(&[], &others), None);
    assert_eq!(conflict(&claim("a.test", "/x", &public), &BTreeMap::new()), None);
}

#[test]
fn only_the_same_listener_is_shared() {
    let whole = json!({"name": "public", "namespace": "gateway"});
    let http = json!({"name": "public", "namespace": "gateway", "sectionName": "http"});
    let https = json!({"name": "public", "namespace": "gateway", "sectionName": "https"});
    let port = json!({"name": "public", "namespace": "gateway", "port": 80});
    let own = json!({"name": "public"});
    for (left, right, expected) in [
        (&whole, &whole, true),
        (&whole, &http, true),
        (&http, &whole, true),
        (&http, &http, true),
        (&http, &https, false),
        (&http, &port, true),
        (&whole, &own, false),
    ] {
        let others = [("web/a".to_owned(), claim("a.test", "/", right))].into();
        assert_eq!(conflict(&claim("a.test", "/", left), &others).is_some(), expected, "{left} {right}");
    }
}
