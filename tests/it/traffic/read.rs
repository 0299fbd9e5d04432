//! Shares read back from live routes, and what counts as a difference.

use landfall::{
    engine::share::Share,
    traffic::{
        read::{Written, matches, written},
        weigh::weigh,
    },
};
use serde_json::{Value, json};

use super::{pairs, points, route, to};

fn range(least: u32, most: u32) -> Written {
    Written { least: points(least), most: points(most), complete: true }
}

fn incomplete(least: u32, most: u32) -> Written {
    Written { complete: false, ..range(least, most) }
}

#[test]
fn every_share_is_read_back_as_it_was_written() {
    let routes = [
        to(&json!([{"name": "shop"}])),
        to(&json!([{"name": "shop", "weight": 100}, {"name": "legacy", "weight": 37}])),
        route(&json!([
            {"backendRefs": [{"name": "shop", "port": 80}, {"name": "shop", "port": 81, "weight": 5}]},
            {"backendRefs": [{"name": "cart", "weight": 90}, {"name": "legacy", "weight": 10}]},
            {"backendRefs": [{"name": "shop", "weight": 0}, {"name": "legacy"}]},
            {"backendRefs": [{"name": "legacy", "weight": 0}]},
        ])),
    ];
    for before in routes {
        for share in 0..=10_000 {
            let live = weigh(&before, &pairs(), points(share)).unwrap();
            assert_eq!(written(&live, &pairs()), range(share, share), "{share} of {before}");
        }
    }
}

#[test]
fn weights_of_others_are_read_with_the_share_between_its_roundings() {
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..2000 {
        let (stable, candidate) = (random.u64(0..=1_000_000), random.u64(0..=1_000_000));
        let live = to(&json!([{"name": "shop", "weight": stable}, {"name": "shop-candidate", "weight": candidate}]));
        let Written { least, most, complete } = written(&live, &pairs());
        let exact = u128::from(candidate) * 10_000;
        let total = u128::from(stable + candidate);
        assert!(complete && u128::from(least.points()) * total <= exact && exact <= u128::from(most.points()) * total);
        assert!(most.points() - least.points() <= 1, "{live}");
    }
    let thirds = to(&json!([{"name": "shop", "weight": 2}, {"name": "shop-candidate"}]));
    assert_eq!(written(&thirds, &pairs()), range(3333, 3334));
}

#[test]
fn rules_with_different_shares_give_the_smallest_and_the_largest() {
    let live = route(&json!([
        {"backendRefs": [{"name": "shop", "weight": 3}, {"name": "shop-candidate", "weight": 1}]},
        {"backendRefs": [{"name": "cart", "weight": 1}, {"name": "cart-candidate", "weight": 1}, {"name": "legacy"}]},
    ]));
    assert_eq!(written(&live, &pairs()), range(2500, 5000));
}

#[test]
fn a_rule_without_the_candidate_is_not_complete() {
    for (backends, expected) in [
        (json!([{"name": "shop"}]), incomplete(0, 0)),
        (json!([{"name": "shop"}, {"name": "shop-candidate", "namespace": "elsewhere"}]), incomplete(0, 0)),
        (json!([{"name": "shop"}, {"name": "shop"}, {"name": "shop-candidate"}]), incomplete(3333, 3334)),
        (json!([{"name": "shop"}, {"name": "shop-candidate"}, {"name": "cart"}]), incomplete(0, 5000)),
        (json!([{"name": "shop-candidate"}]), range(10_000, 10_000)),
        (json!([{"name": "legacy"}]), incomplete(0, 0)),
        (json!([{"name": "shop", "weight": 0}, {"name": "shop-candidate", "weight": 0}]), range(0, 0)),
    ] {
        assert_eq!(written(&to(&backends), &pairs()), expected, "{backends}");
    }
}

#[test]
fn weights_that_cannot_be_read_leave_every_share_possible() {
    for weight in [json!("1"), json!(-1), json!(u64::MAX), json!(0.5), json!([])] {
        let live = to(&json!([{"name": "shop", "weight": weight}, {"name": "shop-candidate", "weight": 0}]));
        assert_eq!(written(&live, &pairs()), range(0, 10_000), "{live}");
    }
}

/// A route as it was written, and as the API server gives it back.
fn defaulted() -> (Value, Value) {
    let mut wanted = route(&json!([
        {"backendRefs": [{"name": "shop", "port": 80}]},
        {
            "matches": [{"headers": [{"name": "a", "value": "b"}]}, {"path": {"value": "/x"}}],
            "filters": [{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "shop"}}}],
            "backendRefs": [{"name": "cart", "weight": null}],
        },
        {"filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}]},
    ]));
    let mut live = wanted.clone();
    let everything = json!({"type": "PathPrefix", "value": "/"});
    live["metadata"]["resourceVersion"] = json!("7");
    live["spec"]["parentRefs"][0] =
        json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", "namespace": "gateway"});
    let rules = &mut live["spec"]["rules"];
    rules[0] = json!({
        "backendRefs": [{"group": "", "kind": "Service", "name": "shop", "port": 80, "weight": 1}],
        "matches": [{"path": everything}],
    });
    rules[1]["matches"] = json!([
        {"path": everything, "headers": [{"name": "a", "value": "b", "type": "Exact"}]},
        {"path": {"type": "PathPrefix", "value": "/x"}},
    ]);
    rules[1]["filters"][0]["requestMirror"]["backendRef"] = json!({"group": "", "kind": "Service", "name": "shop"});
    rules[1]["backendRefs"] = json!([{"group": "", "kind": "Service", "name": "cart", "weight": 1}]);
    rules[2]["matches"] = json!([{"path": everything}]);
    rules[2]["filters"][0]["requestRedirect"]["statusCode"] = json!(302);
    wanted["metadata"]["labels"] = json!({"a": "b"});
    (live, wanted)
}

#[test]
fn what_the_api_server_adds_is_no_difference() {
    let (live, wanted) = defaulted();
    assert!(matches(&live, &wanted) && matches(&wanted, &live) && matches(&live, &live));
}

#[test]
fn everything_else_is_a_difference() {
    let (live, wanted) = defaulted();
    for (pointer, value) in [
        ("/spec/rules/0/backendRefs/0/weight", json!(2)),
        ("/spec/rules/0/backendRefs/0/port", json!(81)),
        ("/spec/rules/0/backendRefs/0/kind", json!("Gateway")),
        ("/spec/parentRefs/0/kind", json!("Service")),
        ("/spec/parentRefs/0/group", json!("")),
        ("/spec/rules/1/matches/1/path/type", json!("Exact")),
        ("/spec/rules/1/matches/0/headers/0/type", json!("RegularExpression")),
        ("/spec/rules/2/filters/0/requestRedirect/statusCode", json!(301)),
        ("/spec/rules/0/matches", json!([])),
        ("/spec/rules/2", json!({})),
        ("/spec/rules", json!([])),
    ] {
        let mut other = live.clone();
        *other.pointer_mut(pointer).unwrap() = value;
        assert!(!matches(&other, &wanted), "{pointer}");
    }
    for (field, value) in [("hostnames", json!(["a.test"])), ("rules", json!(null))] {
        let mut other = live.clone();
        other["spec"][field] = value;
        assert!(!matches(&other, &wanted), "{field}");
    }
}

#[test]
fn a_written_share_matches_itself_only() {
    let shop = to(&json!([{"name": "shop"}, {"name": "legacy"}]));
    let at = |share: Share| weigh(&shop, &pairs(), share).unwrap();
    assert!(matches(&at(points(100)), &at(points(100))));
    assert!(!matches(&at(points(100)), &at(points(101))));
    assert!(!matches(&shop, &at(Share::NONE)), "the candidate's backend reference is missing");
}
