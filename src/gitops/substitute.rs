//! Values for `${NAME}` in files that ask for them.
//!
//! A file asks with the comment `# landfall: substitute` on a line of its own: scripts in manifests are full of `${…}` that
//! nobody means. In such a file `$${NAME}` is `${NAME}`.

use std::{borrow::Cow, collections::BTreeMap};

use super::{document::Unreadable, render::REQUEST};

/// The text with its values. No message quotes a value: it may be a secret.
///
/// # Errors
/// All places that cannot be filled, each with its line.
pub fn substitute<'t>(text: &'t str, values: &BTreeMap<String, String>) -> Result<Cow<'t, str>, Vec<Unreadable>> {
    if !text.lines().any(|line| line.trim() == REQUEST) {
        return Ok(Cow::Borrowed(text));
    }
    let (mut filled, mut problems) = (String::with_capacity(text.len()), Vec::new());
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let mut say = |message| problems.push(Unreadable { line: index as u64 + 1, message });
        fill(line, values, &mut filled, &mut say);
    }
    if problems.is_empty() { Ok(Cow::Owned(filled)) } else { Err(problems) }
}

/// Fills the places of one line.
fn fill(line: &str, values: &BTreeMap<String, String>, filled: &mut String, say: &mut impl FnMut(String)) {
    let mut rest = line;
    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            filled.push_str(before);
            filled.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        filled.push_str(&rest[..at]);
        let Some((inside, after)) = rest[at + 2..].split_once('}') else {
            return say(
                "`${` has no `}` in its line: write `${NAME}`, or `$${` for the characters themselves".to_owned()
            );
        };
        match value(inside, values) {
            Ok(value) => filled.push_str(value),
            Err(message) => say(message),
        }
        rest = after;
    }
    filled.push_str(rest);
}

/// The value for what stands between the braces.
fn value<'v>(inside: &'v str, values: &'v BTreeMap<String, String>) -> Result<&'v str, String> {
    let (name, default) = match inside.split_once(":=") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if !is_name(name) {
        return Err("write `${NAME}` or `${NAME:=default}`, or `$${` for the characters themselves".to_owned());
    }
    match (values.get(name).filter(|value| default.is_none() || !value.is_empty()), default) {
        (Some(value), _) if value.contains(['\n', '\r']) => {
            Err(format!("the value of {name} has more than one line: it would move all that follows"))
        }
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default),
        (None, None) => Err(format!(
            "nothing is known of {name}: add it to spec.source.substitute or to an object of substituteFrom, or write `${{{name}:=default}}`"
        )),
    }
}

/// Whether a text can be asked for.
pub fn is_name(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.chars().all(word) && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}
