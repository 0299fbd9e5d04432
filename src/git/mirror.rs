//! Repositories of others, each in a mirror of its own.
//!
//! A mirror is known by the address of its repository and by the credentials that opened it: who has other credentials
//! has another mirror, so nobody reads what only somebody else may. It has the commits that were fetched, without their
//! history, and can always be made again: a damaged one is removed.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use semver::VersionReq;
use sha2::{Digest, Sha256};
use tokio::{
    sync::Semaphore,
    task::spawn_blocking,
    time::{timeout, timeout_at},
};

use super::{
    advertisement::{Reference, is_id},
    error::GitError,
    fetch::{Allowance, Taking, Wish},
    https::Dialer,
    listing,
    push::{self, Form, Push},
    secret::Credentials,
    session::{Service, Session},
    signature::Signed,
    store,
    turn::{Lock, Turn, blocking, lost},
    undo::{self, Made},
    upload::Depth,
    wire::Wire,
};
use crate::{
    api::source::{BRANCH, GitSource},
    cluster::probe::forbidden::Forbidden,
    gitops::{
        revert::{Head, Proposal},
        tree::{Listing, Revision},
    },
    rollout::words::hexadecimal,
};

/// How many mirrors are read at the same time.
const READERS_MAX: usize = 4;
/// How many packs are received at the same time. Most of it is waiting, so that slow servers leave turns for others.
const FETCHES_MAX: usize = 8;
/// How many branches are moved at the same time.
const PUSHES_MAX: usize = 8;

/// What is too much.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The bytes that a server may send in one fetch.
    pub received: u64,
    /// The objects that a server may send in one fetch.
    pub objects: u64,
    /// The bytes of one object, also of those that are not read: some are whole in memory when they are received.
    pub object: u64,
    /// The bytes of one file that is read.
    pub file: u64,
    /// The bytes of all files that are read together.
    pub files: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self { received: 512 * MIB, objects: 1_000_000, object: 64 * MIB, file: 4 * MIB, files: 64 * MIB }
    }
}

/// A repository of somebody, and who asks for it.
#[derive(Debug, Clone)]
pub struct Remote {
    /// Its address, without credentials.
    pub url: String,
    /// What is shown to its server.
    pub credentials: Arc<Credentials>,
}

impl Remote {
    /// The name of its mirror: other addresses and other credentials have others.
    pub fn fingerprint(&self) -> String {
        let whole = format!("{}\n{}", self.url, self.credentials.fingerprint());
        hexadecimal(&Sha256::digest(whole), 64)
    }
}

/// What of a repository is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// What a branch leads to.
    Branch(String),
    /// What a tag leads to.
    Tag(String),
    /// What the tag of the newest version in a range leads to.
    Semver(VersionReq),
    /// One commit.
    Commit(String),
}

/// A range of versions that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("spec.source.git.semver: {0}: write a range such as `>=1.2.0, <2`")]
pub struct NoRange(semver::Error);

impl Wanted {
    /// What a Profile names.
    ///
    /// # Errors
    /// The range of versions cannot be read.
    pub fn of(git: &GitSource) -> Result<Self, NoRange> {
        let GitSource { branch, tag, semver, commit, .. } = git;
        Ok(match (commit, tag, semver) {
            (Some(commit), _, _) => Self::Commit(commit.clone()),
            (_, Some(tag), _) => Self::Tag(tag.clone()),
            (_, _, Some(range)) => Self::Semver(VersionReq::parse(range).map_err(NoRange)?),
            _ => Self::Branch(branch.clone().unwrap_or_else(|| BRANCH.to_owned())),
        })
    }

    /// In the words of an error, such as `branch main`.
    pub fn words(&self) -> String {
        match self {
            Self::Branch(name) => format!("branch {name}"),
            Self::Tag(name) => format!("tag {name}"),
            Self::Semver(range) => format!("tag of a version in {range}"),
            Self::Commit(id) => format!("commit {id}"),
        }
    }
}

/// A tag as the repository has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Its name.
    pub name: String,
    /// What is written in it; none where it is a name for a commit and nothing else.
    pub text: Option<Vec<u8>>,
}

/// All mirrors. Made once; a copy is the same one.
#[derive(Clone)]
pub struct Mirrors(pub(super) Arc<Inner>);

pub(super) struct Inner {
    root: PathBuf,
    pub(super) limits: Limits,
    pub(super) dialer: Dialer,
    locks: Mutex<HashMap<String, Arc<Lock>>>,
    began: Instant,
    /// When mirrors were used last.
    uses: Mutex<HashMap<String, Instant>>,
    readers: Arc<Semaphore>,
    fetches: Arc<Semaphore>,
    pushes: Arc<Semaphore>,
}

impl Inner {
    fn uses(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mirrors {
    /// Mirrors below a directory, which is made when it is needed, and nobody else may read. Addresses in `forbidden` are
    /// not asked.
    pub fn new(root: PathBuf, limits: Limits, forbidden: Forbidden) -> Self {
        Self(Arc::new(Inner {
            root,
            limits,
            dialer: Dialer::new(forbidden),
            locks: Mutex::default(),
            began: Instant::now(),
            uses: Mutex::default(),
            readers: Arc::new(Semaphore::new(READERS_MAX)),
            fetches: Arc::new(Semaphore::new(FETCHES_MAX)),
            pushes: Arc::new(Semaphore::new(PUSHES_MAX)),
        }))
    }

    /// Which commit is wanted now: one question to the server, by which nothing is fetched. One commit is wanted for ever,
    /// and nobody is asked.
    ///
    /// # Errors
    /// See [`GitError`].
    pub async fn look(&self, remote: &Remote, wanted: &Wanted, limit: Duration) -> Result<String, GitError> {
        let mut session = Session::new(&self.0.dialer, remote)?;
        if let Wanted::Commit(id) = wanted {
            return Ok(id.clone());
        }
        let host = session.host();
        let found = timeout(limit, session.offer(|name| wanted.may_be(name))).await;
        let found = found.map_err(|_| GitError::TimedOut { host, limit })??;
        let missing = || GitError::NoSuchReference { what: wanted.words() };
        Ok(found.choose(wanted).ok_or_else(missing)?.commit().to_owned())
    }

    /// Makes a commit be there, without its history, and says what it is. Nobody is asked for one that is there.
    ///
    /// # Errors
    /// See [`GitError`]. The mirror is as it was before.
    pub async fn fetch(
        &self,
        remote: &Remote,
        wanted: &Wanted,
        commit: &str,
        limit: Duration,
    ) -> Result<Revision, GitError> {
        if !is_id(commit) {
            return Err(GitError::NoSuchReference { what: format!("commit {commit}: write its whole hash") });
        }
        let allowance = Allowance::new(&self.0.limits);
        self.fetch_within(&Wish { remote, wanted, commit, limit, allowance: &allowance }).await
    }

    /// Makes a commit be there, with what others have left of an allowance.
    pub(super) async fn fetch_within(&self, wish: &Wish<'_>) -> Result<Revision, GitError> {
        let Wish { remote, commit, limit, .. } = *wish;
        match self.find(remote, commit).await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) | Err(GitError::Damaged) => {}
            Err(error) => return Err(error),
        }
        let turn = self.turn(remote, limit).await?;
        let outcome = self.fetch_into(wish, &turn).await;
        if !matches!(outcome, Err(GitError::Damaged)) {
            return outcome;
        }
        turn.alone(store::remove).await?;
        self.fetch_into(wish, &turn).await
    }

    /// The signature of a commit that was fetched; none if it is not signed.
    ///
    /// # Errors
    /// See [`GitError`]. After [`GitError::Damaged`] the commit is to be fetched again.
    pub async fn signature(&self, remote: &Remote, commit: &str) -> Result<Option<Signed>, GitError> {
        let commit = commit.to_owned();
        let found = self.reading(remote, move |path, _| store::signature(path, &commit)).await;
        self.or_remove(remote, found).await
    }

    /// The tag that leads to a commit that was fetched. The server is asked which it is now.
    ///
    /// # Errors
    /// See [`GitError`]. It is [`GitError::NoSuchReference`] where the tag leads to another commit meanwhile.
    pub async fn tag(&self, remote: &Remote, wanted: &Wanted, commit: &str, limit: Duration) -> Result<Tag, GitError> {
        let allowance = Allowance::new(&self.0.limits);
        let wish = Wish { remote, wanted, commit, limit, allowance: &allowance };
        let turn = self.turn(remote, limit).await?;
        let limits = self.0.limits.clone();
        let has = turn.alone(move |path| store::prepare(path, &limits)).await?;
        let mut session = Session::new(&self.0.dialer, remote)?;
        let host = session.host();
        let offer = timeout_at(turn.until.into(), session.offer(|name| wanted.may_be(name))).await;
        let offer = offer.map_err(|_| GitError::TimedOut { host, limit })??;
        let gone = || GitError::NoSuchReference { what: wish.gone() };
        let reference = offer.choose(wanted).filter(|reference| reference.commit() == commit).ok_or_else(gone)?;
        let name = reference.name.strip_prefix("refs/tags/").unwrap_or(&reference.name).to_owned();
        if reference.peeled.is_none() {
            return Ok(Tag { name, text: None });
        }
        let id = reference.id.clone();
        let known = turn.beside_readers(move |path| store::tag(path, &id)).await?;
        if known.is_some() {
            return Ok(Tag { name, text: known });
        }
        let taking = Taking { wish: &wish, turn: &turn, has };
        let want = [reference.id.clone()];
        let depth = if offer.can("shallow") { Depth::One } else { Depth::All };
        self.transfer((&mut session, &offer), &taking, &want, depth).await?;
        let id = reference.id.clone();
        let text = turn.beside_readers(move |path| store::tag(path, &id)).await?;
        Ok(Tag { name, text: Some(text.ok_or_else(gone)?) })
    }

    /// What a commit that was fetched says of itself; none where it is not there.
    ///
    /// # Errors
    /// See [`GitError`]. After [`GitError::Damaged`] the commit is to be fetched again.
    pub async fn head(&self, remote: &Remote, commit: &str) -> Result<Option<Head>, GitError> {
        let commit = commit.to_owned();
        let head = self.reading(remote, move |path, _| undo::head(path, &commit)).await;
        self.or_remove(remote, head).await
    }

    /// Makes a commit of our own from two that were fetched; none where nothing would be different. The mirror stays as it is.
    ///
    /// # Errors
    /// See [`GitError`]. After [`GitError::Damaged`] the commits are to be fetched again.
    pub async fn undo(&self, remote: &Remote, proposal: &Proposal) -> Result<Option<Made>, GitError> {
        let proposal = proposal.clone();
        let made = self.reading(remote, move |path, _| undo::make(path, &proposal)).await;
        self.or_remove(remote, made).await
    }

    /// Moves a branch, if it leads where it is thought to lead. This needs no mirror, and other credentials than for fetching may
    /// be shown.
    ///
    /// # Errors
    /// See [`GitError`]. Whether the branch was moved is not known then.
    pub async fn push(&self, remote: &Remote, push: &Push, limit: Duration) -> Result<push::Answer, GitError> {
        let _permit = Arc::clone(&self.0.pushes).acquire_owned().await.map_err(|_| lost())?;
        let mut session = Session::about(Service::Push, &self.0.dialer, remote)?;
        let host = session.host();
        let moving = timeout(limit, move_branch(&mut session, push, &remote.credentials)).await;
        moving.map_err(|_| GitError::TimedOut { host, limit })?
    }

    /// The paths below a directory of a commit that was fetched.
    ///
    /// # Errors
    /// See [`GitError`]. After [`GitError::Damaged`] the commit is to be fetched again.
    pub async fn list(&self, remote: &Remote, commit: &str, directory: &str) -> Result<Listing, GitError> {
        let (commit, directory) = (commit.to_owned(), directory.to_owned());
        let listing = self.reading(remote, move |path, _| listing::list(path, &commit, &directory)).await;
        self.or_remove(remote, listing).await
    }

    /// Contents by their hash, in the order asked for.
    ///
    /// # Errors
    /// See [`GitError`]. After [`GitError::Damaged`] the commit is to be fetched again.
    pub async fn read(&self, remote: &Remote, ids: &[String]) -> Result<Vec<Vec<u8>>, GitError> {
        let ids = ids.to_vec();
        let contents = self.reading(remote, move |path, limits| store::read(path, &ids, limits)).await;
        self.or_remove(remote, contents).await
    }

    /// Removes the mirrors of repositories that are not followed, and that this process has not used for so long.
    ///
    /// # Errors
    /// The directory could not be read or changed.
    pub async fn collect(&self, followed: &[Remote], unused: Duration) -> Result<(), GitError> {
        let kept: HashSet<String> = followed.iter().map(Remote::fingerprint).collect();
        let root = self.0.root.clone();
        let there = spawn_blocking(move || store::names(&root)).await.map_err(|_| lost())??;
        self.0.uses().retain(|name, _| there.contains(name));
        for name in there.into_iter().filter(|name| !kept.contains(name)) {
            // One that is in use goes the next time.
            let Ok(alone) = Arc::clone(&self.lock(&name).used).try_write_owned() else { continue };
            let last = self.0.uses().get(&name).copied().unwrap_or(self.0.began);
            if last.elapsed() >= unused {
                let path = self.0.root.join(name);
                blocking((path, alone), |(path, _)| store::remove(path)).await?;
            }
        }
        Ok(())
    }

    async fn find(&self, remote: &Remote, commit: &str) -> Result<Option<Revision>, GitError> {
        let commit = commit.to_owned();
        self.reading(remote, move |path, _| store::find(path, &commit)).await
    }

    /// Reads a mirror, beside others who read it.
    async fn reading<T: Send + 'static>(
        &self,
        remote: &Remote,
        work: impl FnOnce(&Path, &Limits) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, GitError> {
        let name = remote.fingerprint();
        let path = self.0.root.join(&name);
        let lock = self.lock_used(&name);
        let shared = Arc::clone(&lock.used).read_owned().await;
        let permit = Arc::clone(&self.0.readers).acquire_owned().await.map_err(|_| lost())?;
        let limits = self.0.limits.clone();
        blocking((path, lock, shared, permit), move |(path, ..)| work(path, &limits)).await
    }

    async fn or_remove<T>(&self, remote: &Remote, outcome: Result<T, GitError>) -> Result<T, GitError> {
        if matches!(outcome, Err(GitError::Damaged)) {
            let name = remote.fingerprint();
            let lock = self.lock(&name);
            let alone = Arc::clone(&lock.used).write_owned().await;
            blocking((self.0.root.join(name), lock, alone), |(path, ..)| store::remove(path)).await?;
        }
        outcome
    }

    /// Waits for the right to add to a mirror. The time for the work begins when it is there.
    pub(super) async fn turn(&self, remote: &Remote, limit: Duration) -> Result<Turn, GitError> {
        let name = remote.fingerprint();
        let lock = self.lock_used(&name);
        let fetching = Arc::clone(&lock.fetching).lock_owned().await;
        let permit = Arc::clone(&self.0.fetches).acquire_owned().await.map_err(|_| lost())?;
        Ok(Turn::new(self.0.root.join(name), lock, (fetching, permit), limit))
    }

    /// The lock of a mirror that is used now.
    fn lock_used(&self, name: &str) -> Arc<Lock> {
        let lock = self.lock(name);
        self.0.uses().insert(name.to_owned(), Instant::now());
        lock
    }

    fn lock(&self, name: &str) -> Arc<Lock> {
        let mut locks = self.0.locks.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(locks.entry(name.to_owned()).or_default())
    }
}

async fn move_branch(
    session: &mut Session<'_>,
    push: &Push,
    credentials: &Credentials,
) -> Result<push::Answer, GitError> {
    let names: Vec<String> = [Some(&push.branch), push.provided.as_ref().map(|(branch, _)| branch)]
        .into_iter()
        .flatten()
        .map(|branch| format!("refs/heads/{branch}"))
        .collect();
    let offer = session.offer(|name| names.iter().any(|known| known == name)).await?;
    let leads = |branch: &str| {
        let of = |reference: &&Reference| reference.name.strip_prefix("refs/heads/") == Some(branch);
        offer.references.iter().find(of).map(|reference| reference.id.clone())
    };
    let provided = push.provided.as_ref().is_none_or(|(branch, commit)| leads(branch).as_ref() == Some(commit));
    if leads(&push.branch) != push.from || !provided {
        return Ok(push::Answer::Elsewhere);
    }
    if !offer.can("report-status") {
        return Err(GitError::Protocol { host: session.host(), why: "it does not say what becomes of a push" });
    }
    let form = if offer.can("side-band-64k") { Form::Bands } else { Form::Plain };
    session.upload(push::request(push, |capability| offer.can(capability))).await?;
    push::receive(&mut Wire::new(session, push::REPORT_MAX), (push, form), credentials).await
}
