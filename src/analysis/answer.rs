//! What came back from a probe, or why nothing did.

use std::time::Duration;

use thiserror::Error;

use super::{
    http::{Invalid, Request},
    words::{SHOWN_MAX, cut},
};
use crate::{
    api::check::{Check, NoData},
    engine::verdict::Measurement,
};

/// The most that is read of a body, in bytes.
pub const BODY_MAX: usize = 64 * 1024;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status of the last answer, after redirects.
    pub status: u16,
    /// Its body, at most [`BODY_MAX`] bytes.
    pub body: Vec<u8>,
    /// How long it took from the start to the end of the body, redirects included.
    pub duration: Duration,
}

/// Why a probe has no answer. No variant holds the value of a header.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum ProbeError {
    /// The name of the host leads nowhere.
    #[error("{0} has no address")]
    Unresolved(String),
    /// No connection, or it broke.
    #[error("{0}")]
    Broken(String),
    /// The time is over.
    #[error("nothing within {}", crate::api::time_span::TimeSpan::from_millis(*.0))]
    TimedOut(u64),
    /// The peer speaks no TLS, or its certificate is not trusted.
    #[error("TLS: {0}")]
    Tls(String),
    /// What came is not HTTP, or its headers are too large.
    #[error("the answer is not HTTP, or its headers are too large")]
    Garbled,
    /// The address is one that checks do not ask.
    #[error("{0} is not asked: checks do not reach the operator's own machine, its neighbours or the API server")]
    Forbidden(String),
    /// A redirect leads to an address that cannot be asked.
    #[error("the redirect is not followed: {0}")]
    Redirect(#[from] Invalid),
    /// The redirects do not end.
    #[error("more than {0} redirects")]
    TooManyRedirects(usize),
    /// A header from a Secret cannot be sent.
    #[error("headers: the value of {0} is missing in its Secret or cannot be sent: correct it")]
    Header(String),
    /// The operator trusts nobody.
    #[error("the operator has no root certificates: mount a bundle and name it in SSL_CERT_FILE")]
    NoRoots,
}

/// What a probe without an answer counts as.
///
/// The candidate is to answer: where its own Service does not, that is a failure. Any other host may be down for its own
/// reasons and is unknown. A `noData` in the spec decides instead of both. What was never asked, because it is refused,
/// is a failure: waiting would not change it.
#[must_use]
pub fn unanswered(check: &Check, request: &Request, error: &ProbeError) -> Measurement {
    // A redirect may have put words of the answer into the error.
    let words = cut(&format!("no answer: {error}"), SHOWN_MAX);
    match error {
        ProbeError::Forbidden(_)
        | ProbeError::Redirect(_)
        | ProbeError::TooManyRedirects(_)
        | ProbeError::Header(_) => Measurement::Failure(error.to_string()),
        ProbeError::NoRoots => Measurement::Unknown(error.to_string()),
        _ => match check.no_data {
            Some(NoData::Pass) => Measurement::NoData,
            Some(NoData::Fail) => Measurement::Failure(words),
            None if request.asks_candidate() => Measurement::Failure(words),
            Some(NoData::Wait) | None => Measurement::Unknown(words),
        },
    }
}
