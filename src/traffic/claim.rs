//! What routes take for themselves, and where two Deployments want the same.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::traffic::{
    RouteKind, backend, list,
    parent::{ParentKey, parents},
    text,
};

/// All requests of one host and path at one parent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// The parent that they come through.
    pub parent: ParentKey,
    /// The host; `*` where the route names none.
    pub hostname: String,
    /// The path, as a sentence shows it: a prefix as it is, anything else with how it is compared.
    pub path: String,
}

/// What a route takes. A match that asks for more than a path takes only some of the requests there and leaves the
/// others to other routes, so it is no claim.
pub fn claims(route: &Value) -> Vec<Claim> {
    let hostnames = hostnames(route);
    let paths: Vec<String> = backend::rules(route).iter().flat_map(|rule| paths(route, rule)).collect();
    let mut claims = Vec::new();
    for parent in parents(route) {
        for hostname in &hostnames {
            let claim =
                |path: &String| Claim { parent: parent.clone(), hostname: hostname.clone(), path: path.clone() };
            claims.extend(paths.iter().map(claim));
        }
    }
    claims
}

fn hostnames(route: &Value) -> Vec<String> {
    let listed = route.get("spec").map_or(&[][..], |spec| list(spec, "hostnames"));
    let hostnames: Vec<String> = listed.iter().filter_map(Value::as_str).map(str::to_lowercase).collect();
    if hostnames.is_empty() { vec!["*".to_owned()] } else { hostnames }
}

/// The paths that a rule takes whole; every one where it has no match at all.
fn paths(route: &Value, rule: &Value) -> Vec<String> {
    let read = match RouteKind::from_manifest(route) {
        Some(RouteKind::Grpc) => method,
        _ => path,
    };
    match list(rule, "matches") {
        [] => vec!["/".to_owned()],
        matches => matches.iter().filter_map(read).collect(),
    }
}

/// Whether a match asks for something in any of these fields.
fn asks(it: &Value, fields: &[&str]) -> bool {
    fields.iter().any(|field| it.get(field).is_some_and(|value| !value.is_null() && value != &Value::Array(Vec::new())))
}

fn path(it: &Value) -> Option<String> {
    if asks(it, &["headers", "queryParams", "method"]) {
        return None;
    }
    let part = |field| it.get("path").and_then(|path| text(path, field));
    Some(shown(part("value").unwrap_or("/"), part("type").unwrap_or("PathPrefix")))
}

fn method(it: &Value) -> Option<String> {
    if asks(it, &["headers"]) {
        return None;
    }
    let part = |field| it.get("method").and_then(|method| text(method, field));
    let kind = part("type").unwrap_or("Exact");
    Some(match (part("service"), part("method")) {
        (None, None) => "/".to_owned(),
        (Some(service), None) => shown(&format!("/{service}"), if kind == "Exact" { "PathPrefix" } else { kind }),
        (service, method) => shown(&format!("/{}/{}", service.unwrap_or("*"), method.unwrap_or("*")), kind),
    })
}

/// A prefix matches whole elements of a path, so a slash at its end means nothing.
fn shown(path: &str, kind: &str) -> String {
    match (kind, path.trim_end_matches('/')) {
        ("PathPrefix", "") => "/".to_owned(),
        ("PathPrefix", prefix) => prefix.to_owned(),
        _ => format!("{path} ({kind})"),
    }
}

/// Why these claims cannot be had: a Deployment of the others, which are given by name, has one of them already. Host
/// names with a wildcard meet only the same text: which of two routes gets a request is then decided by the router, by
/// the longer name.
///
/// What a live route of one's own holds already is not to be asked for again: nobody may keep a share from being written
/// into it, least of all on the way back to the stable revision.
pub fn conflict(mine: &[Claim], others: &BTreeMap<String, Vec<Claim>>) -> Option<String> {
    let held = |own: &&Claim, other: &Claim| {
        own.hostname == other.hostname && own.path == other.path && own.parent.overlaps(&other.parent)
    };
    let (deployment, own) = others.iter().find_map(|(deployment, claims)| {
        let own = mine.iter().find(|own| claims.iter().any(|other| held(own, other)))?;
        Some((deployment, own))
    })?;
    let Claim { parent, hostname, path } = own;
    Some(format!(
        "host {hostname} and path {path} at {parent} belong to Deployment {deployment}: choose another host or path, or \
         take it from that Deployment first"
    ))
}
