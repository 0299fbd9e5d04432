//! One look at a Deployment: observe, step, report, execute.
//!
//! The status is written before the actions that follow from it, under the version that it rests on; whoever cannot write
//! it carries nothing out. A status that only tells more of the same is written at most once a second.

mod aim;
mod checks;
pub mod others;
mod rehearsal;
mod remember;
mod sight;
mod site;
mod store;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tracing::{debug, warn};

use self::{
    aim::{Aim, Ground, aim},
    store::Stored,
};
use super::{
    driver::Outcome,
    memory::{Mind, Trouble},
    operator::{Operator, now},
};
use crate::{
    api::{condition::ConditionReason, deployment::Deployment, deployment_status::DeploymentStatus},
    cluster::{
        call::CallError,
        execute::ExecuteError,
        revision::RevisionError,
        store::{Key, Owned},
        write::Account,
    },
    engine::{
        action::{Action, Planned},
        moment::Moment,
        observed::{Measured, Observed, Revision, Seen},
        state::{Code, State},
        step::{Look, Step, Wanted, step},
    },
    kinds::workload::{objects::Owner, release::Release},
    rollout::{
        self,
        commands::{self, Asked, Current},
        record::Record,
        status::{Problem, Subject, View, report},
    },
    telemetry::chain,
};

/// How long what is not watched is left alone before it is asked for again.
const ASKING_PAUSE: Duration = Duration::from_secs(5);

/// The most steps that are passed in one look.
const PASSED_MAX: usize = 8;

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

impl Scene<'_> {
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
