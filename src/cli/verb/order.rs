//! What a command's annotation says: which run or revision is meant, and what of it.
//!
//! A command that arrives late must be answered as stale and not hit something newer, so it always names what was there
//! when it was typed.

use thiserror::Error;

use crate::api::{command::Verb, deployment_status::DeploymentStatus};

/// A command in words, without the mark that makes it unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What is asked.
    pub verb: Verb,
    /// The run or revision that is meant, where the person names it.
    pub named: Option<String>,
    /// What is said beside it.
    pub with: Option<With>,
}

/// What a command says beside its verb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum With {
    /// `promote`: all remaining steps.
    Full,
    /// `rollback`: to this revision or version.
    To(String),
}

/// Why there is nothing that a command could mean.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum OrderError {
    /// The Deployment has no run yet.
    #[error("it has not run yet, so there is nothing to {0}")]
    NoRun(&'static str),
    /// A rollback begins after a run.
    #[error("a run is under way: use abort, which returns to the stable revision")]
    UnderWay,
    /// A name that cannot be part of a command.
    #[error("{0:?} is not the name of a run or revision: `landfall history` shows them")]
    BadName(String),
}

impl Order {
    /// The value of the annotation. `mark` makes it unlike every other one.
    ///
    /// # Errors
    /// There is nothing that the command could mean.
    pub fn value(&self, status: &DeploymentStatus, mark: &str) -> Result<String, OrderError> {
        let meant = match &self.named {
            Some(name) => name.clone(),
            None => meant(self.verb, status)?,
        };
        let with = match &self.with {
            None => String::new(),
            Some(With::Full) => " full".to_owned(),
            Some(With::To(wanted)) => format!(" to={}", name(&revision(status, wanted))?),
        };
        Ok(format!("{}{with} at={mark}", name(&meant)?))
    }
}

/// What a verb is about. A run under way is what everybody means; after it, what runs.
fn meant(verb: Verb, status: &DeploymentStatus) -> Result<String, OrderError> {
    let run = status.run.as_ref().filter(|run| !run.id.is_empty());
    let under_way = run.filter(|run| run.completed_at.is_none());
    let stable =
        status.revision.as_ref().and_then(|revision| revision.stable.as_ref()).map(|stable| stable.hash.clone());
    let of_what_runs = matches!(verb, Verb::Rollback | Verb::Stop | Verb::Restart);
    let chosen = match (under_way, of_what_runs) {
        (Some(_), _) if verb == Verb::Rollback => return Err(OrderError::UnderWay),
        (Some(run), _) => Some(run.id.clone()),
        (None, true) => stable.or_else(|| run.map(|run| run.id.clone())),
        (None, false) => run.map(|run| run.id.clone()),
    };
    chosen.filter(|name| !name.is_empty()).ok_or(OrderError::NoRun(verb.word()))
}

/// The revision of a version that once ran, or the text itself, which then is a revision.
fn revision(status: &DeploymentStatus, wanted: &str) -> String {
    let ran = status.history.iter().find(|finished| finished.revision.version == wanted);
    ran.map_or_else(|| wanted.to_owned(), |finished| finished.revision.hash.clone())
}

/// A name that fits into the grammar of commands.
fn name(text: &str) -> Result<&str, OrderError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if !text.is_empty() && text.len() <= 64 && text.chars().all(fits) {
        Ok(text)
    } else {
        Err(OrderError::BadName(text.to_owned()))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn status(run: &Value) -> DeploymentStatus {
        serde_json::from_value(json!({
            "run": run,
            "revision": {"stable": {"version": "1.0.0", "hash": "aaa"}, "candidate": {"version": "1.1.0", "hash": "bbb"}},
            "history": [
                {"run": {"id": "deploy-0"}, "revision": {"version": "0.9.0", "hash": "zzz"}, "phase": "Succeeded"},
            ],
        }))
        .unwrap()
    }

    fn value(verb: Verb, status: &DeploymentStatus) -> Result<String, OrderError> {
        Order { verb, named: None, with: None }.value(status, "m")
    }

    #[test]
    fn a_command_names_the_run_under_way() {
        let status = status(&json!({"id": "deploy-1"}));
        for verb in Verb::ALL.iter().filter(|verb| **verb != Verb::Rollback) {
            assert_eq!(value(*verb, &status), Ok("deploy-1 at=m".to_owned()), "{verb}");
        }
        assert_eq!(value(Verb::Rollback, &status), Err(OrderError::UnderWay));
    }

    #[test]
    fn after_a_run_it_names_what_runs_or_the_run_that_ended() {
        let status = status(&json!({"id": "deploy-1", "completedAt": "2026-01-01T00:00:00Z"}));
        for verb in Verb::ALL {
            let about = if matches!(verb, Verb::Rollback | Verb::Stop | Verb::Restart) { "aaa" } else { "deploy-1" };
            assert_eq!(value(*verb, &status), Ok(format!("{about} at=m")), "{verb}");
        }
    }

    #[test]
    fn without_a_run_there_is_nothing_to_command() {
        let nothing = DeploymentStatus::default();
        assert_eq!(value(Verb::Abort, &nothing), Err(OrderError::NoRun("abort")));
        assert_eq!(value(Verb::Stop, &nothing), Err(OrderError::NoRun("stop")));
    }

    #[test]
    fn what_is_said_beside_the_verb_follows_the_name() {
        let status = status(&json!({"id": "deploy-1", "completedAt": "2026-01-01T00:00:00Z"}));
        let said =
            |verb, named: Option<&str>, with| Order { verb, named: named.map(str::to_owned), with }.value(&status, "m");
        assert_eq!(said(Verb::Promote, Some("deploy-9"), Some(With::Full)), Ok("deploy-9 full at=m".to_owned()));
        let to = |text: &str| Some(With::To(text.to_owned()));
        assert_eq!(said(Verb::Rollback, None, to("0.9.0")), Ok("aaa to=zzz at=m".to_owned()));
        assert_eq!(said(Verb::Rollback, None, to("7c9f")), Ok("aaa to=7c9f at=m".to_owned()));
        assert_eq!(said(Verb::Rollback, None, to("a full")), Err(OrderError::BadName("a full".to_owned())));
        assert_eq!(said(Verb::Abort, Some(""), None), Err(OrderError::BadName(String::new())));
    }
}
