//! What the operator remembers of a Deployment, stored as one text in its status.
//!
//! One text, because the API server keeps a record of the owner of every field: as an object this would cost more there
//! than it holds.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    api::check::Check,
    engine::{observed::Revision, state::State},
};

/// The form of [`Record`] that this program writes and reads. Another one is as good as none: the state is then read back
/// from the cluster and a person decides.
pub const FORMAT: u32 = 1;

/// All that is remembered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The form of this record; see [`FORMAT`].
    pub format: u32,
    /// What the engine remembers.
    pub state: State,
    /// The wanted revision, and what it was rendered from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Rendered>,
    /// The versions, as they are shown, of the revisions that are known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub versions: BTreeMap<Revision, String>,
    /// What the stable Service of a package without Services would select.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub front: BTreeSet<Revision>,
    /// The checks of the run, as they were when it started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
}

/// What a revision was rendered from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rendered {
    /// The digest of the inputs: where it is the same, so is the revision.
    pub inputs: String,
    /// The revision.
    pub revision: Revision,
    /// How many instances its largest workload asks for.
    pub replicas: u32,
    /// The packages that it depends on are known by this version of the package.
    pub version: String,
}

impl Record {
    /// Reads what [`Record::write`] wrote; none where it is of another form, or no record at all.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str::<Self>(text).ok().filter(|record| record.format == FORMAT)
    }

    /// The text for the status.
    pub fn write(&self) -> String {
        // Nothing in it refuses to be JSON: its maps have texts as keys.
        serde_json::to_string(&Self { format: FORMAT, ..self.clone() }).unwrap_or_default()
    }
}
