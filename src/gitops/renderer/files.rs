//! The paths of a commit as a program sees them, and those of them that it needs.

use std::collections::BTreeMap;

use super::{
    super::{
        problem::Problem,
        select::{NOT_A_FILE, TOO_LARGE},
        tree::{Entry, Kind, Listing},
    },
    MISSING, REMOTE,
};

/// The most files that one run may need.
const FILES_MAX: usize = 5000;
/// The most bytes of them.
const BYTES_MAX: u64 = 48 << 20;

/// All paths of a commit, from the root of the repository.
#[derive(Debug, Clone)]
pub struct Tree<'l>(BTreeMap<&'l str, &'l Entry>);

/// Where something is named: a file and a line.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The file, from the root of the repository.
    pub file: &'a str,
    /// The line in it.
    pub line: u64,
}

impl Place<'_> {
    /// A problem with what is named here.
    pub fn problem(&self, reason: &'static str, message: impl Into<String>) -> Problem {
        Problem::new(self.file, self.line, reason, message)
    }
}

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<'l> {
    /// A file.
    File(&'l Entry),
    /// A directory, from the root of the repository.
    Directory(String),
}

impl<'l> Tree<'l> {
    /// Of the listing of a whole commit.
    pub fn of(listing: &'l Listing) -> Self {
        Self(listing.entries.iter().map(|entry| (entry.path.as_str(), entry)).collect())
    }

    /// What is at a path from the root of the repository, whatever it is.
    pub fn get(&self, path: &str) -> Option<&'l Entry> {
        self.0.get(path).copied()
    }

    /// Everything below a directory.
    pub fn below(&self, directory: &str) -> impl Iterator<Item = &'l Entry> {
        let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let all = self.0.range(prefix.as_str()..).map(|(_, entry)| *entry).collect::<Vec<_>>();
        all.into_iter().take_while(move |entry| entry.path.starts_with(&prefix))
    }

    /// What a text that stands in a directory's file leads to.
    ///
    /// # Errors
    /// It leads elsewhere, to nothing, or to what is no file.
    pub fn find(&self, directory: &str, text: &str, place: Place<'_>) -> Result<Found<'l>, Problem> {
        let leads_out = "this leads out of the repository: only what is in the commit is read";
        let path = resolve(directory, text).ok_or_else(|| place.problem(MISSING, leads_out));
        let known = path.as_ref().ok().filter(|_| !text.contains("://")).and_then(|path| self.get(path));
        if let Some(entry) = known {
            return file(entry, place).map(Found::File);
        }
        if is_remote(text) {
            let message =
                "nothing is fetched from elsewhere: commit what is there, and name its directory in this repository";
            return Err(place.problem(REMOTE, message));
        }
        match path? {
            path if self.below(&path).next().is_some() => Ok(Found::Directory(path)),
            path => Err(self.missing(&path, place)),
        }
    }

    fn missing(&self, path: &str, place: Place<'_>) -> Problem {
        // A link on the way is no directory.
        let link = path.match_indices('/').find_map(|(end, _)| self.get(&path[..end]));
        match link.filter(|entry| entry.kind != Kind::File) {
            Some(entry) => {
                place.problem(NOT_A_FILE, format!("{} is a link or a submodule: {NOT_FOLLOWED}", entry.path))
            }
            None => place.problem(MISSING, "the commit has nothing at this path: commit it, or remove this line"),
        }
    }
}

const NOT_FOLLOWED: &str = "links are not followed, and submodules only with spec.source.git.submodules; so set it, or commit the files themselves";

/// The entry, if it is a file.
fn file<'l>(entry: &'l Entry, place: Place<'_>) -> Result<&'l Entry, Problem> {
    match entry.kind {
        Kind::File => Ok(entry),
        Kind::Link | Kind::Submodule => {
            Err(place.problem(NOT_A_FILE, format!("{} is a link or a submodule: {NOT_FOLLOWED}", entry.path)))
        }
    }
}

/// Whether a text is an address, as kustomize and Helm understand it.
fn is_remote(text: &str) -> bool {
    let host = text.split(['/', ':']).next().unwrap_or_default();
    text.contains("://") || text.contains('@') || text.contains("?ref=") || text.contains("::") || host == "github.com"
}

/// A path from the root of the repository; none where it leads out of it.
pub fn resolve(directory: &str, text: &str) -> Option<String> {
    if text.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The files that a run needs, by their path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Closure(BTreeMap<String, Entry>);

impl Closure {
    /// Adds a file.
    pub fn add(&mut self, entry: &Entry) {
        self.0.insert(entry.path.clone(), entry.clone());
    }

    /// The files, sorted by their paths.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.values()
    }

    /// Whether there are more files, or larger ones, than a run may need.
    pub fn excess(&self, place: Place<'_>) -> Option<Problem> {
        let bytes = self.0.values().map(|entry| entry.size).sum::<u64>();
        let is_much = self.0.len() > FILES_MAX || bytes > BYTES_MAX;
        is_much.then(|| {
            let message = format!(
                "it needs more than {FILES_MAX} files or {} MiB: divide it among several Profiles",
                BYTES_MAX >> 20
            );
            place.problem(TOO_LARGE, message)
        })
    }
}
