//! The releases that are in use, so that their records are not read for every write.
//!
//! Bounded by what it holds: the least recently used go first.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{
    revision::{RevisionError, load},
    write::Writer,
};
use crate::{
    engine::observed::Revision,
    kinds::workload::{objects::Owner, release::Release},
};

/// The most that is held, in bytes of the releases as text.
const HELD_MAX: usize = 8 << 20;

struct Held {
    uid: String,
    revision: Revision,
    size: usize,
    release: Arc<Release>,
}

/// A cache. Cheap to share.
#[derive(Clone, Default)]
pub struct Releases {
    held: Arc<Mutex<Vec<Held>>>,
}

impl Releases {
    fn lock(&self) -> MutexGuard<'_, Vec<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The release of a revision, from here or from its record.
    ///
    /// # Errors
    /// See [`RevisionError`].
    pub async fn get(
        &self,
        writer: &Writer,
        owner: &Owner,
        revision: &Revision,
    ) -> Result<Arc<Release>, RevisionError> {
        if let Some(release) = self.find(owner, revision) {
            return Ok(release);
        }
        let release = Arc::new(load(writer, owner, revision).await?);
        self.put(owner, Arc::clone(&release));
        Ok(release)
    }

    fn find(&self, owner: &Owner, revision: &Revision) -> Option<Arc<Release>> {
        let mut held = self.lock();
        let at = held.iter().position(|one| one.uid == owner.uid && one.revision == *revision)?;
        let one = held.remove(at);
        let release = Arc::clone(&one.release);
        held.push(one);
        Some(release)
    }

    /// Takes in what was just recorded.
    pub fn put(&self, owner: &Owner, release: Arc<Release>) {
        let size = serde_json::to_vec(&*release).map_or(HELD_MAX, |text| text.len());
        let revision = Revision(release.hash.clone());
        let mut held = self.lock();
        held.retain(|one| one.uid != owner.uid || one.revision != revision);
        held.push(Held { uid: owner.uid.clone(), revision, size, release });
        while held.iter().map(|one| one.size).sum::<usize>() > HELD_MAX && held.len() > 1 {
            held.remove(0);
        }
    }

    /// Drops a release whose record is gone.
    pub fn forget(&self, owner: &Owner, revision: &Revision) {
        self.lock().retain(|one| one.uid != owner.uid || one.revision != *revision);
    }
}
