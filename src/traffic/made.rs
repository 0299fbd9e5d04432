//! A route for a package that has none of its own, from the gateway of its profile.

use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::{
    api::{
        EXPOSE_ANNOTATION,
        deployment::DeploymentTraffic,
        names::derived,
        profile::{Gateway, ParentRef},
    },
    traffic::{RouteKind, list, metadata, text},
};

/// The longest name of a route.
const NAME_MAX: usize = 253;

/// What the path of a route may not have, because routers read it in different ways.
const PATH_REFUSED: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];

/// What it may have besides letters and digits, and `%` before two hexadecimal digits.
const PATH_MARKS: &[u8] = b"-/._~!$&'()*+,;=:@";

/// What a route is made from.
#[derive(Debug, Clone, Copy)]
pub struct Made<'a> {
    /// The name of the Deployment.
    pub deployment: &'a str,
    /// The namespace that the route and the Service are in.
    pub namespace: &'a str,
    /// The profile's gateway.
    pub gateway: &'a Gateway,
    /// What the Deployment wants otherwise.
    pub traffic: Option<&'a DeploymentTraffic>,
    /// Where requests go.
    pub backend: &'a Backend,
}

/// The port of a Service that requests go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// The Service that clients know.
    pub service: String,
    /// Its port.
    pub port: u16,
}

/// Why no route can be made.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Refused {
    /// The route would be attached to nothing.
    #[error("spec.traffic.gateway.parentRefs: there is none, so no router would use the route: name a Gateway")]
    NoParent,
    /// The package has no port that requests could go to.
    #[error(
        "the package has no Service with a TCP port that a route could send requests to: add one, or write its own route"
    )]
    NoPort,
    /// It has several.
    #[error(
        "the package has several ports that a route could send requests to ({ports}): name one by the annotation \
         landfall.dev/expose on its Service, with the port's name or number"
    )]
    ManyPorts {
        /// The ports, each with its Service.
        ports: String,
    },
    /// The one that is meant is not there.
    #[error(
        "Service {service}: landfall.dev/expose names the port {port}, which it does not have: name one of its TCP ports"
    )]
    UnknownPort {
        /// The Service.
        service: String,
        /// What its annotation says.
        port: String,
    },
    /// Two are meant.
    #[error("Services {first} and {second} both have the annotation landfall.dev/expose: remove one of them")]
    TwoExposed {
        /// One Service.
        first: String,
        /// The other one.
        second: String,
    },
    /// The path is none that a router understands.
    #[error(
        "spec.traffic.path: {path:?} is no path that routers agree on: start with '/', without '//', '/.', '/..' and \
         '%2f', of letters, digits and {}",
        String::from_utf8_lossy(PATH_MARKS)
    )]
    Path {
        /// What was written.
        path: String,
    },
}

/// One port, as a Service of a package has it.
struct Port<'a> {
    service: &'a str,
    name: Option<&'a str>,
    number: u16,
}

/// The port that requests go to: the one that is exposed by annotation, else the only one there is.
///
/// # Errors
/// There is none, or it cannot be told which one is meant.
pub fn backend(services: &[&Value]) -> Result<Backend, Refused> {
    let mut exposed = services.iter().filter_map(|service| Some((*service, exposed(service)?)));
    if let Some((service, port)) = exposed.next() {
        return match exposed.next() {
            None => named(service, port),
            Some((other, _)) => {
                let name = |service| metadata(service, "name").unwrap_or_default().to_owned();
                Err(Refused::TwoExposed { first: name(service), second: name(other) })
            }
        };
    }
    let all: Vec<Port<'_>> = services.iter().flat_map(|service| ports(service)).collect();
    match all.as_slice() {
        [] => Err(Refused::NoPort),
        [port] => Ok(port.backend()),
        several => Err(Refused::ManyPorts { ports: several.iter().map(Port::shown).collect::<Vec<_>>().join(", ") }),
    }
}

fn exposed(service: &Value) -> Option<&str> {
    text(service.get("metadata")?.get("annotations")?, EXPOSE_ANNOTATION)
}

fn named(service: &Value, wanted: &str) -> Result<Backend, Refused> {
    let is = |port: &Port<'_>| port.name == Some(wanted) || port.number.to_string() == wanted;
    ports(service).find(is).map(|port| port.backend()).ok_or_else(|| Refused::UnknownPort {
        service: metadata(service, "name").unwrap_or_default().to_owned(),
        port: wanted.to_owned(),
    })
}

/// The ports of a Service that HTTP can use.
fn ports(service: &Value) -> impl Iterator<Item = Port<'_>> {
    let name = metadata(service, "name").unwrap_or_default();
    let all = service.get("spec").map_or(&[][..], |spec| list(spec, "ports"));
    let tcp = all.iter().filter(|port| text(port, "protocol").is_none_or(|protocol| protocol == "TCP"));
    tcp.filter_map(move |port| {
        let number = u16::try_from(port.get("port")?.as_u64()?).ok().filter(|number| *number > 0)?;
        Some(Port { service: name, name: text(port, "name"), number })
    })
}

impl Port<'_> {
    fn backend(&self) -> Backend {
        Backend { service: self.service.to_owned(), port: self.number }
    }

    fn shown(&self) -> String {
        format!("{}:{}", self.service, self.number)
    }
}

/// The name of the route that is made for a Deployment. It ends in `-route`, so that it does not meet a route that
/// somebody named after the application.
pub fn name(deployment: &str) -> String {
    derived(deployment, "route", NAME_MAX)
}

/// The route, as a package could have had it: without weights and without labels.
///
/// # Errors
/// Says which field stands against it, and what to do.
pub fn made(wish: &Made<'_>) -> Result<Value, Refused> {
    if wish.gateway.parent_refs.is_empty() {
        return Err(Refused::NoParent);
    }
    let parents: Vec<Value> = wish.gateway.parent_refs.iter().map(parent).collect();
    let own = wish.traffic.map(|traffic| &traffic.hostnames).filter(|hostnames| !hostnames.is_empty());
    let hostnames = own.unwrap_or(&wish.gateway.hostnames);
    let rule = json!({
        "matches": [{"path": {"type": "PathPrefix", "value": path(wish)?}}],
        "backendRefs": [{"name": wish.backend.service, "port": wish.backend.port}],
    });
    let mut spec = Map::from_iter([("parentRefs".to_owned(), parents.into()), ("rules".to_owned(), json!([rule]))]);
    if !hostnames.is_empty() {
        spec.insert("hostnames".to_owned(), json!(hostnames));
    }
    Ok(json!({
        "apiVersion": RouteKind::Http.api_version(),
        "kind": RouteKind::Http.kind(),
        "metadata": {"name": name(wish.deployment), "namespace": wish.namespace},
        "spec": spec,
    }))
}

fn path<'a>(wish: &Made<'a>) -> Result<&'a str, Refused> {
    let path = wish.traffic.and_then(|traffic| traffic.path.as_deref()).unwrap_or("/");
    let refused = PATH_REFUSED.iter().any(|part| path.contains(part)) || path.ends_with("/..") || path.ends_with("/.");
    let good = path.starts_with('/') && !refused && is_plain(path);
    if good { Ok(path) } else { Err(Refused::Path { path: path.to_owned() }) }
}

/// Whether a path is of characters that need no escape, and of escapes.
fn is_plain(path: &str) -> bool {
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || PATH_MARKS.contains(&byte));
    let escaped =
        |part: &str| part.as_bytes().get(..2).is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit)) && plain(part);
    let mut parts = path.split('%');
    parts.next().is_some_and(plain) && parts.all(escaped)
}

fn parent(reference: &ParentRef) -> Value {
    let ParentRef { name, namespace, section_name, port } = reference;
    let mut parent = Map::from_iter([("name".to_owned(), json!(name))]);
    let optional = [("namespace", json!(namespace)), ("sectionName", json!(section_name)), ("port", json!(port))];
    let set = optional.into_iter().filter(|(_, value)| !value.is_null());
    parent.extend(set.map(|(field, value)| (field.to_owned(), value)));
    Value::Object(parent)
}
