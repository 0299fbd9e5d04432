//! One look at the source of a Profile: what the repository says, what that means, and what is begun.
//!
//! Fetching, writing and waiting go on beside the looks. What they come to is delivered to the next one, and what has to outlive
//! this process is stored before anything is begun that rests on it.

mod access;
mod apply;
mod correct;
mod deliver;
mod dependencies;
mod drift;
mod fight;
mod health;
mod keys;
mod leave;
pub mod packaged;
mod poll;
mod prepare;
mod reading;
mod recall;
mod repositories;
mod revert;
mod sight;
mod target;
mod trouble;
mod values;
mod verify;
mod watch;
mod work;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sha2::{Digest, Sha256};

use self::leave::Withdrawals;
use self::{
    access::Access,
    deliver::{Delivery, Slot},
    keys::Keys,
    poll::Rounds,
    repositories::Following,
    target::Target,
    values::Known as Values,
    work::{Job, Loaded},
};
pub use self::{drift::Touched, leave::leave, repositories::Repositories};
use super::{background::Running, operator::Operator};
use crate::{
    api::{
        SYNC_ANNOTATION,
        condition::ConditionReason,
        profile::Profile,
        source::{DriftPolicy, Source, SourceDeletion, SourceStatus},
    },
    cluster::{bring::Turn, store::Key, write::Account},
    engine::moment::Moment,
    gitops::{
        custom::Checks,
        revert::{Proposal, Pushed, proposal},
        sync::{Action, Drops, Found, InForce, Known, Pushes, Seen, Stage, State, Step, Suspects, Tip, Trouble, step},
        words::{self, Conditions, Mood},
    },
    rollout::words::hexadecimal,
};

/// How soon something that has to be there first is looked for again.
const BLOCKED_PAUSE: Duration = Duration::from_secs(5);

/// How soon the credentials of a repository that does not answer are read again.
const REFUSED_PAUSE: Duration = Duration::from_mins(1);

/// The longest name that fits into a label.
const LABEL_MAX: usize = 63;

/// How long a step may last before its name is stored although nothing rests on it.
const SILENCE: Duration = Duration::from_secs(1);

/// The same where syncs wait for their turn: what hundreds of them said of that would keep them waiting.
const SILENCE_OF_MANY: Duration = Duration::from_secs(10);

/// What is remembered of one source between looks.
#[derive(Default)]
struct Memory {
    state: State,
    access: Option<Access>,
    values: Option<Values>,
    /// The keys to what SOPS encrypted.
    keys: Option<Keys>,
    /// The kinds that the source judges itself.
    checks: Arc<Checks>,
    /// What has to be in force first, as it was last seen.
    dependencies: Option<dependencies::Known>,
    following: Option<Following>,
    /// The kubeconfig of another cluster.
    remote: Option<target::Known>,
    /// What is done about what somebody else changes.
    drift: Option<DriftPolicy>,
    /// When that is looked for where nobody watches.
    rounds: Rounds,
    /// The request by annotation, and the look that it asked for.
    request: Option<(String, u64)>,
    running: Option<Running>,
    slot: Slot,
    /// The turn of what is under way, from when its files are read until its objects are written.
    turn: Option<Turn>,
    /// A revert that is being pushed.
    pushing: Option<Running>,
    pushed: Slot<Pushed>,
    /// The commit that was read last.
    fresh: Option<Arc<Loaded>>,
    /// The commit that is in force.
    loaded: Option<Arc<Loaded>>,
    /// The status as it was decided last; it may not be stored yet.
    status: Option<SourceStatus>,
    /// Since when it is not.
    untold: Option<Moment>,
}

/// All sources.
pub struct Sources {
    /// What is followed.
    pub repositories: Repositories,
    /// Who changed what.
    pub touched: Arc<Touched>,
    /// Objects in other clusters that go with their Profile.
    withdrawals: Withdrawals,
    memories: Mutex<HashMap<Key, Memory>>,
}

/// What was left when a source was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Nothing.
    Nothing,
    /// A call that may still be carried out.
    Work,
}

/// One half of a look at a Profile: what is to be stored, and what comes after.
pub struct Half {
    /// The status of the source.
    pub status: SourceStatus,
    /// What it means to other programs.
    pub conditions: Conditions,
    /// Whether it has to be stored now.
    pub is_urgent: bool,
    /// When to look again.
    pub next: Option<Duration>,
    /// How a sync ended, for people.
    pub event: Option<(&'static str, Mood, String)>,
    /// What became of a revert, for people.
    pub revert: Option<(&'static str, Mood, String)>,
    /// That nothing is compared with what is in force, for people.
    pub drift: Option<(&'static str, Mood, String)>,
    begin: Begin,
}

/// What is begun when the status is stored.
struct Begin {
    memory: Memory,
    step: Step,
    found: Option<Found>,
    target: Target,
    pushed: Option<Pushed>,
    job: Option<Job>,
    push: Option<(Job, Proposal)>,
}

impl Sources {
    /// None yet.
    pub fn new(repositories: Repositories) -> Self {
        Self { repositories, touched: Arc::default(), withdrawals: Withdrawals::default(), memories: Mutex::default() }
    }

    /// Drops everything about a Profile that is gone, or has no source any more. Says whether something may have been under way.
    pub fn forget(&self, key: &Key) -> Left {
        let memory = self.memories.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        self.touched.forget(key);
        if memory.is_some_and(|memory| memory.running.is_some()) { Left::Work } else { Left::Nothing }
    }

    /// Drops everything about a Profile that is not there any more.
    pub fn gone(&self, key: &Key) {
        self.forget(key);
        self.withdrawals.forget(key);
    }

    fn take(&self, key: &Key) -> Memory {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner).remove(key).unwrap_or_default()
    }

    fn keep(&self, key: &Key, memory: Memory) {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), memory);
    }
}

/// Looks at a source. What it decides counts when [`done`] is told that it is stored.
pub async fn look(operator: &Arc<Operator>, key: &Key, profile: &Profile, source: &Source) -> Half {
    let mut memory = operator.sources.take(key);
    let now = super::operator::now();
    let stored = profile.status.as_ref().and_then(|status| status.source.clone()).unwrap_or_default();
    let before = memory.status.clone().unwrap_or_else(|| stored.clone());
    let blocked = prepare(operator, key, &mut memory, (profile, source)).await;
    let tip = memory.following.as_ref().map(Following::tip).unwrap_or_default();
    let request = request(profile, &mut memory, before.handled_request.as_deref());
    let settings = settings(profile, source, &memory);
    let target = Target::of(operator, key, profile, memory.remote.as_ref());
    let touched = &target.touched;
    let delivery = memory.slot.take();
    let found = delivery.map(|Delivery { found, loaded, turn }| {
        memory.fresh = loaded.or(memory.fresh.take());
        memory.turn = turn.or(memory.turn.take());
        found
    });
    let pushed = memory.pushed.take();
    if memory.drift.replace(source.drift).is_some_and(|before| before != source.drift) {
        touched.again(key);
    }
    let suspects = match source.drift {
        DriftPolicy::Ignore => Suspects::None,
        _ if memory.loaded.is_some() && touched.has(key, now) => Suspects::Some,
        _ => Suspects::None,
    };
    let seen = Seen {
        source,
        status: &before,
        now,
        tip: &tip,
        settings: &settings,
        request: request.as_deref(),
        blocked,
        known: if memory.loaded.is_some() { Known::InForce } else { Known::Nothing },
        suspects,
        found: found.clone(),
        pushed: pushed.clone(),
    };
    let step = step(memory.state.clone(), &seen);
    let conditions = words::conditions(&step.state, &step.status, &seen);
    let silent = memory.untold.map_or(0, |since| now.0.saturating_sub(since.0));
    let silence = if target.bringer.is_busy() { SILENCE_OF_MANY } else { SILENCE };
    let is_urgent = step.is_urgent(&stored) || u128::from(silent) >= silence.as_millis();
    let next = next(&step, &seen, (!is_urgent && step.status != stored).then_some(silence));
    let values = memory.values.as_ref().and_then(|values| values.due(source));
    let remote = memory.remote.as_ref().map(|remote| remote.due(source));
    let unwatched = rounds(operator, key, (profile, source), &mut memory, &target);
    let next = [next, values, remote, touched.wake(key, now), unwatched].into_iter().flatten().min();
    let event = words::event(&before, &step.status);
    let drift = words::unread_event(&memory.state, &step.state);
    let status = step.status.clone();
    let revert = words::revert_event(&before, &step.status);
    let push = push(operator, key, (profile, source), &memory, (&step, &target));
    let job = step.action.is_some().then(|| job(operator, key, (profile, source), &memory, (&step, &target)));
    if step.status == stored {
        memory.untold = None;
    } else if memory.untold.is_none() {
        memory.untold = Some(now);
    }
    let begin = Begin { memory, step, found, target, pushed, job, push };
    Half { status, conditions, is_urgent, next, event, revert, drift, begin }
}

/// When to look again: when it is time, when what is missing may be there, or when a step has lasted long enough to be told.
fn next(step: &Step, seen: &Seen<'_>, untold: Option<Duration>) -> Option<Duration> {
    let blocked = seen.blocked.is_some().then_some(BLOCKED_PAUSE);
    // A Secret that was mended tells nobody of it.
    let refused = matches!(seen.tip, Tip::Failed(_)).then_some(REFUSED_PAUSE);
    [step.next, blocked, refused, untold].into_iter().flatten().min()
}

/// Compares what nobody watches, if it is time. Returns when it is time again.
fn rounds(
    operator: &Arc<Operator>,
    key: &Key,
    (profile, source): (&Profile, &Source),
    memory: &mut Memory,
    target: &Target,
) -> Option<Duration> {
    let compares = memory.loaded.is_some() && !source.suspend && source.drift != DriftPolicy::Ignore;
    if !compares || target.touched.unwatched(key).is_empty() {
        memory.rounds.stop();
        return None;
    }
    let job = || Job::of(operator, key, (profile, source), target.clone());
    Some(memory.rounds.go_on((super::operator::now(), asked(profile)), job, source.git.every()))
}

/// Sees to it that everything is there that a look needs; says what is missing.
async fn prepare(
    operator: &Arc<Operator>,
    key: &Key,
    memory: &mut Memory,
    (profile, source): (&Profile, &Source),
) -> Option<Trouble> {
    if source.suspend {
        (memory.following, memory.access) = (None, None);
        return None;
    }
    if key.name.len() > LABEL_MAX {
        let message = format!("a Profile with a source has a name of at most {LABEL_MAX} characters: make another one");
        return Some(invalid(message));
    }
    if let Some(refused) = target::refused(key, profile) {
        return Some(refused);
    }
    if !memory.checks.is_of(&source.health_checks) {
        match Checks::of(&source.health_checks) {
            Ok(checks) => memory.checks = Arc::new(checks),
            Err(problem) => return Some(invalid(problem.to_string())),
        }
    }
    if let Some(missing) = account(operator, key, profile).await {
        return Some(missing);
    }
    let account = Account::Service { namespace: key.namespace.to_string(), name: account_name(profile) };
    let known = (memory.remote.take(), asked(profile));
    match target::Known::read(operator, key, (profile, source), known).await {
        Ok(known) => memory.remote = known,
        Err((known, trouble)) => {
            memory.remote = known;
            return Some(trouble);
        }
    }
    let access = match Access::read(operator, &account, (key, source), memory.access.take()).await {
        Ok(access) => access,
        Err(trouble) => {
            memory.following = None;
            return Some(trouble);
        }
    };
    let followed = access.followed(source);
    memory.following = Some(operator.sources.repositories.follow(key, &followed, memory.following.take()));
    memory.access = Some(access);
    let known = (memory.values.take(), asked(profile));
    match Values::read(operator, &account, (key, source), known).await {
        Ok(known) => memory.values = Some(known),
        Err(trouble) => return Some(trouble),
    }
    // What cannot be read does not count as another key: what is under way goes on.
    match Keys::read(operator, &account, (key, source), (memory.keys.as_ref(), asked(profile))).await {
        Ok(keys) => memory.keys = keys,
        Err(trouble) => return Some(trouble),
    }
    let known = (&mut memory.dependencies, asked(profile));
    dependencies::missing(operator, &account, (key, source), known).await
}

fn invalid(message: String) -> Trouble {
    Trouble { reason: ConditionReason::InvalidSpec, message }
}

/// Who writes.
fn account_name(profile: &Profile) -> String {
    let named = profile.spec.target.as_ref().and_then(|target| target.service_account.clone());
    named.unwrap_or_else(|| crate::api::DEFAULT_SERVICE_ACCOUNT.to_owned())
}

async fn account(operator: &Operator, key: &Key, profile: &Profile) -> Option<Trouble> {
    let name = account_name(profile);
    let message = match operator.has_account(&key.namespace, &name).await {
        Ok(true) => return None,
        Ok(false) => {
            format!("the service account {name} is missing in {}: run `landfall init {}`", key.namespace, key.namespace)
        }
        Err(error) => format!("whether the service account {name} exists cannot be told: {error}"),
    };
    Some(Trouble { reason: ConditionReason::Pending, message })
}

/// The request by annotation.
fn asked(profile: &Profile) -> Option<&str> {
    profile.metadata.annotations.as_ref().and_then(|all| all.get(SYNC_ANNOTATION)).map(String::as_str)
}

/// The request by annotation, once the repository has been looked at because of it.
fn request(profile: &Profile, memory: &mut Memory, handled: Option<&str>) -> Option<String> {
    let asked = asked(profile)?;
    let asked: String = asked.chars().take(256).collect();
    if handled == Some(&asked) {
        return Some(asked);
    }
    let Some(following) = &memory.following else { return Some(asked) };
    if memory.request.as_ref().is_none_or(|(known, _)| *known != asked) {
        memory.request = Some((asked.clone(), following.ask()));
    }
    let answered = memory.request.as_ref().is_some_and(|(_, number)| following.has_answered(*number));
    answered.then_some(asked).or_else(|| handled.map(ToOwned::to_owned))
}

/// The digits of a digest.
const DIGITS: usize = 32;

/// The digest of everything but the files that has a part in what is written.
fn settings(profile: &Profile, source: &Source, memory: &Memory) -> String {
    let mut source = source.clone();
    (source.suspend, source.drift, source.health_timeout) = (false, DriftPolicy::default(), None);
    source.deletion_policy = SourceDeletion::default();
    source.depends_on.clear();
    (source.webhook, source.revert) = (None, None);
    (source.git.interval, source.git.timeout, source.git.secret_ref) = (None, None, None);
    // Types of ours always make a text.
    let mut text =
        serde_json::to_string(&(source, &profile.spec.target, env!("CARGO_PKG_VERSION"))).unwrap_or_default();
    text.push_str(&memory.values.as_ref().map(|known| known.values().digest.clone()).unwrap_or_default());
    text.push_str(&memory.keys.as_ref().map(|keys| keys.identities().fingerprint()).unwrap_or_default());
    hexadecimal(&Sha256::digest(text), DIGITS)
}

fn job(
    operator: &Arc<Operator>,
    key: &Key,
    (profile, source): (&Profile, &Source),
    memory: &Memory,
    (step, target): (&Step, &Target),
) -> Job {
    let following = memory.following.as_ref();
    Job {
        repository: following.map(|following| (following.remote().clone(), following.wanted().clone())),
        commit: step.state.target.commit.clone(),
        settings: step.state.target.settings.clone(),
        values: memory.values.as_ref().map(Values::values).unwrap_or_default(),
        identities: memory.keys.as_ref().map(Keys::identities).unwrap_or_default(),
        checks: Arc::clone(&memory.checks),
        inventory: step.status.inventory.clone().unwrap_or_default(),
        loaded: if step.action == Some(Action::Correct) { memory.loaded.clone() } else { memory.fresh.clone() },
        ..Job::of(operator, key, (profile, source), target.clone())
    }
}

/// The revert that is to be pushed, if one is.
fn push(
    operator: &Arc<Operator>,
    key: &Key,
    (profile, source): (&Profile, &Source),
    memory: &Memory,
    (step, target): (&Step, &Target),
) -> Option<(Job, Proposal)> {
    if step.pushes == Pushes::Nothing {
        return None;
    }
    let following = memory.following.as_ref();
    let repository = following.map(|following| (following.remote().clone(), following.wanted().clone()));
    let job = Job { repository, ..Job::of(operator, key, (profile, source), target.clone()) };
    let proposal = proposal(source, &step.status, &job.whose())?;
    Some((job, proposal))
}

/// Whether a decision was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It is, or there was nothing to store.
    Yes,
    /// It is not: nothing is begun, and the next look decides anew.
    No,
}

/// Begins what was decided, once it is stored.
pub fn done(operator: &Arc<Operator>, key: &Key, half: Half, stored: Stored) {
    let Begin { mut memory, step, found, target, pushed, job, push } = half.begin;
    if stored == Stored::No {
        // What was delivered is delivered again.
        if let Some(found) = found {
            memory.slot.deliver(found.into());
        }
        if let Some(pushed) = pushed {
            memory.pushed.deliver(pushed);
        }
        return operator.sources.keep(key, memory);
    }
    if half.is_urgent {
        memory.untold = None;
    }
    if step.drops == Drops::Work {
        memory.running = None;
        memory.slot = Slot::default();
    }
    if step.in_force == InForce::Fresh {
        memory.loaded.clone_from(&memory.fresh);
        target.touched.want(key, memory.loaded.iter().flat_map(|loaded| loaded.ids()));
        // What was touched already is news of nobody, and what nobody watches has to be looked at some time.
        operator.profiles.add(key.clone());
    }
    if !matches!(step.state.stage, Stage::Checking | Stage::Applying) {
        memory.turn = None;
    }
    (memory.state, memory.status) = (step.state, Some(step.status));
    if let (Some(action), Some(job)) = (step.action, job) {
        memory.running = Some(begin(operator, key, &mut memory.slot, action, job));
    }
    if let Some((job, proposal)) = push {
        memory.pushing = Some(begin_push(operator, key, &mut memory.pushed, job, proposal));
    }
    operator.sources.keep(key, memory);
}

fn begin(operator: &Arc<Operator>, key: &Key, slot: &mut Slot, action: Action, job: Job) -> Running {
    let (profiles, key) = (operator.profiles.clone(), key.clone());
    let post = slot.open();
    operator.background.begin(async move {
        post.deliver(Box::pin(work::carry_out(action, job)).await);
        profiles.add(key);
    })
}

fn begin_push(operator: &Arc<Operator>, key: &Key, slot: &mut Slot<Pushed>, job: Job, proposal: Proposal) -> Running {
    let (profiles, key) = (operator.profiles.clone(), key.clone());
    let post = slot.open();
    operator.background.begin(async move {
        post.deliver(Box::pin(revert::push(&job, &proposal)).await);
        profiles.add(key);
    })
}
