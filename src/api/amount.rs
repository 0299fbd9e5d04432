//! A number of instances, or a share of them: `2` or `"25%"`, as in Kubernetes.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use super::percent::Percent;

/// The largest number of instances that can be written.
const COUNT_MAX: i32 = 999_999;

/// So many instances, or such a share of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// So many instances.
    Count(i32),
    /// A share of the wanted number.
    Share(Percent),
}

/// The text is not an amount.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("an amount is a number of instances such as 2, or a share of them in quotes such as \"25%\"")]
pub struct AmountError;

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Share(share) => write!(f, "{share}%"),
        }
    }
}

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        if text.ends_with('%') {
            return text.parse().map(Self::Share).map_err(|_| AmountError);
        }
        let count = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        count.filter(|count| *count <= COUNT_MAX).map(Self::Count).ok_or(AmountError)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_i32(*count),
            Self::Share(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&AmountError, f)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Amount, E> {
                number.to_string().parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Amount, E> {
                number.to_string().parse().map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Amount {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "maxLength": 7,
            "x-kubernetes-validations": [{
                "rule": "string(self).matches('^([0-9]{1,6}|(100([.]0{1,2})?|[0-9]{1,2}([.][0-9]{1,2})?)%)$')",
                "message": "an amount is a number of instances such as 2, or a share of them in quotes such as \"25%\"",
            }],
        })
    }
}
