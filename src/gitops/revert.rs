//! When a commit is undone in its repository, in which words, and whether a branch may be moved for that.
//!
//! Undone is a commit of which a Deployment was rolled back because a check failed: that speaks against the commit itself. What a
//! person ended, what took too long and pods that did not start may have other causes, and are nobody's reason to write to a
//! repository.

use std::time::Duration;

use super::{owner::Owner, words::cut};
use crate::api::source::{Revert, RevertAuthor, Reverted, Rollout, Source, SourceStatus, SyncResult};

/// The most tries to push one revert.
const ATTEMPTS_MAX: i32 = 6;

/// The pauses between them: the first one, and the longest.
pub(super) const PAUSES: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(10));

/// The most of a subject that is quoted, in bytes.
const SUBJECT_MAX: usize = 200;

/// The most of what is said of a rollout, in bytes.
const CAUSE_MAX: usize = 900;

/// What stands before the name of the source in a revert of ours.
const TRAILER: &str = "Landfall-Source: ";

/// Why a revert is not pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setback {
    /// As one word.
    pub reason: &'static str,
    /// As a sentence.
    pub message: String,
}

/// There is nothing to go back to.
pub const NOTHING_BEFORE: &str = "NothingBefore";
/// The directory is the same in both commits.
pub const NOTHING_DIFFERS: &str = "NothingDiffers";
/// The followed branch leads to another commit meanwhile.
pub const TIP_MOVED: &str = "TipMoved";
/// The branch has commits of somebody else.
pub const BRANCH_TAKEN: &str = "BranchTaken";
/// The server refuses the push.
pub const PUSH_REFUSED: &str = "PushRefused";

/// What no second try changes.
const LAST: [&str; 5] = [NOTHING_BEFORE, NOTHING_DIFFERS, TIP_MOVED, BRANCH_TAKEN, PUSH_REFUSED];

/// What became of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// The branch leads to this commit, which undoes the other.
    Done(String),
    /// It does not.
    Not(Setback),
}

/// A commit that undoes another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The commit that it undoes, which is its parent.
    pub of: String,
    /// The commit whose directory it brings back.
    pub to: String,
    /// The directory.
    pub directory: String,
    /// The branch that it is for.
    pub branch: String,
    /// The branch that is followed, if one is.
    pub followed: Option<String>,
    /// The name of the author and committer.
    pub name: String,
    /// The address of the author and committer.
    pub email: String,
    /// When it was decided, in seconds since 1970.
    pub seconds: i64,
    /// Its message.
    pub message: String,
}

/// What a branch leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The hash of the commit.
    pub id: String,
    /// Its message.
    pub message: String,
    /// Who wrote it.
    pub author: String,
    /// Who committed it.
    pub committer: String,
}

/// How a branch comes to lead to a revert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// It leads to one already.
    Done(String),
    /// It is made, or moved from this commit.
    Push(Option<String>),
}

/// The Deployment of a commit that speaks against it.
pub(super) fn condemned(rollouts: &[Rollout]) -> Option<&Rollout> {
    let is_judged = |one: &&Rollout| one.phase == "RolledBack" && one.code.as_deref() == Some("CHECK_FAILED");
    rollouts.iter().find(is_judged)
}

/// Why a commit is undone, as one sentence.
pub(super) fn cause(rollout: &Rollout) -> String {
    let Rollout { deployment, message, details, .. } = rollout;
    let message = message.as_deref().unwrap_or("a check failed");
    let details = details.as_ref().map(|details| format!(" ({details})")).unwrap_or_default();
    let whole = format!("the Deployment {deployment} was rolled back: {message}{details}");
    cut(&one_line(&whole), CAUSE_MAX)
}

/// The commit to go back to; none where nothing else was in force with everything healthy.
pub(super) fn former(status: &SourceStatus, of: &str) -> Option<String> {
    let of_history = || {
        let good = status.history.iter().find(|sync| sync.result == Some(SyncResult::Succeeded));
        good.map(|sync| sync.commit.clone())
    };
    status.settled.clone().or_else(of_history).filter(|commit| commit != of)
}

/// Whether nothing more is done about a revert.
pub fn is_over(revert: &Reverted) -> bool {
    let last = |reason: &String| LAST.contains(&reason.as_str()) || revert.attempts >= ATTEMPTS_MAX;
    revert.commit.is_some() || revert.reason.as_ref().is_some_and(last)
}

/// The revert that the status has decided on; none where the spec wants none any more.
pub fn proposal(source: &Source, status: &SourceStatus, whose: &Owner<'_>) -> Option<Proposal> {
    let (revert, decided) = (source.revert.as_ref()?, status.revert.as_ref()?);
    let name = format!("{}.{}", whose.profile, whose.namespace);
    let Revert { author, .. } = revert;
    let author = author
        .clone()
        .unwrap_or_else(|| RevertAuthor { name: "Landfall".to_owned(), email: format!("landfall@{name}") });
    Some(Proposal {
        of: decided.of.clone(),
        to: decided.to.clone(),
        directory: source.git.directory().to_owned(),
        branch: decided.branch.clone(),
        followed: source.git.followed().map(ToOwned::to_owned),
        name: author.name,
        email: author.email,
        seconds: decided.at.as_ref().map_or(0, |at| at.0.as_second()),
        message: message(decided, subject(status, &decided.of), (source.git.directory(), &name)),
    })
}

/// The first line of a commit's message, where it is known.
fn subject<'a>(status: &'a SourceStatus, of: &'a str) -> &'a str {
    let known = status.observed.as_ref().filter(|known| known.id == of && !known.message.is_empty());
    known.map_or(of, |known| known.message.as_str())
}

fn message(decided: &Reverted, subject: &str, (directory, source): (&str, &str)) -> String {
    let Reverted { of, to, message, .. } = decided;
    let subject = cut(&one_line(subject), SUBJECT_MAX);
    let cause = message.as_deref().unwrap_or_default();
    let mut letters = cause.chars();
    let cause: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
    format!(
        "Revert \"{subject}\"\n\n{cause}.\n\n{REVERTS} {of}.\nThe directory {directory} is as in commit {to}.\n\n{TRAILER}{source}\n"
    )
}

/// As git says it itself.
const REVERTS: &str = "This reverts commit";

/// A text on one line, without anything that a terminal would obey.
fn one_line(text: &str) -> String {
    let plain = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    plain.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// How the branch comes to lead to the revert, judged by what it leads to now.
///
/// # Errors
/// It has commits of somebody else, which are not taken away.
pub fn way(proposal: &Proposal, head: Option<&Head>) -> Result<Way, Setback> {
    let Proposal { of, branch, .. } = proposal;
    let Some(head) = head else { return Ok(Way::Push(None)) };
    if head.message.contains(&format!("{REVERTS} {of}")) {
        return Ok(Way::Done(head.id.clone()));
    }
    if head.id == *of {
        return Ok(Way::Push(Some(head.id.clone())));
    }
    if proposal.is_on_followed() {
        return Err(moved(proposal));
    }
    if is_ours(proposal, head) {
        return Ok(Way::Push(Some(head.id.clone())));
    }
    let message = format!(
        "the branch {branch} leads to commit {}, which is no revert of this source, and is left alone: merge or delete it, or \
         name another branch",
        super::words::short(&head.id)
    );
    Err(Setback { reason: BRANCH_TAKEN, message })
}

/// Whether it is a revert of this source, as it was pushed: whoever changes one becomes its committer.
fn is_ours(proposal: &Proposal, head: &Head) -> bool {
    let trailer = proposal.message.lines().rfind(|line| line.starts_with(TRAILER));
    let own = trailer.is_some_and(|trailer| head.message.lines().any(|line| line == trailer));
    own && head.message.contains(REVERTS) && head.author == head.committer
}

/// That there is a newer commit.
pub fn moved(proposal: &Proposal) -> Setback {
    let branch = proposal.followed.as_ref().unwrap_or(&proposal.branch);
    let message = format!("the branch {branch} leads to another commit meanwhile: that one is judged by itself");
    Setback { reason: TIP_MOVED, message }
}

impl Proposal {
    /// Whether it is for the branch that is followed.
    pub fn is_on_followed(&self) -> bool {
        self.followed.as_ref() == Some(&self.branch)
    }
}
