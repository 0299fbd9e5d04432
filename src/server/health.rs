//! What the probes answer, as a value.
//!
//! The controller publishes it, the probes read it, and neither knows the other. Leader and standby are both ready: a
//! replica that is ready only when it leads could never be rolled out beside the one that does.

use std::time::Duration;

use tokio::time::Instant;

/// How many lease durations may pass between two turns of the control loop before it counts as stuck. A turn with
/// nothing but timeouts takes less than two.
const STUCK_AFTER: u32 = 3;

/// What this replica does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It has not been in contact with the cluster yet.
    Starting,
    /// It holds the Lease.
    Leader,
    /// Another replica holds the Lease.
    Standby,
    /// It was asked to end, or lost the Lease.
    Stopping,
}

impl Role {
    /// The word that `/readyz` answers with.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Leader => "leader",
            Self::Standby => "standby",
            Self::Stopping => "stopping",
        }
    }
}

/// The state of the control loop at its last turn.
#[derive(Debug, Clone)]
pub struct Health {
    role: Role,
    lease_duration: Duration,
    last_turn: Instant,
    last_contact: Option<Instant>,
    problem: Option<String>,
}

impl Health {
    /// A process that has just started, with a lease of this duration.
    pub fn new(lease_duration: Duration, now: Instant) -> Self {
        Self { role: Role::Starting, lease_duration, last_turn: now, last_contact: None, problem: None }
    }

    /// What this replica does.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The loop turned and the Lease was read or written.
    pub fn contact(&mut self, role: Role, now: Instant) {
        self.role = role;
        self.last_turn = now;
        self.last_contact = Some(now);
        self.problem = None;
    }

    /// The loop turned and the Lease could be neither read nor written. The role stays: one lost call changes nothing.
    pub fn failure(&mut self, problem: String, now: Instant) {
        self.last_turn = now;
        self.problem = Some(problem);
    }

    /// The process is about to end.
    pub fn stopping(&mut self) {
        self.role = Role::Stopping;
    }

    /// Whether the process works at all.
    ///
    /// # Errors
    /// One sentence that says why it should be restarted.
    pub fn live(&self, now: Instant) -> Result<&'static str, String> {
        let silence = now.saturating_duration_since(self.last_turn);
        // Between the signal and the end no loop turns, and a restart would cut the drain short.
        if self.role == Role::Stopping || silence <= self.lease_duration * STUCK_AFTER {
            return Ok("alive");
        }
        Err(format!("the control loop has not turned for {} s", silence.as_secs()))
    }

    /// Whether the process does its part, leading or standing by.
    ///
    /// # Errors
    /// One sentence that says what it waits for.
    pub fn ready(&self, now: Instant) -> Result<&'static str, String> {
        if self.role == Role::Stopping {
            return Err("the process is stopping".to_owned());
        }
        let Some(contact) = self.last_contact else {
            return Err(with_cause("the Lease has not been reached yet".to_owned(), self.problem.as_deref()));
        };
        let silence = now.saturating_duration_since(contact);
        if silence > self.lease_duration {
            let sentence = format!("the Lease has been out of reach for {} s", silence.as_secs());
            return Err(with_cause(sentence, self.problem.as_deref()));
        }
        Ok(self.role.word())
    }
}

fn with_cause(sentence: String, cause: Option<&str>) -> String {
    match cause {
        Some(cause) => format!("{sentence}: {cause}"),
        None => sentence,
    }
}
