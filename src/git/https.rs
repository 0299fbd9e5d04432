//! Requests to a Git server over https.
//!
//! Every request has a connection of its own, made to an address that [`Forbidden`] has judged after the look-up, so a
//! second look-up cannot lead elsewhere; the same holds for redirects. HTTP/1.1 alone is spoken, no proxy of the
//! environment is used, nothing is decompressed. Credentials go with the first request, and there is no second one: a
//! refusal is an answer.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, LOCATION, PRAGMA, USER_AGENT},
};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http1::Builder,
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName, sign::SingleCertAndKey};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::task::AbortOnDropHandle;

use super::{address::Address, error::GitError, secret::Credentials, session::Service};
use crate::cluster::probe::{exchange::words, forbidden::Forbidden};

/// How many redirects are followed.
const REDIRECTS_MAX: usize = 5;
/// How many addresses of one name are tried.
const ADDRESSES_MAX: usize = 4;
/// How long a connection may take to come about.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server may be silent. One that works on a pack says every few seconds that it does.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(30);
/// The most that is read of an answer's head.
const HEAD_MAX: usize = 128 * 1024;

/// Some servers answer nobody else but Git.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("git/2.0 (landfall ", env!("CARGO_PKG_VERSION"), ")"));

/// Makes connections. Made once.
pub(super) struct Dialer {
    system: Arc<RootCertStore>,
    forbidden: Forbidden,
}

/// The rest of an answer.
pub(super) struct Body {
    incoming: Incoming,
    host: String,
    /// The connection lives as long as its answer is read.
    _connection: AbortOnDropHandle<()>,
}

impl Body {
    /// The next piece; none at the end.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, GitError> {
        loop {
            let frame = timeout(SILENCE_MAX, self.incoming.frame()).await.map_err(|_| silent(&self.host))?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|error| unreachable(&self.host, &explain(&error)))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }
}

/// One conversation with a server: what it has, and then what of it is wanted.
pub(super) struct Session<'a> {
    dialer: &'a Dialer,
    credentials: &'a Credentials,
    /// Where redirects have led.
    pub address: Address,
    service: Service,
}

impl<'a> Session<'a> {
    pub fn new(dialer: &'a Dialer, credentials: &'a Credentials, address: Address, service: Service) -> Self {
        Self { dialer, credentials, address, service }
    }

    /// What it is about.
    pub fn service(&self) -> Service {
        self.service
    }

    /// Asks what the repository has. Redirects are followed here and nowhere else.
    pub async fn advertisement(&mut self) -> Result<Body, GitError> {
        for _ in 0..=REDIRECTS_MAX {
            let request = self.request(Method::GET, &self.address.look(self.service), Bytes::new())?;
            let (answer, connection) = self.dialer.send(&self.address, self.credentials, request).await?;
            let Some(location) = redirect(&answer) else { return self.accept(answer, connection, "advertisement") };
            let next = self.address.redirected(&location, self.service)?;
            if !self.credentials.is_anonymous() && !next.is_same_server(&self.address) {
                let why = "it redirects to another server, which is not given the credentials".to_owned();
                return Err(GitError::BadAddress { why });
            }
            self.address = next;
        }
        Err(GitError::BadAddress { why: format!("it redirects more than {REDIRECTS_MAX} times") })
    }

    /// Asks for objects, or brings them.
    pub async fn upload(&self, message: Vec<u8>) -> Result<Body, GitError> {
        let mut request = self.request(Method::POST, &self.address.serve(self.service), Bytes::from(message))?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.service.request()));
        let (answer, connection) = self.dialer.send(&self.address, self.credentials, request).await?;
        if redirect(&answer).is_some() {
            return Err(GitError::BadAddress { why: "it redirects what was already under way".to_owned() });
        }
        self.accept(answer, connection, "result")
    }

    fn request(&self, method: Method, target: &str, body: Bytes) -> Result<Request<Full<Bytes>>, GitError> {
        let refused = || GitError::BadAddress { why: "it cannot be sent".to_owned() };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = target.parse().map_err(|_| refused())?;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_str(&self.address.authority()).map_err(|_| refused())?);
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(USER_AGENT, AGENT);
        if let Some(value) = self.credentials.authorization() {
            headers.insert(AUTHORIZATION, value.clone());
        }
        Ok(request)
    }

    fn accept(
        &self,
        answer: Response<Incoming>,
        connection: AbortOnDropHandle<()>,
        wanted: &str,
    ) -> Result<Body, GitError> {
        let host = self.address.authority();
        match answer.status() {
            StatusCode::OK
                if has_type(answer.headers(), &format!("application/x-{}-{wanted}", self.service.name())) =>
            {
                Ok(Body { incoming: answer.into_body(), host, _connection: connection })
            }
            StatusCode::OK => {
                let why = "something else answers, such as a page for people; look at the address";
                Err(GitError::Protocol { host, why })
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(self.denied(host)),
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(GitError::NoSuchRepository { host }),
            StatusCode::BAD_REQUEST => {
                let why = "it answers with the status 400, as some servers do that want a client certificate";
                Err(GitError::Unreachable { host, why: why.to_owned() })
            }
            status => Err(unreachable(&host, &format!("it answers with the status {}", status.as_u16()))),
        }
    }

    fn denied(&self, host: String) -> GitError {
        let why = if self.credentials.is_anonymous() {
            "it wants credentials, or has no such repository: name a Secret by secretRef"
        } else {
            match self.service {
                Service::Fetch => "the credentials of the Secret were not accepted, or may not read this repository",
                Service::Push => "the credentials of the Secret were not accepted, or may not push to this repository",
            }
        };
        GitError::Denied { host, why }
    }
}

impl Dialer {
    /// Trusts the root certificates of the machine where credentials bring none of their own.
    pub fn new(forbidden: Forbidden) -> Self {
        let mut system = RootCertStore::empty();
        // What cannot be read or parsed is left out: the rest is as good as before.
        system.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Self { system: Arc::new(system), forbidden }
    }

    /// Sends one request on a connection of its own, and reads the head of the answer.
    async fn send(
        &self,
        address: &Address,
        credentials: &Credentials,
        request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, AbortOnDropHandle<()>), GitError> {
        let host = address.authority();
        let broken = |error: &hyper::Error| broken_off(&host, credentials, error);
        let stream = timeout(CONNECT_TIMEOUT, self.connect(address, credentials))
            .await
            .map_err(|_| unreachable(&host, &format!("no connection within {}s", CONNECT_TIMEOUT.as_secs())))??;
        let mut builder = Builder::new();
        builder.max_buf_size(HEAD_MAX);
        let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        // What goes wrong on the connection reaches the sender too, and is told there.
        let connection = AbortOnDropHandle::new(tokio::spawn(async move { drop(connection.await) }));
        let answer = timeout(SILENCE_MAX, sender.send_request(request)).await.map_err(|_| silent(&host))?;
        Ok((answer.map_err(|error| broken(&error))?, connection))
    }

    /// Connects to the first of the host's addresses that answers. A host with a single forbidden address is not asked.
    async fn connect(&self, address: &Address, credentials: &Credentials) -> Result<TlsStream<TcpStream>, GitError> {
        let host = address.authority();
        let name = ServerName::try_from(address.host.clone())
            .map_err(|_| unreachable(&host, "the name cannot be in a certificate"))?;
        let connector = self.connector(credentials).ok_or_else(|| {
            unreachable(&host, "this machine trusts no certificates at all: put ca.crt into the Secret")
        })?;
        let stream = self.reach(address).await?;
        connector.connect(name, stream).await.map_err(|error| unreachable(&host, &words(&error)))
    }

    /// Connects to the first of the host's addresses that answers, if none of them is forbidden.
    pub async fn reach(&self, address: &Address) -> Result<TcpStream, GitError> {
        let host = address.authority();
        let found = tokio::net::lookup_host((address.host.as_str(), address.port)).await;
        let found: Vec<SocketAddr> = found.map_err(|_| unreachable(&host, "the name has no address"))?.collect();
        if found.iter().any(|at| self.forbidden.has(at.ip())) {
            let why =
                format!("{host} leads to the operator's own machine, its link, a metadata service or the API server");
            return Err(GitError::BadAddress { why });
        }
        let mut last = unreachable(&host, "the name has no address");
        for at in found.into_iter().take(ADDRESSES_MAX) {
            match TcpStream::connect(at).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = unreachable(&host, &words(&error)),
            }
        }
        Err(last)
    }

    /// What the credentials trust and show. None where nothing is trusted.
    fn connector(&self, credentials: &Credentials) -> Option<TlsConnector> {
        let roots = credentials.authorities().unwrap_or(&self.system);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = versions.ok().filter(|_| !roots.is_empty())?.with_root_certificates(Arc::clone(roots));
        let config = match credentials.certificate() {
            Some(own) => config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(own)))),
            None => config.with_no_client_auth(),
        };
        Some(Arc::new(config).into())
    }
}

/// Where an answer sends its reader.
fn redirect(answer: &Response<Incoming>) -> Option<String> {
    let location =
        answer.headers().get(LOCATION).filter(|_| matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308))?;
    Some(String::from_utf8_lossy(location.as_bytes()).into_owned())
}

fn has_type(headers: &HeaderMap, wanted: &str) -> bool {
    let found = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    found.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted)
}

pub(super) fn unreachable(host: &str, why: &str) -> GitError {
    GitError::Unreachable { host: host.to_owned(), why: why.to_owned() }
}

pub(super) fn silent(host: &str) -> GitError {
    GitError::TimedOut { host: host.to_owned(), limit: SILENCE_MAX }
}

/// A server that wants a certificate says so by an alert, and closes the connection.
fn broken_off(host: &str, credentials: &Credentials, error: &hyper::Error) -> GitError {
    if !source(error).is_some_and(is_refused_certificate) {
        return unreachable(host, &explain(error));
    }
    let why = if credentials.has_certificate() {
        "the client certificate of the Secret was not accepted"
    } else {
        "it wants a client certificate: put tls.crt and tls.key into the Secret"
    };
    GitError::Denied { host: host.to_owned(), why }
}

fn source(error: &hyper::Error) -> Option<&io::Error> {
    std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>())
}

fn is_refused_certificate(error: &io::Error) -> bool {
    use rustls::AlertDescription as Alert;
    let alert = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::AlertReceived(alert)) = alert else { return false };
    matches!(
        alert,
        Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::CertificateUnknown
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::UnknownCA
            | Alert::AccessDenied
    )
}

/// The kind of a failure. The library's own words quote what was received.
fn explain(error: &hyper::Error) -> String {
    match source(error) {
        Some(source) => words(source),
        None if error.is_parse() => "it does not speak HTTP".to_owned(),
        None => "the connection was closed before the end of the answer".to_owned(),
    }
}
