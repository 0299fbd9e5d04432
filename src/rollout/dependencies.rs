//! What has to run before a package does: the Deployments of the same Profile say what is there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::api::{deployment::Deployment, deployment_status::DeploymentStatus, package::Dependency, version::Version};

/// A Deployment of the same Profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Its name.
    pub deployment: String,
    /// The name of the package that it carries.
    pub package: String,
    /// The version of its stable revision; none where nothing runs yet.
    pub stable: Option<Version>,
}

impl Neighbour {
    /// What a Deployment is to its neighbours.
    pub fn of(deployment: &Deployment) -> Self {
        Self {
            deployment: deployment.metadata.name.clone().unwrap_or_default(),
            package: deployment.spec.package.name.clone(),
            stable: stable_version(deployment.status.as_ref()),
        }
    }
}

/// The version of what runs, without a mark of overrides.
fn stable_version(status: Option<&DeploymentStatus>) -> Option<Version> {
    let stable = status?.revision.as_ref()?.stable.as_ref()?;
    stable.version.split('+').next()?.parse().ok()
}

/// The dependencies that nobody satisfies yet, a sentence for each.
pub fn missing(depends_on: &[Dependency], neighbours: &[Neighbour]) -> Vec<String> {
    depends_on.iter().filter_map(|dependency| lack(dependency, neighbours)).collect()
}

fn lack(dependency: &Dependency, neighbours: &[Neighbour]) -> Option<String> {
    let carriers: Vec<_> = neighbours.iter().filter(|neighbour| neighbour.package == dependency.name).collect();
    let running = |neighbour: &&Neighbour| neighbour.stable.as_ref().is_some_and(|stable| is_in(dependency, stable));
    if carriers.iter().any(running) {
        return None;
    }
    let wanted = match &dependency.version {
        Some(range) => format!("package {} in the range {}", dependency.name, range.as_str()),
        None => format!("package {}", dependency.name),
    };
    let found: Vec<String> = carriers.into_iter().map(found).collect();
    if found.is_empty() {
        return Some(format!("{wanted}: no Deployment of this Profile carries it"));
    }
    Some(format!("{wanted}: {}", found.join(", ")))
}

fn found(neighbour: &Neighbour) -> String {
    match &neighbour.stable {
        Some(stable) => format!("Deployment {} runs {stable}", neighbour.deployment),
        None => format!("Deployment {} runs nothing yet", neighbour.deployment),
    }
}

/// A range that cannot be read is satisfied by nothing; lint and the Package's own status name it.
fn is_in(dependency: &Dependency, version: &Version) -> bool {
    dependency.version.as_ref().is_none_or(|range| range.matches(version).unwrap_or_default())
}

/// The shortest circle of packages that comes back to `package`: it starts and ends with it. `depends_on` has, by name,
/// what the wanted Packages of the Profile depend on. Packages of a circle that `package` only leads to have their own
/// Deployments to say so.
pub fn cycle(package: &str, depends_on: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut open: VecDeque<&str> = [package].into();
    while let Some(at) = open.pop_front() {
        for next in depends_on.get(at).into_iter().flatten() {
            if next == package {
                return Some(way(package, at, &came_from));
            }
            if !came_from.contains_key(next.as_str()) {
                came_from.insert(next, at);
                open.push_back(next);
            }
        }
    }
    None
}

fn way(package: &str, last: &str, came_from: &BTreeMap<&str, &str>) -> Vec<String> {
    let mut names = vec![package.to_owned()];
    let mut at = last;
    while at != package {
        names.push(at.to_owned());
        at = came_from.get(at).copied().unwrap_or(package);
    }
    names.push(package.to_owned());
    names.reverse();
    names
}
