//! The candidate's share, written into a route.
//!
//! The route is always the one of the package, never the live one: a share that is written twice is the same. Rules
//! that name no routed Service are left as they are, and so is everything in a rule but its backend references.

use serde_json::{Map, Value};
use thiserror::Error;

use crate::{
    engine::share::Share,
    traffic::{
        Pair, RouteKind,
        backend::{self, Names, WEIGHT_MAX},
        text,
    },
};

/// The most backend references that a rule may have.
const BACKENDS_MAX: usize = 16;

/// Why a route cannot carry the candidate's share.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum WeighError {
    /// It is no route, or one of a kind without weights.
    #[error(
        "kind: only an HTTPRoute or a GRPCRoute of gateway.networking.k8s.io/v1 carries weights: write one of them"
    )]
    Kind,
    /// A field has another type than it should.
    #[error("{field}: it must be {wanted}: write it so")]
    Type {
        /// The field.
        field: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// It is attached to nothing, so no request comes through it.
    #[error("spec.parentRefs: there is none, so no router uses the route: name a Gateway")]
    NoParent,
    /// No request that comes through it goes to the package.
    #[error("spec.rules: no backendRef with a weight names a Service of the package: add one, or remove the route")]
    NoBackend,
    /// A weight is none.
    #[error("{field}: a weight is a whole number from 0 to 1000000: write one")]
    Weight {
        /// The field.
        field: String,
    },
    /// Some share would need too large a weight.
    #[error(
        "{field}: a share of 0.01 % needs the weight {needed}, and 1000000 is the largest: write smaller weights, \
         or weights with a common divisor"
    )]
    TooFine {
        /// The field.
        field: String,
        /// The largest weight that the smallest share needs.
        needed: u64,
    },
    /// There is no room for the candidate's references.
    #[error(
        "{field}: with the candidate's there are {count} backendRefs, and 16 are allowed: remove some, or split the rule"
    )]
    TooMany {
        /// The field.
        field: String,
        /// How many there would be.
        count: usize,
    },
    /// The route names a Service that is not the package's to name.
    #[error(
        "{field}: {name} is the candidate Service, which is added to the rule where it is needed: remove this backendRef"
    )]
    Candidate {
        /// The field.
        field: String,
        /// The name of the candidate Service.
        name: String,
    },
    /// It cannot be told whether the package's Service is meant.
    #[error(
        "{field}: it cannot be told whether this is the package's Service: remove the field, or write metadata.namespace too"
    )]
    Namespace {
        /// The field.
        field: String,
    },
}

/// Whether a route of a package sends requests to one of its routed Services, and so has to be weighed.
pub fn concerns(manifest: &Value, pairs: &[Pair]) -> bool {
    let names = |backend| backend::names(manifest, backend, pairs) != Names::Other;
    RouteKind::from_manifest(manifest).is_some()
        && backend::rules(manifest).iter().flat_map(backend::backends).any(names)
}

/// Whether every share from nothing to the whole can be written into this route.
///
/// # Errors
/// Says which field stands against it, and what to do.
pub fn check(manifest: &Value, pairs: &[Pair]) -> Result<(), WeighError> {
    let rules = rules(manifest, pairs)?;
    let routed = |part: &Part<'_>| part.candidate.is_some() && part.weight > 0;
    if !rules.iter().flatten().any(routed) {
        return Err(WeighError::NoBackend);
    }
    rules.iter().enumerate().filter(|(_, parts)| is_routed(parts)).try_for_each(|(at, parts)| check_rule(at, parts))
}

fn check_rule(at: usize, parts: &[Part<'_>]) -> Result<(), WeighError> {
    let field = format!("spec.rules[{at}].backendRefs");
    let count = parts.len() + parts.iter().filter(|part| part.candidate.is_some()).count();
    if count > BACKENDS_MAX {
        return Err(WeighError::TooMany { field, count });
    }
    // No share needs larger weights than the smallest one: it has no divisor in common with the whole, and leaves the
    // most to the stable Service.
    let finest = Share::of_points(1).unwrap_or_default();
    let needed = reduced(parts, finest).into_iter().map(|(stable, candidate)| stable.max(candidate)).max();
    match needed {
        Some(needed) if needed > WEIGHT_MAX => Err(WeighError::TooFine { field, needed }),
        _ => Ok(()),
    }
}

/// The route with this share of the requests to each routed Service going to its candidate. The candidate's backend
/// reference is there at every share, with weight 0 where it has none.
///
/// # Errors
/// As [`check`].
pub fn weigh(manifest: &Value, pairs: &[Pair], split: Share) -> Result<Value, WeighError> {
    check(manifest, pairs)?;
    let kind = RouteKind::from_manifest(manifest).ok_or(WeighError::Kind)?;
    let weighed: Vec<Option<Value>> =
        rules(manifest, pairs)?.iter().map(|parts| is_routed(parts).then(|| written(parts, split))).collect();
    let mut route = manifest.clone();
    if let Some(object) = route.as_object_mut() {
        object.insert("apiVersion".to_owned(), kind.api_version().into());
    }
    let rules = route.pointer_mut("/spec/rules").and_then(Value::as_array_mut);
    for (rule, backends) in rules.into_iter().flatten().zip(weighed) {
        if let (Some(rule), Some(backends)) = (rule.as_object_mut(), backends) {
            rule.insert("backendRefs".to_owned(), backends);
        }
    }
    Ok(route)
}

/// A live route with another share. It is for routes that nobody renders any more: those that a newer revision does not
/// have, and the one of a Profile that is gone. None where it sends no request to these Services.
///
/// # Errors
/// As [`check`].
pub fn weigh_again(live: &Value, pairs: &[Pair], split: Share) -> Result<Option<Value>, WeighError> {
    let mut route = live.clone();
    for rule in route.pointer_mut("/spec/rules").and_then(Value::as_array_mut).into_iter().flatten() {
        let whole = whole(live, backend::backends(rule), pairs);
        if let Some(rule) = rule.as_object_mut().filter(|rule| rule.contains_key("backendRefs")) {
            rule.insert("backendRefs".to_owned(), Value::Array(whole));
        }
    }
    if concerns(&route, pairs) { weigh(&route, pairs, split).map(Some) } else { Ok(None) }
}

/// References without their candidates: each stable one has the weight of both. Weights that were reduced stay in the
/// same relation to those of others.
fn whole(live: &Value, backends: &[Value], pairs: &[Pair]) -> Vec<Value> {
    let mut whole: Vec<Value> = Vec::new();
    for backend in backends {
        let Names::Candidate(pair) = backend::names(live, backend, pairs) else {
            whole.push(backend.clone());
            continue;
        };
        let weight = backend::weight(backend).unwrap_or(0);
        let of_pair =
            |known: &&mut Value| text(known, "name") == Some(&pair.stable) && known.get("port") == backend.get("port");
        match whole.iter_mut().rev().find(of_pair) {
            Some(stable) => stable["weight"] = (backend::weight(stable).unwrap_or(0) + weight).into(),
            None => whole.extend(backend.as_object().map(|backend| with(backend, Some(&pair.stable), weight))),
        }
    }
    whole
}

/// One backend reference of the package's route.
struct Part<'a> {
    backend: &'a Map<String, Value>,
    /// The Service that gets a share of its requests; none where it is no routed Service.
    candidate: Option<&'a str>,
    weight: u64,
}

fn is_routed(parts: &[Part<'_>]) -> bool {
    parts.iter().any(|part| part.candidate.is_some())
}

/// The references of every rule, checked one by one.
fn rules<'a>(manifest: &'a Value, pairs: &'a [Pair]) -> Result<Vec<Vec<Part<'a>>>, WeighError> {
    RouteKind::from_manifest(manifest).ok_or(WeighError::Kind)?;
    let spec = manifest.get("spec").unwrap_or(&Value::Null);
    if items(spec, "parentRefs", "spec")?.is_empty() {
        return Err(WeighError::NoParent);
    }
    let rules = items(spec, "rules", "spec")?;
    rules.iter().enumerate().map(|(at, rule)| parts(manifest, rule, at, pairs)).collect()
}

fn parts<'a>(manifest: &Value, rule: &'a Value, at: usize, pairs: &'a [Pair]) -> Result<Vec<Part<'a>>, WeighError> {
    let within = format!("spec.rules[{at}]");
    let backends = items(rule, "backendRefs", &within)?.iter().enumerate();
    backends.map(|(at, backend)| part(manifest, backend, &format!("{within}.backendRefs[{at}]"), pairs)).collect()
}

fn part<'a>(manifest: &Value, backend: &'a Value, field: &str, pairs: &'a [Pair]) -> Result<Part<'a>, WeighError> {
    let wrong = || WeighError::Type { field: field.to_owned(), wanted: "an object" };
    let candidate = match backend::names(manifest, backend, pairs) {
        Names::Stable(pair) => Some(pair.candidate.as_str()),
        Names::Candidate(pair) => {
            return Err(WeighError::Candidate { field: format!("{field}.name"), name: pair.candidate.clone() });
        }
        Names::Unclear => return Err(WeighError::Namespace { field: format!("{field}.namespace") }),
        Names::Other => None,
    };
    let weight = backend::weight(backend).ok_or_else(|| WeighError::Weight { field: format!("{field}.weight") })?;
    Ok(Part { backend: backend.as_object().ok_or_else(wrong)?, candidate, weight })
}

/// A list that may be absent.
fn items<'a>(object: &'a Value, field: &str, within: &str) -> Result<&'a [Value], WeighError> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(WeighError::Type { field: format!("{within}.{field}"), wanted: "a list" }),
    }
}

/// The smallest weights that stand to each other as the share asks: of each reference, and of its candidate's.
fn reduced(parts: &[Part<'_>], split: Share) -> Vec<(u64, u64)> {
    let (stable, candidate) = (u64::from(split.rest().points()), u64::from(split.points()));
    let whole = u64::from(Share::WHOLE.points());
    let exact: Vec<_> = parts
        .iter()
        .map(|part| match part.candidate {
            Some(_) => (part.weight * stable, part.weight * candidate),
            None => (part.weight * whole, 0),
        })
        .collect();
    let common = exact.iter().fold(0, |common, (stable, candidate)| divisor(divisor(common, *stable), *candidate));
    exact.iter().map(|(stable, candidate)| (stable / common.max(1), candidate / common.max(1))).collect()
}

/// The greatest common divisor; the other number where one is 0.
fn divisor(left: u64, right: u64) -> u64 {
    if right == 0 { left } else { divisor(right, left % right) }
}

fn written(parts: &[Part<'_>], split: Share) -> Value {
    let mut backends = Vec::new();
    for (part, (stable, candidate)) in parts.iter().zip(reduced(parts, split)) {
        backends.push(with(part.backend, None, stable));
        backends.extend(part.candidate.map(|name| with(part.backend, Some(name), candidate)));
    }
    Value::Array(backends)
}

/// A reference with another weight, and with another name where one is given. Its port and its filters stay.
fn with(backend: &Map<String, Value>, name: Option<&str>, weight: u64) -> Value {
    let mut backend = backend.clone();
    backend.insert("weight".to_owned(), weight.into());
    if let Some(name) = name {
        backend.insert("name".to_owned(), name.into());
    }
    Value::Object(backend)
}
