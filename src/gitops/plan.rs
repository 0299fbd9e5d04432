//! What is to be written, left alone, deleted and forgotten.

use std::collections::BTreeSet;

use super::{
    inventory::{Entry, Inventory},
    object::{Id, Manifest},
};

/// What the Profile says, and what was seen.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// Whether what left the repository is deleted.
    pub prune: bool,
    /// Whether a commit without any object may take all objects away.
    pub allow_empty: bool,
    /// Whether Profiles may be deleted; where they may not, they are only forgotten.
    pub allow_profiles: bool,
    /// Objects that are not as they were written: they are written again although their content is the same.
    pub again: BTreeSet<Id>,
}

/// What a sync is to do. Indices are those of the manifests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// What is written.
    pub apply: Vec<usize>,
    /// What is in force already.
    pub unchanged: Vec<usize>,
    /// What is deleted, where it consents.
    pub prune: Vec<Entry>,
    /// What stays and is no longer looked after.
    pub forget: Vec<Entry>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_idle(&self) -> bool {
        self.apply.is_empty() && self.prune.is_empty() && self.forget.is_empty()
    }
}

/// A commit without any object, where there are objects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the commit has no object, and {count} are looked after: set spec.source.allowEmpty if they are all to go")]
pub struct Empty {
    /// How many are looked after.
    pub count: usize,
}

/// Compares what is wanted with what is looked after.
///
/// # Errors
/// Nothing is wanted any more, and the Profile does not allow that.
pub fn plan(wanted: &[Manifest], inventory: &Inventory, terms: &Terms) -> Result<Plan, Empty> {
    if wanted.is_empty() && !inventory.is_empty() && !terms.allow_empty {
        return Err(Empty { count: inventory.len() });
    }
    let in_force = |manifest: &Manifest| inventory.has(manifest) && !terms.again.contains(&manifest.id);
    let (unchanged, apply) = (0..wanted.len()).partition(|index| wanted.get(*index).is_some_and(in_force));
    let own: BTreeSet<Id> = inventory.to_prune(wanted).into_iter().map(|entry| entry.id).collect();
    let may = |entry: &Entry| terms.prune && (terms.allow_profiles || !entry.id.is_profile());
    let (prune, forget) = inventory.left(wanted).into_iter().partition(|entry| may(entry) && own.contains(&entry.id));
    Ok(Plan { apply, unchanged, prune, forget })
}
