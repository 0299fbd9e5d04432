//! Leader election by a `coordination.k8s.io/v1` Lease.
//!
//! Two replicas of the operator must never both act. [`decide`] is the judgement, without a clock and a client;
//! [`elector`] reads, asks it, and writes; [`rivals`] only reads, the Leases of other installations. A write is a replace
//! under `resourceVersion`, so of two replicas that saw the same vacancy one is refused. Times inside the Lease are never
//! compared with a local clock: a holder counts as gone when its record did not change for its own duration, measured here.
//!
//! What this does not promise: a process that is stopped for longer than the lease, and then continues, can have
//! requests on their way. Whoever writes more than the Lease must carry a `resourceVersion` where it matters.

pub mod decide;
pub mod elector;
pub mod rivals;

use std::time::Duration;

/// The intervals of an election. All follow from the lease's duration, so they cannot be set against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long a holder counts as alive after its record last changed.
    pub duration: Duration,
    /// How long a leader waits after a renewal before the next: a third.
    pub renew_every: Duration,
    /// When a leader without a successful renewal must stop, counted from before the last one was sent: four fifths.
    /// The rest is its margin before another replica may take over.
    pub give_up_after: Duration,
    /// The longest wait for one answer: a fifth, so two attempts fit between a missed renewal and giving up.
    pub call_timeout: Duration,
    /// How often a standby looks: a fifth.
    pub look_every: Duration,
    /// How long a leader waits after a failed renewal: a tenth.
    pub retry_after: Duration,
}

impl Timing {
    /// The intervals for a lease of this duration, which is written in whole seconds, at least one.
    pub fn of(duration: Duration) -> Self {
        let duration = Duration::from_secs(duration.as_secs().max(1));
        Self {
            duration,
            renew_every: duration / 3,
            give_up_after: duration * 4 / 5,
            call_timeout: duration / 5,
            look_every: duration / 5,
            retry_after: duration / 10,
        }
    }
}
