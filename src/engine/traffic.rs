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
    /// The routes that this is about; see [`Route::lineage`]. 0 where there are none.
    pub lineage: u64,
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
        Self { low: Share::NONE, high: Share::WHOLE, lineage: 0, generation: 0, since: None, in_force: false }
    }
}

impl Traffic {
    /// What is possible after this look.
    ///
    /// # Errors
    /// The look is older than one before it.
    pub fn look(&self, route: Option<&Route>, settle: Duration, now: Moment) -> Result<Self, String> {
        let Some(route) = route else {
            return Ok(Self { high: Share::NONE, in_force: true, ..Self::default() });
        };
        let known = if self.lineage == route.lineage || self.lineage == 0 { self.clone() } else { Self::default() };
        if route.generation < known.generation {
            return Err("the route: what was read is older than what was seen before".to_owned());
        }
        let mut next = Self { lineage: route.lineage, ..known };
        if route.generation > next.generation {
            next = next.written(route);
        }
        if route.acknowledged == Acknowledged::At(route.generation) {
            let since = *next.since.get_or_insert(now);
            if !next.in_force && now >= since.after(settle) {
                next = Self { low: route.least, high: route.split, in_force: true, ..next };
            }
        }
        Ok(next)
    }

    fn written(self, route: &Route) -> Self {
        let (low, high) = (self.low.min(route.least), self.high.max(route.split));
        Self { low, high, lineage: route.lineage, generation: route.generation, since: None, in_force: false }
    }

    /// When it will have settled, if it was acknowledged and is not in force yet.
    pub fn settles_at(&self, settle: Duration) -> Option<Moment> {
        self.since.filter(|_| !self.in_force).map(|since| since.after(settle))
    }
}
