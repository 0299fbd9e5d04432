//! OpenPGP: keys and signatures as git has them, and the program `sqv` of Debian that verifies them.
//!
//! What is read here is only what has to be known before the program runs: that keys are public ones, whose they are, and that a
//! signature is one. Whether a signature holds is the program's to say ([`verdict`]), and it gets the very bytes that were read here, so
//! that nobody can show it others. In reading order: [`armor`] (text), [`packets`] (bytes), [`keys`], [`verdict`].

pub mod armor;
pub mod keys;
pub mod packets;
pub mod verdict;

use std::ffi::OsString;

use k8s_openapi::jiff::Timestamp;

use crate::program::{
    run::{Make, Order, Tool},
    scratch::WORK,
};
use keys::Keyring;
use packets::SIGNATURE;

use super::signature::Flaw;

/// The program, as Debian has it.
pub const SQV: Tool =
    Tool { file: "sqv", package: "the package sqv of Debian", make: Make::System, memory: 64 << 20, output: 1 << 20 };

/// How far the clock of whoever signs may be ahead of ours, in seconds.
const AHEAD_MAX: i64 = 300;
/// The most signatures that one may consist of.
const SIGNATURES_MAX: usize = 16;
/// The version of signatures that are verified.
const VERSION: u8 = 4;
/// The type of a signature over bytes, which is what git makes.
const BINARY: u8 = 0;

/// What the program is asked: whether one of the keys has made a signature of this content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The keys.
    pub keyring: Keyring,
    /// The signature, without armour.
    pub signature: Vec<u8>,
    /// What is signed.
    pub content: Vec<u8>,
}

impl Question {
    /// The run that answers it.
    pub fn order(&self, now: Timestamp) -> Order {
        let file = |name: &str, content: &[u8]| (format!("{WORK}/{name}"), content.to_vec());
        let files = vec![
            file("keys", self.keyring.content()),
            file("signature", &self.signature),
            file("content", &self.content),
        ];
        let latest = Timestamp::from_second(now.as_second().saturating_add(AHEAD_MAX)).unwrap_or(Timestamp::MAX);
        let latest = latest.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let words = ["signature", "content", "--keyring", "keys", "--not-after", &latest];
        Order { tool: SQV, files, arguments: words.map(OsString::from).to_vec() }
    }
}

/// The bytes of a signature that git wrote as text.
///
/// # Errors
/// It is none that is verified.
pub fn signature(text: &str) -> Result<Vec<u8>, Flaw> {
    let blocks = armor::blocks(text).ok_or(Flaw::Garbled)?;
    let [block] = &blocks[..] else { return Err(Flaw::Garbled) };
    if block.kind != "SIGNATURE" {
        return Err(Flaw::OtherKind);
    }
    let packets = packets::read(&block.content).ok_or(Flaw::Garbled)?;
    if packets.is_empty() || packets.len() > SIGNATURES_MAX || packets.iter().any(|packet| packet.tag != SIGNATURE) {
        return Err(Flaw::Garbled);
    }
    for packet in packets {
        match packet.body {
            [VERSION, BINARY, ..] => {}
            [VERSION, _, ..] => return Err(Flaw::Foreign),
            [_, ..] => return Err(Flaw::OtherKind),
            [] => return Err(Flaw::Garbled),
        }
    }
    Ok(block.content.clone())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use base64::{Engine, prelude::BASE64_STANDARD};

    use super::*;

    fn armored(kind: &str, content: &[u8]) -> String {
        format!("-----BEGIN PGP {kind}-----\n\n{}\n-----END PGP {kind}-----\n", BASE64_STANDARD.encode(content))
    }

    #[test]
    fn a_signature_is_of_bytes_and_of_version_4_and_nothing_else_is_with_it() {
        let one = [0xc2, 3, 4, 0, 9];
        let read = |content: &[u8]| signature(&armored("SIGNATURE", content));
        assert_eq!(read(&one), Ok(one.to_vec()));
        assert_eq!(read(&one.repeat(16)), Ok(one.repeat(16)));
        for (content, flaw) in [
            (&[0xc2, 3, 4, 1, 9][..], Flaw::Foreign),
            (&[0xc2, 3, 6, 0, 9], Flaw::OtherKind),
            (&[0xc2, 0], Flaw::Garbled),
            (&[0xc2, 3, 4], Flaw::Garbled),
            (&[0xc2, 3, 4, 0, 9, 0xcb, 1, 0], Flaw::Garbled),
            (&[], Flaw::Garbled),
            (&one.repeat(17), Flaw::Garbled),
        ] {
            assert_eq!(read(content), Err(flaw), "{content:?}");
        }
        assert_eq!(signature(&armored("MESSAGE", &one)), Err(Flaw::OtherKind));
        assert_eq!(signature(&armored("SIGNATURE", &one).repeat(2)), Err(Flaw::Garbled));
        assert_eq!(signature("-----BEGIN PGP SIGNATURE-----\n\nhush\n"), Err(Flaw::Garbled));
    }

    #[test]
    fn the_program_is_told_files_by_name_and_the_latest_time_that_it_believes() {
        let question = Question { keyring: Keyring::default(), signature: vec![1], content: vec![2] };
        let order = question.order("2026-11-29T10:00:00.5Z".parse().unwrap());
        let words: Vec<_> = order.arguments.iter().map(|word| word.to_str().unwrap()).collect();
        let told = ["signature", "content", "--keyring", "keys", "--not-after", "2026-11-29T10:05:00Z"];
        assert_eq!((words, order.tool.file), (told.to_vec(), "sqv"));
        let files: Vec<_> = order.files.iter().map(|(path, content)| (path.as_str(), &content[..])).collect();
        assert_eq!(files, [("work/keys", &[][..]), ("work/signature", &[1]), ("work/content", &[2])]);
    }
}
