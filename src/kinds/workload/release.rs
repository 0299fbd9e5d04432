//! A revision's objects, rendered once. Apply, drift, rollback and restarts read this and never the Package.
//!
//! Secrets are among them, so nothing here shows more of an object than its kind and name when it is printed.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The form of [`Release`] that this program writes.
pub const FORMAT: u32 = 1;

/// A revision: what its record holds.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// The form of this record; see [`FORMAT`].
    pub format: u32,
    /// The name of the package.
    pub package: String,
    /// The version as it is shown, with a mark of overrides, such as `1.4.2+ab12cd`.
    pub version: String,
    /// The revision's name: ten characters over its content.
    pub hash: String,
    /// What runs pods, each as one `ReplicaSet`.
    pub workloads: Vec<Workload>,
    /// The package's own `ConfigMap`s and Secrets that a pod names, under the names of this revision.
    pub configs: Vec<Value>,
    /// Jobs, under the names of this revision.
    pub jobs: Vec<Value>,
    /// Services that select pods of the workloads.
    pub services: Vec<RoutedService>,
    /// The package's own routes to those Services.
    pub routes: Vec<Value>,
    /// All other objects.
    pub shared: Vec<Shared>,
}

/// One `kind: Deployment` of the package.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    /// Its name in the package.
    pub name: String,
    /// How many instances the manifest asks for; 1 where it does not say.
    pub replicas: u32,
    /// The manifest, with overrides and with the names of the revision's configurations.
    pub object: Value,
    /// Why two revisions of it must not run beside each other, with the remedy; none where they may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alone: Option<String>,
}

/// A Service that selects pods of the workloads.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoutedService {
    /// Its name, which clients know.
    pub name: String,
    /// The manifest.
    pub object: Value,
}

/// An object that all revisions share.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shared {
    /// The manifest.
    pub object: Value,
    /// When a change of it is applied.
    pub at: ApplyAt,
}

/// When a changed object is applied; a missing one is always made at the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApplyAt {
    /// Before the revision's pods.
    Start,
    /// When the revision becomes the stable one.
    #[default]
    Promotion,
}

/// Kind and name of an object.
struct Title<'a>(&'a Value);

impl fmt::Debug for Title<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |pointer: &str| self.0.pointer(pointer).and_then(Value::as_str).unwrap_or("?");
        write!(f, "{} {}", text("/kind"), text("/metadata/name"))
    }
}

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let titles =
            |objects: &'_ [Value]| objects.iter().map(|object| format!("{:?}", Title(object))).collect::<Vec<_>>();
        f.debug_struct("Release")
            .field("package", &self.package)
            .field("version", &self.version)
            .field("hash", &self.hash)
            .field("workloads", &self.workloads)
            .field("configs", &titles(&self.configs))
            .field("jobs", &titles(&self.jobs))
            .field("services", &self.services)
            .field("routes", &titles(&self.routes))
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, replicas, object: _, alone } = self;
        f.debug_struct("Workload").field("name", name).field("replicas", replicas).field("alone", alone).finish()
    }
}

impl fmt::Debug for RoutedService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RoutedService").field(&self.name).finish()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(&Title(&self.object)).field(&self.at).finish()
    }
}
