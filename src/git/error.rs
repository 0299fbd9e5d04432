//! Why a repository could not be looked at, fetched or read.

use std::time::Duration;

use thiserror::Error;

/// Why a server was asked without credentials.
const NO_CREDENTIALS: &str = " (the Secret of spec.source.git.secretRef is for the host of spec.source.git.url alone: neither its credentials nor its ca.crt are used here)";

/// What went wrong. No text of a server and nothing of a credential is in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GitError {
    /// The server could not be reached, or did not answer as a server that works.
    #[error("{host} cannot be reached: {why}")]
    Unreachable {
        /// Who was asked.
        host: String,
        /// Why not.
        why: String,
    },
    /// The server, or the work on what it sent, took too long.
    #[error("{host} did not finish within {}", whole(.limit))]
    TimedOut {
        /// Who was asked.
        host: String,
        /// How long it could take.
        limit: Duration,
    },
    /// The credentials were refused, or there were none.
    #[error("{host} refuses access: {why}")]
    Denied {
        /// Who was asked.
        host: String,
        /// What to look at.
        why: &'static str,
    },
    /// No key of the host is known, so it is not asked.
    #[error(
        "{host} is not in known_hosts of the Secret: add what `ssh-keyscan` prints for it, once it was compared with \
         what its owner says"
    )]
    UnknownHost {
        /// Who would have been asked.
        host: String,
    },
    /// The host shows a key that is not one of those that are known, or was revoked.
    #[error("{host} shows the host key {shown}, {mismatch}: nothing was sent there")]
    HostKey {
        /// Who was asked.
        host: String,
        /// What is wrong with the key.
        mismatch: Mismatch,
        /// The fingerprint of the key.
        shown: String,
    },
    /// There is no repository at the address, or none that these credentials may see.
    #[error("{host} has no repository at this address, or none that these credentials may see")]
    NoSuchRepository {
        /// Who was asked.
        host: String,
    },
    /// The repository does not have what is wanted.
    #[error("the repository has no {what}")]
    NoSuchReference {
        /// What is wanted, such as `branch main`.
        what: String,
    },
    /// The commit does not have the directory.
    #[error("the commit has no directory {directory}")]
    NoSuchDirectory {
        /// The directory that was asked for.
        directory: String,
    },
    /// A path that no file of a system may have.
    #[error("the commit has the path \"{path}\", {why}: such a repository is not read")]
    BadPath {
        /// The path, with everything unusual escaped.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// What the repository calls a directory or a file is none.
    #[error("the object {id} of the repository is malformed: such a repository is not read")]
    Malformed {
        /// Its hash.
        id: String,
    },
    /// Something is larger than it may be.
    #[error("{what} is more than the limit of {limit}")]
    TooBig {
        /// What.
        what: String,
        /// How large it may be.
        limit: String,
    },
    /// What `.gitmodules` says of a submodule is not followed.
    #[error("{file}, line {line}: {why}")]
    Modules {
        /// The file, from the root of the repository.
        file: String,
        /// The line in it, from one.
        line: u64,
        /// What is wrong, and the remedy.
        why: String,
    },
    /// A submodule could not be fetched or read.
    #[error("the submodule {name} at {path}{}", if *.is_left_out { NO_CREDENTIALS } else { "" })]
    Submodule {
        /// Its name in `.gitmodules`.
        name: String,
        /// Its path, from the root of the repository.
        path: String,
        /// Whether it is at another host, for which the Secret is not.
        is_left_out: bool,
        /// What went wrong.
        #[source]
        cause: Box<GitError>,
    },
    /// The address may not be asked.
    #[error("the address of the repository is refused: {why}")]
    BadAddress {
        /// Why.
        why: String,
    },
    /// The server does not speak as a Git server does.
    #[error("{host} does not answer as a Git server: {why}")]
    Protocol {
        /// Who was asked.
        host: String,
        /// What was strange.
        why: &'static str,
    },
    /// The mirror is damaged. It was removed, and the next fetch makes it anew.
    #[error("the mirror of the repository was damaged: it is fetched anew")]
    Damaged,
    /// The mirror could not be written or read.
    #[error("the mirror of the repository cannot be kept: {why}")]
    Storage {
        /// What the system says.
        why: String,
    },
}

impl GitError {
    /// The reason, as conditions have it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Denied { .. } | Self::UnknownHost { .. } => "AccessDenied",
            Self::HostKey { .. } => "HostKeyChanged",
            Self::Submodule { cause, .. } => cause.reason(),
            _ => "FetchFailed",
        }
    }

    /// Whether the same thing may go well later with nothing changed.
    pub fn may_pass(&self) -> bool {
        if let Self::Submodule { cause, .. } = self {
            return cause.may_pass();
        }
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::TimedOut { .. }
                | Self::Protocol { .. }
                | Self::Damaged
                | Self::Storage { .. }
        )
    }
}

/// What is wrong with the key of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Mismatch {
    /// It is none of those that are known.
    #[error(
        "which is none of those in known_hosts of the Secret (if it is a new one, compare it with what the host's owner \
         says, and add it)"
    )]
    Changed,
    /// It must not be used any more.
    #[error("which known_hosts of the Secret has as revoked")]
    Revoked,
}

/// What is too big where a server sends too much.
pub(super) const SENT: &str = "what the server sends";
/// What is too big where it sends too many objects.
pub(super) const OBJECTS: &str = "the number of objects";

/// A limit without a tail of digits.
fn whole(limit: &Duration) -> String {
    match limit.as_secs() {
        0 => format!("{}ms", limit.as_millis()),
        seconds => format!("{seconds}s"),
    }
}

/// A number of bytes as people say it.
pub(super) fn bytes(count: u64) -> String {
    match count {
        0..1_048_576 => format!("{count} bytes"),
        _ => format!("{} MiB", count / 1_048_576),
    }
}
