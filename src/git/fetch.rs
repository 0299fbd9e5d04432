//! One fetch: what is asked for, how much of it may arrive, and the way into the mirror.

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{sync::mpsc, time::timeout_at};

use super::{
    advertisement::Advertisement,
    error::GitError,
    mirror::{Limits, Mirrors, Remote, Wanted},
    session::Session,
    store::{self, Refused},
    turn::Turn,
    upload::{self, Answer, Ask, Depth},
    wire::Wire,
};
use crate::gitops::tree::Revision;

/// How many pieces of a pack may wait for the disk.
const PIECES_MAX: usize = 16;
/// The most branches and tags of which the whole history is fetched, to find a commit.
const TIPS_MAX: usize = 1000;

/// How much may still arrive, by one fetch or by several that count as one.
#[derive(Debug)]
pub(super) struct Allowance {
    received: AtomicU64,
    objects: AtomicU64,
}

impl Allowance {
    /// All that these limits allow.
    pub fn new(limits: &Limits) -> Self {
        Self { received: limits.received.into(), objects: limits.objects.into() }
    }

    /// The bytes and the objects that are left.
    pub fn left(&self) -> (u64, u64) {
        (self.received.load(Ordering::Relaxed), self.objects.load(Ordering::Relaxed))
    }

    fn spend(&self, received: u64, objects: u64) {
        for (left, spent) in [(&self.received, received), (&self.objects, objects)] {
            // One fetch at a time takes from it.
            left.store(left.load(Ordering::Relaxed).saturating_sub(spent), Ordering::Relaxed);
        }
    }
}

impl Mirrors {
    /// Fetches into a mirror, unless the commit is there meanwhile.
    pub(super) async fn fetch_into(&self, wish: &Wish<'_>, turn: &Turn) -> Result<Revision, GitError> {
        let (limits, commit) = (self.0.limits.clone(), wish.commit.to_owned());
        let prepare = move |path: &Path| Ok((store::prepare(path, &limits)?, store::find(path, &commit)?));
        let (has, found) = turn.alone(prepare).await?;
        if let Some(found) = found {
            return Ok(found);
        }
        let mut session = Session::new(&self.0.dialer, wish.remote)?;
        let host = session.host();
        let offer = timeout_at(turn.until.into(), session.offer(|_| true)).await;
        let offer = offer.map_err(|_| GitError::TimedOut { host, limit: wish.limit })??;
        self.take(&mut session, &offer, Taking { wish, turn, has }).await?;
        let commit = wish.commit.to_owned();
        let kept = turn.beside_readers(move |path| store::keep(path, &commit)).await?;
        kept.ok_or_else(|| GitError::NoSuchReference { what: wish.gone() })
    }

    /// Fetches by the reference that leads to the commit, else by the commit itself, else everything.
    async fn take(&self, session: &mut Session<'_>, offer: &Advertisement, taking: Taking<'_>) -> Result<(), GitError> {
        let commit = taking.wish.commit;
        let tip = offer.references.iter().find(|reference| reference.commit() == commit);
        let want = tip.map_or_else(|| commit.to_owned(), |reference| reference.id.clone());
        let by_hash = ["allow-tip-sha1-in-want", "allow-reachable-sha1-in-want", "allow-any-sha1-in-want"];
        if tip.is_some() || by_hash.iter().any(|capability| offer.can(capability)) {
            let depth = if offer.can("shallow") { Depth::One } else { Depth::All };
            if self.transfer((session, offer), &taking, &[want], depth).await? == Answer::Pack {
                return Ok(());
            }
        }
        let gone = || GitError::NoSuchReference { what: taking.wish.gone() };
        if !matches!(taking.wish.wanted, Wanted::Commit(_)) {
            return Err(gone());
        }
        let mut tips: Vec<String> = offer
            .references
            .iter()
            .filter(|reference| taking.wish.wanted.may_be(&reference.name))
            .map(|reference| reference.id.clone())
            .collect();
        tips.sort_unstable();
        tips.dedup();
        if tips.is_empty() || tips.len() > TIPS_MAX {
            return Err(gone());
        }
        let whole = Taking { has: Vec::new(), ..taking };
        match self.transfer((session, offer), &whole, &tips, Depth::All).await? {
            Answer::Pack => Ok(()),
            Answer::NotGiven => Err(gone()),
        }
    }

    /// Asks for objects and writes them as they arrive.
    pub(super) async fn transfer(
        &self,
        (session, offer): (&mut Session<'_>, &Advertisement),
        taking: &Taking<'_>,
        wants: &[String],
        depth: Depth,
    ) -> Result<Answer, GitError> {
        let (host, limit) = (session.host(), taking.wish.limit);
        let late = || GitError::TimedOut { host: host.clone(), limit };
        let (sink, pieces) = mpsc::channel(PIECES_MAX);
        let message = upload::request(&Ask { wants, has: &taking.has, depth }, |capability| offer.can(capability));
        let allowance = taking.wish.allowance;
        let (received, objects) = allowance.left();
        let sending = async {
            session.upload(message).await?;
            let mut wire = Wire::new(session, received);
            let answer = upload::receive(&mut wire, depth, sink).await;
            allowance.spend(wire.received(), 0);
            answer
        };
        let sending = timeout_at(taking.turn.until.into(), sending);
        let limits = Limits { objects, ..self.0.limits.clone() };
        let until = taking.turn.until;
        let receiving = taking.turn.beside_readers(move |path| Ok(store::receive(path, pieces, &limits, until)));
        let (sent, received) = tokio::join!(sending, receiving);
        let answer = sent.map_err(|_| late())??;
        match received? {
            _ if answer == Answer::NotGiven => Ok(answer),
            Ok(objects) => {
                allowance.spend(0, objects);
                Ok(answer)
            }
            Err(Refused::Error(error)) => Err(error),
            Err(Refused::Late) => Err(late()),
            Err(Refused::Cut | Refused::Garbage) => {
                Err(GitError::Protocol { host: host.clone(), why: "what it sends is no pack" })
            }
        }
    }
}

/// What somebody asks for.
#[derive(Clone, Copy)]
pub(super) struct Wish<'a> {
    pub remote: &'a Remote,
    pub wanted: &'a Wanted,
    pub commit: &'a str,
    /// How long it may take.
    pub limit: Duration,
    /// How much may arrive.
    pub allowance: &'a Allowance,
}

impl Wish<'_> {
    /// What is not there, in the words of an error.
    pub fn gone(&self) -> String {
        match self.wanted {
            Wanted::Commit(_) => self.wanted.words(),
            other => format!(
                "commit {} any more for the {}: it was rewritten or deleted meanwhile",
                self.commit,
                other.words()
            ),
        }
    }
}

/// A wish, the right to fulfil it, and the commits that are there already.
#[derive(Clone)]
pub(super) struct Taking<'a> {
    pub wish: &'a Wish<'a>,
    pub turn: &'a Turn,
    pub has: Vec<String>,
}
