//! A mirror on the disk: objects go in as packs, and come out by their hash. All of it blocks.
//!
//! A bare repository, of which git's own programs could read everything. Nothing of a commit is ever written as a file:
//! a path with `..` or a link out of the directory is text in here.

use std::{
    fs::{self, DirBuilder},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
    time::Instant,
};

use git2::{Commit, ErrorClass, ErrorCode, ObjectType, Odb, Oid, Repository};
use tokio::sync::mpsc;

use super::{
    error::{GitError, OBJECTS, bytes},
    inspect::{Inspector, Objection},
    mirror::Limits,
    signature::Signed,
    upload::Piece,
};
use crate::gitops::tree::Revision;

/// Commits that were fetched are remembered by references of these names.
const KEPT: &str = "refs/landfall/";
/// With more packs than this, a mirror is made anew: every look-up asks each of them.
const PACKS_MAX: usize = 20;
/// The most of a commit's message that is read.
const MESSAGE_MAX: usize = 64 * 1024;

/// Why a pack was not kept.
pub(super) enum Refused {
    /// Nobody sends the rest of it.
    Cut,
    /// The time is over.
    Late,
    /// It is no pack.
    Garbage,
    /// What [`GitError`] says.
    Error(GitError),
}

/// Makes the mirror if there is none, and anew if it has become too large. The commits that it has.
pub(super) fn prepare(path: &Path, limits: &Limits) -> Result<Vec<String>, GitError> {
    if is_worn(path, limits) {
        remove(path)?;
    }
    let repository = open_or_make(path)?;
    let mut kept = Vec::new();
    for reference in repository.references_glob(&format!("{KEPT}*")).map_err(|error| local(&error))? {
        let id = reference.map_err(|error| local(&error))?.target().ok_or(GitError::Damaged)?;
        repository.find_commit(id).map_err(|_| GitError::Damaged)?;
        kept.push(id.to_string());
    }
    Ok(kept)
}

/// Removes the mirror.
pub(super) fn remove(path: &Path) -> Result<(), GitError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(storage(&error)),
        _ => Ok(()),
    }
}

/// The names of all mirrors in a directory.
pub(super) fn names(root: &Path) -> Result<Vec<String>, GitError> {
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| storage(&error))?,
    };
    Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

/// The commit, if it is there.
pub(super) fn find(path: &Path, commit: &str) -> Result<Option<Revision>, GitError> {
    if !path.exists() {
        return Ok(None);
    }
    let repository = open(path)?;
    let Ok(id) = Oid::from_str(commit) else { return Ok(None) };
    match repository.find_commit(id) {
        Ok(found) => Ok(Some(revision(&found))),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(local(&error)),
    }
}

/// Remembers a commit that was fetched, and says what it is; none if it is not there.
pub(super) fn keep(path: &Path, commit: &str) -> Result<Option<Revision>, GitError> {
    let found = find(path, commit)?;
    if let (Some(_), Ok(id)) = (&found, Oid::from_str(commit)) {
        let name = format!("{KEPT}{commit}");
        open(path)?.reference(&name, id, true, "fetched").map_err(|error| local(&error))?;
    }
    Ok(found)
}

/// Writes a pack as it arrives, and counts its objects. It is there as a whole or not at all.
pub(super) fn receive(
    path: &Path,
    mut pieces: mpsc::Receiver<Piece>,
    limits: &Limits,
    until: Instant,
) -> Result<u64, Refused> {
    let repository = open(path).map_err(Refused::Error)?;
    let odb = repository.odb().map_err(|error| Refused::Error(local(&error)))?;
    let mut writer = odb.packwriter().map_err(|error| Refused::Error(local(&error)))?;
    let writer = writer.progress(move |_| Instant::now() < until);
    let mut inspector = Inspector::new(limits.objects, limits.object);
    loop {
        match pieces.blocking_recv() {
            Some(Piece::Data(data)) => {
                inspector.pass(&data).map_err(|objection| refusal(objection, limits))?;
                writer.write_all(&data).map_err(|_| refused(until))?;
            }
            Some(Piece::End) => break,
            None => return Err(Refused::Cut),
        }
    }
    writer.commit().map_err(|_| refused(until))?;
    Ok(inspector.objects())
}

fn refusal(objection: Objection, limits: &Limits) -> Refused {
    let (what, limit) = match objection {
        Objection::Garbage => return Refused::Garbage,
        Objection::Many => (OBJECTS, limits.objects.to_string()),
        Objection::Large => ("an object of the repository", bytes(limits.object)),
    };
    Refused::Error(GitError::TooBig { what: what.to_owned(), limit })
}

/// Why libgit2 did not take a pack: it remembers the reason of the last call on this thread.
fn refused(until: Instant) -> Refused {
    if Instant::now() >= until {
        return Refused::Late;
    }
    let error = git2::Error::last_error(-1);
    match error.class() {
        ErrorClass::Os | ErrorClass::Filesystem | ErrorClass::NoMemory => Refused::Error(local(&error)),
        _ => Refused::Garbage,
    }
}

/// The signature of a commit, if it has one.
pub(super) fn signature(path: &Path, commit: &str) -> Result<Option<Signed>, GitError> {
    let repository = open(path)?;
    let id = Oid::from_str(commit).map_err(|error| local(&error))?;
    match repository.extract_signature(&id, None) {
        Ok((signature, content)) => Ok(Some(Signed { signature: signature.to_vec(), content: content.to_vec() })),
        // There is none. A commit that is not there is not found either, and was looked for before.
        Err(error) if error.code() == ErrorCode::NotFound && repository.find_commit(id).is_ok() => Ok(None),
        Err(error) => Err(local(&error)),
    }
}

/// The text of a tag with a message, if it is there.
pub(super) fn tag(path: &Path, id: &str) -> Result<Option<Vec<u8>>, GitError> {
    let repository = open(path)?;
    let odb = repository.odb().map_err(|error| local(&error))?;
    let id = Oid::from_str(id).map_err(|error| local(&error))?;
    if !odb.exists(id) {
        return Ok(None);
    }
    let object = odb.read(id).map_err(|error| local(&error))?;
    if object.kind() != ObjectType::Tag {
        return Err(GitError::Malformed { id: id.to_string() });
    }
    Ok(Some(object.data().to_vec()))
}

/// Contents by their hash, in the order asked for.
pub(super) fn read(path: &Path, ids: &[String], limits: &Limits) -> Result<Vec<Vec<u8>>, GitError> {
    let repository = open(path)?;
    let odb = repository.odb().map_err(|error| local(&error))?;
    let mut left = limits.files;
    ids.iter().map(|id| read_one(&odb, id, limits, &mut left)).collect()
}

fn read_one(odb: &Odb<'_>, id: &str, limits: &Limits, left: &mut u64) -> Result<Vec<u8>, GitError> {
    let id = Oid::from_str(id).map_err(|_| GitError::NoSuchReference { what: "file of this hash".to_owned() })?;
    let (size, kind) = odb.read_header(id).map_err(|error| local(&error))?;
    if kind != ObjectType::Blob {
        return Err(GitError::NoSuchReference { what: format!("file of the hash {id}") });
    }
    let size = size as u64;
    if size > limits.file {
        return Err(GitError::TooBig { what: format!("a file of {}", bytes(size)), limit: bytes(limits.file) });
    }
    *left = left.checked_sub(size).ok_or_else(|| GitError::TooBig {
        what: "all files that are read together".to_owned(),
        limit: bytes(limits.files),
    })?;
    Ok(odb.read(id).map_err(|error| local(&error))?.data().to_vec())
}

pub(super) fn open(path: &Path) -> Result<Repository, GitError> {
    Repository::open_bare(path).map_err(|error| local(&error))
}

fn open_or_make(path: &Path) -> Result<Repository, GitError> {
    if path.exists() {
        remove_strays(path);
        return open(path);
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| storage(&error))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(|error| storage(&error))?;
    Repository::init_bare(path).map_err(|error| local(&error))
}

/// What a process that was killed in the middle of a pack has left.
fn remove_strays(path: &Path) {
    for entry in packs(path).filter(|entry| entry.file_name().to_string_lossy().starts_with("pack_git2_")) {
        // One that stays counts for the size of the mirror.
        let _ = fs::remove_file(entry.path());
    }
}

fn is_worn(path: &Path, limits: &Limits) -> bool {
    let mut count = 0;
    let mut size: u64 = 0;
    for entry in packs(path) {
        count += usize::from(entry.path().extension().is_some_and(|extension| extension == "pack"));
        size += entry.metadata().map(|metadata| metadata.len()).unwrap_or_default();
    }
    count > PACKS_MAX || size > limits.received.saturating_mul(2)
}

fn packs(path: &Path) -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir(path.join("objects/pack")).into_iter().flatten().flatten()
}

fn revision(commit: &Commit<'_>) -> Revision {
    let author = commit.author();
    let [name, address] = [author.name_bytes(), author.email_bytes()].map(String::from_utf8_lossy);
    let message = commit.message_bytes();
    let message = String::from_utf8_lossy(&message[..message.len().min(MESSAGE_MAX)]);
    Revision {
        id: commit.id().to_string(),
        author: format!("{name} <{address}>"),
        message: cut(&message, MESSAGE_MAX).to_owned(),
        time: commit.time().seconds(),
    }
}

/// At most so many bytes, and whole characters.
fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// What a failure of the object database means: nobody but us writes there.
pub(super) fn local(error: &git2::Error) -> GitError {
    match error.class() {
        ErrorClass::Os | ErrorClass::NoMemory if error.code() != ErrorCode::NotFound => {
            GitError::Storage { why: error.message().to_owned() }
        }
        _ => GitError::Damaged,
    }
}

/// What it means that an object could not be read as what it should be: one that is whole was made so by somebody else,
/// and fetching it again would not help.
pub(super) fn blame(repository: &Repository, id: Oid, error: &git2::Error) -> GitError {
    let is_whole = repository.odb().is_ok_and(|odb| odb.read(id).is_ok());
    if is_whole { GitError::Malformed { id: id.to_string() } } else { local(error) }
}

fn storage(error: &io::Error) -> GitError {
    GitError::Storage { why: error.to_string() }
}
