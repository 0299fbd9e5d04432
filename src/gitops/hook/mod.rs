//! Webhooks: whether a request comes from who it says, and what it says of a repository. Pure.
//!
//! Nothing in a body is read before its signature holds. What a signature covers is also what a repetition is known by:
//! most providers sign the body alone, so whoever caught a request could send it again under another delivery id.

mod payload;
pub mod repository;
pub mod seen;
mod signature;

use std::{fmt, time::Duration};

use http::HeaderMap;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

pub use self::repository::same_repository;
use crate::engine::moment::Moment;

/// The longest body that is read. Providers send far more where a push has many commits; then the interval finds it.
pub const BODY_MAX: usize = 1 << 20;

/// How far the time in a signed text may be from this program's.
pub const WINDOW: Duration = Duration::from_mins(5);

/// The longest delivery id that is kept.
const DELIVERY_MAX: usize = 128;

/// Who sent a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// GitHub, and what speaks like it.
    GitHub,
    /// GitLab.
    GitLab,
    /// Gitea and Forgejo.
    Gitea,
    /// Bitbucket, in the cloud and as a server of one's own.
    Bitbucket,
    /// A script or a program of the user.
    Generic,
}

/// The header that tells a provider. Gitea comes first, because it sends the headers of GitHub too.
const TOLD_BY: [(&str, Provider); 5] = [
    ("x-gitea-event", Provider::Gitea),
    ("x-gitlab-event", Provider::GitLab),
    ("x-github-event", Provider::GitHub),
    ("x-event-key", Provider::Bitbucket),
    ("x-landfall-signature", Provider::Generic),
];

impl Provider {
    /// The provider that these headers tell of.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        TOLD_BY.iter().find(|(name, _)| headers.contains_key(*name)).map(|(_, provider)| *provider)
    }

    /// Where it writes the id of a delivery.
    fn delivery_headers(self) -> &'static [&'static str] {
        match self {
            Self::GitHub => &["x-github-delivery"],
            Self::GitLab => &["webhook-id", "idempotency-key", "x-gitlab-event-uuid"],
            Self::Gitea => &["x-gitea-delivery"],
            Self::Bitbucket => &["x-request-uuid", "x-request-id"],
            Self::Generic => &["x-landfall-delivery"],
        }
    }
}

/// A webhook as it arrived.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    fn header(&self, name: &'static str) -> Option<&'a str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn delivery(&self, provider: Provider) -> Option<&'a str> {
        let names = provider.delivery_headers().iter();
        names.filter_map(|name| self.header(name)).find(|id| !id.is_empty() && id.len() <= DELIVERY_MAX)
    }
}

/// The secret that a repository's webhooks are signed with. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Vec<u8>);

impl Key {
    /// A secret as it stands in a Secret, where an editor may have left a line break behind it. None if it is empty:
    /// everybody could sign with that.
    pub fn new(secret: &[u8]) -> Option<Self> {
        let secret = secret.trim_ascii();
        (!secret.is_empty()).then(|| Self(secret.to_vec()))
    }

    /// A key to compare with where there is none, so that the answer takes as long. Whatever fits it is refused all the same.
    pub fn of_nobody() -> Self {
        Self(vec![0; 32])
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(not shown)")
    }
}

/// What a webhook says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// That it works.
    Ping,
    /// That a repository changed.
    Push(Push),
    /// Something that is about no change of a branch or tag.
    Other,
}

/// That a repository changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// Who says so.
    pub provider: Provider,
    /// The id that the provider gave this delivery.
    pub delivery: Option<String>,
    /// Under which addresses the repository is known; none where that was not said.
    pub urls: Vec<String>,
    /// What changed in it; none where that was not said.
    pub changes: Vec<Change>,
}

/// A branch or a tag that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its whole name, such as `refs/heads/main`.
    pub reference: String,
    /// The hash of its commit; none where it was deleted or that was not said.
    pub commit: Option<String>,
}

impl Push {
    /// Whether it can be about the repository with this address: it names it, or none at all.
    pub fn may_be_of(&self, url: &str) -> bool {
        self.urls.is_empty() || self.urls.iter().any(|named| same_repository(named, url))
    }
}

/// Why a webhook is refused. The texts are sent back, so they say nothing that the sender does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// No signature, a wrong one, or nothing to compare it with; which of them is not said.
    #[error("the signature is missing or wrong")]
    Unsigned,
    /// The signed time is too far off.
    #[error("the signed time is more than 5 minutes away from now")]
    OutOfTime,
    /// The body is longer than [`BODY_MAX`].
    #[error("the body is longer than 1 MiB; the change is found at the next interval")]
    TooLong,
    /// The same was accepted before.
    #[error("this was received already")]
    Repeated,
    /// The body cannot be read.
    #[error("the body cannot be read: {0}")]
    Unreadable(&'static str),
}

/// A webhook whose signature holds.
#[derive(Clone, Copy)]
pub struct Verified<'a> {
    request: Request<'a>,
    provider: Provider,
    covered: [u8; 32],
}

/// Compares the signature of a webhook with what the key makes of it.
///
/// # Errors
/// The body is too long, the signature does not hold, or the time in it is too far from `now`.
pub fn verify<'a>(request: Request<'a>, key: &Key, now: Moment) -> Result<Verified<'a>, Refusal> {
    if request.body.len() > BODY_MAX {
        return Err(Refusal::TooLong);
    }
    let provider = Provider::of(request.headers).unwrap_or(Provider::GitHub);
    let covered = match provider {
        Provider::GitHub => signature::plain(request, key, ("x-hub-signature-256", "sha256="))?,
        Provider::Gitea => signature::plain(request, key, ("x-gitea-signature", ""))?,
        Provider::Bitbucket => signature::plain(request, key, ("x-hub-signature", "sha256="))?,
        Provider::GitLab if request.headers.contains_key("webhook-signature") => {
            signature::standard(request, key, now)?
        }
        Provider::GitLab => signature::token(request, key)?,
        Provider::Generic => signature::timed(request, key, now)?,
    };
    Ok(Verified { request, provider, covered })
}

impl Verified<'_> {
    /// Who sent it.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// What it says.
    ///
    /// # Errors
    /// The body is not what the provider sends.
    pub fn said(&self) -> Result<Said, Refusal> {
        payload::read(self.request, self.provider)
    }

    /// What a repetition of it is known by, at one receiver: the same webhook may be meant for several.
    pub fn fingerprint(&self, receiver: &str) -> [u8; 32] {
        let length = u64::try_from(receiver.len()).unwrap_or(u64::MAX).to_be_bytes();
        let digest = Sha256::new().chain_update(length).chain_update(receiver).chain_update(self.covered);
        digest.finalize().into()
    }
}
