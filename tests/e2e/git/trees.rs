//! What the commits of others contain.

use std::fmt::Write;

use landfall::{
    git::{
        error::GitError,
        mirror::{Limits, Mirrors, Remote},
    },
    gitops::tree::Kind,
};

use super::{
    main,
    server::{PATIENCE, Repository, Server},
};

/// Puts a directory on the branch and fetches it.
async fn fetched(server: &Server, mirrors: &Mirrors, tree: &str) -> (Remote, String) {
    let commit = server.repository.commit_tree(tree, "tree", None);
    server.repository.branch("main", &commit);
    let remote = server.remote("public", &[]);
    mirrors.fetch(&remote, &main(), &commit, PATIENCE).await.unwrap();
    (remote, commit)
}

/// Directories as somebody makes them who does not use git's own programs: those refuse such names.
pub fn crafted(repository: &Repository, name: &[u8], mode: &str, id: &str) -> String {
    let id: Vec<u8> = (0..20).map(|at| u8::from_str_radix(&id[at * 2..at * 2 + 2], 16).unwrap()).collect();
    let tree = [mode.as_bytes(), b" ", name, b"\0", &id].concat();
    repository.git(&["hash-object", "-w", "-t", "tree", "--literally", "--stdin"], &tree)
}

#[tokio::test]
async fn links_and_submodules_are_listed_as_such_and_never_followed() {
    let server = Server::start("links");
    let repository = &server.repository;
    let (file, link) = (repository.blob("file"), repository.blob("../../etc/passwd"));
    let deep = repository.tree(format!("120000 blob {link}\tlink\x00100755 blob {file}\trun\0").as_bytes());
    let lines = format!(
        "040000 tree {deep}\tdeep\x00100644 blob {file}\tdeep.yaml\x00160000 commit {}\tother\0",
        "1".repeat(40)
    );
    let mirrors = server.mirrors();
    let (remote, commit) = fetched(&server, &mirrors, &repository.tree(lines.as_bytes())).await;
    let listing = mirrors.list(&remote, &commit, "").await.unwrap();
    let entries: Vec<_> = listing.entries.iter().map(|e| (e.path.as_str(), e.kind, e.size)).collect();
    let expected = [
        ("deep.yaml", Kind::File, 4),
        ("deep/link", Kind::Link, 16),
        ("deep/run", Kind::File, 4),
        ("other", Kind::Submodule, 0),
    ];
    assert_eq!(entries, expected);
    let content = mirrors.read(&remote, &[link, file]).await.unwrap();
    assert_eq!(content, [b"../../etc/passwd".to_vec(), b"file".to_vec()]);
    let below = mirrors.list(&remote, &commit, "/deep/").await.unwrap();
    assert_eq!((below.id.as_str(), below.entries.len()), (deep.as_str(), 2));
    for directory in ["deep/link", "..", "deep/../deep", "other"] {
        let error = mirrors.list(&remote, &commit, directory).await.unwrap_err();
        assert!(matches!(error, GitError::NoSuchDirectory { .. }), "{directory}: {error}");
    }
}

#[tokio::test]
async fn paths_that_no_file_may_have_are_refused_and_shown_harmlessly() {
    let server = Server::start("paths");
    let file = server.repository.blob("file");
    let mirrors = server.mirrors();
    let inner = crafted(&server.repository, b"x", "100644", &file);
    let names: [(&[u8], &str); 8] = [
        (b"..", "40000"),
        (b"..", "100644"),
        (b".git", "40000"),
        (b".GIT", "100644"),
        (b"../../escape", "100644"),
        (b"\xff\xfe.yaml", "100644"),
        (b"a\x1b[2Jb", "100644"),
        (b".", "40000"),
    ];
    for (name, mode) in names {
        let id = if mode == "40000" { &inner } else { &file };
        let (remote, commit) = fetched(&server, &mirrors, &crafted(&server.repository, name, mode, id)).await;
        let error = mirrors.list(&remote, &commit, "").await.unwrap_err();
        assert!(matches!(error, GitError::BadPath { .. }), "{name:?}: {error}");
        assert!(!error.to_string().contains(char::is_control), "{error}");
    }
}

#[tokio::test]
async fn a_hundred_thousand_files_are_listed_and_one_more_is_too_many() {
    let server = Server::start("files");
    let repository = &server.repository;
    let mut input = "blob\nmark :1\ndata 4\nfile\ncommit refs/heads/main\nmark :2\ncommitter Ann <ann@shop.test> 1700000000 +0000\ndata 4\nmany\n".to_owned();
    for number in 0..100_000 {
        writeln!(input, "M 100644 :1 apps/{:03}/{number:05}.yaml", number % 500).unwrap();
    }
    input += "\ncommit refs/heads/more\nmark :3\ncommitter Ann <ann@shop.test> 1700000000 +0000\ndata 4\nmore\nfrom :2\nM 100644 :1 more.yaml\n";
    repository.git(&["fast-import", "--quiet"], input.as_bytes());
    let (mirrors, remote) = (server.mirrors(), server.remote("public", &[]));
    let commit = mirrors.look(&remote, &main(), PATIENCE).await.unwrap();
    mirrors.fetch(&remote, &main(), &commit, PATIENCE).await.unwrap();
    let listing = mirrors.list(&remote, &commit, "").await.unwrap();
    assert_eq!(listing.entries.len(), 100_000);
    assert!(listing.entries.is_sorted());
    assert_eq!(mirrors.list(&remote, &commit, "apps/007").await.unwrap().entries.len(), 200);
    let more = repository.git(&["rev-parse", "refs/heads/more"], b"");
    let wanted = landfall::git::mirror::Wanted::Branch("more".to_owned());
    mirrors.fetch(&remote, &wanted, &more, PATIENCE).await.unwrap();
    let error = mirrors.list(&remote, &more, "").await.unwrap_err();
    assert_eq!(error.to_string(), "the number of files is more than the limit of 100000");
}

#[tokio::test]
async fn directories_that_hold_each_other_and_files_that_are_too_large_end_with_a_limit() {
    let server = Server::start("bomb");
    let repository = &server.repository;
    let limits = Limits { file: 1000, files: 2500, ..Limits::default() };
    let mirrors = server.scratch.mirrors(limits);
    // Ten levels of ten directories, none of them with a file.
    let mut tree = repository.tree(b"");
    for _ in 0..10 {
        let lines = (0..10).fold(String::new(), |all, number| all + &format!("040000 tree {tree}\t{number}\0"));
        tree = repository.tree(lines.as_bytes());
    }
    let (remote, commit) = fetched(&server, &mirrors, &tree).await;
    let error = mirrors.list(&remote, &commit, "").await.unwrap_err();
    assert_eq!(error.to_string(), "the number of directories is more than the limit of 100000");

    let [large, small] = [1001, 1000].map(|size| "x".repeat(size));
    let tree = repository.files(&[("large", &large), ("small", &small)]);
    let (remote, commit) = fetched(&server, &mirrors, &tree).await;
    let ids: Vec<_> = mirrors.list(&remote, &commit, "").await.unwrap().entries.into_iter().map(|e| e.id).collect();
    let error = mirrors.read(&remote, &ids[..1]).await.unwrap_err();
    assert_eq!(error.to_string(), "a file of 1001 bytes is more than the limit of 1000 bytes");
    assert_eq!(mirrors.read(&remote, &ids[1..]).await.unwrap(), [small.as_bytes()]);
    let error = mirrors.read(&remote, &vec![ids[1].clone(); 3]).await.unwrap_err();
    assert_eq!(error.to_string(), "all files that are read together is more than the limit of 2500 bytes");
}
