//! An object of a commit: which one it is, and what is written of it.

use std::{fmt, sync::Arc};

use serde_json::{Value, json};

use crate::{
    api::GROUP,
    kinds::workload::hash::{canonical, encode},
};

/// The length of a digest.
const DIGEST_LENGTH: usize = 20;

/// Which object something is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Group and version, such as `apps/v1`.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// The namespace; none where objects of this kind have none.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

impl Id {
    /// The id of an object; none where a part is missing.
    pub fn of(object: &Value) -> Option<Self> {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        Some(Self {
            api_version: text("/apiVersion")?.to_owned(),
            kind: text("/kind")?.to_owned(),
            namespace: text("/metadata/namespace").map(str::to_owned),
            name: text("/metadata/name")?.to_owned(),
        })
    }

    /// The API group; empty for the first one.
    pub fn group(&self) -> &str {
        self.api_version.rsplit_once('/').map_or("", |(group, _)| group)
    }

    /// Whether it is a Profile of Landfall.
    pub fn is_profile(&self) -> bool {
        self.kind == "Profile" && self.group() == GROUP
    }

    /// Whether two ids are of one object, in whatever version of its kind.
    pub fn is_same(&self, other: &Self) -> bool {
        self.place() == other.place()
    }

    /// What is the same in all versions of the kind.
    pub fn place(&self) -> (&str, &str, Option<&str>, &str) {
        (self.group(), &self.kind, self.namespace.as_deref(), &self.name)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { api_version: _, kind, namespace, name } = self;
        match namespace {
            Some(namespace) => write!(f, "{kind} {namespace}/{name}"),
            None => write!(f, "{kind} {name}"),
        }
    }
}

/// An object as a file has it.
///
/// It is kept as JSON text: a tree of a thousand objects takes ten times the memory, and most of them are not written.
#[derive(Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Which object it is.
    pub id: Id,
    /// The file, from the root of what was read.
    pub file: Arc<str>,
    /// The line in it where the object begins, from one; 0 for an object that a program made.
    pub line: u64,
    /// The digest of its content. Namespace and id are not part of it.
    pub digest: String,
    /// Whether values of Secrets may stand in it, although it is none: what others say of it may quote them.
    pub confidential: bool,
    /// Where values stand that were decrypted: the keys that lead to each, with a number for a place in a list.
    pub sealed: Vec<Vec<String>>,
    /// Canonical JSON without `metadata.namespace`.
    text: Arc<str>,
}

/// It may be a Secret.
impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Manifest({} of {}:{})", self.id, self.file, self.line)
    }
}

impl Manifest {
    /// An object that begins at a line of a file.
    pub fn new(id: Id, mut object: Value, file: Arc<str>, line: u64) -> Self {
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("namespace");
        }
        let text = canonical(&object);
        let digest = encode(&text, DIGEST_LENGTH);
        Self { id, file, line, digest, confidential: false, sealed: Vec::new(), text: text.into() }
    }

    /// What is sent to the API server, as canonical JSON. The namespace is not in it: it stands in the address.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What may be repeated of the words by which an API server refuses it. It may quote what is in the object.
    pub fn refusal<'w>(&self, words: &'w str) -> &'w str {
        // So it says what an account may not do; a policy that refuses what is in the object says something else.
        let is_about_rights = words.contains(" is forbidden: User ");
        if self.is_guarded() && !is_about_rights {
            return "the API server refuses this object; its words may quote what is secret and are not repeated";
        }
        words
    }

    /// Whether nothing that the cluster has in it may be repeated.
    pub fn is_guarded(&self) -> bool {
        self.confidential || self.is_secret()
    }

    fn is_secret(&self) -> bool {
        self.id.kind == "Secret" && self.id.group().is_empty()
    }

    /// The object, with its namespace.
    pub fn object(&self) -> Value {
        let mut object: Value = serde_json::from_str(&self.text).unwrap_or_default();
        if let (Some(namespace), Some(metadata)) = (&self.id.namespace, object.get_mut("metadata")) {
            metadata["namespace"] = json!(namespace);
        }
        object
    }
}

/// The digest of a value: the beginning of the sha256 of its canonical JSON.
pub fn digest(value: &Value) -> String {
    encode(&canonical(value), DIGEST_LENGTH)
}
