//! The candidate's share, read back from a live route, and whether the route is what it should be.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{
    engine::share::Share,
    traffic::{
        Pair,
        backend::{self, Names},
    },
};

/// The candidate's share as a route has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The smallest share of any rule, rounded down.
    pub least: Share,
    /// The largest share of any rule, rounded up.
    pub most: Share,
    /// Whether requests go to a routed Service at all, and wherever they do the candidate's backend reference is there.
    pub complete: bool,
}

/// The weights of one pair in one rule.
#[derive(Default)]
struct Weights {
    stable: u64,
    candidate: u64,
    unreadable: bool,
    /// Candidate references for which there is no stable one, and the other way round where it is negative.
    surplus: i64,
}

/// Reads a share back, whoever wrote it. For what [`super::weigh::weigh`] wrote, the smallest and the largest share are
/// the written one. A rule that gives a pair no weight says nothing about the share.
pub fn written(live: &Value, pairs: &[Pair]) -> Written {
    let rules = backend::rules(live).iter();
    let weights: Vec<Weights> = rules.flat_map(|rule| weights(live, rule, pairs)).collect();
    let ranges = || weights.iter().filter_map(Weights::range);
    Written {
        least: ranges().map(|(least, _)| least).min().unwrap_or(Share::NONE),
        most: ranges().map(|(_, most)| most).max().unwrap_or(Share::NONE),
        complete: !weights.is_empty() && weights.iter().all(|weights| weights.surplus >= 0),
    }
}

fn weights(live: &Value, rule: &Value, pairs: &[Pair]) -> Vec<Weights> {
    let mut found: BTreeMap<&Pair, Weights> = BTreeMap::new();
    for backend in backend::backends(rule) {
        let (pair, is_candidate) = match backend::names(live, backend, pairs) {
            Names::Stable(pair) => (pair, false),
            Names::Candidate(pair) => (pair, true),
            Names::Unclear | Names::Other => continue,
        };
        let weights = found.entry(pair).or_default();
        let weight = backend::weight(backend);
        weights.unreadable |= weight.is_none();
        weights.surplus += if is_candidate { 1 } else { -1 };
        *(if is_candidate { &mut weights.candidate } else { &mut weights.stable }) += weight.unwrap_or(0);
    }
    found.into_values().collect()
}

impl Weights {
    /// The share between its roundings; every share where a weight cannot be read.
    fn range(&self) -> Option<(Share, Share)> {
        if self.unreadable {
            return Some((Share::NONE, Share::WHOLE));
        }
        let total = self.stable.saturating_add(self.candidate);
        let points = self.candidate.saturating_mul(u64::from(Share::WHOLE.points()));
        let share = |points: u64| u32::try_from(points).ok().and_then(Share::of_points).unwrap_or(Share::WHOLE);
        (total > 0).then(|| (share(points / total), share(points.div_ceil(total))))
    }
}

/// Whether a live route is what would be written. What the API server adds to what was written is no difference.
pub fn matches(live: &Value, wanted: &Value) -> bool {
    same("spec", given(live.get("spec"), &Value::Null), given(wanted.get("spec"), &Value::Null))
}

/// Whether two values of a field mean the same.
fn same(field: &str, left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            keys.into_iter().all(|key| {
                let default = default_of(field, key);
                same(key, given(left.get(key), &default), given(right.get(key), &default))
            })
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(field, left, right))
        }
        _ => left == right,
    }
}

/// What a field has; null is as good as absent.
fn given<'a>(value: Option<&'a Value>, default: &'a Value) -> &'a Value {
    value.filter(|value| !value.is_null()).unwrap_or(default)
}

/// What the definitions of the Gateway API put where nothing was written, by the field around it; null where they put nothing.
fn default_of(within: &str, field: &str) -> Value {
    let everything = || json!({"path": {"type": "PathPrefix", "value": "/"}});
    match (within, field) {
        ("spec", "rules") => json!([{"matches": [everything()]}]),
        ("parentRefs", "group") => json!("gateway.networking.k8s.io"),
        ("parentRefs", "kind") => json!("Gateway"),
        ("rules", "matches") => json!([everything()]),
        ("matches", "path") => everything()["path"].take(),
        ("path", "type") => json!("PathPrefix"),
        ("path", "value") => json!("/"),
        ("headers" | "queryParams" | "method", "type") => json!("Exact"),
        ("backendRefs" | "backendRef", "group") => json!(""),
        ("backendRefs" | "backendRef", "kind") => json!("Service"),
        ("backendRefs", "weight") => json!(1),
        ("requestRedirect", "statusCode") => json!(302),
        ("fraction", "denominator") => json!(100),
        ("cors", "maxAge") => json!(5),
        ("sessionPersistence", "type") => json!("Cookie"),
        ("cookieConfig", "lifetimeType") => json!("Session"),
        _ => Value::Null,
    }
}
