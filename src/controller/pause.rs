//! Pauses that are not all of the same length: what begins together would otherwise go on together for ever.

use std::time::Duration;

/// A pause that is shorter or longer than this one by up to a share of it.
pub fn jittered(plain: Duration, share: f64) -> Duration {
    plain.mul_f64(1.0 - share + fastrand::f64() * 2.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_stays_within_its_share() {
        let pauses: Vec<f64> = (0..1000).map(|_| jittered(Duration::from_secs(10), 0.1).as_secs_f64()).collect();
        assert!(pauses.iter().all(|pause| (9.0..=11.0).contains(pause)));
        assert!(pauses.iter().any(|pause| *pause < 9.5) && pauses.iter().any(|pause| *pause > 10.5), "it spreads");
    }
}
