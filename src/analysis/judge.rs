//! What an answer means.

use super::{
    answer::{BODY_MAX, Reply},
    expression::{Answer, EvaluationError, Expression, compile},
    words::{SHOWN_MAX, cut},
};
use crate::{api::check::Check, engine::verdict::Measurement};

/// Judges an answer. `failure` is asked first; without expressions, status and body are as expected or not.
///
/// An expression that cannot be evaluated is unknown, unless it reads `json` and the body is something else: an empty
/// body is no data, any other a failure.
///
/// This may take about a second for an expression and an answer that are made to be slow: callers run it on a thread for
/// blocking work, with a timeout.
#[must_use]
pub fn judge(check: &Check, reply: &Reply) -> Measurement {
    let seen = Seen::of(reply);
    match decide(check, &seen) {
        Ok(measurement) => measurement,
        Err(Undecided::Evaluation(EvaluationError::NotJson)) if seen.body.trim().is_empty() => Measurement::NoData,
        Err(Undecided::Evaluation(EvaluationError::NotJson)) => Measurement::Failure(seen.shown("not JSON, ")),
        Err(Undecided::Evaluation(error)) => Measurement::Unknown(cut(&error.to_string(), SHOWN_MAX)),
        Err(Undecided::Spec(words)) => Measurement::Unknown(cut(&words, SHOWN_MAX)),
    }
}

enum Undecided {
    Evaluation(EvaluationError),
    Spec(String),
}

fn decide(check: &Check, seen: &Seen<'_>) -> Result<Measurement, Undecided> {
    if holds(check.failure.as_deref(), seen)? == Some(true) {
        return Ok(Measurement::Failure(seen.shown("")));
    }
    let succeeds = holds(check.success.as_deref(), seen)?.unwrap_or_else(|| is_expected(check, seen));
    Ok(match (succeeds, &check.failure) {
        (true, _) => Measurement::Success,
        (false, None) => Measurement::Failure(seen.shown("")),
        (false, Some(_)) => Measurement::NoData,
    })
}

/// The value of an expression; none without one.
fn holds(text: Option<&str>, seen: &Seen<'_>) -> Result<Option<bool>, Undecided> {
    let Some(text) = text else { return Ok(None) };
    let expression: Expression = compile(text).map_err(|error| Undecided::Spec(error.to_string()))?;
    expression.evaluate(seen.answer()).map(Some).map_err(Undecided::Evaluation)
}

fn is_expected(check: &Check, seen: &Seen<'_>) -> bool {
    let Some(probe) = &check.http else { return false };
    let status = i32::from(seen.reply.status);
    let status_fits = match probe.expected_status.as_slice() {
        [] => (200..400).contains(&status),
        expected => expected.contains(&status),
    };
    status_fits && probe.expected_body.as_ref().is_none_or(|expected| seen.body.contains(expected.as_str()))
}

/// An answer as expressions and people see it.
struct Seen<'a> {
    reply: &'a Reply,
    body: std::borrow::Cow<'a, str>,
    json: Option<serde_json::Value>,
}

impl<'a> Seen<'a> {
    fn of(reply: &'a Reply) -> Self {
        let bytes = &reply.body[..reply.body.len().min(BODY_MAX)];
        Self { reply, body: String::from_utf8_lossy(bytes), json: serde_json::from_slice(bytes).ok() }
    }

    fn answer(&self) -> Answer<'_> {
        Answer {
            status: self.reply.status,
            body: &self.body,
            json: self.json.as_ref(),
            duration_ms: i64::try_from(self.reply.duration.as_millis()).unwrap_or(i64::MAX),
        }
    }

    fn shown(&self, what: &str) -> String {
        let text = format!("{what}status {}, body \"{}", self.reply.status, self.body.trim());
        format!("{}\"", cut(&text, SHOWN_MAX - 1))
    }
}
