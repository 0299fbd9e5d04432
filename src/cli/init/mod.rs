//! `landfall init`: prepares a namespace, so that packages can be carried to it.

pub mod manifests;

use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::Args;
use kube::{
    api::{ApiResource, DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
};
use serde_json::Value;

use self::manifests::{Place, manifests};
use super::{
    access::{self, ClusterArgs, Session, ask, namespace},
    objects::of_resource,
    terminal::{print, say},
    verb::FIELD_MANAGER,
};
use crate::{api::DEFAULT_NAMESPACE, cluster::call::CallError};

/// See the help texts.
#[derive(Debug, Clone, Args)]
pub struct InitArgs {
    /// The namespace to prepare; it must exist
    #[arg(value_name = "NAMESPACE", id = "target", value_parser = namespace)]
    target: String,

    /// Print the objects as YAML and change nothing
    #[arg(long)]
    dry_run: bool,

    /// The operator's namespace
    #[arg(long, default_value = DEFAULT_NAMESPACE, value_parser = namespace)]
    operator_namespace: String,

    /// The operator's service account
    #[arg(long, default_value = "landfall")]
    operator_account: String,

    /// Which cluster.
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Applies the objects, or prints them.
///
/// # Errors
/// The cluster refuses one; those before it are applied, and the command can be given again.
pub fn run(args: &InitArgs) -> anyhow::Result<ExitCode> {
    let place = Place {
        namespace: args.target.clone(),
        operator_namespace: args.operator_namespace.clone(),
        operator_account: args.operator_account.clone(),
    };
    let objects = manifests(&place);
    if args.dry_run {
        print(&yaml(&objects)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    access::run(async {
        let session = args.cluster.open().await?;
        for object in &objects {
            say(&apply(&session, &place, object).await?)?;
        }
        say(&format!("packages can be carried to namespace {}", place.namespace))?;
        Ok(ExitCode::SUCCESS)
    })
}

/// The objects as one text of several documents.
///
/// # Errors
/// One cannot be written as YAML.
pub fn yaml(objects: &[Value]) -> anyhow::Result<String> {
    let documents: Result<Vec<_>, _> = objects.iter().map(serde_saphyr::to_string).collect();
    let documents = documents.context("cannot write the objects as YAML")?;
    Ok(documents.iter().map(|document| format!("{}\n", document.trim_end())).collect::<Vec<_>>().join("---\n"))
}

/// Applies one object and says what became of it.
async fn apply(session: &Session, place: &Place, object: &Value) -> anyhow::Result<String> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (kind, name) = (text("/kind"), text("/metadata/name"));
    let (group, version) = text("/apiVersion").split_once('/').unwrap_or(("", text("/apiVersion")));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let api = of_resource(&session.client, &place.namespace, &resource);
    let before = ask(api.get_opt(name)).await.with_context(|| format!("cannot read {kind}/{name}"))?;
    // Not forced: what the chart or a person made with other values is theirs, and the API server names the field.
    let params = PatchParams::apply(FIELD_MANAGER).validation_strict();
    let applied = ask(api.patch(name, &params, &Patch::Apply(object))).await;
    let after = applied.map_err(|error| advise(error, place).context(format!("cannot apply {kind}/{name}")))?;
    Ok(format!("{kind}/{name} {}", outcome(before.as_ref(), &after)))
}

/// What to do about a refusal, where it is plain.
fn advise(error: CallError, place: &Place) -> anyhow::Error {
    let namespace = &place.namespace;
    match &error {
        CallError::Refused { code: 404, .. } => {
            anyhow!("there is no namespace {namespace}: make it with `kubectl create namespace {namespace}`")
        }
        CallError::Refused { code: 409, message, .. } => {
            anyhow!("{message}: it was made with other values, which stay; if they are wrong, delete it and try again")
        }
        _ => error.into(),
    }
}

fn outcome(before: Option<&DynamicObject>, after: &DynamicObject) -> &'static str {
    match before {
        None => "created",
        Some(before) if before.metadata.resource_version == after.metadata.resource_version => "unchanged",
        Some(_) => "configured",
    }
}
