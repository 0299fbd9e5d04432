//! The decisions of a rollout.
//!
//! Ring 1. It knows no client, no clock, no custom resource and no kind of package: whoever drives it maps a spec to a
//! [`plan::Plan`], what was seen of the cluster to [`observed::Observed`], and [`state::State`] to a status. The modules
//! in reading order:
//!
//! - [`share`], [`moment`]: parts of the traffic, and time as an input.
//! - [`plan`], [`stage`], [`strategy`]: what a run is to do, and its list of stages.
//! - [`observed`], [`traffic`]: what was seen, and which splits may be in force.
//! - [`state`], [`phase`]: what is remembered from one look to the next.
//! - [`action`], [`target`], [`steer`], [`scale`], [`route`], [`service`]: from a wanted world to the next safe writes.
//! - [`step`]: the decision itself; [`command`], [`gate`], [`advance`], [`verdict`], [`rollback`], [`recover`], [`retire`]
//!   and [`explain`] are its parts.

pub mod action;
pub mod advance;
pub mod command;
pub mod explain;
pub mod gate;
pub mod moment;
pub mod observed;
pub mod phase;
pub mod plan;
pub mod recover;
pub mod retire;
pub mod rollback;
pub mod route;
pub mod scale;
pub mod service;
pub mod share;
pub mod stage;
pub mod state;
pub mod steer;
pub mod step;
pub mod strategy;
pub mod target;
pub mod traffic;
pub mod verdict;
