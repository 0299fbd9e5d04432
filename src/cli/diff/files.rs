//! The files of a repository, from the commit that is wanted now, or from a working copy.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use anyhow::{Context, anyhow};
use tempfile::TempDir;

use super::directory;
use crate::{
    api::source::{GitSource, Source},
    cli::{access::Session, sync::report::short, terminal::note},
    cluster::{
        probe::forbidden::Forbidden,
        secret::Secret,
        write::{Account, Place, Writer},
    },
    git::{
        checkout::Checkout,
        mirror::{Limits, Mirrors, Remote, Wanted},
        secret::{Credentials, Way},
    },
    gitops::tree::{Entry, Listing},
    renderer::reader::Reader,
};

/// Where files are read.
pub enum Files {
    /// A commit.
    Commit(Box<Fetched>),
    /// A working copy.
    Directory(PathBuf),
}

/// A commit that was fetched.
pub struct Fetched {
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
        Ok(Self::Commit(Box::new(Fetched { checkout, _scratch: scratch })))
    }
}

impl Reader for Files {
    type Error = anyhow::Error;

    async fn list(&self, directory: &str) -> anyhow::Result<Listing> {
        match self {
            Self::Commit(fetched) => Ok(Reader::list(&fetched.checkout, directory).await?),
            Self::Directory(root) => directory::list(root, directory),
        }
    }

    async fn read(&self, directory: &str, entries: &[Entry]) -> anyhow::Result<Vec<Vec<u8>>> {
        match self {
            Self::Commit(fetched) => Ok(Reader::read(&fetched.checkout, directory, entries).await?),
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
    let (name, field) = (&secret.name, "spec.source.git.secretRef");
    let writer = Writer::new(session.client.clone());
    let data = secret_data(&writer, &session.namespace, name).await;
    let data = data.with_context(|| format!("the Secret {name} of {field}"))?;
    let read = match Way::of(&git.url) {
        Way::Https => Credentials::read(&data),
        Way::Ssh => Credentials::read_ssh(&data),
    };
    read.with_context(|| format!("the Secret {name} of {field}"))
}

/// What a Secret has, as the caller may read it.
///
/// # Errors
/// It is not there, may not be read, or has what is no base64.
pub async fn secret_data(writer: &Writer, namespace: &str, name: &str) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let place = Place::named("v1", "Secret", namespace, name);
    let secret: Option<Secret> = writer.get_as(&Account::Own, &place).await?;
    let secret =
        secret.ok_or_else(|| anyhow!("there is no such Secret in {namespace}: make it, or name another one"))?;
    secret.into_data().map_err(|key| anyhow!("its key {key} is not base64"))
}
