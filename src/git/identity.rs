//! The private key that one shows to a server over ssh, as a Secret has it: in OpenSSH's form or in one of PEM.
//!
//! A Secret is written by a tenant, so what a passphrase may cost is bounded: some forms name any number of rounds and any
//! amount of memory.

use base64::{Engine, prelude::BASE64_STANDARD};
use pkcs8::{
    EncryptedPrivateKeyInfoRef, SecretDocument,
    pkcs5::{EncryptionScheme, pbes2::Kdf as PemKdf},
};
use russh::keys::{
    Algorithm, PrivateKey, decode_secret_key,
    ssh_key::{Kdf, private::KeypairData},
};

use super::secret::SecretError;

/// The longest key that is read. One of RSA with 16384 bits has less.
const LENGTH_MAX: usize = 16 * 1024;
/// The most rounds of a passphrase in OpenSSH's form, whose own default is 24.
const ROUNDS_MAX: u32 = 256;
/// The most rounds of a passphrase in PEM; the usual numbers are 2048 and 600,000.
const ITERATIONS_MAX: u32 = 1_000_000;

const OPENSSH: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";

/// A private key and how it is called in its Secret.
pub(super) struct Held<'a> {
    /// The name of the key of the Secret.
    pub key: &'static str,
    /// The private key.
    pub value: &'a [u8],
    /// The passphrase, if there is one.
    pub passphrase: Option<&'a [u8]>,
}

/// Reads a private key. It may take a second where there is a passphrase.
pub(super) fn read(held: &Held<'_>) -> Result<PrivateKey, SecretError> {
    let text = std::str::from_utf8(held.value).ok().filter(|text| text.len() <= LENGTH_MAX);
    let text = text.ok_or_else(|| held.unusable(UNREADABLE))?.trim();
    if text.starts_with("PuTTY-User-Key-File-") {
        return Err(held.unusable("is in PuTTY's form: write it in OpenSSH's by `puttygen KEY -O private-openssh`"));
    }
    let key = if text.starts_with(OPENSSH) { openssh(held, text)? } else { pem(held, text)? };
    if matches!(key.key_data(), KeypairData::Rsa(_) | KeypairData::Ecdsa(_) | KeypairData::Ed25519(_)) {
        return Ok(key);
    }
    Err(held.unusable("is of a kind that is not used: make one by `ssh-keygen -t ed25519`"))
}

const UNREADABLE: &str = "has no private key in OpenSSH's form or in PEM that can be read";
const COSTLY: &str = "has a passphrase that costs too much to try: write it again by `ssh-keygen -p -a 64`";

impl Held<'_> {
    fn unusable(&self, why: &'static str) -> SecretError {
        SecretError::Unusable { key: self.key, why }
    }

    fn passphrase(&self) -> Result<&[u8], SecretError> {
        self.passphrase.ok_or_else(|| self.unusable("has a passphrase: put it into the key password of the Secret"))
    }
}

fn wrong() -> SecretError {
    SecretError::Unusable { key: "password", why: "is not the passphrase of the private key" }
}

fn openssh(held: &Held<'_>, text: &str) -> Result<PrivateKey, SecretError> {
    // A certificate may contain another one, and the reader follows them however deep they are.
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    if !is_plain(&body) {
        return Err(held.unusable(UNREADABLE));
    }
    let key = PrivateKey::from_openssh(text).map_err(|_| held.unusable(UNREADABLE))?;
    if !key.is_encrypted() {
        return Ok(key);
    }
    if matches!(key.kdf(), Kdf::Bcrypt { rounds, .. } if *rounds > ROUNDS_MAX) {
        return Err(held.unusable(COSTLY));
    }
    key.decrypt(held.passphrase()?).map_err(|_| wrong())
}

/// Whether a text is base64 without a certificate in it.
fn is_plain(body: &str) -> bool {
    const MARK: &[u8] = b"-cert-v01@";
    BASE64_STANDARD.decode(body).is_ok_and(|all| !all.windows(MARK.len()).any(|part| part == MARK))
}

fn pem(held: &Held<'_>, text: &str) -> Result<PrivateKey, SecretError> {
    let is_encrypted = text.starts_with(ENCRYPTED) || text.contains("Proc-Type: 4,ENCRYPTED");
    if text.starts_with(ENCRYPTED) && !is_cheap(text).ok_or_else(|| held.unusable(UNREADABLE))? {
        return Err(held.unusable(COSTLY));
    }
    if !is_encrypted {
        return decode_secret_key(text, None).map_err(|_| held.unusable(UNREADABLE));
    }
    let passphrase = std::str::from_utf8(held.passphrase()?).map_err(|_| wrong())?;
    decode_secret_key(text, Some(passphrase)).map_err(|_| SecretError::Unusable {
        key: "password",
        why: "does not open the private key, or that is encrypted in an old way: write it again by `ssh-keygen -p`",
    })
}

/// Whether the passphrase of a key in PKCS #8 can be tried at a bounded cost. None where it cannot be read.
fn is_cheap(text: &str) -> Option<bool> {
    let (_, document) = SecretDocument::from_pem(text).ok()?;
    let key: EncryptedPrivateKeyInfoRef<'_> = document.decode_msg().ok()?;
    let EncryptionScheme::Pbes2(parameters) = &key.encryption_algorithm else { return Some(false) };
    Some(matches!(&parameters.kdf, PemKdf::Pbkdf2(kdf) if kdf.iteration_count <= ITERATIONS_MAX))
}

/// Whether the key is one of RSA, which is used with several hashes.
pub(super) fn is_rsa(key: &PrivateKey) -> bool {
    matches!(key.algorithm(), Algorithm::Rsa { .. })
}
