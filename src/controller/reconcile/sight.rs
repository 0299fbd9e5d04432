//! What a look sees: the store's view, what pods say, and what a run lacks before it begins.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{ASKING_PAUSE, Scene, checks, site};
use crate::{
    analysis::pods,
    cluster::observe::{Beside, Sight, see},
    controller::memory::Mind,
    engine::{
        observed::{Observed, Pods, Revision, Seen},
        stage::Stage,
        state::Run,
    },
    rollout::{
        self,
        dependencies::{self, Neighbour},
        terms::Terms,
    },
    traffic::parent::parents,
};

/// How long pods may take to start before they are asked what they wait for.
const PODS_GRACE: Duration = Duration::from_secs(3);

impl Scene<'_> {
    /// What is seen, and what may be behind it that pods are not ready.
    pub(super) async fn observe(&self, mind: &mut Mind) -> (Observed, Option<String>) {
        let parents = self.owned.routes.iter().flat_map(|route| parents(&route.object)).collect();
        let controllers = self.operator.routers.of(&self.operator.writer, parents).await;
        let state = self.prior.as_ref().map(|record| &record.state);
        let beside = Beside {
            namespace: &self.ground.namespace,
            front: self.front(),
            stable: state.and_then(|state| state.stable.as_ref()),
            candidate: state.and_then(|state| state.active()).map(|run| &run.revision),
            rendered: self.aim.rendered.as_ref(),
            controllers: &controllers,
        };
        let sight = see(&self.operator.store, &self.owned, beside, Instant::now());
        let failed = sight.failed_job();
        let Sight { revisions, stable, candidate, route, jobs } = sight;
        let revisions = self.renewing(revisions).await;
        let open = jobs.values().flatten().map(|(name, _)| format!("Job {name} has not completed")).next();
        let pods = self.pods(mind, &revisions).await;
        let observed = Observed {
            revisions,
            stable,
            candidate,
            route,
            missing: self.missing().await,
            trouble: failed.or(pods.fatal),
            measured: self.measured.clone(),
            commands: self.asked.commands.clone(),
        };
        (observed, open.or(pods.hint))
    }

    /// What the pods of the revision under way say of themselves, while they are not all ready. They are given a moment to
    /// start, and are asked now and then.
    async fn pods(&self, mind: &mut Mind, revisions: &Seen<BTreeMap<Revision, Pods>>) -> pods::Trouble {
        let run = self.prior.as_ref().and_then(|record| record.state.active());
        let (Some(run), Seen::Present(known)) = (run, revisions) else {
            mind.short = false;
            return pods::Trouble::default();
        };
        let short = known.get(&run.revision).is_some_and(|pods| pods.ready < pods.scale);
        mind.short = short;
        if !short || self.now < run.entered.after(PODS_GRACE) {
            mind.said = None;
            return pods::Trouble::default();
        }
        let (at, said) = match mind.said.take() {
            Some((at, said)) if at.elapsed() < ASKING_PAUSE => (at, said),
            Some(older) if !self.operator.questions.take(Instant::now()) => older,
            None if !self.operator.questions.take(Instant::now()) => return pods::Trouble::default(),
            _ => (Instant::now(), checks::pods(self, &run.revision).await),
        };
        mind.said = Some((at, said.clone()));
        said
    }

    /// What a package without Services would select; none where the package has Services.
    pub(super) fn front(&self) -> Option<&BTreeSet<Revision>> {
        rollout::aim::front(self.aim.rendered.as_ref(), self.prior.as_ref())
    }

    /// Counts the pods that a restart still has to replace.
    async fn renewing(&self, revisions: Seen<BTreeMap<Revision, Pods>>) -> Seen<BTreeMap<Revision, Pods>> {
        let run = self.prior.as_ref().and_then(|record| record.state.active());
        let (Some(Run { revision, .. }), Some(Stage::Renew(before))) = (run, run.and_then(Run::stage)) else {
            return revisions;
        };
        let Seen::Present(mut known) = revisions else { return revisions };
        match site::outdated(self, revision, *before).await {
            Ok(outdated) => {
                if let Some(pods) = known.get_mut(revision) {
                    pods.outdated = outdated;
                }
                Seen::Present(known)
            }
            Err(error) => Seen::Unknown(error.to_string()),
        }
    }

    /// What a run needs before its first write. Asked for only while a run stands before it.
    async fn missing(&self) -> Seen<Vec<String>> {
        let state = self.prior.as_ref().map(|record| &record.state);
        let under_way = state.and_then(|state| state.active()).is_some_and(|run| run.stage() != Some(&Stage::Admit));
        if under_way {
            return Seen::Absent;
        }
        let mut missing = self.lacking();
        // The run that is about to start is on new terms.
        let (namespace, name) = (&self.ground.namespace, self.wish().account);
        match self.operator.has_account(namespace, &name).await {
            Ok(true) => {}
            Ok(false) => missing.push(rollout::aim::no_account(namespace, &name)),
            Err(error) => return Seen::Unknown(error.to_string()),
        }
        if missing.is_empty() { Seen::Absent } else { Seen::Present(missing) }
    }

    /// The terms of a run that would start now.
    pub(super) fn wish(&self) -> Terms {
        Terms::of(&self.deployment.spec, self.aim.profile.as_deref().map(|profile| &profile.spec))
    }

    /// The packages that this one depends on and that do not run yet.
    fn lacking(&self) -> Vec<String> {
        if self.aim.depends_on.is_empty() {
            return Vec::new();
        }
        let neighbours = self.operator.store.deployments_in(&self.key.namespace);
        let same = neighbours.iter().filter(|one| one.spec.profile == self.deployment.spec.profile);
        let neighbours: Vec<Neighbour> = same.map(|one| Neighbour::of(one)).collect();
        dependencies::missing(&self.aim.depends_on, &neighbours)
    }
}
