//! Names made of content: of a revision, of a set of overrides, of a Package, of everything a revision is made from.
//!
//! What these functions give is recorded in clusters. A change here would start a run of every Deployment, so goldens pin it.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{json::remove, manifest::Item, release::Release};
use crate::api::{
    deployment::{EnvFrom, Overrides},
    package::PackageSpec,
    version::Version,
};

/// The characters of a hash: no vowels, so that no words come about, and nothing that looks like another one.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// The length of a revision's name.
const REVISION_LENGTH: usize = 10;
/// The length of the mark of overrides in a version.
const MARK_LENGTH: usize = 6;

/// The name of the revision that consists of these objects. Neither their order, nor their namespace, nor how many
/// instances they ask for is content.
pub(super) fn revision(items: &[Item]) -> String {
    let mut contents: Vec<_> = items.iter().map(|item| content_of(&item.object)).collect();
    contents.sort_unstable();
    encode(&contents.join("\n"), REVISION_LENGTH)
}

/// The part of an object that a revision is named by.
fn content_of(object: &Value) -> String {
    let mut item = Item { at: String::new(), object: object.clone() };
    remove(&mut item.object, &["metadata", "namespace"]);
    if item.is("apps", "Deployment") {
        remove(&mut item.object, &["spec", "replicas"]);
    }
    for (group, kind, fields) in BOUNDS {
        if item.is(group, kind) {
            for field in fields {
                remove(&mut item.object, &["spec", field]);
            }
        }
    }
    canonical(&item.object)
}

impl Release {
    /// Whether another release is the same revision: all that a revision is named by, and every part of it in its place.
    pub fn is_like(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }

    /// All content of a release, in an order that does not depend on that of the manifests.
    fn parts(&self) -> Vec<String> {
        let Self { format: _, package, version: _, hash, workloads, configs, jobs, services, routes, shared } = self;
        let part = |part: &str, name: &str, object: &Value| format!("{part} {name} {}", content_of(object));
        let workloads = workloads.iter().map(|one| part("workload", &one.name, &one.object));
        let services = services.iter().map(|one| part("service", &one.name, &one.object));
        let shared = shared.iter().map(|one| part("shared", &format!("{:?}", one.at), &one.object));
        let plain = [("config", configs), ("job", jobs), ("route", routes)];
        let plain = plain.into_iter().flat_map(|(word, all)| all.iter().map(move |one| part(word, "", one)));
        let mut parts: Vec<String> = workloads.chain(services).chain(shared).chain(plain).collect();
        parts.sort_unstable();
        parts.extend([package.clone(), hash.clone()]);
        parts
    }
}

/// The fields of autoscalers that bound the number of instances.
const BOUNDS: [(&str, &str, [&str; 2]); 2] = [
    ("autoscaling", "HorizontalPodAutoscaler", ["minReplicas", "maxReplicas"]),
    ("keda.sh", "ScaledObject", ["minReplicaCount", "maxReplicaCount"]),
];

/// The version as it is shown: with a mark where overrides change the package.
pub(super) fn shown_version(version: &Version, overrides: Option<&Overrides>) -> String {
    match overrides.filter(|overrides| **overrides != Overrides::default()) {
        None => version.to_string(),
        Some(overrides) => format!("{version}+{}", encode(&canonical(&json!(overrides)), MARK_LENGTH)),
    }
}

/// What a Package's status says of its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Its sha256 in hexadecimal, for `status.checksum`.
    pub digest: String,
    /// Its size in bytes, for `status.sizeBytes`.
    pub size: usize,
}

/// Measures a Package's content.
pub fn content(spec: &PackageSpec) -> Content {
    let text = canonical(&json!({"workload": spec.workload}));
    Content { digest: hex(&text), size: text.len() }
}

/// The digest of all that a revision is rendered from: where it is the same, there is nothing to render. `content` is
/// the digest that [`content`] gives. The version is not an input: it is a word beside the content.
pub fn inputs_digest(content: &str, namespace: &str, overrides: Option<&Overrides>, env_from: &[EnvFrom]) -> String {
    let inputs = json!({"content": content, "namespace": namespace, "overrides": overrides, "envFrom": env_from});
    hex(&canonical(&inputs))
}

/// The JSON of a value with sorted keys and without white space, however the value keeps its keys.
pub fn canonical(value: &Value) -> String {
    sorted(value).to_string()
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            Value::Object(entries.into_iter().map(|(key, inner)| (key.clone(), sorted(inner))).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

fn hex(text: &str) -> String {
    let nibbles = Sha256::digest(text.as_bytes()).into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.filter_map(|nibble| char::from_digit(nibble.into(), 16)).collect()
}

/// The first characters of the sha256 of a text, in an alphabet without vowels.
pub fn encode(text: &str, length: usize) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let number = digest.iter().take(16).fold(0_u128, |number, byte| (number << 8) | u128::from(*byte));
    let digits = std::iter::successors(Some(number), |number| Some(number / 27)).map(|number| number % 27);
    digits.take(length).filter_map(|digit| ALPHABET.get(usize::try_from(digit).ok()?)).map(|c| char::from(*c)).collect()
}
