//! Whom one trusts: keys of hosts, and signatures of commits.

use std::collections::BTreeMap;

use landfall::git::{
    known::KnownHosts,
    openpgp::{self, keys::Keyring, packets, verdict},
    signature::{Flaw, Signed, Signers},
};

use super::secrets;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

/// What is known of a host is in the file, and no message quotes it.
pub fn known_hosts(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let known = match KnownHosts::read(input) {
        Ok(known) => known,
        Err(error) => {
            let error = error.to_string();
            assert!(secrets(&text).all(|secret| !error.contains(secret)), "{error}");
            return;
        }
    };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).count();
    for (host, port) in [("git.test", 22), ("git.test", 2222), ("10.0.0.1", 22), ("", 22)] {
        let found = known.of(host, port);
        assert!(found.keys.len() <= lines, "{host}");
        // A key is taken exactly where no line revokes it.
        for key in &found.keys {
            let revoked = text.contains("@revoked");
            assert!(found.judge(key).is_ok() || revoked, "{host}");
        }
    }
    // With another line of that host, its key is known.
    let more = [input, b"\ngit.example ", KEY.as_bytes(), b"\n"].concat();
    if lines < 2000 {
        assert!(!KnownHosts::read(&more).unwrap().of("git.example", 22).keys.is_empty(), "a key is lost");
    }
}

/// No signature that somebody made up holds, and no message quotes a key.
pub fn signature(input: &[u8]) {
    let read = |name: &str, content: &[u8]| Signers::read(&BTreeMap::from([(name.to_owned(), content.to_vec())]));
    for name in ["allowed_signers", "a.pub", "a.asc", "a.pgp"] {
        if let Err(error) = read(name, input) {
            let error = error.to_string();
            assert!(secrets(&String::from_utf8_lossy(input)).all(|secret| !error.contains(secret)), "{error}");
        }
    }
    // The content is nobody's, so that a good signature of something else does not hold either.
    let signed = Signed { signature: input.to_vec(), content: b"what nobody has signed".to_vec() };
    let trusted = read("a.pub", KEY.as_bytes()).unwrap();
    let flaw = trusted.verify(Some(&signed)).expect_err("a signature is accepted that nobody made");
    if let Flaw::Untrusted(key) = &flaw {
        assert!(key.starts_with("SHA256:") && key.len() < 100, "{key}");
    }
}

/// Keys of OpenPGP are kept as they are and are public, a signature is signatures and nothing else, and no words of the program
/// become a success or more than a line.
pub fn openpgp(input: &[u8]) {
    let mut keyring = Keyring::default();
    if keyring.add(input).is_ok() {
        let packets = packets::read(keyring.content()).expect("what is kept cannot be read");
        let count = packets.iter().filter(|packet| packet.tag == packets::PUBLIC_KEY).count();
        assert!(!keyring.is_empty() && keyring.len() <= count, "{keyring:?}");
        assert!(!packets.iter().any(|packet| [packets::SECRET_KEY, packets::SECRET_SUBKEY].contains(&packet.tag)));
        let mut again = Keyring::default();
        assert!(again.add(keyring.content()).is_ok() && again == keyring, "it is another one when it is read again");
    }
    let text = String::from_utf8_lossy(input);
    if let Ok(signature) = openpgp::signature(&text) {
        let packets = packets::read(&signature).expect("a signature cannot be read");
        assert!((1..=16).contains(&packets.len()), "{} signatures", packets.len());
        assert!(packets.iter().all(|packet| packet.tag == packets::SIGNATURE && packet.body.starts_with(&[4, 0])));
    }
    assert!(!verdict::names_a_key(&text, &Keyring::default()), "a key is named that nobody has");
    assert_eq!(verdict::refusal(None, &text), None);
    if let Some(flaw) = verdict::refusal(Some(1), &text) {
        let words = flaw.to_string();
        assert!(words.len() < 1500 && !words.contains(char::is_control), "{words}");
    }
}
