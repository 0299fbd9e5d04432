//! From the text of files to manifests: each file by itself, and then all of them together.
//!
//! What is found in one file does not depend on the others, so that only files that changed are read again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use serde_json::Value;

use super::{
    document::{self, Document, Unreadable},
    object::{Id, Manifest},
    problem::Problem,
    scope::{Scope, Scopes},
    sops::{self, Opened, Refused, age::Identities},
    substitute,
};
use crate::api::names;

/// The comment by which a file asks for values.
pub const REQUEST: &str = "# landfall: substitute";

/// The file is no YAML or JSON, or is larger than files may be.
pub const NOT_YAML: &str = "NotYaml";
/// A value for `${NAME}` is missing.
pub const VALUE_MISSING: &str = "ValueMissing";
/// A document is not a Kubernetes object.
pub const NOT_AN_OBJECT: &str = "NotAnObject";
/// An object has no name of its own.
pub const GENERATED_NAME: &str = "GeneratedName";
/// An object names another namespace than the one that the source writes to.
pub const OTHER_NAMESPACE: &str = "NamespaceNotAllowed";
/// An object stands in the commit more than once.
pub const TWICE: &str = "ObjectTwice";
/// The source may not bring Profiles.
pub const PROFILE: &str = "ProfileNotAllowed";
/// Neither the cluster nor the commit knows the kind.
pub const UNKNOWN_KIND: &str = "UnknownKind";

/// What reading a file depends on besides its content.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Values for `${NAME}`.
    pub substitute: BTreeMap<String, String>,
    /// The names of those that come from Secrets.
    pub secret: BTreeSet<String>,
    /// Whom files may be encrypted for.
    pub identities: Arc<Identities>,
}

/// Values may be secret.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settings({:?})", self.substitute.keys())
    }
}

impl Settings {
    /// Whether a text may get the value of a Secret.
    fn is_confidential(&self, text: &str) -> bool {
        self.secret.iter().any(|name| text.contains(&format!("${{{name}")))
    }

    /// Whether a file may get the value of a Secret.
    pub fn may_fill(&self, content: &[u8]) -> bool {
        std::str::from_utf8(content).is_ok_and(|text| self.is_confidential(text))
    }
}

/// What all objects of a commit have to keep to.
#[derive(Debug, Clone)]
pub struct Bounds<'a> {
    /// The namespace of everything that has one.
    pub namespace: &'a str,
    /// What the cluster knows of kinds.
    pub scopes: &'a Scopes,
    /// Whether Profiles may be among them.
    pub allow_profiles: bool,
}

/// Reads one file. The namespaces are those that are written there; [`compose`] gives the right ones.
///
/// # Errors
/// Everything that is wrong with it.
pub fn file(path: &str, content: &[u8], settings: &Settings) -> Result<Vec<Manifest>, Vec<Problem>> {
    let problem = |reason| move |error: Unreadable| Problem::new(path, error.line, reason, error.message);
    let text = document::text(content).map_err(|error| vec![problem(NOT_YAML)(error)])?;
    if let Some(opened) = opened(path, text, settings)? {
        return decrypted(path, opened);
    }
    let confidential = settings.is_confidential(text);
    let text = substitute::substitute(text, &settings.substitute)
        .map_err(|errors| errors.into_iter().map(problem(VALUE_MISSING)).collect::<Vec<_>>())?;
    let file: Arc<str> = path.into();
    let manifests = divide(document::documents(&text).flat_map(|document| match document {
        Ok(document) => document.parts().into_iter().map(|part| manifest(part, &file)).collect(),
        Err(error) => vec![Err(problem(NOT_YAML)(error))],
    }))?;
    let marked = |mut manifest: Manifest| {
        manifest.confidential = confidential;
        manifest
    };
    Ok(manifests.into_iter().map(marked).collect())
}

/// The documents of a file, if SOPS encrypted it.
fn opened(path: &str, text: &str, settings: &Settings) -> Result<Option<Vec<Opened>>, Vec<Problem>> {
    if !sops::may_be_encrypted(text) {
        return Ok(None);
    }
    let documents = document::read(text)
        .map_err(|Unreadable { line, message }| vec![Problem::new(path, line, NOT_YAML, message)])?;
    if !documents.iter().any(|document| sops::is_encrypted(&document.value)) {
        return Ok(None);
    }
    let refused = |Refused { line, reason, message }| vec![Problem::new(path, line, reason, message)];
    sops::open(text, documents, &settings.identities).map(Some).map_err(refused)
}

/// The objects of what was decrypted.
fn decrypted(path: &str, opened: Vec<Opened>) -> Result<Vec<Manifest>, Vec<Problem>> {
    let file: Arc<str> = path.into();
    divide(opened.into_iter().flat_map(|Opened { document, sealed }| {
        let parts = document.parts().into_iter();
        let sealed: Vec<_> = sealed.map(Document::parts).unwrap_or_default();
        let sealed = sealed.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
        parts.zip(sealed).map(|(part, sealed)| uncovered(part, sealed, &file)).collect::<Vec<_>>()
    }))
}

/// The object of a document, and of what it was before it was decrypted. Its digest is of that: statuses have digests, and who
/// reads one could try out what a short secret may be.
///
/// # Errors
/// It is none, or none that can be written.
pub(super) fn uncovered(document: Document, sealed: Option<Document>, file: &Arc<str>) -> Result<Manifest, Problem> {
    let mut different = Vec::new();
    if let Some(sealed) = &sealed {
        differences(&document.value, &sealed.value, &mut Vec::new(), &mut different);
    }
    let mut plain = manifest(document, file)?;
    if let Some(sealed) = sealed {
        plain.digest = manifest(sealed, file)?.digest;
        plain.confidential = true;
        plain.sealed = different;
    }
    Ok(plain)
}

/// The places at which two values of one shape are not the same.
fn differences(one: &Value, other: &Value, at: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let mut within = |key: String, one: &Value, other: &Value| {
        at.push(key);
        differences(one, other, at, found);
        at.pop();
    };
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            for (key, value) in one {
                within(key.clone(), value, other.get(key).unwrap_or(&Value::Null));
            }
        }
        (Value::Array(one), Value::Array(other)) => {
            for (index, value) in one.iter().enumerate() {
                within(index.to_string(), value, other.get(index).unwrap_or(&Value::Null));
            }
        }
        _ if one != other => found.push(at.clone()),
        _ => {}
    }
}

/// All that went well, or all that did not.
fn divide(all: impl Iterator<Item = Result<Manifest, Problem>>) -> Result<Vec<Manifest>, Vec<Problem>> {
    let (mut manifests, mut problems) = (Vec::new(), Vec::new());
    for one in all {
        match one {
            Ok(manifest) => manifests.push(manifest),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(manifests) } else { Err(problems) }
}

/// The object of a document.
///
/// # Errors
/// It is none, or none that can be written.
pub(super) fn manifest(document: Document, file: &Arc<str>) -> Result<Manifest, Problem> {
    let problem = |pointer, reason, message: &str| Problem::new(file, document.line(pointer), reason, message);
    let text = |pointer: &str| document.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    for (pointer, is_good, message) in FIELDS {
        let generated = *pointer == NAME && text(NAME).is_empty() && !text(GENERATE_NAME).is_empty();
        if !generated && !is_good(text(pointer)) {
            return Err(problem(pointer, NOT_AN_OBJECT, message));
        }
    }
    let Some(id) = Id::of(&document.value) else {
        let message = "generateName makes another object each time: write metadata.name";
        return Err(problem(GENERATE_NAME, GENERATED_NAME, message).of(&text("/kind")));
    };
    if sops::is_encrypted(&document.value) {
        let message =
            "what SOPS encrypted is decrypted as a whole file: encrypt the file, and not an item of a list in it";
        return Err(problem("/sops", sops::FAILED, message).of(&id));
    }
    let line = document.line("");
    let mut object = document.value;
    clean(&mut object);
    Ok(Manifest::new(id, object, file.clone(), line))
}

const NAME: &str = "/metadata/name";
const GENERATE_NAME: &str = "/metadata/generateName";

/// A field that every object has: where it is, what it has to be, and what is said where it is not.
type Field = (&'static str, fn(&str) -> bool, &'static str);

const FIELDS: &[Field] = &[
    ("/apiVersion", is_api_version, "apiVersion is missing, or is not `version` or `group/version`"),
    ("/kind", is_kind, "kind is missing, or is not a word such as `ConfigMap`"),
    (NAME, is_name, "metadata.name is missing, or cannot be part of an address"),
    ("/metadata/namespace", is_namespace, "metadata.namespace is not a name of a namespace: leave it out"),
];

fn is_api_version(text: &str) -> bool {
    let (group, version) = text.rsplit_once('/').unwrap_or(("", text));
    (group.is_empty() && !text.contains('/') || names::check_subdomain(group).is_ok())
        && names::check_label(version).is_ok()
}

fn is_kind(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.len() <= 63
        && text.chars().all(|c| c.is_ascii_alphanumeric())
}

/// Names become part of addresses and of the inventory's lines.
fn is_name(text: &str) -> bool {
    let forbidden =
        |c: char| matches!(c, '/' | '%' | '?' | '#') || c.is_whitespace() || c.is_control() || !c.is_ascii();
    !matches!(text, "" | "." | "..") && text.len() <= 253 && !text.contains(forbidden)
}

fn is_namespace(text: &str) -> bool {
    text.is_empty() || names::check_label(text).is_ok()
}

/// What belongs to the cluster and not to a file.
const LIVE: [&str; 8] = [
    "uid",
    "resourceVersion",
    "managedFields",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
];

fn clean(object: &mut Value) {
    if let Some(object) = object.as_object_mut() {
        object.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| !LIVE.contains(&key.as_str()));
    }
}

/// The kinds of these objects, each as `apiVersion` and kind: what the cluster has to be asked about.
pub fn kinds(manifests: &[Manifest]) -> BTreeSet<(String, String)> {
    manifests.iter().map(|manifest| (manifest.id.api_version.clone(), manifest.id.kind.clone())).collect()
}

/// Judges the manifests of all files together and gives them their namespaces.
///
/// # Errors
/// Everything that is wrong with them.
pub fn compose(manifests: Vec<Manifest>, bounds: &Bounds<'_>) -> Result<Vec<Manifest>, Vec<Problem>> {
    let mut brought = Scopes::default();
    for manifest in &manifests {
        brought.learn(manifest);
    }
    let placed = divide(manifests.into_iter().map(|manifest| place(manifest, bounds, &brought)))?;
    let twice = twice(&placed);
    if twice.is_empty() { Ok(placed) } else { Err(twice) }
}

fn problem(manifest: &Manifest, reason: &'static str, message: String) -> Problem {
    Problem::new(&manifest.file, manifest.line, reason, message).of(&manifest.id)
}

/// The manifest with the namespace that it is written to.
fn place(mut manifest: Manifest, bounds: &Bounds<'_>, brought: &Scopes) -> Result<Manifest, Problem> {
    let Id { api_version, kind, namespace, name: _ } = &manifest.id;
    if manifest.id.is_profile() && !bounds.allow_profiles {
        let message =
            "a Profile says as whom objects are written: set spec.source.allowProfiles if this repository may";
        return Err(problem(&manifest, PROFILE, message.to_owned()));
    }
    let scope = bounds.scopes.get(api_version, kind).or_else(|| brought.get(api_version, kind));
    let target = match (scope, namespace) {
        (None, _) => {
            let message = format!(
                "the cluster knows no {kind} of {api_version}: correct it, or commit its CustomResourceDefinition with it"
            );
            return Err(problem(&manifest, UNKNOWN_KIND, message));
        }
        (Some(Scope::Cluster), _) => None,
        (Some(Scope::Namespaced), Some(other)) if other != bounds.namespace => {
            let message = format!(
                "this Profile writes to the namespace {}, not to {other}: leave metadata.namespace out, or give {other} a \
                 Profile of its own",
                bounds.namespace
            );
            return Err(problem(&manifest, OTHER_NAMESPACE, message));
        }
        (Some(Scope::Namespaced), _) => Some(bounds.namespace.to_owned()),
    };
    manifest.id.namespace = target;
    Ok(manifest)
}

/// Objects that were there before, in whatever version of their kind.
fn twice(manifests: &[Manifest]) -> Vec<Problem> {
    let mut first: BTreeMap<_, &Manifest> = BTreeMap::new();
    let again = manifests.iter().filter_map(|manifest| {
        let other = first.insert(manifest.id.place(), manifest)?;
        first.insert(manifest.id.place(), other);
        // Of what a program made, the line is not known.
        let line = if other.line == 0 { String::new() } else { format!(":{}", other.line) };
        let message = format!("{}{line} has this object too: remove one of them", other.file);
        Some(problem(manifest, TWICE, message))
    });
    again.collect()
}
