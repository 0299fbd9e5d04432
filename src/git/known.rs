//! Which keys the hosts of others have, as `known_hosts` says it.

use std::str::FromStr;

use ring::hmac;
use russh::keys::{
    PublicKey, parse_public_key_base64,
    ssh_key::known_hosts::{HostPatterns, Marker},
};

use super::{error::Mismatch, secret::SecretError};

/// The most lines that are read.
const LINES_MAX: usize = 2000;
/// The longest pattern of a host.
const PATTERN_MAX: usize = 300;

/// What is known of all hosts.
#[derive(Clone, Default)]
pub struct KnownHosts(Vec<Line>);

#[derive(Clone)]
struct Line {
    marker: Option<Marker>,
    hosts: HostPatterns,
    key: PublicKey,
}

/// What is known of one host.
#[derive(Clone, Default)]
pub struct Known {
    /// Its keys.
    pub keys: Vec<PublicKey>,
    revoked: Vec<PublicKey>,
}

impl KnownHosts {
    /// Reads the lines of a file.
    ///
    /// # Errors
    /// A line cannot be read, or there are none or too many.
    pub fn read(value: &[u8]) -> Result<Self, SecretError> {
        let unusable = |why| SecretError::Unusable { key: "known_hosts", why };
        let text = std::str::from_utf8(value).map_err(|_| unusable("is no text"))?;
        let lines = text.lines().map(str::trim).enumerate();
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let lines: Result<Vec<_>, _> =
            lines.map(|(at, line)| Line::read(line).ok_or(SecretError::KnownHosts { line: at + 1 })).collect();
        let lines = lines?;
        match lines.len() {
            0 => Err(unusable("has no line: put there what `ssh-keyscan HOST` prints, once it was compared")),
            1..=LINES_MAX => Ok(Self(lines)),
            _ => Err(unusable("has more than 2000 lines: leave those of the repository's host")),
        }
    }

    /// What is known of a host at a port.
    pub fn of(&self, host: &str, port: u16) -> Known {
        let bracketed = format!("[{host}]:{port}");
        let names: Vec<&str> = if port == 22 { vec![host, &bracketed] } else { vec![&bracketed] };
        let mut known = Known::default();
        for line in self.0.iter().filter(|line| names.iter().any(|name| is_for(&line.hosts, name))) {
            match line.marker {
                None => known.keys.push(line.key.clone()),
                Some(Marker::Revoked) => known.revoked.push(line.key.clone()),
                // Certificates of hosts are not asked for.
                Some(Marker::CertAuthority) => {}
            }
        }
        known
    }
}

impl Line {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let mut word = words.next()?;
        let marker = word.starts_with('@').then(|| Marker::from_str(word));
        if marker.is_some() {
            word = words.next()?;
        }
        let hosts = HostPatterns::from_str(word).ok()?;
        let (_, key) = (words.next()?, words.next()?);
        let key = parse_public_key_base64(key).ok()?;
        Some(Self { marker: marker.transpose().ok()?, hosts, key })
    }
}

impl Known {
    /// What is wrong with a key that the host has shown.
    ///
    /// # Errors
    /// It is not known, or revoked.
    pub fn judge(&self, shown: &PublicKey) -> Result<(), Mismatch> {
        let has = |keys: &[PublicKey]| keys.iter().any(|key| key.key_data() == shown.key_data());
        if has(&self.revoked) {
            return Err(Mismatch::Revoked);
        }
        if has(&self.keys) { Ok(()) } else { Err(Mismatch::Changed) }
    }
}

fn is_for(hosts: &HostPatterns, name: &str) -> bool {
    match hosts {
        HostPatterns::HashedName { salt, hash } => {
            let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
            hmac::verify(&key, name.as_bytes(), hash).is_ok()
        }
        HostPatterns::Patterns(patterns) => {
            let fits = |pattern: &str| pattern.len() <= PATTERN_MAX && fits(&pattern.to_ascii_lowercase(), name);
            let refused = patterns.iter().filter_map(|pattern| pattern.strip_prefix('!')).any(fits);
            !refused && patterns.iter().any(|pattern| !pattern.starts_with('!') && fits(pattern))
        }
    }
}

/// Whether a name is as a pattern with `*` and `?` says.
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut seen) = (0, 0);
    // Where the last star stands, and up to where it was tried.
    let mut star: Option<(usize, usize)> = None;
    while seen < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[seen] => (at, seen) = (at + 1, seen + 1),
            _ => {
                let Some((stands, tried)) = star else { return false };
                star = Some((stands, tried + 1));
                (at, seen) = (stands + 1, tried + 1);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const TWO: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILIG2T/B0l0gaqj3puu510tu9N1OkQ4znY3LYuEm5zCF";

    fn keys(text: &str, host: &str, port: u16) -> usize {
        KnownHosts::read(text.as_bytes()).unwrap().of(host, port).keys.len()
    }

    #[test]
    fn a_host_has_the_keys_of_every_line_that_is_about_it() {
        let text = format!("# a remark\n\ngit.test,10.0.0.1 {ONE} comment\nother.test {ONE}\nGIT.test {TWO}\r\n");
        assert_eq!(keys(&text, "git.test", 22), 2);
        assert_eq!(keys(&text, "10.0.0.1", 22), 1);
        assert_eq!(keys(&text, "git.test", 2222), 0, "another port is another server");
        assert_eq!(keys(&format!("[git.test]:2222 {ONE}"), "git.test", 2222), 1);
        assert_eq!(keys(&format!("[git.test]:2222 {ONE}"), "git.test", 22), 0);
        assert_eq!(keys(&format!("*.test,!bad.* {ONE}"), "git.test", 22), 1);
        assert_eq!(keys(&format!("*.test,!bad.* {ONE}"), "bad.test", 22), 0);
        assert_eq!(keys(&format!("g?t.t*t {ONE}"), "git.test", 22), 1);
    }

    #[test]
    fn a_hashed_name_is_found_and_no_other_one() {
        let salt = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"12345678901234567890");
        let hash = hmac::sign(&salt, b"[git.test]:2222");
        let base64 = |bytes: &[u8]| base64::Engine::encode(&base64::prelude::BASE64_STANDARD, bytes);
        let text = format!("|1|{}|{} {ONE}", base64(b"12345678901234567890"), base64(hash.as_ref()));
        assert_eq!(keys(&text, "git.test", 2222), 1);
        assert_eq!(keys(&text, "git.test", 22), 0);
    }

    #[test]
    fn a_revoked_key_is_refused_whatever_another_line_says_and_an_authority_is_no_key() {
        let text = format!("git.test {ONE}\n@revoked * {ONE}\n@cert-authority git.test {TWO}\n");
        let known = KnownHosts::read(text.as_bytes()).unwrap().of("git.test", 22);
        let key = |line: &str| parse_public_key_base64(line.split(' ').nth(1).unwrap()).unwrap();
        assert_eq!(known.judge(&key(ONE)), Err(Mismatch::Revoked));
        assert_eq!(known.judge(&key(TWO)), Err(Mismatch::Changed));
        assert_eq!(known.keys.len(), 1);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named_and_not_shown() {
        for text in [format!("# x\ngit.test {ONE}\nhush"), format!("\n\n@hush git.test {ONE}"), "a\nb hush".to_owned()]
        {
            let error = KnownHosts::read(text.as_bytes()).err().unwrap().to_string();
            assert!(error.contains("line ") && !error.contains("hush"), "{error}");
        }
        assert!(KnownHosts::read(b"# nothing\n").is_err());
    }
}
