//! `landfall uninstall`: lets go what would wait for an operator that is gone.
//!
//! It removes the finalizer of Profiles and nothing else. An operator that still runs would write the finalizer again: with
//! `--lease` it waits until that one is gone, and leaves alone what others look after.

use std::{
    collections::BTreeSet,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Args;
use kube::{
    ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::json;
use tokio::time::sleep;

use super::{
    access::{self, ClusterArgs, Session, ask, namespace},
    objects::{self, Everywhere, Kind},
    terminal::say,
    verb::FIELD_MANAGER,
};
use crate::{
    api::{
        SOURCE_FINALIZER,
        names::{check_label, check_subdomain},
    },
    cluster::lease::{
        Timing,
        rivals::{Rivals, Standing, installations},
    },
    gitops::leave::without,
};

/// How often a Profile that somebody else writes is tried.
const TRIES: usize = 5;

/// How long a Lease counts after its record last changed, as operators hold it.
const LEASE_DURATION: Duration = Duration::from_secs(10);

/// How long an operator may take to end.
const END_MAX: Duration = Duration::from_mins(3);

/// See the help texts.
#[derive(Debug, Clone, Args)]
pub struct UninstallArgs {
    /// Which cluster; all namespaces where none is named.
    #[command(flatten)]
    cluster: ClusterArgs,

    /// A namespace that the operator looked after; several with commas, or given again [default: all]
    #[arg(
        long = "watch-namespace",
        value_name = "NAMESPACE",
        value_parser = namespace,
        value_delimiter = ',',
        conflicts_with = "namespace"
    )]
    watch_namespaces: Vec<String>,

    /// The Lease of the operator: until nobody holds it nothing is done, and Profiles in namespaces that an operator with
    /// another Lease watches are left to that one
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = lease)]
    lease: Option<String>,
}

fn lease(text: &str) -> Result<String, String> {
    let is_good = text
        .split_once('/')
        .is_some_and(|(namespace, name)| check_label(namespace).is_ok() && check_subdomain(name).is_ok());
    if is_good { Ok(text.to_owned()) } else { Err("write its namespace and its name, with / between them".to_owned()) }
}

/// Removes the finalizers.
///
/// # Errors
/// The cluster cannot be asked, or refuses the change; or the operator still runs.
pub fn run(args: &UninstallArgs) -> anyhow::Result<ExitCode> {
    access::run(async {
        let session = args.cluster.open().await?;
        let installed = match &args.lease {
            Some(own) => Some(Installed::without(&session, own, &args.watch_namespaces).await?),
            None => None,
        };
        let held: Vec<_> = args.profiles(&session).await?.into_iter().filter(is_held).collect();
        let mut released = 0;
        let others = match &installed {
            Some(installed) => installed.others(&held).await?,
            None => Vec::new(),
        };
        for profile in &held {
            let namespace = profile.namespace().unwrap_or_default();
            if let Some((_, who)) = others.iter().find(|(watched, _)| *watched == namespace) {
                say(&format!("{namespace}/{} is left to {who}", profile.name_any()))?;
            } else {
                release(&session, profile).await?;
                released += 1;
            }
        }
        say(&format!("{released} Profiles were let go; what their repositories brought stays"))?;
        Ok(ExitCode::SUCCESS)
    })
}

impl UninstallArgs {
    /// The Profiles that may be meant. A cluster that does not have the definition has none.
    async fn profiles(&self, session: &Session) -> anyhow::Result<Vec<DynamicObject>> {
        let mut found = Vec::new();
        for namespace in &self.watch_namespaces {
            let there = Session { client: session.client.clone(), namespace: namespace.clone() };
            found.extend(objects::any(&there, Kind::Profiles, Everywhere::No).await?);
        }
        if self.watch_namespaces.is_empty() {
            let everywhere = if self.cluster.typed_namespace().is_some() { Everywhere::No } else { Everywhere::Yes };
            found = objects::any(session, Kind::Profiles, everywhere).await?;
        }
        Ok(found)
    }
}

/// The other operators of a cluster.
struct Installed {
    rivals: Rivals,
    leases: Vec<String>,
    timing: Timing,
}

impl Installed {
    /// Waits until nobody holds a Lease, and lists the others. `watched` is what its holder looked after.
    async fn without(session: &Session, own: &str, watched: &[String]) -> anyhow::Result<Self> {
        let timing = Timing::of(LEASE_DURATION);
        // It is one of them until it is gone.
        let rivals = Rivals::new(session.client.clone(), "", timing);
        let any = watched.first().map(String::as_str).unwrap_or_default();
        let begin = Instant::now();
        loop {
            let words = match rivals.standing(own, any).await {
                Standing::Gone => break,
                Standing::Alive => format!("somebody still holds the Lease {own}: stop that operator first"),
                Standing::Unknown(cause) => format!("whether somebody holds the Lease {own} cannot be told: {cause}"),
            };
            if begin.elapsed() > END_MAX {
                bail!(words);
            }
            sleep(timing.look_every).await;
        }
        let all =
            installations(&session.client, timing.duration).await.context("the other operators cannot be found")?;
        Ok(Self { rivals, leases: all.into_iter().filter(|lease| lease != own).collect(), timing })
    }

    /// The namespaces of these Profiles that another operator watches, and who that is.
    async fn others(&self, profiles: &[DynamicObject]) -> anyhow::Result<Vec<(String, String)>> {
        let namespaces: BTreeSet<_> = profiles.iter().filter_map(ResourceExt::namespace).collect();
        let mut found = self.standing(&namespaces).await;
        if !found.is_empty() {
            say("another operator may look after some of them: its Lease is watched for a while")?;
            // Only a Lease that does not change for its duration is known to be nobody's.
            sleep(self.timing.duration + self.timing.look_every).await;
            found = self.standing(&namespaces).await;
        }
        Ok(found)
    }

    async fn standing(&self, namespaces: &BTreeSet<String>) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for namespace in namespaces {
            for lease in &self.leases {
                match self.rivals.standing(lease, namespace).await {
                    Standing::Gone => {}
                    Standing::Alive => found.push((namespace.clone(), format!("the operator with the Lease {lease}"))),
                    Standing::Unknown(cause) => {
                        let who = format!("the operator with the Lease {lease}, which cannot be read: {cause}");
                        found.push((namespace.clone(), who));
                    }
                }
            }
        }
        found
    }
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
