//! The operator's arguments, validated.
//!
//! The rest of the process sees only this type; nothing below reads arguments or the environment for settings.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use thiserror::Error;

use crate::{
    api::DEFAULT_NAMESPACE,
    cli::{
        host::host_name,
        operator::{ActorsArg, OperatorArgs},
    },
    cluster::lease::Timing,
    rollout::commands::Actors,
};

/// How long a replica counts as the leader after its last sign of life. Short enough that a crash delays a rollout by
/// seconds, long enough that a slow API server does not end a healthy leader.
const LEASE_DURATION: Duration = Duration::from_secs(10);

/// The directory of an operator's own data, in that for temporary files.
const DATA: &str = "landfall";

/// The directory of mirrors in it.
const MIRRORS: &str = "mirrors";

/// The directory for runs of programs in it.
const SCRATCH: &str = "renderers";

/// Why the arguments do not make a configuration.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// Neither the arguments nor the environment nor the system name this replica.
    #[error("this replica has no name: set POD_NAME from the downward API, or pass --identity")]
    NoIdentity,
    /// The name has characters that do not belong in one.
    #[error("the identity {0:?} has blanks or control characters")]
    BadIdentity(String),
}

/// What an operator process works with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the HTTP server listens.
    pub listen: SocketAddr,
    /// The Lease's namespace, if one was given.
    pub lease_namespace: Option<String>,
    /// The Lease's name.
    pub lease_name: String,
    /// The name under which this replica holds the Lease. The same after a restart of its container, so that it takes
    /// its own Lease again at once.
    pub identity: String,
    /// The intervals of the election.
    pub lease: Timing,
    /// How long open requests may take to end after a signal.
    pub shutdown_grace: Duration,
    /// The namespaces that are looked after; none for all.
    pub watch_namespaces: Vec<String>,
    /// Whether names of people on commands can be relied on.
    pub actors: Actors,
    /// Where mirrors of repositories are.
    pub mirrors: PathBuf,
    /// Where directories for runs of programs are made.
    pub scratch: PathBuf,
    /// Where the renderers are, and what verifies signatures of OpenPGP.
    pub renderers: PathBuf,
    /// Whether repositories may be on this machine.
    pub local_repositories: LocalRepositories,
}

/// Whether Profiles may name repositories at this machine's own addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalRepositories {
    /// Whoever writes a Profile would reach more than themselves.
    Refused,
    /// For tests and demonstrations.
    Allowed,
}

impl Config {
    /// The Lease's namespace: as given, or what the cluster configuration names, or `landfall-system`.
    pub fn namespace(&self, of_connection: Option<String>) -> String {
        self.lease_namespace.clone().or(of_connection).unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned())
    }
}

impl TryFrom<OperatorArgs> for Config {
    type Error = ConfigError;

    fn try_from(args: OperatorArgs) -> Result<Self, ConfigError> {
        let OperatorArgs {
            listen,
            lease_namespace,
            lease_name,
            identity,
            shutdown_grace,
            log: _,
            watch_namespaces,
            actors,
            data_dir,
            renderers,
            local_repositories,
        } = args;
        let pod_name = || std::env::var("POD_NAME").ok().filter(|name| !name.is_empty());
        let identity = identity.or_else(pod_name).or_else(host_name).ok_or(ConfigError::NoIdentity)?;
        if identity.is_empty() || identity.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(ConfigError::BadIdentity(identity));
        }
        let lease = Timing::of(LEASE_DURATION);
        let actors = match actors {
            ActorsArg::Verified => Actors::Verified,
            ActorsArg::Unverified => Actors::Unverified,
        };
        let data = data_dir.unwrap_or_else(|| std::env::temp_dir().join(DATA));
        let local_repositories =
            if local_repositories { LocalRepositories::Allowed } else { LocalRepositories::Refused };
        Ok(Self {
            listen,
            lease_namespace,
            lease_name,
            identity,
            lease,
            shutdown_grace,
            watch_namespaces,
            actors,
            mirrors: data.join(MIRRORS),
            scratch: data.join(SCRATCH),
            renderers,
            local_repositories,
        })
    }
}
