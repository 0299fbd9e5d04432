//! The releases that are in use, so that their records are not read for every write.
//!
//! They are held as text, which is a tenth of what a tree of the same objects takes; what somebody works with, and the one that
//! was asked for last, are held as they are. Bounded by the text: the least recently used go first.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::{
    revision::{Digests, Recorded, RevisionError, load, parse},
    write::Writer,
};
use crate::{
    engine::observed::Revision,
    kinds::workload::{objects::Owner, release::Release},
};

/// The most that is held, in bytes of text.
const HELD_MAX: usize = 8 << 20;

struct Held {
    uid: String,
    revision: Revision,
    digest: String,
    text: Box<[u8]>,
    /// What was read of it, while somebody has it.
    release: Weak<Release>,
}

impl Held {
    fn is(&self, owner: &Owner, revision: &Revision) -> bool {
        self.uid == owner.uid && self.revision == *revision
    }

    fn read(&mut self) -> Option<Arc<Release>> {
        if let Some(release) = self.release.upgrade() {
            return Some(release);
        }
        let release = Arc::new(parse(&self.text).ok()?);
        self.release = Arc::downgrade(&release);
        Some(release)
    }
}

#[derive(Default)]
struct Inner {
    held: Vec<Held>,
    last: Option<Arc<Release>>,
}

/// A cache. Cheap to share.
#[derive(Clone, Default)]
pub struct Releases {
    inner: Arc<Mutex<Inner>>,
}

impl Releases {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut inner = self.lock();
        let at = inner.held.iter().position(|one| one.is(owner, revision))?;
        let mut one = inner.held.remove(at);
        // Another record was remembered since.
        if digests.get(revision).is_some_and(|digest| *digest != one.digest) {
            return None;
        }
        let release = one.read()?;
        inner.held.push(one);
        inner.last = Some(Arc::clone(&release));
        Some(release)
    }

    /// The digest of the record of a release that is held here.
    pub fn digest(&self, owner: &Owner, revision: &Revision) -> Option<String> {
        self.lock().held.iter().find(|one| one.is(owner, revision)).map(|one| one.digest.clone())
    }

    /// Takes in what was just recorded, or read.
    pub fn put(&self, owner: &Owner, recorded: Recorded) -> Arc<Release> {
        let Recorded { release, digest, text } = recorded;
        let (revision, release) = (Revision(release.hash.clone()), Arc::new(release));
        let mut inner = self.lock();
        inner.last = Some(Arc::clone(&release));
        let held = &mut inner.held;
        held.retain(|one| !one.is(owner, &revision));
        let one = Held {
            uid: owner.uid.clone(),
            revision,
            digest,
            text: text.into_boxed_slice(),
            release: Arc::downgrade(&release),
        };
        held.push(one);
        while held.iter().map(|one| one.text.len()).sum::<usize>() > HELD_MAX && held.len() > 1 {
            held.remove(0);
        }
        release
    }

    /// Drops a release whose record is gone.
    pub fn forget(&self, owner: &Owner, revision: &Revision) {
        self.lock().held.retain(|one| !one.is(owner, revision));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(uid: &str) -> Owner {
        Owner { name: "web".to_owned(), namespace: "shop".to_owned(), uid: uid.to_owned() }
    }

    fn recorded(hash: &str, padding: usize) -> Recorded {
        let release = Release {
            format: crate::kinds::workload::release::FORMAT,
            package: "p".repeat(padding),
            hash: hash.to_owned(),
            ..Release::default()
        };
        let text = serde_json::to_vec(&release).unwrap_or_default();
        Recorded { digest: format!("digest of {hash}"), text, release }
    }

    #[test]
    fn what_is_held_as_text_is_what_was_recorded() {
        let (releases, none) = (Releases::default(), Digests::new());
        let (web, revision) = (owner("a"), Revision("bcdfg".to_owned()));
        let first = releases.put(&web, recorded("bcdfg", 3));
        releases.put(&web, recorded("other", 1));
        assert!(
            releases.find(&web, &revision, &none).is_some_and(|found| Arc::ptr_eq(&found, &first)),
            "somebody has it"
        );
        let wanted = (*first).clone();
        drop(first);
        releases.find(&web, &Revision("other".to_owned()), &none);
        assert_eq!(releases.find(&web, &revision, &none).as_deref(), Some(&wanted), "nobody had it");
        assert!(releases.find(&owner("b"), &revision, &none).is_none(), "somebody else's");
        let digests = Digests::from([(revision.clone(), "digest of something else".to_owned())]);
        assert!(releases.find(&web, &revision, &digests).is_none(), "another record is remembered");
        assert!(releases.find(&web, &revision, &none).is_none(), "and the old one is let go");
    }

    #[test]
    fn the_least_recently_used_go_first() {
        let (releases, none, web) = (Releases::default(), Digests::new(), owner("a"));
        let find = |hash: &str| releases.find(&web, &Revision(hash.to_owned()), &none).is_some();
        for hash in ["b", "c", "d"] {
            releases.put(&web, recorded(hash, 2 << 20));
        }
        assert!(find("b"));
        releases.put(&web, recorded("f", 3 << 20));
        assert!(find("b") && find("d") && find("f") && !find("c"));
    }
}
