//! The rules for object names.
//!
//! A name becomes part of a URL path. One that the API server would refuse is refused here first, with the rule it
//! breaks, so that no request is ever built from it.

use sha2::{Digest, Sha256};
use thiserror::Error;

/// The longest DNS label, which is the longest namespace name.
const LABEL_MAX: usize = 63;
/// The longest DNS subdomain, which is the longest name of most objects.
const SUBDOMAIN_MAX: usize = 253;

/// Why a text is not a name.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NameError {
    /// There is no text at all.
    #[error("a name must not be empty")]
    Empty,
    /// The text is longer than the rule allows.
    #[error("a name has at most {max} characters, this one has {length}")]
    TooLong {
        /// The limit in characters.
        max: usize,
        /// The length of the text in bytes.
        length: usize,
    },
    /// The text has a character, or one at a place, that the rule does not allow.
    #[error("a name consists of lower-case letters, digits and '-', and starts and ends with a letter or digit")]
    Malformed,
}

/// Checks a DNS label, the form of a namespace's name.
///
/// # Errors
/// Says which rule the text breaks.
pub fn check_label(text: &str) -> Result<(), NameError> {
    check_length(text, LABEL_MAX)?;
    if is_label(text) { Ok(()) } else { Err(NameError::Malformed) }
}

/// Checks a DNS subdomain, the form of most objects' names: labels joined by dots.
///
/// # Errors
/// Says which rule the text breaks.
pub fn check_subdomain(text: &str) -> Result<(), NameError> {
    check_length(text, SUBDOMAIN_MAX)?;
    if text.split('.').all(is_label) { Ok(()) } else { Err(NameError::Malformed) }
}

fn check_length(text: &str, max: usize) -> Result<(), NameError> {
    match text.len() {
        0 => Err(NameError::Empty),
        length if length > max => Err(NameError::TooLong { max, length }),
        _ => Ok(()),
    }
}

fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let edge = |b: Option<&u8>| b.is_some_and(|b| *b != b'-');
    text.bytes().all(inner) && edge(text.as_bytes().first()) && edge(text.as_bytes().last())
}

/// The characters of the hash in a name that was cut.
const HASH_LENGTH: usize = 8;

/// The name `<base>-<suffix>`, at most `max` characters long. A base that does not fit is cut, and a short hash of
/// the whole base is put in its place, so that two long names do not become one.
///
/// `max` must have room for the suffix, two hyphens, the hash and one more character; the suffixes of Landfall are
/// short. The result is a DNS label or subdomain if base and suffix are.
pub fn derived(base: &str, suffix: &str, max: usize) -> String {
    format!("{}-{suffix}", cut(base, max.saturating_sub(suffix.len() + 1)))
}

/// The value of a label that names an object: the name, cut as [`derived`] cuts where it is longer than a value may be. The
/// definition lets no Deployment have such a name: somebody could look for another one that is cut to the same.
pub fn label_value(name: &str) -> String {
    cut(name, LABEL_MAX)
}

/// The text, or, where it has more than `max` characters, its beginning and a short hash of the whole.
fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(max.saturating_sub(HASH_LENGTH + 1)).collect();
    // A cut can end at a hyphen or a dot, after which nothing may follow but a letter or digit.
    format!("{}-{}", kept.trim_end_matches(['-', '.']), short_hash(text))
}

/// The first characters of the sha256 of a text, in hexadecimal.
fn short_hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().flat_map(|byte| [byte >> 4, byte & 15]).take(HASH_LENGTH).map(hex_digit).collect()
}

fn hex_digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).unwrap_or('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_a_single_label() {
        for good in ["a", "landfall-system", "0", &"x".repeat(63)] {
            assert_eq!(check_label(good), Ok(()), "{good}");
        }
        for bad in ["-a", "a-", "A", "a.b", "a/b", "..", "ä", "a b"] {
            assert_eq!(check_label(bad), Err(NameError::Malformed), "{bad}");
        }
        assert_eq!(check_label(""), Err(NameError::Empty));
        assert_eq!(check_label(&"x".repeat(64)), Err(NameError::TooLong { max: 63, length: 64 }));
    }

    #[test]
    fn an_object_name_may_have_dots_between_labels_only() {
        for good in ["landfall", "a.b", "a-1.b-2"] {
            assert_eq!(check_subdomain(good), Ok(()), "{good}");
        }
        for bad in [".", "a.", ".a", "a..b", "../leases", "a.-b"] {
            assert_eq!(check_subdomain(bad), Err(NameError::Malformed), "{bad}");
        }
    }

    #[test]
    fn a_label_has_the_name_or_as_much_of_it_as_fits() {
        assert_eq!(label_value("shop.eu"), "shop.eu");
        assert_eq!(label_value(&"x".repeat(63)), "x".repeat(63));
        let (cut, other) = (label_value(&"x".repeat(64)), label_value(&"x".repeat(65)));
        assert_eq!((cut.len(), other.len()), (63, 63));
        assert_ne!(cut, other);
    }

    #[test]
    fn a_derived_name_fits_and_differs_where_its_base_does() {
        assert_eq!(derived("shop", "candidate", 63), "shop-candidate");
        let fitting = "x".repeat(53);
        assert_eq!(derived(&fitting, "candidate", 63), format!("{fitting}-candidate"));
        let (long, other) = ("x".repeat(54), format!("{}y", "x".repeat(63)));
        let (first, second) = (derived(&long, "candidate", 63), derived(&other, "candidate", 63));
        assert_eq!(first, format!("{}-45f316e1-candidate", "x".repeat(44)));
        assert_ne!(first, second);
        for length in 1..100 {
            for max in [40, 52, 63] {
                let name = derived(&"a-".repeat(length), "z", max);
                assert!(name.len() <= max && !name.contains("---"), "{name}");
                assert_eq!(check_label(&derived(&format!("{}b", "a-".repeat(length)), "z", max)), Ok(()));
            }
        }
    }
}
