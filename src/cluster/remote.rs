//! Clients for other clusters, as the kubeconfigs of tenants name them.
//!
//! A kubeconfig is written by a user of a namespace, and followed by the operator, who may reach more than the user. So each
//! connection is made to an address that was judged after the look-up, as for [`probe`](super::probe); the judged address is the one
//! that is connected to. No proxy of the environment is used, and no redirect is followed.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{Request, Uri, header::AUTHORIZATION};
use hyper_util::{
    client::legacy::Client as Http,
    rt::{TokioExecutor, TokioIo},
};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder, ConfigExt},
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use thiserror::Error;
use tokio::{net::TcpStream, time::timeout};
use tower::{BoxError, service_fn};

use super::probe::{exchange::words, forbidden::Forbidden};
use crate::gitops::kubeconfig::{Identity, Kubeconfig};

/// How many addresses of one name are tried.
const ADDRESSES_MAX: usize = 4;
/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The connections that are kept for the next call, and for how long.
const IDLE: (usize, Duration) = (8, Duration::from_mins(1));

/// Why no client can be made. Nothing of the kubeconfig is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RemoteError {
    /// The address is one that is not asked.
    #[error(
        "clusters[0].cluster.server: leads to the operator's own machine, its link, a metadata service or its own API server: \
         name another one"
    )]
    Forbidden,
    /// The authority cannot be read.
    #[error("clusters[0].cluster.certificate-authority-data: has no certificate in PEM form that can be read")]
    Authority,
    /// The machine trusts nobody, and neither does the kubeconfig.
    #[error(
        "clusters[0].cluster.certificate-authority-data: is missing, and this machine trusts no certificates at all"
    )]
    NoRoots,
    /// The client certificate or its key cannot be read.
    #[error(
        "users[0].user.client-certificate-data: it and `client-key-data` are no certificate in PEM form with its key that can be read"
    )]
    Certificate,
}

/// A client that goes where the kubeconfig says. Nothing is sent.
///
/// # Errors
/// See [`RemoteError`].
pub fn client(kubeconfig: &Kubeconfig, forbidden: &Forbidden) -> Result<Client, RemoteError> {
    let host = host(&kubeconfig.server);
    if host.parse::<IpAddr>().is_ok_and(|address| forbidden.has(address)) {
        return Err(RemoteError::Forbidden);
    }
    let mut config = Config::new(kubeconfig.server.clone());
    if let Some(pem) = &kubeconfig.authorities {
        config.root_cert = Some(certificates(pem).ok_or(RemoteError::Authority)?);
    }
    let mut token = None;
    match &kubeconfig.identity {
        Identity::Token(header) => token = Some(header.clone()),
        Identity::Certificate { chain, key } => {
            certificates(chain).ok_or(RemoteError::Certificate)?;
            config.auth_info.client_certificate_data = Some(BASE64_STANDARD.encode(chain));
            config.auth_info.client_key_data = Some(BASE64_STANDARD.encode(key).into());
        }
    }
    let reach = {
        let forbidden = Arc::new(forbidden.clone());
        service_fn(move |uri: Uri| reach(uri, Arc::clone(&forbidden)))
    };
    let has_certificate = token.is_none();
    let connector = config.rustls_https_connector_with_connector(reach).map_err(|_| match &config.root_cert {
        _ if has_certificate => RemoteError::Certificate,
        Some(_) => RemoteError::Authority,
        None => RemoteError::NoRoots,
    })?;
    let http: Http<_, Body> = Http::builder(TokioExecutor::new())
        .pool_max_idle_per_host(IDLE.0)
        .pool_idle_timeout(IDLE.1)
        .pool_timer(hyper_util::rt::TokioTimer::new())
        .build(connector);
    let service = service_fn(move |mut request: Request<Body>| {
        if let Some(token) = &token {
            request.headers_mut().insert(AUTHORIZATION, token.clone());
        }
        http.request(request)
    });
    Ok(ClientBuilder::new(service, "default").with_layer(&config.base_uri_layer()).build())
}

/// A client that leads nowhere: each call fails, and says why.
pub fn nowhere(why: &'static str) -> Client {
    let service = service_fn(move |_: Request<Body>| async move {
        Err::<http::Response<Body>, BoxError>(io::Error::other(why).into())
    });
    Client::new(service, "default")
}

fn certificates(pem: &[u8]) -> Option<Vec<Vec<u8>>> {
    let all: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all: Vec<_> = all.ok()?.into_iter().map(|one| one.to_vec()).collect();
    Some(all).filter(|all| !all.is_empty())
}

/// The host as it is looked up.
fn host(server: &Uri) -> String {
    server.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned()
}

/// Connects to the first of the host's addresses that answers, if none of them is forbidden.
async fn reach(uri: Uri, forbidden: Arc<Forbidden>) -> io::Result<TokioIo<TcpStream>> {
    let shown = uri.authority().map(ToString::to_string).unwrap_or_default();
    let late = || io::Error::other(format!("no connection to {shown} within {} s", CONNECT_TIMEOUT.as_secs()));
    timeout(CONNECT_TIMEOUT, connect(&uri, &forbidden, &shown)).await.map_err(|_| late())?.map(TokioIo::new)
}

async fn connect(uri: &Uri, forbidden: &Forbidden, shown: &str) -> io::Result<TcpStream> {
    let (host, port) = (host(uri), uri.port_u16().unwrap_or(443));
    let found = tokio::net::lookup_host((host.as_str(), port)).await;
    let found: Vec<SocketAddr> =
        found.map_err(|_| io::Error::other(format!("the name of {shown} has no address")))?.collect();
    if found.iter().any(|at| forbidden.has(at.ip())) {
        let why = "leads to the operator's own machine, its link, a metadata service or its own API server";
        return Err(io::Error::other(format!("{shown} {why}")));
    }
    let mut last = io::Error::other(format!("the name of {shown} has no address"));
    for at in found.into_iter().take(ADDRESSES_MAX) {
        match TcpStream::connect(at).await {
            Ok(stream) => {
                // Small requests are not to wait for each other.
                drop(stream.set_nodelay(true));
                return Ok(stream);
            }
            Err(error) => last = io::Error::other(format!("{shown}: {}", words(&error))),
        }
    }
    Err(last)
}
