//! What only shows when several objects are read together: names that a Deployment refers to.
//!
//! Files seldom hold everything that a cluster has. Something is said only where objects of that kind and namespace are
//! among the files at all, since then the one that is meant should be there too.

use std::collections::BTreeSet;

use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::{Finding, line_of};
use crate::{
    api::{
        deployment::{Deployment, PackageRef},
        package::{Package, PackageState},
        profile::Profile,
    },
    gitops::document::Document,
};

/// A file and its documents.
#[derive(Debug)]
pub struct Given {
    /// The file as it was named.
    pub file: String,
    /// What is in it.
    pub documents: Vec<Document>,
}

/// What is wrong between objects, as lines for people. An object that cannot be read is not looked at: another finding
/// says why.
pub fn findings(files: &[Given]) -> Vec<String> {
    let (packages, profiles) = (all::<Package>(files), all::<Profile>(files));
    let documents = files.iter().flat_map(|read| read.documents.iter().map(move |document| (&read.file, document)));
    documents
        .flat_map(|(file, document)| {
            let deployment = object::<Deployment>(document);
            let title = deployment.as_ref().map(|one| format!("Deployment {}", one.name_any())).unwrap_or_default();
            let found = deployment.map(|deployment| of_deployment(&deployment, &packages, &profiles));
            found.into_iter().flatten().map(move |finding| line_of(file, document, &title, &finding))
        })
        .collect()
}

fn all<K: Resource<DynamicType = ()> + DeserializeOwned>(files: &[Given]) -> Vec<K> {
    files.iter().flat_map(|read| &read.documents).filter_map(object).collect()
}

fn object<K: Resource<DynamicType = ()> + DeserializeOwned>(document: &Document) -> Option<K> {
    let is_one = document.value["kind"] == *K::kind(&()) && document.value["apiVersion"] == *K::api_version(&());
    is_one.then(|| serde_json::from_value(document.value.clone()).ok()).flatten()
}

fn of_deployment(deployment: &Deployment, packages: &[Package], profiles: &[Profile]) -> Vec<Finding> {
    let packages: Vec<_> = packages.iter().filter(|package| package.namespace() == deployment.namespace()).collect();
    let profiles: Vec<_> = profiles.iter().filter(|profile| profile.namespace() == deployment.namespace()).collect();
    let profile = profiles.iter().find(|profile| profile.name_any() == deployment.spec.profile);
    let mut found: Vec<_> = package_findings(&deployment.spec.package, &packages).into_iter().collect();
    match profile {
        Some(profile) => found.extend(missing_checks(deployment, profile)),
        None if profiles.is_empty() => {}
        None => found.push(missing_profile(deployment, &profiles)),
    }
    found
}

fn missing_profile(deployment: &Deployment, profiles: &[&Profile]) -> Finding {
    let known: BTreeSet<_> = profiles.iter().map(|profile| profile.name_any()).collect();
    let message = format!(
        "there is no Profile {} in these files, only {}: correct the name, or add the Profile",
        deployment.spec.profile,
        joined(known)
    );
    Finding::new("/spec/profile".to_owned(), message)
}

fn package_findings(wanted: &PackageRef, packages: &[&Package]) -> Option<Finding> {
    if packages.is_empty() {
        return None;
    }
    let at = |field: &str, message: String| Some(Finding::new(format!("/spec/package/{field}"), message));
    let named: Vec<_> = packages.iter().filter(|package| package.spec.name == wanted.name).collect();
    if named.is_empty() {
        let known: BTreeSet<_> = packages.iter().map(|package| package.spec.name.clone()).collect();
        let known = joined(known);
        return at(
            "name",
            format!("there is no Package {} in these files, only {known}: correct the name", wanted.name),
        );
    }
    let known = || joined(named.iter().map(|package| package.spec.version.to_string()).collect());
    let state = |package: &Package| package.spec.state.unwrap_or_default();
    if let Some(version) = &wanted.version {
        return match named.iter().find(|package| package.spec.version == *version) {
            Some(package) if state(package) == PackageState::Deleted => at(
                "version",
                format!("Package {} {version} has the state Deleted: choose another version", wanted.name),
            ),
            Some(_) => None,
            None => {
                let message = format!("there is no Package {} {version} in these files, only {}", wanted.name, known());
                at("version", format!("{message}: correct the version, or add the Package"))
            }
        };
    }
    let range = wanted.range.as_ref()?;
    let fits = |package: &Package| {
        state(package) == PackageState::Active && range.matches(&package.spec.version).unwrap_or(true)
    };
    if named.iter().any(|package| fits(package)) {
        return None;
    }
    let message = format!("no active Package {} in these files is in this range, only {}", wanted.name, known());
    at("range", format!("{message}: correct the range, or add the Package"))
}

/// Checks that the steps of a Deployment name and neither it nor its Profile has.
fn missing_checks(deployment: &Deployment, profile: &Profile) -> Vec<Finding> {
    let Some(strategy) = &deployment.spec.strategy else { return Vec::new() };
    let steps = strategy.canary.as_ref().and_then(|canary| canary.steps.as_deref()).unwrap_or_default();
    let known: BTreeSet<_> = strategy.checks.iter().chain(&profile.spec.checks).map(|check| &check.name).collect();
    let named =
        steps.iter().enumerate().flat_map(|(step, at)| at.checks.iter().flatten().map(move |name| (step, name)));
    let missing = named.filter(|(_, name)| !known.contains(name));
    missing
        .map(|(step, name)| {
            let message = format!(
                "there is no check {name}: add it to spec.strategy.checks or to Profile {}, or correct the name",
                profile.name_any()
            );
            Finding::new(format!("/spec/strategy/canary/steps/{step}/checks"), message)
        })
        .collect()
}

fn joined(names: BTreeSet<String>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}
