//! A check over HTTP becomes a request.

// An address is a value; nothing is opened here.
use core::net::IpAddr;
use std::time::Duration;

use ::http::{HeaderName, Method, StatusCode};
use thiserror::Error;

use super::{Provider, placeholder, provider, target::Target};
use crate::api::check::{Check, HttpMethod, HttpProbe, SecretKey};

/// The wait for an answer where the check names none, and the longest one.
const TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT_MAX: Duration = Duration::from_mins(1);

/// Headers that belong to the connection, or would make another request of it.
const RESERVED: [&str; 11] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "upgrade",
    "te",
    "trailer",
    "keep-alive",
    "expect",
    "proxy-authorization",
    "proxy-connection",
];

/// What placeholders stand for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names<'a> {
    /// The candidate's Service; none where there is no Service.
    pub candidate: Option<&'a ServiceAddress>,
}

/// A Service as a check reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAddress {
    /// Its name in the cluster's DNS, such as `shop-candidate.shop.svc`.
    pub host: String,
    /// Its cluster address; where it is known, no name is looked up.
    pub address: Option<IpAddr>,
    /// The port that it exposes.
    pub port: u16,
}

/// Why a check makes no request.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum Invalid {
    /// The check has no source that this version knows.
    #[error("the check has no provider: add http")]
    Provider,
    /// A name in braces that does not exist.
    #[error("url: there is no placeholder {{{{{0}}}}}: use {known}", known = placeholder::KNOWN.map(|name| format!("{{{{{name}}}}}")).join(", "))]
    Placeholder(String),
    /// Braces that do not close.
    #[error("url: {{{{ is without }}}}: close the placeholder")]
    Braces,
    /// There is no Service to ask.
    #[error("url: the package has no Service for {{{{candidate.service}}}}: add one, or write another host")]
    NoService,
    /// The text is no URL.
    #[error("url: {0}: write an address such as http://{{{{candidate.service}}}}/healthz")]
    Url(String),
    /// It is another protocol.
    #[error("url: {0} is not asked: write http or https")]
    Scheme(String),
    /// It holds a user or a password.
    #[error(
        "url: a user and password may not stand in it: put the Authorization header into a Secret and name it in headers"
    )]
    UserInfo,
    /// A header that is not sent for users.
    #[error("headers: {0} cannot be set: remove it")]
    Header(String),
    /// No time to wait.
    #[error("timeout: 0s is no time to wait: write 5s, or at most 60s")]
    Timeout,
}

/// A request as it is to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where it goes.
    pub target: Target,
    /// Headers, and where their values are.
    pub headers: Vec<(HeaderName, SecretKey)>,
    /// How long everything together may take.
    pub timeout: Duration,
    candidate: Option<ServiceAddress>,
    /// The statuses that the check expects.
    expected: Vec<i32>,
}

/// Builds the request of a check.
///
/// # Errors
/// See [`Invalid`]; each names the field and the remedy.
pub fn request(check: &Check, names: &Names<'_>) -> Result<Request, Invalid> {
    let Provider::Http(probe) = provider(check).ok_or(Invalid::Provider)?;
    let url = placeholder::fill(&probe.url, |_| {
        names.candidate.map(|service| service.host.clone()).ok_or(Invalid::NoService)
    })?;
    Ok(Request {
        method: match probe.method.unwrap_or_default() {
            HttpMethod::Get => Method::GET,
            HttpMethod::Head => Method::HEAD,
        },
        target: Target::read(&url, names.candidate)?,
        headers: headers(probe)?,
        timeout: timeout(probe)?,
        candidate: names.candidate.cloned(),
        expected: probe.expected_status.clone(),
    })
}

fn headers(probe: &HttpProbe) -> Result<Vec<(HeaderName, SecretKey)>, Invalid> {
    let one = |header: &crate::api::check::SecretHeader| {
        let name: HeaderName = header.name.parse().map_err(|_| Invalid::Header(header.name.clone()))?;
        let is_free = !RESERVED.contains(&name.as_str());
        if is_free { Ok((name, header.secret.clone())) } else { Err(Invalid::Header(header.name.clone())) }
    };
    probe.headers.iter().map(one).collect()
}

fn timeout(probe: &HttpProbe) -> Result<Duration, Invalid> {
    let asked = probe.timeout.map_or(TIMEOUT, crate::api::time_span::TimeSpan::as_duration);
    if asked.is_zero() { Err(Invalid::Timeout) } else { Ok(asked.min(TIMEOUT_MAX)) }
}

impl Request {
    /// Whether the candidate's own Service is asked.
    pub fn asks_candidate(&self) -> bool {
        self.candidate.as_ref().is_some_and(|service| service.host == self.target.host())
    }

    /// The address to connect to without looking up a name: that of the candidate's Service.
    pub fn connect_to(&self) -> Option<(IpAddr, u16)> {
        let service = self.candidate.as_ref().filter(|_| self.asks_candidate())?;
        Some((service.address?, self.target.port()))
    }

    /// Whether a status is a redirect that is followed. One that the check expects by its number is the answer itself.
    pub fn follows(&self, status: StatusCode) -> bool {
        matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) && !self.expected.contains(&i32::from(status.as_u16()))
    }

    /// The request that a redirect leads to. Headers from Secrets stay behind when it leaves scheme, host or port.
    ///
    /// # Errors
    /// The location is refused for the reasons that an address in a spec is.
    pub fn follow(&self, location: &str) -> Result<Self, Invalid> {
        let target = self.target.follow(location)?;
        let headers = if target.is_same_origin(&self.target) { self.headers.clone() } else { Vec::new() };
        Ok(Self { target, headers, ..self.clone() })
    }
}
