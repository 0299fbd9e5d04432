//! Submodules: repositories that a commit names, fetched as it records them and as carefully as the first one.

use landfall::{
    api::source::GitSource,
    git::{
        checkout::Checkout,
        error::GitError,
        mirror::{Limits, Mirrors, Remote},
    },
    gitops::tree::Kind,
};

use super::{
    main,
    server::{PATIENCE, Repository, Server},
};

/// One section of `.gitmodules`.
pub fn module(path: &str, url: &str) -> String {
    format!("[submodule \"{path}\"]\n\tpath = {path}\n\turl = {url}\n")
}

fn source(url: &str) -> GitSource {
    serde_json::from_value(serde_json::json!({"url": url, "submodules": true})).unwrap()
}

/// Fetches what main is at, and its submodules.
async fn checkout(server: &Server, mirrors: &Mirrors, remote: &Remote) -> Result<Checkout, GitError> {
    let commit = server.repository.git(&["rev-parse", "main"], b"");
    mirrors.fetch(remote, &main(), &commit, PATIENCE).await.unwrap();
    mirrors.checkout(remote, &source(&remote.url), &commit).await
}

/// The error of a checkout with its causes.
async fn refused(server: &Server, mirrors: &Mirrors, remote: &Remote) -> (GitError, String) {
    let error = checkout(server, mirrors, remote).await.err().expect("it is refused");
    let words = landfall::telemetry::chain(&error);
    (error, words)
}

fn paths(listing: &landfall::gitops::tree::Listing) -> Vec<(&str, Kind)> {
    listing.entries.iter().map(|entry| (entry.path.as_str(), entry.kind)).collect()
}

#[tokio::test]
async fn submodules_are_read_at_their_paths_as_they_are_recorded_and_not_asked_for_again() {
    let server = Server::start("modules");
    let [shared, deep] = ["shared.git", "deep.git"].map(|name| Repository::named(&server.scratch.0, name));
    let inner = deep.commit_modules(&[("x.yaml", "deep")], &[]);
    let recorded = shared.commit_modules(
        &[("base/a.yaml", "old"), (".gitmodules", &module("lib", "./../deep.git"))],
        &[("lib", &inner)],
    );
    // Branches have gone on since.
    shared.commit_modules(&[("base/a.yaml", "new")], &[]);
    deep.commit_modules(&[("x.yaml", "newer")], &[]);
    let modules = module("vendor/shared", "../shared.git") + &module("gone", "../nowhere.git");
    let files = [("a.yaml", "own"), (".gitmodules", &modules)];
    server.repository.commit_modules(&files, &[("vendor/shared", &recorded), ("unnamed", &inner)]);
    for repository in [&shared, &deep] {
        repository.git(&["config", "uploadpack.allowAnySHA1InWant", "true"], b"");
    }

    let (mirrors, remote) = (server.mirrors(), server.remote("basic", &[("username", "ann"), ("password", "right")]));
    let found = checkout(&server, &mirrors, &remote).await.unwrap();
    let listing = found.list("/").await.unwrap();
    let expected = [
        (".gitmodules", Kind::File),
        ("a.yaml", Kind::File),
        ("unnamed", Kind::Submodule),
        ("vendor/shared/.gitmodules", Kind::File),
        ("vendor/shared/base/a.yaml", Kind::File),
        ("vendor/shared/lib/x.yaml", Kind::File),
    ];
    assert_eq!(paths(&listing), expected);
    let ids: Vec<_> = [5, 1, 4].map(|at| listing.entries[at].id.clone()).to_vec();
    assert_eq!(found.read(&ids).await.unwrap(), [b"deep".to_vec(), b"own".to_vec(), b"old".to_vec()]);
    let below = found.list("/vendor/shared/base/").await.unwrap();
    assert_eq!(paths(&below), [("a.yaml", Kind::File)]);
    for directory in ["vendor/other", "vendor/shared/base/a.yaml", "..", "vendor/../vendor"] {
        let error = found.list(directory).await.unwrap_err();
        assert!(matches!(error, GitError::NoSuchDirectory { .. }), "{directory}: {error}");
    }

    let asked = server.requests().await.len();
    checkout(&server, &mirrors, &remote).await.unwrap();
    assert_eq!(server.requests().await.len(), asked, "what is there is not asked for");

    // Without the wish for them, they are what they were.
    let commit = server.repository.git(&["rev-parse", "main"], b"");
    let plain = GitSource { submodules: false, ..source(&remote.url) };
    let listing = mirrors.checkout(&remote, &plain, &commit).await.unwrap().list("/vendor").await.unwrap();
    assert_eq!(paths(&listing), [("shared", Kind::Submodule)]);
}

#[tokio::test]
async fn addresses_that_are_not_fetched_are_refused_with_their_line() {
    let server = Server::start("module-urls");
    let mirrors = server.mirrors();
    let commit = "1".repeat(40);
    let remote = server.remote("public", &[]);
    for url in [
        "file:///etc",
        "ext::sh -c hush",
        "--upload-pack=hush",
        "https://ann:hush@localhost/shop.git",
        "/srv/shop.git",
        "../../../shop.git",
    ] {
        server.repository.commit_modules(&[(".gitmodules", &module("lib", url))], &[("lib", &commit)]);
        let (error, words) = refused(&server, &mirrors, &remote).await;
        assert!(matches!(&error, GitError::Modules { line: 3, file, .. } if file == ".gitmodules"), "{url}: {words}");
        assert!(!words.contains("hush"), "{words}");
    }
    server.repository.commit_modules(&[(".gitmodules", &module("../lib", "../shop.git"))], &[("lib", &commit)]);
    let (error, words) = refused(&server, &mirrors, &remote).await;
    assert!(matches!(error, GitError::Modules { line: 2, .. }), "{words}");
    let twice = module("lib", "../a.git") + &module("lib", "../b.git");
    server.repository.commit_modules(&[(".gitmodules", &twice)], &[("lib", &commit)]);
    let (error, words) = refused(&server, &mirrors, &remote).await;
    assert!(matches!(error, GitError::Modules { line: 4, .. }), "{words}");
    // A redirect to an address that is not asked is judged as that of the repository itself.
    let forbidden = landfall::cluster::probe::forbidden::Forbidden::only(["127.0.0.2".parse().unwrap()].into());
    let strict = Mirrors::new(server.scratch.0.join("strict"), Limits::default(), forbidden);
    server.repository.commit_modules(&[(".gitmodules", &module("lib", "../../inside/shop.git"))], &[("lib", &commit)]);
    let (error, words) = refused(&server, &strict, &remote).await;
    assert!(matches!(error, GitError::Submodule { .. }), "{words}");
    assert!(words.starts_with("the submodule lib at lib: ") && words.contains("127.0.0.2"), "{words}");
}

#[tokio::test]
async fn credentials_are_for_the_host_of_the_source_alone_and_the_error_says_so() {
    let server = Server::start("module-access");
    let shared = Repository::named(&server.scratch.0, "shared.git");
    let commit = shared.commit_modules(&[("a.yaml", "a")], &[]);
    let remote = server.remote("basic", &[("username", "ann"), ("password", "right")]);
    let other = remote.url.replace("localhost", "127.0.0.1").replace("shop", "shared");
    let mirrors = server.mirrors();
    for url in [other.as_str(), "ssh://git@localhost/shared.git", "git@localhost:shared.git"] {
        server.repository.commit_modules(&[(".gitmodules", &module("lib", url))], &[("lib", &commit)]);
        let (error, words) = refused(&server, &mirrors, &remote).await;
        assert!(matches!(error, GitError::Submodule { is_left_out: true, .. }), "{url}: {words}");
        assert!(words.contains("for the host of spec.source.git.url alone"), "{words}");
    }
    let asked = server.requests().await;
    assert!(!asked.iter().any(|line| line.contains("shared")), "{asked:?}");
    // At the same host they are shown, and refused where they are not enough.
    let url = "../../token/shared.git";
    server.repository.commit_modules(&[(".gitmodules", &module("lib", url))], &[("lib", &commit)]);
    let (error, words) = refused(&server, &mirrors, &remote).await;
    assert_eq!(error.reason(), "AccessDenied", "{words}");
    assert!(words.starts_with("the submodule lib at lib: ") && !words.contains("alone"), "{words}");
}

#[tokio::test]
async fn what_never_ends_or_is_not_there_is_refused() {
    let server = Server::start("module-bounds");
    let (mirrors, remote) = (server.mirrors(), server.remote("public", &[]));
    // Each commit of a repository contains the one before.
    let own = module("again", "../shop.git");
    let mut commit = server.repository.commit_modules(&[("a.yaml", "a")], &[]);
    for _ in 0..6 {
        commit = server.repository.commit_modules(&[(".gitmodules", &own)], &[("again", &commit)]);
    }
    let (error, words) = refused(&server, &mirrors, &remote).await;
    let file = "again/again/again/.gitmodules";
    assert!(matches!(&error, GitError::Modules { file: at, .. } if at == file), "{words}");
    assert!(words.contains("nested more than 3 deep, or contains itself"), "{words}");

    let leaf = Repository::named(&server.scratch.0, "leaf.git");
    let recorded = leaf.commit_modules(&[("a.yaml", "a")], &[]);
    let names: Vec<String> = (0..100).map(|number| format!("m{number:03}")).collect();
    let many: String = names.iter().map(|name| module(name, "../leaf.git")).collect();
    let links: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), recorded.as_str())).collect();
    server.repository.commit_modules(&[(".gitmodules", &many)], &links);
    let (error, words) = refused(&server, &mirrors, &remote).await;
    assert!(matches!(error, GitError::Modules { line: 49, .. }), "{words}");
    assert!(words.contains("more than 16"), "{words}");
    server.repository.commit_modules(&[(".gitmodules", &many)], &links[..16]);
    let whole = checkout(&server, &mirrors, &remote).await.unwrap();
    assert_eq!(whole.list("/").await.unwrap().entries.len(), 17);

    let missing = "1".repeat(40);
    server.repository.commit_modules(&[(".gitmodules", &module("lib", "../leaf.git"))], &[("lib", &missing)]);
    let (_, words) = refused(&server, &mirrors, &remote).await;
    let expected = format!(
        "the submodule lib at lib: the repository has no commit {missing}: push it there, or record a commit that is there"
    );
    assert_eq!(words, expected);
}

#[tokio::test]
async fn what_may_arrive_is_counted_for_all_submodules_together() {
    let server = Server::start("module-sizes");
    let [one, two] = ["one.git", "two.git"].map(|name| Repository::named(&server.scratch.0, name));
    let [first, second] =
        [(&one, "1"), (&two, "2")].map(|(repository, text)| repository.commit_modules(&[("a.yaml", text)], &[]));
    let modules = module("one", "../one.git") + &module("two", "../two.git");
    server.repository.commit_modules(&[(".gitmodules", &modules)], &[("one", &first), ("two", &second)]);
    let remote = server.remote("public", &[]);
    // Each of them has three objects.
    let few = server.scratch.mirrors(Limits { objects: 5, ..Limits::default() });
    let (_, words) = refused(&server, &few, &remote).await;
    let limit = "the number of objects is more than the limit of 512 MiB and 5 objects for all submodules";
    assert_eq!(words, format!("the submodule two at two: {limit}"));
    let enough = Mirrors::new(
        server.scratch.0.join("enough"),
        Limits { objects: 6, ..Limits::default() },
        landfall::cluster::probe::forbidden::Forbidden::only(std::collections::BTreeSet::new()),
    );
    checkout(&server, &enough, &remote).await.unwrap();
}
