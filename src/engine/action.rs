//! What a step asks to be done to the world.
//!
//! An action states what is to be, not what is to change, so doing it twice is doing it once. Each of a step's actions is
//! safe by itself: they may be carried out in any order, and any of them may be left out.

use std::{collections::BTreeSet, fmt};

use crate::engine::{
    moment::Moment,
    observed::{Known, Revision},
    share::Share,
};

/// One change to the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make the revision's objects, with this many pods.
    Create(Revision, u32),
    /// Give the revision this many pods.
    Scale {
        /// The revision.
        revision: Revision,
        /// The pods it has now.
        from: u32,
        /// The pods it is to have.
        to: u32,
    },
    /// Remove the revision's objects.
    Delete(Revision),
    /// Let the stable Service select these revisions.
    Front {
        /// What it selects now.
        from: BTreeSet<Revision>,
        /// What it is to select.
        to: BTreeSet<Revision>,
    },
    /// Let the candidate Service select this revision.
    Preview {
        /// What it selects now.
        from: BTreeSet<Revision>,
        /// What it is to select.
        to: Revision,
    },
    /// Give the candidate Service this share of every route.
    Weigh {
        /// The share it has now; none where the route does not know it yet.
        from: Option<Share>,
        /// The share it is to have.
        to: Share,
    },
    /// Evict pods of the revision that are older than this, within the limits of its disruption budgets.
    Renew(Revision, Moment),
    /// Take one measurement of a check.
    Measure(String),
}

/// How to take an action back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undo {
    /// By another action.
    By(Box<Action>),
    /// It changes nothing that lasts.
    Nothing,
    /// Not at all: the intent must be recorded first.
    Irreversible,
}

/// What a decision rests on. The executor reads these objects anew and leaves the action out where one has another
/// version: the next look decides again. Caches lag, so without this an old look could take pods from live traffic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// The version of the routes; none where there are none.
    pub route: Option<u64>,
    /// The version of the stable Service; none where it does not exist.
    pub stable: Option<u64>,
    /// The version of the candidate Service; none where it does not exist.
    pub candidate: Option<u64>,
}

/// An action, and how to carry it out at most once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// What to do.
    pub action: Action,
    /// The same for the same action of the same run and stage.
    pub key: String,
    /// What must still hold; none where the action is safe in any world.
    pub given: Option<Given>,
}

impl Given {
    /// What was seen.
    pub fn of(known: &Known) -> Self {
        Self {
            route: known.route.as_ref().map(|route| route.version),
            stable: known.stable.as_ref().map(|service| service.version),
            candidate: known.candidate.as_ref().map(|service| service.version),
        }
    }
}

impl Action {
    /// How to take it back.
    pub fn undo(&self) -> Undo {
        let by = |action| Undo::By(Box::new(action));
        match self {
            Self::Create(revision, _) => by(Self::Delete(revision.clone())),
            Self::Scale { revision, from, to } => by(Self::Scale { revision: revision.clone(), from: *to, to: *from }),
            Self::Front { from, to } => by(Self::Front { from: to.clone(), to: from.clone() }),
            Self::Preview { from, to } => match from.first() {
                Some(before) => by(Self::Preview { from: [to.clone()].into(), to: before.clone() }),
                None => Undo::Nothing,
            },
            Self::Weigh { from, to } => by(Self::Weigh { from: Some(*to), to: from.unwrap_or(Share::NONE) }),
            Self::Measure(_) => Undo::Nothing,
            Self::Delete(_) | Self::Renew(..) => Undo::Irreversible,
        }
    }

    /// Whether it is safe in any world, so that it rests on nothing that was seen.
    pub fn is_free(&self) -> bool {
        match self {
            Self::Create(..) | Self::Measure(_) | Self::Renew(..) => true,
            Self::Scale { from, to, .. } => to >= from,
            Self::Delete(_) | Self::Front { .. } | Self::Preview { .. } | Self::Weigh { .. } => false,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(revision, pods) => write!(f, "create {revision} with {pods} pods"),
            Self::Scale { revision, from, to } => write!(f, "scale {revision} from {from} to {to}"),
            Self::Delete(revision) => write!(f, "delete {revision}"),
            Self::Front { to, .. } => write!(f, "stable Service selects {}", list(to)),
            Self::Preview { to, .. } => write!(f, "candidate Service selects {to}"),
            Self::Weigh { to, .. } => write!(f, "candidate weight {to}"),
            Self::Renew(revision, _) => write!(f, "evict old pods of {revision}"),
            Self::Measure(check) => write!(f, "measure {check}"),
        }
    }
}

/// Revisions for people.
pub fn list(revisions: &BTreeSet<Revision>) -> String {
    revisions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}
