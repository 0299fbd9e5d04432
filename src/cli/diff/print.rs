//! Two lists of objects side by side: what is new, what is gone, and what is different, line by line. Pure.

use std::collections::{BTreeMap, BTreeSet};

use anstyle::Style;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::mask::shown;
use crate::cli::{
    status::picture::Line,
    terminal::{BAD, BUSY, FAINT, GOOD, STRONG},
};

/// As many lines that are the same stand around those that are not.
const CONTEXT: usize = 3;

/// What becomes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is new.
    Created,
    /// It is different.
    Changed,
    /// It is gone.
    Deleted,
}

/// An object that is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The object, as `Kind.group namespace/name`.
    pub object: String,
    /// What becomes of it.
    pub fate: Fate,
    /// The lines of its YAML that differ, with some around them.
    pub lines: Vec<Line>,
}

/// What differs between two lists of objects, by kind and name. Of two objects of one name in a list the second one counts.
///
/// # Errors
/// An object cannot be written as YAML.
pub fn differences(before: &[Value], after: &[Value]) -> anyhow::Result<Vec<Difference>> {
    let (before, after) = (named(before), named(after));
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let mut found = Vec::new();
    for name in names {
        found.extend(difference(name, before.get(name).copied(), after.get(name).copied())?);
    }
    Ok(found)
}

/// The differences one below the other, and in the end how many there are.
pub fn report(differences: &[Difference]) -> Vec<Line> {
    let mut lines = Vec::new();
    for Difference { object, fate, lines: own } in differences {
        let (style, word) = match fate {
            Fate::Created => (GOOD, "is created"),
            Fate::Changed => (BUSY, "is changed"),
            Fate::Deleted => (BAD, "is deleted"),
        };
        lines.push(Line::default().then(STRONG, object).then(style, format!(" {word}")));
        lines.extend(own.iter().cloned());
    }
    let count = |fate| differences.iter().filter(|one| one.fate == fate).count();
    let (created, changed, deleted) = (count(Fate::Created), count(Fate::Changed), count(Fate::Deleted));
    lines.push(Line::default().then(FAINT, format!("{created} created, {changed} changed, {deleted} deleted")));
    lines
}

fn named(objects: &[Value]) -> BTreeMap<String, &Value> {
    objects.iter().map(|object| (name(object), object)).collect()
}

fn name(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let group = text("/apiVersion").split_once('/').map(|(group, _)| format!(".{group}")).unwrap_or_default();
    let namespace = Some(text("/metadata/namespace")).filter(|namespace| !namespace.is_empty());
    let namespace = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
    format!("{}{group} {namespace}{}", text("/kind"), text("/metadata/name"))
}

fn difference(object: &str, before: Option<&Value>, after: Option<&Value>) -> anyhow::Result<Option<Difference>> {
    let fate = match (before, after) {
        (None, _) => Fate::Created,
        (_, None) => Fate::Deleted,
        _ => Fate::Changed,
    };
    let (old, new) = shown(before.unwrap_or(&Value::Null), after.unwrap_or(&Value::Null));
    if old == new {
        return Ok(None);
    }
    let lines = unified(&yaml(&old)?, &yaml(&new)?);
    Ok(Some(Difference { object: object.to_owned(), fate, lines }))
}

fn yaml(object: &Value) -> anyhow::Result<String> {
    Ok(if object.is_null() { String::new() } else { serde_saphyr::to_string(object)? })
}

fn unified(old: &str, new: &str) -> Vec<Line> {
    let diff = TextDiff::from_lines(old, new);
    let mut lines = Vec::new();
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        lines.push(Line::default().then(FAINT, hunk.header().to_string()));
        lines.extend(hunk.iter_changes().map(|change| {
            let (style, sign) = match change.tag() {
                ChangeTag::Delete => (BAD, '-'),
                ChangeTag::Insert => (GOOD, '+'),
                ChangeTag::Equal => (Style::new(), ' '),
            };
            Line::default().then(style, format!("{sign}{}", change.value().trim_end_matches('\n')))
        }));
    }
    lines
}
