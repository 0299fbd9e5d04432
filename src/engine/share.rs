//! Shares of the traffic, and how many pods a share needs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A part of the whole in basis points; never more than the whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Share(u16);

impl Share {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Everything.
    pub const WHOLE: Self = Self(10_000);

    /// A number of basis points; none above the whole.
    pub fn of_points(points: u32) -> Option<Self> {
        u16::try_from(points).ok().filter(|points| *points <= Self::WHOLE.0).map(Self)
    }

    /// A number of whole percent; none above 100.
    pub fn of_percent(percent: u32) -> Option<Self> {
        percent.checked_mul(100).and_then(Self::of_points)
    }

    /// Basis points.
    pub fn points(self) -> u32 {
        u32::from(self.0)
    }

    /// What is left of the whole.
    #[must_use]
    pub fn rest(self) -> Self {
        Self(Self::WHOLE.0 - self.0)
    }

    /// The sum, at most the whole.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self((self.0 + other.0).min(Self::WHOLE.0))
    }
}

impl TryFrom<u16> for Share {
    type Error = String;

    fn try_from(points: u16) -> Result<Self, String> {
        Self::of_points(points.into()).ok_or_else(|| format!("{points} basis points are more than the whole"))
    }
}

impl From<Share> for u16 {
    fn from(share: Share) -> Self {
        share.0
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole} %"),
            (whole, part) if part % 10 == 0 => write!(f, "{whole}.{} %", part / 10),
            (whole, part) => write!(f, "{whole}.{part:02} %"),
        }
    }
}

/// How many ready pods a share of the traffic needs: `ceil(desired × share × headroom)`, at least one where there is a
/// share and any are desired, and never more than the whole needs without headroom: no revision is asked for more pods than are desired.
pub fn need(desired: u32, share: Share, headroom: u32) -> u32 {
    if share == Share::NONE || desired == 0 {
        return 0;
    }
    let scaled = u128::from(desired) * u128::from(share.points()) * u128::from(headroom);
    let pods = scaled.div_ceil(10_000 * 10_000);
    u32::try_from(pods).unwrap_or(u32::MAX).min(desired).max(1)
}
