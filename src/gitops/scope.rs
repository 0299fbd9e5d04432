//! Which kinds have namespaces.

use std::collections::BTreeMap;

use serde_json::Value;

use super::object::{Id, Manifest};

/// Where objects of a kind are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In a namespace.
    Namespaced,
    /// In none.
    Cluster,
}

/// What is known of kinds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scopes(BTreeMap<String, BTreeMap<String, Scope>>);

impl Scopes {
    /// Notes a kind of a group and version, such as `apps/v1`.
    pub fn insert(&mut self, api_version: &str, kind: &str, scope: Scope) {
        self.0.entry(api_version.to_owned()).or_default().insert(kind.to_owned(), scope);
    }

    /// What is known of a kind; none where nothing is.
    pub fn get(&self, api_version: &str, kind: &str) -> Option<Scope> {
        self.0.get(api_version)?.get(kind).copied()
    }

    /// Notes what a `CustomResourceDefinition` defines; anything else defines nothing.
    pub fn learn(&mut self, manifest: &Manifest) {
        if !is_definition(manifest) {
            return;
        }
        let object = manifest.object();
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let scope = if text("/spec/scope") == "Cluster" { Scope::Cluster } else { Scope::Namespaced };
        let versions = object.pointer("/spec/versions").and_then(Value::as_array);
        for version in versions.into_iter().flatten().filter_map(|version| version["name"].as_str()) {
            self.insert(&format!("{}/{version}", text("/spec/group")), text("/spec/names/kind"), scope);
        }
    }
}

/// Whether an object defines a kind.
pub fn is_definition(manifest: &Manifest) -> bool {
    manifest.id.kind == "CustomResourceDefinition" && manifest.id.group() == "apiextensions.k8s.io"
}

/// Whether the kind or the namespace of an object comes with the same commit.
pub fn comes_along(manifests: &[Manifest], id: &Id) -> bool {
    manifests.iter().any(|other| match other.id.kind.as_str() {
        "Namespace" => Some(other.id.name.as_str()) == id.namespace.as_deref(),
        "CustomResourceDefinition" => other.id.name.ends_with(&format!(".{}", id.group())),
        _ => false,
    })
}
