//! Checks: how a new version is judged.
//!
//! A provider (the source of a check's value) is one field of [`Check`] and one name in [`PROVIDERS`].

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    schema::{exactly_one, unique},
    time_span::TimeSpan,
};

/// The sources of a check's value that exist.
pub const PROVIDERS: [&str; 1] = ["http"];

/// One check: where its value comes from, how often it is asked, and what it takes to fail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = exactly_one(&PROVIDERS, "a check needs exactly one provider: add `http`, the only one that exists so far"))]
pub struct Check {
    /// The name by which steps and status refer to the check; unique in its list.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub name: String,
    /// Asks a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpProbe>,
    /// CEL over the answer (`status`, `body`, `json`, `durationMs`): a measurement succeeds if it is true. To read `json`
    /// where the body is something else is a failure. Default: status and body are as expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub success: Option<String>,
    /// CEL over the answer: a measurement fails if it is true, and is no data if it neither fails nor succeeds.
    /// Default: it fails if it does not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub failure: Option<String>,
    /// The time between measurements. Default: 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<TimeSpan>,
    /// How many successful measurements pass the check. Default: 1 in a step, no end beside a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub count: Option<i32>,
    /// How many measurements may fail before the check fails. Default: 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub failure_limit: Option<i32>,
    /// What no answer means, or one without data. Default: Fail if the candidate's own Service does not answer, else Wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_data: Option<NoData>,
}

/// What a measurement without an answer means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NoData {
    /// It decides nothing; a deadline ends the wait.
    #[default]
    Wait,
    /// It counts as a success.
    Pass,
    /// It counts as a failure.
    Fail,
}

/// One request over HTTP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = unique("headers", "name", "http.headers: a name may occur once only: remove the second one"))]
pub struct HttpProbe {
    /// The address, http or https. `{{candidate.service}}` stands for the candidate's Service; without a port in the
    /// address, that of the Service is used. Redirects are followed, at most three.
    #[schemars(length(max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^/]')").message("url: write an address that starts with http:// or https://"))]
    pub url: String,
    /// The method. Default: GET.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<HttpMethod>,
    /// The statuses that succeed. A redirect among them is not followed. Default: 200 to 399.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(range(min = 100, max = 599)))]
    pub expected_status: Vec<i32>,
    /// A text that the body must contain; at most the first 64 kB are read. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub expected_body: Option<String>,
    /// Headers of the request; their values come from Secrets of the same namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<SecretHeader>,
    /// How long to wait for the answer, redirects included; at most 60s count. Default: 5s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<TimeSpan>,
}

/// The method of a request that changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HttpMethod {
    /// GET, the default.
    #[default]
    #[serde(rename = "GET")]
    Get,
    /// HEAD: the body is not sent.
    #[serde(rename = "HEAD")]
    Head,
}

/// A header whose value is in a Secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretHeader {
    /// The name of the header.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9-]+$"))]
    pub name: String,
    /// Where its value is.
    pub secret: SecretKey,
}

/// One key of a Secret of the same namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKey {
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}
