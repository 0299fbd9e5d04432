//! A commit as it is read: alone, or with its submodules at their paths. Nothing is written as a file.
//!
//! Each submodule is fetched into a mirror of its own, at exactly the commit that is recorded. Bounds are those of one
//! fetch and one commit, for all of them together: a commit that names many costs no more than one that is large.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    address::Address,
    error::{GitError, OBJECTS, SENT, bytes},
    fetch::{Allowance, Wish},
    gitmodules::{self, Declared},
    listing::{ENTRIES_MAX, PATH_MAX, shown, too_many},
    mirror::{Mirrors, Remote, Wanted},
    secret::Credentials,
};
use crate::{
    api::source::GitSource,
    gitops::tree::{Entry, Kind, Listing},
};

/// The most submodules of a commit, those of submodules among them.
const SUBMODULES_MAX: usize = 16;
/// How deep they may be nested.
const DEPTH_MAX: usize = 3;

/// A commit that was fetched, and its submodules where they are wanted.
pub struct Checkout {
    mirrors: Mirrors,
    /// The commit, and then its submodules.
    parts: Vec<Part>,
    /// All paths, where there are submodules.
    whole: Option<Whole>,
}

/// A commit of one repository.
#[derive(Clone)]
struct Part {
    remote: Remote,
    commit: String,
    /// Where it is, from the root of the first one; empty for that.
    path: String,
    depth: usize,
}

/// All paths of a commit and its submodules, from the root.
struct Whole {
    listing: Listing,
    /// The part that has a content, and the bytes of it.
    homes: HashMap<String, (usize, u64)>,
}

impl Mirrors {
    /// What is read of a commit that was fetched. Submodules are fetched, if the source wants them, within its time.
    ///
    /// # Errors
    /// See [`GitError`]; those of a submodule name it.
    pub async fn checkout(&self, remote: &Remote, git: &GitSource, commit: &str) -> Result<Checkout, GitError> {
        let first = Part { remote: remote.clone(), commit: commit.to_owned(), path: String::new(), depth: 0 };
        let mut checkout = Checkout { mirrors: self.clone(), parts: vec![first], whole: None };
        if git.submodules {
            let gathering = Gathering {
                mirrors: self,
                first: remote,
                limit: git.limit(),
                spent: Duration::ZERO,
                allowance: Allowance::new(&self.0.limits),
                entries: Vec::new(),
                homes: HashMap::new(),
            };
            checkout.whole = Some(gathering.gather(&mut checkout.parts).await?);
        }
        Ok(checkout)
    }
}

impl Checkout {
    /// The paths below a directory.
    ///
    /// # Errors
    /// See [`Mirrors::list`].
    pub async fn list(&self, directory: &str) -> Result<Listing, GitError> {
        let Some(whole) = &self.whole else {
            let Part { remote, commit, .. } = &self.parts[0];
            return self.mirrors.list(remote, commit, directory).await;
        };
        let parts: Vec<&str> = directory.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        if parts.is_empty() {
            return Ok(whole.listing.clone());
        }
        let prefix = format!("{}/", parts.join("/"));
        let below = |entry: &Entry| Some(Entry { path: entry.path.strip_prefix(&prefix)?.to_owned(), ..entry.clone() });
        let entries: Vec<Entry> = whole.listing.entries.iter().filter_map(below).collect();
        if entries.is_empty() {
            return Err(GitError::NoSuchDirectory { directory: directory.to_owned() });
        }
        Ok(Listing { id: format!("{}:{prefix}", whole.listing.id), entries })
    }

    /// Contents by their hash, in the order asked for.
    ///
    /// # Errors
    /// See [`Mirrors::read`].
    pub async fn read(&self, ids: &[String]) -> Result<Vec<Vec<u8>>, GitError> {
        let first = &self.parts[0].remote;
        let Some(whole) = &self.whole else { return self.mirrors.read(first, ids).await };
        let limit = self.mirrors.0.limits.files;
        if ids.iter().filter_map(|id| whole.homes.get(id)).map(|(_, size)| size).sum::<u64>() > limit {
            return Err(GitError::TooBig { what: "all files that are read together".to_owned(), limit: bytes(limit) });
        }
        let mut contents = vec![Vec::new(); ids.len()];
        for (number, part) in self.parts.iter().enumerate() {
            let is_here = |id: &String| whole.homes.get(id).map_or(0, |(home, _)| *home) == number;
            let (places, here): (Vec<_>, Vec<_>) =
                ids.iter().enumerate().filter(|(_, id)| is_here(id)).map(|(place, id)| (place, id.clone())).unzip();
            if here.is_empty() {
                continue;
            }
            for (place, content) in places.into_iter().zip(self.mirrors.read(&part.remote, &here).await?) {
                contents[place] = content;
            }
        }
        Ok(contents)
    }
}

/// The fetching of all submodules of a commit.
struct Gathering<'a> {
    mirrors: &'a Mirrors,
    /// The repository that the source names: credentials are for its host.
    first: &'a Remote,
    limit: Duration,
    /// The time that went by so far.
    spent: Duration,
    allowance: Allowance,
    entries: Vec<Entry>,
    homes: HashMap<String, (usize, u64)>,
}

impl Gathering<'_> {
    async fn gather(mut self, parts: &mut Vec<Part>) -> Result<Whole, GitError> {
        let mut open: VecDeque<usize> = (0..parts.len()).collect();
        let mut id = String::new();
        while let Some(number) = open.pop_front() {
            let part = parts[number].clone();
            let listing = self.mirrors.list(&part.remote, &part.commit, "/").await?;
            let declared = self.declared(&part, &listing).await?;
            for entry in &listing.entries {
                let found = declared.iter().find(|one| entry.kind == Kind::Submodule && one.path == entry.path);
                let Some(found) = found else {
                    self.keep(&part, number, entry)?;
                    continue;
                };
                let next = self.fetch(&part, found, (&entry.id, parts.len())).await?;
                open.push_back(parts.len());
                parts.push(next);
            }
            if number == 0 {
                id = listing.id;
            }
        }
        self.entries.sort_unstable();
        Ok(Whole { listing: Listing { id, entries: self.entries }, homes: self.homes })
    }

    /// What a repository says of its submodules, if it has any.
    async fn declared(&self, part: &Part, listing: &Listing) -> Result<Vec<Declared>, GitError> {
        if !listing.entries.iter().any(|entry| entry.kind == Kind::Submodule) {
            return Ok(Vec::new());
        }
        let is_it = |entry: &&Entry| entry.path == gitmodules::FILE && entry.kind == Kind::File;
        let Some(entry) = listing.entries.iter().find(is_it) else { return Ok(Vec::new()) };
        let file = part.at(gitmodules::FILE);
        if entry.size > gitmodules::SIZE_MAX {
            let limit = bytes(gitmodules::SIZE_MAX);
            return Err(GitError::TooBig { what: format!("{file}, a file of {},", bytes(entry.size)), limit });
        }
        let content = self.mirrors.read(&part.remote, std::slice::from_ref(&entry.id)).await?;
        gitmodules::read(&file, &content.concat(), &part.remote.url)
    }

    fn keep(&mut self, part: &Part, number: usize, entry: &Entry) -> Result<(), GitError> {
        if self.entries.len() >= ENTRIES_MAX {
            return Err(too_many("the number of files, with those of submodules,"));
        }
        let path = part.at(&entry.path);
        if path.len() > PATH_MAX {
            return Err(GitError::BadPath { path: shown(&path), why: "which is too long" });
        }
        if entry.kind != Kind::Submodule {
            self.homes.entry(entry.id.clone()).or_insert((number, entry.size));
        }
        self.entries.push(Entry { path, ..entry.clone() });
        Ok(())
    }

    /// Fetches a submodule. `number` is how many parts there are before it.
    async fn fetch(
        &mut self,
        part: &Part,
        declared: &Declared,
        (commit, number): (&str, usize),
    ) -> Result<Part, GitError> {
        let Declared { name, path, url, line } = declared;
        let refused = |why: String| GitError::Modules { file: part.at(gitmodules::FILE), line: *line, why };
        if part.depth >= DEPTH_MAX {
            return Err(refused(format!(
                "the submodule {name} is nested more than {DEPTH_MAX} deep, or contains itself: commit the files of one of them"
            )));
        }
        if number > SUBMODULES_MAX {
            return Err(refused(format!(
                "the submodule {name} is one of more than {SUBMODULES_MAX}: commit the files of some, or divide the repository"
            )));
        }
        let is_own = is_same_server(&self.first.url, url);
        let credentials = if is_own { Arc::clone(&self.first.credentials) } else { Arc::new(Credentials::default()) };
        let next = Part {
            remote: Remote { url: url.clone(), credentials },
            commit: commit.to_owned(),
            path: part.at(path),
            depth: part.depth + 1,
        };
        let wanted = Wanted::Commit(commit.to_owned());
        let limit = self.limit.saturating_sub(self.spent);
        let wish = Wish { remote: &next.remote, wanted: &wanted, commit, limit, allowance: &self.allowance };
        let began = Instant::now();
        let outcome = self.mirrors.fetch_within(&wish).await;
        self.spent += began.elapsed();
        match outcome {
            Ok(_) => Ok(next),
            Err(cause) => {
                let is_about_access = matches!(
                    cause,
                    GitError::Denied { .. } | GitError::Unreachable { .. } | GitError::UnknownHost { .. }
                );
                let has_secret = !self.first.credentials.fingerprint().is_empty();
                let is_left_out = !is_own && has_secret && is_about_access;
                let cause = Box::new(self.whole(cause));
                Err(GitError::Submodule { name: name.clone(), path: next.path, is_left_out, cause })
            }
        }
    }

    /// An error with the limits that are for all submodules together, in place of what was left of them.
    fn whole(&self, error: GitError) -> GitError {
        match error {
            GitError::TimedOut { host, .. } => GitError::TimedOut { host, limit: self.limit },
            GitError::TooBig { what, .. } if matches!(what.as_str(), SENT | OBJECTS) => {
                let limits = &self.mirrors.0.limits;
                let limit = format!("{} and {} objects for all submodules", bytes(limits.received), limits.objects);
                GitError::TooBig { what, limit }
            }
            GitError::NoSuchReference { what } => {
                GitError::NoSuchReference { what: format!("{what}: push it there, or record a commit that is there") }
            }
            other => other,
        }
    }
}

impl Part {
    /// A path below its root, from the root of the first one.
    fn at(&self, path: &str) -> String {
        if self.path.is_empty() { path.to_owned() } else { format!("{}/{path}", self.path) }
    }
}

/// Whether credentials for the one address are also for the other.
fn is_same_server(one: &str, other: &str) -> bool {
    match (Address::parse(one), Address::parse(other)) {
        (Ok(one), Ok(other)) => one.is_same_server(&other),
        _ => false,
    }
}
