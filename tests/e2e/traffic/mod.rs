//! No request fails: whatever happens to a rollout, its clients notice nothing.
//!
//! Every test has clients that send 200 requests a second or more from before its first change to after its last one.
//! None of them may fail, and none is sent twice. What nobody can prevent is measured in `vanished`.

mod blue_green;
mod broken;
mod canary;
mod interrupted;
mod newer;
mod preempted;
mod rollback;
mod vanished;
mod without_router;

use landfall::api::deployment_status::{DeploymentStatus, Phase};

use crate::stage::{Stage, load::Load, manifests, witness::Witness};

/// How many requests a second are sent where nothing is counted but failures.
const RATE: u32 = 200;

/// How long a weight settles. With Contour an acknowledged weight is in force: of six switches between two Services on a
/// busy machine, the last answer of the old one was to a request from 21 to 89 ms before the acknowledgement.
const SETTLE: &str = "500ms";

/// A stage behind the gateway with this strategy, on which version 1.0.0 runs and 2.0.0 can be wanted.
async fn stage(test: &str, strategy: &str) -> Stage {
    let stage = Stage::new(test).await;
    stage.apply(&manifests::profile_settling(strategy, SETTLE)).await;
    begin(&stage).await;
    stage
}

async fn begin(stage: &Stage) {
    stage.package("1.0.0").await;
    stage.package("2.0.0").await;
    stage.want("1.0.0").await;
    let first = stage.ended().await;
    assert_eq!(first.phase, Some(Phase::Succeeded), "{first:?}");
}

/// Clients and a witness.
async fn watched(stage: &Stage) -> (Load, Witness) {
    (Load::start(&stage.host(), RATE).await, Witness::new(stage))
}

/// Whether a person is waited for.
fn is_paused(status: &DeploymentStatus) -> bool {
    status.phase == Some(Phase::Paused)
}

/// Whether this version is the stable one.
fn is_stable(status: &DeploymentStatus, version: &str) -> bool {
    let stable = status.revision.as_ref().and_then(|revision| revision.stable.as_ref());
    stable.is_some_and(|stable| stable.version == version)
}

/// Whether this version is the one that a run is about.
fn is_candidate(status: &DeploymentStatus, version: &str) -> bool {
    let candidate = status.revision.as_ref().and_then(|revision| revision.candidate.as_ref());
    candidate.is_some_and(|candidate| candidate.version == version)
}

/// Fails unless this is how the run of the wanted version ended.
fn assert_ended(status: &DeploymentStatus, phase: Phase, code: Option<&str>) {
    let found = status.error.as_ref().map(|error| error.code.as_str());
    assert_eq!((status.phase, found), (Some(phase), code), "{status:#?}");
}
