//! What the operator remembers of a Deployment, stored as one text in its status.
//!
//! One text, because the API server keeps a record of the owner of every field: as an object this would cost more there
//! than it holds.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    api::check::Check,
    engine::{moment::Moment, observed::Revision, state::State},
    rollout::{terms::Terms, words::hexadecimal},
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
    /// The Lease of the operator that looks after the Deployment, as `namespace/name`; none before it wrote anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// What the engine remembers.
    pub state: State,
    /// The wanted revision, and what it was rendered from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Rendered>,
    /// The versions, as they are shown, of the revisions that are known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub versions: BTreeMap<Revision, String>,
    /// The digests of their records, by which those are proven when they are read back.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub digests: BTreeMap<Revision, String>,
    /// What the stable Service of a package without Services would select.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub front: BTreeSet<Revision>,
    /// The checks of the run, as they were when it started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// The terms of the last run, as they were when it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
    /// When the run began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Started>,
}

/// When a run began. The times of a status have no milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The number of the run.
    pub run: u64,
    /// Its first moment.
    pub at: Moment,
}

/// What a revision was rendered from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rendered {
    /// The digest of the inputs: where it is the same, so is the revision.
    pub inputs: String,
    /// The revision.
    pub revision: Revision,
    /// How many instances its largest workload asks for.
    pub replicas: u32,
    /// The version of the package, as it is shown.
    pub version: String,
    /// How many routed Services it has.
    #[serde(default)]
    pub services: usize,
    /// How many routes of its own it has.
    #[serde(default)]
    pub routes: usize,
    /// Why two revisions must not run beside each other; none where they may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alone: Option<String>,
    /// The digest of its record, where that was written or looked at just now: it is remembered with those of the others.
    #[serde(skip)]
    pub digest: Option<String>,
}

impl Record {
    /// Reads what [`Record::write`] wrote; none where it is of another form, or no record at all.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str::<Self>(text).ok().filter(|record| record.format == FORMAT)
    }

    /// Notes when the run began, if it is one that was not there at the look before. To be called after every decision.
    pub fn stamp(&mut self, now: Moment) {
        let number = self.state.run.as_ref().map(|run| run.number);
        if let Some(run) = number.filter(|number| self.started.is_none_or(|started| started.run != *number)) {
            self.started = Some(Started { run, at: now });
        }
    }

    /// The id and the number of the run under way, or of the last one.
    pub fn current(&self, uid: &str) -> Option<(String, u64)> {
        let run = self.state.run.as_ref()?;
        let started = self.started.filter(|started| started.run == run.number)?;
        Some((run_id(uid, run.number, started.at), run.number))
    }

    /// The text for the status.
    pub fn write(&self) -> String {
        // Nothing in it refuses to be JSON: its maps have texts as keys.
        serde_json::to_string(&Self { format: FORMAT, ..self.clone() }).unwrap_or_default()
    }
}

/// What the id of every run starts with.
pub const RUN_PREFIX: &str = "deploy-";

/// The characters of the hash in a run's id.
const RUN_HASH: usize = 10;

/// The id of a run, unique in all clusters. Numbers start anew when a status is lost, so the time of the start is part of
/// it: to the second, as a status has it, so that whoever reads the status finds the same id.
pub fn run_id(uid: &str, number: u64, started: Moment) -> String {
    let digest = Sha256::digest(format!("{uid}/{number}/{}", started.0 / 1000).as_bytes());
    format!("{RUN_PREFIX}{}", hexadecimal(&digest, RUN_HASH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_an_id_of_its_own() {
        let id = run_id("5f1c", 1, Moment(1_000));
        assert_eq!(id, "deploy-f25c255d27");
        for other in
            [run_id("5f1d", 1, Moment(1_000)), run_id("5f1c", 2, Moment(1_000)), run_id("5f1c", 1, Moment(2_000))]
        {
            assert_ne!(id, other);
        }
        assert_eq!(id, run_id("5f1c", 1, Moment(1_999)));
    }

    #[test]
    fn a_record_comes_back_and_one_of_another_form_does_not() {
        let record = Record { started: Some(Started { run: 3, at: Moment(7) }), ..Record::default() };
        assert_eq!(Record::read(&record.write()), Some(Record { format: FORMAT, ..record.clone() }));
        for text in ["", "{}", &record.write().replace("\"format\":1", "\"format\":2")] {
            assert_eq!(Record::read(text), None, "{text}");
        }
    }

    #[test]
    fn the_start_of_a_run_is_stamped_once() {
        let mut record = Record::default();
        record.stamp(Moment(1));
        assert_eq!(record.started, None);
        record.started = Some(Started { run: 1, at: Moment(1) });
        record.stamp(Moment(5));
        assert_eq!(record.started, Some(Started { run: 1, at: Moment(1) }));
    }
}
