//! Repositories on real servers, on loopback: none of these tests needs a cluster.

mod faults;
mod history;
pub mod openpgp;
mod push;
pub mod server;
mod signatures;
pub mod ssh;
mod submodules;
mod trees;

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, sync::Arc};

use landfall::{
    cluster::probe::forbidden::Forbidden,
    git::{
        error::GitError,
        mirror::{Limits, Mirrors, Remote, Wanted},
        secret::Credentials,
    },
};

use self::server::{Identity, PATIENCE, Server};

fn main() -> Wanted {
    Wanted::Branch("main".to_owned())
}

#[tokio::test]
async fn a_public_repository_is_fetched_without_its_history_and_read_without_asking_again() {
    let server = Server::start("public");
    let first = server.repository.commit("one", None);
    let second = server.repository.commit("two", Some(&first));
    server.repository.branch("main", &second);
    let (mirrors, remote) = (server.mirrors(), server.remote("public", &[]));

    assert_eq!(mirrors.look(&remote, &main(), PATIENCE).await.unwrap(), second);
    let revision = mirrors.fetch(&remote, &main(), &second, PATIENCE).await.unwrap();
    assert_eq!((revision.id.as_str(), revision.message.as_str()), (second.as_str(), "two\n"));
    assert_eq!((revision.author.as_str(), revision.time), ("Ann <ann@shop.test>", 1_700_000_000));
    let asked = server.requests().await.len();

    let listing = mirrors.list(&remote, &second, "/").await.unwrap();
    let paths: Vec<_> = listing.entries.iter().map(|entry| (entry.path.as_str(), entry.size)).collect();
    assert_eq!(paths, [("a.yaml", 3)]);
    let ids = [listing.entries[0].id.clone()];
    assert_eq!(mirrors.read(&remote, &ids).await.unwrap(), [b"two"]);
    assert_eq!(mirrors.fetch(&remote, &main(), &second, PATIENCE).await.unwrap(), revision);
    let missing = mirrors.list(&remote, &first, "/").await.unwrap_err();
    assert_eq!(missing, GitError::NoSuchReference { what: format!("commit {first}") });
    assert_eq!(server.requests().await.len(), asked, "what is there is not asked for");

    let mode = fs::metadata(server.scratch.mirror()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn a_password_a_token_and_a_certificate_open_the_doors_that_they_are_for() {
    let server = Server::start("doors");
    let commit = server.repository.commit("one", None);
    server.repository.branch("main", &commit);
    let Identity { certificate, key, .. } = &server.identity;
    let doors: [(&str, &[(&str, &str)]); 3] = [
        ("basic", &[("username", "ann"), ("password", "right\n")]),
        ("token", &[("bearerToken", "right")]),
        ("certificate", &[("tls.crt", certificate), ("tls.key", key)]),
    ];
    let mirrors = server.mirrors();
    for (door, values) in doors {
        let remote = server.remote(door, values);
        assert_eq!(mirrors.look(&remote, &main(), PATIENCE).await.unwrap(), commit, "{door}");
        mirrors.fetch(&remote, &main(), &commit, PATIENCE).await.unwrap();
        let nobody = server.remote(door, &[]);
        let refused = mirrors.look(&nobody, &main(), PATIENCE).await.unwrap_err();
        assert!(matches!(refused, GitError::Denied { .. }), "{door}: {refused}");
        assert_eq!(refused.reason(), "AccessDenied");
        // Whoever has no credentials does not read what somebody else fetched with them.
        let refused = mirrors.fetch(&nobody, &main(), &commit, PATIENCE).await.unwrap_err();
        assert!(matches!(refused, GitError::Denied { .. }), "{door}: {refused}");
    }
    let stranger = Identity::new();
    let values = [("tls.crt", stranger.certificate.as_str()), ("tls.key", &stranger.key)];
    let refused = mirrors.look(&server.remote("certificate", &values), &main(), PATIENCE).await.unwrap_err();
    assert!(matches!(refused, GitError::Denied { .. } | GitError::Unreachable { .. }), "{refused}");
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_and_stands_in_no_error() {
    let server = Server::start("wrong");
    let commit = server.repository.commit("one", None);
    server.repository.branch("main", &commit);
    let mirrors = server.mirrors();
    let wrong = server.remote("basic", &[("username", "ann"), ("password", "hush-wrong")]);
    let error = mirrors.look(&wrong, &main(), PATIENCE).await.unwrap_err();
    assert!(matches!(error, GitError::Denied { .. }), "{error}");
    let right = server.remote("basic", &[("username", "ann"), ("password", "right")]);
    mirrors.look(&right, &main(), PATIENCE).await.unwrap();
    assert_eq!(server.requests().await, ["401 GET /basic/shop.git/info/refs", "200 GET /basic/shop.git/info/refs"]);
    let text = format!("{error} {error:?} {wrong:?}");
    assert!(!text.contains("hush") && !text.contains("YW5u"), "{text}");
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_or_at_a_forbidden_address_is_not_asked() {
    let server = Server::start("trust");
    let other = Identity::new();
    let mirrors = server.mirrors();
    for credentials in [other.credentials(&[("bearerToken", "right")]), Arc::new(Credentials::default())] {
        let remote = Remote { url: server.url("token"), credentials };
        let error = mirrors.look(&remote, &main(), PATIENCE).await.unwrap_err();
        assert!(matches!(error, GitError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains("certificate"), "{error}");
    }
    let root = server.scratch.0.join("strict");
    let strict = Mirrors::new(root, Limits::default(), Forbidden::strict(BTreeSet::new()));
    let error = strict.look(&server.remote("public", &[]), &main(), PATIENCE).await.unwrap_err();
    assert!(matches!(error, GitError::BadAddress { .. }), "{error}");
    let plain = Remote { url: "http://localhost/shop.git".to_owned(), credentials: Arc::default() };
    let error = mirrors.look(&plain, &main(), PATIENCE).await.unwrap_err();
    assert!(matches!(error, GitError::BadAddress { .. }), "{error}");
}

#[tokio::test]
async fn a_redirect_is_followed_with_credentials_on_the_same_server_alone() {
    let server = Server::start("moved");
    let commit = server.repository.commit("one", None);
    server.repository.branch("main", &commit);
    let mirrors = server.mirrors();
    let values = [("username", "ann"), ("password", "right")];
    let moved = server.remote("moved", &values);
    assert_eq!(mirrors.look(&moved, &main(), PATIENCE).await.unwrap(), commit);
    mirrors.fetch(&moved, &main(), &commit, PATIENCE).await.unwrap();
    let asked = server.requests().await.len();
    let error = mirrors.look(&server.remote("away", &values), &main(), PATIENCE).await.unwrap_err();
    assert!(matches!(error, GitError::BadAddress { .. }), "{error}");
    assert_eq!(server.requests().await.len(), asked + 1, "the other server was not asked");
    let nobody = server.remote("away", &[]);
    assert_eq!(mirrors.look(&nobody, &main(), PATIENCE).await.unwrap(), commit);
    mirrors.fetch(&nobody, &main(), &commit, PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_redirect_to_a_forbidden_address_is_not_followed() {
    let server = Server::start("inside");
    let forbidden = Forbidden::only(BTreeSet::from(["127.0.0.2".parse().unwrap()]));
    let mirrors = Mirrors::new(server.scratch.0.join("mirrors"), Limits::default(), forbidden);
    let error = mirrors.look(&server.remote("inside", &[]), &main(), PATIENCE).await.unwrap_err();
    assert!(matches!(error, GitError::BadAddress { .. }), "{error}");
    assert!(error.to_string().contains("127.0.0.2"), "{error}");
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let server = Server::start("missing");
    let mirrors = server.mirrors();
    let remote = server.remote("public", &[]);
    let empty = mirrors.look(&remote, &main(), PATIENCE).await.unwrap_err();
    assert_eq!(empty.to_string(), "the repository has no branch main");
    let commit = server.repository.commit("one", None);
    server.repository.branch("main", &commit);
    let range = Wanted::Semver(">=1.2, <2".parse().unwrap());
    let error = mirrors.look(&remote, &range, PATIENCE).await.unwrap_err();
    assert_eq!(error.to_string(), "the repository has no tag of a version in >=1.2, <2");
    let other = Remote { url: server.url("public").replace("shop", "shoe"), ..remote.clone() };
    let error = mirrors.look(&other, &main(), PATIENCE).await.unwrap_err();
    assert!(matches!(error, GitError::NoSuchRepository { .. }), "{error}");
    mirrors.fetch(&remote, &main(), &commit, PATIENCE).await.unwrap();
    let error = mirrors.list(&remote, &commit, "/production").await.unwrap_err();
    assert_eq!(error, GitError::NoSuchDirectory { directory: "/production".to_owned() });
    let error = mirrors.list(&remote, &commit, "a.yaml").await.unwrap_err();
    assert!(matches!(error, GitError::NoSuchDirectory { .. }), "{error}");
}
