//! The address of a repository, taken apart once.

use percent_encoding::percent_decode_str;
use url::Url;

use super::{error::GitError, session::Service};

/// Where a repository is. Neither user nor password is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// A name, or an address; one of IPv6 without brackets.
    pub host: String,
    pub port: u16,
    /// The path, without a slash at its end.
    pub path: String,
    /// As whom one logs in; none over https.
    pub user: Option<String>,
}

impl Address {
    /// Takes `https://host/path` or `ssh://user@host/path` apart.
    pub fn parse(url: &str) -> Result<Self, GitError> {
        if !url.contains("://") {
            return Err(refused("it is no URL: write https://host/path, or ssh://user@host/path for user@host:path"));
        }
        let url = Url::parse(url).map_err(|_| refused("it is no URL"))?;
        if url.scheme() == "ssh" {
            return Self::over_ssh(&url);
        }
        if url.scheme() != "https" {
            let why = format!("{}:// is not fetched: write https://host/path or ssh://user@host/path", url.scheme());
            return Err(refused(&why));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("it has a user or a password: put them into the Secret that secretRef names"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refused("it has a query or a fragment"));
        }
        Self::of(&url).ok_or_else(|| refused("it names no host"))
    }

    fn of(url: &Url) -> Option<Self> {
        let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
        let path = url.path().trim_end_matches('/').to_owned();
        Some(Self { host, port: url.port_or_known_default()?, path, user: None })
    }

    fn over_ssh(url: &Url) -> Result<Self, GitError> {
        if url.password().is_some() {
            return Err(refused("it has a password: ssh needs a key, in the Secret that secretRef names"));
        }
        if url.username().is_empty() {
            return Err(refused("it does not say as whom: write ssh://user@host/path"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refused("it has a query or a fragment"));
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
        if host.is_empty() || !host.bytes().all(is_plain) {
            return Err(refused("it names no host"));
        }
        let path = plain(url.path())?;
        let path = path.trim_end_matches('/');
        // `/~ann/shop` is below the directory of ann.
        let path = path.strip_prefix('/').filter(|rest| rest.starts_with('~')).unwrap_or(path);
        if path.is_empty() {
            return Err(refused("it names no repository: write ssh://user@host/path"));
        }
        let user = Some(plain(url.username())?);
        Ok(Self { host, port: url.port().unwrap_or(SSH_PORT), path: path.to_owned(), user })
    }

    /// Where a redirect of the first request leads, when it leads to a repository.
    pub fn redirected(&self, location: &str, service: Service) -> Result<Self, GitError> {
        let base = Url::parse(&format!("https://{}{}", self.authority(), self.look(service)));
        let target =
            base.ok().and_then(|base| base.join(location).ok()).ok_or_else(|| refused("it redirects nowhere"))?;
        if target.scheme() != "https" {
            return Err(refused(&format!("it redirects to {}://, and only https is followed", target.scheme())));
        }
        if !target.username().is_empty() || target.password().is_some() {
            return Err(refused("it redirects to an address with a user or a password"));
        }
        let query = format!("service={}", service.name());
        let found = Self::of(&target).filter(|_| target.query() == Some(&query));
        let base = found.and_then(|found| {
            let path = found.path.strip_suffix("/info/refs").map(str::to_owned)?;
            Some(Self { path, ..found })
        });
        base.ok_or_else(|| refused("it redirects to something that is no repository"))
    }

    /// Whether credentials for the one are also for the other.
    pub fn is_same_server(&self, other: &Self) -> bool {
        self.host == other.host && self.port == other.port
    }

    /// The host, with its port where that is not the usual one.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let usual = if self.user.is_some() { SSH_PORT } else { HTTPS_PORT };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }

    /// The target of the request that asks what there is.
    pub fn look(&self, service: Service) -> String {
        format!("{}/info/refs?service={}", self.path, service.name())
    }

    /// The target of the request that has or brings objects.
    pub fn serve(&self, service: Service) -> String {
        format!("{}/{}", self.path, service.name())
    }
}

const HTTPS_PORT: u16 = 443;
const SSH_PORT: u16 = 22;

/// A part of an address as it is meant, without the escapes of a URL.
fn plain(part: &str) -> Result<String, GitError> {
    let text = percent_decode_str(part).decode_utf8().map_err(|_| refused("it is no text in UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(refused("it has control characters"));
    }
    Ok(text.into_owned())
}

fn refused(why: &str) -> GitError {
    GitError::BadAddress { why: why.to_owned() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_and_has_no_credentials() {
        let address = Address::parse("https://git.test:8443/a/b.git/").unwrap();
        assert_eq!((address.authority().as_str(), address.path.as_str()), ("git.test:8443", "/a/b.git"));
        assert_eq!(Address::parse("https://[::1]/x").unwrap().authority(), "[::1]");
        for url in [
            "http://h/x",
            "ssh://h/x",
            "ssh://git:hush@h/x",
            "ssh://git@h",
            "ssh://git@h/",
            "ssh://git@/x",
            "ssh://git@h/x?hush",
            "ssh://git@h/x%0ahush",
            "ssh://git@hush%20/x",
            "git@h:hush",
            "file:///x",
            "https://u:hush@h/x",
            "https://hush@h/x",
            "https://h/x?hush",
            "hush",
        ] {
            let error = Address::parse(url).unwrap_err();
            assert!(matches!(error, GitError::BadAddress { .. }), "{url}");
            assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
        }
    }

    #[test]
    fn an_address_of_ssh_says_as_whom() {
        let address = Address::parse("ssh://git@GIT.test:2222/a/b%20c.git/").unwrap();
        assert_eq!((address.authority().as_str(), address.path.as_str()), ("git.test:2222", "/a/b c.git"));
        assert_eq!((address.user.as_deref(), address.port), (Some("git"), 2222));
        let home = Address::parse("ssh://ann@git.test/~ann/shop").unwrap();
        assert_eq!((home.authority().as_str(), home.path.as_str(), home.port), ("git.test", "~ann/shop", 22));
        assert_eq!(Address::parse("ssh://git@[::1]/x").unwrap().authority(), "[::1]");
        let scp = Address::parse("git@git.test:shop").unwrap_err().to_string();
        assert!(scp.contains("ssh://user@host/path"), "{scp}");
    }

    #[test]
    fn a_redirect_is_followed_to_a_repository_over_https_alone() {
        let here = Address::parse("https://git.test/old.git").unwrap();
        let there = here.redirected("/new/info/refs?service=git-upload-pack", Service::Fetch).unwrap();
        assert_eq!((there.path.as_str(), there.is_same_server(&here)), ("/new", true));
        let other = here.redirected("https://other.test/x/info/refs?service=git-upload-pack", Service::Fetch).unwrap();
        assert!(!other.is_same_server(&here));
        for location in [
            "http://git.test/new/info/refs?service=git-upload-pack",
            "file:///x/info/refs?service=git-upload-pack",
            "https://u:hush@git.test/new/info/refs?service=git-upload-pack",
            "/login?hush",
            "/info/refs?service=git-receive-pack",
        ] {
            let error = here.redirected(location, Service::Fetch).unwrap_err();
            assert!(!error.to_string().contains("hush"), "{error}");
        }
    }
}
