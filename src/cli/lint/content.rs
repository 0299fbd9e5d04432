//! What the API server cannot see and Landfall would refuse: sizes, ranges, and the objects inside a Package.

use std::collections::BTreeSet;

use kube::core::cel::cel::Program;
use serde_json::Value;

use super::Finding;
use crate::{
    api::{
        check::Check,
        deployment::DeploymentSpec,
        names::check_subdomain,
        package::{PackageSpec, Workload},
        profile::ProfileSpec,
        strategy::Strategy,
        version::{Version, VersionRange},
    },
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
                found.extend(broken_expressions("/spec/checks", &profile.checks));
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
    broken_expressions("/spec/strategy/checks", &strategy.checks)
}

/// Expressions of checks that are not CEL.
fn broken_expressions(at: &str, checks: &[Check]) -> Vec<Finding> {
    let expressions = checks.iter().enumerate().flat_map(|(index, check)| {
        let of = |field: &str, text: &Option<String>| text.clone().map(|text| (format!("{at}/{index}/{field}"), text));
        [of("success", &check.success), of("failure", &check.failure)].into_iter().flatten()
    });
    let broken = expressions.filter(|(_, text)| Program::compile(text).is_err());
    broken
        .map(|(at, text)| Finding::new(at, format!("\"{text}\" is not CEL: write one such as status == 200")))
        .collect()
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
    let manifests = workload.manifests.as_deref().unwrap_or_default();
    let named = manifests.iter().find_map(|manifest| manifest.0.pointer("/metadata/namespace")?.as_str());
    let source = Source { namespace: named.unwrap_or("default"), package, overrides: None, env_from: &[] };
    let refusals = render(&source).err().unwrap_or_default();
    refusals.into_iter().map(|refusal| Finding::new(pointer(&refusal.field), refusal.message)).collect()
}

/// The JSON pointer of a field as people write it, such as `spec.manifests[3].kind`.
fn pointer(field: &str) -> String {
    format!("/{}", field.replace(']', "").replace(['.', '['], "/"))
}
