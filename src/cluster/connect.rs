//! Finds the cluster and builds the client.
//!
//! A kubeconfig named by `KUBECONFIG` must be usable: falling back to another cluster because a file is broken would
//! carry a release to the wrong place. Nothing is sent here; the first call shows whether the API server answers.

use std::{path::PathBuf, time::Duration};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use thiserror::Error;

/// The longest wait for a connection to the API server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest silence of the API server within one plain call. Watches need another client.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(15);

/// The longest silence within one watch. API servers send a word about every minute.
const WATCH_SILENCE_TIMEOUT: Duration = Duration::from_secs(100);

/// Why there is no client.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// No kubeconfig, and not in a pod.
    #[error("no cluster is configured: set KUBECONFIG to a kubeconfig file, or run in a pod with a service account")]
    NoCluster,
    /// There is a kubeconfig, and it cannot be used.
    #[error("the kubeconfig cannot be used; correct it, or set KUBECONFIG to another file")]
    Kubeconfig(#[source] KubeconfigError),
    /// The kubeconfig is not YAML of the right shape. Only the place is kept: the parser's own words quote the file,
    /// and a token may stand there.
    #[error("the kubeconfig is malformed{place}; correct it, or set KUBECONFIG to another file")]
    Malformed {
        /// Where, as ` at line 3, column 7`, or nothing where the parser does not know.
        place: String,
    },
    /// The context that was asked for is not in the kubeconfig.
    #[error("the kubeconfig has no context {asked:?}; it has {}", if .known.is_empty() { "none" } else { .known })]
    NoContext {
        /// The context that was asked for.
        asked: String,
        /// The contexts that are there, joined by commas.
        known: String,
    },
    /// The pod's service account cannot be used.
    #[error("the pod's service account cannot be used; check automountServiceAccountToken")]
    InCluster(#[source] kube::config::InClusterError),
    /// The configuration was read, and no client can be made of it.
    #[error("the cluster configuration is not usable")]
    Client(#[source] kube::Error),
}

/// A client and where it belongs.
pub struct Connection {
    /// For plain calls: it does not retry, and it gives up on a silent server.
    pub client: Client,
    /// For watches, which are silent for long.
    pub watcher: Client,
    /// The namespace that the configuration names: the pod's own, or that of the kubeconfig's context.
    pub namespace: Option<String>,
    /// The API server's address, for the log. It holds no credentials.
    pub server: String,
}

/// Which configuration to use, where it is not the usual one.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// The kubeconfig file. Default: as [`connect`] finds it.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it. Default: its current one.
    pub context: Option<String>,
}

impl Choice {
    fn is_made(&self) -> bool {
        self.kubeconfig.is_some() || self.context.is_some()
    }

    fn read(&self) -> Result<Kubeconfig, KubeconfigError> {
        self.kubeconfig.as_ref().map_or_else(Kubeconfig::read, Kubeconfig::read_from)
    }
}

/// Makes `ring` the process's TLS implementation. To be called first thing in `main`: with two implementations
/// compiled in by accident, the first TLS connection would panic.
pub fn install_tls_provider() {
    // An error means that a provider is installed already, and there is only this call.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Builds a client from `KUBECONFIG`, `~/.kube/config` or the pod's service account, the first that exists.
///
/// # Errors
/// See [`ConnectError`]; each says what to do. An API server that does not answer is no error here.
pub async fn connect() -> Result<Connection, ConnectError> {
    connect_to(&Choice::default()).await
}

/// As [`connect`], with the kubeconfig or the context that a person chose.
///
/// # Errors
/// As [`connect`]. A choice that cannot be followed is an error, and no other configuration is tried.
pub async fn connect_to(choice: &Choice) -> Result<Connection, ConnectError> {
    let (mut config, namespace) = find(choice).await?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(SILENCE_TIMEOUT);
    config.reset_reader_on_write = true;
    // Callers retry by their own plan; the client's would hold a call for minutes.
    config.default_retry = false;
    let server = server_of(&config);
    let client = Client::try_from(config.clone()).map_err(ConnectError::Client)?;
    config.read_timeout = Some(WATCH_SILENCE_TIMEOUT);
    let watcher = Client::try_from(config).map_err(ConnectError::Client)?;
    Ok(Connection { client, watcher, namespace, server })
}

async fn find(choice: &Choice) -> Result<(Config, Option<String>), ConnectError> {
    match choice.read() {
        Ok(mut kubeconfig) => {
            if let Some(asked) = &choice.context {
                check_context(&kubeconfig, asked)?;
                kubeconfig.current_context = Some(asked.clone());
            }
            // The library answers "default" for a context without a namespace, so the question is asked here.
            let namespace = context_namespace(&kubeconfig);
            let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
            Ok((config.map_err(kubeconfig_error)?, namespace))
        }
        Err(error) if choice.is_made() || names_a_file() || !is_missing(&error) => Err(kubeconfig_error(error)),
        Err(_) if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() => Err(ConnectError::NoCluster),
        Err(_) => {
            let config = Config::incluster().map_err(ConnectError::InCluster)?;
            let namespace = config.default_namespace.clone();
            Ok((config, Some(namespace)))
        }
    }
}

fn check_context(kubeconfig: &Kubeconfig, asked: &str) -> Result<(), ConnectError> {
    if kubeconfig.contexts.iter().any(|named| named.name == asked) {
        return Ok(());
    }
    let known: Vec<_> = kubeconfig.contexts.iter().map(|named| named.name.as_str()).collect();
    Err(ConnectError::NoContext { asked: asked.to_owned(), known: known.join(", ") })
}

fn kubeconfig_error(error: KubeconfigError) -> ConnectError {
    let KubeconfigError::Parse(parse) = error else {
        return ConnectError::Kubeconfig(error);
    };
    let place = parse.location().map(|at| format!(" at line {}, column {}", at.line(), at.column()));
    ConnectError::Malformed { place: place.unwrap_or_default() }
}

fn names_a_file() -> bool {
    std::env::var_os("KUBECONFIG").is_some_and(|value| std::env::split_paths(&value).any(|p| !p.as_os_str().is_empty()))
}

fn is_missing(error: &KubeconfigError) -> bool {
    match error {
        KubeconfigError::FindPath => true,
        KubeconfigError::ReadConfig(source, _) => source.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

fn context_namespace(kubeconfig: &Kubeconfig) -> Option<String> {
    let current = kubeconfig.current_context.as_deref()?;
    let named = kubeconfig.contexts.iter().find(|named| named.name == current)?;
    named.context.as_ref()?.namespace.clone().filter(|namespace| !namespace.is_empty())
}

/// Scheme, host and port; what a URL may hold before an `@` is dropped.
fn server_of(config: &Config) -> String {
    let url = &config.cluster_url;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme_str().unwrap_or("https"), url.host().unwrap_or_default())
}
