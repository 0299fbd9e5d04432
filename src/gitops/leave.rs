//! What becomes of the objects of a source when its Profile is deleted.

use crate::api::{SOURCE_FINALIZER, profile::Profile, source::SourceDeletion};

/// Whether the namespace of a Profile stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// It does, as far as is known.
    Stays,
    /// It is being deleted, or is gone.
    Goes,
}

/// How a Profile goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// At once. Whatever it looked after stays, or goes with the namespace.
    Free,
    /// After its objects.
    Withdraw,
    /// Not yet; what it waits for.
    Wait(String),
}

/// How a Profile that is deleted goes. `missing` is what has to be there for its objects to be deleted, and is not.
#[must_use]
pub fn way(profile: &Profile, ground: Ground, missing: Option<&str>) -> Way {
    if policy(profile) == SourceDeletion::Orphan || ground == Ground::Goes {
        return Way::Free;
    }
    missing.map_or(Way::Withdraw, |missing| Way::Wait(format!("{missing}; {REMEDY}")))
}

/// What lets a Profile go that waits.
const REMEDY: &str = "or set spec.source.deletionPolicy to Orphan to let the objects stay";

/// What is waited for, by the objects that are still there; none where none is.
pub fn waiting(left: &[String]) -> Option<String> {
    let first = left.first()?;
    let more = match left.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    Some(format!("{first}{more}; {REMEDY}"))
}

/// The finalizers that a Profile is to have; none where it has them. It has ours as long as its objects are to go with it.
pub fn finalizers(profile: &Profile) -> Option<Vec<String>> {
    let known = profile.metadata.finalizers.clone().unwrap_or_default();
    let wanted = policy(profile) == SourceDeletion::Delete;
    match (wanted, is_held(profile)) {
        (true, false) => Some(known.into_iter().chain([SOURCE_FINALIZER.to_owned()]).collect()),
        (false, true) => Some(without(known)),
        _ => None,
    }
}

/// Whether a Profile stays until its objects are gone.
pub fn is_held(profile: &Profile) -> bool {
    profile.metadata.finalizers.iter().flatten().any(|one| one == SOURCE_FINALIZER)
}

/// Finalizers without ours.
pub fn without(mut finalizers: Vec<String>) -> Vec<String> {
    finalizers.retain(|one| one != SOURCE_FINALIZER);
    finalizers
}

fn policy(profile: &Profile) -> SourceDeletion {
    profile.spec.source.as_ref().map_or(SourceDeletion::Orphan, |source| source.deletion_policy)
}
