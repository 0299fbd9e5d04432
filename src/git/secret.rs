//! Credentials, read from a Secret. They are never shown: not by an error, not by `Debug`.

use std::{collections::BTreeMap, fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderValue;
use russh::keys::PrivateKey;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{
    identity::{self, Held},
    known::KnownHosts,
};
use crate::rollout::words::hexadecimal;

/// Every key that has a meaning for https.
const KEYS: [&str; 6] = ["username", "password", "bearerToken", "ca.crt", "tls.crt", "tls.key"];

/// Every key that has a meaning for ssh.
const SSH_KEYS: [&str; 4] = ["identity", "ssh-privatekey", "password", "known_hosts"];

/// What is shown to a server, and what is expected of it. The default is nobody, who trusts whom the machine trusts.
#[derive(Clone, Default)]
pub struct Credentials {
    authorization: Option<HeaderValue>,
    authorities: Option<Arc<RootCertStore>>,
    certificate: Option<Arc<CertifiedKey>>,
    login: Option<Login>,
    fingerprint: String,
}

/// What is shown to a server over ssh, and which hosts are known.
#[derive(Clone)]
pub(super) struct Login {
    /// The private key.
    pub identity: Arc<PrivateKey>,
    /// The keys of hosts.
    pub known_hosts: Arc<KnownHosts>,
}

/// The way to a repository, by which the keys of a Secret have their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As `https://` says.
    Https,
    /// As `ssh://` says.
    Ssh,
}

impl Way {
    /// The way that an address names.
    pub fn of(url: &str) -> Self {
        if url.starts_with("ssh://") { Self::Ssh } else { Self::Https }
    }
}

/// Why a Secret cannot be used. No value is in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SecretError {
    /// Nothing in it has a meaning.
    #[error(
        "the Secret has none of the keys for https: add username and password, bearerToken, ca.crt, or tls.crt and tls.key"
    )]
    Empty,
    /// Nothing in it has a meaning for ssh.
    #[error(
        "the Secret has none of the keys for ssh: add identity (or ssh-privatekey), known_hosts, and password for a passphrase"
    )]
    NoIdentity,
    /// The key stands there twice.
    #[error("the Secret has both identity and ssh-privatekey: remove one of them")]
    TwoIdentities,
    /// No host is known, and none is believed at first sight.
    #[error(
        "the Secret has no known_hosts: add what `ssh-keyscan HOST` prints, once it was compared with what the host's owner says"
    )]
    NoKnownHosts,
    /// A line of `known_hosts` cannot be read.
    #[error(
        "the line {line} of the key known_hosts of the Secret cannot be read: write `HOST KIND KEY`, as `ssh-keyscan` does"
    )]
    KnownHosts {
        /// Its number, from one.
        line: usize,
    },
    /// Half of a pair is there.
    #[error("the Secret has {has}, but not {missing}: add it, or remove {has}")]
    Missing {
        /// The key that is there.
        has: &'static str,
        /// The key that is not.
        missing: &'static str,
    },
    /// Two ways to say who one is.
    #[error("the Secret has both bearerToken and username: remove one of them")]
    Ambiguous,
    /// A value that cannot be used.
    #[error("the key {key} of the Secret {why}")]
    Unusable {
        /// The key.
        key: &'static str,
        /// What is wrong, and what to do.
        why: &'static str,
    },
}

/// The reason of every [`SecretError`], as conditions have it.
pub const REASON: &str = "AccessDenied";

impl Credentials {
    /// Reads what a Secret has for a repository over https.
    ///
    /// # Errors
    /// See [`SecretError`]; the Secret has to be changed.
    pub fn read(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, SecretError> {
        let known = of_keys(&KEYS, data);
        if known.is_empty() {
            return Err(SecretError::Empty);
        }
        let authorities = known.get("ca.crt").map(|pem| authorities(pem)).transpose()?;
        Ok(Self {
            authorization: authorization(&known)?,
            authorities: authorities.map(Arc::new),
            certificate: certificate(&known)?.map(Arc::new),
            login: None,
            fingerprint: fingerprint(&known),
        })
    }

    /// Reads what a Secret has for a repository over ssh. A passphrase takes up to a second of work.
    ///
    /// # Errors
    /// See [`SecretError`]; the Secret has to be changed.
    pub fn read_ssh(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, SecretError> {
        let known = of_keys(&SSH_KEYS, data);
        let (key, value) = match (known.get("identity"), known.get("ssh-privatekey")) {
            (Some(_), Some(_)) => return Err(SecretError::TwoIdentities),
            (Some(value), None) => ("identity", *value),
            (None, Some(value)) => ("ssh-privatekey", *value),
            (None, None) => return Err(SecretError::NoIdentity),
        };
        let known_hosts = known.get("known_hosts").ok_or(SecretError::NoKnownHosts)?;
        let known_hosts = Arc::new(KnownHosts::read(known_hosts)?);
        let passphrase = known.get("password").map(|value| one_line("password", value)).transpose()?;
        let identity = Arc::new(identity::read(&Held { key, value, passphrase })?);
        let login = Some(Login { identity, known_hosts });
        Ok(Self { login, fingerprint: fingerprint(&known), ..Self::default() })
    }

    /// The [`fingerprint`](Self::fingerprint) of what a Secret has for a way, without reading it.
    pub fn fingerprint_of(way: Way, data: &BTreeMap<String, Vec<u8>>) -> String {
        match way {
            Way::Https => fingerprint(&of_keys(&KEYS, data)),
            Way::Ssh => fingerprint(&of_keys(&SSH_KEYS, data)),
        }
    }

    /// A name for exactly these credentials, from which they cannot be found. Empty for nobody.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// Whether a text has something in it that was shown to a server as it is.
    pub(super) fn stand_in(&self, text: &str) -> bool {
        let shown = self.authorization.as_ref().and_then(|value| value.to_str().ok());
        let Some((_, coded)) = shown.and_then(|shown| shown.split_once(' ')) else { return false };
        let pair = STANDARD.decode(coded).ok().and_then(|pair| String::from_utf8(pair).ok());
        let password = pair.as_deref().and_then(|pair| pair.split_once(':')).map(|(_, password)| password);
        [Some(coded), password].into_iter().flatten().any(|secret| !secret.is_empty() && text.contains(secret))
    }

    pub(super) fn authorities(&self) -> Option<&Arc<RootCertStore>> {
        self.authorities.as_ref()
    }

    pub(super) fn certificate(&self) -> Option<&Arc<CertifiedKey>> {
        self.certificate.as_ref()
    }

    pub(super) fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    pub(super) fn has_certificate(&self) -> bool {
        self.certificate.is_some()
    }

    /// Whether nothing is shown to a server.
    pub(super) fn is_anonymous(&self) -> bool {
        self.authorization.is_none() && self.certificate.is_none()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("authorization", &self.authorization.is_some())
            .field("authorities", &self.authorities.is_some())
            .field("certificate", &self.certificate.is_some())
            .field("login", &self.login.is_some())
            .finish_non_exhaustive()
    }
}

fn of_keys<'a>(keys: &[&'static str], data: &'a BTreeMap<String, Vec<u8>>) -> BTreeMap<&'static str, &'a [u8]> {
    keys.iter().filter_map(|key| Some((*key, data.get(*key)?.as_slice()))).collect()
}

fn authorization(known: &BTreeMap<&str, &[u8]>) -> Result<Option<HeaderValue>, SecretError> {
    let value = match (known.get("username"), known.get("password"), known.get("bearerToken")) {
        (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => return Err(SecretError::Ambiguous),
        (Some(_), None, _) => return Err(SecretError::Missing { has: "username", missing: "password" }),
        (None, Some(_), _) => return Err(SecretError::Missing { has: "password", missing: "username" }),
        (Some(user), Some(password), None) => basic(user, password)?,
        (None, None, Some(token)) => [b"Bearer ".as_slice(), one_line("bearerToken", token)?].concat(),
        (None, None, None) => return Ok(None),
    };
    let unusable = SecretError::Unusable { key: "bearerToken", why: "cannot be sent in a header: write it again" };
    let mut value = HeaderValue::from_bytes(&value).map_err(|_| unusable)?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn basic(user: &[u8], password: &[u8]) -> Result<Vec<u8>, SecretError> {
    let user = one_line("username", user)?;
    if user.contains(&b':') {
        return Err(SecretError::Unusable { key: "username", why: "has a colon, which no user name may have" });
    }
    let pair = [user, b":", one_line("password", password)?].concat();
    Ok(format!("Basic {}", STANDARD.encode(pair)).into_bytes())
}

/// A value without the line end that an editor or `echo` adds.
fn one_line<'a>(key: &'static str, value: &'a [u8]) -> Result<&'a [u8], SecretError> {
    let value = value.strip_suffix(b"\n").unwrap_or(value);
    let value = value.strip_suffix(b"\r").unwrap_or(value);
    if value.is_empty() {
        return Err(SecretError::Unusable { key, why: "is empty: give it a value, or remove it" });
    }
    if value.iter().any(u8::is_ascii_control) {
        return Err(SecretError::Unusable { key, why: "has control characters or several lines: write it again" });
    }
    Ok(value)
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, SecretError> {
    let unusable = SecretError::Unusable { key: "ca.crt", why: "has no certificate in PEM form that can be read" };
    let certificates = certificates(pem).ok_or_else(|| unusable.clone())?;
    let mut store = RootCertStore::empty();
    for certificate in certificates {
        store.add(certificate).map_err(|_| unusable.clone())?;
    }
    Ok(store)
}

fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.ok().filter(|all| !all.is_empty())
}

fn certificate(known: &BTreeMap<&str, &[u8]>) -> Result<Option<CertifiedKey>, SecretError> {
    let (chain, key) = match (known.get("tls.crt"), known.get("tls.key")) {
        (None, None) => return Ok(None),
        (Some(_), None) => return Err(SecretError::Missing { has: "tls.crt", missing: "tls.key" }),
        (None, Some(_)) => return Err(SecretError::Missing { has: "tls.key", missing: "tls.crt" }),
        (Some(chain), Some(key)) => (chain, key),
    };
    let why = "has no certificate in PEM form that can be read";
    let chain = certificates(chain).ok_or(SecretError::Unusable { key: "tls.crt", why })?;
    let why = "has no private key in PEM form that can be read; one with a passphrase cannot";
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| SecretError::Unusable { key: "tls.key", why })?;
    let provider = rustls::crypto::ring::default_provider();
    let own = CertifiedKey::from_der(chain, key, &provider).map_err(|_| SecretError::Unusable {
        key: "tls.key",
        why: "is of a kind that is not known, or is not the key of the certificate in tls.crt",
    })?;
    Ok(Some(own))
}

fn fingerprint(known: &BTreeMap<&str, &[u8]>) -> String {
    let mut digest = Sha256::new();
    for (key, value) in known {
        digest.update(key.as_bytes());
        digest.update([0]);
        digest.update((value.len() as u64).to_be_bytes());
        digest.update(value);
    }
    hexadecimal(&digest.finalize(), 64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn data(pairs: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect()
    }

    fn header(pairs: &[(&str, &str)]) -> String {
        let credentials = Credentials::read(&data(pairs)).unwrap();
        credentials.authorization().unwrap().to_str().unwrap().to_owned()
    }

    fn own() -> (String, String) {
        let own = rcgen::generate_simple_self_signed(["git.test".to_owned()]).unwrap();
        (own.cert.pem(), own.signing_key.serialize_pem())
    }

    #[test]
    fn a_user_and_a_token_become_a_header_without_the_line_end_of_an_editor() {
        assert_eq!(header(&[("username", "ann\n"), ("password", "a:b\r\n")]), "Basic YW5uOmE6Yg==");
        assert_eq!(header(&[("bearerToken", "abc\n")]), "Bearer abc");
    }

    #[test]
    fn an_error_names_the_key_and_never_a_value() {
        let (certificate, _) = own();
        let (_, other) = own();
        let wrong: [&[(&str, &str)]; 13] = [
            &[],
            &[("identity", "hush")],
            &[("username", "hush")],
            &[("password", "hush")],
            &[("username", "hush"), ("bearerToken", "hush")],
            &[("username", "hush:er"), ("password", "hush")],
            &[("username", "hush"), ("password", "")],
            &[("bearerToken", "hush\r\nHost: other")],
            &[("ca.crt", "hush")],
            &[("ca.crt", "-----BEGIN CERTIFICATE-----\naHVzaA==\n-----END CERTIFICATE-----\n")],
            &[("tls.crt", "hush")],
            &[("tls.crt", "hush"), ("tls.key", "hush")],
            &[("tls.crt", &certificate), ("tls.key", &other)],
        ];
        for pairs in wrong {
            let error = Credentials::read(&data(pairs)).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(!text.contains("hush") && !text.contains("aHVz"), "{text}");
        }
        let missing = Credentials::read(&data(&[("username", "x")])).unwrap_err();
        assert_eq!(missing.to_string(), "the Secret has username, but not password: add it, or remove username");
    }

    #[test]
    fn what_was_shown_is_found_in_a_text_as_it_was_sent_and_as_it_was_read() {
        let basic = Credentials::read(&data(&[("username", "ann"), ("password", "hush")])).unwrap();
        let token = Credentials::read(&data(&[("bearerToken", "hush")])).unwrap();
        assert!(basic.stand_in("it was hush") && basic.stand_in("Basic YW5uOmh1c2g=") && token.stand_in("Bearer hush"));
        assert!(!basic.stand_in("ann may not push") && !Credentials::default().stand_in("anything"));
    }

    #[test]
    fn what_is_read_is_not_shown_and_other_credentials_have_another_fingerprint() {
        let (certificate, key) = own();
        let all = [("bearerToken", "hush"), ("ca.crt", &*certificate), ("tls.crt", &*certificate), ("tls.key", &*key)];
        let credentials = Credentials::read(&data(&all)).unwrap();
        assert_eq!(
            format!("{credentials:?}"),
            "Credentials { authorization: true, authorities: true, certificate: true, login: false, .. }"
        );
        assert!(!credentials.is_anonymous() && Credentials::default().is_anonymous());
        let again = Credentials::read(&data(&all)).unwrap();
        let other = Credentials::read(&data(&[("bearerToken", "hush2")])).unwrap();
        assert_eq!(credentials.fingerprint(), again.fingerprint());
        assert_ne!(credentials.fingerprint(), other.fingerprint());
        assert_eq!(Credentials::default().fingerprint(), "");
    }
}
