//! The paths below a directory of a commit.

use std::path::Path;

use git2::{ErrorCode, ObjectType, Odb, Oid, Repository, Tree, TreeEntry};

use super::{
    error::GitError,
    store::{blame, local, open},
};
use crate::gitops::tree::{Entry, Kind, Listing};

/// The most paths, and the most directories: a few trees that hold each other may be a billion paths.
pub(super) const ENTRIES_MAX: usize = 100_000;
/// The most of a path in bytes, as Linux has it.
pub(super) const PATH_MAX: usize = 4096;
/// A link, by its mode in a tree.
const LINK: i32 = 0o120_000;

/// All paths below a directory, sorted, with nothing that could lead out of it.
pub(super) fn list(path: &Path, commit: &str, directory: &str) -> Result<Listing, GitError> {
    let repository = open(path)?;
    let missing = || GitError::NoSuchReference { what: format!("commit {commit}") };
    let id = Oid::from_str(commit).map_err(|_| missing())?;
    let found = repository.find_commit(id).map_err(|error| match error.code() {
        ErrorCode::NotFound => missing(),
        _ => local(&error),
    })?;
    let root = found.tree().map_err(|error| blame(&repository, found.tree_id(), &error))?;
    let top = descend(&repository, root, directory)?;
    let mut walk =
        Walk { odb: repository.odb().map_err(|error| local(&error))?, open: Vec::new(), entries: Vec::new() };
    let id = top.id();
    walk.directories(&repository, top)?;
    walk.entries.sort_unstable();
    Ok(Listing { id: id.to_string(), entries: walk.entries })
}

fn descend<'a>(repository: &'a Repository, mut tree: Tree<'a>, directory: &str) -> Result<Tree<'a>, GitError> {
    let missing = || GitError::NoSuchDirectory { directory: directory.to_owned() };
    for part in directory.split('/').filter(|part| !part.is_empty() && *part != ".") {
        let next = tree.get_name(part).filter(|entry| entry.kind() == Some(ObjectType::Tree)).ok_or_else(missing)?.id();
        tree = repository.find_tree(next).map_err(|error| blame(repository, next, &error))?;
    }
    Ok(tree)
}

struct Walk<'a> {
    odb: Odb<'a>,
    /// Directories that are still to be read, with their paths.
    open: Vec<(String, Oid)>,
    entries: Vec<Entry>,
}

impl Walk<'_> {
    fn directories(&mut self, repository: &Repository, top: Tree<'_>) -> Result<(), GitError> {
        let mut read = 0;
        let mut next = Some((String::new(), top));
        while let Some((path, tree)) = next {
            read += 1;
            if read > ENTRIES_MAX {
                return Err(too_many("the number of directories"));
            }
            for entry in &tree {
                self.entry(&path, &entry)?;
            }
            next = match self.open.pop() {
                Some((path, id)) => {
                    Some((path, repository.find_tree(id).map_err(|error| blame(repository, id, &error))?))
                }
                None => None,
            };
        }
        Ok(())
    }

    fn entry(&mut self, directory: &str, entry: &TreeEntry<'_>) -> Result<(), GitError> {
        let path = join(directory, entry.name_bytes())?;
        let kind = match entry.kind() {
            Some(ObjectType::Tree) => {
                self.open.push((path, entry.id()));
                return if self.open.len() > ENTRIES_MAX { Err(too_many("the number of directories")) } else { Ok(()) };
            }
            Some(ObjectType::Commit) => Kind::Submodule,
            _ if entry.filemode() == LINK => Kind::Link,
            _ => Kind::File,
        };
        if self.entries.len() >= ENTRIES_MAX {
            return Err(too_many("the number of files"));
        }
        let size = match kind {
            Kind::Submodule => 0,
            Kind::File | Kind::Link => self.odb.read_header(entry.id()).map_err(|error| local(&error))?.0 as u64,
        };
        self.entries.push(Entry { path, kind, id: entry.id().to_string(), size });
        Ok(())
    }
}

/// The path of a part in a directory, if a file may be called so.
fn join(directory: &str, part: &[u8]) -> Result<String, GitError> {
    let path = if directory.is_empty() { String::new() } else { format!("{directory}/") };
    let whole = || format!("{path}{}", String::from_utf8_lossy(part));
    let bad = |why| GitError::BadPath { path: shown(&whole()), why };
    let Ok(part) = std::str::from_utf8(part) else { return Err(bad("which is not UTF-8")) };
    if let Some(why) = wrong(part) {
        return Err(bad(why));
    }
    if path.len() + part.len() > PATH_MAX {
        return Err(bad("which is too long"));
    }
    Ok(path + part)
}

fn wrong(part: &str) -> Option<&'static str> {
    match part {
        "" | "." | ".." => Some("which leads somewhere else"),
        _ if part.eq_ignore_ascii_case(".git") => Some("which is git's own"),
        _ if part.contains('/') => Some("whose part has a slash"),
        _ if part.chars().any(char::is_control) => Some("with control characters"),
        _ => None,
    }
}

/// A path for people, with everything unusual escaped.
pub(super) fn shown(path: &str) -> String {
    path.chars().take(200).flat_map(char::escape_debug).collect()
}

pub(super) fn too_many(what: &str) -> GitError {
    GitError::TooBig { what: what.to_owned(), limit: ENTRIES_MAX.to_string() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_no_file_may_have_is_refused_and_shown_harmlessly() {
        for part in [&b".."[..], b".", b"", b".git", b".GIT", b"a/b", b"a\nb", b"a\x1b[2J", b"\xff\xfe", b"a\0b"] {
            let error = join("x", part).unwrap_err();
            assert!(matches!(error, GitError::BadPath { .. }), "{error}");
            assert!(!error.to_string().contains(char::is_control), "{error}");
        }
        assert_eq!(join("x/y", b"...").unwrap(), "x/y/...");
        assert_eq!(join("", b".gitignore").unwrap(), ".gitignore");
        assert!(join(&"d/".repeat(2048), b"e").is_err());
    }
}
