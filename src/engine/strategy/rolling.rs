//! Rolling: pods are replaced behind one Service, for what cannot split traffic.

use serde::{Deserialize, Serialize};

use crate::engine::{
    plan::{Invalid, Plan},
    stage::Stage,
};

/// The settings of a rolling replacement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rolling {
    /// How many pods more than desired there may be.
    pub max_surge: u32,
    /// How many pods fewer than desired may be ready.
    pub max_unavailable: u32,
}

/// How many pods old and new revision are to have, in this order, given what they have. Each direction is safe by
/// itself: together they never exceed `desired + surge`, and ready ones never fall below `desired - unavailable`.
pub fn pods(rolling: &Rolling, desired: u32, old: Count, new: Count) -> (u32, u32) {
    if desired == 0 {
        return (0, 0);
    }
    let room = desired.saturating_add(rolling.max_surge).saturating_sub(old.pods);
    let grown = desired.min(room).max(new.pods.min(desired));
    let keep = desired.saturating_sub(rolling.max_unavailable).saturating_sub(new.ready.min(desired));
    // Old pods that are not ready count for nothing and still take room: they do not keep others alive.
    let unready = old.pods.saturating_sub(old.ready);
    let shrunk = keep.saturating_add(unready).min(old.pods).max(1);
    (if new.ready >= desired { 1 } else { shrunk }, grown)
}

/// The pods of one revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// How many there are or will be.
    pub pods: u32,
    /// How many of them are ready.
    pub ready: u32,
}

impl Rolling {
    /// Whether the settings lead somewhere.
    ///
    /// # Errors
    /// Says what stands against it.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.max_surge == 0 { Err(Invalid::NoSurge) } else { Ok(()) }
    }

    /// The stages before the promotion.
    pub fn stages(&self, plan: &Plan) -> Vec<Stage> {
        let roll = Stage::Roll { surge: self.max_surge, unavailable: self.max_unavailable };
        let checks = plan.verify(std::time::Duration::ZERO, &[]);
        [Some(roll), checks].into_iter().flatten().collect()
    }
}
