//! Objects of which their Profile says itself when they are healthy, by CEL over the whole object.
//!
//! Expressions are bounded before they are evaluated (see [`expression`](crate::analysis::expression)). They may still take about a
//! second each on objects that are made to be slow: callers judge on a thread for blocking work.

use serde_json::Value;
use thiserror::Error;

use super::health::Health;
use crate::{
    analysis::expression::{EvaluationError, Expression, OBJECT, compile_over},
    api::source::{HealthCheck, SourceDependency},
};

/// What is wrong with a check.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("spec.source.healthChecks[{index}].{field}: {message}")]
pub struct CheckProblem {
    /// Its place in the list.
    pub index: usize,
    /// The field of it.
    pub field: &'static str,
    /// What is wrong with that, and the remedy.
    pub message: String,
}

/// Whether what an object holds may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Words {
    /// It may.
    Open,
    /// It may not: it is secret.
    Secret,
}

/// The checks of a source, ready to be asked.
#[derive(Debug, Default)]
pub struct Checks {
    /// As they were written.
    of: Vec<HealthCheck>,
    checks: Vec<Check>,
}

#[derive(Debug)]
struct Check {
    api_version: String,
    kind: String,
    failed: Option<Expression>,
    in_progress: Option<Expression>,
    current: Expression,
}

impl Checks {
    /// Reads the checks of a source.
    ///
    /// # Errors
    /// The first that cannot be carried out.
    pub fn of(checks: &[HealthCheck]) -> Result<Self, CheckProblem> {
        let all = checks.iter().enumerate().map(|(index, check)| {
            twice(checks, index)?;
            Check::of(index, check)
        });
        Ok(Self { checks: all.collect::<Result<_, _>>()?, of: checks.to_vec() })
    }

    /// Whether these are the ones that are written there.
    pub fn is_of(&self, checks: &[HealthCheck]) -> bool {
        self.of == checks
    }

    /// Whether objects of a kind are judged here.
    pub fn has(&self, api_version: &str, kind: &str) -> bool {
        self.find(api_version, kind).is_some()
    }

    fn find(&self, api_version: &str, kind: &str) -> Option<(usize, &Check)> {
        self.checks.iter().enumerate().find(|(_, check)| (&*check.api_version, &*check.kind) == (api_version, kind))
    }

    /// Judges an object as the cluster has it; none where its kind has no check.
    pub fn judge(&self, object: &Value, words: Words) -> Option<Health> {
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
        let (index, check) = self.find(text("apiVersion"), text("kind"))?;
        if object.pointer("/metadata/deletionTimestamp").is_some_and(Value::is_string) {
            return Some(Health::InProgress("it is being deleted".to_owned()));
        }
        let at = format!("spec.source.healthChecks[{index}]");
        Some(
            check.judge(object, &at).unwrap_or_else(|(field, error)| {
                Health::InProgress(format!("{at}.{field}: {}", unread(&error, words)))
            }),
        )
    }
}

impl Check {
    fn of(index: usize, check: &HealthCheck) -> Result<Self, CheckProblem> {
        let read = |field, text: &String| {
            compile_over(text, &OBJECT).map_err(|error| CheckProblem { index, field, message: error.to_string() })
        };
        Ok(Self {
            api_version: check.api_version.clone(),
            kind: check.kind.clone(),
            failed: check.failed.as_ref().map(|text| read("failed", text)).transpose()?,
            in_progress: check.in_progress.as_ref().map(|text| read("inProgress", text)).transpose()?,
            current: read("current", &check.current)?,
        })
    }

    /// What the expressions say, in their order; or the field of the one that has no value.
    fn judge(&self, object: &Value, at: &str) -> Result<Health, (&'static str, EvaluationError)> {
        let holds = |field, expression: &Expression| expression.evaluate_object(object).map_err(|error| (field, error));
        if let Some(failed) = &self.failed
            && holds("failed", failed)?
        {
            return Ok(Health::Failed(format!("{at}.failed is true")));
        }
        if let Some(in_progress) = &self.in_progress
            && holds("inProgress", in_progress)?
        {
            return Ok(Health::InProgress(format!("{at}.inProgress is true")));
        }
        if holds("current", &self.current)? {
            return Ok(Health::Current);
        }
        Ok(Health::InProgress(format!("{at}.current is not true yet")))
    }
}

/// Reads the expression by which something that a source depends on is in force.
///
/// # Errors
/// It cannot be carried out.
pub fn readiness(index: usize, dependency: &SourceDependency) -> Result<Option<Readiness>, DependencyProblem> {
    let read = |text: &String| {
        compile_over(text, &OBJECT)
            .map(|expression| Readiness { index, expression })
            .map_err(|error| DependencyProblem { index, message: error.to_string() })
    };
    dependency.ready.as_ref().map(read).transpose()
}

/// What is wrong with the expression of a dependency.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("spec.source.dependsOn[{index}].ready: {message}")]
pub struct DependencyProblem {
    /// Its place in the list.
    pub index: usize,
    /// What is wrong, and the remedy.
    pub message: String,
}

/// When an object that a source depends on is in force.
#[derive(Debug)]
pub struct Readiness {
    index: usize,
    expression: Expression,
}

impl Readiness {
    /// Why an object is not in force yet; none where it is.
    pub fn missing(&self, object: &Value, words: Words) -> Option<String> {
        let at = format!("spec.source.dependsOn[{}].ready", self.index);
        match self.expression.evaluate_object(object) {
            Ok(true) => None,
            Ok(false) => Some(format!("{at} is not true yet")),
            Err(error) => Some(format!("{at}: {}", unread(&error, words))),
        }
    }
}

/// Two checks of one kind would contradict each other.
fn twice(checks: &[HealthCheck], index: usize) -> Result<(), CheckProblem> {
    let check = &checks[index];
    let same = |other: &HealthCheck| (&other.api_version, &other.kind) == (&check.api_version, &check.kind);
    if checks[..index].iter().any(same) {
        let message = format!("{} of {} has a check already: join them with ||", check.kind, check.api_version);
        return Err(CheckProblem { index, field: "kind", message });
    }
    Ok(())
}

/// Why an expression has no value. CEL quotes what it finds.
fn unread(error: &EvaluationError, words: Words) -> String {
    match (error, words) {
        (EvaluationError::TooCostly, _) => {
            "the object is too large for the expression: walk over less of it".to_owned()
        }
        (_, Words::Secret) => "the expression has no value for this object, of which nothing is repeated".to_owned(),
        (error, Words::Open) => error.to_string(),
    }
}
