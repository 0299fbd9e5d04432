//! The status of a Deployment: what runs, what is wanted, what happens, and what it waits for.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{
    condition::Condition,
    percent::Percent,
    run::{CommandAnswer, FinishedRun, Plan, RejectedRevision, Run, RunError},
    schema::{date_time, status_enum},
    version::Version,
};

/// The finished runs that a status remembers; the journal has them all.
pub const HISTORY_MAX: usize = 10;

/// The longest record, in characters.
pub const RECORD_MAX: usize = 131_072;

/// The rejected revisions that a status remembers; the revisions' own records have them all.
pub const REJECTED_MAX: usize = 20;

status_enum! {
    /// Where a Deployment is.
    Phase {
        /// Something that it names does not exist yet.
        Pending,
        /// The start lies in the future.
        Scheduled,
        /// The spec is checked against the cluster.
        Validating,
        /// Artifacts are built.
        Building,
        /// Artifacts are stored.
        Uploading,
        /// A step is carried out.
        Progressing,
        /// A hold: a person's pause, a gate, a window or a recovered state.
        Paused,
        /// The last step is judged.
        Verifying,
        /// Traffic goes back to the stable revision.
        RollingBack,
        /// The wanted revision is stable.
        Succeeded,
        /// The run failed.
        Failed,
        /// A person ended the run before traffic moved.
        Cancelled,
        /// The run failed and the stable revision has all traffic again.
        RolledBack,
        /// A person stopped the workload.
        Stopped,
    }
}

impl Phase {
    /// Whether the run is over.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::RolledBack | Self::Stopped)
    }
}

status_enum! {
    /// What a step does.
    StepAction {
        /// The new revision gets its instances.
        Prepare,
        /// The candidate gets a share of the traffic.
        SetWeight,
        /// A wait for a time or a person.
        Pause,
        /// Checks are made.
        Check,
        /// All traffic moves at once.
        Switch,
        /// A batch of instances is replaced.
        Replace,
        /// The candidate becomes the stable revision.
        Promote,
        /// The former revision gives up its instances.
        ScaleDown,
        /// Traffic goes back.
        Rollback,
    }
}

status_enum! {
    /// What the checks say of what runs.
    Health {
        /// All is well.
        Healthy,
        /// Some of it is not.
        Degraded,
        /// It does not serve.
        Unhealthy,
    }
}

status_enum! {
    /// How a check stands.
    CheckPhase {
        /// It has not been asked yet.
        Pending,
        /// It is being asked.
        Running,
        /// It has passed.
        Passed,
        /// It has failed.
        Failed,
    }
}

/// What Landfall knows of a Deployment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentStatus {
    /// The generation of the spec that this status is about; -1 before anybody has looked.
    #[serde(default)]
    pub observed_generation: i64,
    /// Where the Deployment is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// How much of the run is done. It never goes back within a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// The step under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_step: Option<CurrentStep>,
    /// What the next move waits for, as one sentence; there while the run is not over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub waiting_for: Option<String>,
    /// The version that a range picked, pinned until a higher one appears.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_version: Option<Version>,
    /// What runs and what is to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revisions>,
    /// The shares of the traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
    /// What the checks say of what runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// The instances of all revisions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<Instances>,
    /// The number of instances, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// The labels of the instances, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub selector: Option<String>,
    /// The checks of the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 40))]
    pub checks: Vec<CheckStatus>,
    /// What went wrong in the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
    /// The run under way, or the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// Whether the spec was changed after the run began; the change waits for the next run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_changes: Option<bool>,
    /// What a dry run would do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// The answers to commands, by verb.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "command_answers")]
    pub commands: BTreeMap<String, CommandAnswer>,
    /// Revisions that are not tried again before `retry`, or before another revision was wanted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = REJECTED_MAX))]
    pub rejected: Vec<RejectedRevision>,
    /// The last finished runs, the latest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = HISTORY_MAX))]
    pub history: Vec<FinishedRun>,
    /// What other programs wait for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// What the operator remembers. It is for the operator alone: without it the run is held until a person decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = RECORD_MAX))]
    pub record: Option<String>,
}

/// How much of a run is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// From 0 to 100.
    #[serde(default)]
    pub percentage: i32,
    /// The steps that are done.
    #[serde(default)]
    pub completed_steps: i32,
    /// All steps.
    #[serde(default)]
    pub total_steps: i32,
}

/// The step under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CurrentStep {
    /// Its number, from 1.
    #[serde(default)]
    pub number: i32,
    /// What it does.
    #[serde(default)]
    pub action: StepAction,
    /// What it does, as a sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub details: Option<String>,
    /// When it began; a timed pause counts from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub started_at: Option<Time>,
}

/// What runs and what is to come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Revisions {
    /// What runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<RevisionRef>,
    /// What is to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<RevisionRef>,
}

/// One revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionRef {
    /// The version as it is shown, with a mark of overrides, such as `1.4.2+ab12cd`.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub version: String,
    /// The hash of its content.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub hash: String,
    /// The commit that it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub commit: Option<String>,
}

/// The shares of the traffic, in percent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// The stable revision's share.
    #[serde(default)]
    pub stable: Percent,
    /// The candidate's share.
    #[serde(default)]
    pub candidate: Percent,
    /// Whether every router involved has acknowledged the shares, and they have settled.
    #[serde(default)]
    pub verified: bool,
}

/// Instances in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Instances {
    /// How many there should be.
    #[serde(default)]
    pub desired: i32,
    /// How many are ready.
    #[serde(default)]
    pub ready: i32,
}

/// How a check stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckStatus {
    /// The name of the check.
    #[schemars(length(max = 63))]
    pub name: String,
    /// How it stands.
    #[serde(default)]
    pub phase: CheckPhase,
    /// The measurements that succeeded.
    #[serde(default)]
    pub successes: i32,
    /// The measurements that failed.
    #[serde(default)]
    pub failures: i32,
    /// The last value, cut to 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub value: Option<String>,
    /// What it means, as a sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

fn command_answers(generator: &mut SchemaGenerator) -> Schema {
    let answer = CommandAnswer::json_schema(generator);
    json_schema!({"type": "object", "maxProperties": 16, "additionalProperties": answer})
}
