//! Where the API server is, so that no check asks it.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{Api, Client, api::ListParams};
use url::Url;

use crate::cluster::call::{CallError, call};

/// The longest wait for an answer about it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// All addresses under which the API server is known: the one that this process uses, the `kubernetes` Service's, and
/// those behind it.
///
/// A Service that is not there or may not be read is left out: what this process itself is told of the API server remains.
///
/// # Errors
/// The API server could not be asked; it is to be asked again.
pub async fn addresses(client: &Client, server: &str) -> Result<BTreeSet<IpAddr>, CallError> {
    let mut found = BTreeSet::from_iter(of_host(server).await);
    if let Ok(host) = std::env::var("KUBERNETES_SERVICE_HOST") {
        found.extend(look_up(&host, 443).await);
    }
    let services: Api<Service> = Api::namespaced(client.clone(), "default");
    let service = readable(call(TIMEOUT, services.get_opt("kubernetes")).await)?.flatten();
    let spec = service.and_then(|service| service.spec).unwrap_or_default();
    found.extend(
        spec.cluster_ips.into_iter().flatten().chain(spec.cluster_ip).filter_map(|ip| ip.parse::<IpAddr>().ok()),
    );
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), "default");
    let behind = ListParams::default().labels("kubernetes.io/service-name=kubernetes");
    for slice in readable(call(TIMEOUT, slices.list(&behind)).await)?.into_iter().flatten() {
        let addresses = slice.endpoints.into_iter().flatten().flat_map(|endpoint| endpoint.addresses);
        found.extend(addresses.filter_map(|address| address.parse::<IpAddr>().ok()));
    }
    Ok(found)
}

/// What may not be read is none.
fn readable<T>(answer: Result<T, CallError>) -> Result<Option<T>, CallError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_forbidden() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn of_host(server: &str) -> Vec<IpAddr> {
    let url = Url::parse(server).ok();
    let host = url.as_ref().and_then(|url| Some((url.host_str()?, url.port_or_known_default()?)));
    match host {
        Some((host, port)) => look_up(host.trim_matches(['[', ']']), port).await,
        None => Vec::new(),
    }
}

/// A name that cannot be looked up has no address that a check could reach.
async fn look_up(host: &str, port: u16) -> Vec<IpAddr> {
    tokio::net::lookup_host((host, port)).await.map(|found| found.map(|at| at.ip()).collect()).unwrap_or_default()
}
