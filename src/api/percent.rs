//! A share of the whole, to the hundredth of a percent.
//!
//! Written as an integer (`20`) or a text (`"0.5"`, `"0.5%"`), because a float in a schema does not survive all clients.
//! Inside it is basis points, so shares add up exactly.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// From 0 to 100 %, in basis points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(i32);

/// The text is not a percentage.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a percentage is an integer from 0 to 100, or a text with at most two decimals such as \"0.5\"")]
pub struct PercentError;

impl Percent {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The whole.
    pub const FULL: Self = Self(10_000);

    /// So many hundredths of a percent; none outside of 0 to 10 000.
    pub const fn from_basis_points(points: i32) -> Option<Self> {
        if points >= 0 && points <= Self::FULL.0 { Some(Self(points)) } else { None }
    }

    /// The share in hundredths of a percent.
    pub const fn basis_points(self) -> i32 {
        self.0
    }

    /// What is missing to the whole.
    #[must_use]
    pub const fn rest(self) -> Self {
        Self(Self::FULL.0 - self.0)
    }

    /// The sum, at most the whole.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        let sum = self.0 + other.0;
        if sum > Self::FULL.0 { Self::FULL } else { Self(sum) }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, hundredths) = (self.0 / 100, self.0 % 100);
        match (hundredths, hundredths % 10) {
            (0, _) => write!(f, "{whole}"),
            (_, 0) => write!(f, "{whole}.{}", hundredths / 10),
            _ => write!(f, "{whole}.{hundredths:02}"),
        }
    }
}

impl FromStr for Percent {
    type Err = PercentError;

    fn from_str(text: &str) -> Result<Self, PercentError> {
        let number = text.strip_suffix('%').unwrap_or(text);
        let (whole, decimals) = number.split_once('.').map_or((number, "0"), |parts| parts);
        let digits =
            |part: &str, max: usize| (1..=max).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole, 3) || !digits(decimals, 2) {
            return Err(PercentError);
        }
        let parse = |part: &str| part.parse::<i32>().map_err(|_| PercentError);
        let hundredths = parse(decimals)? * if decimals.len() == 1 { 10 } else { 1 };
        Self::from_basis_points(parse(whole)? * 100 + hundredths).ok_or(PercentError)
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % 100 == 0 { serializer.serialize_i32(self.0 / 100) } else { serializer.collect_str(self) }
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Percent;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&PercentError, f)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Percent, E> {
                let points = number.checked_mul(100).and_then(|points| i32::try_from(points).ok());
                points.and_then(Percent::from_basis_points).ok_or_else(|| E::custom(PercentError))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Percent, E> {
                self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Percent, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Percent {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Percent".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "maxLength": 7,
            "x-kubernetes-validations": [{
                "rule": "string(self).matches('^(100([.]0{1,2})?|[0-9]{1,2}([.][0-9]{1,2})?)%?$')",
                "message": "a percentage is an integer from 0 to 100, or a quoted text with at most two decimals such as \"0.5\"",
            }],
        })
    }
}
