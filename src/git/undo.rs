//! A commit that brings back a directory, made from what a mirror has. All of it blocks.
//!
//! Nothing is written to the mirror: what is new is in memory until it is a pack. New are the commit and the directories from the
//! root down to the one that is brought back; every other entry is taken over as it stands, so nothing outside the
//! directory changes.

use std::path::Path;

use git2::{Buf, Commit, ErrorCode, ObjectType, Oid, Repository, Signature, Time, Tree};

use super::{
    error::GitError,
    store::{blame, local, open},
};
use crate::gitops::revert::{Head, Proposal};

/// Directories come from memory first.
const PRIORITY: i32 = 1000;
/// A directory, by its mode in a tree.
const DIRECTORY: i32 = 0o040_000;
/// The most of a commit's message that is read.
const MESSAGE_MAX: usize = 64 * 1024;

/// A commit that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its hash.
    pub id: String,
    /// What of it is new.
    pub pack: Vec<u8>,
}

/// Makes the commit; none where the directory is the same in both.
pub(super) fn make(path: &Path, proposal: &Proposal) -> Result<Option<Made>, GitError> {
    let repository = open(path)?;
    let odb = repository.odb().map_err(|error| local(&error))?;
    let _in_memory = odb.add_new_mempack_backend(PRIORITY).map_err(|error| local(&error))?;
    let (parent, former) = (commit(&repository, &proposal.of)?, commit(&repository, &proposal.to)?);
    let parts: Vec<&str> = proposal.directory.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let missing = || GitError::NoSuchDirectory { directory: proposal.directory.clone() };
    let now = way(&repository, root(&repository, &parent)?, &parts)?.ok_or_else(missing)?;
    let before = way(&repository, root(&repository, &former)?, &parts)?.ok_or_else(missing)?;
    let (Some(now_there), Some(wanted)) = (now.last(), before.last()) else { return Ok(None) };
    if now_there.id() == wanted.id() {
        return Ok(None);
    }
    let mut new = Vec::new();
    let mut tree = wanted.id();
    for (part, above) in parts.iter().zip(&now).rev() {
        let mut builder = repository.treebuilder(Some(above)).map_err(|error| local(&error))?;
        builder.insert(part, tree, DIRECTORY).map_err(|error| local(&error))?;
        tree = builder.write().map_err(|error| local(&error))?;
        new.push(tree);
    }
    let tree = repository.find_tree(tree).map_err(|error| local(&error))?;
    let time = Time::new(proposal.seconds, 0);
    let unusable = |_| GitError::Storage { why: "the author of a revert cannot be in a commit".to_owned() };
    let who = Signature::new(&proposal.name, &proposal.email, &time).map_err(unusable)?;
    let id = repository.commit(None, &who, &who, &proposal.message, &tree, &[&parent]);
    let id = id.map_err(|error| local(&error))?;
    let mut pack = repository.packbuilder().map_err(|error| local(&error))?;
    for object in [id].into_iter().chain(new.into_iter().rev()) {
        pack.insert_object(object, None).map_err(|error| local(&error))?;
    }
    let mut buffer = Buf::new();
    pack.write_buf(&mut buffer).map_err(|error| local(&error))?;
    Ok(Some(Made { id: id.to_string(), pack: buffer.to_vec() }))
}

/// What a commit says of itself, if it is there.
pub(super) fn head(path: &Path, id: &str) -> Result<Option<Head>, GitError> {
    let repository = open(path)?;
    let found = match commit(&repository, id) {
        Ok(found) => found,
        Err(GitError::NoSuchReference { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let message = found.message_bytes();
    let message = String::from_utf8_lossy(&message[..message.len().min(MESSAGE_MAX)]).into_owned();
    let [author, committer] = [found.author(), found.committer()].map(|who| {
        let [name, address] = [who.name_bytes(), who.email_bytes()].map(String::from_utf8_lossy);
        format!("{name} <{address}>")
    });
    Ok(Some(Head { id: id.to_owned(), message, author, committer }))
}

fn commit<'a>(repository: &'a Repository, id: &str) -> Result<Commit<'a>, GitError> {
    let missing = || GitError::NoSuchReference { what: format!("commit {id}") };
    let oid = Oid::from_str(id).map_err(|_| missing())?;
    repository.find_commit(oid).map_err(|error| match error.code() {
        ErrorCode::NotFound => missing(),
        _ => local(&error),
    })
}

fn root<'a>(repository: &Repository, commit: &Commit<'a>) -> Result<Tree<'a>, GitError> {
    commit.tree().map_err(|error| blame(repository, commit.tree_id(), &error))
}

/// The directories from the root down to one, with both; none if it is not there.
fn way<'a>(repository: &'a Repository, root: Tree<'a>, parts: &[&str]) -> Result<Option<Vec<Tree<'a>>>, GitError> {
    let mut all = vec![root];
    for part in parts {
        let entry = all.last().and_then(|tree| tree.get_name(part));
        let Some(entry) = entry.filter(|entry| entry.kind() == Some(ObjectType::Tree)) else { return Ok(None) };
        let id = entry.id();
        drop(entry);
        all.push(repository.find_tree(id).map_err(|error| blame(repository, id, &error))?);
    }
    Ok(Some(all))
}
