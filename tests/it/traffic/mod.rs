//! Routes and Services: shares written and read back, what routers say, what Services select.

mod acknowledge;
mod claim;
mod combine;
mod hostile;
mod kinds;
mod made;
mod read;
mod service;
mod weigh;

use landfall::{engine::share::Share, traffic::Pair};
use serde_json::{Value, json};

/// The Services `shop` and `cart`, and their candidates.
fn pairs() -> Vec<Pair> {
    ["shop", "cart"].map(|name| Pair { stable: name.to_owned(), candidate: format!("{name}-candidate") }).to_vec()
}

fn points(points: u32) -> Share {
    Share::of_points(points).unwrap()
}

/// A route of the namespace `shop` with these rules.
fn route(rules: &Value) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "shop", "namespace": "shop", "generation": 3},
        "spec": {"parentRefs": [{"name": "public", "namespace": "gateway"}], "rules": rules},
    })
}

/// A route with one rule, which has these backend references.
fn to(backends: &Value) -> Value {
    route(&json!([{"backendRefs": backends}]))
}

/// The backend references of a rule as `name=weight`.
fn weights(route: &Value, rule: usize) -> Vec<String> {
    let backends = route["spec"]["rules"][rule]["backendRefs"].as_array().unwrap();
    backends.iter().map(|backend| format!("{}={}", backend["name"].as_str().unwrap(), backend["weight"])).collect()
}
