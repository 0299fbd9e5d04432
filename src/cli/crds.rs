//! `landfall crds`: the definitions of the custom resources, as YAML.

use anyhow::Context;

use super::terminal::print;
use crate::api::crd;

/// Says where the text comes from, to whoever finds it in a repository.
const HEADER: &str = "# Made by `landfall crds`. A change belongs in src/api.\n";

/// All definitions as one text of several documents.
///
/// # Errors
/// A definition cannot be written as YAML.
pub fn all() -> anyhow::Result<String> {
    let documents: anyhow::Result<Vec<_>> = crd::KINDS.iter().map(|kind| one(kind)).collect();
    Ok(documents?.join("---\n"))
}

/// The definition of one kind as YAML.
///
/// # Errors
/// The kind is not one of Landfall's, or its definition cannot be written as YAML.
pub fn one(kind: &str) -> anyhow::Result<String> {
    let definition = crd::definition(kind).with_context(|| format!("{kind} is not a kind of Landfall"))?;
    let yaml = serde_saphyr::to_string(&definition).context("cannot write the definition as YAML")?;
    Ok(format!("{HEADER}{}\n", yaml.trim_end()))
}

/// Prints all definitions.
///
/// # Errors
/// As [`all`].
pub fn run() -> anyhow::Result<()> {
    print(&all()?)
}
