//! What clients saw, as numbers.

use std::collections::BTreeMap;

/// What the clients saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Successful answers (status 200 to 299) by the header x-version; empty for answers without it.
    pub by_version: BTreeMap<String, u64>,
    /// Requests without an answer in time, or with another status.
    pub failed: u64,
    /// The same by the header x-version; empty for no answer, and for answers without it.
    pub failed_by_version: BTreeMap<String, u64>,
    /// Why the first of them failed.
    pub first_failure: Option<String>,
}

/// A request that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The version that answered; empty if none did.
    pub version: String,
    /// What went wrong.
    pub why: String,
}

impl Failure {
    /// A request that no version answered.
    pub fn without_version(why: String) -> Self {
        Self { version: String::new(), why }
    }
}

impl Tally {
    /// All successful answers.
    pub fn answered(&self) -> u64 {
        self.by_version.values().sum()
    }

    /// All requests that came to an end.
    pub fn sent(&self) -> u64 {
        self.answered() + self.failed
    }

    /// The share of one version among the successful answers, 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    pub fn share(&self, version: &str) -> f64 {
        self.by_version.get(version).copied().unwrap_or(0) as f64 / self.answered().max(1) as f64
    }

    /// Counts one request.
    pub fn add(&mut self, outcome: Result<String, Failure>) {
        match outcome {
            Ok(version) => *self.by_version.entry(version).or_default() += 1,
            Err(Failure { version, why }) => {
                self.failed += 1;
                *self.failed_by_version.entry(version).or_default() += 1;
                self.first_failure.get_or_insert(why);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_counted_for_the_version_that_answered_and_the_first_reason_stays() {
        let mut tally = Tally::default();
        tally.add(Ok("v1".to_owned()));
        tally.add(Err(Failure { version: "v3".to_owned(), why: "status 503".to_owned() }));
        tally.add(Err(Failure::without_version("no answer".to_owned())));
        tally.add(Ok("v1".to_owned()));
        assert_eq!((tally.sent(), tally.answered(), tally.failed), (4, 2, 2));
        assert_eq!(tally.failed_by_version, BTreeMap::from([(String::new(), 1), ("v3".to_owned(), 1)]));
        assert_eq!(tally.first_failure.as_deref(), Some("status 503"));
        assert!((tally.share("v1") - 1.0).abs() < f64::EPSILON);
    }
}
