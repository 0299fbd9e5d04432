//! Keys of OpenPGP in a Secret, and what is made of a program that does not verify signatures made with them.

use std::{collections::BTreeMap, fs, os::unix::fs::symlink, path::PathBuf, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use landfall::{
    git::{
        openpgp::{armor, keys::Keyring, verdict},
        signature::{Flaw, Signed, Signers, SignersError, Verdict},
        verifier::{Verifier, VerifyError},
    },
    program::run::Programs,
};

const FINGERPRINT: &str = "230013B55CD93BBCAE7CEF08DBCB3E902DE18CEC";
const KEY: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEawt25RYJKwYBBAHaRw8BAQdAJ3ZdD/KyaaOioyqrJSnMAbVG/JK7ZQlk7ryz
QXt3YDm0Emdvb2QgPGdvb2RAeC50ZXN0PoiQBBMWCAA4FiEEIwATtVzZO7yufO8I
28s+kC3hjOwFAmsLduUCGwMFCwkIBwIGFQoJCAsCBBYCAwECHgECF4AACgkQ28s+
kC3hjOz56wEAjJmt9rHpWnwucsfn7JYlLsXE+KyoLISL/fYFfE5ifkQA/Aj44Jzk
pKJgvFyrE46o1IQ1g2sugPMYAcuJG7KuJ4UI
=iCuk
-----END PGP PUBLIC KEY BLOCK-----
";
/// Of `data` and a line break, by that key.
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----

iIIEABYIACoWIQQjABO1XNk7vK587wjbyz6QLeGM7AUCawt25gwcZ29vZEB4LnRl
c3QACgkQ28s+kC3hjOwVdQD/Z7jPj2j2wWmgSYAMpd6itoYkgZKjF4lcW53XMNIa
yhcBAOUYDoMK5h/a3QT1beEW+4uWB4ZfmVujwxJKH0ej9KMO
=kzOM
-----END PGP SIGNATURE-----
";
const SSH: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

fn binary() -> Vec<u8> {
    armor::blocks(KEY).unwrap().remove(0).content
}

fn read(values: &[(&str, &[u8])]) -> Result<Signers, SignersError> {
    Signers::read(&values.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect::<BTreeMap<_, _>>())
}

fn refusal(name: &str, value: &[u8]) -> String {
    let error = read(&[("a.pub", SSH.as_bytes()), (name, value)]).err().unwrap().to_string();
    assert!(!error.contains("hush") && !error.contains("mDMEawt25RY"), "{error}");
    error
}

fn signed() -> Signed {
    Signed { signature: SIGNATURE.as_bytes().to_vec(), content: b"data\n".to_vec() }
}

#[test]
fn keys_of_openpgp_are_trusted_in_armour_and_without_and_beside_those_of_ssh() {
    let mut keyring = Keyring::default();
    keyring.add(KEY.as_bytes()).unwrap();
    assert!(keyring.has(FINGERPRINT) && keyring.len() == 1);
    assert!(verdict::names_a_key(&format!("{FINGERPRINT}\n"), &keyring));
    assert!(!verdict::names_a_key(&FINGERPRINT.replace('2', "3"), &keyring));
    let bare = binary();
    let both: [&[(&str, &[u8])]; 3] = [
        &[("ann.asc", KEY.as_bytes())],
        &[("ann.GPG", &bare), ("bob.pub", SSH.as_bytes())],
        &[("ann.pgp", &bare), ("ann.asc", KEY.as_bytes()), ("README", b"hush")],
    ];
    for values in both {
        let asked = read(values).unwrap().verify(Some(&signed())).unwrap();
        let Verdict::Asks(question) = asked else { panic!("nobody is asked") };
        assert!(question.keyring.has(FINGERPRINT) && question.content == b"data\n");
        assert_eq!(question.signature, armor::blocks(SIGNATURE).unwrap().remove(0).content);
        assert_eq!(format!("{:?}", question.keyring), "Keyring(1)", "keys are not shown");
    }
    let other = read(&[("a.pub", SSH.as_bytes())]).unwrap().verify(Some(&signed()));
    assert_eq!(other, Err(Flaw::NoOpenPgp));
}

#[test]
fn a_private_key_is_refused_by_name_wherever_it_stands_and_never_shown() {
    let armoured = "# mine\n-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nhush\n-----END PGP PRIVATE KEY BLOCK-----\n";
    for name in ["ann.asc", "ann.gpg", "ann.pub", "notes"] {
        let error = refusal(name, armoured.as_bytes());
        assert!(error.starts_with(&format!("has a private key in {name}: ")), "{error}");
    }
    // The same without armour, and in armour that says something else.
    let mut bare = binary();
    bare[0] = 0x80 | 5 << 2;
    let mixed = format!(
        "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n{}\n-----END PGP PUBLIC KEY BLOCK-----\n",
        BASE64_STANDARD.encode(&bare)
    );
    for value in [&bare[..], mixed.as_bytes()] {
        assert!(refusal("ann.asc", value).starts_with("has a private key in ann.asc: "));
    }
}

#[test]
fn what_is_no_key_of_openpgp_is_refused_with_the_remedy() {
    let (cut, bare) = (KEY.replace("=iCuk\n-----END PGP PUBLIC KEY BLOCK-----\n", ""), binary());
    let other = KEY.replace("PUBLIC KEY BLOCK", "MESSAGE");
    let cases = [
        &b"hush"[..],
        b"",
        cut.as_bytes(),
        other.as_bytes(),
        SIGNATURE.as_bytes(),
        &bare[1..],
        &bare[..99],
        &bare[53..],
    ];
    for value in cases {
        let error = refusal("ann.asc", value);
        assert!(error.contains("ann.asc") && error.contains("`gpg --armor --export`"), "{error}");
    }
    let mut newer = binary();
    newer[2] = 6;
    assert!(refusal("ann.pgp", &newer).contains("another version than 4"));
    assert!(refusal("ann.asc", &vec![b'x'; (512 << 10) + 1]).contains("export-minimal"));
    assert!(matches!(read(&[("hush", KEY.as_bytes())]), Err(SignersError::Empty)));
}

/// What is said where this program stands in the place of sqv.
async fn with_program(name: &str, program: Option<&str>) -> VerifyError {
    let directory = std::env::temp_dir().join(format!("landfall-openpgp-{name}-{}", std::process::id()));
    drop(fs::remove_dir_all(&directory));
    fs::create_dir_all(&directory).unwrap();
    if let Some(program) = program {
        symlink(program, directory.join("sqv")).unwrap();
    }
    let own = PathBuf::from(env!("CARGO_BIN_EXE_landfall"));
    let verifier = Verifier::new(Programs::new(own, directory.clone(), directory.join("runs")));
    let signers = Arc::new(read(&[("a.asc", KEY.as_bytes())]).unwrap());
    let error = verifier.verify(&signers, Some(signed())).await.unwrap_err();
    assert_eq!(verifier.verify(&signers, None).await, Err(VerifyError::Flawed(Flaw::Unsigned)), "no program is needed");
    fs::remove_dir_all(&directory).unwrap();
    error
}

#[tokio::test]
async fn a_program_that_is_missing_or_does_not_verify_lets_nothing_through_and_refuses_nothing() {
    let missing = with_program("missing", None).await.to_string();
    let words =
        ["has a signature that could not be verified: this operator has no sqv in ", "the package sqv of Debian"];
    assert!(words.iter().all(|word| missing.contains(word)), "{missing}");
    for (program, words) in [
        // It ends well and names no key.
        ("/bin/true", "sqv: it named no key of the Secret"),
        ("/bin/false", "sqv: it failed"),
        // It does not know the arguments.
        ("/bin/cat", "sqv: it failed"),
        ("/etc/passwd", "sqv: it was not started"),
    ] {
        let error = with_program(program.rsplit('/').next().unwrap(), Some(program)).await;
        assert!(matches!(&error, VerifyError::Unable(said) if said.starts_with(words)), "{program}: {error}");
    }
}
