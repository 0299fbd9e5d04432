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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::version::VersionRange;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    fn candidate(text: &str) -> Candidate {
        let (state, content, standing) = (PackageState::Active, Content::Same, Standing::Free);
        Candidate { version: version(text), state, content, standing }
    }

    fn range(text: &str) -> PackageRef {
        PackageRef { name: "shop".to_owned(), version: None, range: Some(VersionRange::new(text)) }
    }

    fn named(text: &str) -> PackageRef {
        PackageRef { name: "shop".to_owned(), version: Some(version(text)), range: None }
    }

    fn of(reference: &PackageRef, pinned: Option<&str>, packages: &[Candidate]) -> Choice {
        choose(reference, pinned.map(version).as_ref(), packages.iter().cloned())
    }

    fn reason(choice: &Choice) -> Option<ConditionReason> {
        if let Choice::Stalled { reason, .. } = choice { Some(*reason) } else { None }
    }

    #[test]
    fn a_range_picks_the_highest_active_package_that_nobody_rejected() {
        let archived = Candidate { state: PackageState::Archived, ..candidate("1.4.9") };
        let rejected = Candidate { standing: Standing::Quarantined, ..candidate("1.4.8") };
        let all =
            [candidate("1.4.2"), archived, candidate("1.4.10-rc.1"), rejected, candidate("1.4.7"), candidate("2.0.0")];
        assert_eq!(of(&range("~1.4"), None, &all), Choice::Use(version("1.4.7")));
    }

    #[test]
    fn a_pre_release_is_picked_only_where_the_range_names_one() {
        let all = [candidate("2.0.0-rc.1"), candidate("1.9.0")];
        assert_eq!(of(&range(">=1"), None, &all), Choice::Use(version("1.9.0")));
        assert_eq!(of(&range(">=2.0.0-rc.0"), None, &all), Choice::Use(version("2.0.0-rc.1")));
    }

    #[test]
    fn a_range_never_moves_down_by_itself() {
        let rejected = Candidate { standing: Standing::Quarantined, ..candidate("1.5.0") };
        let all = [candidate("1.4.2"), rejected];
        assert_eq!(of(&range("^1"), Some("1.5.0"), &all), Choice::Use(version("1.5.0")));
        assert_eq!(of(&range("^1"), Some("1.6.0"), &all), Choice::Keep(version("1.6.0")));
        assert_eq!(
            of(&range("^1"), Some("1.4.2"), &[candidate("1.4.2"), candidate("1.4.3")]),
            Choice::Use(version("1.4.3"))
        );
        // The owner narrowed the range: that is not by itself.
        assert_eq!(of(&range("~1.4"), Some("1.5.0"), &all), Choice::Use(version("1.4.2")));
    }

    #[test]
    fn a_version_is_taken_while_it_is_active_or_archived() {
        let archived = Candidate { state: PackageState::Archived, ..candidate("1.0.0") };
        let deleted = Candidate { state: PackageState::Deleted, ..candidate("1.0.0") };
        assert_eq!(of(&named("1.0.0"), None, &[archived]), Choice::Use(version("1.0.0")));
        assert_eq!(
            reason(&of(&named("1.0.0"), None, std::slice::from_ref(&deleted))),
            Some(ConditionReason::InvalidSpec)
        );
        assert_eq!(of(&named("1.0.0"), Some("1.0.0"), &[deleted]), Choice::Keep(version("1.0.0")));
    }

    #[test]
    fn what_does_not_exist_is_waited_for_unless_it_was_chosen_before() {
        let waits = |choice| matches!(choice, Choice::Pending(text) if text.contains("shop"));
        assert!(waits(of(&named("1.0.0"), None, &[candidate("1.0.1")])));
        assert!(waits(of(&range("^1"), None, &[candidate("2.0.0")])));
        assert_eq!(of(&named("1.0.0"), Some("1.0.0"), &[]), Choice::Keep(version("1.0.0")));
    }

    #[test]
    fn changed_content_and_an_unreadable_range_need_a_person() {
        let tampered = Candidate { content: Content::Changed, ..candidate("1.1.0") };
        let all = [candidate("1.0.0"), tampered];
        for choice in [
            of(&named("1.1.0"), Some("1.1.0"), &all),
            of(&range("^1"), None, &all),
            of(&range("^1"), Some("1.1.0"), &all),
        ] {
            assert_eq!(reason(&choice), Some(ConditionReason::ContentChanged));
        }
        assert_eq!(of(&range("~1.0"), Some("1.0.0"), &all), Choice::Use(version("1.0.0")));
        for packages in [&all[..], &[]] {
            assert_eq!(reason(&of(&range("one"), None, packages)), Some(ConditionReason::InvalidSpec));
        }
    }
}
