//! Who may do what with a mirror at the same time.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, RwLock},
    task::spawn_blocking,
};

use super::error::GitError;

/// What those agree on who use one mirror.
#[derive(Default)]
pub(super) struct Lock {
    /// Whoever reads or adds shares it; whoever removes the mirror is alone.
    pub used: Arc<RwLock<()>>,
    /// One adds at a time.
    pub fetching: Arc<Mutex<()>>,
}

/// The right to add to a mirror, held by whoever works on it for as long as the work takes.
#[derive(Clone)]
pub(super) struct Turn {
    pub path: PathBuf,
    pub until: Instant,
    pub lock: Arc<Lock>,
    _held: Arc<(OwnedMutexGuard<()>, OwnedSemaphorePermit)>,
}

impl Turn {
    /// The right that these give, for so long from now.
    pub fn new(
        path: PathBuf,
        lock: Arc<Lock>,
        held: (OwnedMutexGuard<()>, OwnedSemaphorePermit),
        limit: Duration,
    ) -> Self {
        Self { path, until: Instant::now() + limit, lock, _held: Arc::new(held) }
    }

    /// Works on the mirror while nobody else does.
    pub async fn alone<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, GitError> {
        let alone = Arc::clone(&self.lock.used).write_owned().await;
        blocking((self.clone(), alone), move |(turn, _)| work(&turn.path)).await
    }

    /// Works on the mirror while others read it.
    pub async fn beside_readers<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, GitError> {
        let shared = Arc::clone(&self.lock.used).read_owned().await;
        blocking((self.clone(), shared), move |(turn, _)| work(&turn.path)).await
    }
}

/// Works on a thread for blocking work. What is held meanwhile is given back when the work has ended, even if nobody waits
/// for it any more.
pub(super) async fn blocking<H: Send + 'static, T: Send + 'static>(
    held: H,
    work: impl FnOnce(&H) -> Result<T, GitError> + Send + 'static,
) -> Result<T, GitError> {
    let done = spawn_blocking(move || {
        let outcome = work(&held);
        drop(held);
        outcome
    });
    done.await.map_err(|_| lost())?
}

pub(super) fn lost() -> GitError {
    GitError::Storage { why: "the work on it was broken off".to_owned() }
}
