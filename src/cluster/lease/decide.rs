//! Who may lead: a pure judgement over what was seen of the Lease.
//!
//! Same input, same decision. It has no clock, no client and no randomness; `now` is an argument, and the Lease's own
//! times serve as a mark of who wrote it, never as a time.

use std::{
    fmt,
    time::{Duration, Instant},
};

use k8s_openapi::jiff::Timestamp;

/// What matters of a Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; none if it was released.
    pub holder: Option<String>,
    /// When the holder acquired it, by the holder's clock. It tells one term from the next.
    pub term: Option<Timestamp>,
    /// For how long the holder asks to be trusted without a sign of life.
    pub duration: Option<Duration>,
}

/// The Lease as this process sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What the Lease said at the last look; none if there was no Lease.
    pub record: Option<Record>,
    /// When this process first saw it in exactly this state.
    pub unchanged_since: Instant,
}

/// The process that wants to lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The name under which it holds the Lease; the same for all lives of one pod.
    pub identity: String,
    /// What it holds at the moment.
    pub lead: Option<Lead>,
}

/// A term that this process won.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lead {
    /// The acquire time that it wrote.
    pub term: Timestamp,
    /// From when on this process must have stopped.
    pub ends: Instant,
}

/// What to do about the Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Nobody holds the Lease: write it, held by this process.
    Take(Vacancy),
    /// The term is this process's own: replace it with a new renew time.
    Renew,
    /// Somebody else leads.
    Wait {
        /// Who.
        holder: String,
        /// When the Lease becomes vacant if nothing changes.
        until: Instant,
    },
    /// This process led, and must stop at once.
    StepDown(Loss),
}

/// Why a Lease may be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vacancy {
    /// There is no Lease yet.
    Absent,
    /// Its last holder gave it back.
    Released,
    /// Its holder showed no sign of life for its duration.
    Expired {
        /// Who held it.
        holder: String,
    },
    /// An earlier life of this process holds it. It has ended, or stops when it sees the new term.
    SameIdentity,
}

/// Why a leader is one no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// It could not renew in time.
    NotRenewed,
    /// The Lease was deleted.
    Deleted,
    /// The Lease was released by somebody else, for example a person who wants a failover.
    Released,
    /// Another replica holds it.
    TakenBy(String),
    /// Another process with the same identity holds it.
    TakenByNamesake,
}

impl fmt::Display for Vacancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("there was none"),
            Self::Released => f.write_str("nobody held it"),
            Self::Expired { holder } => write!(f, "{holder} stopped renewing it"),
            Self::SameIdentity => f.write_str("an earlier life of this replica held it"),
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRenewed => f.write_str("it could not be renewed in time"),
            Self::Deleted => f.write_str("it was deleted"),
            Self::Released => f.write_str("somebody else released it"),
            Self::TakenBy(holder) => write!(f, "{holder} holds it"),
            Self::TakenByNamesake => f.write_str("another process with the same identity holds it"),
        }
    }
}

/// Decides what `me` does about the Lease at `now`. `fallback` is the duration of a holder that states none.
pub fn decide(seen: &Seen, me: &Candidate, fallback: Duration, now: Instant) -> Decision {
    match &me.lead {
        Some(lead) => keep(seen, &me.identity, *lead, now),
        None => gain(seen, &me.identity, fallback, now),
    }
}

/// A leader goes on only while the Lease is exactly the one it wrote. Anything else means that another replica leads,
/// or may lead at any moment, and a restart costs less than two leaders.
fn keep(seen: &Seen, identity: &str, lead: Lead, now: Instant) -> Decision {
    let Some(record) = &seen.record else {
        return Decision::StepDown(Loss::Deleted);
    };
    match &record.holder {
        None => Decision::StepDown(Loss::Released),
        Some(holder) if holder != identity => Decision::StepDown(Loss::TakenBy(holder.clone())),
        Some(_) if record.term != Some(lead.term) => Decision::StepDown(Loss::TakenByNamesake),
        Some(_) if now >= lead.ends => Decision::StepDown(Loss::NotRenewed),
        Some(_) => Decision::Renew,
    }
}

fn gain(seen: &Seen, identity: &str, fallback: Duration, now: Instant) -> Decision {
    let Some(record) = &seen.record else {
        return Decision::Take(Vacancy::Absent);
    };
    let Some(holder) = &record.holder else {
        return Decision::Take(Vacancy::Released);
    };
    if holder == identity {
        return Decision::Take(Vacancy::SameIdentity);
    }
    let until = seen.unchanged_since + record.duration.unwrap_or(fallback);
    if now >= until {
        Decision::Take(Vacancy::Expired { holder: holder.clone() })
    } else {
        Decision::Wait { holder: holder.clone(), until }
    }
}
