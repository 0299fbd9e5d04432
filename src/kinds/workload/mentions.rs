//! What objects of any kind name: `ConfigMap`s and Secrets outside of the pods of a revision.
//!
//! What an object that all revisions share names must itself be shared, or the name would lead nowhere. Kinds are many and
//! their fields have no common form, so these are the forms that occur: a field that is called after the kind, a name
//! beside the kind or beside a key, certificates, and what a role allows. A false find costs a configuration its history; a
//! missed one would break a reference.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{json::list, pod::Config};

/// Configurations, by kind and name.
pub type Configs = BTreeSet<(Config, String)>;

/// Adds what looks like a reference to a configuration. `field` is the one that the value stands in.
pub fn collect(value: &Value, field: &str, found: &mut Configs) {
    match value {
        Value::String(name) => found.extend(called_after(field).map(|config| (config, name.clone()))),
        Value::Array(items) => items.iter().for_each(|item| collect(item, field, found)),
        Value::Object(map) => {
            if let Some(name) = map.get("name").and_then(Value::as_str) {
                found.extend(
                    Config::ALL.into_iter().filter(|c| is_meant(*c, value, field)).map(|c| (c, name.to_owned())),
                );
            }
            found.extend(allowed(value));
            // What `name` is a name of says the object around it.
            map.iter().filter(|(key, _)| *key != "name").for_each(|(key, inner)| collect(inner, key, found));
        }
        _ => {}
    }
}

/// Whether an object with a name names a configuration of this kind by it.
fn is_meant(config: Config, object: &Value, field: &str) -> bool {
    match object.get("kind") {
        Some(kind) => kind == config.kind(),
        None => match called_after(field) {
            Some(said) => said == config,
            None => object.get("key").is_some(),
        },
    }
}

/// The kind that a field is called after.
fn called_after(field: &str) -> Option<Config> {
    let field = field.to_ascii_lowercase();
    if field.contains("configmap") {
        Some(Config::ConfigMap)
    } else {
        (field.contains("secret") || field.contains("certificateref")).then_some(Config::Secret)
    }
}

/// The configurations that a rule of a role names.
fn allowed(rule: &Value) -> Configs {
    let names = list(rule, "/resourceNames").iter().filter_map(Value::as_str);
    let covers = |config: Config| {
        let resource = format!("{}s", config.kind().to_ascii_lowercase());
        list(rule, "/resources").iter().any(|word| word == "*" || word == &resource)
    };
    let kinds: Vec<_> = Config::ALL.into_iter().filter(|config| covers(*config)).collect();
    names.flat_map(|name| kinds.iter().map(|config| (*config, name.to_owned()))).collect()
}
