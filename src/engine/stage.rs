//! The stages that every strategy is put together from.
//!
//! A strategy is only a list of these; what a stage means for the world is in [`crate::engine::target`], and when it is
//! over in [`crate::engine::advance`].

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::engine::{moment::Moment, share::Share};

/// One stage of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// The gates before anything is written: time and dependencies.
    Admit,
    /// The candidate has enough ready pods for this share, without traffic.
    Prepare(Share),
    /// The candidate has this share of the traffic.
    Weight(Share),
    /// The candidate has at least the pods for this share, whatever its weight.
    Scale(Share),
    /// Time passes and checks pass.
    Hold {
        /// The shortest time.
        at_least: Duration,
        /// The names of the plan's checks that run meanwhile and must pass.
        checks: Vec<String>,
    },
    /// A person says go.
    Approve,
    /// Pods are replaced within these limits, old and new ones behind the same Service.
    Roll {
        /// How many pods more than desired there may be.
        surge: u32,
        /// How many pods fewer than desired may be ready.
        unavailable: u32,
    },
    /// The stable Service turns to the candidate.
    Turn,
    /// The weight returns to the stable Service.
    Return,
    /// The old revision keeps its pods for a while.
    Drain(Duration),
    /// The old revision has no pods.
    Retire,
    /// Pods that are older than this are replaced.
    Renew(Moment),
}

impl Stage {
    /// Whether the stage moves nothing and can be ended by a person.
    pub fn is_hold(&self) -> bool {
        matches!(self, Self::Hold { .. } | Self::Approve | Self::Drain(_))
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admit => write!(f, "start"),
            Self::Prepare(share) => write!(f, "prepare pods for {share}"),
            Self::Weight(share) => write!(f, "set weight {share}"),
            Self::Scale(share) => write!(f, "scale to {share}"),
            Self::Hold { at_least, checks } if checks.is_empty() => write!(f, "wait {} s", at_least.as_secs()),
            Self::Hold { at_least: Duration::ZERO, checks } => write!(f, "verify {}", checks.join(" and ")),
            Self::Hold { at_least, checks } => {
                write!(f, "verify {} for {} s", checks.join(" and "), at_least.as_secs())
            }
            Self::Approve => write!(f, "wait for approval"),
            Self::Roll { .. } => write!(f, "replace pods"),
            Self::Turn => write!(f, "turn the Service"),
            Self::Return => write!(f, "return weight to the Service"),
            Self::Drain(time) => write!(f, "drain for {} s", time.as_secs()),
            Self::Retire => write!(f, "scale down the old revision"),
            Self::Renew(_) => write!(f, "replace pods by new ones"),
        }
    }
}
