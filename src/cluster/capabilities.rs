//! What a cluster offers, in the words of Helm's charts: its version and its kinds.

use std::time::{Duration, Instant};

use kube::Client;
use tokio::sync::Mutex;

use super::call::{CallError, call};

/// How long one call may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer counts.
const FRESH: Duration = Duration::from_mins(1);

/// What a cluster offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Its version, such as `v1.36.3`.
    pub version: String,
    /// Its API versions, and each kind behind them: `apps/v1`, `apps/v1/Deployment`. Sorted.
    pub apis: Vec<String>,
}

/// Asks, and remembers the answer for a while.
#[derive(Default)]
pub struct Asked(Mutex<Option<(Instant, Capabilities)>>);

impl Asked {
    /// What the cluster offers.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn get(&self, client: &Client) -> Result<Capabilities, CallError> {
        let mut known = self.0.lock().await;
        if let Some((_, known)) = known.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(known.clone());
        }
        let found = ask(client).await?;
        *known = Some((Instant::now(), found.clone()));
        Ok(found)
    }
}

async fn ask(client: &Client) -> Result<Capabilities, CallError> {
    let version = call(TIMEOUT, client.apiserver_version()).await?.git_version;
    let mut groups = call(TIMEOUT, client.list_core_api_versions_aggregated()).await?.items;
    groups.extend(call(TIMEOUT, client.list_api_groups_aggregated()).await?.items);
    let mut apis = Vec::new();
    for group in groups {
        let name = group.metadata.and_then(|metadata| metadata.name).unwrap_or_default();
        for offered in group.versions {
            let version = offered.version.unwrap_or_default();
            let version = if name.is_empty() { version } else { format!("{name}/{version}") };
            let kinds = offered.resources.into_iter().filter_map(|resource| resource.response_kind?.kind);
            apis.extend(kinds.map(|kind| format!("{version}/{kind}")));
            apis.push(version);
        }
    }
    apis.sort_unstable();
    apis.dedup();
    Ok(Capabilities { version, apis })
}
