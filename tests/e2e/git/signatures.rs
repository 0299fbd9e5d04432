//! Commits and tags that git signs with keys of OpenSSH, and those that it does not.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use landfall::git::{
    mirror::{Mirrors, Remote, Wanted},
    signature::{Flaw, Signed, Signers, Verdict, of_tag},
};

use super::{
    main,
    server::{PATIENCE, Server},
};

/// A signer's private key, with the public one beside it.
struct Signer(PathBuf);

impl Signer {
    fn make(server: &Server, name: &str, words: &[&str]) -> Self {
        let path = server.scratch.0.join(name);
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-N", "", "-C", "somebody", "-f"]).arg(&path).args(words);
        let status = command.status().expect("ssh-keygen is missing: `hack/cluster/cluster tools` installs it");
        assert!(status.success());
        Self(path)
    }

    fn public(&self) -> String {
        fs::read_to_string(self.0.with_extension("pub")).unwrap()
    }

    /// Runs git so that it signs with this key.
    fn git(&self, server: &Server, words: &[&str]) -> String {
        let key = format!("user.signingkey={}", self.0.display());
        server.repository.git(&[&["-c", "gpg.format=ssh", "-c", &key], words].concat(), b"")
    }

    fn commit(&self, server: &Server, content: &str) -> String {
        let tree = server.repository.files(&[("a.yaml", content)]);
        self.git(server, &["commit-tree", "-S", &tree, "-m", content])
    }
}

fn signers(values: &[(&str, &str)]) -> Signers {
    let data: BTreeMap<_, _> =
        values.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
    Signers::read(&data).unwrap()
}

/// The signature of a commit, after it was fetched.
pub async fn signature(mirrors: &Mirrors, remote: &Remote, commit: &str) -> Option<Signed> {
    mirrors.fetch(remote, &Wanted::Commit(commit.to_owned()), commit, PATIENCE).await.unwrap();
    mirrors.signature(remote, commit).await.unwrap()
}

#[tokio::test]
async fn a_commit_is_verified_by_whoever_signed_it_and_not_by_others() {
    let server = Server::start("signed");
    let (mirrors, remote) = (server.mirrors(), server.remote("public", &[]));
    server.repository.git(&["config", "uploadpack.allowAnySHA1InWant", "true"], b"");
    let kinds: [&[&str]; 3] = [&["-t", "ed25519"], &["-t", "ecdsa", "-b", "384"], &["-t", "rsa", "-b", "2048"]];
    let stranger = Signer::make(&server, "stranger", kinds[0]);
    for (number, kind) in kinds.into_iter().enumerate() {
        let ann = Signer::make(&server, &format!("ann-{number}"), kind);
        let commit = ann.commit(&server, &format!("content-{number}"));
        server.repository.branch("main", &commit);
        let signed = signature(&mirrors, &remote, &commit).await;
        let both = stranger.public() + &ann.public();
        assert_eq!(signers(&[("team.pub", &both)]).verify(signed.as_ref()), Ok(Verdict::Good), "{kind:?}");
        let line = format!("ann@shop.test namespaces=\"git\" {}", ann.public());
        assert_eq!(signers(&[("allowed_signers", &line)]).verify(signed.as_ref()), Ok(Verdict::Good), "{kind:?}");
        let other = signers(&[("other.pub", &stranger.public())]).verify(signed.as_ref()).unwrap_err();
        assert!(matches!(&other, Flaw::Untrusted(key) if key.starts_with("SHA256:")), "{other}");
    }
    let plain = server.repository.commit("plain", None);
    server.repository.branch("main", &plain);
    let unsigned = signature(&mirrors, &remote, &plain).await;
    let trusted = signers(&[("a.pub", &stranger.public())]);
    assert_eq!((&unsigned, trusted.verify(unsigned.as_ref())), (&None, Err(Flaw::Unsigned)));
}

#[tokio::test]
async fn a_signature_of_other_content_or_for_something_else_is_none() {
    let server = Server::start("forged");
    let repository = &server.repository;
    repository.git(&["config", "uploadpack.allowAnySHA1InWant", "true"], b"");
    let (mirrors, remote) = (server.mirrors(), server.remote("public", &[]));
    let ann = Signer::make(&server, "ann", &["-t", "ed25519"]);
    let trusted = signers(&[("ann.pub", &ann.public())]);
    let commit = ann.commit(&server, "good");
    let text = repository.git(&["cat-file", "commit", &commit], b"") + "\n";

    // The tree of another commit under the signature of a good one.
    let evil = repository.files(&[("a.yaml", "evil")]);
    let forged = format!("tree {evil}\n{}", text.split_once('\n').unwrap().1);
    let write = |text: &str| repository.git(&["hash-object", "-w", "-t", "commit", "--stdin"], text.as_bytes());
    let forged = write(&forged);
    repository.branch("main", &forged);
    let signed = signature(&mirrors, &remote, &forged).await;
    assert_eq!(trusted.verify(signed.as_ref()), Err(Flaw::Wrong));

    // What the same key has signed for files.
    let file = server.scratch.0.join("file");
    repository.branch("main", &commit);
    let content = signature(&mirrors, &remote, &commit).await.unwrap().content;
    fs::write(&file, &content).unwrap();
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-Y", "sign", "-n", "file", "-f"]).arg(&ann.0).arg(&file);
    assert!(command.status().unwrap().success());
    let signature = fs::read(file.with_extension("sig")).unwrap();
    assert_eq!(trusted.verify(Some(&Signed { signature, content })), Err(Flaw::Foreign));
}

#[tokio::test]
async fn a_tag_is_verified_with_its_name_and_its_commit() {
    let server = Server::start("tagged");
    let repository = &server.repository;
    let ann = Signer::make(&server, "ann", &["-t", "ed25519"]);
    let trusted = signers(&[("ann.pub", &ann.public())]);
    let commit = repository.commit("one", None);
    repository.branch("main", &commit);
    ann.git(&server, &["tag", "-s", "-m", "about", "v1.0.0", &commit]);
    repository.git(&["tag", "-a", "-m", "about", "v2.0.0", &commit], b"");
    repository.git(&["tag", "v3.0.0", &commit], b"");
    let (mirrors, remote) = (server.mirrors(), server.remote("public", &[]));
    // The commit is there without its tags.
    mirrors.fetch(&remote, &main(), &commit, PATIENCE).await.unwrap();

    for _ in 0..2 {
        let wanted = Wanted::Semver(">=1, <2".parse().unwrap());
        let tag = mirrors.tag(&remote, &wanted, &commit, PATIENCE).await.unwrap();
        assert_eq!(tag.name, "v1.0.0");
        let signed = of_tag(&tag.text.unwrap(), &tag.name, &commit).unwrap();
        assert_eq!(trusted.verify(signed.as_ref()), Ok(Verdict::Good));
    }
    let of = async |name: &str| mirrors.tag(&remote, &Wanted::Tag(name.to_owned()), &commit, PATIENCE).await;
    let unsigned = of("v2.0.0").await.unwrap();
    let signed = of_tag(&unsigned.text.unwrap(), "v2.0.0", &commit).unwrap();
    assert_eq!(trusted.verify(signed.as_ref()), Err(Flaw::Unsigned));
    assert_eq!(of("v3.0.0").await.unwrap().text, None);

    // A signed tag under a name that is worth more.
    let good = repository.git(&["rev-parse", "v1.0.0"], b"");
    repository.git(&["update-ref", "refs/tags/v9.0.0", &good], b"");
    let moved = of("v9.0.0").await.unwrap();
    assert_eq!(of_tag(&moved.text.unwrap(), &moved.name, &commit), Err(Flaw::OtherTag));
    let other = repository.commit("two", Some(&commit));
    repository.git(&["tag", "-f", "v1.0.0", &other], b"");
    let error = of("v1.0.0").await.unwrap_err();
    assert!(error.to_string().contains("rewritten or deleted meanwhile"), "{error}");
}
