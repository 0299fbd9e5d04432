//! The objects that a source looks after: what it wrote, and therefore may delete.
//!
//! An object is in the inventory before it is written and until after it is deleted, so that none is ever forgotten: not by a
//! process that ends in between. A digest stands only beside an object of which that content is known to be in force.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::Value;

use super::object::{Id, Manifest};
use crate::api::{DEPLOYMENT_LABEL, source::INVENTORY_IN_STATUS};

/// The most bytes of one part of an inventory that is too large for a status.
pub const CHUNK_MAX: usize = 800_000;

/// Annotation of an object: `Disabled` keeps it when it leaves the repository, `Enabled` gives up what is never deleted without.
pub const PRUNE_ANNOTATION: &str = "landfall.dev/prune";

/// The kinds that are only deleted with the consent of the object itself: what is in them is lost with them.
const PRECIOUS: [(&str, &str); 3] =
    [("", "PersistentVolumeClaim"), ("", "Namespace"), ("apiextensions.k8s.io", "CustomResourceDefinition")];

/// One object that is looked after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which object.
    pub id: Id,
    /// The digest of the content that is in force; none while that is not certain.
    pub digest: Option<String>,
    /// The uid that it got; none before it was written.
    pub uid: Option<String>,
}

impl fmt::Display for Entry {
    /// As `group/version Kind namespace/name digest uid`, with `-` for what there is none of.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id: Id { api_version, kind, namespace, name }, digest, uid } = self;
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| NONE.to_owned());
        write!(f, "{api_version} {kind} {}/{name} {} {}", or_none(namespace), or_none(digest), or_none(uid))
    }
}

const NONE: &str = "-";

impl Entry {
    /// Reads an entry as it is written.
    fn read(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        let [api_version, kind, place, digest, uid] = words.as_slice() else { return None };
        let (namespace, name) = place.split_once('/')?;
        if words.iter().any(|word| word.is_empty()) || namespace.is_empty() || name.is_empty() {
            return None;
        }
        let some = |text: &str| (text != NONE).then(|| text.to_owned());
        let id = Id {
            api_version: (*api_version).to_owned(),
            kind: (*kind).to_owned(),
            namespace: some(namespace),
            name: name.to_owned(),
        };
        Some(Self { id, digest: some(digest), uid: some(uid) })
    }
}

/// Group, kind, namespace and name: an object is the same in all versions of its kind.
type Place = (String, String, Option<String>, String);

fn place(id: &Id) -> Place {
    let (group, kind, namespace, name) = id.place();
    (group.to_owned(), kind.to_owned(), namespace.map(str::to_owned), name.to_owned())
}

/// All objects that are looked after, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory(BTreeMap<Place, Entry>);

/// An inventory as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// In the status, one line each.
    Entries(Vec<String>),
    /// In so many `ConfigMap`s, each with lines.
    Chunks(Vec<String>),
}

/// A line of an inventory that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {number} of the inventory is not `group/version Kind namespace/name digest uid`, or stands there twice")]
pub struct Unreadable {
    /// Which one, from one.
    pub number: usize,
}

/// Lines without those of an object that stands there before: what moves from one part of an inventory to another is in both for
/// a moment.
pub fn distinct(mut lines: Vec<String>) -> Vec<String> {
    let mut known = BTreeSet::new();
    lines.retain(|line| known.insert(line.splitn(4, ' ').take(3).collect::<Vec<_>>().join(" ")));
    lines
}

impl Inventory {
    /// Reads an inventory: the entries of a status, or the lines of all chunks in their order.
    ///
    /// # Errors
    /// A line is no entry. Whoever went on without it would forget an object.
    pub fn read<'t>(lines: impl IntoIterator<Item = &'t str>) -> Result<Self, Unreadable> {
        let mut inventory = Self::default();
        for (index, line) in lines.into_iter().enumerate() {
            let unreadable = Unreadable { number: index + 1 };
            let entry = Entry::read(line).ok_or_else(|| unreadable.clone())?;
            if inventory.0.insert(place(&entry.id), entry).is_some() {
                return Err(unreadable);
            }
        }
        Ok(inventory)
    }

    /// The inventory as it is kept. The same objects give the same texts.
    pub fn store(&self) -> Stored {
        let lines: Vec<String> = self.0.values().map(Entry::to_string).collect();
        if lines.len() <= INVENTORY_IN_STATUS {
            return Stored::Entries(lines);
        }
        let mut chunks: Vec<String> = Vec::new();
        for line in lines {
            match chunks.last_mut().filter(|chunk| chunk.len() + line.len() < CHUNK_MAX) {
                Some(chunk) => {
                    chunk.push('\n');
                    chunk.push_str(&line);
                }
                None => chunks.push(line),
            }
        }
        Stored::Chunks(chunks)
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries, sorted.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.values()
    }

    /// The entry of an object, in whatever version of its kind.
    pub fn get(&self, id: &Id) -> Option<&Entry> {
        self.0.get(&place(id))
    }

    /// Whether an object is known to have this content, and to be there.
    pub fn has(&self, manifest: &Manifest) -> bool {
        self.get(&manifest.id).is_some_and(|entry| entry.digest.as_ref() == Some(&manifest.digest))
    }

    /// Notes that an object has this content now.
    pub fn applied(&mut self, manifest: &Manifest, uid: Option<String>) {
        let entry = Entry { id: manifest.id.clone(), digest: Some(manifest.digest.clone()), uid };
        self.0.insert(place(&manifest.id), entry);
    }

    /// What there is together with what is about to be written: to be stored before the first write. An object whose content
    /// changes has no digest until its write is known to have gone well.
    #[must_use]
    pub fn union(&self, wanted: &[Manifest]) -> Self {
        let mut all = self.clone();
        for manifest in wanted {
            let new = || Entry { id: manifest.id.clone(), digest: None, uid: None };
            let entry = all.0.entry(place(&manifest.id)).or_insert_with(new);
            if entry.digest.as_ref() != Some(&manifest.digest) {
                entry.digest = None;
            }
        }
        all
    }

    /// What is left without objects that are gone, or no longer looked after.
    #[must_use]
    pub fn cut<'e>(&self, gone: impl IntoIterator<Item = &'e Id>) -> Self {
        let mut left = self.clone();
        for id in gone {
            left.0.remove(&place(id));
        }
        left
    }

    /// What is looked after and no longer wanted.
    pub fn left(&self, wanted: &[Manifest]) -> Vec<Entry> {
        let wanted: BTreeSet<Place> = wanted.iter().map(|manifest| place(&manifest.id)).collect();
        self.0.iter().filter(|(place, _)| !wanted.contains(*place)).map(|(_, entry)| entry).cloned().collect()
    }

    /// Of what is no longer wanted, what is an object of its own. Where a kind moved to another group, its objects are there
    /// under two names: such an entry has the uid of one that stays, and deleting it would delete both.
    pub fn to_prune(&self, wanted: &[Manifest]) -> Vec<Entry> {
        let left = self.left(wanted);
        let leaving: BTreeSet<Place> = left.iter().map(|entry| place(&entry.id)).collect();
        let stay = self.0.iter().filter(|(place, _)| !leaving.contains(*place));
        let uids: BTreeSet<&str> = stay.filter_map(|(_, entry)| entry.uid.as_deref()).collect();
        left.into_iter().filter(|entry| entry.uid.as_deref().is_none_or(|uid| !uids.contains(uid))).collect()
    }
}

/// By what an object shows whose it is: a label or annotation.
#[derive(Debug, Clone, Copy)]
pub struct Mark<'a> {
    /// Its key.
    pub key: &'a str,
    /// The value that this source gives it.
    pub value: &'a str,
}

/// Why an object stays although it left the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Kept {
    /// It says so.
    #[error("it has the annotation {PRUNE_ANNOTATION}: Disabled")]
    Asked,
    /// It is of a kind that is only deleted with its consent.
    #[error("what is in it would be lost: annotate it with {PRUNE_ANNOTATION}: Enabled to have it deleted")]
    Precious,
    /// The object that was looked after is gone, and another one has its name.
    #[error("another object has its name now")]
    Replaced,
    /// It belongs to somebody else.
    #[error("it belongs to somebody else now")]
    Owned,
}

/// Whether a live object may be deleted. Delete it under the uid that it has.
///
/// # Errors
/// Why it has to stay.
pub fn consent(entry: &Entry, live: &Value, mark: Mark<'_>) -> Result<(), Kept> {
    let text = |pointer: &str| live.pointer(pointer).and_then(Value::as_str);
    let word = |place: &str, key: &str| live.pointer(place).and_then(|words| words.get(key)?.as_str());
    let marked = word("/metadata/labels", mark.key).or_else(|| word("/metadata/annotations", mark.key));
    // An object that somebody deleted was made anew, with the mark and under another uid.
    let replaced = entry.uid.as_deref().is_some_and(|uid| text("/metadata/uid") != Some(uid));
    if replaced && marked.is_none() {
        return Err(Kept::Replaced);
    }
    let controlled = live.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let controlled = controlled.into_iter().flatten().any(|owner| owner["controller"] == Value::Bool(true));
    let claimed = match marked {
        Some(value) => value == mark.value,
        // Without a mark only the uid says that it is ours.
        None => entry.uid.is_some(),
    };
    if controlled || !claimed || word("/metadata/labels", DEPLOYMENT_LABEL).is_some() {
        return Err(Kept::Owned);
    }
    let precious = PRECIOUS.contains(&(entry.id.group(), &entry.id.kind));
    match word("/metadata/annotations", PRUNE_ANNOTATION) {
        Some("Disabled") => Err(Kept::Asked),
        Some("Enabled") => Ok(()),
        _ if precious => Err(Kept::Precious),
        _ => Ok(()),
    }
}
