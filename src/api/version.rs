//! Versions and ranges of versions.
//!
//! A version is part of an object's name, so it is lower case and has no build metadata.

use std::{borrow::Cow, cmp::Ordering, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// The longest version.
const VERSION_MAX: usize = 40;

/// The digits of one number of a version, so that every version that the schema accepts can be read.
const DIGITS_MAX: usize = 9;

/// A semantic version: lower case, without build metadata, at most 40 characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(semver::Version);

/// The text is not a version.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "a version is a semantic version in lower case without build metadata, at most 40 characters, such as 1.4.2 or 2.0.0-rc.1"
)]
pub struct VersionError;

impl Version {
    /// Whether it is a pre-release, such as `2.0.0-rc.1`.
    pub fn is_pre_release(&self) -> bool {
        !self.0.pre.is_empty()
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let parsed = semver::Version::parse(text).map_err(|_| VersionError)?;
        let core = text.split('-').next().unwrap_or_default();
        let good = text.len() <= VERSION_MAX
            && parsed.build.is_empty()
            && core.split('.').all(|number| number.len() <= DIGITS_MAX)
            && !text.bytes().any(|byte| byte.is_ascii_uppercase());
        if good { Ok(Self(parsed)) } else { Err(VersionError) }
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Version {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Version".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 5,
            "maxLength": VERSION_MAX,
            "x-kubernetes-validations": [{
                "rule": "self.matches('^(0|[1-9][0-9]{0,8})\\\\.(0|[1-9][0-9]{0,8})\\\\.(0|[1-9][0-9]{0,8})\
                         (-(0|[1-9][0-9]*|[0-9]*[a-z-][0-9a-z-]*)(\\\\.(0|[1-9][0-9]*|[0-9]*[a-z-][0-9a-z-]*))*)?$')",
                "message": "a version is a semantic version in lower case without build metadata, such as 1.4.2 or 2.0.0-rc.1",
            }],
        })
    }
}

/// A range of versions as written, such as `~1.4` or `>=1.2, <2`.
///
/// The API server can only check its characters, so it is kept as text: an object with a range that cannot be read must
/// still be readable itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VersionRange(String);

/// The text is not a range of versions.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("\"{0}\" is not a range of versions: write one such as ~1.4, ^1.4.2 or >=1.2, <2")]
pub struct VersionRangeError(String);

impl VersionRange {
    /// A range as a person writes it; it is read by [`VersionRange::matches`].
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a version is in the range. A pre-release is only if the range names one of the same release.
    ///
    /// # Errors
    /// The text is not a range.
    pub fn matches(&self, version: &Version) -> Result<bool, VersionRangeError> {
        let range = semver::VersionReq::parse(&self.0).map_err(|_| VersionRangeError(self.0.clone()))?;
        Ok(range.matches(&version.0))
    }
}

impl JsonSchema for VersionRange {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "VersionRange".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": 100,
            "x-kubernetes-validations": [{
                "rule": "self.matches('^[0-9a-z.*^~<>=, -]+$')",
                "message": "a range of versions looks like ~1.4, ^1.4.2 or >=1.2, <2",
            }],
        })
    }
}
