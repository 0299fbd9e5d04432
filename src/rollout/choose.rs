//! Which Package is meant: a version names one, a range picks one and stays with it.

use crate::api::{condition::ConditionReason, deployment::PackageRef, package::PackageState, version::Version};

/// A Package of the name that is asked for, in the same namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its version.
    pub version: Version,
    /// Whether new runs may use it.
    pub state: PackageState,
    /// Whether its content is what was recorded of it.
    pub content: Content,
    /// Whether a rollout of this Deployment rejected it.
    pub standing: Standing,
}

/// A Package's content, compared with what was recorded of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Content {
    /// It is the same.
    #[default]
    Same,
    /// It is another one.
    Changed,
}

/// What this Deployment's rollouts said of a Package.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Standing {
    /// Nothing against it.
    #[default]
    Free,
    /// It was rejected.
    Quarantined,
}

/// The Package that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Choice {
    /// The Package of this version.
    Use(Version),
    /// The version that was chosen before. Its Package is gone or deleted: what was rendered of it serves.
    Keep(Version),
    /// None yet; what is waited for.
    Pending(String),
    /// None before the spec or the Package changes.
    Stalled {
        /// The word for it.
        reason: ConditionReason,
        /// What is wrong, and the remedy.
        message: String,
    },
}

/// Chooses. `pinned` is the version that was chosen at the look before, by a range or by its name.
pub fn choose(reference: &PackageRef, pinned: Option<&Version>, packages: impl Iterator<Item = Candidate>) -> Choice {
    let packages: Vec<Candidate> = packages.collect();
    match (&reference.version, &reference.range) {
        (Some(version), None) => exact(reference, version, pinned, &packages),
        (None, Some(_)) => in_range(reference, pinned, &packages),
        _ => invalid("spec.package: exactly one of version and range is needed: keep the one that is meant".to_owned()),
    }
}

fn exact(reference: &PackageRef, version: &Version, pinned: Option<&Version>, packages: &[Candidate]) -> Choice {
    let name = &reference.name;
    let chosen_before = pinned == Some(version);
    match packages.iter().find(|candidate| candidate.version == *version) {
        Some(candidate) if candidate.content == Content::Changed => changed(name, version),
        Some(candidate) if candidate.state != PackageState::Deleted => Choice::Use(version.clone()),
        _ if chosen_before => Choice::Keep(version.clone()),
        Some(_) => invalid(format!(
            "spec.package.version: Package {name}-{version} has the state Deleted: name another version, or set its state to Active"
        )),
        None => Choice::Pending(format!("Package {name}-{version}, which does not exist yet")),
    }
}

fn in_range(reference: &PackageRef, pinned: Option<&Version>, packages: &[Candidate]) -> Choice {
    let best = match best(reference, packages) {
        Ok(best) => best,
        Err(message) => return invalid(message),
    };
    match (pinned.filter(|pinned| fits(reference, pinned)), best) {
        (Some(pinned), best) if best.is_none_or(|best| best.version <= *pinned) => stay(reference, pinned, packages),
        (_, Some(best)) if best.content == Content::Changed => changed(&reference.name, &best.version),
        (_, Some(best)) => Choice::Use(best.version.clone()),
        (_, None) => Choice::Pending(nothing(reference)),
    }
}

/// The highest one that a new run may use. A changed one is among them: to pass over it would bring another version
/// than everybody expects.
fn best<'a>(reference: &PackageRef, packages: &'a [Candidate]) -> Result<Option<&'a Candidate>, String> {
    let mut best: Option<&Candidate> = None;
    for candidate in packages {
        let usable = candidate.state == PackageState::Active && candidate.standing == Standing::Free;
        let range = reference.range.as_ref().map_or(Ok(false), |range| range.matches(&candidate.version));
        let inside = range.map_err(|error| format!("spec.package.range: {error}"))?;
        if usable && inside && best.is_none_or(|best| best.version < candidate.version) {
            best = Some(candidate);
        }
    }
    readable(reference)?;
    Ok(best)
}

/// A range that nobody can read is wrong even where there is no Package to compare with it.
fn readable(reference: &PackageRef) -> Result<(), String> {
    let (Some(range), Ok(any)) = (&reference.range, "0.0.0".parse::<Version>()) else { return Ok(()) };
    range.matches(&any).map(drop).map_err(|error| format!("spec.package.range: {error}"))
}

fn fits(reference: &PackageRef, version: &Version) -> bool {
    reference.range.as_ref().is_some_and(|range| range.matches(version).unwrap_or_default())
}

/// A range never moves down: what it picked stays, even rejected, archived or gone, until there is a higher one.
fn stay(reference: &PackageRef, pinned: &Version, packages: &[Candidate]) -> Choice {
    match packages.iter().find(|candidate| candidate.version == *pinned) {
        Some(candidate) if candidate.content == Content::Changed => changed(&reference.name, pinned),
        Some(candidate) if candidate.state != PackageState::Deleted => Choice::Use(pinned.clone()),
        Some(_) | None => Choice::Keep(pinned.clone()),
    }
}

fn nothing(reference: &PackageRef) -> String {
    let range = reference.range.as_ref().map_or("", |range| range.as_str());
    format!("an active Package {} in the range {range}; there is none", reference.name)
}

fn changed(name: &str, version: &Version) -> Choice {
    Choice::Stalled {
        reason: ConditionReason::ContentChanged,
        message: format!(
            "Package {name}-{version} has other content than was recorded of it: restore it, or release a new version"
        ),
    }
}

fn invalid(message: String) -> Choice {
    Choice::Stalled { reason: ConditionReason::InvalidSpec, message }
}
