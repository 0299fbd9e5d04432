//! `landfall uninstall`: lets go what would wait for an operator that is gone.
//!
//! It removes the finalizer of Profiles and nothing else. It knows nothing of an operator: one that still runs would write the
//! finalizer again.

use std::process::ExitCode;

use clap::Args;
use kube::{
    ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::json;

use super::{
    access::{self, ClusterArgs, Session, ask},
    objects::{self, Everywhere, Kind},
    terminal::say,
    verb::FIELD_MANAGER,
};
use crate::{api::SOURCE_FINALIZER, gitops::leave::without};

/// How often a Profile that somebody else writes is tried.
const TRIES: usize = 5;

/// See the help texts.
#[derive(Debug, Clone, Args)]
pub struct UninstallArgs {
    /// Which cluster; all namespaces where none is named.
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Removes the finalizers.
///
/// # Errors
/// The cluster cannot be asked, or refuses the change.
pub fn run(args: &UninstallArgs) -> anyhow::Result<ExitCode> {
    access::run(async {
        let session = args.cluster.open().await?;
        let everywhere = if args.cluster.typed_namespace().is_some() { Everywhere::No } else { Everywhere::Yes };
        let mut released = 0;
        for profile in objects::all(&session, Kind::Profiles, everywhere).await?.into_iter().filter(is_held) {
            release(&session, &profile).await?;
            released += 1;
        }
        say(&format!("{released} Profiles were let go; what their repositories brought stays"))?;
        Ok(ExitCode::SUCCESS)
    })
}

fn is_held(profile: &DynamicObject) -> bool {
    profile.finalizers().iter().any(|one| one == SOURCE_FINALIZER)
}

/// Removes the finalizer of one Profile, under the version that was seen.
async fn release(session: &Session, profile: &DynamicObject) -> anyhow::Result<()> {
    let namespace = profile.namespace().unwrap_or_default();
    let name = profile.name_any();
    let there = Session { client: session.client.clone(), namespace: namespace.clone() };
    let api = objects::api(&there, Kind::Profiles);
    let how = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let mut seen = profile.clone();
    for last in (0..TRIES).map(|number| number + 1 == TRIES) {
        let finalizers = without(seen.finalizers().to_vec());
        let change = json!({"metadata": {"finalizers": finalizers, "resourceVersion": seen.resource_version()}});
        match ask(api.patch(&name, &how, &Patch::Merge(&change))).await {
            Ok(_) => break,
            Err(error) if error.is_absent() => return Ok(()),
            Err(error) if error.is_conflict() && !last => {}
            Err(error) => return Err(objects::explain(error, &there, Kind::Profiles, &name)),
        }
        seen = match ask(api.get(&name)).await {
            Ok(seen) => seen,
            Err(error) if error.is_absent() => return Ok(()),
            Err(error) => return Err(error.into()),
        };
    }
    say(&format!("{namespace}/{name} is let go"))
}
