//! What measurements of a check add up to.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::moment::Moment;

/// What a measurement without data counts as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoData {
    /// Nothing; the check goes on.
    #[default]
    Wait,
    /// A success.
    Pass,
    /// A failure.
    Fail,
}

/// A check as the plan has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The name that people see.
    pub name: String,
    /// The time from one measurement to the next.
    pub interval: Duration,
    /// How many successes pass it.
    pub count: u32,
    /// How many failures are tolerated; one more fails it.
    pub failure_limit: u32,
    /// What no data means.
    pub no_data: NoData,
}

/// The result of one measurement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Measurement {
    /// It is as it should be.
    Success,
    /// It is not; the value that was found.
    Failure(String),
    /// The source answered and had nothing to say.
    NoData,
    /// The source did not answer.
    Unknown(String),
}

/// The measurements of one check within one stage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many measurements were taken.
    pub taken: u32,
    /// How many count as success.
    pub successes: u32,
    /// How many count as failure.
    pub failures: u32,
    /// When the last one was taken.
    pub last: Option<Moment>,
    /// The value of the last failure.
    pub value: Option<String>,
}

impl Tally {
    /// Adds a measurement.
    pub fn add(&mut self, measurement: &Measurement, no_data: NoData, at: Moment) {
        self.taken += 1;
        self.last = Some(at);
        match (measurement, no_data) {
            (Measurement::Success, _) | (Measurement::NoData, NoData::Pass) => self.successes += 1,
            (Measurement::Failure(value), _) => self.fail(value),
            (Measurement::NoData, NoData::Fail) => self.fail("no data"),
            (Measurement::NoData, NoData::Wait) | (Measurement::Unknown(_), _) => {}
        }
    }

    fn fail(&mut self, value: &str) {
        self.failures += 1;
        self.value = Some(value.to_owned());
    }
}

/// Where a check stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Not enough measurements yet.
    Running,
    /// Enough successes.
    Passed,
    /// Too many failures; the sentence says which value and which limit.
    Failed(String),
}

/// Judges a check. Failures are looked at first: a check that has both enough successes and too many failures failed.
#[must_use]
pub fn verdict(check: &Check, tally: &Tally) -> Verdict {
    if tally.failures > check.failure_limit {
        let value = tally.value.as_deref().unwrap_or("unknown");
        return Verdict::Failed(format!(
            "check {} found {value}: {} failed, at most {} may",
            check.name, tally.failures, check.failure_limit
        ));
    }
    if tally.successes >= check.count { Verdict::Passed } else { Verdict::Running }
}

/// When the next measurement is due; none before the first, which is due at once.
pub fn due(check: &Check, tally: &Tally) -> Option<Moment> {
    tally.last.map(|last| last.after(check.interval))
}
