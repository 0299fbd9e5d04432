//! Deployment: do it. One package to one profile, and the wishes of its owner about it.
//!
//! Its status is in [`super::deployment_status`].

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema, core::Rule};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    deployment_status::DeploymentStatus,
    profile::{DeletionPolicy, HOSTNAME, not_yet_orphan},
    schema::{constant, date_time, exactly_one, ignored_object, unique},
    strategy::Strategy,
    time_span::TimeSpan,
    version::{Version, VersionRange},
};

/// Carries a package to a profile, and keeps it there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "landfall.dev",
    version = "v1alpha1",
    kind = "Deployment",
    namespaced,
    status = "DeploymentStatus",
    shortname = "dpl",
    category = "landfall",
    derive = "PartialEq",
    doc = "Deployment carries a Package to a Profile's environment, progressively and verified.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Progress", type_ = "integer", json_path = ".status.progress.percentage"),
    printcolumn(name = "Step", type_ = "string", json_path = ".status.currentStep.action"),
    printcolumn(name = "Weight", type_ = "string", json_path = ".status.traffic.candidate"),
    printcolumn(name = "Health", type_ = "string", json_path = ".status.health"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Waiting", type_ = "string", json_path = ".status.waitingFor", priority = 1),
    // It is the value of a label on everything that is made for it: a name that has to be cut could be made to be another's.
    validation = Rule::new("size(self.metadata.name) <= 63")
        .message("metadata.name: a Deployment's name has at most 63 characters, because it is a label of its objects: shorten it")
)]
#[x_kube(
    validation = constant("profile", "spec.profile is immutable: make another Deployment"),
    validation = unique("envFrom", "secret", "spec.envFrom: a Secret may be named once only: remove the second one")
)]
pub struct DeploymentSpec {
    /// What to carry.
    pub package: PackageRef,
    /// The name of the Profile, in the same namespace. Immutable.
    #[schemars(length(min = 1, max = 253))]
    pub profile: String,
    /// The number of instances of each workload. Default: what an autoscaler set, else what the manifest says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000))]
    pub replicas: Option<i32>,
    /// The strategy, whole. Default: the Profile's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Changes to the package's objects; part of the revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overrides: Option<Overrides>,
    /// Secrets of the same namespace whose keys become environment variables of every container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub env_from: Vec<EnvFrom>,
    /// Where requests come from. Default: the Profile's gateway and host names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<DeploymentTraffic>,
    /// Whether only the plan is made, in `status.plan`. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
    /// Whether only the spec is checked against the cluster, without a plan. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validate_only: Option<bool>,
    /// The earliest start of a run, in RFC 3339. Default: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub schedule_at: Option<Time>,
    /// The longest time that a run may take; pauses for people do not count. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<TimeSpan>,
    /// Whether the run holds where it is. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Whether all revisions have no instances. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<bool>,
    /// A change of this text starts a new run of the same revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub request_id: Option<String>,
    /// What becomes of the objects in the target when this Deployment is deleted. Default: the Profile's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = not_yet_orphan())]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Ignored: kustomize writes labels here, because the kind is called Deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "ignored_object")]
    pub selector: Option<Value>,
    /// Ignored but for a check of its keys: kustomize writes `metadata` here, because the kind is called Deployment.
    /// Pods come from the Package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "template")]
    pub template: Option<BTreeMap<String, Value>>,
}

/// What to carry: a package by name, and exactly one of a version and a range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = exactly_one(&["version", "range"], "spec.package: exactly one of `version` and `range` is needed: keep the one that is meant"),
    // Here and not on the spec: the API server cannot estimate the cost of a path through the reserved word `package`.
    validation = constant("name", "spec.package.name is immutable: make another Deployment")
)]
pub struct PackageRef {
    /// The package's name, which is the same for all its versions. Immutable.
    #[schemars(length(min = 1, max = 40))]
    pub name: String,
    /// The version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// The highest active Package in this range, such as `~1.4`. It never moves down by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<VersionRange>,
}

/// Changes to the package's objects, in kustomize's terms.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = unique("images", "name", "spec.overrides.images: an image may be named once only: remove the second one"),
    validation = unique("env", "name", "spec.overrides.env: a variable may be named once only: remove the second one")
)]
pub struct Overrides {
    /// Other images for containers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub images: Vec<ImageOverride>,
    /// Environment variables of every container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub env: Vec<EnvOverride>,
    /// Changes to single objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub patches: Vec<PatchOverride>,
}

/// Another image for the containers that have this one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.newName) || has(self.newTag) || has(self.digest)")
        .message("overrides.images: nothing would change: add `newName`, `newTag` or `digest`"),
    validation = Rule::new("!(has(self.newTag) && has(self.digest))")
        .message("overrides.images: `digest` and `newTag` exclude each other: remove one")
)]
pub struct ImageOverride {
    /// The image as the manifest names it, without tag and digest.
    #[schemars(length(min = 1, max = 512))]
    pub name: String,
    /// Another name. Default: the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub new_name: Option<String>,
    /// Another tag. Default: the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub new_tag: Option<String>,
    /// A digest instead of a tag, such as `sha256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub digest: Option<String>,
}

/// One environment variable of every container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvOverride {
    /// The name of the variable.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_.-]*$"))]
    pub name: String,
    /// Its value, which everybody can read: secrets belong in `envFrom`.
    #[serde(default)]
    #[schemars(length(max = 4096))]
    pub value: String,
}

/// A change to one object, or to several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PatchOverride {
    /// The objects that are changed. Default: the one that the patch names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<PatchTarget>,
    /// A strategic merge patch or a JSON patch, as YAML or JSON.
    #[schemars(length(min = 1, max = 65_536))]
    pub patch: String,
}

/// The objects that a patch changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PatchTarget {
    /// Their kind. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: Option<String>,
    /// Their name. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
}

/// A Secret whose keys become environment variables.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvFrom {
    /// The name of the Secret, in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub secret: String,
    /// What is put before each key. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub prefix: Option<String>,
}

/// Where requests come from; it replaces what the Profile says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentTraffic {
    /// The host names of the made route. Default: the Profile's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253), regex(pattern = HOSTNAME)))]
    pub hostnames: Vec<String>,
    /// The path prefix of the made route. Default: `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new("self.startsWith('/')").message("spec.traffic.path: write a path that starts with '/'"))]
    pub path: Option<String>,
}

/// A map, so that a rule sees its keys: keys that a schema does not name are invisible to rules.
fn template(_: &mut SchemaGenerator) -> Schema {
    let rule = Rule::new("self.all(key, key == 'metadata')").message(
        "spec.template: only `metadata` may be here, from kustomize, and it is ignored: pods come from the Package",
    );
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "x-kubernetes-validations": [rule],
    })
}
