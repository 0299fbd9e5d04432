//! A length of time as people write it: `300s`, `5m`, `1h30m`, `250ms`.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// The units in the order in which they are written, with their length in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// The digits of one number, so that no sum overflows.
const DIGITS_MAX: usize = 7;

/// A length of time, not negative, to the millisecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeSpan(Duration);

/// The text is not a length of time.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a length of time is whole numbers with units in the order d, h, m, s, ms, such as 300s, 5m or 1h30m")]
pub struct TimeSpanError;

impl TimeSpan {
    /// So many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// So many milliseconds.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }

    /// As the standard library counts it.
    pub const fn as_duration(self) -> Duration {
        self.0
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if left == 0 {
            return f.write_str("0s");
        }
        for (unit, length) in UNITS {
            if left >= length {
                write!(f, "{}{unit}", left / length)?;
            }
            left %= length;
        }
        Ok(())
    }
}

impl FromStr for TimeSpan {
    type Err = TimeSpanError;

    fn from_str(text: &str) -> Result<Self, TimeSpanError> {
        let (mut rest, mut total, mut units) = (text, 0, UNITS.iter());
        while !rest.is_empty() {
            let split = rest.find(|c: char| !c.is_ascii_digit()).ok_or(TimeSpanError)?;
            let (digits, tail) = rest.split_at(split);
            let unit = &tail[..tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len())];
            if digits.len() > DIGITS_MAX {
                return Err(TimeSpanError);
            }
            let number: u64 = digits.parse().map_err(|_| TimeSpanError)?;
            // The iterator moves on, so a unit comes at most once and in order.
            let (_, length) = units.find(|(name, _)| *name == unit).ok_or(TimeSpanError)?;
            total += number * length;
            rest = &tail[unit.len()..];
        }
        if text.is_empty() { Err(TimeSpanError) } else { Ok(Self(Duration::from_millis(total))) }
    }
}

impl Serialize for TimeSpan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for TimeSpan {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TimeSpan".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 2,
            "maxLength": 32,
            "x-kubernetes-validations": [{
                "rule": "self.matches('^([0-9]{1,7}d)?([0-9]{1,7}h)?([0-9]{1,7}m)?([0-9]{1,7}s)?([0-9]{1,7}ms)?$')",
                "message": "a length of time is whole numbers with units in the order d, h, m, s, ms, such as 300s, 5m or 1h30m",
            }],
        })
    }
}
