//! Commits and tags that git signs with keys of GnuPG, verified by Debian's sqv as the operator runs it.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use landfall::{
    git::{
        mirror::{Mirrors, Remote, Wanted},
        signature::{Flaw, Signed, Signers, of_tag},
        verifier::{Verifier, VerifyError},
    },
    program::run::Programs,
};

use super::{
    main,
    server::{PATIENCE, Repository, Server},
    signatures::signature,
};
use crate::stage::renderers;

/// GnuPG with a home of its own, of a short path: sockets are in it.
pub struct Gnupg(PathBuf);

impl Gnupg {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("lf-gpg-{}-{number}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        let gnupg = Self(path);
        gnupg.settings("");
        gnupg
    }

    /// What every run of it is told, git's too.
    fn settings(&self, more: &str) {
        let settings = format!("batch\nyes\nno-tty\nquiet\npinentry-mode loopback\npassphrase \n{more}\n");
        fs::write(self.0.join("gpg.conf"), settings).unwrap();
    }

    /// Does something at another time.
    fn at<T>(&self, time: &str, work: impl FnOnce() -> T) -> T {
        self.with(&format!("faked-system-time {time}"), work)
    }

    /// Does something with another setting.
    fn with<T>(&self, setting: &str, work: impl FnOnce() -> T) -> T {
        self.settings(setting);
        let done = work();
        self.settings("");
        done
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("GNUPGHOME", &self.0).stderr(Stdio::null());
        command
    }

    fn run(&self, words: &[&str], input: &[u8]) -> Vec<u8> {
        let mut command = self.command("gpg");
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("gpg is missing: `hack/cluster/cluster tools` installs it");
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "gpg {words:?}");
        output.stdout
    }

    /// Makes a key for a use, which is good until a day, and returns its fingerprint.
    fn make(&self, name: &str, (usage, until): (&str, &str)) -> String {
        self.run(&["--quick-generate-key", &format!("{name} <{name}@shop.test>"), "ed25519", usage, until], b"");
        self.fingerprints(name).remove(0)
    }

    /// A key that signs.
    pub fn key(&self, name: &str) -> String {
        self.make(name, ("sign", "never"))
    }

    /// The fingerprints of a key and its subkeys.
    fn fingerprints(&self, name: &str) -> Vec<String> {
        let list = String::from_utf8(self.run(&["--with-colons", "--list-keys", name], b"")).unwrap();
        let of = |line: &str| line.strip_prefix("fpr:").map(|rest| rest.trim_matches(':').to_owned());
        list.lines().filter_map(of).collect()
    }

    /// Public keys, in armour.
    pub fn public(&self, names: &[&str]) -> String {
        String::from_utf8(self.run(&[&["--armor", "--export"], names].concat(), b"")).unwrap()
    }

    /// Revokes a key by the certificate that GnuPG made beside it.
    fn revoke(&self, key: &str) {
        let path = self.0.join(format!("openpgp-revocs.d/{key}.rev"));
        let certificate = fs::read_to_string(path).unwrap().replace("\n:-----BEGIN", "\n-----BEGIN");
        self.run(&["--import"], certificate.as_bytes());
    }

    /// Revokes a key as one that is no longer used, which says nothing against what it signed before.
    fn retire(&self, key: &str) {
        let answers = b"y\n3\n\ny\n";
        let certificate = self.run(&["--no-batch", "--command-fd", "0", "--armor", "--gen-revoke", key], answers);
        self.run(&["--import"], &certificate);
    }

    /// Runs git so that it signs with this key.
    pub fn git(&self, repository: &Repository, key: &str, words: &[&str]) -> String {
        let key = format!("user.signingkey={key}!");
        let words = [&["-c", "gpg.format=openpgp", "-c", &key][..], words].concat();
        repository.git_with(self.command("git"), &words, b"")
    }

    fn commit(&self, server: &Server, key: &str, content: &str) -> String {
        let tree = server.repository.files(&[("a.yaml", content)]);
        self.git(&server.repository, key, &["commit-tree", "-S", &tree, "-m", content])
    }

    /// A signature in armour.
    fn sign(&self, key: &str, words: &[&str], content: &[u8]) -> Vec<u8> {
        self.run(&[&["--armor", "--detach-sign", "--local-user", key], words].concat(), content)
    }
}

impl Drop for Gnupg {
    fn drop(&mut self) {
        let _ = self.command("gpgconf").args(["--kill", "gpg-agent"]).status();
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A repository, GnuPG, and what the operator verifies with.
struct Scene {
    server: Server,
    mirrors: Mirrors,
    remote: Remote,
    gnupg: Gnupg,
    verifier: Verifier,
}

impl Scene {
    fn new(name: &str) -> Self {
        let server = Server::start(name);
        server.repository.git(&["config", "uploadpack.allowAnySHA1InWant", "true"], b"");
        let (mirrors, remote) = (server.mirrors(), server.remote("public", &[]));
        let own = PathBuf::from(env!("CARGO_BIN_EXE_landfall"));
        let verifier = Verifier::new(Programs::new(own, renderers(), server.scratch.0.join("runs")));
        Self { server, mirrors, remote, gnupg: Gnupg::new(), verifier }
    }

    /// The signature of a commit, as it was fetched.
    async fn signed(&self, commit: &str) -> Option<Signed> {
        self.server.repository.branch("main", commit);
        signature(&self.mirrors, &self.remote, commit).await
    }

    async fn judge(&self, keys: &[(&str, &[u8])], signed: Option<Signed>) -> Result<(), Flaw> {
        let data: BTreeMap<_, _> = keys.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
        match self.verifier.verify(&Arc::new(Signers::read(&data).unwrap()), signed).await {
            Err(VerifyError::Flawed(flaw)) => Err(flaw),
            Err(unable) => panic!("{unable}"),
            Ok(()) => Ok(()),
        }
    }

    /// What is said of a commit where these keys are trusted.
    async fn of_commit(&self, keys: &str, commit: &str) -> Result<(), Flaw> {
        let signed = self.signed(commit).await;
        self.judge(&[("team.asc", keys.as_bytes())], signed).await
    }
}

#[tokio::test]
async fn a_commit_is_verified_by_the_key_or_the_subkey_that_signed_it_and_by_no_other() {
    let scene = Scene::new("openpgp");
    let gnupg = &scene.gnupg;
    let (ann, stranger) = (gnupg.key("ann"), gnupg.key("stranger"));
    let commit = gnupg.commit(&scene.server, &ann, "one");
    let signed = scene.signed(&commit).await;
    let [both, own, other] = [&["ann", "stranger"][..], &["ann"], &["stranger"]].map(|names| gnupg.public(names));
    let binary = gnupg.run(&["--export", "ann"], b"");
    let blocks = format!("of the stranger:\n{other}\nof Ann:\n{own}");
    let files =
        [("a.asc", own.as_bytes()), ("a.asc", both.as_bytes()), ("b.pgp", &binary), ("c.asc", blocks.as_bytes())];
    for file in files {
        assert_eq!(scene.judge(&[file], signed.clone()).await, Ok(()), "{}", file.0);
    }
    assert_eq!(scene.of_commit(&other, &commit).await, Err(Flaw::Untrusted(ann)));
    let ssh = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    assert_eq!(scene.judge(&[("a.pub", ssh.as_bytes())], signed).await, Err(Flaw::NoOpenPgp));

    // A key that only certifies, with a subkey that signs, which is revoked later.
    let bob = gnupg.make("bob", ("cert", "never"));
    gnupg.run(&["--quick-add-key", &bob, "ed25519", "sign", "never"], b"");
    let sub = gnupg.fingerprints("bob").remove(1);
    let commit = gnupg.commit(&scene.server, &sub, "two");
    assert_eq!(scene.of_commit(&gnupg.public(&["bob"]), &commit).await, Ok(()));
    gnupg.run(&["--command-fd", "0", "--edit-key", &bob], b"key 1\nrevkey\ny\n1\n\ny\nsave\n");
    assert_eq!(scene.of_commit(&gnupg.public(&["bob"]), &commit).await, Err(Flaw::Revoked(bob)));
    assert_eq!(scene.of_commit(&other, &gnupg.commit(&scene.server, &stranger, "three")).await, Ok(()));
}

#[tokio::test]
async fn a_key_that_expired_has_signed_what_names_an_earlier_time_and_a_revoked_one_nothing() {
    let scene = Scene::new("expired");
    let gnupg = &scene.gnupg;
    let key = gnupg.at("20200101T000000", || gnupg.make("ann", ("sign", "2020-03-01")));
    let public = gnupg.public(&["ann"]);
    let before = gnupg.at("20200201T000000", || gnupg.commit(&scene.server, &key, "before"));
    assert_eq!(scene.of_commit(&public, &before).await, Ok(()));

    // Its owner extends it and signs; whoever trusts it knows it as it was.
    gnupg.at("20200202T000000", || gnupg.run(&["--quick-set-expire", &key, "2y"], b""));
    let after = gnupg.at("20200401T000000", || gnupg.commit(&scene.server, &key, "after"));
    let expired = scene.of_commit(&public, &after).await.unwrap_err();
    assert!(
        matches!(&expired, Flaw::Expired { key: of, at } if *of == key && at.starts_with("2020-03-01")),
        "{expired}"
    );
    // GnuPG replaces what it says of a key when it is extended, so both exports are needed for both times.
    let extended = gnupg.public(&["ann"]);
    assert_eq!(scene.of_commit(&extended, &after).await, Ok(()));
    assert_eq!(scene.of_commit(&extended, &before).await, Err(Flaw::Unbound(key.clone())));
    for keys in [[&*public, &extended].concat(), [&*extended, &public].concat()] {
        for commit in [&before, &after] {
            assert_eq!(scene.of_commit(&keys, commit).await, Ok(()));
        }
    }

    // A revocation counts in whichever export it is.
    gnupg.revoke(&key);
    let revoked = gnupg.public(&["ann"]);
    assert_eq!(scene.of_commit(&revoked, &after).await, Err(Flaw::Revoked(key.clone())));
    for keys in [[&*public, &revoked].concat(), [&*revoked, &public].concat()] {
        for commit in [&before, &after] {
            assert_eq!(scene.of_commit(&keys, commit).await, Err(Flaw::Revoked(key.clone())));
        }
    }

    // What is said to be no longer used has signed what names an earlier time.
    let [made, then, retired, later] = ["20200101T000000", "20200201T000000", "20200301T000000", "20200401T000000"];
    let eve = gnupg.at(made, || gnupg.key("eve"));
    let before = gnupg.at(then, || gnupg.commit(&scene.server, &eve, "before it was retired"));
    let after = gnupg.at(later, || gnupg.commit(&scene.server, &eve, "after it was retired"));
    gnupg.at(retired, || gnupg.retire(&eve));
    let public = gnupg.public(&["eve"]);
    assert_eq!(scene.of_commit(&public, &before).await, Ok(()));
    assert_eq!(scene.of_commit(&public, &after).await, Err(Flaw::Revoked(eve)));

    let bob = gnupg.key("bob");
    let early = gnupg.at("20990101T000000", || gnupg.commit(&scene.server, &bob, "early"));
    assert_eq!(scene.of_commit(&gnupg.public(&["bob"]), &early).await, Err(Flaw::Early));
}

#[tokio::test]
async fn an_openpgp_signature_that_is_weak_or_of_other_content_or_for_something_else_is_none() {
    let scene = Scene::new("openpgp-forged");
    let (gnupg, repository) = (&scene.gnupg, &scene.server.repository);
    let ann = gnupg.key("ann");
    let public = gnupg.public(&["ann"]);
    let weak = gnupg.with("digest-algo SHA1", || gnupg.commit(&scene.server, &ann, "weak"));
    assert_eq!(scene.of_commit(&public, &weak).await, Err(Flaw::WeakOpenPgp));

    // The tree of another commit under the signature of a good one.
    let commit = gnupg.commit(&scene.server, &ann, "good");
    let text = repository.git(&["cat-file", "commit", &commit], b"") + "\n";
    let evil = repository.files(&[("a.yaml", "evil")]);
    let forged = format!("tree {evil}\n{}", text.split_once('\n').unwrap().1);
    let forged = repository.git(&["hash-object", "-w", "-t", "commit", "--stdin"], forged.as_bytes());
    assert_eq!(scene.of_commit(&public, &forged).await, Err(Flaw::Wrong));

    // What the same key has signed as text, whose line breaks do not count.
    let content = b"tree\n".to_vec();
    let judge = |signature| {
        let signed = Signed { signature, content: content.clone() };
        let keys = public.clone();
        let scene = &scene;
        async move { scene.judge(&[("a.asc", keys.as_bytes())], Some(signed)).await }
    };
    assert_eq!(judge(gnupg.sign(&ann, &[], &content)).await, Ok(()));
    assert_eq!(judge(gnupg.sign(&ann, &["--textmode"], &content)).await, Err(Flaw::Foreign));
    assert_eq!(judge(gnupg.sign(&ann, &[], b"other\n")).await, Err(Flaw::Wrong));
}

#[tokio::test]
async fn hostile_openpgp_signatures_are_refused_and_leave_nothing_behind() {
    let scene = Scene::new("openpgp-hostile");
    let ann = scene.gnupg.key("ann");
    let public = scene.gnupg.public(&["ann"]);
    let good = scene.gnupg.sign(&ann, &[], b"content");
    let bytes = scene.gnupg.run(&["--dearmor"], &good);
    let armoured = |bytes: &[u8]| {
        let text = String::from_utf8(scene.gnupg.run(&["--enarmor"], bytes)).unwrap();
        text.replace("ARMORED FILE", "SIGNATURE").into_bytes()
    };
    let mut cases: Vec<Vec<u8>> = vec![
        armoured(&[bytes.clone(), vec![0xcb, 0]].concat()),
        armoured(&bytes.repeat(17)),
        armoured(&[&[0xc2, 0xff, 0, 0, 0x9f, 0xff, 4, 0, 22, 8, 0xff, 0xff], &vec![0xff; 0x9ff9][..]].concat()),
        format!("-----BEGIN PGP SIGNATURE-----\n\n{}", "A".repeat(1 << 20)).into_bytes(),
        b"-----BEGIN PGP SIGNATURE-----\n\xff\xfe\n-----END PGP SIGNATURE-----\n".to_vec(),
    ];
    // Each byte of a good one turned, but for those that nothing depends on.
    cases.extend((0..bytes.len()).step_by(7).map(|at| {
        let mut turned = bytes.clone();
        turned[at] ^= 0x10;
        armoured(&turned)
    }));
    let (mut refused, all) = (0, cases.len());
    for signature in cases {
        let signed = Signed { signature, content: b"content".to_vec() };
        refused += usize::from(scene.judge(&[("a.asc", public.as_bytes())], Some(signed)).await.is_err());
    }
    // What is not hashed of a signature may be turned without harm: it is a hint whose key it is.
    assert!(refused >= all - 2, "{refused} of {all}");
    let left = fs::read_dir(scene.server.scratch.0.join("runs")).unwrap().count();
    assert_eq!(left, 0, "scratch directories are removed");
}

#[tokio::test]
async fn a_tag_of_openpgp_is_verified_with_its_name_and_its_commit() {
    let scene = Scene::new("openpgp-tag");
    let (gnupg, repository) = (&scene.gnupg, &scene.server.repository);
    let ann = gnupg.key("ann");
    let commit = repository.commit("one", None);
    repository.branch("main", &commit);
    gnupg.git(repository, &ann, &["tag", "-s", "-m", "about", "v1.0.0", &commit]);
    scene.mirrors.fetch(&scene.remote, &main(), &commit, PATIENCE).await.unwrap();
    let wanted = Wanted::Tag("v1.0.0".to_owned());
    let tag = scene.mirrors.tag(&scene.remote, &wanted, &commit, PATIENCE).await.unwrap();
    let text = tag.text.unwrap();
    let signed = of_tag(&text, "v1.0.0", &commit).unwrap();
    let public = scene.gnupg.public(&["ann"]);
    assert_eq!(scene.judge(&[("a.asc", public.as_bytes())], signed).await, Ok(()));
    let text = String::from_utf8(text).unwrap().replace("\nabout\n", "\nabove\n");
    let changed = of_tag(text.as_bytes(), "v1.0.0", &commit).unwrap();
    assert_eq!(scene.judge(&[("a.asc", public.as_bytes())], changed).await, Err(Flaw::Wrong));
}
