//! The other cluster that a Profile writes to, as whoever calls may reach it.

use std::collections::BTreeSet;

use anyhow::{Context, anyhow};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use super::access::{Session, ask};
use crate::{
    api::{check::SecretKey, profile::Profile},
    cluster::{probe::forbidden::Forbidden, remote},
    gitops::kubeconfig,
};

/// A session with the cluster and the namespace that a Profile's objects are in; none where that is the Profile's own. The
/// kubeconfig is read as the operator reads it, and nothing else than its token or certificate is used.
///
/// # Errors
/// The Secret may not be read, or its kubeconfig is refused.
pub async fn target(session: &Session, profile: &Profile) -> anyhow::Result<Option<Session>> {
    let Some(target) = &profile.spec.target else { return Ok(None) };
    let Some(SecretKey { name, key }) = &target.kubeconfig else { return Ok(None) };
    let api: Api<Secret> = Api::namespaced(session.client.clone(), &session.namespace);
    let found = ask(api.get(name)).await;
    let found = found.map_err(|error| anyhow!("the Secret {name} of spec.target.kubeconfig: {error}"))?;
    let content = found.data.unwrap_or_default().remove(key);
    let content = content.ok_or_else(|| anyhow!("the Secret {name} of spec.target.kubeconfig has no key {key}"))?;
    let why = || format!("the key {key} of the Secret {name} of spec.target.kubeconfig");
    let read = kubeconfig::read(&content.0).with_context(why)?;
    // Whoever calls may reach from here whatever they like.
    let client = remote::client(&read, &Forbidden::only(BTreeSet::new())).with_context(why)?;
    let namespace = target.namespace.clone().unwrap_or_else(|| session.namespace.clone());
    Ok(Some(Session { client, namespace }))
}
