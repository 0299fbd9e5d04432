//! Stores what was decided, as soon as it has to be, and tells people of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;
use tracing::{info, warn};

use super::Scene;
use crate::{
    api::{deployment::Deployment, deployment_status::DeploymentStatus},
    cluster::write::Place,
    controller::{driver::Outcome, memory::Mind},
    engine::{action::Action, step::Step},
    rollout::record::Record,
    telemetry::chain,
};

/// The shortest time between two statuses of one Deployment that differ in words only.
const STATUS_PAUSE: Duration = Duration::from_secs(1);

/// How long a status that is not pressing waits where many others do.
const WORDS_PAUSE: Duration = Duration::from_secs(5);

/// What became of a status.
pub(super) enum Stored {
    /// It is stored, or says what is stored already.
    Now,
    /// It says hardly anything new, and is kept for a while.
    Later(Duration),
}

impl Scene<'_> {
    /// Stores what was decided.
    pub(super) async fn store(
        &mut self,
        mind: &mut Mind,
        (passed, mut status, mut record): (Vec<DeploymentStatus>, DeploymentStatus, Record),
        step: &Step,
    ) -> Result<Stored, Outcome> {
        let before = self.deployment.status.as_ref();
        // Nothing is done to what does not bear the name of this operator: of two that look at once, one is refused.
        let own = self.operator.others.own();
        if before == Some(&status) && (!changes(step) || record.operator.as_deref() == Some(own)) {
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
        mind.pass(self.deployment.status.as_ref(), passed);
        if !rest.is_zero() {
            mind.record = Some(record);
            let passed = matches!(urgency, Urgency::Step).then_some(status);
            mind.pass(self.deployment.status.as_ref(), passed);
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

    pub(super) async fn write(
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
        let turn = self.operator.writing.acquire().await;
        let answer = self.operator.writer.replace_status(&place, &object).await;
        drop(turn);
        self.operator.metrics.status_written(answer.as_ref().map(|_| ()).map_err(|_| ()));
        match answer {
            Ok(version) => {
                self.told(mind, &status);
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
    fn told(&self, mind: &mut Mind, status: &DeploymentStatus) {
        let before = self.deployment.status.as_ref();
        for event in mind.tell(before, status) {
            info!(reason = event.reason, "{}", event.note);
            self.operator.events.tell(&*self.deployment, event);
        }
        if before.and_then(|before| before.phase) != status.phase
            && let Some(phase) = status.phase.filter(|phase| phase.is_terminal())
        {
            self.operator.metrics.run_ended(phase.as_str());
        }
    }
}

/// How soon a status is to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Urgency {
    /// At once: something is done after it, or people and programs wait for it.
    Now,
    /// At once where few others do: a step has come in which there is nothing to do yet. What is done after it is stored
    /// together with it.
    Step,
    /// Now and then.
    Words,
}

/// Whether a step writes anything but what it remembers. A measurement changes nothing.
fn changes(step: &Step) -> bool {
    step.actions.iter().any(|planned| !matches!(planned.action, Action::Measure(_)))
}

fn urgency(before: Option<&DeploymentStatus>, after: &DeploymentStatus, step: &Step) -> Urgency {
    let number = |status: &DeploymentStatus| status.current_step.as_ref().map(|step| step.number);
    match before {
        Some(before) if !changes(step) && !is_news(before, after) => {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::deployment_status::{CurrentStep, Phase, StepAction},
        engine::{action::Planned, observed::Revision, state::State},
    };

    fn status(phase: Phase, number: i32, waits: &str) -> DeploymentStatus {
        let step = CurrentStep { number, action: StepAction::default(), details: None, started_at: None };
        DeploymentStatus {
            phase: Some(phase),
            current_step: Some(step),
            waiting_for: Some(waits.to_owned()),
            ..DeploymentStatus::default()
        }
    }

    fn step(actions: Vec<Action>) -> Step {
        let plan = |action| Planned { action, key: String::new(), given: None };
        Step {
            actions: actions.into_iter().map(plan).collect(),
            state: State::default(),
            next: None,
            notes: Vec::new(),
        }
    }

    #[test]
    fn only_what_nothing_follows_from_and_nobody_waits_for_can_wait() {
        let before = status(Phase::Progressing, 3, "1 of 2 pods");
        let scale = Action::Scale { revision: Revision("bcdfg".to_owned()), from: 1, to: 2 };
        let soon = |after: &DeploymentStatus, actions| urgency(Some(&before), after, &step(actions));
        let same = || status(Phase::Progressing, 3, "2 of 2 pods");
        assert_eq!(soon(&same(), vec![]), Urgency::Words);
        assert_eq!(soon(&same(), vec![Action::Measure("health".to_owned())]), Urgency::Words, "it changes nothing");
        assert_eq!(soon(&same(), vec![scale]), Urgency::Now, "it is stored before it is done");
        assert_eq!(soon(&status(Phase::Progressing, 4, "time"), vec![]), Urgency::Step);
        assert_eq!(soon(&status(Phase::Paused, 4, "a person"), vec![]), Urgency::Now);
        let seen = DeploymentStatus { observed_generation: 2, ..same() };
        assert_eq!(soon(&seen, vec![]), Urgency::Now, "somebody waits for it");
        assert_eq!(urgency(None, &same(), &step(vec![])), Urgency::Now);
    }
}
