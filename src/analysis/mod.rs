//! Checks: the request that a check makes, and what its answer means.
//!
//! Ring 1. Nothing is sent here; that is [`crate::cluster`]'s. A provider, the source of a check's value, is one file and
//! one arm of [`Provider`]. The modules in reading order:
//!
//! - [`http`]: a check over HTTP becomes a request; [`placeholder`] and [`target`] are its address.
//! - [`answer`]: what came back, or why nothing did.
//! - [`judge`]: what an answer means; [`expression`] is CEL over it, with [`depth`], [`shape`] and [`cost`] as its bounds.
//! - [`pods`]: the built-in check, what the candidate's pods say of themselves.
//! - [`problem`]: what is wrong with a check before it is ever made.
//! - [`words`]: texts of others as they are shown.

pub mod answer;
pub mod cost;
pub mod depth;
pub mod expression;
pub mod http;
pub mod judge;
pub mod placeholder;
pub mod pods;
pub mod problem;
pub mod shape;
pub mod target;
pub mod words;

use crate::api::{
    check::{Check, HttpProbe},
    time_span::TimeSpan,
};

/// The name of the check that a strategy's `healthCheckUrl` stands for.
pub const HEALTH: &str = "health";

/// Where the value of a check comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Provider<'a> {
    /// An answer over HTTP.
    Http(&'a HttpProbe),
}

/// The source of a check's value; none where a check of a later version names one that is unknown here.
pub fn provider(check: &Check) -> Option<Provider<'_>> {
    check.http.as_ref().map(Provider::Http)
}

/// The check that `healthCheckUrl` of a strategy stands for: it succeeds with 200 to 399.
#[must_use]
pub fn health_check(url: &str, interval: TimeSpan) -> Check {
    let http = HttpProbe {
        url: url.to_owned(),
        method: None,
        expected_status: Vec::new(),
        expected_body: None,
        headers: Vec::new(),
        timeout: None,
    };
    Check {
        name: HEALTH.to_owned(),
        http: Some(http),
        success: None,
        failure: None,
        interval: Some(interval),
        count: None,
        failure_limit: None,
        no_data: None,
    }
}
