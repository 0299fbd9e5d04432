//! What the program says, and what that means.
//!
//! It is believed only where it ended well and named a key that is trusted. Its words are those of sqv 1.1; another version may have
//! others, and then a refusal is one all the same, without its reason.

use super::keys::Keyring;
use crate::{analysis::words::cut, git::signature::Flaw};

/// The most characters of the program's words that are repeated.
const SAID_MAX: usize = 200;
/// How what it says of a signature begins.
const BEGINNINGS: [&str; 6] =
    ["Error: ", "Verifying signature:", "Signing key on ", "Signature is malformed:", "Signature by ", "Missing key "];
/// The characters of the shortest and the longest name of a key.
const NAMES: [usize; 2] = [16, 40];

/// Whether what it printed, after it ended well, names one of the keys.
pub fn names_a_key(printed: &str, keyring: &Keyring) -> bool {
    printed.lines().any(|line| keyring.has(line.trim()))
}

/// Why it refuses; none where it did not come to verify anything.
pub fn refusal(code: Option<i32>, said: &str) -> Option<Flaw> {
    let has = |words: &str| said.contains(words);
    // Arguments that it does not know, files that it cannot open, the end by a signal, and another program of this name.
    let is_told = BEGINNINGS.iter().any(|beginning| said.starts_with(beginning)) && !has("(os error ");
    if code != Some(1) || !is_told {
        return None;
    }
    let key = || key(said, "Signing key on ").unwrap_or_else(|| "of another certificate".to_owned());
    Some(if has("is revoked") {
        Flaw::Revoked(key())
    } else if let Some(at) = time(said, "Expired on ") {
        Flaw::Expired { key: key(), at }
    } else if has("keyring \"keys\"") {
        Flaw::Keys
    } else if has("Malformed ") || has("is malformed:") || has("packet type") || has("EOF") {
        Flaw::Garbled
    } else if has("is not considered secure") {
        Flaw::WeakOpenPgp
    } else if has("manipulated") || has("Bad signature") {
        Flaw::Wrong
    } else if has("--not-after") || has("Not live until") {
        Flaw::Early
    } else if has("No binding signature at time") {
        Flaw::Unbound(key())
    } else if has("not signing capable") || has("inding signature") {
        Flaw::Unfit(key())
    } else if let Some(missing) = self::key(said, "Missing key ") {
        Flaw::Untrusted(missing)
    } else {
        Flaw::Refused(cut(said.trim(), SAID_MAX))
    })
}

/// The name of a key after these words.
fn key(said: &str, before: &str) -> Option<String> {
    let name: String = after(said, before)?.chars().take_while(char::is_ascii_hexdigit).take(NAMES[1] + 1).collect();
    NAMES.contains(&name.len()).then_some(name)
}

/// The time after these words.
fn time(said: &str, before: &str) -> Option<String> {
    let is_part = |c: &char| c.is_ascii_digit() || matches!(c, '-' | ':' | 'T' | 'Z');
    Some(after(said, before)?.chars().take_while(is_part).take("2020-03-01T00:00:00Z".len()).collect())
}

fn after<'a>(said: &'a str, before: &str) -> Option<&'a str> {
    said.split_once(before).map(|(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "135E00C401AA0CFF46FE0A90479342F8DD343F10";

    #[test]
    fn each_refusal_of_the_program_is_told_by_its_reason() {
        let key = KEY.to_owned();
        let bad = format!("Signing key on {KEY} is bad:\n           ");
        let cases = [
            (format!("{bad}Invalid key: \"certificate is revoked\"\n"), Flaw::Revoked(key.clone())),
            (format!("{bad}Invalid key: \"signing key is revoked\"\n"), Flaw::Revoked(key.clone())),
            (
                format!("{bad}The primary key is not live\n  because: Expired on 2020-03-01T00:00:00Z\n"),
                Flaw::Expired { key: key.clone(), at: "2020-03-01T00:00:00Z".to_owned() },
            ),
            (format!("{bad}The subkey is not live\n  because: Not live until 2030-01-01T00:00:00Z\n"), Flaw::Early),
            (format!("{bad}Invalid key: \"key is not signing capable\"\n"), Flaw::Unfit(key.clone())),
            (
                format!("Signing key on {KEY} is not bound:\n  No binding signature at time 2020-02-01T00:00:00Z\n"),
                Flaw::Unbound(key.clone()),
            ),
            (format!("Signature by {KEY} was created after the --not-after date.\n"), Flaw::Early),
            (format!("Missing key {KEY}, which is needed to verify signature.\n"), Flaw::Untrusted(key)),
            ("Verifying signature:\n           Message has been manipulated\n".to_owned(), Flaw::Wrong),
            (
                "Verifying signature:\n  Policy rejected non-revocation signature (Binary) requiring collision \
                 resistance\n  because: SHA1 is not considered secure since 2013-02-01T00:00:00Z\n"
                    .to_owned(),
                Flaw::WeakOpenPgp,
            ),
            (
                "Error: Policy rejected packet type\n\nCaused by:\n    Unknown Packet 2 is not considered secure since \
                 1970-01-01T00:00:00Z\n"
                    .to_owned(),
                Flaw::Garbled,
            ),
            ("Error: Malformed Message: Malformed OpenPGP message\n".to_owned(), Flaw::Garbled),
            ("Error: Malformed certificate in keyring \"keys\"\n".to_owned(), Flaw::Keys),
            ("Error: Something\nnew\n".to_owned(), Flaw::Refused("Error: Something new".to_owned())),
        ];
        for (said, flaw) in cases {
            assert_eq!(refusal(Some(1), &said), Some(flaw), "{said}");
        }
    }

    #[test]
    fn a_program_that_did_not_come_to_verify_anything_has_refused_nothing() {
        for said in [" \n", "error: Found argument", "cat: what?", "Error: Reading \"keys\": gone (os error 2)"] {
            assert_eq!(refusal(Some(1), said), None, "{said}");
        }
        for code in [None, Some(101), Some(2), Some(0)] {
            assert_eq!(refusal(code, "Message has been manipulated"), None, "{code:?}");
        }
    }

    #[test]
    fn a_key_is_named_only_where_it_is_one() {
        for said in ["Missing key hush, which", "Missing key 12, which", &format!("Missing key {KEY}00, which")] {
            assert!(matches!(refusal(Some(1), said), Some(Flaw::Refused(_))), "{said}");
        }
        assert!(!names_a_key(&format!("{KEY}\n"), &Keyring::default()));
    }
}
