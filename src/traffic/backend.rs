//! The backend references of a rule: which Service each one names, and with which weight.

use serde_json::Value;

use crate::traffic::{Pair, list, metadata, text};

/// The largest weight of a backend reference.
pub(super) const WEIGHT_MAX: u64 = 1_000_000;

/// Which Service a reference names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names<'a> {
    /// The stable one of this pair.
    Stable(&'a Pair),
    /// The candidate of this pair.
    Candidate(&'a Pair),
    /// One of the package's names, in a namespace that may or may not be the route's, which has none.
    Unclear,
    /// None of the package's.
    Other,
}

/// The rules of a route.
pub(super) fn rules(route: &Value) -> &[Value] {
    route.get("spec").map_or(&[], |spec| list(spec, "rules"))
}

/// The references of a rule.
pub(super) fn backends(rule: &Value) -> &[Value] {
    list(rule, "backendRefs")
}

/// Which Service a reference of this route names. A Service of another namespace is none of the package's.
pub(super) fn names<'a>(route: &Value, backend: &Value, pairs: &'a [Pair]) -> Names<'a> {
    let named = named(backend, pairs);
    match (text(backend, "namespace"), metadata(route, "namespace")) {
        (None, _) => named,
        (Some(other), Some(own)) if other == own => named,
        (Some(_), None) if named != Names::Other => Names::Unclear,
        (Some(_), _) => Names::Other,
    }
}

fn named<'a>(backend: &Value, pairs: &'a [Pair]) -> Names<'a> {
    let service = text(backend, "group").unwrap_or_default().is_empty()
        && text(backend, "kind").is_none_or(|kind| kind == "Service");
    let Some(name) = text(backend, "name").filter(|_| service) else { return Names::Other };
    let stable = pairs.iter().find(|pair| pair.stable == name).map(Names::Stable);
    let candidate = || pairs.iter().find(|pair| pair.candidate == name).map(Names::Candidate);
    stable.or_else(candidate).unwrap_or(Names::Other)
}

/// The Services of its own namespace that a route names.
pub fn services_of(route: &Value) -> impl Iterator<Item = &str> {
    let all = rules(route).iter().flat_map(backends);
    all.filter(|backend| text(backend, "namespace").is_none_or(|other| Some(other) == metadata(route, "namespace")))
        .filter(|backend| text(backend, "kind").is_none_or(|kind| kind == "Service"))
        .filter_map(|backend| text(backend, "name"))
}

/// The weight of a reference, 1 where it has none; none where it is no weight.
pub(super) fn weight(backend: &Value) -> Option<u64> {
    match backend.get("weight") {
        None | Some(Value::Null) => Some(1),
        Some(value) => value.as_u64().filter(|weight| *weight <= WEIGHT_MAX),
    }
}
