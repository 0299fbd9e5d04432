//! The repositories that are looked at: each once per interval, however many Profiles follow it.
//!
//! One that does not answer is asked less and less often, and keeps no other one waiting.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::sync::Notify;
use tracing::{debug, warn};

use super::trouble::trouble;
use crate::{
    cluster::store::Key,
    controller::{
        background::{Background, Running},
        pause::jittered,
        queue::Queue,
    },
    git::mirror::{Mirrors, Remote, Wanted},
    gitops::{hook::same_repository, sync::Tip},
    telemetry::chain,
};

/// The shortest time between two looks, whatever the spec says.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// The longest pause before a repository that does not answer is asked again.
const PAUSE_MAX: Duration = Duration::from_mins(10);

/// How often mirrors that nobody needs are looked for, and how long one is kept that is not followed.
const COLLECTED_EVERY: Duration = Duration::from_hours(1);
const UNUSED_MAX: Duration = Duration::from_hours(24);

/// What of a repository is followed.
#[derive(Debug, Clone)]
pub struct Followed {
    /// The repository.
    pub remote: Remote,
    /// The commit that is wanted.
    pub wanted: Wanted,
    /// How often it is looked at.
    pub interval: Duration,
    /// How long one look may take.
    pub timeout: Duration,
}

impl Followed {
    fn name(&self) -> String {
        format!("{}\n{:?}", self.remote.fingerprint(), self.wanted)
    }
}

/// A number that grows with each request for a look.
type Asked = u64;

/// What is known of one repository.
struct Repository {
    remote: Remote,
    wanted: Wanted,
    inner: Mutex<Inner>,
    wake: Notify,
}

#[derive(Default)]
struct Inner {
    tip: Tip,
    followers: HashMap<Key, (Duration, Duration)>,
    asked: Asked,
    answered: Asked,
}

impl Repository {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self) -> Asked {
        let mut inner = self.lock();
        inner.asked += 1;
        let asked = inner.asked;
        drop(inner);
        self.wake.notify_one();
        asked
    }
}

/// Follows one repository for one Profile. It ends when this is dropped.
pub struct Following {
    name: String,
    key: Key,
    followed: (Duration, Duration),
    repository: Arc<Repository>,
    _looks: Arc<Running>,
}

impl Following {
    /// What the repository says.
    pub fn tip(&self) -> Tip {
        self.repository.lock().tip.clone()
    }

    /// Asks for a look at once, and returns the number that it has.
    pub fn ask(&self) -> Asked {
        self.repository.ask()
    }

    /// Whether a look with this number has been answered.
    pub fn has_answered(&self, asked: Asked) -> bool {
        self.repository.lock().answered >= asked
    }

    /// The repository.
    pub fn remote(&self) -> &Remote {
        &self.repository.remote
    }

    /// What is wanted of it.
    pub fn wanted(&self) -> &Wanted {
        &self.repository.wanted
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.repository.lock().followers.remove(&self.key);
    }
}

/// A repository that is followed, and what looks at it.
type Known = (Weak<Repository>, Weak<Running>);

type All = Arc<Mutex<HashMap<String, Known>>>;

/// All repositories.
pub struct Repositories {
    mirrors: Arc<Mirrors>,
    background: Background,
    profiles: Queue,
    all: All,
}

impl Repositories {
    /// None yet. Mirrors that nobody needs any more are collected from now on.
    pub fn new(mirrors: Arc<Mirrors>, background: Background, profiles: Queue) -> Self {
        let all = All::default();
        background.keep(collect(Arc::clone(&mirrors), Arc::clone(&all)));
        Self { mirrors, background, profiles, all }
    }

    /// Where commits are fetched.
    pub fn mirrors(&self) -> &Arc<Mirrors> {
        &self.mirrors
    }

    /// Follows a repository for a Profile, in place of what it followed before.
    pub fn follow(&self, key: &Key, followed: &Followed, before: Option<Following>) -> Following {
        let name = followed.name();
        let times = (followed.interval.max(INTERVAL_MIN), followed.timeout);
        if let Some(mut before) = before
            && before.name == name
        {
            if before.followed != times {
                before.followed = times;
                before.repository.lock().followers.insert(key.clone(), times);
                before.repository.wake.notify_one();
            }
            return before;
        }
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (repository, _)| repository.strong_count() > 0);
        let known = all.get(&name).and_then(|(repository, looks)| Some((repository.upgrade()?, looks.upgrade()?)));
        let (repository, looks) = known.unwrap_or_else(|| {
            let repository = Arc::new(Repository {
                remote: followed.remote.clone(),
                wanted: followed.wanted.clone(),
                inner: Mutex::default(),
                wake: Notify::new(),
            });
            repository.lock().followers.insert(key.clone(), times);
            let looks = look_on(Arc::clone(&repository), Arc::clone(&self.mirrors), self.profiles.clone());
            let looks = Arc::new(self.background.begin(looks));
            all.insert(name.clone(), (Arc::downgrade(&repository), Arc::downgrade(&looks)));
            (repository, looks)
        });
        repository.lock().followers.insert(key.clone(), times);
        Following { name, key: key.clone(), followed: times, repository, _looks: looks }
    }

    /// Looks at once at a repository, which somebody says has changed.
    pub fn changed(&self, url: &str) {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let repositories: Vec<_> = all.values().filter_map(|(repository, _)| repository.upgrade()).collect();
        drop(all);
        for repository in repositories.iter().filter(|one| same_repository(&one.remote.url, url)) {
            repository.ask();
        }
    }
}

/// Removes what was fetched of repositories that nobody follows, such as those of Packages, which are read once, and of submodules.
async fn collect(mirrors: Arc<Mirrors>, all: All) {
    loop {
        tokio::time::sleep(COLLECTED_EVERY).await;
        let followed: Vec<Remote> = {
            let all = all.lock().unwrap_or_else(PoisonError::into_inner);
            all.values().filter_map(|(repository, _)| Some(repository.upgrade()?.remote.clone())).collect()
        };
        if let Err(error) = mirrors.collect(&followed, UNUSED_MAX).await {
            warn!(error = chain(&error), "what was fetched of repositories that nobody follows could not be removed");
        }
    }
}

/// Looks at a repository again and again.
async fn look_on(repository: Arc<Repository>, mirrors: Arc<Mirrors>, profiles: Queue) {
    let mut failures = 0_u32;
    loop {
        let (asked, timeout) = {
            let inner = repository.lock();
            (inner.asked, inner.followers.values().map(|(_, timeout)| *timeout).max().unwrap_or(PAUSE_MAX))
        };
        let tip = match mirrors.look(&repository.remote, &repository.wanted, timeout).await {
            Ok(commit) => Tip::At(commit),
            Err(error) => {
                debug!(error = chain(&error), "a repository did not answer");
                Tip::Failed(trouble(&error))
            }
        };
        failures = if matches!(tip, Tip::At(_)) { 0 } else { failures.saturating_add(1) };
        take(&repository, tip, asked, &profiles);
        let pause = pause(&repository, failures);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = repository.wake.notified() => {}
        }
    }
}

/// Takes an answer in, and tells who follows.
fn take(repository: &Repository, tip: Tip, asked: Asked, profiles: &Queue) {
    let mut inner = repository.lock();
    let waited_for = inner.answered < asked;
    inner.answered = asked;
    if inner.tip == tip && !waited_for {
        return;
    }
    if let Tip::Failed(trouble) = &tip
        && !matches!(inner.tip, Tip::Failed(_))
    {
        warn!(reason = ?trouble.reason, message = trouble.message, "a repository does not answer as it should");
    }
    inner.tip = tip;
    inner.followers.keys().for_each(|key| profiles.add(key.clone()));
}

/// The pause before the next look: the shortest interval that is asked for, longer with each failure, ±10 %.
fn pause(repository: &Repository, failures: u32) -> Duration {
    let interval = repository.lock().followers.values().map(|(interval, _)| *interval).min().unwrap_or(PAUSE_MAX);
    let plain = interval.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(10)));
    jittered(plain.min(PAUSE_MAX.max(interval)), 0.1)
}
