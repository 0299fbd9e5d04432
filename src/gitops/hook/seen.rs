//! What was accepted lately, so that it is accepted once.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use crate::engine::moment::Moment;

/// How long something accepted is remembered.
pub const REMEMBERED: Duration = Duration::from_mins(10);

/// How many are remembered at most; the oldest one is forgotten for the next. At twenty a second it is enough for the
/// whole time.
const SEEN_MAX: usize = 12_288;

/// Fingerprints of what was accepted, for ten minutes each.
#[derive(Debug, Default)]
pub struct Seen {
    order: VecDeque<(Moment, [u8; 32])>,
    known: HashSet<[u8; 32]>,
}

impl Seen {
    /// Whether this is the first time, which it then was.
    pub fn is_first(&mut self, fingerprint: [u8; 32], now: Moment) -> bool {
        while let Some((_, oldest)) = self.order.pop_front_if(|(at, _)| at.after(REMEMBERED) <= now) {
            self.known.remove(&oldest);
        }
        if !self.known.insert(fingerprint) {
            return false;
        }
        if self.order.len() >= SEEN_MAX
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back((now, fingerprint));
        true
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}
