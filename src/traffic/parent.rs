//! What a route is attached to.

use std::fmt;

use serde_json::Value;

use crate::traffic::{GATEWAY_GROUP, list, metadata, text};

/// A parent of a route with all that was left out filled in, so that two references to the same parent are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParentKey {
    /// The API group of its kind; empty for a Service.
    pub group: String,
    /// Its kind, mostly Gateway.
    pub kind: String,
    /// Its namespace; the route's where the reference has none.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The name of one listener; none for all that fit.
    pub section: Option<String>,
    /// The port of the listener; none for all that fit.
    pub port: Option<i64>,
}

impl ParentKey {
    /// Reads a reference of a route in this namespace.
    pub fn read(reference: &Value, namespace: &str) -> Self {
        let or = |field, default: &str| text(reference, field).unwrap_or(default).to_owned();
        Self {
            group: or("group", GATEWAY_GROUP),
            kind: or("kind", "Gateway"),
            namespace: or("namespace", namespace),
            name: or("name", ""),
            section: text(reference, "sectionName").map(str::to_owned),
            port: reference.get("port").and_then(Value::as_i64),
        }
    }

    /// Whether it is a Gateway, whose class names its controller.
    pub fn is_gateway(&self) -> bool {
        self.group == GATEWAY_GROUP && self.kind == "Gateway"
    }

    /// Whether a request can come through both. A reference without section or port means every one.
    pub fn overlaps(&self, other: &Self) -> bool {
        let object = |key: &Self| (key.group.clone(), key.kind.clone(), key.namespace.clone(), key.name.clone());
        object(self) == object(other)
            && meets(self.section.as_ref(), other.section.as_ref())
            && meets(self.port.as_ref(), other.port.as_ref())
    }
}

fn meets<T: PartialEq>(left: Option<&T>, right: Option<&T>) -> bool {
    left.is_none() || right.is_none() || left == right
}

impl fmt::Display for ParentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)?;
        if let Some(section) = &self.section {
            write!(f, " section {section}")?;
        }
        self.port.map_or(Ok(()), |port| write!(f, " port {port}"))
    }
}

/// The parents of a route, in the order of its references.
pub fn parents(route: &Value) -> Vec<ParentKey> {
    let namespace = metadata(route, "namespace").unwrap_or_default();
    let references = route.get("spec").map_or(&[][..], |spec| list(spec, "parentRefs"));
    references.iter().map(|reference| ParentKey::read(reference, namespace)).collect()
}
