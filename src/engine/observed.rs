//! What was seen of the world at one look.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::engine::{command::Command, share::Share, verdict::Measurement};

/// The name of a revision: the hash of its content.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub String);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something that was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen<T> {
    /// It is not there.
    Absent,
    /// It is there.
    Present(T),
    /// Whether it is there could not be found out, and why.
    Unknown(String),
}

/// The pods of one revision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pods {
    /// How many are asked for.
    pub scale: u32,
    /// How many are ready.
    pub ready: u32,
    /// How many are older than the restart that is under way.
    pub outdated: u32,
    /// Whether a part of the revision is gone. What is left can be taken, and is as good as nothing for anybody who needs the
    /// revision: making it again makes what is missing.
    pub partial: bool,
}

/// One Service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// The revisions that its selector matches.
    pub selects: BTreeSet<Revision>,
    /// The ready endpoints in all its `EndpointSlices`, by the revision of the pod that they point at.
    pub endpoints: BTreeMap<Revision, u32>,
    /// Whether it stands for several, and one of them selects nothing or is not there, although the others select something:
    /// it lost its turn, and nobody behind it is reached. Such a one can be turned at any time.
    pub partial: bool,
    /// The version of the object, which a write of it is based on.
    pub version: u64,
}

/// The word of the routers about a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acknowledged {
    /// All accepted the route at this generation.
    At(u64),
    /// One refused it, and why.
    Refused(String),
    /// One has not said anything yet.
    Silent,
}

/// The routes of a package, which carry their weights together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The version of the object, which a write of it is based on.
    pub version: u64,
    /// The generation of what is written.
    pub generation: u64,
    /// Another number: the routes were deleted and made anew, and nothing of what was known about them holds.
    pub lineage: u64,
    /// The candidate Service's share, as written; the largest where the routes differ, because somebody was killed between
    /// two of them. The rest is the stable Service's.
    pub split: Share,
    /// The smallest share that is written.
    pub least: Share,
    /// What the routers say.
    pub acknowledged: Acknowledged,
}

/// One measurement of a check, which the engine asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// The key of the action that asked.
    pub key: String,
    /// What was found.
    pub result: Measurement,
}

/// Everything that a decision sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The revisions that exist in the cluster.
    pub revisions: Seen<BTreeMap<Revision, Pods>>,
    /// The Service that clients know.
    pub stable: Seen<Service>,
    /// The Service of the revision under test.
    pub candidate: Seen<Service>,
    /// The routes.
    pub route: Seen<Route>,
    /// What the package depends on and is not there yet, by name.
    pub missing: Seen<Vec<String>>,
    /// What is fatally wrong with the candidate's pods, as a sentence.
    pub trouble: Option<String>,
    /// Measurements that were asked for.
    pub measured: Vec<Measured>,
    /// The commands on the object.
    pub commands: Vec<Command>,
}

/// The world where nothing in it is unknown. Whatever writes to the world starts from one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The revisions that exist.
    pub revisions: BTreeMap<Revision, Pods>,
    /// The Service that clients know.
    pub stable: Option<Service>,
    /// The Service of the revision under test.
    pub candidate: Option<Service>,
    /// The routes.
    pub route: Option<Route>,
}

impl Observed {
    /// The world, if all of it is known.
    ///
    /// # Errors
    /// Says what is not known.
    pub fn known(&self) -> Result<Known, String> {
        Ok(Known {
            revisions: known(&self.revisions, "the revisions")?.unwrap_or_default(),
            stable: known(&self.stable, "the stable Service")?,
            candidate: known(&self.candidate, "the candidate Service")?,
            route: known(&self.route, "the route")?,
        })
    }
}

fn known<T: Clone>(seen: &Seen<T>, what: &str) -> Result<Option<T>, String> {
    match seen {
        Seen::Absent => Ok(None),
        Seen::Present(value) => Ok(Some(value.clone())),
        Seen::Unknown(cause) => Err(format!("{what}: {cause}")),
    }
}

impl Known {
    /// The pods of a revision; none where it does not exist.
    pub fn pods(&self, revision: &Revision) -> Pods {
        self.revisions.get(revision).copied().unwrap_or_default()
    }

    /// Whether a revision exists with all its parts.
    pub fn is_whole(&self, revision: &Revision) -> bool {
        self.revisions.get(revision).is_some_and(|pods| !pods.partial)
    }

    /// Whether a Service selects it.
    pub fn is_selected(&self, revision: &Revision) -> bool {
        [&self.stable, &self.candidate].into_iter().flatten().any(|service| service.selects.contains(revision))
    }
}

impl Service {
    /// Whether requests to it may arrive at this revision, now or as soon as it has a pod.
    pub fn reaches(&self, revision: &Revision) -> bool {
        self.selects.contains(revision) || self.endpoints.get(revision).is_some_and(|ready| *ready > 0)
    }

    /// Whether all that it stands for selects these, and nothing else.
    pub fn is_turned_to(&self, revisions: &BTreeSet<Revision>) -> bool {
        self.selects == *revisions && !self.partial
    }

    /// Its ready endpoints.
    pub fn ready(&self) -> u32 {
        self.endpoints.values().sum()
    }

    /// Whether every ready endpoint points at a pod that the selector matches.
    pub fn has_followed(&self) -> bool {
        self.endpoints.iter().all(|(revision, ready)| *ready == 0 || self.selects.contains(revision))
    }
}

impl Route {
    /// Whether all routes say the same.
    pub fn is_even(&self) -> bool {
        self.least == self.split
    }
}
