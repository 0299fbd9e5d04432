//! Runs: their names, their errors, and the history of those that are over.

use super::{SENTENCE_MAX, Scene, View, checks, reference};
use crate::{
    api::{
        condition::ConditionReason,
        deployment_status::{DeploymentStatus, HISTORY_MAX, Phase, REJECTED_MAX, RevisionRef},
        run::{FinishedRun, RejectedRevision, Run as RunStatus, RunError},
    },
    engine::{
        command::Verb,
        moment::Moment,
        observed::Revision,
        plan::Reach,
        state::{Attempted, Code, Failure, Hold, Outcome, Purpose, Run},
        verdict::{Verdict, verdict},
    },
    rollout::{
        plan::request_id,
        record::{Record, run_id},
        status::Problem,
        words::{self, code, cut, moment, number, time},
    },
};

/// The longest details of an error, in characters.
const DETAILS_MAX: usize = 4096;

/// The longest request, in characters.
const REQUEST_MAX: usize = 253;

/// The run under way, or the last one, as a status names it.
pub(super) fn run(view: &View<'_>) -> Option<RunStatus> {
    let run = view.record.state.run.as_ref()?;
    let started = started(view, run);
    let id = run_id(view.subject.uid, run.number, started);
    let before = view.prior.and_then(|prior| prior.run.as_ref()).filter(|before| before.id == id);
    let ended = run.outcome.as_ref().map(|outcome| outcome.at);
    Some(RunStatus {
        attempt: before.map_or_else(|| attempt(view, run), |before| before.attempt),
        id,
        request_id: request(view, run).map(|id| cut(id, REQUEST_MAX)),
        started_at: Some(time(started)),
        completed_at: ended.map(time),
        duration_ms: ended.and_then(|ended| i64::try_from(ended.0.saturating_sub(started.0)).ok()),
    })
}

/// When the run began: as it was stamped, unless the status before says otherwise of the same run; now, if it was not
/// there before.
fn started(view: &View<'_>, run: &Run) -> Moment {
    let stamped = view.record.started.filter(|started| started.run == run.number).map(|started| started.at);
    let of_status = || {
        let before = view.prior?.run.as_ref()?;
        let at = moment(before.started_at.as_ref()?);
        (run_id(view.subject.uid, run.number, at) == before.id).then_some(at)
    };
    match (of_status(), stamped) {
        (Some(before), Some(stamped)) if before.0 / 1000 == stamped.0 / 1000 => stamped,
        (Some(before), _) => before,
        (None, stamped) => stamped.unwrap_or(view.now),
    }
}

/// The request that a run of the wanted revision was started for.
fn request<'a>(view: &View<'a>, run: &Run) -> Option<&'a str> {
    let state = &view.record.state;
    let kept = if run.plan.reach == Reach::Deploy { &state.attempted } else { &state.rehearsed };
    let attempted: &Attempted = kept.as_ref()?;
    let is_its = run.purpose == Purpose::Deploy && attempted.revision == run.revision;
    attempted.request.as_deref().filter(|_| is_its).and_then(|request| request_id(&run.plan, request))
}

/// A run of the same revision as the one before it, which did not arrive, is its next attempt.
fn attempt(view: &View<'_>, run: &Run) -> i32 {
    let ended = ended_unseen(view);
    let last = ended.as_ref().or_else(|| view.prior.and_then(|prior| prior.history.first()));
    let again = |last: &&FinishedRun| last.revision.hash == run.revision.0 && last.phase != Phase::Succeeded;
    last.filter(|last| run.purpose == Purpose::Deploy && again(last))
        .map_or(1, |last| last.run.attempt.saturating_add(1))
}

/// What went wrong in the run, or stands against the next one.
pub(super) fn error(scene: &Scene<'_>) -> Option<RunError> {
    if let Some(Problem::Stalled { reason, message }) = scene.problem() {
        let error =
            RunError { code: capitals(reason.as_str()), message: cut(message, SENTENCE_MAX), ..RunError::default() };
        return Some(error);
    }
    let run = scene.state().run.as_ref()?;
    let failure = failure(run)?;
    let code = code(failure.code);
    let before = scene.before().and_then(|before| before.error.as_ref()).filter(|before| before.code == code);
    let details = before.map_or_else(|| details(scene, run, failure), |before| before.details.clone());
    Some(RunError {
        step: Some(number(failure.stage + 1)),
        code: code.to_owned(),
        message: cut(&failure.message, SENTENCE_MAX),
        details: details.map(|details| cut(&details, DETAILS_MAX)),
    })
}

/// Why a run did not arrive, goes back, or is held.
fn failure(run: &Run) -> Option<&Failure> {
    let held = match &run.hold {
        Some(Hold::Failed(failure)) => Some(failure),
        _ => None,
    };
    let ended = run.outcome.as_ref().and_then(|outcome| outcome.failure.as_ref());
    ended.or(run.retreat.as_ref()).or(held)
}

/// `InvalidSpec` as `INVALID_SPEC`.
fn capitals(word: &str) -> String {
    let mut text = String::new();
    for (at, letter) in word.chars().enumerate() {
        text.extend((at > 0 && letter.is_uppercase()).then_some('_'));
        text.extend(letter.to_uppercase());
    }
    text
}

/// What the message rests on: the figures of a check, or what was waited for in vain.
fn details(scene: &Scene<'_>, run: &Run, failure: &Failure) -> Option<String> {
    match failure.code {
        Code::CheckFailed => {
            let tallied = run.plan.checks.iter().filter_map(|check| Some((check, run.tallies.get(&check.name)?)));
            let mut failed = tallied.filter(|(check, tally)| matches!(verdict(check, tally), Verdict::Failed(_)));
            failed.next().map(|(check, tally)| checks::figures(check, tally))
        }
        Code::Aborted | Code::Cancelled | Code::Superseded | Code::Stopped => None,
        Code::ProgressDeadline | Code::Timeout | Code::PodsFailed => {
            scene.before()?.waiting_for.as_ref().map(|wait| format!("it waited for {wait}"))
        }
    }
}

/// Revisions that are not tried again, the latest first, each with the reason that was given when it became one.
pub(super) fn rejected(scene: &Scene<'_>) -> Vec<RejectedRevision> {
    let state = scene.state();
    let before = scene.view.prior.map_or(&[][..], |prior| &prior.rejected);
    let kept = before.iter().filter(|before| state.rejected.iter().any(|revision| revision.0 == before.hash));
    let is_new = |hash: &String| before.iter().all(|before| before.hash != *hash);
    let new = state.rejected.iter().map(|revision| revision.0.clone()).filter(is_new);
    let new = new.map(|hash| RejectedRevision { reason: rejection(scene, &hash), hash });
    new.chain(kept.cloned()).take(REJECTED_MAX).collect()
}

fn rejection(scene: &Scene<'_>, hash: &str) -> String {
    let run = scene.state().run.as_ref();
    match run.and_then(|run| failure(run).filter(|_| run.revision.0 == hash)) {
        Some(failure) => cut(&format!("{}: {}", code(failure.code), failure.message), SENTENCE_MAX),
        None => "a rollback left it".to_owned(),
    }
}

/// The finished runs, the latest first. Each is there once.
pub(super) fn history(scene: &Scene<'_>) -> Vec<FinishedRun> {
    let mut history = scene.view.prior.map(|prior| prior.history.clone()).unwrap_or_default();
    for finished in [ended_unseen(scene.view), ended(scene)].into_iter().flatten() {
        if history.iter().all(|known| known.run.id != finished.run.id) {
            history.insert(0, finished);
        }
    }
    history.truncate(HISTORY_MAX);
    history
}

fn ended(scene: &Scene<'_>) -> Option<FinishedRun> {
    let run = scene.state().run.as_ref()?;
    let outcome = run.outcome.as_ref()?;
    let message = match &outcome.failure {
        Some(failure) => failure.message.clone(),
        None if scene.is_dry_run() => "it was a dry run: nothing was changed".to_owned(),
        None => format!("{} is stable", scene.name(&run.revision)),
    };
    Some(FinishedRun {
        run: scene.run.clone()?,
        revision: reference(scene, &run.revision),
        phase: words::phase(outcome.phase),
        by: by(scene, run, outcome),
        message: Some(cut(&message, SENTENCE_MAX)),
    })
}

/// Who asked for the run, or for its end.
fn by(scene: &Scene<'_>, run: &Run, outcome: &Outcome) -> Option<String> {
    let verb = match (outcome.failure.as_ref().map(|failure| failure.code), run.purpose) {
        (Some(Code::Aborted), _) => Verb::Abort,
        (Some(Code::Cancelled), _) => Verb::Cancel,
        (Some(Code::Stopped), _) => Verb::Stop,
        (_, Purpose::Rollback) => Verb::Rollback,
        (_, Purpose::Restart) => Verb::Restart,
        (_, Purpose::Deploy) => return None,
    };
    let began = started(scene.view, run);
    scene.state().answers.get(&verb).filter(|answer| answer.at.0 / 1000 >= began.0 / 1000)?;
    super::answers(scene).get(words::verb(verb).word()).map(|answer| answer.by.clone())
}

/// The end of a run that was under way at the look before, and in whose place another one stands already: one look can
/// end a run and begin the next. What the run was is read from the record of that look.
fn ended_unseen(view: &View<'_>) -> Option<FinishedRun> {
    let prior = view.prior?;
    let before = prior.run.as_ref().filter(|before| before.completed_at.is_none())?;
    let run = view.record.state.run.as_ref();
    if run.is_some_and(|run| run_id(view.subject.uid, run.number, started(view, run)) == before.id) {
        return None;
    }
    let (phase, message) = end_of(view, prior);
    let started = before.started_at.as_ref().map(moment);
    Some(FinishedRun {
        run: RunStatus {
            completed_at: Some(time(view.now)),
            duration_ms: started.and_then(|started| i64::try_from(view.now.0.saturating_sub(started.0)).ok()),
            ..before.clone()
        },
        revision: carried(prior),
        phase,
        by: None,
        message: Some(cut(&message, SENTENCE_MAX)),
    })
}

/// The revision that a status's run carries.
fn carried(prior: &DeploymentStatus) -> RevisionRef {
    let revisions = prior.revision.clone().unwrap_or_default();
    revisions.candidate.or(revisions.stable).unwrap_or_default()
}

/// How a run ended that is not there any more: it went back, or was superseded, or else it arrived.
fn end_of(view: &View<'_>, prior: &DeploymentStatus) -> (Phase, String) {
    let record = prior.record.as_deref().and_then(Record::read);
    let Some((state, run)) = record.as_ref().and_then(|record| Some((&record.state, record.state.run.as_ref()?)))
    else {
        return (Phase::Cancelled, "the record of it was lost".to_owned());
    };
    if let Some(failure) = &run.retreat {
        return (terminal(failure.code, view.record.state.stable.as_ref()), failure.message.clone());
    }
    let now = view.record.state.attempted.as_ref().map(|attempted| &attempted.revision);
    let superseded = state.attempted.as_ref().is_some_and(|before| Some(&before.revision) != now);
    if superseded && view.record.state.stable == state.stable {
        return (
            Phase::Cancelled,
            format!("revision {} is wanted now", now.map_or("", |revision| revision.0.as_str())),
        );
    }
    (Phase::Succeeded, format!("{} is stable", view.record.versions.get(&run.revision).unwrap_or(&run.revision.0)))
}

/// The phase in which a run ends that goes back for this reason.
fn terminal(code: Code, stable: Option<&Revision>) -> Phase {
    match (code, stable) {
        (Code::Cancelled | Code::Superseded | Code::Stopped, _) => Phase::Cancelled,
        (_, Some(_)) => Phase::RolledBack,
        (_, None) => Phase::Failed,
    }
}

/// The reason for which a run that failed is stalled.
pub(super) fn stall(scene: &Scene<'_>) -> Option<ConditionReason> {
    let failure = scene.state().run.as_ref().and_then(failure)?;
    matches!(failure.code, Code::ProgressDeadline | Code::Timeout).then_some(ConditionReason::DeadlineExceeded)
}
