//! `landfall adopt`: hands an object that exists already over to a Deployment.
//!
//! Landfall takes nothing by force. The owner of an object says that it may be taken, by an annotation that only somebody
//! with the right to change the object can write.

use std::process::ExitCode;

use anyhow::{anyhow, bail};
use clap::Args;
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
    core::discovery::v2::{APIGroupDiscovery, APIResourceDiscovery},
};
use serde_json::json;

use super::{
    access::{self, ClusterArgs, Session, ask},
    objects::{self, of_resource},
    terminal::{note, say},
    verb::FIELD_MANAGER,
};
use crate::api::{ADOPT_ANNOTATION, DEPLOYMENT_LABEL};

/// See the help texts.
#[derive(Debug, Clone, Args)]
pub struct AdoptArgs {
    /// The object, such as service/shop, configmap/shop or httproute.gateway.networking.k8s.io/shop
    #[arg(value_name = "KIND/NAME", value_parser = object)]
    object: Named,

    /// The name of the Deployment of Landfall that gets it
    deployment: String,

    /// Which cluster.
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// An object as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    kind: String,
    name: String,
}

fn object(text: &str) -> Result<Named, String> {
    match text.split_once('/') {
        Some((kind, name)) if !kind.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(Named { kind: kind.to_lowercase(), name: name.to_owned() })
        }
        _ => Err("an object looks like service/shop".to_owned()),
    }
}

/// Shows the object and writes the annotation.
///
/// # Errors
/// The cluster does not know the kind, has no such object, or refuses the change.
pub fn run(args: &AdoptArgs) -> anyhow::Result<ExitCode> {
    access::run(async {
        let session = args.cluster.open().await?;
        let (resource, scope) = discover(&session, &args.object.kind).await?;
        // What belongs to no namespace is offered to the Deployment of one namespace, not to those of its name in all.
        let (api, value) = if scope == "Namespaced" {
            (of_resource(&session.client, &session.namespace, &resource), args.deployment.clone())
        } else {
            (Api::all_with(session.client.clone(), &resource), format!("{}/{}", session.namespace, args.deployment))
        };
        let found = ask(api.get(&args.object.name)).await?;
        say(&describe(&resource, &found))?;
        if objects::deployment(&session, &args.deployment).await.is_err() {
            note(&format!("note: there is no Deployment {} of Landfall in {} yet", args.deployment, session.namespace));
        }
        let patch = json!({"metadata": {"annotations": {ADOPT_ANNOTATION: value}}});
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        ask(api.patch(&args.object.name, &params, &Patch::Merge(&patch))).await?;
        say(&format!("{}/{} may be taken by Deployment {}", resource.kind, args.object.name, args.deployment))?;
        Ok(ExitCode::SUCCESS)
    })
}

/// What an object is, without what is in it: it may be a Secret.
fn describe(resource: &ApiResource, object: &DynamicObject) -> String {
    let metadata = &object.metadata;
    let made = metadata.creation_timestamp.as_ref().map(|time| format!(", made {}", time.0)).unwrap_or_default();
    let owners: Vec<_> =
        object.owner_references().iter().map(|owner| format!("{}/{}", owner.kind, owner.name)).collect();
    let owned = if owners.is_empty() { String::new() } else { format!(", owned by {}", owners.join(", ")) };
    let of = object.labels().get(DEPLOYMENT_LABEL).map(|name| format!(", of Deployment {name}")).unwrap_or_default();
    let before = object.annotations().get(ADOPT_ANNOTATION);
    let before = before.map(|name| format!(", offered to Deployment {name} before")).unwrap_or_default();
    let place = object.namespace().map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
    format!("{} {}{place}{made}{owned}{of}{before}", resource.kind, object.name_any())
}

/// The resource that a word means, and its scope: a plural, a kind or a short name, with or without its group.
async fn discover(session: &Session, word: &str) -> anyhow::Result<(ApiResource, String)> {
    let mut groups = ask(session.client.list_core_api_versions_aggregated()).await?.items;
    groups.extend(ask(session.client.list_api_groups_aggregated()).await?.items);
    let found: Vec<_> = groups.iter().flat_map(|group| resources(group, word)).collect();
    match found.as_slice() {
        [] => bail!("the cluster knows no kind {word}: `kubectl api-resources` lists what it knows"),
        [only] => Ok(only.clone()),
        several => {
            let names: Vec<_> = several.iter().map(|(one, _)| format!("{}.{}", one.plural, one.group)).collect();
            Err(anyhow!("{word} could be {}: write one of them", names.join(" or ")))
        }
    }
}

/// What a word means in one group, in its preferred version, with its scope.
fn resources(group: &APIGroupDiscovery, word: &str) -> Vec<(ApiResource, String)> {
    let name = group.metadata.as_ref().and_then(|metadata| metadata.name.clone()).unwrap_or_default();
    let Some(version) = group.versions.first() else { return Vec::new() };
    let number = version.version.clone().unwrap_or_default();
    let meant = version.resources.iter().filter(|resource| is_meant(resource, &name, word));
    let known = |resource: &APIResourceDiscovery| {
        let kind = resource.response_kind.as_ref()?.kind.clone()?;
        let gvk = kube::core::GroupVersionKind::gvk(&name, &number, &kind);
        Some((ApiResource::from_gvk_with_plural(&gvk, resource.resource.as_deref()?), resource.scope.clone()?))
    };
    meant.filter_map(known).collect()
}

fn is_meant(resource: &APIResourceDiscovery, group: &str, word: &str) -> bool {
    let kind = resource.response_kind.as_ref().and_then(|kind| kind.kind.as_ref()).map(|kind| kind.to_lowercase());
    let names = resource.resource.iter().chain(&resource.singular_resource).chain(&kind).chain(&resource.short_names);
    let (short, of) = word.split_once('.').map_or((word, None), |(short, of)| (short, Some(of)));
    of.is_none_or(|of| of == group) && names.into_iter().any(|name| name == short)
}
