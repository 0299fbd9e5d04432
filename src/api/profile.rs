//! Profile: where a package goes and how. One environment.

use kube::{CustomResource, KubeSchema, core::Rule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    check::{Check, SecretKey},
    condition::Condition,
    schema::{constant, immutable, status_enum, unique},
    source::{Source, SourceStatus},
    strategy::Strategy,
    time_span::TimeSpan,
};

/// One environment: its target, and the defaults of the Deployments that name it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[expect(clippy::duplicated_attributes, reason = "print columns have equal types")]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "landfall.dev",
    version = "v1alpha1",
    kind = "Profile",
    namespaced,
    status = "ProfileStatus",
    shortname = "prof",
    category = "landfall",
    derive = "PartialEq",
    doc = "Profile is one environment: where Deployments that name it go, and how.",
    printcolumn(name = "Environment", type_ = "string", json_path = ".spec.environment"),
    printcolumn(name = "Tier", type_ = "string", json_path = ".spec.tier"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Commit", type_ = "string", json_path = ".status.source.applied.id", priority = 1),
    printcolumn(name = "Synced", type_ = "string", json_path = r#".status.conditions[?(@.type=="Synced")].status"#),
    printcolumn(name = "Deployments", type_ = "integer", json_path = ".status.deployments.total"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    validation = constant("environment", "spec.environment is immutable: make another Profile"),
    validation = immutable("target", "spec.target is immutable: make another Profile and move the Deployments"),
    validation = unique("checks", "name", "spec.checks: a name may occur once only: rename the second check")
)]
pub struct ProfileSpec {
    /// The environment, such as `production`. Immutable.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')")
        .message("spec.environment: use lower-case letters, digits and '-', with a letter or digit at both ends"))]
    pub environment: String,
    /// The rank of the environment, such as `development`, `staging` or `production`; for people and for the HTTP API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub tier: Option<String>,
    /// The package that is deployed where a request names the environment alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40))]
    pub package: Option<String>,
    /// Where objects are written. Immutable. Default: the Profile's own namespace, in this cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// The strategy of Deployments that have none of their own. Default: canary with its defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Checks that strategies and steps refer to by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub checks: Vec<Check>,
    /// How requests reach what runs here. Default: the package's own routes, else by replica counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<ProfileTraffic>,
    /// The repository that is the desired state of this environment. Default: none, objects are applied by others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// What becomes of the objects in the target when a Deployment is deleted, where it does not say so itself.
    /// Default: Delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = not_yet_orphan())]
    pub deletion_policy: Option<DeletionPolicy>,
}

/// Labels of letters, digits and hyphens, joined by dots: the form of most objects' names.
const SUBDOMAIN: &str = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$";

/// Where objects are written, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The namespace; another one than the Profile's own only with `kubeconfig`. Default: the Profile's own, or the one of
    /// that name in the other cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub namespace: Option<String>,
    /// The service account of the Profile's namespace that everything from a package is written as.
    /// Default: landfall-deployer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SUBDOMAIN))]
    pub service_account: Option<String>,
    /// A kubeconfig for another cluster, in a Secret of the Profile's namespace: the objects of `source` are written there, as
    /// whoever it names. Default: this cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<SecretKey>,
}

/// How requests reach what runs in an environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProfileTraffic {
    /// A gateway for which a route is made, where the package has no route of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Gateway>,
    /// How long an acknowledged change of a route is given to reach the data plane. Default: 2s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle: Option<TimeSpan>,
}

/// Gateways of the Gateway API, and the names under which they are reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gateway {
    /// The Gateways that a made route is attached to.
    #[schemars(length(min = 1, max = 8))]
    pub parent_refs: Vec<ParentRef>,
    /// The host names of a made route; a Deployment may name its own. Default: the Gateway's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253), regex(pattern = HOSTNAME)))]
    pub hostnames: Vec<String>,
}

/// A host name, whose first label may be `*`.
pub(super) const HOSTNAME: &str = r"^(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$";

/// One Gateway, or one of its listeners.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// The name of the Gateway.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace. Default: the target's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// The name of its listener. Default: all that fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,
    /// The port of its listener. Default: all that fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: Option<i32>,
}

/// What belongs to a Deployment is its own by an owner reference, and goes with it. A value that would be ignored is refused.
pub(super) fn not_yet_orphan() -> Rule {
    Rule::new("self != 'Orphan'").message(
        "deletionPolicy: Orphan is not possible yet: remove it; to keep the objects once, delete the Deployment with \
         `kubectl delete --cascade=orphan`",
    )
}

/// What becomes of objects whose Deployment is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// They are deleted too.
    #[default]
    Delete,
    /// They stay and go on running. Refused so far.
    Orphan,
}

status_enum! {
    /// How far a Profile is.
    ProfilePhase {
        /// Something that it names does not exist yet.
        Pending,
        /// Deployments can use it.
        Ready,
        /// It cannot be used; its conditions say why.
        Failed,
    }
}

/// What Landfall knows of a Profile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProfileStatus {
    /// The generation of the spec that this status is about; -1 before anybody has looked.
    #[serde(default)]
    pub observed_generation: i64,
    /// How far the Profile is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<ProfilePhase>,
    /// The Deployments that name it, in numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployments: Option<DeploymentCounts>,
    /// What is known of its source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceStatus>,
    /// What other programs wait for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Deployments of a Profile in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentCounts {
    /// All of them.
    #[serde(default)]
    pub total: i32,
    /// Those with a run under way.
    #[serde(default)]
    pub running: i32,
    /// Those whose last run succeeded.
    #[serde(default)]
    pub succeeded: i32,
    /// Those whose last run failed or was rolled back.
    #[serde(default)]
    pub failed: i32,
}
