//! The words for where a Deployment stands.

use serde::{Deserialize, Serialize};

/// The phase of a run, and of the Deployment it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Something that the run needs is not there yet.
    Pending,
    /// It starts at a given time.
    Scheduled,
    /// What is to be delivered is being checked.
    Validating,
    /// What is to be delivered is being built.
    Building,
    /// What is to be delivered is being stored.
    Uploading,
    /// It moves.
    Progressing,
    /// It waits for a person.
    Paused,
    /// Checks are running.
    Verifying,
    /// It returns to the stable revision, or to a kept one.
    RollingBack,
    /// The revision is in place.
    Succeeded,
    /// The revision is not in place, and there was nothing to return to.
    Failed,
    /// The run was ended before it was done, by a person or by a newer revision.
    Cancelled,
    /// The run failed or was aborted, and the stable revision has all the traffic.
    RolledBack,
    /// Nothing runs.
    Stopped,
}

impl Phase {
    /// Whether the run has ended.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::RolledBack | Self::Stopped)
    }
}
