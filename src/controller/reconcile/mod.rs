//! One look at a Deployment: observe, step, report, execute.
//!
//! The status is written before the actions that follow from it, under the version that it rests on; whoever cannot write
//! it carries nothing out. A status that only tells more of the same is written at most once a second.

mod aim;
mod checks;
pub mod others;
mod rehearsal;
mod site;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;
use tracing::{debug, info, warn};

use self::aim::{Aim, Ground, aim};
use super::{
    driver::Outcome,
    memory::{Mind, Trouble},
    operator::{Operator, now},
};
use crate::{
    analysis::pods,
    api::{condition::ConditionReason, deployment::Deployment, deployment_status::DeploymentStatus},
    cluster::{
        call::CallError,
        execute::ExecuteError,
        observe::{Beside, Sight, see},
        revision::RevisionError,
        store::{Key, Owned},
        write::{Account, Place},
    },
    engine::{
        action::{Action, Planned},
        moment::Moment,
        observed::{Measured, Observed, Pods, Revision, Seen},
        stage::Stage,
        state::{Code, Run, State},
        step::{Look, Step, Wanted, step},
    },
    kinds::workload::{objects::Owner, release::Release},
    rollout::{
        self,
        aim::rehearses,
        commands::{self, Asked, Current},
        dependencies::{self, Neighbour},
        describe,
        record::{Record, Rendered},
        status::{Problem, Subject, View, report},
        terms::Terms,
    },
    telemetry::chain,
    traffic::parent::parents,
};

/// The shortest time between two statuses of one Deployment that differ in words only.
const STATUS_PAUSE: Duration = Duration::from_secs(1);

/// How long what is not watched is left alone before it is asked for again.
const ASKING_PAUSE: Duration = Duration::from_secs(5);

/// How long a status that differs in words only waits where many others do.
const WORDS_PAUSE: Duration = Duration::from_secs(5);

/// The most steps that are passed in one look.
const PASSED_MAX: usize = 8;

/// How long pods may take to start before they are asked what they wait for.
const PODS_GRACE: Duration = Duration::from_secs(3);

/// Looks at a Deployment.
pub async fn look(operator: &Arc<Operator>, key: &Key) -> Outcome {
    // A Package or a Profile that has not been listed yet is not one that is missing. The end of the lists wakes all.
    if !operator.store.knows_wishes(&key.namespace) {
        return Outcome::Done(None);
    }
    let Some(deployment) = operator.store.deployment(key) else {
        // Nobody asks for it any more; another one of the same name is another one.
        drop(operator.minds.take(key));
        operator.measured.forget(key);
        others::forget(operator, key);
        return Outcome::Done(None);
    };
    if deployment.metadata.deletion_timestamp.is_some() {
        return Outcome::Done(None);
    }
    let mut mind = operator.minds.take(key);
    mind.refresh(&deployment);
    let claim = mind.record.as_ref().and_then(|record| record.operator.as_deref());
    if let Some(pause) = others::left(operator, key, (&deployment, claim)).await {
        return Outcome::Done(Some(pause));
    }
    let outcome = match Scene::set(operator, key, deployment, &mind).await {
        Ok(mut scene) => by(scene.play(&mut mind).await, scene.again),
        Err(error) => {
            debug!(error = chain(&error), "what is wanted could not be found out");
            mind.failures = mind.failures.saturating_add(1);
            Outcome::Failed(mind.failures)
        }
    };
    let outcome = patient(outcome, &mut mind);
    // What has nothing under way is read from its status when it is needed again.
    let idle = mind.record.as_ref().is_none_or(|record| record.state.active().is_none());
    if !idle || mind.trouble.is_some() || !matches!(outcome, Outcome::Done(None)) {
        operator.minds.keep(key, mind);
    }
    outcome
}

/// The looks in a row that may be older than the world before there is a growing pause between them.
const STALE_MAX: u32 = 5;

/// A view that stays older than the world, because a watch lags or broke, is no reason to ask the API server all the time.
fn patient(outcome: Outcome, mind: &mut Mind) -> Outcome {
    match outcome {
        Outcome::Done(_) => (mind.failures, mind.stale) = (0, 0),
        Outcome::Stale => mind.stale = mind.stale.saturating_add(1),
        Outcome::Failed(_) => {}
    }
    match outcome {
        Outcome::Stale if mind.stale > STALE_MAX => Outcome::Failed(mind.stale - STALE_MAX),
        outcome => outcome,
    }
}

/// Everything that one look is about.
struct Scene<'a> {
    operator: &'a Arc<Operator>,
    key: &'a Key,
    deployment: Arc<Deployment>,
    ground: Ground,
    owned: Owned,
    aim: Aim,
    prior: Option<Record>,
    asked: Asked,
    measured: Vec<Measured>,
    now: Moment,
    /// When to look again although nothing waits.
    again: Option<Duration>,
}

impl<'a> Scene<'a> {
    async fn set(
        operator: &'a Arc<Operator>,
        key: &'a Key,
        deployment: Arc<Deployment>,
        mind: &Mind,
    ) -> Result<Self, CallError> {
        let prior = mind.record.clone();
        let ground = ground(operator, &deployment, prior.as_ref());
        let aim = aim(operator, &deployment, prior.as_ref(), &ground).await?;
        let id = prior.as_ref().and_then(|record| record.current(&ground.owner.uid));
        let current = id.as_ref().map(|(id, number)| Current { id, number: *number });
        let empty = BTreeMap::new();
        let annotations = deployment.metadata.annotations.as_ref().unwrap_or(&empty);
        let asked = commands::read(annotations, operator.actors, current);
        let mut scene = Self {
            operator,
            key,
            owned: operator.store.owned(key, &ground.owner.uid),
            ground,
            again: aim.again,
            aim,
            prior,
            asked,
            measured: operator.measured.of(key),
            now: now(),
            deployment,
        };
        rehearsal::rehearse(&mut scene).await?;
        Ok(scene)
    }

    /// The look itself.
    async fn play(&mut self, mind: &mut Mind) -> Outcome {
        let (mut observed, hint) = self.observe(mind).await;
        let Some(wanted) = self.wanted() else {
            return self.tell_only(mind, &observed).await;
        };
        let (mut step, mut record) = self.decide(&wanted, &observed).await;
        let mut passed = Vec::new();
        while passed.len() < PASSED_MAX && self.is_pretended(&step).await {
            passed.push(self.status(mind, &record, &observed, wanted.desired));
            self.prior = Some(record);
            observed = self.observe(mind).await.0;
            (step, record) = self.decide(&wanted, &observed).await;
        }
        let prior = self.prior.as_ref().map(|record| &record.state);
        if let (Some(wait), Some(hint)) = (&mut record.state.waiting_for, &hint)
            && wait.contains(" pods of revision ")
        {
            *wait = format!("{wait}: {hint}");
        }
        let why = mind.trouble.as_ref().map(|trouble| trouble.message.as_str()).or(hint.as_deref());
        explain_deadline(&mut record, prior, why);
        let status = self.status(mind, &record, &observed, wanted.desired);
        let stored = match self.store(mind, (passed, status, record), &step).await {
            Ok(stored) => stored,
            Err(outcome) => return outcome,
        };
        if let Stored::Later(delay) = stored {
            return Outcome::Done(Some(sooner(Self::next(&step), Some(delay)).unwrap_or(delay)));
        }
        let outcome = self.act(mind, &step).await;
        // What pods say of themselves, and what a run waits for before it begins, is asked for and not watched.
        let asks = hint.is_some() || mind.short || matches!(observed.missing, Seen::Present(_));
        match outcome {
            Outcome::Done(next) if asks => Outcome::Done(sooner(next, Some(ASKING_PAUSE))),
            outcome => outcome,
        }
    }

    /// What a revision consists of, as its record says it, which has to be the one that is remembered.
    async fn release(&self, revision: &Revision) -> Result<Arc<Release>, RevisionError> {
        let Operator { releases, writer, .. } = &**self.operator;
        releases.get(writer, &self.ground.owner, revision, aim::digests(self.prior.as_ref())).await
    }

    /// A decision, and what is to be remembered of it.
    async fn decide(&self, wanted: &Wanted, observed: &Observed) -> (Step, Record) {
        let prior = self.prior.as_ref().map(|record| &record.state);
        let step = step(Look { wanted, prior, observed, now: self.now });
        let mut record = self.record(&step);
        self.name(&mut record).await;
        self.prove(&mut record);
        (step, record)
    }

    /// Whether a step only turns a Service that there is not. It is done when it is remembered, so the step after it can be
    /// decided in the same look, and both are stored as one.
    async fn is_pretended(&self, step: &Step) -> bool {
        if self.front().is_none() || !self.owned.services.is_empty() {
            return false;
        }
        let mut turned = Vec::new();
        for planned in &step.actions {
            let Action::Front { to, .. } = &planned.action else { return false };
            turned.extend(to);
        }
        for revision in &turned {
            let release = self.release(revision).await;
            // What revisions share is applied together with the turn.
            if !release.is_ok_and(|release| release.shared.is_empty()) {
                return false;
            }
        }
        !turned.is_empty()
    }

    /// What the engine is to bring; none where that has never been known.
    fn wanted(&self) -> Option<Wanted> {
        let rendered = self.aim.rendered.as_ref()?;
        rollout::aim::wanted(&self.deployment.spec, rendered, self.aim.intent.as_ref(), self.prior.as_ref())
    }

    /// What is seen, and what may be behind it that pods are not ready.
    async fn observe(&self, mind: &mut Mind) -> (Observed, Option<String>) {
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
    fn front(&self) -> Option<&BTreeSet<Revision>> {
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
    fn wish(&self) -> Terms {
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

    /// What is to be remembered after a decision.
    fn record(&self, step: &Step) -> Record {
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
    async fn name(&self, record: &mut Record) {
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
    fn prove(&self, record: &mut Record) {
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

    fn status(&self, mind: &Mind, record: &Record, observed: &Observed, desired: u32) -> DeploymentStatus {
        let trouble = mind.trouble.as_ref().map(hindered);
        report(&View {
            subject: self.subject(),
            prior: self.deployment.status.as_ref(),
            record,
            observed,
            intent: self.aim.intent.as_ref(),
            problem: self.aim.problem.as_ref(),
            trouble: trouble.as_ref(),
            asked: &self.asked,
            pinned: self.aim.pinned.as_ref(),
            desired,
            now: self.now,
        })
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            uid: &self.ground.owner.uid,
            generation: self.deployment.metadata.generation.unwrap_or(0),
            label: &self.key.name,
            spec: &self.deployment.spec,
        }
    }

    /// Nothing is known to be wanted yet: the status says what is missing.
    async fn tell_only(&mut self, mind: &mut Mind, observed: &Observed) -> Outcome {
        let record = self.prior.clone().unwrap_or_default();
        let mut status = self.status(mind, &record, observed, 0);
        // Nothing was decided, so nothing is remembered: an object with a record would not be new any more.
        status.record = self.deployment.status.as_ref().and_then(|status| status.record.clone());
        if self.deployment.status.as_ref() == Some(&status) {
            return Outcome::Done(None);
        }
        match self.write(mind, status, None).await {
            Ok(()) => Outcome::Done(None),
            Err(outcome) => outcome,
        }
    }
}

/// What became of a status.
enum Stored {
    /// It is stored, or says what is stored already.
    Now,
    /// It says hardly anything new, and is kept for a while.
    Later(Duration),
}

impl Scene<'_> {
    /// Stores what was decided.
    async fn store(
        &mut self,
        mind: &mut Mind,
        (passed, mut status, mut record): (Vec<DeploymentStatus>, DeploymentStatus, Record),
        step: &Step,
    ) -> Result<Stored, Outcome> {
        let before = self.deployment.status.as_ref();
        let changes = step.actions.iter().any(|planned| !matches!(planned.action, Action::Measure(_)));
        // Nothing is done to what does not bear the name of this operator: of two that look at once, one is refused.
        let own = self.operator.others.own();
        if before == Some(&status) && (!changes || record.operator.as_deref() == Some(own)) {
            mind.record = Some(record);
            return Ok(Stored::Now);
        }
        let urgency = urgency(before, &status, step);
        let rest = match urgency {
            Urgency::Now => Duration::ZERO,
            Urgency::Step if self.operator.steps.take(Instant::now()) => Duration::ZERO,
            Urgency::Step => WORDS_PAUSE,
            Urgency::Words => self.rest(mind),
        };
        mind.pass(passed);
        if !rest.is_zero() {
            mind.record = Some(record);
            mind.pass(matches!(urgency, Urgency::Step).then_some(status));
            return Ok(Stored::Later(rest));
        }
        if record.operator.as_deref() != Some(own) {
            record.operator = Some(own.to_owned());
            status.record = Some(record.write());
        }
        self.write(mind, status, Some(record)).await?;
        Ok(Stored::Now)
    }

    /// How long a status that differs in words only has to wait.
    fn rest(&self, mind: &Mind) -> Duration {
        let rest = mind.written.map_or(Duration::ZERO, |at| STATUS_PAUSE.saturating_sub(at.elapsed()));
        if rest.is_zero() && !self.operator.words.take(Instant::now()) { WORDS_PAUSE } else { rest }
    }

    async fn write(
        &mut self,
        mind: &mut Mind,
        status: DeploymentStatus,
        record: Option<Record>,
    ) -> Result<(), Outcome> {
        let meta = &self.deployment.metadata;
        let object = json!({
            "apiVersion": "landfall.dev/v1alpha1",
            "kind": "Deployment",
            "metadata": {
                "name": meta.name, "namespace": meta.namespace, "resourceVersion": meta.resource_version, "uid": meta.uid,
            },
            "spec": self.deployment.spec,
            "status": status,
        });
        let place = Place::of(&object);
        let answer = self.operator.writer.replace_status(&place, &object).await;
        self.operator.metrics.status_written(answer.as_ref().map(|_| ()).map_err(|_| ()));
        match answer {
            Ok(version) => {
                self.told(&std::mem::take(&mut mind.untold), &status);
                mind.stored.clone_from(&status.record);
                mind.written = Some(Instant::now());
                mind.record = record.or(mind.record.take());
                self.operator.measured.drop_taken(self.key, &self.measured);
                let Deployment { metadata, spec, .. } = &*self.deployment;
                let metadata = ObjectMeta { resource_version: Some(version), ..metadata.clone() };
                let stored = Deployment { metadata, spec: spec.clone(), status: Some(status) };
                self.operator.store.put_deployment(stored.clone());
                self.deployment = Arc::new(stored);
                Ok(())
            }
            // The memory is of no use any more: the object is read again.
            Err(error) if error.is_conflict() || error.is_absent() => {
                let Mind { written, failures, stale, .. } = *mind;
                *mind = Mind { written, failures, stale, ..Mind::default() };
                Err(Outcome::Stale)
            }
            Err(error) => {
                warn!(error = chain(&error), "a status could not be written; nothing was done");
                mind.failures = mind.failures.saturating_add(1);
                Err(Outcome::Failed(mind.failures))
            }
        }
    }

    /// Tells people what is new, also of the steps that were passed on the way.
    fn told(&self, passed: &[DeploymentStatus], status: &DeploymentStatus) {
        let first = self.deployment.status.clone().unwrap_or_default();
        let mut before = &first;
        for after in passed.iter().chain([status]) {
            for event in describe::events(before, after) {
                info!(reason = event.reason, "{}", event.note);
                self.operator.events.tell(&self.deployment, event);
            }
            before = after;
        }
        if first.phase != status.phase
            && let Some(phase) = status.phase.filter(|phase| phase.is_terminal())
        {
            self.operator.metrics.run_ended(phase.as_str());
        }
    }

    /// Carries out what was decided, and says when to look again.
    async fn act(&mut self, mind: &mut Mind, step: &Step) -> Outcome {
        let (asked, actions): (Vec<Planned>, Vec<Planned>) =
            step.actions.iter().cloned().partition(|planned| matches!(planned.action, Action::Measure(_)));
        for planned in &asked {
            checks::measure(self, mind, planned);
        }
        let pause = mind.done.pause(actions.iter().map(|planned| planned.key.clone()).collect());
        let errors = if actions.is_empty() { Vec::new() } else { site::carry_out(self, mind, &actions).await };
        mourn(mind, &errors);
        let worst = errors.iter().find(|error| !error.is_transient()).or_else(|| errors.first());
        let trouble = worst.and_then(trouble);
        let news = trouble != mind.trouble;
        mind.trouble = trouble;
        match worst {
            None if actions.is_empty() => {
                if news {
                    Outcome::Stale
                } else {
                    Outcome::Done(Self::next(step))
                }
            }
            // What was done may allow more at once: the answers are in the store already.
            None => Outcome::Done(sooner(Self::next(step), Some(pause))),
            Some(ExecuteError::Changed(what)) => {
                debug!(what, "the view was old");
                Outcome::Stale
            }
            Some(error) => {
                warn!(error = chain(error), "an action was not carried out");
                mind.failures = mind.failures.saturating_add(1);
                if news { Outcome::Stale } else { Outcome::Failed(mind.failures) }
            }
        }
    }

    fn next(step: &Step) -> Option<Duration> {
        step.next.map(|at| Duration::from_millis(at.0.saturating_sub(now().0)))
    }
}

/// A record that is gone is made again at the next look, as long as its Package is there: what it was rendered from is
/// forgotten, so that it is rendered anew.
fn mourn(mind: &mut Mind, errors: &[ExecuteError]) {
    let Some(wanted) = mind.record.as_mut().and_then(|record| record.wanted.as_mut()) else { return };
    let is_gone = |error: &ExecuteError| matches!(error, ExecuteError::Revision(RevisionError::Absent(revision)) if *revision == wanted.revision);
    if errors.iter().any(is_gone) {
        wanted.inputs.clear();
    }
}

/// What kept actions from being carried out, as the status has it.
fn hindered(trouble: &Trouble) -> Problem {
    let message = trouble.message.clone();
    match trouble.stalled {
        Some(reason) => Problem::Stalled { reason, message },
        None => Problem::Pending { message },
    }
}

/// A deadline that has just passed says what there was no progress for.
fn explain_deadline(record: &mut Record, before: Option<&State>, why: Option<&str>) {
    let was_failing = before.and_then(State::active).is_none_or(|run| run.retreat.is_some());
    let (Some(run), Some(why), false) = (record.state.run.as_mut(), why, was_failing) else { return };
    let ended = run.outcome.as_mut().and_then(|outcome| outcome.failure.as_mut());
    for failure in run.retreat.iter_mut().chain(ended) {
        if failure.code == Code::ProgressDeadline {
            failure.message = format!("{}: {why}", failure.message);
        }
    }
}

/// How the status calls what kept an action from being carried out; none for what goes by itself.
fn trouble(error: &ExecuteError) -> Option<Trouble> {
    let stalled = match error {
        ExecuteError::Changed(_) => return None,
        ExecuteError::NotOwned { .. } => Some(ConditionReason::ObjectNotOwned),
        ExecuteError::Refused(..) | ExecuteError::Forbidden { .. } | ExecuteError::Route(_) => {
            Some(ConditionReason::InvalidSpec)
        }
        ExecuteError::Revision(cause) if !error.is_transient() => {
            let _ = cause;
            Some(ConditionReason::InvalidSpec)
        }
        ExecuteError::Revision(_) | ExecuteError::Call(..) => None,
    };
    Some(Trouble { stalled, message: chain(error) })
}

/// How soon a status is to be stored.
#[derive(Clone, Copy)]
enum Urgency {
    /// At once: something is done after it, or people and programs wait for it.
    Now,
    /// At once where few others do: a step has come in which there is nothing to do yet. What is done after it is stored
    /// together with it.
    Step,
    /// Now and then.
    Words,
}

fn urgency(before: Option<&DeploymentStatus>, after: &DeploymentStatus, step: &Step) -> Urgency {
    let number = |status: &DeploymentStatus| status.current_step.as_ref().map(|step| step.number);
    let changes = step.actions.iter().any(|planned| !matches!(planned.action, Action::Measure(_)));
    match before {
        Some(before) if !changes && !is_news(before, after) => {
            if number(before) == number(after) {
                Urgency::Words
            } else {
                Urgency::Step
            }
        }
        _ => Urgency::Now,
    }
}

/// Whether a status says something that people or programs wait for.
fn is_news(before: &DeploymentStatus, after: &DeploymentStatus) -> bool {
    let said = |status: &DeploymentStatus| {
        let conditions = status.conditions.iter();
        conditions.map(|condition| (condition.type_, condition.status, condition.reason)).collect::<Vec<_>>()
    };
    before.phase != after.phase
        || before.observed_generation != after.observed_generation
        || before.commands != after.commands
        || before.run.as_ref().map(|run| &run.id) != after.run.as_ref().map(|run| &run.id)
        || said(before) != said(after)
}

/// The same, with another look at the latest after this time.
fn by(outcome: Outcome, again: Option<Duration>) -> Outcome {
    match outcome {
        Outcome::Done(next) => Outcome::Done(sooner(next, again)),
        outcome => outcome,
    }
}

fn sooner(left: Option<Duration>, right: Option<Duration>) -> Option<Duration> {
    left.into_iter().chain(right).min()
}

fn ground(operator: &Operator, deployment: &Deployment, record: Option<&Record>) -> Ground {
    let meta = &deployment.metadata;
    let namespace = meta.namespace.clone().unwrap_or_default();
    let profile = operator.store.profile(&namespace, &deployment.spec.profile);
    let kept = record.and_then(|record| record.terms.as_ref()).map(|terms| terms.account.clone());
    let name =
        kept.unwrap_or_else(|| rollout::aim::account(profile.as_deref().map(|profile| &profile.spec)).to_owned());
    Ground {
        owner: Owner {
            name: meta.name.clone().unwrap_or_default(),
            namespace: namespace.clone(),
            uid: meta.uid.clone().unwrap_or_default(),
        },
        account: Account::Service { namespace: namespace.clone(), name },
        namespace,
    }
}
