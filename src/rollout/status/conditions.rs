//! Conditions: what other programs wait for. All of them are there from the first look on, and their times change only
//! where their status does.

use super::{Problem, SENTENCE_MAX, Scene, UNHINDERED, runs, world::Judgement};
use crate::{
    api::{
        condition::{Condition, ConditionReason as Reason, ConditionStatus as Status, ConditionType as Type},
        deployment_status::{DeploymentStatus, Health, Phase, Traffic},
    },
    engine::state::Hold,
    rollout::words::{cut, time},
};

/// Where the Deployment stands, as other programs tell things apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// It moves, or will when what it waits for is there.
    Moving,
    /// A person holds it, or has to decide.
    Held,
    /// What is wanted is in force.
    Done,
    /// It will not be, without a change.
    Stuck,
}

/// A condition before it has its time.
struct Said {
    about: Type,
    status: Status,
    reason: Reason,
    message: String,
}

/// All conditions.
pub(super) fn conditions(scene: &Scene<'_>, status: &DeploymentStatus, health: &Judgement) -> Vec<Condition> {
    let stand = stand(scene, status);
    let said = [
        ready(scene, status, stand),
        reconciling(scene, status, stand),
        stalled(scene, status, stand),
        healthy(scene, health),
        verified(scene, status),
    ];
    said.iter().map(|said| timed(scene, said)).collect()
}

fn timed(scene: &Scene<'_>, said: &Said) -> Condition {
    let before = scene.view.prior.and_then(|prior| prior.conditions.iter().find(|before| before.type_ == said.about));
    let same = before.filter(|before| before.status == said.status);
    Condition {
        type_: said.about,
        status: said.status,
        reason: said.reason,
        message: cut(&said.message, SENTENCE_MAX),
        last_transition_time: same.map_or_else(|| time(scene.view.now), |same| same.last_transition_time.clone()),
        observed_generation: scene.view.subject.generation,
    }
}

fn stand(scene: &Scene<'_>, status: &DeploymentStatus) -> Stand {
    match scene.problem() {
        Some(Problem::Stalled { .. }) => return Stand::Stuck,
        Some(Problem::Pending { .. }) => return Stand::Moving,
        None => {}
    }
    let refused = scene.active().is_none() && scene.state().refused.is_some();
    match status.phase.unwrap_or_default() {
        Phase::Paused => Stand::Held,
        Phase::Stopped => Stand::Done,
        Phase::Succeeded if quarantine(scene).is_none() => Stand::Done,
        phase if phase.is_terminal() || refused => Stand::Stuck,
        _ => Stand::Moving,
    }
}

/// Why the wanted revision is not the one that runs, where a rollout or a rollback rejected it.
fn quarantine(scene: &Scene<'_>) -> Option<String> {
    let state = scene.state();
    let attempted = state.attempted.as_ref().map(|attempted| &attempted.revision);
    let wanted = scene.view.record.wanted.as_ref().map(|wanted| &wanted.revision).or(attempted)?;
    let rejected = scene.active().is_none() && state.rejected.contains(wanted);
    rejected.then(|| format!("revision {wanted} was rejected; retry it, or want another"))
}

/// The phase as a reason.
fn reason(scene: &Scene<'_>, status: &DeploymentStatus) -> Reason {
    if let Some(Problem::Stalled { reason, .. }) = scene.problem() {
        return *reason;
    }
    match status.phase.unwrap_or_default() {
        Phase::Scheduled => Reason::Scheduled,
        Phase::Validating => Reason::Validating,
        Phase::Building | Phase::Uploading | Phase::Progressing => Reason::Progressing,
        Phase::Paused if scene.active().is_some_and(|run| run.hold == Some(Hold::Recovered)) => Reason::StateRecovered,
        Phase::Paused => Reason::Paused,
        Phase::Verifying => Reason::Verifying,
        Phase::RollingBack => Reason::RollingBack,
        Phase::Succeeded | Phase::Pending if quarantine(scene).is_some() => Reason::Quarantined,
        Phase::Pending if scene.active().is_none() && scene.state().refused.is_some() => Reason::InvalidSpec,
        Phase::Succeeded if scene.is_dry_run() => Reason::DryRunFinished,
        Phase::Succeeded => Reason::Succeeded,
        Phase::Failed => Reason::Failed,
        Phase::Cancelled => Reason::Cancelled,
        Phase::RolledBack => Reason::RolledBack,
        Phase::Stopped => Reason::Stopped,
        Phase::Pending | Phase::Unknown => Reason::Pending,
    }
}

fn ready(scene: &Scene<'_>, status: &DeploymentStatus, stand: Stand) -> Said {
    let (value, message) = match stand {
        Stand::Moving | Stand::Held => (Status::Unknown, waiting(status)),
        Stand::Done => (Status::True, done(scene, status)),
        Stand::Stuck => (Status::False, stuck(scene, status)),
    };
    Said { about: Type::Ready, status: value, reason: reason(scene, status), message }
}

fn waiting(status: &DeploymentStatus) -> String {
    format!("waiting for {}", status.waiting_for.as_deref().unwrap_or("the next look"))
}

fn done(scene: &Scene<'_>, status: &DeploymentStatus) -> String {
    match (&scene.state().stable, status.phase) {
        (_, Some(Phase::Stopped)) => "it is stopped: nothing runs".to_owned(),
        _ if scene.is_dry_run() => "the dry run is over: nothing was changed".to_owned(),
        (Some(stable), _) => format!("{} is in force", scene.name(stable)),
        (None, _) => "what is wanted is in force".to_owned(),
    }
}

fn stuck(scene: &Scene<'_>, status: &DeploymentStatus) -> String {
    let runs =
        scene.state().stable.as_ref().map_or_else(String::new, |stable| format!("; {} runs", scene.name(stable)));
    let of_error = || status.error.as_ref().map(|error| format!("{}: {}{runs}", error.code, error.message));
    let refused = scene.state().refused.clone().filter(|_| scene.problem().is_none());
    let problem = scene.problem().map(|problem| problem.message().to_owned());
    let ended = || status.phase.map(|phase| format!("the run is over: {phase}"));
    problem.or(refused).or_else(of_error).or_else(|| quarantine(scene)).or_else(ended).unwrap_or_default()
}

/// What stands against the next run while this one goes on.
fn aside<'a>(scene: &Scene<'a>) -> Option<&'a Problem> {
    scene.view.problem.filter(|_| scene.active().is_some())
}

fn reconciling(scene: &Scene<'_>, status: &DeploymentStatus, stand: Stand) -> Said {
    let value = if stand == Stand::Moving { Status::True } else { Status::False };
    let message = match (stand, aside(scene)) {
        (Stand::Moving, Some(problem)) => {
            format!("{}; the next run is held up: {}", waiting(status), problem.message())
        }
        (Stand::Moving, None) => waiting(status),
        (Stand::Held, _) => format!("held: {}", waiting(status)),
        (Stand::Done | Stand::Stuck, _) => "nothing is under way".to_owned(),
    };
    Said { about: Type::Reconciling, status: value, reason: reason(scene, status), message }
}

fn stalled(scene: &Scene<'_>, status: &DeploymentStatus, stand: Stand) -> Said {
    let (value, why, message) = match (stand, aside(scene)) {
        (Stand::Stuck, _) => (Status::True, runs::stall(scene), stuck(scene, status)),
        (_, Some(Problem::Stalled { reason, message })) => {
            (Status::False, Some(*reason), format!("the run goes on; the next one is held up: {message}"))
        }
        _ => (Status::False, None, UNHINDERED.to_owned()),
    };
    Said { about: Type::Stalled, status: value, reason: why.unwrap_or_else(|| reason(scene, status)), message }
}

fn healthy(scene: &Scene<'_>, health: &Judgement) -> Said {
    let (status, reason) = match health.word {
        _ if scene.known.is_err() => (Status::Unknown, Reason::NoAnswer),
        Some(Health::Healthy) => (Status::True, Reason::Healthy),
        Some(Health::Degraded) => (Status::False, Reason::Degraded),
        Some(Health::Unhealthy | Health::Unknown) => (Status::False, Reason::Unhealthy),
        None if scene.state().stopped.is_some() => (Status::Unknown, Reason::Stopped),
        None => (Status::Unknown, Reason::Pending),
    };
    Said { about: Type::Healthy, status, reason, message: health.message.clone() }
}

fn split(traffic: &Traffic) -> String {
    format!("{} % to the stable revision, {} % to the candidate", traffic.stable, traffic.candidate)
}

fn verified(scene: &Scene<'_>, status: &DeploymentStatus) -> Said {
    let (value, reason, message) = match (&scene.known, &status.traffic) {
        (Err(cause), _) => (Status::Unknown, Reason::NoAnswer, Scene::unseen(cause)),
        (_, None) => (Status::Unknown, Reason::Pending, "there is no traffic yet".to_owned()),
        (_, Some(traffic)) if traffic.verified => {
            (Status::True, Reason::Acknowledged, format!("{} is in force", split(traffic)))
        }
        (_, Some(traffic)) => (
            Status::False,
            Reason::Settling,
            format!("{} is written, and not yet known to be in force", split(traffic)),
        ),
    };
    Said { about: Type::TrafficVerified, status: value, reason, message }
}
