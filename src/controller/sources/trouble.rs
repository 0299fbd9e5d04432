//! Failures of a repository as a status has them.

use super::work::MESSAGE_MAX;
use crate::{
    api::condition::ConditionReason,
    git::error::GitError,
    gitops::{sync::Trouble, words::cut},
    telemetry::chain,
};

/// What went wrong with a repository.
pub fn trouble(error: &GitError) -> Trouble {
    let reason = match error {
        GitError::Denied { .. } | GitError::UnknownHost { .. } => ConditionReason::AccessDenied,
        GitError::HostKey { .. } => ConditionReason::HostKeyChanged,
        _ => ConditionReason::FetchFailed,
    };
    Trouble { reason, message: cut(&chain(error), MESSAGE_MAX) }
}
