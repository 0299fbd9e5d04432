//! The releases that are in use, so that their records are not read for every write.
//!
//! Bounded by what it holds: the least recently used go first.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{
    revision::{Digests, Recorded, RevisionError, load},
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
    digest: String,
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

    /// The release of a revision, from here or from its record, which has to be the one that is remembered.
    ///
    /// # Errors
    /// See [`RevisionError`].
    pub async fn get(
        &self,
        writer: &Writer,
        owner: &Owner,
        revision: &Revision,
        digests: &Digests,
    ) -> Result<Arc<Release>, RevisionError> {
        if let Some(release) = self.find(owner, revision, digests) {
            return Ok(release);
        }
        Ok(self.put(owner, load(writer, owner, revision, digests).await?))
    }

    fn find(&self, owner: &Owner, revision: &Revision, digests: &Digests) -> Option<Arc<Release>> {
        let mut held = self.lock();
        let at = held.iter().position(|one| one.uid == owner.uid && one.revision == *revision)?;
        let one = held.remove(at);
        // Another record was remembered since.
        if digests.get(revision).is_some_and(|digest| *digest != one.digest) {
            return None;
        }
        let release = Arc::clone(&one.release);
        held.push(one);
        Some(release)
    }

    /// The digest of the record of a release that is held here.
    pub fn digest(&self, owner: &Owner, revision: &Revision) -> Option<String> {
        let held = self.lock();
        held.iter().find(|one| one.uid == owner.uid && one.revision == *revision).map(|one| one.digest.clone())
    }

    /// Takes in what was just recorded, or read.
    pub fn put(&self, owner: &Owner, recorded: Recorded) -> Arc<Release> {
        let Recorded { release, digest } = recorded;
        let size = serde_json::to_vec(&release).map_or(HELD_MAX, |text| text.len());
        let (revision, release) = (Revision(release.hash.clone()), Arc::new(release));
        let mut held = self.lock();
        held.retain(|one| one.uid != owner.uid || one.revision != revision);
        held.push(Held { uid: owner.uid.clone(), revision, size, digest, release: Arc::clone(&release) });
        while held.iter().map(|one| one.size).sum::<usize>() > HELD_MAX && held.len() > 1 {
            held.remove(0);
        }
        release
    }

    /// Drops a release whose record is gone.
    pub fn forget(&self, owner: &Owner, revision: &Revision) {
        self.lock().retain(|one| one.uid != owner.uid || one.revision != *revision);
    }
}
