//! Where work that goes on beside the looks leaves what it came to.

use std::sync::{Arc, Mutex, PoisonError};

use super::work::Loaded;
use crate::{cluster::bring::Turn, gitops::sync::Found};

/// What an action came to.
pub struct Delivery {
    /// In words of the engine.
    pub found: Found,
    /// The commit that was read, if one was.
    pub loaded: Option<Arc<Loaded>>,
    /// The turn in which it goes on, if it has one.
    pub turn: Option<Turn>,
}

impl From<Found> for Delivery {
    fn from(found: Found) -> Self {
        Self { found, loaded: None, turn: None }
    }
}

/// Where one action delivers to. A new action opens a new one, so that what an older one brings reaches nobody.
pub struct Slot<T = Delivery>(Arc<Mutex<Option<T>>>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Slot<T> {
    /// A new place, in place of the one before.
    pub fn open(&mut self) -> Self {
        *self = Self::default();
        Self(Arc::clone(&self.0))
    }

    /// Takes what is there.
    pub fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Leaves it for the next look.
    pub fn deliver(&self, delivery: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(delivery);
    }
}
