//! Where files are read: a commit in a mirror, or whatever else can list and read them.

use std::future::Future;

use crate::{
    git::{
        error::GitError,
        mirror::{Mirrors, Remote},
    },
    gitops::tree::{Entry, Listing},
};

/// Files that can be listed and read.
pub trait Reader: Sync {
    /// Why they cannot.
    type Error: Send;

    /// The paths below a directory, of everything that git would know.
    fn list(&self, directory: &str) -> impl Future<Output = Result<Listing, Self::Error>> + Send;

    /// The contents of some of the paths below a directory, in their order.
    fn read(
        &self,
        directory: &str,
        entries: &[Entry],
    ) -> impl Future<Output = Result<Vec<Vec<u8>>, Self::Error>> + Send;
}

/// A commit that was fetched.
#[derive(Clone)]
pub struct Commit {
    /// Where it is.
    pub mirrors: Mirrors,
    /// Its repository.
    pub remote: Remote,
    /// Its hash.
    pub id: String,
}

impl Reader for Commit {
    type Error = GitError;

    async fn list(&self, directory: &str) -> Result<Listing, GitError> {
        self.mirrors.list(&self.remote, &self.id, directory).await
    }

    async fn read(&self, _: &str, entries: &[Entry]) -> Result<Vec<Vec<u8>>, GitError> {
        let ids: Vec<String> = entries.iter().map(|entry| entry.id.clone()).collect();
        self.mirrors.read(&self.remote, &ids).await
    }
}
