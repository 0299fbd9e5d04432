//! So many a second and no more, for what is good to have and nothing rests on.
//!
//! A few rollouts do not notice it. Where hundreds are under way at once, telling more often how each is doing would take the
//! API server's time from carrying them out.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A bucket that is refilled evenly.
#[derive(Debug)]
pub struct Pace {
    /// The time in which one more is allowed.
    gap: Duration,
    /// How far ahead of that it may be.
    ahead: Duration,
    /// When all that was taken would have been allowed one after the other.
    due: Mutex<Option<Instant>>,
}

impl Pace {
    /// So many a second, and as many at once after a second of rest. At least one.
    pub fn per_second(many: u32) -> Self {
        let gap = Duration::from_secs(1) / many.max(1);
        Self { gap, ahead: Duration::from_secs(1).saturating_sub(gap), due: Mutex::default() }
    }

    /// Takes one, if it is allowed at this time.
    pub fn take(&self, now: Instant) -> bool {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let from = due.map_or(now, |due| due.max(now));
        let allowed = from.saturating_duration_since(now) <= self.ahead;
        if allowed {
            *due = Some(from + self.gap);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_and_a_rest_saves_no_more_than_one_second() {
        let pace = Pace::per_second(4);
        let start = Instant::now();
        let taken = |at: u64, wanted: u32| (0..wanted).filter(|_| pace.take(start + Duration::from_millis(at))).count();
        assert_eq!(taken(0, 9), 4);
        assert_eq!(taken(240, 9), 0);
        assert_eq!(taken(250, 9), 1);
        assert_eq!(taken(60_000, 9), 4);
    }
}
