//! What the API server would say of an object: its schema, read strictly, and its rules.

use jsonschema::{Validator, error::ValidationErrorKind};
use kube::core::cel::{ValidationError as BrokenRule, Validator as Rules};
use serde_json::{Value, json};

use super::Finding;

/// What is wrong with an object of a kind of this schema.
///
/// # Errors
/// The schema itself cannot be read, which a test excludes for the schemas of Landfall.
pub fn findings(schema: &Value, object: &Value) -> anyhow::Result<Vec<Finding>> {
    let mut strict = schema.clone();
    declare_header(&mut strict);
    make_strict(&mut strict);
    let validator = Validator::options().should_validate_formats(true).build(&strict)?;
    let mut found: Vec<_> = validator.iter_errors(object).flat_map(|error| of_schema(&error)).collect();
    // A rule may assume that the types are right.
    if found.is_empty()
        && let Err(errors) = Rules::new().validate(schema, object, None)
    {
        found = errors.as_slice().iter().map(of_rule).collect();
    }
    Ok(found)
}

/// Adds what every object has and the API server declares by itself.
fn declare_header(schema: &mut Value) {
    for (name, kind) in [("apiVersion", "string"), ("kind", "string"), ("metadata", "object")] {
        schema["properties"][name] = json!({"type": kind});
    }
}

/// Turns a schema of Kubernetes into one of JSON Schema that refuses what strict field validation refuses: fields that it
/// does not name.
fn make_strict(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    let keeps_unknown = object.get("x-kubernetes-preserve-unknown-fields") == Some(&json!(true));
    if object.get("x-kubernetes-int-or-string") == Some(&json!(true)) {
        object.insert("type".to_owned(), json!(["integer", "string"]));
    }
    // Integers of 32 and 64 bits and times are known to Kubernetes only.
    if object.get("format").is_some_and(|format| format != "date-time") {
        object.remove("format");
    }
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(make_strict);
        if !keeps_unknown {
            object.entry("additionalProperties").or_insert(json!(false));
        }
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = object.get_mut(inner) {
            make_strict(inner);
        }
    }
}

fn of_schema(error: &jsonschema::ValidationError) -> Vec<Finding> {
    let at = error.instance_path().as_str().to_owned();
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            unexpected.iter().map(|name| unknown_field(&at, name)).collect()
        }
        ValidationErrorKind::Type { .. } if error.instance().is_f64() => {
            vec![Finding::new(at, format!("{} is a float: put it in quotes", error.instance()))]
        }
        _ => vec![Finding::new(at, error.to_string())],
    }
}

fn unknown_field(at: &str, name: &str) -> Finding {
    let pointer = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
    Finding::new(pointer, "unknown field: remove it, or correct its name".to_owned())
}

fn of_rule(broken: &BrokenRule) -> Finding {
    let steps = broken.field_path.replace(']', "").replace(['.', '['], "/");
    let pointer = if steps.is_empty() { steps } else { format!("/{steps}") };
    Finding::new(pointer, broken.message.clone())
}
