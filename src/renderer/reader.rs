//! Where files are read: a commit in a mirror, or whatever else can list and read them.

use std::future::Future;

use crate::{
    git::{checkout::Checkout, error::GitError},
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

/// A commit that was fetched, with its submodules where they are wanted.
impl Reader for Checkout {
    type Error = GitError;

    async fn list(&self, directory: &str) -> Result<Listing, GitError> {
        Self::list(self, directory).await
    }

    async fn read(&self, _: &str, entries: &[Entry]) -> Result<Vec<Vec<u8>>, GitError> {
        let ids: Vec<String> = entries.iter().map(|entry| entry.id.clone()).collect();
        Self::read(self, &ids).await
    }
}
