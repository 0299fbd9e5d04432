//! What is worth an event: the transitions between two statuses.

use crate::api::deployment_status::DeploymentStatus;

/// How an event is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Things go their way.
    Normal,
    /// Somebody should look.
    Warning,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What, as one word.
    pub reason: &'static str,
    /// How it is shown.
    pub kind: Kind,
    /// What, as a sentence of at most 1 kB.
    pub note: String,
}

/// What happened between two statuses. Nothing, where they are equal.
pub fn events(before: &DeploymentStatus, after: &DeploymentStatus) -> Vec<Event> {
    let mut events = Vec::new();
    if before.phase != after.phase
        && let Some(phase) = after.phase
    {
        events.push(Event {
            reason: phase.as_str(),
            kind: Kind::Normal,
            note: after.waiting_for.clone().unwrap_or_default(),
        });
    }
    events
}
