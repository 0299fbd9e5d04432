//! Who touched what: every object that carries the label of a Profile is watched by its metadata alone, where it may be.
//!
//! What the operator wrote itself is known by the version that the API server answered with. Everything else is judged by what
//! `managedFields` say: a manager that wrote after the source did may have changed what the source wants. Whether it has is
//! found out by whoever asks; here it is only suspected.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kube::Client;

use super::{
    fight::{Fight, News},
    sight::Sight,
    target::Where,
    watch::Watch,
};
use crate::{
    cluster::{bring::Meta, store::Key, write::Writer},
    controller::{
        background::{Background, Running},
        queue::Queue,
    },
    engine::moment::Moment,
    gitops::object::Id,
};

/// The most kinds that are watched. A watch is a connection.
pub const KINDS_MAX: usize = 100;

/// A kind, and the namespace of some of its objects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spot {
    /// Its `apiVersion`.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// The namespace; none for objects that have none, and for those of all.
    pub namespace: Option<String>,
}

impl Spot {
    fn of(id: &Id) -> Self {
        Self { api_version: id.api_version.clone(), kind: id.kind.clone(), namespace: id.namespace.clone() }
    }

    fn everywhere(&self) -> Self {
        Self { namespace: None, ..self.clone() }
    }

    /// Whether this is where an object is.
    pub fn has(&self, id: &Id) -> bool {
        self.is_around((&id.api_version, &id.kind), id.namespace.as_ref())
    }

    fn is_around(&self, (api_version, kind): (&str, &str), namespace: Option<&String>) -> bool {
        let of_kind = (&*self.api_version, &*self.kind) == (api_version, kind);
        of_kind && (self.namespace.is_none() || self.namespace.as_ref() == namespace)
    }
}

/// What is known of the objects of one Profile.
#[derive(Default)]
struct Objects {
    /// What is seen.
    sights: HashMap<Id, Sight>,
    /// What is wanted.
    wanted: HashSet<Id>,
    /// Where that is.
    spots: BTreeSet<Spot>,
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
pub struct View {
    profiles: HashMap<Key, Objects>,
    /// Of which kinds and namespaces everything has been seen by a watch that goes on.
    listed: HashSet<Spot>,
    /// How many objects the operator has written.
    written: u64,
}

impl View {
    fn has_listed(&self, spot: &Spot) -> bool {
        self.listed.contains(spot) || self.listed.contains(&spot.everywhere())
    }

    /// Takes in what is seen of an object. True if somebody may have changed it, and that is news.
    pub fn saw(&mut self, key: &Key, id: &Id, sight: Sight) -> bool {
        let objects = self.profiles.entry(key.clone()).or_default();
        let known = objects.sights.get(id);
        if known.is_some_and(|known| known.is_same(&sight)) {
            return false;
        }
        let sight = sight.after(known);
        let news = sight.suspect && objects.wanted.contains(id) && objects.touched.insert(id.clone());
        objects.sights.insert(id.clone(), sight);
        news
    }

    /// Notes that an object is gone. True if it is wanted, and that is news.
    pub fn gone(&mut self, key: &Key, id: &Id) -> bool {
        let Some(objects) = self.profiles.get_mut(key) else { return false };
        objects.sights.remove(id);
        objects.wanted.contains(id) && objects.touched.insert(id.clone())
    }

    /// Everything was seen that a watch sees. What is wanted and not among it is gone; returns whose news that is.
    pub fn listed(&mut self, spot: Spot, seen: &HashSet<(Key, Id)>) -> BTreeSet<Key> {
        let wanted = self.profiles.iter().flat_map(|(key, objects)| objects.wanted.iter().map(move |id| (key, id)));
        let gone: Vec<(Key, Id)> = wanted
            .filter(|(_, id)| spot.has(id))
            .map(|(key, id)| (key.clone(), id.clone()))
            .filter(|one| !seen.contains(one))
            .collect();
        self.listed.insert(spot);
        gone.into_iter().filter(|(key, id)| self.gone(key, id)).map(|(key, _)| key).collect()
    }

    /// A watch was refused, so that nothing is seen by it. Returns who has objects there and relied on it.
    pub fn refused(&mut self, spot: &Spot) -> Vec<Key> {
        if !self.listed.remove(spot) {
            return Vec::new();
        }
        let is_there = |one: &Spot| spot.is_around((&one.api_version, &one.kind), one.namespace.as_ref());
        let relies = |(key, objects): (&Key, &Objects)| objects.spots.iter().any(is_there).then(|| key.clone());
        self.profiles.iter().filter_map(relies).collect()
    }
}

/// The same, for all who look.
pub type Shared = Arc<Mutex<View>>;

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

/// The view, for a moment.
pub fn lock(all: &Shared) -> MutexGuard<'_, View> {
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
        let spots: BTreeSet<Spot> = wanted.iter().map(Spot::of).collect();
        let mut all = self.lock();
        let listed: BTreeSet<&Spot> = spots.iter().filter(|spot| all.has_listed(spot)).collect();
        let objects = all.profiles.entry(key.clone()).or_default();
        let is_missing = |id: &Id| listed.iter().any(|spot| spot.has(id));
        objects.touched = wanted
            .iter()
            .filter(|id| objects.sights.get(*id).map_or_else(|| is_missing(id), |sight| sight.suspect))
            .cloned()
            .collect();
        objects.fights.retain(|id, _| wanted.contains(id));
        objects.fights.values_mut().for_each(Fight::look_again);
        (objects.wanted, objects.spots) = (wanted, spots);
    }

    /// Where wanted objects are that nobody watches: it is not allowed, or there are too many kinds.
    pub fn unwatched(&self, key: &Key) -> Vec<Spot> {
        let all = self.lock();
        let Some(objects) = all.profiles.get(key) else { return Vec::new() };
        objects.spots.iter().filter(|spot| !all.has_listed(spot)).cloned().collect()
    }

    /// What is wanted there, in order.
    pub fn wanted_in(&self, key: &Key, spot: &Spot) -> Vec<Id> {
        let all = self.lock();
        let wanted = all.profiles.get(key).map(|objects| &objects.wanted).into_iter().flatten();
        let mut there: Vec<Id> = wanted.filter(|id| spot.has(id)).cloned().collect();
        there.sort_unstable();
        there
    }

    /// A moment, to be named in [`Touched::compared`] with what was read after it.
    pub fn moment(&self) -> u64 {
        self.lock().written
    }

    /// Takes in what was read of objects since a moment; none where there is none. What the operator has written meanwhile it knows
    /// better. True if somebody may have changed one, and that is news.
    pub fn compared(&self, key: &Key, since: u64, found: impl IntoIterator<Item = (Id, Option<Sight>)>) -> bool {
        let mut all = self.lock();
        let mut news = false;
        for (id, sight) in found {
            let Some(objects) = all.profiles.get(key).filter(|objects| objects.wanted.contains(&id)) else { continue };
            if objects.sights.get(&id).is_some_and(|known| known.written > since) {
                continue;
            }
            news |= match sight {
                Some(sight) => all.saw(key, &id, sight),
                None => all.gone(key, &id),
            };
        }
        news
    }

    /// Notes what the operator has written itself.
    pub fn wrote(&self, key: &Key, id: &Id, answer: &Meta) {
        let mut all = self.lock();
        all.written += 1;
        let number = all.written;
        let objects = all.profiles.entry(key.clone()).or_default();
        let sight = Sight::written(answer, number, objects.sights.get(id));
        objects.touched.remove(id);
        objects.sights.insert(id.clone(), sight);
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
        let is_cluster_wide = matches!(outlook.writer.is_namespaced(api_version, kind).await, Ok(false));
        let all = is_cluster_wide || outlook.scopes.is_empty();
        let scopes = if all { vec![None] } else { outlook.scopes.iter().cloned().map(Some).collect() };
        for namespace in scopes {
            let watch = Watch {
                client: outlook.client.clone(),
                resource: resource.clone(),
                spot: Spot { api_version: name.0.clone(), kind: name.1.clone(), namespace },
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    fn id(name: &str) -> Id {
        let (api_version, kind, namespace) = ("v1".to_owned(), "Secret".to_owned(), Some("shop".to_owned()));
        Id { api_version, kind, namespace, name: name.to_owned() }
    }

    fn key() -> Key {
        Key::new("shop", "production")
    }

    fn now() -> Moment {
        Moment(1_700_000_000_000)
    }

    fn wanting(names: &[&str]) -> Touched {
        let touched = Touched::default();
        touched.want(&key(), names.iter().map(|name| id(name)));
        touched
    }

    const OWN: &str = crate::api::SOURCE_FIELD_MANAGER;

    /// An object in a version, and who wrote it last.
    fn sight(version: &str, manager: &str) -> Sight {
        let entries = json!([
            {"manager": OWN, "time": "2026-01-01T00:00:01Z"},
            {"manager": manager, "time": "2026-01-01T00:00:02Z"},
        ]);
        let meta = json!({"uid": "u", "resourceVersion": version, "managedFields": entries});
        Sight::of(&serde_json::from_value(meta).unwrap())
    }

    fn wrote(touched: &Touched, name: &str, version: &str) {
        let entries = json!([{"manager": OWN}, {"manager": "somebody"}]);
        let answer = json!({"uid": "u", "resourceVersion": version, "managedFields": entries});
        touched.wrote(&key(), &id(name), &serde_json::from_value(answer).unwrap());
    }

    fn compared(touched: &Touched, since: u64, found: Vec<(&str, Option<Sight>)>) -> bool {
        touched.compared(&key(), since, found.into_iter().map(|(name, sight)| (id(name), sight)))
    }

    #[test]
    fn what_nobody_watches_is_where_no_watch_has_listed_and_again_where_one_is_refused() {
        let touched = wanting(&["one", "two"]);
        let spot = Spot::of(&id("one"));
        assert_eq!(touched.unwatched(&key()), std::slice::from_ref(&spot));
        let seen = HashSet::from([(key(), id("one"))]);
        assert_eq!(touched.lock().listed(spot.everywhere(), &seen), BTreeSet::from([key()]), "two is gone");
        assert_eq!(touched.unwatched(&key()), []);
        assert_eq!(touched.take(&key(), now()), [id("two")]);
        assert_eq!(touched.lock().refused(&spot.everywhere()), [key()]);
        assert_eq!(touched.lock().refused(&spot.everywhere()), [], "it is no news any more");
        assert_eq!(touched.unwatched(&key()), [spot]);
    }

    #[test]
    fn what_is_read_of_objects_that_nobody_watches_tells_of_changes_once() {
        let touched = wanting(&["one", "two"]);
        let both = |one, two| vec![("one", one), ("two", two), ("nobody's", Some(sight("1", "somebody")))];
        assert!(!compared(&touched, 0, both(Some(sight("1", OWN)), Some(sight("1", OWN)))));
        assert!(compared(&touched, 0, both(Some(sight("2", "somebody")), None)));
        assert!(!compared(&touched, 0, both(Some(sight("2", "somebody")), None)), "it is known");
        assert_eq!(touched.take(&key(), now()), [id("one"), id("two")]);
        // What was not set back does not change by being looked at.
        assert!(!compared(&touched, 0, vec![("one", Some(sight("2", "somebody")))]));
    }

    #[test]
    fn what_was_read_before_the_operator_wrote_tells_nothing() {
        let touched = wanting(&["one", "two"]);
        let since = touched.moment();
        wrote(&touched, "one", "3");
        wrote(&touched, "two", "4");
        assert!(!compared(&touched, since, vec![("one", Some(sight("2", "somebody"))), ("two", None)]));
        let since = touched.moment();
        assert!(!compared(
            &touched,
            since,
            vec![("one", Some(sight("3", "somebody"))), ("two", Some(sight("4", "somebody")))]
        ));
        assert!(compared(&touched, since, vec![("one", Some(sight("5", "somebody"))), ("two", None)]));
    }
}
