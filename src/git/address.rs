//! The address of a repository, taken apart once.

use url::Url;

use super::error::GitError;

/// Where a repository is. Neither user nor password is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// A name, or an address; one of IPv6 without brackets.
    pub host: String,
    pub port: u16,
    /// The path, without a slash at its end.
    pub path: String,
}

impl Address {
    /// Takes `https://host/path` apart.
    pub fn parse(url: &str) -> Result<Self, GitError> {
        let url = Url::parse(url).map_err(|_| refused("it is no URL"))?;
        if url.scheme() != "https" {
            return Err(refused(&format!("{}:// is not fetched: write https://host/path", url.scheme())));
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
        Some(Self { host, port: url.port_or_known_default()?, path })
    }

    /// Where a redirect of the first request leads, when it leads to a repository.
    pub fn redirected(&self, location: &str) -> Result<Self, GitError> {
        let base = Url::parse(&format!("https://{}{}{LOOK}", self.authority(), self.path));
        let target =
            base.ok().and_then(|base| base.join(location).ok()).ok_or_else(|| refused("it redirects nowhere"))?;
        if target.scheme() != "https" {
            return Err(refused(&format!("it redirects to {}://, and only https is followed", target.scheme())));
        }
        if !target.username().is_empty() || target.password().is_some() {
            return Err(refused("it redirects to an address with a user or a password"));
        }
        let found = Self::of(&target).filter(|_| target.query() == Some("service=git-upload-pack"));
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
        if self.port == 443 { host } else { format!("{host}:{}", self.port) }
    }

    /// The target of the request that asks what there is.
    pub fn look(&self) -> String {
        format!("{}{LOOK}", self.path)
    }

    /// The target of the request that asks for objects.
    pub fn upload(&self) -> String {
        format!("{}/git-upload-pack", self.path)
    }
}

const LOOK: &str = "/info/refs?service=git-upload-pack";

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
            "ssh://git@h/x",
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
    fn a_redirect_is_followed_to_a_repository_over_https_alone() {
        let here = Address::parse("https://git.test/old.git").unwrap();
        let there = here.redirected("/new/info/refs?service=git-upload-pack").unwrap();
        assert_eq!((there.path.as_str(), there.is_same_server(&here)), ("/new", true));
        let other = here.redirected("https://other.test/x/info/refs?service=git-upload-pack").unwrap();
        assert!(!other.is_same_server(&here));
        for location in [
            "http://git.test/new/info/refs?service=git-upload-pack",
            "file:///x/info/refs?service=git-upload-pack",
            "https://u:hush@git.test/new/info/refs?service=git-upload-pack",
            "/login?hush",
            "/info/refs?service=git-receive-pack",
        ] {
            let error = here.redirected(location).unwrap_err();
            assert!(!error.to_string().contains("hush"), "{error}");
        }
    }
}
