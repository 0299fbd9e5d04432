//! The files of a repository, from the commit that is wanted now, or from a working copy.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use anyhow::{Context, anyhow};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use tempfile::TempDir;

use super::directory;
use crate::{
    api::source::{GitSource, Source},
    cli::{
        access::{Session, ask},
        sync::report::short,
        terminal::note,
    },
    cluster::probe::forbidden::Forbidden,
    git::{
        checkout::Checkout,
        mirror::{Limits, Mirrors, Remote, Wanted},
        secret::Credentials,
    },
    gitops::tree::{Entry, Listing},
};

/// Where files are read.
pub enum Files {
    /// A commit.
    Commit(Box<Commit>),
    /// A working copy.
    Directory(PathBuf),
}

/// A commit that was fetched.
pub struct Commit {
    checkout: Checkout,
    /// Where it is kept. It goes with this.
    _scratch: TempDir,
}

impl Files {
    /// A working copy by its root.
    pub fn of_directory(root: PathBuf) -> Self {
        Self::Directory(root)
    }

    /// Fetches what is wanted of the repository now, as whoever calls.
    ///
    /// # Errors
    /// The Secret may not be read, or the repository does not give the commit.
    pub async fn of_repository(session: &Session, name: &str, source: &Source) -> anyhow::Result<Self> {
        let git = &source.git;
        let wanted = Wanted::of(git)?;
        let credentials = credentials(session, git).await?;
        let remote = Remote { url: git.url.clone(), credentials: Arc::new(credentials) };
        let scratch = tempfile::tempdir().context("there is no place for a fetched commit")?;
        // Whoever calls may reach from here whatever they like.
        let anywhere = Forbidden::only(BTreeSet::new());
        let mirrors = Mirrors::new(scratch.path().join("git"), Limits::default(), anywhere);
        let limit = git.limit();
        let id = mirrors.look(&remote, &wanted, limit).await?;
        let revision = mirrors.fetch(&remote, &wanted, &id, limit).await?;
        let first = revision.message.lines().next().unwrap_or_default();
        let short = short(&id);
        note(&format!("{name}: {} is at {short}, {first}, by {}", wanted.words(), revision.author));
        let checkout = mirrors.checkout(&remote, git, &id).await?;
        Ok(Self::Commit(Box::new(Commit { checkout, _scratch: scratch })))
    }

    /// The paths below a directory.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    pub async fn list(&self, directory: &str) -> anyhow::Result<Listing> {
        match self {
            Self::Commit(commit) => Ok(commit.checkout.list(directory).await?),
            Self::Directory(root) => directory::list(&directory::find(root, directory)?),
        }
    }

    /// The contents of some of them, in their order.
    ///
    /// # Errors
    /// One cannot be read.
    pub async fn read(&self, directory: &str, entries: &[&Entry]) -> anyhow::Result<Vec<Vec<u8>>> {
        match self {
            Self::Commit(commit) => {
                let ids: Vec<String> = entries.iter().map(|entry| entry.id.clone()).collect();
                Ok(commit.checkout.read(&ids).await?)
            }
            Self::Directory(root) => {
                let top = directory::find(root, directory)?;
                entries.iter().map(|entry| directory::read(&top, &entry.path)).collect()
            }
        }
    }
}

/// What is shown to the repository's server: what kubectl would show to the caller, and no more.
async fn credentials(session: &Session, git: &GitSource) -> anyhow::Result<Credentials> {
    let Some(secret) = &git.secret_ref else { return Ok(Credentials::default()) };
    let name = &secret.name;
    let api: Api<Secret> = Api::namespaced(session.client.clone(), &session.namespace);
    let found = ask(api.get(name)).await;
    let found = found.map_err(|error| anyhow!("the Secret {name} of spec.source.git.secretRef: {error}"))?;
    let data: BTreeMap<String, Vec<u8>> =
        found.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect();
    Credentials::read(&data).with_context(|| format!("the Secret {name} of spec.source.git.secretRef"))
}
