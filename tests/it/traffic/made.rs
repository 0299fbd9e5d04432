//! Routes for packages that have none.

use landfall::{
    api::{
        deployment::DeploymentTraffic,
        profile::{Gateway, ParentRef},
    },
    engine::share::Share,
    traffic::{
        RouteKind,
        made::{Backend, Made, Refused, backend, made},
        weigh::weigh,
    },
};
use serde_json::{Value, json};

use super::{pairs, weights};

fn gateway() -> Gateway {
    let full = ParentRef {
        name: "public".to_owned(),
        namespace: Some("gateway".to_owned()),
        section_name: Some("http".to_owned()),
        port: Some(80),
    };
    let short = ParentRef { name: "own".to_owned(), namespace: None, section_name: None, port: None };
    Gateway { parent_refs: vec![full, short], hostnames: vec!["shop.example.test".to_owned()] }
}

fn make(gateway: &Gateway, traffic: Option<&DeploymentTraffic>) -> Result<Value, Refused> {
    let backend = Backend { service: "shop".to_owned(), port: 8080 };
    made(&Made { deployment: "shop", namespace: "web", gateway, traffic, backend: &backend })
}

fn with_path(path: &str) -> Result<Value, Refused> {
    make(&gateway(), Some(&DeploymentTraffic { hostnames: Vec::new(), path: Some(path.to_owned()) }))
}

#[test]
fn a_made_route_is_what_the_profile_says() {
    let expected = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "shop-route", "namespace": "web"},
        "spec": {
            "parentRefs": [{"name": "public", "namespace": "gateway", "sectionName": "http", "port": 80}, {"name": "own"}],
            "hostnames": ["shop.example.test"],
            "rules": [{
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [{"name": "shop", "port": 8080}],
            }],
        },
    });
    let route = make(&gateway(), None).unwrap();
    assert_eq!(route, expected);
    assert_eq!(RouteKind::from_manifest(&route), Some(RouteKind::Http));
}

#[test]
fn the_deployment_has_its_own_host_names_and_path() {
    let traffic =
        DeploymentTraffic { hostnames: vec!["a.test".to_owned(), "*.b.test".to_owned()], path: Some("/x".to_owned()) };
    let route = make(&gateway(), Some(&traffic)).unwrap();
    assert_eq!(route["spec"]["hostnames"], json!(["a.test", "*.b.test"]));
    assert_eq!(route["spec"]["rules"][0]["matches"][0]["path"]["value"], "/x");
    let path_only = with_path("/x").unwrap();
    assert_eq!(path_only["spec"]["hostnames"], json!(["shop.example.test"]));
    let anywhere = make(&Gateway { hostnames: Vec::new(), ..gateway() }, None).unwrap();
    assert_eq!(anywhere["spec"].get("hostnames"), None);
}

#[test]
fn a_made_route_carries_weights_like_any_other() {
    let route = weigh(&make(&gateway(), None).unwrap(), &pairs(), Share::of_percent(20).unwrap()).unwrap();
    assert_eq!(weights(&route, 0), ["shop=4", "shop-candidate=1"]);
}

#[test]
fn a_path_that_routers_read_differently_is_refused() {
    for good in ["/", "/x", "/x/", "/x/y-z_1.~", "/a%20b", "/.well-known/x", "/x/..y"] {
        assert!(with_path(good).is_ok(), "{good}");
    }
    for bad in [
        "", "x", "//", "/a//b", "/a/./b", "/a/../b", "/..", "/a/.", "/%2fa", "/%2Fa", "/#a", "/a?b", "/ä", "/a b",
        "/%", "/%2", "/%zz", "/{a}", "/\0",
    ] {
        assert_eq!(with_path(bad), Err(Refused::Path { path: bad.to_owned() }), "{bad}");
    }
    let text = with_path("x").unwrap_err().to_string();
    assert!(text.starts_with("spec.traffic.path: \"x\" is no path"), "{text}");
}

#[test]
fn a_gateway_without_parents_is_refused() {
    assert_eq!(make(&Gateway { parent_refs: Vec::new(), hostnames: Vec::new() }, None), Err(Refused::NoParent));
}

fn service(name: &str, expose: Option<&str>, ports: &Value) -> Value {
    let mut service = json!({"kind": "Service", "metadata": {"name": name}, "spec": {"ports": ports}});
    if let Some(port) = expose {
        service["metadata"]["annotations"] = json!({"landfall.dev/expose": port});
    }
    service
}

fn chosen(services: &[Value]) -> Result<(String, u16), Refused> {
    backend(&services.iter().collect::<Vec<_>>()).map(|backend| (backend.service, backend.port))
}

#[test]
fn requests_go_to_the_only_port_or_to_the_exposed_one() {
    let http = json!([{"name": "http", "port": 80}]);
    let several = json!([{"name": "http", "port": 80, "protocol": "TCP"}, {"name": "admin", "port": 9000}]);
    let with_dns = json!([{"name": "dns", "port": 53, "protocol": "UDP"}, {"port": 80}]);
    for (services, port) in [
        (vec![service("shop", None, &http)], 80),
        (vec![service("shop", None, &with_dns)], 80),
        (vec![service("shop", Some("admin"), &several)], 9000),
        (vec![service("shop", Some("80"), &several)], 80),
        (vec![service("cart", None, &http), service("shop", Some("http"), &http)], 80),
        (vec![service("empty", None, &json!([])), service("shop", None, &http)], 80),
    ] {
        assert_eq!(chosen(&services), Ok(("shop".to_owned(), port)), "{services:?}");
    }
}

#[test]
fn a_port_that_cannot_be_told_is_refused_with_the_remedy() {
    let http = json!([{"name": "http", "port": 80}]);
    for (services, start) in [
        (vec![], "the package has no Service with a TCP port"),
        (
            vec![service("dns", None, &json!([{"port": 53, "protocol": "UDP"}]))],
            "the package has no Service with a TCP port",
        ),
        (
            vec![service("bad", None, &json!([{"port": 70_000}, {"port": 0}, {"port": "80"}, 1]))],
            "the package has no Service",
        ),
        (
            vec![service("a", None, &http), service("b", None, &http)],
            "the package has several ports that a route could send requests to (a:80, b:80): name one",
        ),
        (vec![service("a", Some("grpc"), &http)], "Service a: landfall.dev/expose names the port grpc"),
        (vec![service("a", Some("http"), &http), service("b", Some("http"), &http)], "Services a and b both have"),
    ] {
        let text = chosen(&services).unwrap_err().to_string();
        assert!(text.starts_with(start), "{text}");
    }
}
