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
#[derive(Clone, Default)]
pub struct Slot(Arc<Mutex<Option<Delivery>>>);

impl Slot {
    /// A new place, in place of the one before.
    pub fn open(&mut self) -> Self {
        *self = Self::default();
        self.clone()
    }

    /// Takes what is there.
    pub fn take(&self) -> Option<Delivery> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Leaves it for the next look.
    pub fn deliver(&self, delivery: Delivery) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(delivery);
    }
}
