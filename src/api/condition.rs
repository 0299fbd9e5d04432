//! Conditions: what other programs wait for.
//!
//! Readers that know nothing of Landfall (`kubectl wait`, Flux, Argo CD, Helm) read Ready, Reconciling and Stalled.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::schema::{date_time, status_enum};

status_enum! {
    /// What a condition is about.
    ConditionType {
        /// What is wanted is in force.
        Ready,
        /// Work is under way.
        Reconciling,
        /// Nothing will move without a change of the spec or a command.
        Stalled,
        /// The checks say that what runs is healthy.
        Healthy,
        /// Every router involved has acknowledged the shares.
        TrafficVerified,
        /// What the repository says is in force.
        Synced,
    }
}

status_enum! {
    /// Whether a condition holds.
    ConditionStatus {
        /// It holds.
        True,
        /// It does not hold.
        False,
    }
}

status_enum! {
    /// Why a condition has its status. Each is one word that a program can match on; the message is for people.
    ConditionReason {
        /// Something that was named does not exist yet.
        Pending,
        /// The start lies in the future.
        Scheduled,
        /// What is wanted is checked before anything changes.
        Validating,
        /// A run moves on.
        Progressing,
        /// A person, a window or a lost state holds the run.
        Paused,
        /// The last step is judged.
        Verifying,
        /// Traffic goes back to the stable revision.
        RollingBack,
        /// The run reached its goal.
        Succeeded,
        /// The run failed.
        Failed,
        /// The run failed and the stable revision runs.
        RolledBack,
        /// A person ended the run before traffic moved.
        Cancelled,
        /// A person stopped the workload.
        Stopped,
        /// A dry run or a validation ended; nothing was changed.
        DryRunFinished,
        /// The spec cannot be carried out; the message names the field and the remedy.
        InvalidSpec,
        /// A Package's content is not what was recorded of it.
        ContentChanged,
        /// An object of that name belongs to somebody else.
        ObjectNotOwned,
        /// The wanted revision was rejected before.
        Quarantined,
        /// The status was lost and found again in the cluster; a person decides.
        StateRecovered,
        /// Packages depend on each other in a circle.
        DependencyCycle,
        /// The run waits for its next attempt.
        WaitingForRetry,
        /// A deadline or the timeout has passed.
        DeadlineExceeded,
        /// An answer is missing; nothing is decided.
        NoAnswer,
        /// Enough instances are ready, and no check fails.
        Healthy,
        /// Instances are missing, or a check fails.
        Degraded,
        /// No instance is ready.
        Unhealthy,
        /// Every router involved has the shares in force.
        Acknowledged,
        /// A router has not acknowledged the shares yet, or they have not settled.
        Settling,
        /// A commit is fetched, checked or written.
        Syncing,
        /// Everything that the repository says is in force.
        Synced,
        /// The repository could not be reached, or did not give what was asked for.
        FetchFailed,
        /// The host key of the server is not one of those that are known.
        HostKeyChanged,
        /// The credentials were refused, or are not there.
        AccessDenied,
        /// The kubeconfig of the target is not taken; the message names the field.
        KubeconfigRefused,
        /// The commit or its tag is not signed by a key that is trusted.
        VerificationFailed,
        /// Files of the commit could not be read as objects.
        RenderFailed,
        /// Objects of the commit were refused before anything was written.
        ValidationFailed,
        /// Objects of the commit were refused while it was written.
        ApplyFailed,
        /// Objects are not healthy, and their time has passed.
        HealthCheckFailed,
        /// What it depends on is not in force.
        DependencyNotReady,
        /// The same fields are changed by somebody else again and again.
        DriftContested,
        /// Nothing is done because the spec says so.
        Suspended,
    }
}

/// One statement about an object, in the form that all of Kubernetes uses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What the condition is about.
    #[serde(rename = "type")]
    pub type_: ConditionType,
    /// True, False or Unknown.
    pub status: ConditionStatus,
    /// Why, as one word for programs.
    pub reason: ConditionReason,
    /// Why, as a sentence for people.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub message: String,
    /// When the status last changed from one value to another.
    #[schemars(schema_with = "date_time")]
    pub last_transition_time: Time,
    /// The generation of the object that this was said about.
    #[serde(default)]
    pub observed_generation: i64,
}
