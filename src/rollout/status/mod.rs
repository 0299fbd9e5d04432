//! What is told of a Deployment: from what is remembered and what was seen to the status.

use crate::{
    api::{
        condition::ConditionReason, deployment::DeploymentSpec, deployment_status::DeploymentStatus, version::Version,
    },
    engine::{moment::Moment, observed::Observed},
    rollout::{commands::Asked, plan::Intent, record::Record, words},
};

/// What stands against a Deployment before the engine is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Something that it names is not there yet.
    Pending {
        /// What is waited for.
        message: String,
    },
    /// Nothing will move before the spec or another object changes.
    Stalled {
        /// The word for it.
        reason: ConditionReason,
        /// What is wrong, and the remedy.
        message: String,
    },
}

/// The Deployment that a status is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its uid.
    pub uid: &'a str,
    /// The generation that was looked at.
    pub generation: i64,
    /// The value of the label of everything that was made for it.
    pub label: &'a str,
    /// Its spec.
    pub spec: &'a DeploymentSpec,
}

/// All that a status is made from.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The Deployment.
    pub subject: Subject<'a>,
    /// The status before; none where there is none.
    pub prior: Option<&'a DeploymentStatus>,
    /// What is remembered after the decision.
    pub record: &'a Record,
    /// What was seen.
    pub observed: &'a Observed,
    /// What the spec asks for; none where a problem stands against it.
    pub intent: Option<&'a Intent>,
    /// What stands against it.
    pub problem: Option<&'a Problem>,
    /// What the annotations ask for.
    pub asked: &'a Asked,
    /// The version that a range picked.
    pub pinned: Option<&'a Version>,
    /// How many instances the whole traffic needs.
    pub desired: u32,
    /// What time it is.
    pub now: Moment,
}

/// The whole status.
pub fn report(view: &View<'_>) -> DeploymentStatus {
    let state = &view.record.state;
    DeploymentStatus {
        observed_generation: view.subject.generation,
        phase: Some(words::phase(state.phase)),
        waiting_for: state.waiting_for.as_deref().map(|text| words::cut(text, 1024)),
        pinned_version: view.pinned.cloned(),
        record: Some(view.record.write()),
        ..DeploymentStatus::default()
    }
}
