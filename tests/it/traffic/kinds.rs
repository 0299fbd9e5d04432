//! Which objects are routes, and which are refused.

use landfall::traffic::{RouteKind, refuse};
use serde_json::{Value, json};

fn object(version: &str, kind: &str) -> Value {
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": "shop"}})
}

#[test]
fn a_kind_of_route_is_found_by_group_version_and_kind() {
    for (version, kind, expected) in [
        ("gateway.networking.k8s.io/v1", "HTTPRoute", Some(RouteKind::Http)),
        ("gateway.networking.k8s.io/v1beta1", "HTTPRoute", Some(RouteKind::Http)),
        ("gateway.networking.k8s.io/v1", "GRPCRoute", Some(RouteKind::Grpc)),
        ("gateway.networking.k8s.io/v1alpha2", "GRPCRoute", None),
        ("gateway.networking.k8s.io/v1beta1", "GRPCRoute", None),
        ("policy.linkerd.io/v1", "HTTPRoute", None),
        ("v1", "HTTPRoute", None),
        ("gateway.networking.k8s.io/v1", "Gateway", None),
    ] {
        assert_eq!(RouteKind::from_manifest(&object(version, kind)), expected, "{version} {kind}");
    }
    for kind in RouteKind::ALL {
        assert_eq!(RouteKind::from_manifest(&object(kind.api_version(), kind.kind())), Some(kind));
        assert_eq!(kind.plural(), format!("{}s", kind.kind().to_lowercase()));
    }
}

#[test]
fn what_carries_requests_without_weights_is_refused_by_name_with_the_remedy() {
    for (version, kind) in [
        ("gateway.networking.k8s.io/v1alpha2", "TCPRoute"),
        ("gateway.networking.k8s.io/v1", "TLSRoute"),
        ("gateway.networking.k8s.io/v1alpha2", "GRPCRoute"),
        ("networking.k8s.io/v1", "Ingress"),
        ("extensions/v1beta1", "Ingress"),
        ("networking.istio.io/v1", "VirtualService"),
        ("projectcontour.io/v1", "HTTPProxy"),
        ("traefik.io/v1alpha1", "IngressRoute"),
        ("split.smi-spec.io/v1alpha2", "TrafficSplit"),
        ("policy.linkerd.io/v1beta3", "HTTPRoute"),
    ] {
        let text = refuse(&object(version, kind)).unwrap_or_else(|| panic!("{version} {kind} is taken"));
        assert!(text.starts_with(&format!("{kind} shop: ")) && text.contains(version), "{text}");
        assert!(text.ends_with("write an HTTPRoute or a GRPCRoute of gateway.networking.k8s.io/v1"), "{text}");
    }
}

#[test]
fn what_carries_no_requests_and_what_carries_weights_is_not_refused() {
    for (version, kind) in [
        ("gateway.networking.k8s.io/v1", "HTTPRoute"),
        ("gateway.networking.k8s.io/v1beta1", "HTTPRoute"),
        ("gateway.networking.k8s.io/v1", "GRPCRoute"),
        ("gateway.networking.k8s.io/v1beta1", "ReferenceGrant"),
        ("networking.k8s.io/v1", "NetworkPolicy"),
        ("networking.istio.io/v1", "DestinationRule"),
        ("v1", "Service"),
        ("v1", "Ingress"),
    ] {
        assert_eq!(refuse(&object(version, kind)), None, "{version} {kind}");
    }
}
