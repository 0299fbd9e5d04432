//! What is said of a source: how far it is, and what became of a commit. Pure.

use anstyle::Style;
use kube::ResourceExt;

use crate::{
    api::{
        condition::ConditionType,
        profile::Profile,
        source::{Commit, SourcePhase, SourceStatus, Sync, SyncCounts, SyncFailure, SyncResult},
    },
    cli::{
        status::picture::Line,
        terminal::{BAD, BUSY, FAINT, GOOD, STRONG},
    },
};

/// The digits of a commit's hash that people are shown.
const SHORT: usize = 12;

/// How a look at a repository ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// What it says is in force.
    Well,
    /// It is not, and nothing is under way.
    Badly,
}

/// How the last look ended; none while something is under way.
pub fn end(profile: &Profile) -> Option<End> {
    match source(profile)?.phase? {
        SourcePhase::Synced => Some(End::Well),
        SourcePhase::Failed | SourcePhase::Suspended => Some(End::Badly),
        _ => None,
    }
}

/// What is known of a Profile's source.
pub fn source(profile: &Profile) -> Option<&SourceStatus> {
    profile.status.as_ref()?.source.as_ref()
}

/// The commit whose objects were written last.
pub fn applied(profile: &Profile) -> Option<&Commit> {
    source(profile)?.applied.as_ref()
}

/// A hash as people are shown it.
pub fn short(hash: &str) -> String {
    hash.chars().take(SHORT).collect()
}

/// The phase, or that nobody has looked yet.
pub fn phase(source: &SourceStatus) -> String {
    source.phase.map_or_else(|| "no operator has looked yet".to_owned(), |phase| phase.to_string())
}

/// The style of a phase.
pub fn style_of(source: &SourceStatus) -> Style {
    match source.phase {
        Some(SourcePhase::Synced) => GOOD,
        Some(SourcePhase::Failed) => BAD,
        Some(SourcePhase::Suspended) => FAINT,
        _ => BUSY,
    }
}

/// How far it is, on one line.
pub fn progress(source: &SourceStatus) -> String {
    let commit = source.observed.as_ref().map(|commit| format!(" {}", short(&commit.id))).unwrap_or_default();
    let waiting = source.waiting_for.as_ref().map(|sentence| format!(", waiting for: {sentence}")).unwrap_or_default();
    format!("{}{commit}{waiting}", phase(source))
}

/// What became of it: the commit, the counts, why it failed, and what failed.
pub fn result(profile: &Profile) -> Vec<Line> {
    let name = Line::default().then(STRONG, format!("{}: ", profile.name_any()));
    let mut lines = vec![head(name, &source(profile).cloned().unwrap_or_default())];
    lines.extend(details(profile));
    lines
}

/// A line and behind it the phase and the commit: the one in force, else the one that was seen.
pub fn head(line: Line, source: &SourceStatus) -> Line {
    let commit = commit(source).map(named).unwrap_or_default();
    line.then(style_of(source), phase(source)).then(Style::new(), commit)
}

/// The commit that the phase is about.
pub fn commit(source: &SourceStatus) -> Option<&Commit> {
    let is_synced = source.phase == Some(SourcePhase::Synced);
    let (first, second) =
        if is_synced { (&source.applied, &source.observed) } else { (&source.observed, &source.applied) };
    first.as_ref().or(second.as_ref())
}

fn named(commit: &Commit) -> String {
    let parts = [(", ", &commit.message), (", by ", &commit.author)].into_iter().filter(|(_, text)| !text.is_empty());
    parts.fold(format!(" {}", short(&commit.id)), |text, (before, part)| text + before + part)
}

/// What was done, why it failed, and what failed, one below the other.
pub fn details(profile: &Profile) -> Vec<Line> {
    let Some(source) = source(profile) else { return Vec::new() };
    let about = commit(source).map(|commit| commit.id.as_str());
    let last = source.last_sync.as_ref().filter(|sync| Some(sync.commit.as_str()) == about);
    let mut lines: Vec<_> = last.map(|sync| Line::new(format!("  {}", counts(sync)))).into_iter().collect();
    // Where it is no more than the first of the failures, that is said below.
    let is_told = |sentence: &String| source.failures.first().is_some_and(|first| sentence.starts_with(&bare(first)));
    let why = why(source, last).or_else(|| condition(profile)).filter(|sentence| !is_told(sentence));
    lines.extend(why.map(|sentence| Line::default().then(style_of(source), format!("  {sentence}"))));
    lines.extend(source.failures.iter().map(|failure| Line::default().then(BAD, format!("  {}", said_of(failure)))));
    lines
}

fn counts(sync: &Sync) -> String {
    let SyncCounts { created, configured, unchanged, pruned, failed } = sync.counts;
    let took = sync.duration_ms.map(|ms| format!(", in {}.{} s", ms / 1000, ms % 1000 / 100)).unwrap_or_default();
    format!("{created} created, {configured} configured, {unchanged} unchanged, {pruned} pruned, {failed} failed{took}")
}

/// Why it is not in force.
fn why(source: &SourceStatus, last: Option<&Sync>) -> Option<String> {
    if source.phase == Some(SourcePhase::Suspended) {
        return Some("nothing is done while spec.source.suspend is true".to_owned());
    }
    let ended = last.filter(|sync| sync.result != Some(SyncResult::Succeeded)).and_then(|sync| sync.message.clone());
    ended.or_else(|| source.waiting_for.as_ref().map(|sentence| format!("waiting for: {sentence}")))
}

/// What the condition says where the source failed and does not say why itself.
fn condition(profile: &Profile) -> Option<String> {
    let failed = source(profile)?.phase == Some(SourcePhase::Failed);
    let conditions = &profile.status.as_ref()?.conditions;
    let synced = conditions.iter().find(|condition| failed && condition.type_ == ConditionType::Synced)?;
    Some(synced.message.clone()).filter(|message| !message.is_empty())
}

/// One failure, with its place first, as compilers write it.
fn said_of(failure: &SyncFailure) -> String {
    format!("{} ({})", bare(failure), failure.reason)
}

/// The same without its reason, as messages begin that are about it.
fn bare(failure: &SyncFailure) -> String {
    let SyncFailure { object, file, line, message, .. } = failure;
    let line = line.filter(|_| file.is_some()).map(|line| line.to_string());
    let parts = [file.clone(), line].into_iter().flatten().collect::<Vec<_>>().join(":");
    let before = [Some(parts).filter(|place| !place.is_empty()), object.clone()].into_iter().flatten();
    format!("{}{message}", before.map(|part| part + ": ").collect::<String>())
}
