//! `landfall tree`: the objects that a Profile's repository brought, by kind, with how its Deployments stand.

mod draw;
mod inventory;

use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitCode,
};

use anyhow::bail;
use clap::{Args, ValueEnum};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt};

use self::inventory::Entry;
use super::{
    access::{self, ClusterArgs, Session, ask},
    elsewhere,
    objects::{self, Everywhere, Kind},
    terminal::{Ink, clean_block, is_live, lines, print, size},
};
use crate::{
    api::{deployment::Deployment, profile::Profile},
    telemetry::chain,
};

/// See the help texts.
#[derive(Debug, Clone, Args)]
pub struct TreeArgs {
    /// The name of the Profile
    name: String,

    /// The form of the answer
    #[arg(short, long, value_enum, default_value = "text")]
    output: Form,

    /// Which cluster.
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A tree
    Text,
    /// One object as JSON
    Json,
}

/// What there is to draw.
struct Forest {
    profile: Profile,
    entries: Vec<Entry>,
    /// Deployments by namespace and name.
    deployments: BTreeMap<(String, String), Deployment>,
    /// What could not be seen, as sentences.
    notes: Vec<String>,
}

/// Prints the tree.
///
/// # Errors
/// The cluster cannot be asked, or has no such Profile, or the Profile has no source.
pub fn run(args: &TreeArgs) -> anyhow::Result<ExitCode> {
    access::run(async {
        let session = args.cluster.open().await?;
        let forest = look(&session, &args.name).await?;
        match args.output {
            Form::Json => print(&format!("{}\n", clean_block(&serde_json::to_string_pretty(&draw::object(&forest))?)))?,
            Form::Text => {
                let (ink, columns) = (Ink::of_stdout(), if is_live() { size().0 } else { usize::MAX });
                print(&lines(draw::picture(&forest).iter().map(|line| line.render(ink, columns))))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn look(session: &Session, name: &str) -> anyhow::Result<Forest> {
    let profile = objects::profile(session, name).await?;
    if profile.spec.source.is_none() {
        bail!("{name} has no source, so there is no tree of its objects; its Deployments: landfall get deployments");
    }
    let mut notes = Vec::new();
    let texts = texts(session, &profile, &mut notes).await;
    let entries: Vec<_> = texts.iter().filter_map(|text| Entry::parse(text)).collect();
    if entries.len() < texts.len() {
        notes.push(format!("entries of the inventory that this version cannot read: {}", texts.len() - entries.len()));
    }
    let deployments = match elsewhere::target(session, &profile).await {
        Ok(None) => deployments(session, &entries, &mut notes).await,
        Ok(Some(there)) => {
            notes.push("the objects are in the cluster of spec.target.kubeconfig".to_owned());
            deployments(&there, &entries, &mut notes).await
        }
        Err(error) => {
            let why = chain(error.as_ref());
            notes.push(format!("the objects are in another cluster, and how they stand there cannot be read: {why}"));
            BTreeMap::new()
        }
    };
    Ok(Forest { profile, entries, deployments, notes })
}

/// The inventory, from the status or from the `ConfigMaps` that the status names.
pub async fn texts(session: &Session, profile: &Profile, notes: &mut Vec<String>) -> Vec<String> {
    let source = profile.status.as_ref().and_then(|status| status.source.as_ref());
    let Some(inventory) = source.and_then(|source| source.inventory.clone()) else { return Vec::new() };
    let mut texts = inventory.entries;
    let api: Api<ConfigMap> = Api::namespaced(session.client.clone(), &session.namespace);
    for name in &inventory.config_maps {
        match ask(api.get(name)).await {
            Ok(map) => {
                let parts = map.data.unwrap_or_default();
                texts.extend(parts.values().flat_map(|part| part.lines()).map(Into::into));
            }
            Err(error) => notes.push(format!("a part of the inventory, ConfigMap {name}, cannot be read: {error}")),
        }
    }
    texts.retain(|text| !text.trim().is_empty());
    texts
}

/// The Landfall Deployments of all namespaces that the inventory has some in.
async fn deployments(
    session: &Session,
    entries: &[Entry],
    notes: &mut Vec<String>,
) -> BTreeMap<(String, String), Deployment> {
    let namespaces: BTreeSet<_> =
        entries.iter().filter(|entry| entry.is_deployment()).filter_map(|entry| entry.namespace.clone()).collect();
    let mut found = BTreeMap::new();
    for namespace in namespaces {
        let there = Session { client: session.client.clone(), namespace: namespace.clone() };
        match objects::all(&there, Kind::Deployments, Everywhere::No).await {
            Ok(all) => found.extend(all.iter().filter_map(|object| {
                Some(((namespace.clone(), object.name_any()), objects::read::<Deployment>(object)?))
            })),
            Err(error) => notes.push(format!("how the Deployments of {namespace} stand cannot be read: {error}")),
        }
    }
    found
}
