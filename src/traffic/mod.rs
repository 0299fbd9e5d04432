//! Routes: how a share of the traffic is written into them, read back, and acknowledged by routers.
//!
//! Ring 1. Everything here is a function of objects as the API server gives them, and none of it asks for more. In
//! reading order:
//!
//! - [`weigh`] writes a share into a route, [`read`] reads it back from the live one.
//! - [`parent`], [`acknowledge`]: what a route is attached to, and whether its routers act on it.
//! - [`made`], [`claim`]: routes for packages that have none, and what routes take from others.
//! - [`combine`]: the routes of a package as the engine's one.
//! - [`service`], [`endpoints`]: what a Service selects, and where its requests arrive.
//!
//! A further kind of route is one more [`RouteKind`], and a file of its own where its rules differ.

pub mod acknowledge;
pub mod backend;
pub mod claim;
pub mod combine;
pub mod endpoints;
mod hash;
pub mod made;
pub mod parent;
pub mod read;
pub mod service;
pub mod weigh;

use serde_json::Value;

/// The API group of the Gateway API.
pub const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

/// The two names of a routed Service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// The Service that clients know, and that the package's routes name.
    pub stable: String,
    /// The Service of the revision under test.
    pub candidate: String,
}

/// A kind of route that carries weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteKind {
    /// Of the Gateway API, for HTTP.
    Http,
    /// Of the Gateway API, for gRPC.
    Grpc,
}

impl RouteKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Http, Self::Grpc];

    /// The version under which it is read and written.
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::Http | Self::Grpc => "gateway.networking.k8s.io/v1",
        }
    }

    /// The kind as manifests name it.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Http => "HTTPRoute",
            Self::Grpc => "GRPCRoute",
        }
    }

    /// The kind as a path of the API server names it.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Http => "httproutes",
            Self::Grpc => "grpcroutes",
        }
    }

    /// Other versions of the same content, which are written as [`RouteKind::api_version`].
    const fn older(self) -> &'static [&'static str] {
        match self {
            Self::Http => &["gateway.networking.k8s.io/v1beta1"],
            Self::Grpc => &[],
        }
    }

    /// The kind of a manifest; none where it is no route that carries weights.
    pub fn from_manifest(manifest: &Value) -> Option<Self> {
        let (version, kind) = (text(manifest, "apiVersion")?, text(manifest, "kind")?);
        let is = |route: &Self| route.api_version() == version || route.older().contains(&version);
        Self::ALL.into_iter().find(|route| route.kind() == kind && is(route))
    }
}

/// Kinds that carry requests to Services and that have no weights here, by group.
const OTHERS: [(&str, &[&str]); 14] = [
    (GATEWAY_GROUP, &["HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute"]),
    ("networking.k8s.io", &["Ingress"]),
    ("extensions", &["Ingress"]),
    ("networking.istio.io", &["VirtualService"]),
    ("projectcontour.io", &["HTTPProxy"]),
    ("traefik.io", &["IngressRoute", "IngressRouteTCP", "IngressRouteUDP", "TraefikService"]),
    ("split.smi-spec.io", &["TrafficSplit"]),
    ("linkerd.io", &["ServiceProfile"]),
    ("policy.linkerd.io", &["HTTPRoute", "GRPCRoute"]),
    ("kuma.io", &["MeshHTTPRoute", "MeshTCPRoute"]),
    ("appmesh.k8s.aws", &["VirtualRouter", "VirtualService"]),
    ("apisix.apache.org", &["ApisixRoute"]),
    ("getambassador.io", &["Mapping", "TCPMapping"]),
    ("route.openshift.io", &["Route"]),
];

/// Why an object cannot be part of a package: it carries requests past the weights. None for everything else, also for
/// the routes that carry weights.
pub fn refuse(manifest: &Value) -> Option<String> {
    let (version, kind) = (text(manifest, "apiVersion")?, text(manifest, "kind")?);
    let group = version.split_once('/')?.0;
    if RouteKind::from_manifest(manifest).is_some() {
        return None;
    }
    OTHERS.iter().find(|(other, kinds)| *other == group && kinds.contains(&kind))?;
    let name = manifest.get("metadata").and_then(|metadata| text(metadata, "name")).unwrap_or("without a name");
    Some(format!(
        "{kind} {name}: this kind of {version} cannot carry weights: write an HTTPRoute or a GRPCRoute of {}",
        RouteKind::Http.api_version()
    ))
}

/// A field that is a text.
fn text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get(field)?.as_str()
}

/// A field that is a list; an empty one where it is not.
fn list<'a>(object: &'a Value, field: &str) -> &'a [Value] {
    object.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A field of an object's metadata that is a text.
fn metadata<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    text(object.get("metadata")?, field)
}
