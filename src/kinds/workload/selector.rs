//! Label selectors, as the API server reads them.

use serde_json::{Map, Value};

use super::json::{entries, list, text};

/// Whether a selector with `matchLabels` and `matchExpressions` matches these labels.
///
/// # Errors
/// An operator that does not exist.
pub fn matches(selector: &Value, labels: &Map<String, Value>) -> Result<bool, String> {
    let mut all = entries(selector, "/matchLabels").all(|(key, value)| labels.get(key) == Some(value));
    for expression in list(selector, "/matchExpressions") {
        all &= holds(expression, labels)?;
    }
    Ok(all)
}

fn holds(expression: &Value, labels: &Map<String, Value>) -> Result<bool, String> {
    let label = labels.get(text(expression, "/key"));
    let listed = label.is_some_and(|label| list(expression, "/values").contains(label));
    match text(expression, "/operator") {
        "In" => Ok(listed),
        "NotIn" => Ok(!listed),
        "Exists" => Ok(label.is_some()),
        "DoesNotExist" => Ok(label.is_none()),
        other => Err(format!("the operator \"{other}\" does not exist: write In, NotIn, Exists or DoesNotExist")),
    }
}

/// Whether a selector selects nothing in particular.
pub fn is_empty(selector: &Value) -> bool {
    entries(selector, "/matchLabels").next().is_none() && list(selector, "/matchExpressions").is_empty()
}

/// Whether the selector of a Service, a plain map, is not empty and matches these labels.
pub fn selects(selector: &Value, labels: &Map<String, Value>) -> bool {
    let wanted = selector.as_object();
    wanted.is_some_and(|wanted| !wanted.is_empty() && wanted.iter().all(|(key, value)| labels.get(key) == Some(value)))
}
