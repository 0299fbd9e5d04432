//! A dry run or a validation asks the API server about every object before the engine is asked.
//!
//! What would be refused stands against the spec as if it could not be rendered: what runs goes on, and nothing begins.

use std::{sync::Arc, time::Duration};

use tracing::debug;

use super::{Scene, site};
use crate::{
    api::condition::ConditionReason,
    cluster::{call::CallError, execute::ExecuteError, revision::RevisionError},
    kinds::workload::release::Release,
    rollout::{
        aim::{self, is_due},
        status::Problem,
    },
    telemetry::chain,
};

/// How long after a refusal that need not be the spec's fault the API server is asked again.
const AGAIN: Duration = Duration::from_secs(30);

/// Tries a release that is only to be rehearsed.
///
/// # Errors
/// The API server could not be asked.
pub async fn rehearse(scene: &mut Scene<'_>) -> Result<(), CallError> {
    let Some(problem) = problem(scene).await? else { return Ok(()) };
    scene.aim.problem = Some(problem);
    scene.aim.intent = None;
    scene.aim.rendered = scene.prior.as_ref().and_then(|record| record.wanted.clone());
    Ok(())
}

async fn problem(scene: &mut Scene<'_>) -> Result<Option<Problem>, CallError> {
    let (Some(intent), Some(rendered)) = (&scene.aim.intent, &scene.aim.rendered) else { return Ok(None) };
    let state = scene.prior.as_ref().map(|record| &record.state);
    if scene.aim.problem.is_some() || !is_due(intent, &rendered.revision, state) {
        return Ok(None);
    }
    let (namespace, name) = (&scene.ground.namespace, scene.wish().account);
    if !scene.operator.has_account(namespace, &name).await? {
        scene.again = Some(AGAIN);
        return Ok(Some(aim::pending(aim::no_account(namespace, &name))));
    }
    let release = match scene.aim.release.clone() {
        Some(release) => release,
        None => match kept(scene, &rendered.revision).await {
            Ok(release) => release,
            Err(RevisionError::Call(_, error)) => return Err(error),
            Err(error) => return Ok(Some(aim::invalid(error.to_string()))),
        },
    };
    let errors = site::rehearse(scene, &release).await;
    if errors.iter().any(|error| !matches!(error, ExecuteError::Refused(..) | ExecuteError::Route(_))) {
        scene.again = Some(AGAIN);
    }
    judge(errors)
}

async fn kept(scene: &Scene<'_>, revision: &crate::engine::observed::Revision) -> Result<Arc<Release>, RevisionError> {
    scene.release(revision).await
}

/// What the answers add up to. One that says nothing about the objects is an error, and they are all asked again.
fn judge(errors: Vec<ExecuteError>) -> Result<Option<Problem>, CallError> {
    let mut refused = Vec::new();
    let mut reason = ConditionReason::InvalidSpec;
    for error in errors {
        match error {
            ExecuteError::Call(place, cause) => {
                debug!(%place, error = chain(&cause), "an object could not be tried");
                return Err(cause);
            }
            other => {
                if refused.is_empty() && matches!(other, ExecuteError::NotOwned { .. }) {
                    reason = ConditionReason::ObjectNotOwned;
                }
                refused.push(chain(&other));
            }
        }
    }
    Ok((!refused.is_empty()).then(|| Problem::Stalled { reason, message: refused.join("; ") }))
}
