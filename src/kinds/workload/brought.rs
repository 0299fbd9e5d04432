//! What a repository gave for a Package, as it is kept: the objects, and where each of them is from.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{manifest, render::Refusal, rules};
use crate::{
    api::package::{Manifest, OBJECTS_MAX, PackageSpec, Workload},
    gitops::{object, problem::Problem, select::TOO_LARGE},
};

/// The form of what is kept. What has another one was written by another program.
pub const FORMAT: u32 = 1;

/// The repository has nothing at this path.
pub const EMPTY: &str = "Empty";
/// An object is not content of a Package.
pub const NOT_CONTENT: &str = "NotContent";

/// The field of all manifests, as refusals name it.
const MANIFESTS: &str = "spec.workload.manifests";

/// What a repository gave.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    /// The form.
    pub format: u32,
    /// The digest of the spec that asked for it.
    pub spec: String,
    /// The commit.
    pub commit: String,
    /// The objects, by file and line.
    pub objects: Vec<Brought>,
}

/// One object.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Brought {
    /// The file, from the root of the repository.
    pub file: String,
    /// The line where it begins, from one; 0 for an object that a program made.
    pub line: u64,
    /// The object.
    pub object: Value,
}

/// Secrets may be among them.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} objects of {})", self.objects.len(), self.commit)
    }
}

impl Content {
    /// The objects of a commit, in an order that does not depend on how they were read.
    pub fn new(spec: String, commit: String, manifests: &[object::Manifest]) -> Self {
        let mut sorted: Vec<_> = manifests.iter().collect();
        sorted.sort_by(|one, other| (&one.file, one.line, &one.id).cmp(&(&other.file, other.line, &other.id)));
        let brought =
            |one: &object::Manifest| Brought { file: one.file.to_string(), line: one.line, object: one.object() };
        Self { format: FORMAT, spec, commit, objects: sorted.into_iter().map(brought).collect() }
    }

    /// The Package as if it had the objects itself.
    #[must_use]
    pub fn package(&self, spec: &PackageSpec) -> PackageSpec {
        let workload = spec.workload.clone().unwrap_or_default();
        let workload = Workload { manifests: Some(self.manifests()), ..workload };
        PackageSpec { workload: Some(workload), ..spec.clone() }
    }

    fn manifests(&self) -> Vec<Manifest> {
        self.objects.iter().map(|brought| Manifest(brought.object.clone())).collect()
    }

    /// What no Deployment could make good: there is nothing, too much, or what does not belong into a Package.
    pub fn problems(&self, workload: &Workload) -> Vec<Problem> {
        let path = workload.git.as_ref().and_then(|git| git.path.as_deref()).unwrap_or("/");
        let whole = |reason, message: String| vec![Problem::new(path, 0, reason, message)];
        match self.objects.len() {
            0 => return whole(EMPTY, "there is no manifest here: correct spec.workload.git.path".to_owned()),
            count if count > OBJECTS_MAX => {
                let message =
                    format!("{count} objects, at most {OBJECTS_MAX} fit into a Package: split it into several");
                return whole(TOO_LARGE, message);
            }
            _ => {}
        }
        let manifests = self.manifests();
        let (items, mut refusals) = manifest::read(&manifests);
        refusals.extend(rules::size(&manifests));
        refusals.extend(items.iter().filter_map(|item| rules::secret(item, workload)));
        refusals.iter().map(|refusal| self.problem(refusal, path)).collect()
    }

    fn problem(&self, refusal: &Refusal, path: &str) -> Problem {
        match self.find(refusal) {
            Some((brought, field)) => {
                let message = if field.is_empty() { refusal.message.clone() } else { said(field, &refusal.message) };
                Problem::new(&brought.file, brought.line, NOT_CONTENT, message)
            }
            None => Problem::new(path, 0, NOT_CONTENT, &refusal.message),
        }
    }

    /// A refusal with the place in the repository, instead of the field that a Package with the objects in it would have.
    pub fn told(&self, refusal: &Refusal) -> String {
        match self.find(refusal) {
            Some((brought, "")) => said(&brought.place(), &refusal.message),
            Some((brought, field)) => said(&brought.place(), &said(field, &refusal.message)),
            None if refusal.field == MANIFESTS => said("spec.workload.git", &refusal.message),
            None => refusal.to_string(),
        }
    }

    /// The object that a refusal is about, and its field.
    fn find<'r>(&self, refusal: &'r Refusal) -> Option<(&Brought, &'r str)> {
        let (index, field) = refusal.field.strip_prefix(MANIFESTS)?.strip_prefix('[')?.split_once(']')?;
        let brought = self.objects.get(index.parse::<usize>().ok()?)?;
        Some((brought, field.trim_start_matches('.')))
    }
}

impl Brought {
    fn place(&self) -> String {
        match self.line {
            0 => self.file.clone(),
            line => format!("{}:{line}", self.file),
        }
    }
}

fn said(where_: &str, what: &str) -> String {
    format!("{where_}: {what}")
}
