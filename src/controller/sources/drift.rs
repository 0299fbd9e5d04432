//! Who touched what: every object that carries the label of a Profile is watched by its metadata alone.
//!
//! What the operator wrote itself is known by the version that the API server answered with. Everything else is judged by the
//! times in `managedFields`: a manager that wrote after the source did may have changed what the source wants. Whether it has is
//! found out by whoever asks; here it is only suspected.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, PartialObjectMeta},
    runtime::{
        utils::Backoff,
        watcher::{self, DefaultBackoff, Event, watcher},
    },
};
use tracing::debug;

use super::{
    fight::{Fight, News},
    target::Where,
};
use crate::{
    api::{PROFILE_LABEL, PROFILE_NAMESPACE_LABEL, SOURCE_FIELD_MANAGER},
    cluster::{call::CallError, store::Key, write::Writer},
    controller::{
        background::{Background, Running},
        queue::Queue,
    },
    engine::moment::Moment,
    gitops::object::Id,
};

/// The most kinds that are watched. A watch is a connection.
pub const KINDS_MAX: usize = 100;

/// How long a watch may be silent. API servers end each one sooner, so a longer silence is a connection that is dead.
const SILENCE_MAX: Duration = Duration::from_mins(6);

/// The longest pause before a watch that broke is started again.
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// What is seen of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sight {
    /// Which of all objects of its name it is.
    pub uid: String,
    /// Its version.
    pub version: String,
    /// Whether somebody sets its number of instances by its scale.
    pub scaled: bool,
    /// Whether somebody wrote after the source did.
    suspect: bool,
}

/// What is known of the objects of one Profile.
#[derive(Default)]
struct Objects {
    /// What is seen.
    sights: HashMap<Id, Sight>,
    /// What is wanted.
    wanted: HashSet<Id>,
    /// What somebody else may have changed.
    touched: BTreeSet<Id>,
    /// What was set back.
    fights: HashMap<Id, Fight>,
}

impl Objects {
    /// Until when an object is left to somebody else.
    fn left_until(&self, id: &Id, now: Moment) -> Option<Moment> {
        self.fights.get(id)?.left_until(now)
    }
}

/// What is seen of all of them.
#[derive(Default)]
struct View {
    profiles: HashMap<Key, Objects>,
    /// The kinds of which everything has been seen, as `apiVersion`, kind, and namespace or nothing for all.
    listed: HashSet<(String, String, String)>,
}

impl View {
    fn has_listed(&self, id: &Id) -> bool {
        let name = |scope: &str| (id.api_version.clone(), id.kind.clone(), scope.to_owned());
        self.listed.contains(&name("")) || self.listed.contains(&name(id.namespace.as_deref().unwrap_or_default()))
    }
}

type Shared = Arc<Mutex<View>>;

/// Who touched what.
#[derive(Default)]
pub struct Touched {
    all: Shared,
    kinds: Mutex<HashSet<(String, String)>>,
    /// The kinds that were watched with other credentials.
    before: Vec<(String, String)>,
    /// What watches another cluster. It ends with this.
    running: Mutex<Vec<Running>>,
}

/// How objects are watched.
pub struct Outlook {
    /// For watches.
    pub client: Client,
    /// Knows the kinds.
    pub writer: Writer,
    /// The namespaces that are watched; none for all.
    pub scopes: Vec<String>,
    /// The labels of what is watched.
    pub labels: String,
    /// The most kinds that are watched.
    pub kinds_max: usize,
    /// Whose cluster it is.
    pub at: Where,
    /// Where it is done.
    pub background: Background,
    /// Who is told.
    pub profiles: Queue,
}

fn lock(all: &Shared) -> MutexGuard<'_, View> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Touched {
    fn lock(&self) -> MutexGuard<'_, View> {
        lock(&self.all)
    }

    /// Whether somebody may have changed an object of a Profile.
    pub fn has(&self, key: &Key, now: Moment) -> bool {
        let is = |objects: &Objects| objects.touched.iter().any(|id| objects.left_until(id, now).is_none());
        self.lock().profiles.get(key).is_some_and(is)
    }

    /// When what is left to somebody else is looked at again.
    pub fn wake(&self, key: &Key, now: Moment) -> Option<Duration> {
        let all = self.lock();
        let objects = all.profiles.get(key)?;
        let until = objects.touched.iter().filter_map(|id| objects.left_until(id, now)).min()?;
        Some(Duration::from_millis(until.0.saturating_sub(now.0)))
    }

    /// Takes what somebody may have changed, but for what is left to them.
    pub fn take(&self, key: &Key, now: Moment) -> Vec<Id> {
        let mut all = self.lock();
        let Some(objects) = all.profiles.get_mut(key) else { return Vec::new() };
        let touched = std::mem::take(&mut objects.touched);
        let (left, taken) = touched.into_iter().partition(|id| objects.left_until(id, now).is_some());
        objects.touched = left;
        drop(all);
        Vec::from_iter::<BTreeSet<Id>>(taken)
    }

    /// Gives back what was taken and not looked at.
    pub fn put_back(&self, key: &Key, ids: Vec<Id>) {
        if let Some(objects) = self.lock().profiles.get_mut(key) {
            let wanted = ids.into_iter().filter(|id| objects.wanted.contains(id));
            objects.touched.extend(wanted);
        }
    }

    /// Asks or tells how an object was set back before.
    pub fn fight<T>(&self, key: &Key, id: &Id, ask: impl FnOnce(&mut Fight) -> T) -> T {
        let mut all = self.lock();
        ask(all.profiles.entry(key.clone()).or_default().fights.entry(id.clone()).or_default())
    }

    /// Leaves an object to somebody else for a while. It is compared again then.
    pub fn leave(&self, key: &Key, id: &Id, now: Moment) -> News {
        let news = self.fight(key, id, |fight| fight.leave(now));
        self.put_back(key, vec![id.clone()]);
        news
    }

    /// Compares everything again that somebody may have changed: it was not set back, and is to be from now on.
    pub fn again(&self, key: &Key) {
        let wanted = self.lock().profiles.get(key).map(|objects| objects.wanted.clone());
        self.want(key, wanted.into_iter().flatten());
    }

    /// What is seen of an object.
    pub fn sight(&self, key: &Key, id: &Id) -> Option<Sight> {
        self.lock().profiles.get(key)?.sights.get(id).cloned()
    }

    /// Notes what is in force from now on. What was touched before, or is missing, while nobody looked is touched.
    pub fn want(&self, key: &Key, ids: impl IntoIterator<Item = Id>) {
        let wanted: HashSet<Id> = ids.into_iter().collect();
        let mut all = self.lock();
        let missing: HashSet<Id> = wanted.iter().filter(|id| all.has_listed(id)).cloned().collect();
        let objects = all.profiles.entry(key.clone()).or_default();
        objects.touched = wanted
            .iter()
            .filter(|id| objects.sights.get(*id).map_or(missing.contains(*id), |sight| sight.suspect))
            .cloned()
            .collect();
        objects.fights.retain(|id, _| wanted.contains(id));
        objects.fights.values_mut().for_each(Fight::look_again);
        objects.wanted = wanted;
    }

    /// Notes what the operator has written itself.
    pub fn wrote(&self, key: &Key, id: &Id, (uid, version): (&str, &str)) {
        let mut all = self.lock();
        let objects = all.profiles.entry(key.clone()).or_default();
        let scaled = objects.sights.get(id).is_some_and(|sight| sight.scaled);
        objects.touched.remove(id);
        objects
            .sights
            .insert(id.clone(), Sight { uid: uid.to_owned(), version: version.to_owned(), scaled, suspect: false });
    }

    /// Drops everything about a Profile.
    pub fn forget(&self, key: &Key) {
        self.lock().profiles.remove(key);
    }

    /// The same, with nothing that watches: that is to be begun anew by [`Touched::watch_again`].
    pub fn renewed(&self) -> Self {
        let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let before = kinds.into_iter().chain(self.before.clone()).collect::<BTreeSet<_>>();
        Self { all: Arc::clone(&self.all), before: before.into_iter().collect(), ..Self::default() }
    }

    /// Watches what was watched with other credentials.
    pub async fn watch_again(&self, outlook: &Outlook) {
        for (api_version, kind) in &self.before {
            self.watch(outlook, api_version, kind).await;
        }
    }

    /// Begins something that ends with this.
    pub fn begin(&self, background: &Background, work: impl Future<Output = ()> + Send + 'static) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).push(background.begin(work));
    }

    /// Sees to it that objects of a kind are watched.
    pub async fn watch(&self, outlook: &Outlook, api_version: &str, kind: &str) {
        let name = (api_version.to_owned(), kind.to_owned());
        {
            let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
            if kinds.contains(&name) || kinds.len() >= outlook.kinds_max {
                return;
            }
            kinds.insert(name.clone());
        }
        let Ok(resource) = outlook.writer.resource(api_version, kind).await else {
            self.kinds.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
            return;
        };
        let everywhere = [String::new()];
        let is_cluster_wide = matches!(outlook.writer.is_namespaced(api_version, kind).await, Ok(false));
        let all = is_cluster_wide || outlook.scopes.is_empty();
        let scopes = if all { everywhere.as_slice() } else { outlook.scopes.as_slice() };
        for scope in scopes {
            let watch = Watch {
                client: outlook.client.clone(),
                resource: resource.clone(),
                scope: scope.clone(),
                labels: outlook.labels.clone(),
                all: Arc::clone(&self.all),
                profiles: outlook.profiles.clone(),
            };
            match outlook.at {
                Where::Here => outlook.background.keep(watch.run()),
                Where::There => self.begin(&outlook.background, watch.run()),
            }
        }
    }
}

/// A watch of one kind.
struct Watch {
    client: Client,
    resource: ApiResource,
    scope: String,
    labels: String,
    all: Shared,
    profiles: Queue,
}

impl Watch {
    async fn run(self) {
        let api: Api<PartialObjectMeta<DynamicObject>> = match self.scope.as_str() {
            "" => Api::all_with(self.client.clone(), &self.resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &self.resource),
        };
        let config = watcher::Config::default().labels(&self.labels).page_size(500);
        let mut pauses = DefaultBackoff::default();
        loop {
            let mut events = std::pin::pin!(watcher(api.clone(), config.clone()));
            let mut listed = None;
            while let Ok(Some(event)) = tokio::time::timeout(SILENCE_MAX, events.next()).await {
                match event {
                    Ok(event) => self.take(event, &mut listed, &mut pauses),
                    Err(error) => {
                        let cause = match error {
                            watcher::Error::InitialListFailed(source)
                            | watcher::Error::WatchStartFailed(source)
                            | watcher::Error::WatchFailed(source) => CallError::from(source).to_string(),
                            _ => "the API server ended it".to_owned(),
                        };
                        debug!(kind = self.resource.kind, cause, "objects of repositories cannot be watched");
                        break;
                    }
                }
            }
            tokio::time::sleep(pauses.next().unwrap_or(PAUSE_MAX)).await;
        }
    }

    fn take(
        &self,
        event: Event<PartialObjectMeta<DynamicObject>>,
        listed: &mut Option<HashSet<(Key, Id)>>,
        pauses: &mut DefaultBackoff,
    ) {
        match event {
            Event::Init => *listed = Some(HashSet::new()),
            Event::InitApply(object) => {
                if let Some((key, id)) = self.saw(&object.metadata)
                    && let Some(listed) = listed
                {
                    listed.insert((key, id));
                }
            }
            Event::InitDone => {
                pauses.reset();
                self.missing(&listed.take().unwrap_or_default());
            }
            Event::Apply(object) => drop(self.saw(&object.metadata)),
            Event::Delete(object) => {
                if let Some((key, id)) = self.name(&object.metadata) {
                    self.gone(&key, &id);
                }
            }
        }
    }

    /// Whose object it is, and which.
    fn name(&self, meta: &ObjectMeta) -> Option<(Key, Id)> {
        let labels = meta.labels.as_ref()?;
        let profile = labels.get(PROFILE_LABEL)?;
        let namespace = labels.get(PROFILE_NAMESPACE_LABEL).or(meta.namespace.as_ref())?;
        let id = Id {
            api_version: self.resource.api_version.clone(),
            kind: self.resource.kind.clone(),
            namespace: meta.namespace.clone(),
            name: meta.name.clone()?,
        };
        Some((Key::new(namespace, profile), id))
    }

    fn saw(&self, meta: &ObjectMeta) -> Option<(Key, Id)> {
        let (key, id) = self.name(meta)?;
        let sight = Sight {
            uid: meta.uid.clone().unwrap_or_default(),
            version: meta.resource_version.clone().unwrap_or_default(),
            scaled: is_scaled(meta),
            suspect: is_suspect(meta),
        };
        let mut all = lock(&self.all);
        let objects = all.profiles.entry(key.clone()).or_default();
        if objects.sights.get(&id).is_some_and(|known| (&known.uid, &known.version) == (&sight.uid, &sight.version)) {
            return Some((key, id));
        }
        if sight.suspect && objects.wanted.contains(&id) && objects.touched.insert(id.clone()) {
            self.profiles.add(key.clone());
        }
        objects.sights.insert(id.clone(), sight);
        Some((key, id))
    }

    fn gone(&self, key: &Key, id: &Id) {
        let mut all = lock(&self.all);
        let Some(objects) = all.profiles.get_mut(key) else { return };
        objects.sights.remove(id);
        if objects.wanted.contains(id) && objects.touched.insert(id.clone()) {
            self.profiles.add(key.clone());
        }
    }

    /// What was seen before and is not in a new list is gone.
    fn missing(&self, listed: &HashSet<(Key, Id)>) {
        let mut all = lock(&self.all);
        let resource = &self.resource;
        all.listed.insert((resource.api_version.clone(), resource.kind.clone(), self.scope.clone()));
        let own = |id: &Id| id.api_version == self.resource.api_version && id.kind == self.resource.kind;
        let of_scope = |id: &Id| self.scope.is_empty() || id.namespace.as_deref() == Some(&self.scope);
        let gone: Vec<(Key, Id)> = all
            .profiles
            .iter()
            .flat_map(|(key, objects)| objects.wanted.iter().map(move |id| (key.clone(), id.clone())))
            .filter(|(key, id)| own(id) && of_scope(id) && !listed.contains(&(key.clone(), id.clone())))
            .collect();
        drop(all);
        for (key, id) in &gone {
            self.gone(key, id);
        }
    }
}

/// Whether an entry is about more than what controllers report.
fn is_wish(entry: &ManagedFieldsEntry) -> bool {
    entry.subresource.as_deref().is_none_or(str::is_empty)
}

/// Whether somebody else may have changed what the source wrote: somebody wrote after it.
fn is_suspect(meta: &ObjectMeta) -> bool {
    let entries = meta.managed_fields.as_deref().unwrap_or_default();
    let is_own = |entry: &&ManagedFieldsEntry| entry.manager.as_deref() == Some(SOURCE_FIELD_MANAGER);
    let own = entries.iter().filter(is_own).filter_map(|entry| entry.time.as_ref()).max();
    let mut others = entries.iter().filter(|entry| is_wish(entry) && !is_own(entry));
    others.any(|other| other.time.as_ref() >= own)
}

/// Whether an autoscaler, or a person, sets the number of instances.
fn is_scaled(meta: &ObjectMeta) -> bool {
    let entries = meta.managed_fields.as_deref().unwrap_or_default();
    entries.iter().any(|entry| entry.subresource.as_deref() == Some("scale"))
}
