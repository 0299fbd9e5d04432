//! How a command reaches the cluster: which kubeconfig, which context, which namespace.

use std::{future::Future, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::Args;
use kube::Client;

use crate::{
    api::names::{NameError, check_label},
    cluster::{
        call::{CallError, call},
        connect::{Choice, connect_to},
    },
};

/// The longest that one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Which cluster, and which namespace of it.
#[derive(Debug, Clone, Default, Args)]
pub struct ClusterArgs {
    /// Namespace [default: that of the kubeconfig's context, else default]
    #[arg(short, long, value_parser = namespace)]
    namespace: Option<String>,

    /// Context of the kubeconfig [default: the current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// Kubeconfig file [default: KUBECONFIG, else ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// A client, and the namespace that is meant.
pub struct Session {
    /// The client; it acts as whoever the kubeconfig says.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
}

impl ClusterArgs {
    /// The namespace that was typed, if one was.
    pub fn typed_namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Builds the client. Nothing is sent.
    ///
    /// # Errors
    /// The configuration is missing or cannot be used.
    pub async fn open(&self) -> anyhow::Result<Session> {
        let choice = Choice { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() };
        let connection = connect_to(&choice).await?;
        let named = self.namespace.clone().or(connection.namespace);
        Ok(Session { client: connection.client, namespace: named.unwrap_or_else(|| "default".to_owned()) })
    }
}

/// Runs one call with the timeout that suits a person who waits.
///
/// # Errors
/// See [`CallError`].
pub async fn ask<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    call(CALL_TIMEOUT, request).await
}

/// Runs a command that talks to a cluster.
///
/// # Errors
/// The command's own, or there is no runtime.
pub fn run<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(command)
}

/// A namespace as typed.
///
/// # Errors
/// Says which rule the text breaks.
pub fn namespace(text: &str) -> Result<String, NameError> {
    check_label(text).map(|()| text.to_owned())
}
