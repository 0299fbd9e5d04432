//! Parts of schemas that the derive cannot say, and the rules that several types share.
//!
//! Every string, list and map of a custom resource has a bound: without one, a rule over it exceeds the budget that
//! the API server grants.

use kube::core::Rule;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value;

/// The rule that exactly one of these fields is there. A new alternative is one more name in the list.
pub(super) fn exactly_one(fields: &[&str], message: &str) -> Rule {
    let present: Vec<_> = fields.iter().map(|field| format!("has(self.{field})")).collect();
    // With one alternative a filter over the list would be a needless cost.
    let rule = match present.as_slice() {
        [only] => only.clone(),
        several => format!("[{}].exists_one(present, present)", several.join(", ")),
    };
    Rule::new(rule).message(message)
}

/// The rule that a field never changes, comes or goes. It belongs on the parent: a rule on the field itself is not
/// evaluated when the field is removed.
pub(super) fn immutable(field: &str, message: &str) -> Rule {
    let presence = format!("has(self.{field}) == has(oldSelf.{field})");
    Rule::new(format!("{presence} && (!has(self.{field}) || self.{field} == oldSelf.{field})")).message(message)
}

/// The rule that a required field never changes.
pub(super) fn constant(field: &str, message: &str) -> Rule {
    Rule::new(format!("self.{field} == oldSelf.{field}")).message(message)
}

/// The rule that no two entries of a list have the same value of this key.
pub(super) fn unique(list: &str, key: &str, message: &str) -> Rule {
    let once = format!("self.{list}.all(one, self.{list}.exists_one(other, other.{key} == one.{key}))");
    Rule::new(format!("!has(self.{list}) || {once}")).message(message)
}

/// A map of short texts: labels, tags, metadata.
pub(super) fn text_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 64, "additionalProperties": {"type": "string", "maxLength": 1024}})
}

/// An object that may have any fields.
pub(super) fn ignored_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// A point in time in RFC 3339.
pub(super) fn date_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time", "maxLength": 40})
}

/// Removes `nullable` everywhere. A null would claim a field in server-side apply without setting it, and `has()` of a
/// rule is true for it; without `nullable` the API server refuses it.
pub(super) fn without_nulls(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.get("nullable") == Some(&Value::Bool(true)) {
                object.remove("nullable");
            }
            object.values_mut().for_each(without_nulls);
        }
        Value::Array(values) => values.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// Declares an enum of a status: texts that grow with the program. The schema is a plain text, and what this program
/// does not know is read as `Unknown`, so that an older operator survives a newer object.
macro_rules! status_enum {
    ($(#[$docs:meta])* $name:ident { $($(#[$variant_docs:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$docs])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$variant_docs])* $variant,)+
            /// A value that this version of the program does not know.
            #[default]
            #[serde(other)]
            Unknown,
        }

        impl $name {
            /// Every value that this program writes.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The value as it is written.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($variant),)+
                    Self::Unknown => "Unknown",
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "maxLength": 64})
            }
        }
    };
}
pub(super) use status_enum;

/// Drops what restricts texts beyond their type, at every depth.
pub(super) fn without_rules(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            // A property may have one of these names; its value is an object then.
            fields.retain(|key, value| match key.as_str() {
                "pattern" => !value.is_string(),
                "format" => value != "date-time",
                "x-kubernetes-validations" => !value.is_array(),
                _ => true,
            });
            fields.values_mut().for_each(without_rules);
        }
        Value::Array(items) => items.iter_mut().for_each(without_rules),
        _ => {}
    }
}
