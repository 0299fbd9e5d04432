//! Names in double braces within a URL, and what they stand for.

use super::http::Invalid;

/// The placeholders that exist.
pub const KNOWN: [&str; 1] = ["candidate.service"];

/// Puts values in the place of names. Blanks inside the braces do not matter.
///
/// # Errors
/// A name that does not exist, or braces that do not close.
pub fn fill(text: &str, value: impl Fn(&str) -> Result<String, Invalid>) -> Result<String, Invalid> {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, tail) = after.split_once("}}").ok_or(Invalid::Braces)?;
        let name = name.trim();
        if !KNOWN.contains(&name) {
            return Err(Invalid::Placeholder(name.to_owned()));
        }
        filled.push_str(before);
        filled.push_str(&value(name)?);
        rest = tail;
    }
    filled.push_str(rest);
    Ok(filled)
}
