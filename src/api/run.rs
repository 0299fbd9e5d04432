//! Runs: what a status and its history say of one carrying of a revision.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    command::CommandResult,
    deployment_status::{Phase, RevisionRef},
    schema::date_time,
};

/// What went wrong in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunError {
    /// The number of the step, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<i32>,
    /// A word that programs match on, such as `TIMEOUT`.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub code: String,
    /// What went wrong, as a sentence for people.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub message: String,
    /// The values that the message rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub details: Option<String>,
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Its name, unique in all clusters; commands refer to it.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub id: String,
    /// The attempt, from 1.
    #[serde(default)]
    pub attempt: i32,
    /// The request that started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub request_id: Option<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub completed_at: Option<Time>,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<i64>,
}

/// What a dry run would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The steps as sentences, in their order.
    #[serde(default)]
    #[schemars(length(max = 100), inner(length(max = 1024)))]
    pub steps: Vec<String>,
    /// How long they would take if nothing has to be waited for, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_seconds: Option<i64>,
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandAnswer {
    /// The command as it was written; a long one is cut.
    #[schemars(length(max = 128))]
    pub id: String,
    /// When it was answered.
    #[schemars(schema_with = "date_time")]
    pub at: Time,
    /// Who gave it; `unverified` where no admission policy says so.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub by: String,
    /// What became of it.
    #[serde(default)]
    pub result: CommandResult,
    /// Why, as a sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// A revision that is not tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RejectedRevision {
    /// The hash of its content.
    #[schemars(length(max = 64))]
    pub hash: String,
    /// Why.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub reason: String,
}

/// A run that is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FinishedRun {
    /// The run.
    pub run: Run,
    /// The revision that it carried.
    pub revision: RevisionRef,
    /// How it ended.
    #[serde(default)]
    pub phase: Phase,
    /// Who asked for it, or for its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub by: Option<String>,
    /// Why it ended so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}
