//! The arguments of `landfall operator`, as typed.
//!
//! Each has a variable in the environment. None is called `LANDFALL_PORT`, `LANDFALL_SERVICE_…` or the like: Kubernetes
//! sets those in every pod beside a Service named `landfall`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::{LogArgs, duration};
use crate::api::names::{NameError, check_label, check_subdomain};

/// Whether names of people are to be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ActorsArg {
    /// A policy is installed.
    Verified,
    /// None is: anybody may have written them.
    Unverified,
}

/// See the help texts.
#[derive(Debug, Clone, Args)]
pub struct OperatorArgs {
    /// Address of the HTTP server: /livez, /readyz, /metrics
    #[arg(long, env = "LANDFALL_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,

    /// Namespace of the Lease [default: the pod's own or the kubeconfig's, else landfall-system]
    #[arg(long, env = "LANDFALL_LEASE_NAMESPACE", value_parser = namespace)]
    pub lease_namespace: Option<String>,

    /// Name of the Lease
    #[arg(long, env = "LANDFALL_LEASE_NAME", default_value = "landfall", value_parser = object_name)]
    pub lease_name: String,

    /// Name under which this replica holds the Lease; stable over restarts, unique among replicas
    /// [default: POD_NAME, else the host's name]
    #[arg(long, env = "LANDFALL_IDENTITY")]
    pub identity: Option<String>,

    /// How long open requests may take to end after SIGTERM
    #[arg(long, env = "LANDFALL_SHUTDOWN_GRACE", default_value = "20s", value_parser = duration)]
    pub shutdown_grace: Duration,

    /// A namespace whose Packages, Profiles and Deployments are looked after; several with commas, or given again
    /// [default: all]
    #[arg(long = "watch-namespace", env = "LANDFALL_WATCH_NAMESPACES", value_parser = namespace, value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,

    /// Whether an admission policy sees to it that the names of people on commands are true
    #[arg(long, env = "LANDFALL_ACTORS", value_enum, default_value = "unverified")]
    pub actors: ActorsArg,

    /// Directory for mirrors of repositories; what is lost there is fetched again
    /// [default: landfall in the directory for temporary files]
    #[arg(long, env = "LANDFALL_DATA_DIR")]
    pub data_dir: Option<PathBuf>,

    /// Directory with the programs that make manifests, kustomize and helm, and the one that verifies OpenPGP, sqv
    #[arg(long, env = "LANDFALL_RENDERERS", default_value = "/usr/libexec/landfall")]
    pub renderers: PathBuf,

    /// Let Profiles name repositories at this machine's own addresses; for tests and demonstrations
    #[arg(long, env = "LANDFALL_LOCAL_REPOSITORIES")]
    pub local_repositories: bool,

    /// How to log.
    #[command(flatten)]
    pub log: LogArgs,
}

fn namespace(text: &str) -> Result<String, NameError> {
    check_label(text).map(|()| text.to_owned())
}

fn object_name(text: &str) -> Result<String, NameError> {
    check_subdomain(text).map(|()| text.to_owned())
}
