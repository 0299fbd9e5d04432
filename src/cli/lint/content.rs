//! What the API server cannot see and Landfall would refuse: sizes, ranges, and the objects inside a Package.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Finding;
use crate::{
    analysis::{health_check, problem::problems},
    api::{
        check::Check,
        deployment::DeploymentSpec,
        names::check_subdomain,
        package::{PackageSpec, Workload},
        profile::ProfileSpec,
        strategy::Strategy,
        time_span::TimeSpan,
        version::{Version, VersionRange},
    },
    gitops::custom::{Checks, readiness},
    kinds::workload::render::{Source, render},
};

/// What is wrong with an object beyond its schema. An object that breaks its schema is not looked at.
pub fn findings(kind: &str, object: &Value) -> Vec<Finding> {
    let mut found: Vec<_> = name_findings(object).into_iter().collect();
    let spec = object["spec"].clone();
    match kind {
        "Package" => {
            if let Ok(package) = serde_json::from_value::<PackageSpec>(spec) {
                found.extend(package_findings(&package));
            }
        }
        "Profile" => {
            if let Ok(profile) = serde_json::from_value::<ProfileSpec>(spec) {
                found.extend(broken_checks("/spec/checks", &profile.checks));
                found.extend(profile.source.iter().filter_map(broken_health));
                found.extend(profile.source.iter().filter_map(broken_dependency));
                found.extend(profile.strategy.iter().flat_map(strategy_findings));
                found.extend(profile.strategy.iter().flat_map(|strategy| missing_checks(strategy, &profile.checks)));
            }
        }
        "Deployment" => {
            if let Ok(deployment) = serde_json::from_value::<DeploymentSpec>(spec) {
                found.extend(
                    deployment.package.range.iter().filter_map(|range| bad_range("/spec/package/range", range)),
                );
                found.extend(deployment.strategy.iter().flat_map(strategy_findings));
            }
        }
        _ => {}
    }
    found
}

fn name_findings(object: &Value) -> Option<Finding> {
    let at = "/metadata/name".to_owned();
    match object.pointer(&at) {
        None => Some(Finding::new("/metadata".to_owned(), "the name is missing: add one".to_owned())),
        Some(name) => {
            let error = check_subdomain(name.as_str().unwrap_or_default()).err()?;
            Some(Finding::new(at, error.to_string()))
        }
    }
}

fn package_findings(package: &PackageSpec) -> Vec<Finding> {
    let ranges = package.depends_on.iter().enumerate().filter_map(|(index, dependency)| {
        bad_range(&format!("/spec/dependsOn/{index}/version"), dependency.version.as_ref()?)
    });
    let mut found: Vec<_> = ranges.collect();
    found.extend(package.workload.iter().flat_map(|workload| workload_findings(package, workload)));
    found
}

fn bad_range(pointer: &str, range: &VersionRange) -> Option<Finding> {
    let any: Version = "0.0.0".parse().ok()?;
    let error = range.matches(&any).err()?;
    Some(Finding::new(pointer.to_owned(), error.to_string()))
}

fn strategy_findings(strategy: &Strategy) -> Vec<Finding> {
    let mut found = broken_checks("/spec/strategy/checks", &strategy.checks);
    let canary = strategy.canary.as_ref().and_then(|canary| canary.health_check_url.as_ref());
    let blue_green = strategy.blue_green.as_ref().and_then(|blue_green| blue_green.health_check_url.as_ref());
    found.extend(broken_url("/spec/strategy/canary/healthCheckUrl", canary));
    found.extend(broken_url("/spec/strategy/blueGreen/healthCheckUrl", blue_green));
    found
}

/// Checks that could not be made, or not judged.
fn broken_checks(at: &str, checks: &[Check]) -> Vec<Finding> {
    let found = checks.iter().enumerate().flat_map(|(index, check)| {
        problems(check).into_iter().map(move |problem| (format!("{at}/{index}/{}", problem.field), problem.message))
    });
    found.map(|(at, message)| Finding::new(at, message)).collect()
}

/// A check of the health of objects that could not be judged.
fn broken_health(source: &crate::api::source::Source) -> Option<Finding> {
    let problem = Checks::of(&source.health_checks).err()?;
    Some(Finding::new(format!("/spec/source/healthChecks/{}/{}", problem.index, problem.field), problem.message))
}

fn broken_dependency(source: &crate::api::source::Source) -> Option<Finding> {
    let all = source.depends_on.iter().enumerate();
    let problem = all.map(|(index, one)| readiness(index, one)).find_map(Result::err)?;
    Some(Finding::new(format!("/spec/source/dependsOn/{}/ready", problem.index), problem.message))
}

/// A `healthCheckUrl` that could not be asked.
fn broken_url(at: &str, url: Option<&String>) -> Option<Finding> {
    let problem = problems(&health_check(url?, TimeSpan::default())).into_iter().next()?;
    let message = problem.message.strip_prefix("url: ").unwrap_or(&problem.message).to_owned();
    Some(Finding::new(at.to_owned(), message))
}

/// Checks that steps of a Profile name and nobody defines. A Deployment's steps may name those of its Profile, which is
/// another object.
fn missing_checks(strategy: &Strategy, of_profile: &[Check]) -> Vec<Finding> {
    let steps = strategy.canary.as_ref().and_then(|canary| canary.steps.as_deref()).unwrap_or_default();
    let known: BTreeSet<_> = strategy.checks.iter().chain(of_profile).map(|check| &check.name).collect();
    let named =
        steps.iter().enumerate().flat_map(|(step, at)| at.checks.iter().flatten().map(move |name| (step, name)));
    let missing = named.filter(|(_, name)| !known.contains(name));
    missing
        .map(|(step, name)| {
            let message = format!("there is no check {name}: add it to spec.checks, or correct the name");
            Finding::new(format!("/spec/strategy/canary/steps/{step}/checks"), message)
        })
        .collect()
}

/// What rendering refuses. Which namespace the objects go to is not known without a cluster, so the first that a manifest
/// names is taken for it: a second one can be no other Profile's.
fn workload_findings(package: &PackageSpec, workload: &Workload) -> Vec<Finding> {
    // What a repository has is not known here.
    let Some(manifests) = workload.manifests.as_deref() else { return Vec::new() };
    let named = manifests.iter().find_map(|manifest| manifest.0.pointer("/metadata/namespace")?.as_str());
    let source = Source { namespace: named.unwrap_or("default"), package, overrides: None, env_from: &[] };
    let refusals = render(&source).err().unwrap_or_default();
    refusals.into_iter().map(|refusal| Finding::new(pointer(&refusal.field), refusal.message)).collect()
}

/// The JSON pointer of a field as people write it, such as `spec.manifests[3].kind`.
fn pointer(field: &str) -> String {
    format!("/{}", field.replace(']', "").replace(['.', '['], "/"))
}
