//! A revision's objects, rendered once. Apply, drift, rollback and restarts read this and never the Package.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The form of [`Release`] that this program writes.
pub const FORMAT: u32 = 1;

/// A revision: what its record holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoutedService {
    /// Its name, which clients know.
    pub name: String,
    /// The manifest.
    pub object: Value,
}

/// An object that all revisions share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
