//! Signatures of commits and tags, and the keys that are trusted to make them.
//!
//! What is verified is what SSH keys sign for Git, here, and what keys of OpenPGP sign, by a program ([`openpgp`](super::openpgp)). Names of
//! signers have no meaning here: who has one of the keys may sign.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use russh::keys::{Algorithm, HashAlg, PublicKey, parse_public_key_base64, ssh_key::SshSig};
use thiserror::Error;

use super::openpgp::{
    self, Question,
    keys::{Keyring, Unusable, is_private},
};

/// What a signature is made for, so that one for something else is none for this.
const NAMESPACE: &str = "git";
/// The most keys that are trusted.
const KEYS_MAX: usize = 1000;
/// The longest signature that is read.
const SIGNATURE_MAX: usize = 64 * 1024;
/// The most bytes of keys of OpenPGP.
const OPENPGP_MAX: usize = 512 * 1024;

const SSH: &str = "-----BEGIN SSH SIGNATURE-----";
const OPENPGP: &str = "-----BEGIN PGP SIGNATURE-----";
/// What is a signature to git, and is not verified.
const OTHERS: [&str; 2] = ["-----BEGIN PGP MESSAGE-----", "-----BEGIN SIGNED MESSAGE-----"];

/// The names of keys of the Secret that have keys of OpenPGP end so.
const OPENPGP_NAMES: [&str; 3] = [".asc", ".gpg", ".pgp"];

/// A signature and what it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The signature, as text.
    pub signature: Vec<u8>,
    /// What is signed.
    pub content: Vec<u8>,
}

/// What is wrong with a commit or a tag, as the end of a sentence about it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Flaw {
    /// It has no signature.
    #[error("is not signed: sign it (`git commit -S`, `git tag -s`), or change spec.source.git.verify")]
    Unsigned,
    /// Its signature is of a kind that is not verified.
    #[error(
        "is signed in a way that is not verified (X.509, a message of OpenPGP, or OpenPGP in another version than 4): sign with an SSH key or an OpenPGP key of version 4"
    )]
    OtherKind,
    /// Its signature cannot be read.
    #[error("has a signature that cannot be read: sign it again")]
    Garbled,
    /// Its signature was made for something else.
    #[error("has a signature that was made for something else than Git: sign it by git")]
    Foreign,
    /// Its signature is made in a way that others can forge.
    #[error("has a signature of RSA with SHA-1, which others can forge: sign it with a newer OpenSSH")]
    Weak,
    /// Its signature of OpenPGP is made in a way that others can forge.
    #[error(
        "has an OpenPGP signature that others can forge (of SHA-1, or by a key that is too short): sign it with SHA-256 and a newer key"
    )]
    WeakOpenPgp,
    /// Its signature is of somebody who is not trusted.
    #[error(
        "is signed by the key {0}, which is not among those that are trusted: add its public half to the Secret of spec.source.git.verify, if it is"
    )]
    Untrusted(String),
    /// Its signature is of OpenPGP, and no such key is trusted.
    #[error(
        "is signed by OpenPGP, of which no key is trusted: add the public key to the Secret of spec.source.git.verify as NAME.asc (`gpg --armor --export`), if it is"
    )]
    NoOpenPgp,
    /// The key had run out when the signature says that it was made.
    #[error(
        "is signed by the key {key}, which expired at {at}, before the time that the signature names: extend the key and export it again into the Secret of spec.source.git.verify, or sign with another"
    )]
    Expired {
        /// The key.
        key: String,
        /// When it ran out.
        at: String,
    },
    /// The key is revoked.
    #[error("is signed by the key {0}, which is revoked: sign it with another one")]
    Revoked(String),
    /// Nothing is known of the key for the time of the signature.
    #[error(
        "is signed by the key {0} at a time for which the Secret of spec.source.git.verify says nothing of it, as after the key was extended: keep its former export beside the new one"
    )]
    Unbound(String),
    /// The key may not sign.
    #[error("is signed by the key {0}, which is not made to sign: sign it with one that is")]
    Unfit(String),
    /// The signature is of a time that has not come.
    #[error(
        "has a signature whose time is in the future, or is before its key was made: correct the clock of whoever signs"
    )]
    Early,
    /// The program cannot read the keys.
    #[error(
        "cannot be verified, because sqv cannot read a key of OpenPGP in the Secret of spec.source.git.verify: export it again (`gpg --armor --export`)"
    )]
    Keys,
    /// The program refuses the signature for another reason.
    #[error("has an OpenPGP signature that sqv refuses ({0}): sign it again")]
    Refused(String),
    /// Its signature is of other content.
    #[error("has a signature that does not fit its content: somebody changed it after it was signed")]
    Wrong,
    /// A tag is about something else than what is wanted.
    #[error("was made with another name or for something else than this commit: make the tag anew")]
    OtherTag,
}

/// Why a Secret with trusted keys cannot be used. No value is in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignersError {
    /// No key is there.
    #[error(
        "has no keys: add public keys of SSH as NAME.pub, or a list of them as allowed_signers, or public keys of OpenPGP as NAME.asc"
    )]
    Empty,
    /// There are too many.
    #[error("has more than 1000 keys: leave those that sign")]
    Many,
    /// There is too much of OpenPGP.
    #[error(
        "has more than 512 KiB of keys of OpenPGP: export them without what others say of them (`gpg --armor --export-options export-minimal --export`)"
    )]
    Large,
    /// A private key is there.
    #[error(
        "has a private key in {0}: take it out, replace it if others could read it, and add the public one (`gpg --armor --export`)"
    )]
    Private(String),
    /// A key of OpenPGP cannot be read.
    #[error("has in {0} no public key of OpenPGP that can be read: export it again (`gpg --armor --export`)")]
    NoOpenPgp(String),
    /// A key of OpenPGP is of another version.
    #[error("has in {0} a key of OpenPGP in another version than 4: remove it, and sign with one of version 4")]
    OtherVersion(String),
    /// A line cannot be read.
    #[error("has in {key}, line {line}, what {what}")]
    Line {
        /// The key of the Secret.
        key: String,
        /// The number of the line, from one.
        line: usize,
        /// What is wrong with it, and the remedy.
        what: &'static str,
    },
}

/// The keys that are trusted.
pub struct Signers {
    ssh: Vec<PublicKey>,
    openpgp: Keyring,
}

/// How far a signature is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// One of the keys has made it.
    Good,
    /// A program has to say that.
    Asks(Box<Question>),
}

impl Signers {
    /// Reads the keys of a Secret: `*.pub` and `allowed_signers` of SSH, `*.asc`, `*.gpg` and `*.pgp` of OpenPGP.
    ///
    /// # Errors
    /// See [`SignersError`].
    pub fn read(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, SignersError> {
        let (mut ssh, mut openpgp, mut bytes) = (Vec::new(), Keyring::default(), 0);
        for (name, value) in data {
            if is_private(value) {
                return Err(SignersError::Private(name.clone()));
            }
            if OPENPGP_NAMES.iter().any(|end| is_named(name, end)) {
                bytes += value.len();
                if bytes > OPENPGP_MAX {
                    return Err(SignersError::Large);
                }
                openpgp.add(value).map_err(|why| unusable(name, why))?;
            }
            if name == "allowed_signers" || is_named(name, ".pub") {
                ssh.append(&mut lines(name, value)?);
            }
        }
        match ssh.len() + openpgp.len() {
            0 => Err(SignersError::Empty),
            1..=KEYS_MAX => Ok(Self { ssh, openpgp }),
            _ => Err(SignersError::Many),
        }
    }

    /// Whether one of the keys has signed.
    ///
    /// # Errors
    /// See [`Flaw`].
    pub fn verify(&self, signed: Option<&Signed>) -> Result<Verdict, Flaw> {
        let Signed { signature, content } = signed.ok_or(Flaw::Unsigned)?;
        let text = std::str::from_utf8(signature).ok().filter(|text| text.len() <= SIGNATURE_MAX);
        let text = text.ok_or(Flaw::Garbled)?.trim();
        if text.starts_with(SSH) {
            return self.verify_ssh(text, content);
        }
        if !text.starts_with(OPENPGP) {
            return Err(if is_signature(text) { Flaw::OtherKind } else { Flaw::Garbled });
        }
        let signature = openpgp::signature(text)?;
        if self.openpgp.is_empty() {
            return Err(Flaw::NoOpenPgp);
        }
        let question = Question { keyring: self.openpgp.clone(), signature, content: content.clone() };
        Ok(Verdict::Asks(Box::new(question)))
    }

    fn verify_ssh(&self, text: &str, content: &[u8]) -> Result<Verdict, Flaw> {
        let signature = read(text).ok_or(Flaw::Garbled)?;
        if signature.namespace() != NAMESPACE {
            return Err(Flaw::Foreign);
        }
        if matches!(signature.algorithm(), Algorithm::Rsa { hash: None } | Algorithm::Dsa) {
            return Err(Flaw::Weak);
        }
        let trusted = self
            .ssh
            .iter()
            .find(|key| key.key_data() == signature.public_key())
            .ok_or_else(|| Flaw::Untrusted(signature.public_key().fingerprint(HashAlg::Sha256).to_string()))?;
        trusted.verify(NAMESPACE, content, &signature).map(|()| Verdict::Good).map_err(|_| Flaw::Wrong)
    }
}

fn unusable(name: &str, why: Unusable) -> SignersError {
    let name = name.to_owned();
    match why {
        Unusable::Private => SignersError::Private(name),
        Unusable::NoKey => SignersError::NoOpenPgp(name),
        Unusable::OtherVersion => SignersError::OtherVersion(name),
    }
}

/// Whether a key of a Secret has a name that ends so.
fn is_named(name: &str, end: &str) -> bool {
    name.to_ascii_lowercase().ends_with(end)
}

fn lines(name: &str, value: &[u8]) -> Result<Vec<PublicKey>, SignersError> {
    let wrong = |line: usize, what| SignersError::Line { key: name.to_owned(), line: line + 1, what };
    let text = std::str::from_utf8(value).map_err(|_| wrong(0, "is no text"))?;
    let mut keys = Vec::new();
    for (at, line) in text.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = if name == "allowed_signers" { after_signers(line) } else { Ok(line) };
        let key = key.map_err(|what| wrong(at, what))?;
        keys.push(
            public(key).ok_or_else(|| wrong(at, "is no public key of SSH: write `KIND KEY`, as in a file *.pub"))?,
        );
    }
    Ok(keys)
}

/// The key in a line of `allowed_signers`, after those who may use it and its options.
fn after_signers(line: &str) -> Result<&str, &'static str> {
    const FEW: &str = "is no line `WHO KIND KEY`";
    let (_, rest) = line.split_once(char::is_whitespace).ok_or(FEW)?;
    let rest = rest.trim_start();
    let Some(options) = rest.split_whitespace().next().filter(|word| is_option(word)) else { return Ok(rest) };
    let for_git = options.strip_prefix("namespaces=").map(|list| list.trim_matches('"'));
    match for_git {
        Some(list) if list.split(',').any(|one| one == NAMESPACE || one == "*") => {
            Ok(rest[options.len()..].trim_start())
        }
        Some(_) => Err("is not for the namespace git: leave it out"),
        None => Err("has an option that is not understood: leave namespaces=\"git\" alone, or none"),
    }
}

/// Kinds of keys have neither of these.
fn is_option(word: &str) -> bool {
    word.contains('=') || word == "cert-authority"
}

fn public(line: &str) -> Option<PublicKey> {
    let mut words = line.split_whitespace();
    let (kind, key) = (words.next()?, words.next()?);
    let key = parse_public_key_base64(key).ok()?;
    (key.algorithm().as_str() == kind).then_some(key)
}

/// Reads a signature, of which nothing is believed. A certificate in it may contain another one, however deep.
fn read(text: &str) -> Option<SshSig> {
    const MARK: &[u8] = b"-cert-v01@";
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    let bytes = BASE64_STANDARD.decode(body).ok()?;
    if bytes.windows(MARK.len()).any(|part| part == MARK) {
        return None;
    }
    SshSig::from_pem(format!("{text}\n")).ok()
}

fn is_signature(line: &str) -> bool {
    [SSH, OPENPGP].iter().chain(&OTHERS).any(|beginning| line.starts_with(beginning))
}

/// The signature of a tag, which stands at its end, if the tag has this name and is about this commit.
///
/// # Errors
/// It is about something else.
pub fn of_tag(text: &[u8], name: &str, commit: &str) -> Result<Option<Signed>, Flaw> {
    let head = format!("object {commit}\ntype commit\ntag {name}\n");
    if !text.starts_with(head.as_bytes()) {
        return Err(Flaw::OtherTag);
    }
    let mut start = None;
    let mut at = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if is_signature(&String::from_utf8_lossy(line)) {
            start = Some(at);
        }
        at += line.len();
    }
    Ok(start.map(|start| Signed { signature: text[start..].to_vec(), content: text[..start].to_vec() }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    fn read_signers(name: &str, text: &str) -> Result<usize, String> {
        let data = BTreeMap::from([(name.to_owned(), text.as_bytes().to_vec())]);
        Signers::read(&data).map(|signers| signers.ssh.len() + signers.openpgp.len()).map_err(|error| error.to_string())
    }

    #[test]
    fn trusted_keys_are_lines_of_public_keys_or_of_allowed_signers() {
        assert_eq!(read_signers("ann.pub", &format!("# x\n{KEY} ann@shop\n{KEY}\n")), Ok(2));
        let line = |options: &str| format!("ann@shop.test,*@b.test {options}{KEY} comment\n");
        for good in ["", "namespaces=\"git\" ", "namespaces=\"file,git\" "] {
            assert_eq!(read_signers("allowed_signers", &line(good)), Ok(1), "{good}");
        }
        for (bad, what) in [
            ("namespaces=\"file\" ", "not for the namespace git"),
            ("cert-authority ", "an option that is not understood"),
            ("valid-before=\"20300101\" ", "an option that is not understood"),
        ] {
            let error = read_signers("allowed_signers", &format!("\n{}", line(bad))).unwrap_err();
            assert!(error.contains(what) && error.contains("allowed_signers, line 2"), "{error}");
        }
    }

    #[test]
    fn a_secret_without_trusted_keys_or_with_others_is_refused_and_not_shown() {
        let nothing = read_signers("hush", "hush").unwrap_err();
        assert!(nothing.contains("NAME.pub"), "{nothing}");
        for (name, text) in
            [("a.pub", "hush"), ("a.pub", "ssh-rsa hush"), ("allowed_signers", "hush"), ("a.asc", "hush")]
        {
            let error = read_signers(name, text).unwrap_err();
            assert!(error.contains(name) && !error.contains("hush"), "{error}");
        }
        let kind = read_signers("a.pub", &KEY.replace("ed25519 ", "rsa ")).unwrap_err();
        assert!(kind.contains("line 1"), "{kind}");
    }

    #[test]
    fn what_is_no_signature_of_ssh_is_named() {
        let data = BTreeMap::from([("a.pub".to_owned(), KEY.as_bytes().to_vec())]);
        let signers = Signers::read(&data).unwrap();
        let verify = |text: &str| {
            signers.verify(Some(&Signed { signature: text.as_bytes().to_vec(), content: b"x".to_vec() })).unwrap_err()
        };
        assert_eq!(signers.verify(None), Err(Flaw::Unsigned));
        assert_eq!(verify("-----BEGIN PGP SIGNATURE-----\n\nhush\n"), Flaw::Garbled);
        assert_eq!(verify("-----BEGIN PGP MESSAGE-----\n\nhush\n"), Flaw::OtherKind);
        assert_eq!(verify("-----BEGIN SIGNED MESSAGE-----\n"), Flaw::OtherKind);
        for text in ["", "hush", SSH, &format!("{SSH}\nhush\n-----END SSH SIGNATURE-----"), &"x".repeat(100_000)] {
            assert_eq!(verify(text), Flaw::Garbled, "{text}");
        }
        let nested = BASE64_STANDARD.encode("SSHSIG\0\0\0\x01 ssh-ed25519-cert-v01@openssh.com ".repeat(100));
        assert_eq!(verify(&format!("{SSH}\n{nested}\n-----END SSH SIGNATURE-----")), Flaw::Garbled);
    }

    #[test]
    fn the_signature_of_a_tag_is_the_last_one_and_about_this_tag_and_commit() {
        let commit = "1".repeat(40);
        let head = format!("object {commit}\ntype commit\ntag v1\ntagger A <a> 0 +0000\n\nabout {SSH}\n");
        let text = format!("{head}{SSH}\nAAAA\n-----END SSH SIGNATURE-----\n");
        let signed = of_tag(text.as_bytes(), "v1", &commit).unwrap().unwrap();
        assert_eq!(signed.content, head.as_bytes());
        assert!(signed.signature.starts_with(SSH.as_bytes()));
        assert_eq!(of_tag(head.as_bytes(), "v1", &commit), Ok(None));
        assert_eq!(of_tag(text.as_bytes(), "v2", &commit), Err(Flaw::OtherTag));
        assert_eq!(of_tag(text.as_bytes(), "v1", &"2".repeat(40)), Err(Flaw::OtherTag));
    }
}
