//! What is worth an event: the transitions between two statuses. Two equal statuses have none, so a look at which nothing
//! happened tells nobody anything.

use crate::{
    api::{
        command::CommandResult,
        condition::{Condition, ConditionReason, ConditionType},
        deployment_status::{CheckPhase, DeploymentStatus, Phase, StepAction},
        run::{CommandAnswer, FinishedRun},
    },
    engine::state::Code,
    rollout::{
        status::{GATE, UNHINDERED},
        words::code,
    },
};

/// The longest note that the API server takes, in bytes.
const NOTE_MAX: usize = 1024;

/// How an event is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Things go their way.
    Normal,
    /// Somebody should look.
    Warning,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What, as one word.
    pub reason: &'static str,
    /// How it is shown.
    pub kind: Kind,
    /// What, as a sentence of at most 1 kB.
    pub note: String,
}

/// What happened between two statuses, in the order in which it happened.
pub fn events(before: &DeploymentStatus, after: &DeploymentStatus) -> Vec<Event> {
    let parts: [fn(&DeploymentStatus, &DeploymentStatus) -> Vec<Event>; 10] =
        [answered, replaced, started, weighed, failed_checks, turned_back, held, ended, hindered, waits];
    parts.iter().flat_map(|part| part(before, after)).collect()
}

fn normal(reason: &'static str, note: impl AsRef<str>) -> Event {
    Event { reason, kind: Kind::Normal, note: cut(note.as_ref()) }
}

fn warning(reason: &'static str, note: impl AsRef<str>) -> Event {
    Event { kind: Kind::Warning, ..normal(reason, note) }
}

/// At most so many bytes, up to the end of a character.
fn cut(text: &str) -> String {
    if text.len() <= NOTE_MAX {
        return text.to_owned();
    }
    let end = (0..=NOTE_MAX - '…'.len_utf8()).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    format!("{}…", &text[..end])
}

fn run_id(status: &DeploymentStatus) -> Option<&str> {
    status.run.as_ref().map(|run| run.id.as_str())
}

fn is_same_run(before: &DeploymentStatus, after: &DeploymentStatus) -> bool {
    run_id(before) == run_id(after)
}

fn started(before: &DeploymentStatus, after: &DeploymentStatus) -> Vec<Event> {
    let Some(run) = after.run.as_ref().filter(|_| !is_same_run(before, after)) else { return Vec::new() };
    let revisions = after.revision.as_ref();
    let carried = revisions.and_then(|revisions| revisions.candidate.as_ref().or(revisions.stable.as_ref()));
    let of = after.history.iter().find(|ended| ended.run.id == run.id).map(|ended| &ended.revision).or(carried);
    let what = of.map_or_else(String::new, |revision| format!(" carries {} ({})", revision.version, revision.hash));
    vec![normal("RunStarted", format!("run {}{what}, attempt {}", run.id, run.attempt))]
}

/// The ends of the runs before the one that the status is about.
fn replaced(before: &DeploymentStatus, after: &DeploymentStatus) -> Vec<Event> {
    let mut events: Vec<Event> =
        new_in_history(before, after).filter(|ended| Some(ended.run.id.as_str()) != run_id(after)).map(end).collect();
    events.reverse();
    events
}

fn ended(before: &DeploymentStatus, after: &DeploymentStatus) -> Vec<Event> {
    let this = new_in_history(before, after).find(|ended| Some(ended.run.id.as_str()) == run_id(after)).map(end);
    let stopped = after.phase == Some(Phase::Stopped) && before.phase != after.phase;
    this.into_iter().chain(stopped.then(|| normal("Stopped", "nothing runs"))).collect()
}

fn new_in_history<'a>(
    before: &'a DeploymentStatus,
    after: &'a DeploymentStatus,
) -> impl Iterator<Item = &'a FinishedRun> {
    after.history.iter().filter(|ended| before.history.iter().all(|known| known.run.id != ended.run.id))
}

fn end(ended: &FinishedRun) -> Event {
    let message = ended.message.as_deref().unwrap_or("it is over");
    let note = format!("run {} of {} ({}): {message}", ended.run.id, ended.revision.version, ended.revision.hash);
    match ended.phase {
        Phase::Succeeded => normal("Succeeded", note),
        Phase::Failed => warning("Failed", note),
        Phase::RolledBack => warning("RolledBack", note),
        Phase::Cancelled => normal("Cancelled", note),
        Phase::Stopped => normal("RunStopped", note),
        _ => normal("RunEnded", note),
    }
}

/// A step that gave the candidate a share is left when the share is in force.
fn weighed(before: &DeploymentStatus, after: &DeploymentStatus) -> Vec<Event> {
    let (Some(step), Some(next)) = (&before.current_step, &after.current_step) else { return Vec::new() };
    let was_share = matches!(step.action, StepAction::SetWeight | StepAction::Switch);
    let went_on = is_same_run(before, after) && next.number > step.number && next.action != StepAction::Rollback;
    let note = step.details.clone().unwrap_or_default();
    (was_share && went_on).then(|| normal("WeightSet", format!("{note} is in force"))).into_iter().collect()
}

fn failed_checks(before: &DeploymentStatus, after: &DeploymentStatus) -> Vec<Event> {
    let knew = |name: &str| {
        let same = before.checks.iter().any(|check| check.name == name && check.phase == CheckPhase::Failed);
        same && is_same_run(before, after)
    };
    let failed = after.checks.iter().filter(|check| check.phase == CheckPhase::Failed && !knew(&check.name));
    failed.map(|check| warning("CheckFailed", check.message.as_deref().unwrap_or(&check.name))).collect()
}

fn turned_back(before: &DeploymentStatus, after: &DeploymentStatus) -> Vec<Event> {
    let Some(error) = after.error.as_ref().filter(|_| after.phase == Some(Phase::RollingBack)) else {
        return Vec::new();
    };
    if is_same_run(before, after) && before.phase == after.phase {
        return Vec::new();
    }
    let note = format!("{}: {}", error.code, error.message);
    // Somebody wanted something else: nothing is wrong.
    let wanted = [Code::Superseded, Code::Cancelled].map(code).contains(&error.code.as_str());
    vec![if wanted { normal("RollingBack", note) } else { warning("RollingBack", note) }]
}

fn held(before: &DeploymentStatus, after: &DeploymentStatus) -> Vec<Event> {
    let (was, is) = (before.phase == Some(Phase::Paused), after.phase == Some(Phase::Paused));
    let note = after.waiting_for.clone().unwrap_or_default();
    let goes_on = after.phase.is_some_and(|phase| !phase.is_terminal() && phase != Phase::RollingBack);
    match (was && is_same_run(before, after), is) {
        (false, true) => vec![hold(after, &note)],
        (true, false) if goes_on => vec![normal("RunResumed", format!("now waiting for {note}"))],
        _ => Vec::new(),
    }
}

fn hold(after: &DeploymentStatus, note: &str) -> Event {
    let note = format!("waiting for {note}");
    let lost =
        condition(after, ConditionType::Ready).is_some_and(|ready| ready.reason == ConditionReason::StateRecovered);
    let details = after.current_step.as_ref().and_then(|step| step.details.as_deref()).unwrap_or_default();
    match &after.error {
        _ if lost => warning("StateRecovered", note),
        Some(_) => warning("FailureHolds", note),
        None if details.ends_with(GATE) => normal("GateWaits", format!("{details}; {note}")),
        None => normal("Paused", note),
    }
}

fn condition(status: &DeploymentStatus, about: ConditionType) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.type_ == about)
}

/// What stands in the way of the next run. The end of a run says so itself.
fn hindered(before: &DeploymentStatus, after: &DeploymentStatus) -> Vec<Event> {
    let Some(now) = condition(after, ConditionType::Stalled).filter(|now| now.message != UNHINDERED) else {
        return Vec::new();
    };
    let ended = matches!(after.phase, Some(Phase::Failed | Phase::RolledBack | Phase::Cancelled));
    let knew = condition(before, ConditionType::Stalled)
        .is_some_and(|before| (before.reason, &before.message) == (now.reason, &now.message));
    if ended || knew { Vec::new() } else { vec![warning(now.reason.as_str(), &now.message)] }
}

fn waits(before: &DeploymentStatus, after: &DeploymentStatus) -> Vec<Event> {
    let same = (before.phase, &before.waiting_for) == (after.phase, &after.waiting_for);
    let stalled = condition(after, ConditionType::Ready).is_some_and(|ready| ready.reason != ConditionReason::Pending);
    match (after.phase, &after.waiting_for) {
        (Some(Phase::Pending), Some(wait)) if !same && !stalled => {
            vec![normal("Pending", format!("waiting for {wait}"))]
        }
        (Some(Phase::Scheduled), Some(wait)) if !same => vec![normal("Scheduled", format!("waiting for {wait}"))],
        _ => Vec::new(),
    }
}

fn answered(before: &DeploymentStatus, after: &DeploymentStatus) -> Vec<Event> {
    let is_new =
        |word: &str, answer: &CommandAnswer| before.commands.get(word).is_none_or(|known| known.id != answer.id);
    let new = after.commands.iter().filter(|(word, answer)| is_new(word, answer));
    new.map(|(word, answer)| reply(word, answer)).collect()
}

fn reply(word: &str, answer: &CommandAnswer) -> Event {
    let why = answer.message.as_ref().map_or_else(String::new, |message| format!(": {message}"));
    let note = format!("{word} by {}: {}{why}", answer.by, answer.result);
    match answer.result {
        CommandResult::Done | CommandResult::Accepted => normal("CommandAnswered", note),
        CommandResult::Stale | CommandResult::Refused | CommandResult::Unknown => warning("CommandRefused", note),
    }
}
