//! What is remembered of a decision, beside the engine's state.

use std::collections::BTreeSet;

use super::{Scene, site};
use crate::{
    engine::{action::Action, observed::Revision, step::Step},
    rollout::{
        aim::rehearses,
        record::{Record, Rendered},
        terms::Terms,
    },
};

impl Scene<'_> {
    /// What is to be remembered after a decision.
    pub(super) fn record(&self, step: &Step) -> Record {
        let prior = self.prior.clone().unwrap_or_default();
        let state = step.state.clone();
        let begun = state.run.as_ref().map(|run| run.number) != prior.state.run.as_ref().map(|run| run.number);
        let checks = match (&self.aim.intent, begun) {
            (Some(intent), true) => intent.checks.clone(),
            _ => prior.checks.clone(),
        };
        let fronted = step.actions.iter().find_map(|planned| match &planned.action {
            Action::Front { to, .. } if self.front().is_some() => Some(to.clone()),
            _ => None,
        });
        let mut versions = prior.versions.clone();
        if let Some(rendered) = &self.aim.rendered {
            versions.insert(rendered.revision.clone(), rendered.version.clone());
        }
        let run = state.run.as_ref().map(|run| &run.revision);
        let wanted = self.aim.rendered.as_ref().map(|rendered| &rendered.revision);
        let known: BTreeSet<&Revision> =
            state.stable.iter().chain(&state.kept).chain(&state.rejected).chain(run).chain(wanted).collect();
        versions.retain(|revision, _| known.contains(revision));
        let wish = self.aim.intent.as_ref().map(|intent| &intent.terms);
        // What is only rehearsed is not recorded as a revision: it is rendered again when it is to be carried out.
        let rehearses = rehearses(&self.deployment.spec);
        let mut record = Record {
            wanted: if rehearses { prior.wanted.clone() } else { self.aim.rendered.clone() },
            versions,
            front: fronted.unwrap_or(prior.front.clone()),
            checks,
            terms: Terms::after(&prior, &state, (wish, site::written(self, prior.terms.as_ref()))),
            state,
            ..prior
        };
        record.stamp(self.now);
        record
    }

    /// Asks the records for the versions of revisions that were read back from the cluster.
    pub(super) async fn name(&self, record: &mut Record) {
        let state = &record.state;
        let run = state.run.iter().map(|run| &run.revision);
        let nameless = state.stable.iter().chain(&state.kept).chain(run);
        let nameless: BTreeSet<Revision> =
            nameless.filter(|revision| !record.versions.contains_key(revision)).cloned().collect();
        for revision in nameless {
            let release = self.release(&revision).await;
            if let Ok(release) = release {
                record.versions.insert(revision, release.version.clone());
            }
        }
    }

    /// Remembers what proves the records of all revisions that there are, as far as it was seen.
    pub(super) fn prove(&self, record: &mut Record) {
        let Record { state, versions, digests, wanted, .. } = record;
        let live = self.owned.replica_sets.values().map(|set| &set.revision);
        let run = state.run.as_ref().map(|run| &run.revision);
        let known: BTreeSet<&Revision> =
            versions.keys().chain(live).chain(&state.kept).chain(&state.stable).chain(run).collect();
        digests.retain(|revision, _| known.contains(revision));
        for revision in known {
            if let Some(digest) = self.operator.releases.digest(&self.ground.owner, revision) {
                digests.insert(revision.clone(), digest);
            }
        }
        if let Some(Rendered { revision, digest: Some(digest), .. }) = wanted {
            digests.insert(revision.clone(), digest.clone());
        }
    }
}
