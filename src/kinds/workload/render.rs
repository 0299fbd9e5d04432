//! From a Package to a release: the one place where a revision comes about.

use std::fmt;

use super::{hash, manifest, overrides, parts, release::Release, rules};
use crate::api::{
    deployment::{EnvFrom, Overrides},
    package::PackageSpec,
};

/// All that a revision is made from.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The namespace that the objects go to.
    pub namespace: &'a str,
    /// What is released.
    pub package: &'a PackageSpec,
    /// Changes to it.
    pub overrides: Option<&'a Overrides>,
    /// Secrets of the namespace that become variables of the containers.
    pub env_from: &'a [EnvFrom],
}

/// Why a package cannot be released: a field, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// The field of the Package or the Deployment, such as `spec.workload.manifests[3].kind`.
    pub field: String,
    /// What is wrong, and the remedy.
    pub message: String,
}

impl Refusal {
    pub(super) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Renders a revision. The same source always gives the same release.
///
/// # Errors
/// All that stands against it, so that everything can be put right at once.
pub fn render(source: &Source<'_>) -> Result<Release, Vec<Refusal>> {
    let Some(workload) = &source.package.workload else {
        return Err(vec![Refusal::new("spec.workload", "the package has no workload: add it")]);
    };
    let manifests = workload.manifests.as_deref().unwrap_or_default();
    let (mut items, mut refusals) = manifest::read(manifests);
    refusals.extend(rules::size(manifests));
    // An override that misses its object because that could not be read is not a second fault.
    if refusals.is_empty() {
        refusals.extend(overrides::apply(&mut items, source.overrides, source.env_from));
    }
    items.iter_mut().for_each(manifest::Item::clean);
    refusals.extend(rules::refusals(&items, workload, source.namespace));
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let release = parts::release(&items, source.namespace, &hash::revision(&items));
    let version = hash::shown_version(&source.package.version, source.overrides);
    Ok(Release { package: source.package.name.clone(), version, ..release })
}
