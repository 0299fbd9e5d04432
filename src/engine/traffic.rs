//! Which splits may be in force.
//!
//! A route says what was written, not what its routers do. From a write until all of them acknowledged it and it has
//! settled, the old split and the new one are both possible, and a revision's observed weight is the larger. What was
//! possible before is remembered in the status: the route itself does not tell.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::{
    moment::Moment,
    observed::{Acknowledged, Route},
    share::Share,
};

/// The candidate Service's possible shares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// The smallest that may be in force.
    pub low: Share,
    /// The largest that may be in force.
    pub high: Share,
    /// The generation that this is about; 0 where there is no route.
    pub generation: u64,
    /// When that generation was first seen acknowledged.
    pub since: Option<Moment>,
    /// Whether that generation is in force.
    pub in_force: bool,
}

impl Default for Traffic {
    /// Nothing is known: every split is possible.
    fn default() -> Self {
        Self { low: Share::NONE, high: Share::WHOLE, generation: 0, since: None, in_force: false }
    }
}

impl Traffic {
    /// What is possible after this look.
    ///
    /// # Errors
    /// The look is older than one before it.
    pub fn look(&self, route: Option<&Route>, settle: Duration, now: Moment) -> Result<Self, String> {
        let Some(route) = route else {
            return Ok(Self { low: Share::NONE, high: Share::NONE, generation: 0, since: None, in_force: true });
        };
        if route.generation < self.generation {
            return Err("the route: what was read is older than what was seen before".to_owned());
        }
        let mut next = self.clone();
        if route.generation > self.generation {
            next = next.written(route);
        }
        if route.acknowledged == Acknowledged::At(route.generation) {
            let since = *next.since.get_or_insert(now);
            if !next.in_force && now >= since.after(settle) {
                next = Self { low: route.split, high: route.split, in_force: true, ..next };
            }
        }
        Ok(next)
    }

    fn written(self, route: &Route) -> Self {
        let (low, high) = (self.low.min(route.split), self.high.max(route.split));
        Self { low, high, generation: route.generation, since: None, in_force: false }
    }

    /// When it will have settled, if it was acknowledged and is not in force yet.
    pub fn settles_at(&self, settle: Duration) -> Option<Moment> {
        self.since.filter(|_| !self.in_force).map(|since| since.after(settle))
    }
}
