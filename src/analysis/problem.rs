//! What is wrong with a check before it is ever made: for the linter and for the operator alike.

use super::{
    expression::compile,
    http::{Names, ServiceAddress, request},
};
use crate::api::check::Check;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field of the check: `http`, `success` or `failure`.
    pub field: &'static str,
    /// What is wrong with it and what to do.
    pub message: String,
}

/// All that is wrong with a check, as far as it can be known without the cluster.
#[must_use]
pub fn problems(check: &Check) -> Vec<Problem> {
    let some_service = ServiceAddress { host: "candidate.invalid".to_owned(), address: None, port: 80 };
    let address = request(check, &Names { candidate: Some(&some_service) }).err();
    let mut found: Vec<_> =
        address.into_iter().map(|invalid| Problem { field: "http", message: invalid.to_string() }).collect();
    let expressions = [("success", &check.success), ("failure", &check.failure)];
    found.extend(expressions.into_iter().filter_map(|(field, text)| {
        let error = compile(text.as_deref()?).err()?;
        Some(Problem { field, message: error.to_string() })
    }));
    found
}
