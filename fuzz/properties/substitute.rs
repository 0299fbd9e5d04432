//! Values in files that ask for them. An input is lines with `NAME=VALUE`, an empty line, and a text.

use std::collections::BTreeMap;

use landfall::gitops::{
    render::REQUEST,
    substitute::{is_name, substitute},
};

use super::lines;

pub fn fill(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else { return };
    let (head, text) = input.split_once("\n\n").unwrap_or(("", input));
    let values: BTreeMap<String, String> = head
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let asks = |text: &str| text.lines().any(|line| line.trim() == REQUEST);
    if !asks(text) {
        assert_eq!(substitute(text, &values).unwrap(), text, "a file is changed that does not ask");
    }
    // Whatever is escaped comes back.
    let escaped = format!("{REQUEST}\n{}", text.replace("${", "$${"));
    assert_eq!(substitute(&escaped, &values).unwrap(), format!("{REQUEST}\n{text}"));
    filled(&format!("{REQUEST}\n{text}"), &values);
}

fn filled(text: &str, values: &BTreeMap<String, String>) {
    let longest = values.values().map(String::len).max().unwrap_or_default();
    match substitute(text, values) {
        Ok(filled) => {
            let places = text.matches("${").count();
            assert!(filled.len() <= text.len() + places * longest, "it became longer than its values are");
            assert_eq!(breaks(&filled), breaks(text), "what follows has moved");
            for (line, filled) in text.lines().zip(filled.lines()) {
                assert_eq!(expected(line, values).as_deref(), Some(filled), "{line}");
            }
        }
        Err(problems) => {
            assert!(!problems.is_empty() && problems.len() <= text.matches("${").count());
            for problem in &problems {
                assert!((1..=lines(text)).contains(&problem.line), "{problem}");
                let at = usize::try_from(problem.line).unwrap() - 1;
                assert_eq!(text.split('\n').nth(at).and_then(|line| expected(line, values)), None, "{problem}");
                let quoted = |value: &&String| value.len() > 12 && problem.message.contains(value.as_str());
                assert!(!values.iter().any(|(name, value)| quoted(&value) && !problem.message.contains(name)));
            }
        }
    }
}

fn breaks(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

/// The line, character by character; none where it cannot be filled.
fn expected(line: &str, values: &BTreeMap<String, String>) -> Option<String> {
    let (mut out, mut rest) = (String::new(), line);
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("$${") {
            out.push_str("${");
            rest = after;
        } else if let Some(after) = rest.strip_prefix("${") {
            let (inside, after) = after.split_once('}')?;
            let (name, default) = inside.split_once(":=").map_or((inside, None), |(name, other)| (name, Some(other)));
            let value = values.get(name).map(String::as_str).filter(|value| default.is_none() || !value.is_empty());
            if !is_name(name) || value.is_some_and(|value| value.contains(['\n', '\r'])) {
                return None;
            }
            out.push_str(value.or(default)?);
            rest = after;
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    Some(out)
}
