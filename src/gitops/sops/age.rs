//! Files of age (version 1) for X25519 identities: who a file is for, and the key that is in it.
//!
//! Only what SOPS makes of them: an armored file with one short payload, the data key. Whatever is taken from it is proven by
//! its header's code first. Nothing private is shown, by an error or by `Debug`.

use std::{collections::BTreeMap, fmt};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use bech32::{Bech32, Hrp, primitives::decode::CheckedHrpstring};
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Salt},
    hmac,
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};

/// How the keys of a Secret end that have identities.
pub const ENDING: &str = ".agekey";

/// The most bytes of a Secret's key with identities.
const KEY_MAX: usize = 64 << 10;
/// The most identities.
const IDENTITIES_MAX: usize = 64;
/// The most bytes of an armored file.
const FILE_MAX: usize = 64 << 10;

/// How an identity begins, and what stands before its digits.
const SECRET: &str = "AGE-SECRET-KEY-1";
const SECRET_HRP: &str = "age-secret-key-";
const PUBLIC_HRP: &str = "age";

const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
const END: &str = "-----END AGE ENCRYPTED FILE-----";
const INTRO: &str = "age-encryption.org/v1\n";
/// The characters of a full line, in the armor and in stanzas.
const COLUMNS: usize = 64;

type Key = [u8; 32];

/// Whom files may be encrypted for here. The default is nobody.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Identities(BTreeMap<String, Key>);

/// Only whom they are for is shown.
impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identities").field(&self.0.keys()).finish()
    }
}

/// Why a Secret has no identities that can be used. No value is in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdentityError {
    /// No key of the Secret has any.
    #[error("the Secret has no identity of age: add a key that ends with {ENDING}, with a line AGE-SECRET-KEY-1…")]
    Empty,
    /// A key of the Secret is too long, or all have too many.
    #[error("the Secret has more than {IDENTITIES_MAX} identities, or {} kB of them: remove some", KEY_MAX >> 10)]
    TooMany,
    /// A line that is no identity that is known here.
    #[error("the key {key} of the Secret, line {line}: {why}")]
    Unusable {
        /// The key.
        key: String,
        /// The line in it, from one.
        line: usize,
        /// What is wrong, and what to do.
        why: &'static str,
    },
}

/// Why a file has no identities that can be used. No value is in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyFileError {
    /// It has none.
    #[error("it has no identity of age: it needs a line AGE-SECRET-KEY-1…, as age-keygen writes it")]
    Empty,
    /// It is too long, or has too many.
    #[error("it has more than {IDENTITIES_MAX} identities, or {} kB of them: remove some", KEY_MAX >> 10)]
    TooMany,
    /// A line that is no identity that is known here.
    #[error("line {line}: {why}")]
    Unusable {
        /// The line, from one.
        line: usize,
        /// What is wrong, and what to do.
        why: &'static str,
    },
}

impl Identities {
    /// Reads what a Secret has.
    ///
    /// # Errors
    /// See [`IdentityError`]; the Secret has to be changed.
    pub fn read(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, IdentityError> {
        let mut known = BTreeMap::new();
        for (key, content) in data.iter().filter(|(key, _)| key.ends_with(ENDING)) {
            let read = Self::read_file(content).map_err(|error| match error {
                KeyFileError::Empty => None,
                KeyFileError::TooMany => Some(IdentityError::TooMany),
                KeyFileError::Unusable { line, why } => Some(IdentityError::Unusable { key: key.clone(), line, why }),
            });
            match read {
                Ok(Self(more)) => known.extend(more),
                Err(None) => {}
                Err(Some(error)) => return Err(error),
            }
        }
        match known.len() {
            0 => Err(IdentityError::Empty),
            1..=IDENTITIES_MAX => Ok(Self(known)),
            _ => Err(IdentityError::TooMany),
        }
    }

    /// Reads what a file has, as `age-keygen` writes it.
    ///
    /// # Errors
    /// See [`KeyFileError`]; the file has to be changed.
    pub fn read_file(content: &[u8]) -> Result<Self, KeyFileError> {
        if content.len() > KEY_MAX {
            return Err(KeyFileError::TooMany);
        }
        let mut known = BTreeMap::new();
        for (index, line) in content.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let (recipient, secret) = identity(line).map_err(|why| KeyFileError::Unusable { line: index + 1, why })?;
            known.insert(recipient, secret);
        }
        match known.len() {
            0 => Err(KeyFileError::Empty),
            1..=IDENTITIES_MAX => Ok(Self(known)),
            _ => Err(KeyFileError::TooMany),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A name for exactly these identities, from which they cannot be found: it is made of their public halves. Empty for none.
    pub fn fingerprint(&self) -> String {
        if self.is_empty() {
            return String::new();
        }
        let mut digest = Sha256::new();
        for recipient in self.0.keys() {
            digest.update(recipient);
            digest.update(b"\n");
        }
        STANDARD_NO_PAD.encode(digest.finalize())
    }

    /// What is in an armored file for a recipient; none where nobody here is that recipient.
    ///
    /// # Errors
    /// The file is none of age, is damaged, or is not for whom it says.
    pub(super) fn open(&self, recipient: &str, armored: &str) -> Option<Result<Vec<u8>, &'static str>> {
        let secret = self.0.get(recipient)?;
        Some(open(secret, armored))
    }
}

/// The public half of an identity, and the identity.
fn identity(line: &[u8]) -> Result<(String, Key), &'static str> {
    let text = std::str::from_utf8(line).unwrap_or_default();
    if !text.starts_with(SECRET) {
        let plugin = text.starts_with("AGE-PLUGIN-") || text.starts_with("AGE-SECRET-KEY-PQ-");
        return Err(if plugin {
            "identities of plugins and post-quantum ones are not possible: use one that `age-keygen` makes, AGE-SECRET-KEY-1…"
        } else {
            "this is no identity of age: write AGE-SECRET-KEY-1…, or a comment that begins with #"
        });
    }
    let damaged = "the identity is damaged: copy it again as a whole";
    let checked = CheckedHrpstring::new::<Bech32>(text).map_err(|_| damaged)?;
    if !checked.hrp().as_str().eq_ignore_ascii_case(SECRET_HRP) {
        return Err(damaged);
    }
    let secret: Key = checked.byte_iter().collect::<Vec<_>>().try_into().map_err(|_| damaged)?;
    let hrp = Hrp::parse(PUBLIC_HRP).map_err(|_| damaged)?;
    let recipient = bech32::encode::<Bech32>(hrp, &x25519(secret, X25519_BASEPOINT_BYTES)).map_err(|_| damaged)?;
    Ok((recipient, secret))
}

/// Whether a text names a recipient of the kind that is known here.
pub(super) fn is_recipient(text: &str) -> bool {
    CheckedHrpstring::new::<Bech32>(text)
        .is_ok_and(|checked| checked.hrp().as_str() == PUBLIC_HRP && checked.byte_iter().count() == size_of::<Key>())
}

/// A part of a header: who may open the file.
struct Stanza<'a> {
    arguments: Vec<&'a str>,
    body: Vec<u8>,
}

const DAMAGED: &str = "the data key is damaged: it is no armored file of age as SOPS writes it";
const HEADER: &str = "the header of the data key is damaged: its code does not fit";
const NOT_FOR: &str = "the data key is not for the recipient that stands beside it, or is damaged";
const OTHER_KIND: &str =
    "the data key is for a passphrase, a plugin or a key of ssh: only X25519 recipients (age1…) are possible";

fn open(secret: &Key, armored: &str) -> Result<Vec<u8>, &'static str> {
    let file = unarmor(armored).ok_or(DAMAGED)?;
    let header_end = find(&file, b"\n--- ").ok_or(DAMAGED)? + "\n---".len();
    let (header, rest) = file.split_at(header_end);
    let line_end = rest.iter().position(|byte| *byte == b'\n').ok_or(DAMAGED)?;
    let code = rest.get(1..line_end).and_then(|text| STANDARD_NO_PAD.decode(text).ok()).ok_or(DAMAGED)?;
    let payload = rest.get(line_end + 1..).ok_or(DAMAGED)?;
    let text = std::str::from_utf8(header).map_err(|_| DAMAGED)?;
    let stanzas = stanzas(text).ok_or(DAMAGED)?;
    let mut own = stanzas.iter().filter(|stanza| stanza.arguments.first() == Some(&"X25519")).peekable();
    if own.peek().is_none() {
        return Err(OTHER_KIND);
    }
    let file_key = own.find_map(|stanza| unwrap(secret, stanza)).ok_or(NOT_FOR)?;
    let expected = derive(&file_key, &[], b"header").ok_or(HEADER)?;
    let expected = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &expected), header);
    if !bool::from(expected.as_ref().ct_eq(&code)) {
        return Err(HEADER);
    }
    let (nonce, sealed) = payload.split_at_checked(16).ok_or(DAMAGED)?;
    let key = derive(&file_key, nonce, b"payload").ok_or(DAMAGED)?;
    // The only chunk is the last one.
    let mut chunk = [0; 12];
    chunk[11] = 1;
    unseal(&key, chunk, sealed).ok_or(DAMAGED)
}

fn find(all: &[u8], part: &[u8]) -> Option<usize> {
    all.windows(part.len()).position(|window| window == part)
}

fn unarmor(armored: &str) -> Option<Vec<u8>> {
    if armored.len() > FILE_MAX {
        return None;
    }
    let text = armored.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
    let compact: String = text.lines().map(str::trim).collect();
    STANDARD.decode(compact).ok()
}

/// The parts of a header, which ends with `---`.
fn stanzas(header: &str) -> Option<Vec<Stanza<'_>>> {
    let mut lines = header.strip_prefix(INTRO)?.lines();
    let mut all = Vec::new();
    loop {
        let line = lines.next()?;
        if line == "---" {
            return lines.next().is_none().then_some(all);
        }
        let arguments = line.strip_prefix("-> ")?.split(' ').collect();
        let mut body = Vec::new();
        loop {
            let line = lines.next()?;
            body.extend(STANDARD_NO_PAD.decode(line).ok()?);
            match line.len() {
                COLUMNS => {}
                0..COLUMNS => break,
                _ => return None,
            }
        }
        all.push(Stanza { arguments, body });
    }
}

/// The file's key, if the stanza is for this identity.
fn unwrap(secret: &Key, stanza: &Stanza<'_>) -> Option<Vec<u8>> {
    let [_, share] = stanza.arguments.as_slice() else { return None };
    let share: Key = STANDARD_NO_PAD.decode(share).ok()?.try_into().ok()?;
    let shared = x25519(*secret, share);
    // A point of low order, which would make the key known to everybody.
    if bool::from(shared.ct_eq(&[0; 32])) || stanza.body.len() != 32 {
        return None;
    }
    let salt = [share, x25519(*secret, X25519_BASEPOINT_BYTES)].concat();
    let key = derive(&shared, &salt, b"age-encryption.org/v1/X25519")?;
    unseal(&key, [0; 12], &stanza.body)
}

fn derive(secret: &[u8], salt: &[u8], label: &[u8]) -> Option<Key> {
    let mut key = [0; 32];
    Salt::new(HKDF_SHA256, salt).extract(secret).expand(&[label], HKDF_SHA256).ok()?.fill(&mut key).ok()?;
    Some(key)
}

fn unseal(key: &Key, nonce: [u8; 12], sealed: &[u8]) -> Option<Vec<u8>> {
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).ok()?);
    let mut text = sealed.to_vec();
    let plain = key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut text).ok()?;
    Some(plain.to_vec())
}
