//! What a source says of itself: its phase, what it waits for, and its conditions.

use super::{
    revert::is_over,
    sync::{Known, Seen, Stage, State, Tip, Trouble},
};
use crate::api::{
    condition::{ConditionReason, ConditionStatus},
    source::{DriftPolicy, Reverted, SourcePhase, SourceStatus, SyncResult},
};

/// A number as statuses have it.
pub fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// A text of at most so many bytes.
pub fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most.saturating_sub(3)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", &text[..end])
}

/// The beginning of a commit's hash.
pub fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}

/// What became of the last sync; none while it is under way, or where there was none.
pub(super) fn last(status: &SourceStatus) -> Option<SyncResult> {
    status.last_sync.as_ref().and_then(|sync| sync.result)
}

/// How far a source is, and what it waits for.
pub(super) fn phase(state: &State, status: &SourceStatus, seen: &Seen<'_>) -> (SourcePhase, Option<String>) {
    let said = |phase, sentence: String| (phase, Some(cut(&sentence, 1000)));
    match state.stage {
        Stage::Preparing => {
            said(SourcePhase::Fetching, format!("commit {} to be fetched and read", short(&state.target.commit)))
        }
        Stage::Checking => said(
            SourcePhase::Validating,
            format!("the API server's judgement of commit {}", short(&state.target.commit)),
        ),
        Stage::Applying => {
            said(SourcePhase::Applying, format!("the objects of commit {} to be written", short(&state.target.commit)))
        }
        Stage::Pruning => said(SourcePhase::Applying, "what is no longer wanted to be deleted".to_owned()),
        Stage::Verifying => {
            let waiting = status.waiting_for.clone().filter(|_| state.looks > 0);
            said(SourcePhase::Verifying, waiting.unwrap_or_else(|| "the health of the objects".to_owned()))
        }
        Stage::Idle | Stage::Correcting | Stage::Recalling => idle(state, status, seen),
    }
}

fn idle(state: &State, status: &SourceStatus, seen: &Seen<'_>) -> (SourcePhase, Option<String>) {
    if seen.source.suspend {
        return (SourcePhase::Suspended, Some("spec.source.suspend to be removed".to_owned()));
    }
    if let Some(Trouble { message, .. }) = &seen.blocked {
        return (SourcePhase::Pending, Some(cut(message, 1000)));
    }
    if let Some(trouble) = &state.trouble {
        return (
            SourcePhase::Failed,
            Some(meanwhile(&format!("another commit, or the next try; {}", trouble.message), state, seen)),
        );
    }
    match (seen.tip, state.tried.is_some()) {
        // What was known before the process began counts until there is an answer.
        (Tip::Unseen, _) if status.phase.is_some() => (status.phase.unwrap_or_default(), status.waiting_for.clone()),
        (Tip::Unseen, _) => (SourcePhase::Pending, Some("an answer of the repository".to_owned())),
        (Tip::Failed(trouble), _) => {
            // What a process that ended left half done is not in force.
            let phase =
                if last(status) == Some(SyncResult::Succeeded) { SourcePhase::Synced } else { SourcePhase::Failed };
            (phase, Some(meanwhile(&format!("the repository; {}", trouble.message), state, seen)))
        }
        (Tip::At(_), true) => (SourcePhase::Synced, None),
        (Tip::At(_), false) => (SourcePhase::Pending, Some("its turn".to_owned())),
    }
}

/// What a source waits for, and that nothing is compared until then, where that is so.
fn meanwhile(waits: &str, state: &State, seen: &Seen<'_>) -> String {
    let compares = seen.known == Known::InForce || seen.source.drift == DriftPolicy::Ignore;
    let Some(unread) = state.unread.as_ref().filter(|_| !compares) else { return cut(waits, 1000) };
    format!("{}; what somebody else changes stays meanwhile: {}", cut(waits, 500), cut(&unread.why, 400))
}

/// A condition without its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, as one word.
    pub reason: ConditionReason,
    /// Why, as a sentence.
    pub message: String,
}

impl Said {
    fn of(status: ConditionStatus, reason: ConditionReason, message: &str) -> Self {
        Self { status, reason, message: cut(message, 1000) }
    }
}

/// The conditions of a source: whether it is in force (Synced), whether work is under way, and whether only another commit
/// or another spec helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conditions {
    /// What the repository says is in force.
    pub synced: Said,
    /// What was brought into force last is in force and healthy, whatever the repository says now.
    pub ready: ConditionStatus,
    /// Work is under way, or is tried again.
    pub reconciling: ConditionStatus,
    /// Nothing moves without another commit or spec.
    pub stalled: ConditionStatus,
}

/// What a state and its status mean to other programs.
pub fn conditions(state: &State, status: &SourceStatus, seen: &Seen<'_>) -> Conditions {
    use ConditionStatus::{False, True, Unknown};
    let waiting = status.waiting_for.clone().unwrap_or_default();
    let fine = last(status) == Some(SyncResult::Succeeded);
    let of = |synced: Said, reconciling, stalled| {
        let ready = if synced.status == Unknown && fine { True } else { synced.status };
        Conditions { synced, ready, reconciling, stalled }
    };
    if let (Some(SourcePhase::Failed), Some(Trouble { reason, message })) = (status.phase, &state.trouble) {
        let hopeless = matches!(
            reason,
            ConditionReason::RenderFailed | ConditionReason::ValidationFailed | ConditionReason::VerificationFailed
        );
        let stalled = if hopeless { True } else { False };
        return of(Said::of(False, *reason, message), if hopeless { False } else { True }, stalled);
    }
    match status.phase {
        Some(SourcePhase::Suspended) => {
            of(Said::of(Unknown, ConditionReason::Suspended, &format!("Waiting for {waiting}.")), False, False)
        }
        Some(SourcePhase::Synced) => match seen.tip {
            Tip::Failed(trouble) => of(Said::of(Unknown, trouble.reason, &trouble.message), True, False),
            _ => of(Said::of(True, ConditionReason::Synced, &in_force(status)), False, False),
        },
        Some(SourcePhase::Pending | SourcePhase::Failed) => {
            let cause = match (&seen.blocked, seen.tip) {
                (Some(blocked), _) => blocked.clone(),
                (None, Tip::Failed(trouble)) => trouble.clone(),
                _ => Trouble { reason: ConditionReason::Pending, message: format!("Waiting for {waiting}.") },
            };
            // Nothing moves before somebody writes another kubeconfig.
            let stalled = cause.reason == ConditionReason::KubeconfigRefused;
            let (reconciling, stalled) = if stalled { (False, True) } else { (True, False) };
            of(Said::of(False, cause.reason, &cause.message), reconciling, stalled)
        }
        _ => of(Said::of(False, ConditionReason::Syncing, &format!("Waiting for {waiting}.")), True, False),
    }
}

fn in_force(status: &SourceStatus) -> String {
    let commit = status.applied.as_ref().map(|commit| short(&commit.id));
    let count = status.inventory.as_ref().map_or(0, |inventory| inventory.count);
    format!("Commit {} is in force: {count} objects.", commit.unwrap_or_default())
}

/// The event that tells how a sync ended: its reason, whether it is a warning, and what it says.
pub fn event(before: &SourceStatus, after: &SourceStatus) -> Option<(&'static str, Mood, String)> {
    let last = after.last_sync.as_ref().filter(|sync| sync.result.is_some())?;
    // A commit that fails again as it failed before is told once.
    let known = before.history.first().map(|sync| (&sync.commit, sync.result, &sync.message));
    if known == Some((&last.commit, last.result, &last.message)) {
        return None;
    }
    let commit = short(&last.commit);
    let counts = last.counts;
    let message = last.message.as_deref().unwrap_or_default();
    Some(match last.result? {
        SyncResult::Succeeded => (
            "Synced",
            Mood::Good,
            format!(
                "commit {commit} is in force: {} created, {} configured, {} unchanged, {} pruned",
                counts.created, counts.configured, counts.unchanged, counts.pruned
            ),
        ),
        SyncResult::Superseded => {
            ("SyncSuperseded", Mood::Good, cut(&format!("commit {commit} was left: {message}"), 1000))
        }
        SyncResult::Partial => {
            ("SyncIncomplete", Mood::Bad, cut(&format!("commit {commit} is in force in part: {message}"), 1000))
        }
        SyncResult::Failed | SyncResult::Unknown => {
            ("SyncFailed", Mood::Bad, cut(&format!("commit {commit}: {message}"), 1000))
        }
    })
}

/// The event that tells what became of a revert: the first failure of one and the last are told.
pub fn revert_event(before: &SourceStatus, after: &SourceStatus) -> Option<(&'static str, Mood, String)> {
    let revert = after.revert.as_ref().filter(|revert| before.revert.as_ref() != Some(revert))?;
    let Reverted { of, to, branch, commit, attempts, message, .. } = revert;
    let message = message.as_deref().unwrap_or_default();
    let (of, to) = (short(of), short(to));
    if let Some(commit) = commit {
        let note = format!("commit {} on {branch} undoes {of} and goes back to {to}: {message}", short(commit));
        return Some(("RevertPushed", Mood::Good, cut(&note, 1000)));
    }
    let tell = *attempts <= 1 || is_over(revert);
    let note = format!("commit {of} is not undone on {branch}: {message}");
    (tell && revert.reason.is_some()).then(|| ("RevertFailed", Mood::Bad, cut(&note, 1000)))
}

/// The event that tells that what is in force cannot be read, so that nothing is compared with it.
pub fn unread_event(before: &State, after: &State) -> Option<(&'static str, Mood, String)> {
    let unread = after.unread.as_ref().filter(|unread| before.unread.as_ref() != Some(unread))?;
    let note = format!("what somebody else changes stays until a commit is brought into force: {}", unread.why);
    Some((NOT_COMPARED, Mood::Bad, cut(&note, 1000)))
}

/// The reason of events that tell of objects of which nobody sees whether somebody else changes them.
pub const NOT_COMPARED: &str = "DriftNotCompared";

/// Whether an event is a warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It is none.
    Good,
    /// It is one.
    Bad,
}
