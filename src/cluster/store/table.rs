//! One table of the store: objects by the Deployment that they belong to, and by name.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::Key;

/// The objects of one owner by name.
pub type Family<V> = BTreeMap<Arc<str>, Arc<V>>;

/// What a table holds.
pub trait Item {
    /// Its namespace and the name of what it belongs to.
    fn owner(&self) -> Key;
    /// Its own name.
    fn name(&self) -> &str;
    /// The version of the object; a larger one is newer. 0 where it has none.
    fn version(&self) -> u64;
    /// The generation of its spec, where others read nothing but that. None where all of it matters to others.
    fn generation(&self) -> Option<i64> {
        None
    }
}

/// What an object that was taken in changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Nothing: this version, or a newer one, is there already.
    None,
    /// What nobody but itself reads.
    Own,
    /// What others read.
    All,
}

/// A table.
pub struct Table<V> {
    families: HashMap<Key, Family<V>>,
    /// What the lists under way have brought so far, by the namespace that they are of; the empty one is all.
    listed: HashMap<String, HashSet<(Key, Arc<str>)>>,
    empty: Family<V>,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self { families: HashMap::new(), listed: HashMap::new(), empty: BTreeMap::new() }
    }
}

impl<V: Item> Table<V> {
    /// The objects of an owner.
    pub fn family(&self, owner: &Key) -> &Family<V> {
        self.families.get(owner).unwrap_or(&self.empty)
    }

    /// The owners.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.families.keys()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.families.values().map(BTreeMap::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.families.is_empty()
    }

    /// All objects whose owner is in a namespace.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<V>> {
        let families = self.families.iter().filter(|(key, _)| &*key.namespace == namespace);
        families.flat_map(|(_, family)| family.values().cloned()).collect()
    }

    /// All objects with their owners.
    pub fn with_keys(&self) -> impl Iterator<Item = (Key, Arc<V>)> + '_ {
        self.families.iter().flat_map(|(key, family)| family.values().map(|value| (key.clone(), Arc::clone(value))))
    }

    /// Takes an object in.
    pub fn put(&mut self, value: V) -> News {
        let (owner, name): (Key, Arc<str>) = (value.owner(), value.name().into());
        for (scope, listed) in &mut self.listed {
            if is_in(scope, &owner) {
                listed.insert((owner.clone(), Arc::clone(&name)));
            }
        }
        let family = self.families.entry(owner).or_default();
        let news = match family.get(&name) {
            Some(known) if known.version() >= value.version() && value.version() > 0 => return News::None,
            Some(known) if known.generation().is_some() && known.generation() == value.generation() => News::Own,
            _ => News::All,
        };
        family.insert(name, Arc::new(value));
        news
    }

    /// Drops an object.
    pub fn remove(&mut self, owner: &Key, name: &str) {
        if let Some(family) = self.families.get_mut(owner) {
            family.remove(name);
            if family.is_empty() {
                self.families.remove(owner);
            }
        }
    }

    /// A new list of a namespace begins; the empty one is all.
    pub fn begin(&mut self, scope: &str) {
        self.listed.insert(scope.to_owned(), HashSet::new());
    }

    /// The list is complete: what it did not bring is gone. Returns the owners of that.
    pub fn finish(&mut self, scope: &str) -> Vec<Key> {
        let Some(listed) = self.listed.remove(scope) else { return Vec::new() };
        let gone: Vec<(Key, Arc<str>)> = self
            .families
            .iter()
            .filter(|(owner, _)| is_in(scope, owner))
            .flat_map(|(owner, family)| family.keys().map(|name| (owner.clone(), Arc::clone(name))))
            .filter(|place| !listed.contains(place))
            .collect();
        for (owner, name) in &gone {
            self.remove(owner, name);
        }
        gone.into_iter().map(|(owner, _)| owner).collect()
    }
}

fn is_in(scope: &str, owner: &Key) -> bool {
    scope.is_empty() || scope == &*owner.namespace
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Thing(&'static str, &'static str, u64);

    struct Wish(u64, i64);

    impl Item for Wish {
        fn owner(&self) -> Key {
            Key::new("ns", "a")
        }

        fn name(&self) -> &'static str {
            "x"
        }

        fn version(&self) -> u64 {
            self.0
        }

        fn generation(&self) -> Option<i64> {
            Some(self.1)
        }
    }

    #[test]
    fn what_others_do_not_read_is_no_news_to_them() {
        let mut table = Table::default();
        assert_eq!(table.put(Wish(1, 1)), News::All);
        assert_eq!(table.put(Wish(2, 1)), News::Own);
        assert_eq!(table.put(Wish(3, 2)), News::All);
        assert_eq!(table.put(Wish(2, 1)), News::None);
    }

    impl Item for Thing {
        fn owner(&self) -> Key {
            Key::new("ns", self.0)
        }

        fn name(&self) -> &str {
            self.1
        }

        fn version(&self) -> u64 {
            self.2
        }
    }

    #[test]
    fn an_older_answer_does_not_replace_a_newer_one() {
        let mut table = Table::default();
        assert_eq!(table.put(Thing("a", "x", 5)), News::All);
        assert_eq!(table.put(Thing("a", "x", 4)), News::None);
        assert_eq!(table.put(Thing("a", "x", 5)), News::None);
        assert_eq!(table.put(Thing("a", "x", 6)), News::All);
        assert_eq!(table.family(&Key::new("ns", "a"))["x"].2, 6);
    }

    #[test]
    fn what_a_list_does_not_bring_is_gone() {
        let mut table = Table::default();
        table.put(Thing("a", "x", 1));
        table.put(Thing("b", "y", 1));
        table.begin("elsewhere");
        assert_eq!(table.finish("elsewhere"), [], "a list says nothing of other namespaces");
        table.begin("");
        table.put(Thing("a", "x", 1));
        assert_eq!(table.finish(""), [Key::new("ns", "b")]);
        assert_eq!((table.len(), table.is_empty()), (1, false));
        assert_eq!(table.finish(""), []);
    }
}
