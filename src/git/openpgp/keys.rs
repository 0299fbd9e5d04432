//! Public keys of OpenPGP that are trusted.

use std::{collections::BTreeSet, fmt};

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

use super::{
    armor,
    packets::{
        self, MARKER, PADDING, PUBLIC_KEY, PUBLIC_SUBKEY, Packet, SECRET_KEY, SECRET_SUBKEY, SIGNATURE, TRUST,
        USER_ATTRIBUTE, USER_ID,
    },
};
use crate::rollout::words::hexadecimal;

/// The version of keys that are verified with.
const VERSION: u8 = 4;
/// The characters of a fingerprint.
const FINGERPRINT: usize = 40;
/// What a private key in armour begins with.
const PRIVATE: &[u8] = b"-----BEGIN PGP PRIVATE KEY BLOCK-----";

/// Why a key cannot be used, as the end of a sentence that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// It is private.
    Private,
    /// It is no key, or a damaged one.
    NoKey,
    /// It is of a version that is not verified.
    OtherVersion,
}

/// Public keys, each with its subkeys and what is said of it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Keyring {
    fingerprints: BTreeSet<String>,
    content: Vec<u8>,
}

impl Keyring {
    /// Adds the keys of a file, in armour or without.
    ///
    /// # Errors
    /// See [`Unusable`].
    pub fn add(&mut self, file: &[u8]) -> Result<(), Unusable> {
        if is_private(file) {
            return Err(Unusable::Private);
        }
        if file.first().is_some_and(|first| first & 0x80 != 0) {
            return self.add_packets(file);
        }
        let text = std::str::from_utf8(file).map_err(|_| Unusable::NoKey)?;
        let blocks = armor::blocks(text).filter(|blocks| !blocks.is_empty()).ok_or(Unusable::NoKey)?;
        for block in blocks {
            if block.kind != "PUBLIC KEY BLOCK" {
                return Err(Unusable::NoKey);
            }
            self.add_packets(&block.content)?;
        }
        Ok(())
    }

    fn add_packets(&mut self, bytes: &[u8]) -> Result<(), Unusable> {
        let packets = packets::read(bytes).filter(|packets| !packets.is_empty()).ok_or(Unusable::NoKey)?;
        if packets.iter().any(|packet| matches!(packet.tag, SECRET_KEY | SECRET_SUBKEY)) {
            return Err(Unusable::Private);
        }
        let packets: Vec<Packet<'_>> =
            packets.into_iter().filter(|packet| !matches!(packet.tag, MARKER | TRUST | PADDING)).collect();
        // What stands before the first key would be about none, or about one of another file.
        if packets.first().is_none_or(|first| first.tag != PUBLIC_KEY) {
            return Err(Unusable::NoKey);
        }
        for Packet { tag, body, whole } in packets {
            match tag {
                PUBLIC_KEY => drop(self.fingerprints.insert(fingerprint(body)?)),
                SIGNATURE | USER_ID | PUBLIC_SUBKEY | USER_ATTRIBUTE => {}
                _ => return Err(Unusable::NoKey),
            }
            self.content.extend_from_slice(whole);
        }
        Ok(())
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.fingerprints.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.fingerprints.is_empty()
    }

    /// Whether one of them has this fingerprint.
    pub fn has(&self, fingerprint: &str) -> bool {
        self.fingerprints.contains(fingerprint)
    }

    /// All of them, as bytes.
    pub fn content(&self) -> &[u8] {
        &self.content
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keyring").field(&self.len()).finish()
    }
}

/// Whether there is a private key in armour anywhere in a value.
pub fn is_private(value: &[u8]) -> bool {
    value.windows(PRIVATE.len()).any(|part| part == PRIVATE)
}

/// The fingerprint of a key, as the program prints it.
fn fingerprint(body: &[u8]) -> Result<String, Unusable> {
    match body.first() {
        Some(&VERSION) => {}
        Some(_) => return Err(Unusable::OtherVersion),
        None => return Err(Unusable::NoKey),
    }
    let length = u16::try_from(body.len()).map_err(|_| Unusable::NoKey)?;
    let mut digest = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    digest.update(&[0x99]);
    digest.update(&length.to_be_bytes());
    digest.update(body);
    Ok(hexadecimal(digest.finish().as_ref(), FINGERPRINT).to_uppercase())
}
