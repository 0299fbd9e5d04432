//! Sends the request of a check and reads the answer.
//!
//! Every probe has a connection of its own: a pooled one would go on asking a pod that the Service no longer selects.
//! No proxy of the environment is used, nothing is decompressed, HTTP/1.1 alone is spoken. The address is judged by
//! [`forbidden`] after it was looked up, and the connection is made to that address, so a second look-up cannot lead
//! elsewhere; the same holds for every redirect.

pub mod api_server;
pub mod exchange;
pub mod forbidden;
pub mod secrets;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http::{StatusCode, header::LOCATION};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{net::TcpStream, sync::Semaphore, time::Instant};
use tokio_rustls::TlsConnector;

use self::{exchange::Incoming, forbidden::Forbidden, secrets::Secrets};
use crate::{
    analysis::{
        answer::{ProbeError, Reply, unanswered},
        http::Request,
        judge::judge,
    },
    api::check::Check,
    engine::verdict::Measurement,
};

/// How many redirects are followed.
const REDIRECTS_MAX: usize = 3;
/// How many addresses of one name are tried.
const ADDRESSES_MAX: usize = 4;
/// How many answers are judged by expressions at the same time: each may take a processor and tens of megabytes.
const JUDGEMENTS_MAX: usize = 2;
/// How long the judgement of an answer may take, the wait for its turn included.
const JUDGEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends probes. Made once.
#[derive(Clone)]
pub struct Prober {
    /// None where there is no root certificate at all.
    tls: Option<TlsConnector>,
    forbidden: Forbidden,
    judgements: Arc<Semaphore>,
}

impl Prober {
    /// Trusts the root certificates of the machine: those that `SSL_CERT_FILE` or `SSL_CERT_DIR` name, else those of the
    /// system. An image without any asks no https.
    pub fn new(forbidden: Forbidden) -> Self {
        let mut roots = RootCertStore::empty();
        // What cannot be read or parsed is left out: the rest is as good as before.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Self::trusting(roots, forbidden)
    }

    /// Trusts these root certificates.
    pub fn trusting(roots: RootCertStore, forbidden: Forbidden) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = versions.ok().filter(|_| !roots.is_empty());
        let tls = config.map(|config| Arc::new(config.with_root_certificates(roots).with_no_client_auth()).into());
        Self { tls, forbidden, judgements: Arc::new(Semaphore::new(JUDGEMENTS_MAX)) }
    }

    /// Asks and judges: one measurement of a check. Expressions run on a thread for blocking work.
    pub async fn measure(&self, check: &Check, request: &Request, secrets: &Secrets) -> Measurement {
        let reply = match self.ask(request, secrets).await {
            Ok(reply) => reply,
            Err(error) => return unanswered(check, request, &error),
        };
        if check.success.is_none() && check.failure.is_none() {
            return judge(check, &reply);
        }
        match tokio::time::timeout(JUDGEMENT_TIMEOUT, self.judge_aside(check.clone(), reply)).await {
            Ok(Some(measurement)) => measurement,
            Ok(None) => Measurement::Unknown("the expression could not be evaluated: simplify it".to_owned()),
            Err(_) => Measurement::Unknown("the expression takes too long on this answer: simplify it".to_owned()),
        }
    }

    /// Judges on a thread for blocking work. The turn is given back when the work has ended, even if nobody waits any more.
    async fn judge_aside(&self, check: Check, reply: Reply) -> Option<Measurement> {
        let turn = Arc::clone(&self.judgements).acquire_owned().await.ok()?;
        let judgement = tokio::task::spawn_blocking(move || {
            let measurement = judge(&check, &reply);
            drop(turn);
            measurement
        });
        judgement.await.ok()
    }

    /// Sends a request and follows its redirects.
    ///
    /// # Errors
    /// See [`ProbeError`].
    pub async fn ask(&self, request: &Request, secrets: &Secrets) -> Result<Reply, ProbeError> {
        let start = Instant::now();
        let answer = tokio::time::timeout(request.timeout, self.follow(request, secrets)).await;
        let millis = u64::try_from(request.timeout.as_millis()).unwrap_or(u64::MAX);
        let (status, body) = answer.map_err(|_| ProbeError::TimedOut(millis))??;
        Ok(Reply { status: status.as_u16(), body, duration: start.elapsed() })
    }

    async fn follow(&self, request: &Request, secrets: &Secrets) -> Result<(StatusCode, Vec<u8>), ProbeError> {
        let mut request = request.clone();
        for _ in 0..=REDIRECTS_MAX {
            let incoming = self.once(&request, secrets).await?;
            let location = incoming.headers.get(LOCATION).filter(|_| request.follows(incoming.status));
            match location {
                None => return Ok((incoming.status, incoming.body)),
                Some(location) => request = request.follow(&String::from_utf8_lossy(location.as_bytes()))?,
            }
        }
        Err(ProbeError::TooManyRedirects(REDIRECTS_MAX))
    }

    async fn once(&self, request: &Request, secrets: &Secrets) -> Result<Incoming, ProbeError> {
        let message = exchange::message(request, secrets)?;
        let stream = self.connect(request).await?;
        if !request.target.is_https() {
            return exchange::exchange(stream, message).await;
        }
        let tls = self.tls.as_ref().ok_or(ProbeError::NoRoots)?;
        let name = ServerName::try_from(request.target.host())
            .map_err(|_| ProbeError::Tls(format!("{} cannot be in a certificate", request.target.host())))?;
        let stream = tls.connect(name, stream).await.map_err(|error| ProbeError::Tls(exchange::words(&error)))?;
        exchange::exchange(stream, message).await
    }

    /// Connects to the first of the host's addresses that answers. A host with a single forbidden address is not asked.
    async fn connect(&self, request: &Request) -> Result<TcpStream, ProbeError> {
        let addresses = resolve(request).await?;
        if addresses.iter().any(|address| self.forbidden.has(address.ip())) {
            return Err(ProbeError::Forbidden(request.target.host()));
        }
        let mut last = ProbeError::Unresolved(request.target.host());
        for address in addresses.into_iter().take(ADDRESSES_MAX) {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = ProbeError::Broken(exchange::words(&error)),
            }
        }
        Err(last)
    }
}

async fn resolve(request: &Request) -> Result<Vec<SocketAddr>, ProbeError> {
    if let Some((address, port)) = request.connect_to() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (host, port) = (request.target.host(), request.target.port());
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let found = tokio::net::lookup_host((host.as_str(), port)).await;
    found.map(Iterator::collect).map_err(|_| ProbeError::Unresolved(host))
}
