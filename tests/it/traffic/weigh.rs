//! Shares written into routes.

use landfall::{
    engine::share::Share,
    traffic::weigh::{WeighError, check, concerns, weigh, weigh_again},
};
use serde_json::{Value, json};

use super::{pairs, points, route, to, weights};

fn weighed(route: &Value, share: u32) -> Value {
    weigh(route, &pairs(), points(share)).unwrap()
}

#[test]
fn a_single_backend_is_divided_in_the_smallest_whole_numbers() {
    let shop = to(&json!([{"name": "shop", "port": 80}]));
    for (share, expected) in [
        (0, ["shop=1", "shop-candidate=0"]),
        (1, ["shop=9999", "shop-candidate=1"]),
        (50, ["shop=199", "shop-candidate=1"]),
        (2000, ["shop=4", "shop-candidate=1"]),
        (5000, ["shop=1", "shop-candidate=1"]),
        (9999, ["shop=1", "shop-candidate=9999"]),
        (10_000, ["shop=0", "shop-candidate=1"]),
    ] {
        assert_eq!(weights(&weighed(&shop, share), 0), expected, "{share}");
    }
}

#[test]
fn other_backends_keep_their_part_of_the_rule() {
    let canary = to(&json!([{"name": "shop", "port": 80, "weight": 90}, {"name": "legacy", "port": 80, "weight": 10}]));
    for (share, expected) in [
        (0, ["shop=9", "shop-candidate=0", "legacy=1"]),
        (1000, ["shop=81", "shop-candidate=9", "legacy=10"]),
        (10_000, ["shop=0", "shop-candidate=9", "legacy=1"]),
    ] {
        assert_eq!(weights(&weighed(&canary, share), 0), expected, "{share}");
    }
}

#[test]
fn a_backend_of_weight_zero_stays_without_requests_and_gets_its_candidate() {
    let dark = to(&json!([{"name": "shop", "weight": 0}, {"name": "cart"}, {"name": "legacy", "weight": 3}]));
    let expected = ["shop=0", "shop-candidate=0", "cart=3", "cart-candidate=1", "legacy=12"];
    assert_eq!(weights(&weighed(&dark, 2500), 0), expected);
}

#[test]
fn every_port_of_a_service_gets_its_candidate_with_port_and_filters() {
    let filter =
        json!([{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "a", "value": "b"}]}}]);
    let two = to(&json!([
        {"name": "shop", "port": 80, "filters": filter, "group": "", "kind": "Service", "namespace": "shop"},
        {"name": "shop", "port": 81, "weight": 3},
    ]));
    let result = weighed(&two, 4000);
    assert_eq!(weights(&result, 0), ["shop=3", "shop-candidate=2", "shop=9", "shop-candidate=6"]);
    let backends = &result["spec"]["rules"][0]["backendRefs"];
    for (stable, candidate) in [(0, 1), (2, 3)] {
        let mut expected = backends[stable].clone();
        expected["name"] = json!("shop-candidate");
        expected["weight"] = backends[candidate]["weight"].clone();
        assert_eq!(backends[candidate], expected);
    }
}

#[test]
fn all_that_is_no_weight_stays_as_it_was() {
    let mirror = json!({"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "shop", "port": 80}}});
    let rules = json!([
        {"name": "first", "backendRefs": [{"name": "shop"}], "filters": [mirror], "timeouts": {"request": "10s"},
         "sessionPersistence": {"sessionName": "s"}, "matches": [{"headers": [{"name": "a", "value": "b"}]}]},
        {"backendRefs": [{"name": "legacy", "weight": 30}, {"name": "other", "weight": 20}], "filters": [mirror]},
        {"backendRefs": [{"name": "shop", "namespace": "elsewhere"}]},
        {"backendRefs": [{"name": "shop", "kind": "Bucket", "group": "example.test"}]},
        {"filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}]},
    ]);
    let before = route(&rules);
    let after = weighed(&before, 1000);
    for rule in 1..5 {
        assert_eq!(after["spec"]["rules"][rule], before["spec"]["rules"][rule], "{rule}");
    }
    let mut restored = after;
    restored["spec"]["rules"][0]["backendRefs"] = before["spec"]["rules"][0]["backendRefs"].clone();
    assert_eq!(restored, before);
}

#[test]
fn an_older_version_of_a_route_is_written_as_the_current_one() {
    let mut older = to(&json!([{"name": "shop"}]));
    older["apiVersion"] = json!("gateway.networking.k8s.io/v1beta1");
    assert_eq!(weighed(&older, 0)["apiVersion"], "gateway.networking.k8s.io/v1");
}

#[test]
fn a_share_that_is_written_twice_is_the_same() {
    let shop = to(&json!([{"name": "shop", "weight": 7}, {"name": "legacy"}]));
    assert_eq!(weighed(&shop, 300), weighed(&shop, 300));
}

#[test]
fn a_route_that_passes_the_check_can_be_written_at_every_share() {
    let mut random = fastrand::Rng::with_seed(7);
    let (mut good, mut bad) = (0, 0);
    for _ in 0..60 {
        let mut weight = || if random.bool() { random.u64(0..=12) * 10 } else { random.u64(0..=130) };
        let shop = to(&json!([
            {"name": "shop", "weight": weight()}, {"name": "cart", "weight": weight()}, {"name": "legacy", "weight": weight()}
        ]));
        let largest = |share| {
            let Ok(route) = weigh(&shop, &pairs(), points(share)) else { return None };
            let backends = route["spec"]["rules"][0]["backendRefs"].as_array().unwrap().clone();
            backends.iter().map(|backend| backend["weight"].as_u64().unwrap()).max()
        };
        if check(&shop, &pairs()).is_ok() {
            good += 1;
            let steps = (0..=40).chain((41..9960).step_by(37)).chain(9960..=10_000);
            assert!(steps.into_iter().all(|share| largest(share).unwrap() <= 1_000_000), "{shop}");
        } else {
            bad += 1;
            assert_eq!(largest(1), None);
        }
    }
    assert!(good > 10 && bad > 10, "{good} good, {bad} bad");
}

#[test]
fn weights_that_no_router_can_have_are_refused_before_the_first_share() {
    let fine =
        |shop: u64, legacy: u64| to(&json!([{"name": "shop", "weight": shop}, {"name": "legacy", "weight": legacy}]));
    assert_eq!(check(&fine(100, 100), &pairs()), Ok(()));
    assert_eq!(check(&fine(1_000_000, 0), &pairs()), Ok(()), "one backend alone is always reduced");
    assert_eq!(check(&fine(100, 1), &pairs()), Ok(()), "999900, 100 and 10000");
    let field = "spec.rules[0].backendRefs".to_owned();
    let needed = 101 * 9999;
    assert_eq!(check(&fine(101, 1), &pairs()), Err(WeighError::TooFine { field: field.clone(), needed }));
    assert_eq!(weigh(&fine(1, 101), &pairs(), Share::NONE), Err(WeighError::TooFine { field, needed: 1_010_000 }));
}

#[test]
fn a_rule_has_room_for_the_candidates_or_is_refused() {
    let many = |count: usize| to(&json!(vec![json!({"name": "shop"}); count]));
    assert_eq!(check(&many(8), &pairs()), Ok(()));
    let field = "spec.rules[0].backendRefs".to_owned();
    assert_eq!(check(&many(9), &pairs()), Err(WeighError::TooMany { field, count: 18 }));
}

#[test]
fn what_cannot_be_weighed_is_refused_with_field_and_remedy() {
    let mut loose = to(&json!([{"name": "shop"}]));
    loose["spec"]["parentRefs"] = json!([]);
    let mut nowhere = to(&json!([{"name": "shop", "namespace": "shop"}]));
    nowhere["metadata"] = json!({"name": "shop"});
    let mut text = to(&json!([]));
    text["spec"]["rules"] = json!("all");
    let mut ingress = to(&json!([{"name": "shop"}]));
    ingress["kind"] = json!("Ingress");
    for (route, start) in [
        (ingress, "kind: only an HTTPRoute or a GRPCRoute"),
        (loose, "spec.parentRefs: there is none"),
        (text, "spec.rules: it must be a list"),
        (to(&json!({"name": "shop"})), "spec.rules[0].backendRefs: it must be a list"),
        (to(&json!(["shop"])), "spec.rules[0].backendRefs[0]: it must be an object"),
        (to(&json!([])), "spec.rules: no backendRef with a weight names"),
        (to(&json!([{"name": "shop", "weight": 0}])), "spec.rules: no backendRef with a weight names"),
        (to(&json!([{"name": "shop", "weight": -1}])), "spec.rules[0].backendRefs[0].weight: a weight is"),
        (
            to(&json!([{"name": "shop"}, {"name": "x", "weight": "1"}])),
            "spec.rules[0].backendRefs[1].weight: a weight is",
        ),
        (to(&json!([{"name": "shop", "weight": 1_000_001}])), "spec.rules[0].backendRefs[0].weight: a weight is"),
        (
            to(&json!([{"name": "shop"}, {"name": "shop-candidate"}])),
            "spec.rules[0].backendRefs[1].name: shop-candidate",
        ),
        (nowhere, "spec.rules[0].backendRefs[0].namespace: it cannot be told"),
    ] {
        let error = check(&route, &pairs()).unwrap_err();
        assert_eq!(weigh(&route, &pairs(), Share::NONE), Err(check(&route, &pairs()).unwrap_err()));
        let text = error.to_string();
        assert!(text.starts_with(start) && text.rsplit(": ").next().unwrap().len() > 8, "{text}");
    }
}

#[test]
fn a_route_concerns_a_package_where_a_backend_names_one_of_its_services() {
    for (backends, expected) in [
        (json!([{"name": "legacy"}, {"name": "shop"}]), true),
        (json!([{"name": "shop", "weight": 0}]), true),
        (json!([{"name": "cart-candidate"}]), true),
        (json!([{"name": "legacy"}]), false),
        (json!([{"name": "shop", "namespace": "elsewhere"}]), false),
        (json!([]), false),
    ] {
        assert_eq!(concerns(&to(&backends), &pairs()), expected, "{backends}");
    }
    let mut unclear = to(&json!([{"name": "shop", "namespace": "shop"}]));
    unclear["metadata"] = json!({});
    assert!(concerns(&unclear, &pairs()), "so that it is checked, and refused");
}

#[test]
fn a_live_route_is_weighed_again_as_it_was_weighed_first() {
    let canary = to(&json!([
        {"name": "shop", "port": 80, "weight": 9}, {"name": "shop", "port": 81}, {"name": "legacy", "port": 80, "weight": 2},
    ]));
    for (before, after) in [(0, 10_000), (10_000, 0), (4000, 0), (1, 7000), (2500, 2500)] {
        let live = weighed(&canary, before);
        let again = weigh_again(&live, &pairs(), points(after)).unwrap().unwrap();
        assert_eq!(weights(&again, 0), weights(&weighed(&canary, after), 0), "{before} to {after}");
    }
}

#[test]
fn a_live_route_that_names_only_the_candidate_gets_its_stable_service_back() {
    let live = to(&json!([{"name": "shop-candidate", "port": 80, "weight": 3}]));
    let again = weigh_again(&live, &pairs(), points(0)).unwrap().unwrap();
    assert_eq!(weights(&again, 0), ["shop=1", "shop-candidate=0"]);
    let other = to(&json!([{"name": "legacy", "port": 80}]));
    assert_eq!(weigh_again(&other, &pairs(), points(0)).unwrap(), None);
}
