//! The address of a request, read from a URL.

use url::{Host, Url};

use super::http::{Invalid, ServiceAddress};

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    url: Url,
    /// The URL's port, or the Service's.
    port: u16,
}

impl Target {
    /// Reads a URL. Without a port in it, that of the candidate's Service is used where the host is that Service.
    ///
    /// # Errors
    /// It is no URL, not http or https, or holds a user and password.
    pub fn read(text: &str, candidate: Option<&ServiceAddress>) -> Result<Self, Invalid> {
        let url = Url::parse(text).map_err(|error| Invalid::Url(error.to_string()))?;
        let of_service = candidate.filter(|service| !names_port(text) && url.host_str() == Some(&service.host));
        Self::of(url, of_service.map(|service| service.port))
    }

    /// The address that a `Location` header leads to.
    ///
    /// # Errors
    /// As [`Target::read`].
    pub fn follow(&self, location: &str) -> Result<Self, Invalid> {
        let mut base = self.url.clone();
        // A relative location stays at the port that was asked.
        let _ = base.set_port(Some(self.port));
        Self::of(base.join(location).map_err(|error| Invalid::Url(error.to_string()))?, None)
    }

    fn of(url: Url, port: Option<u16>) -> Result<Self, Invalid> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Invalid::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Invalid::UserInfo);
        }
        let port = port.or(url.port_or_known_default()).filter(|port| *port != 0);
        Ok(Self { port: port.ok_or_else(|| Invalid::Url("invalid port number".to_owned()))?, url })
    }

    /// Whether the connection is encrypted.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The host: a name, or an address without brackets.
    pub fn host(&self) -> String {
        match self.url.host() {
            Some(Host::Ipv6(address)) => address.to_string(),
            Some(host) => host.to_string(),
            None => String::new(),
        }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the `Host` header says.
    pub fn authority(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        let default = if self.is_https() { 443 } else { 80 };
        if self.port == default { host.to_owned() } else { format!("{host}:{}", self.port) }
    }

    /// Path and query.
    pub fn path(&self) -> String {
        let query = self.url.query().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}{query}", self.url.path())
    }

    /// Whether both are answered by the same party: scheme, host and port are the same.
    pub fn is_same_origin(&self, other: &Self) -> bool {
        self.is_https() == other.is_https() && self.url.host() == other.url.host() && self.port == other.port
    }
}

/// Whether the text names a port, even the scheme's own, which a parsed URL forgets.
fn names_port(text: &str) -> bool {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host_end = authority.rfind(']').map_or(0, |at| at + 1);
    authority[host_end..].contains(':')
}
