//! What a repository points at, while people rewrite it.

use std::{fs, time::Duration};

use landfall::git::{
    error::GitError,
    mirror::{Limits, Remote, Wanted},
};

use sha2::{Digest, Sha256};

use super::{
    main,
    server::{PATIENCE, Server},
};

#[tokio::test]
async fn a_branch_a_tag_a_range_and_a_commit_are_found_and_fetched() {
    let server = Server::start("wanted");
    let repository = &server.repository;
    let old = repository.commit("old", None);
    let new = repository.commit("new", Some(&old));
    repository.branch("main", &new);
    repository.branch("x/main", &old);
    repository.git(&["tag", "v1.2.0", &old], b"");
    repository.git(&["tag", "-a", "-m", "with a message", "v1.10.0", &new], b"");
    repository.git(&["tag", "v2.0.0", &old], b"");
    let mirrors = server.mirrors();
    let remote = server.remote("public", &[]);
    let wanted = [
        (main(), &new),
        (Wanted::Branch("x/main".to_owned()), &old),
        (Wanted::Tag("v1.2.0".to_owned()), &old),
        (Wanted::Tag("v1.10.0".to_owned()), &new),
        (Wanted::Semver(">=1, <2".parse().unwrap()), &new),
        (Wanted::Commit(old.clone()), &old),
    ];
    for (wanted, commit) in wanted {
        assert_eq!(mirrors.look(&remote, &wanted, PATIENCE).await.unwrap(), *commit, "{wanted:?}");
        assert_eq!(mirrors.fetch(&remote, &wanted, commit, PATIENCE).await.unwrap().id, *commit, "{wanted:?}");
        mirrors.collect(&[], Duration::ZERO).await.unwrap();
    }
    assert_eq!(fs::read_dir(server.scratch.0.join("mirrors")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_mirror_goes_once_it_is_neither_followed_nor_used_for_a_while() {
    const WHILE: Duration = Duration::from_hours(24);
    let server = Server::start("collected");
    let repository = &server.repository;
    let commit = repository.commit("one", None);
    repository.branch("main", &commit);
    let (followed, other) =
        (server.remote("public", &[]), server.remote("basic", &[("username", "ann"), ("password", "right")]));
    let mirrors = server.mirrors();
    let names = || fs::read_dir(server.scratch.0.join("mirrors")).unwrap().count();
    mirrors.fetch(&followed, &main(), &commit, PATIENCE).await.unwrap();
    mirrors.fetch(&other, &main(), &commit, PATIENCE).await.unwrap();
    mirrors.collect(&[], WHILE).await.unwrap();
    assert_eq!(names(), 2, "they were used just now");
    mirrors.collect(std::slice::from_ref(&followed), Duration::ZERO).await.unwrap();
    assert_eq!(names(), 1, "one is followed");
    mirrors.list(&followed, &commit, "").await.unwrap();
    // What a process before this one left is as old as this process.
    let next = server.mirrors();
    next.collect(&[], WHILE).await.unwrap();
    assert_eq!(names(), 1);
    next.collect(&[], Duration::ZERO).await.unwrap();
    assert_eq!(names(), 0);
}

#[tokio::test]
async fn an_older_commit_is_found_in_the_history_also_where_hashes_are_not_given() {
    let server = Server::start("older");
    let repository = &server.repository;
    let oldest = repository.commit("oldest", None);
    let old = repository.commit("old", Some(&oldest));
    let new = repository.commit("new", Some(&old));
    repository.branch("main", &new);
    let (mirrors, remote) = (server.mirrors(), server.remote("public", &[]));
    mirrors.fetch(&remote, &main(), &new, PATIENCE).await.unwrap();
    let wanted = Wanted::Commit(old.clone());
    let revision = mirrors.fetch(&remote, &wanted, &old, PATIENCE).await.unwrap();
    assert_eq!(revision.message, "old\n");
    mirrors.list(&remote, &old, "").await.unwrap();

    repository.git(&["config", "uploadpack.allowReachableSHA1InWant", "true"], b"");
    mirrors.collect(&[], Duration::ZERO).await.unwrap();
    mirrors.fetch(&remote, &wanted, &old, PATIENCE).await.unwrap();
    let error = mirrors.list(&remote, &oldest, "").await.unwrap_err();
    assert!(matches!(error, GitError::NoSuchReference { .. }), "the history was fetched: {error}");

    for unknown in ["1".repeat(40), "1".repeat(64)] {
        let error = mirrors.fetch(&remote, &Wanted::Commit(unknown.clone()), &unknown, PATIENCE).await.unwrap_err();
        assert!(matches!(error, GitError::NoSuchReference { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_rewritten_history_is_fetched_and_a_commit_that_it_has_lost_is_named() {
    let server = Server::start("rewritten");
    let repository = &server.repository;
    let first = repository.commit("first", None);
    let lost = repository.commit("lost", Some(&first));
    repository.branch("main", &first);
    let (mirrors, remote) = (server.mirrors(), server.remote("public", &[]));
    mirrors.fetch(&remote, &main(), &first, PATIENCE).await.unwrap();
    repository.branch("main", &lost);
    let seen = mirrors.look(&remote, &main(), PATIENCE).await.unwrap();

    // Between the look and the fetch somebody pushes by force, to a history that has nothing in common.
    let other = repository.commit("other", None);
    repository.branch("main", &other);
    let error = mirrors.fetch(&remote, &main(), &seen, PATIENCE).await.unwrap_err();
    assert!(matches!(error, GitError::NoSuchReference { .. }), "{error}");
    assert!(error.to_string().contains("branch main: it was rewritten or deleted"), "{error}");
    let seen = mirrors.look(&remote, &main(), PATIENCE).await.unwrap();
    assert_eq!(mirrors.fetch(&remote, &main(), &seen, PATIENCE).await.unwrap().message, "other\n");
    repository.git(&["gc", "--quiet", "--prune=now"], b"");
    let next = repository.commit("next", Some(&other));
    repository.branch("main", &next);
    mirrors.fetch(&remote, &main(), &next, PATIENCE).await.unwrap();
    mirrors.list(&remote, &next, "").await.unwrap();

    repository.git(&["update-ref", "-d", "refs/heads/main"], b"");
    let error = mirrors.look(&remote, &main(), PATIENCE).await.unwrap_err();
    assert_eq!(error.to_string(), "the repository has no branch main");
    assert_eq!(mirrors.fetch(&remote, &main(), &next, PATIENCE).await.unwrap().id, next, "what is there stays");
}

#[tokio::test]
async fn a_mirror_grows_by_what_is_new_and_is_made_anew_before_it_has_too_many_packs() {
    let server = Server::start("packs");
    let repository = &server.repository;
    // Nothing that could be compressed away.
    let large: String = (0..20_000)
        .map(|number: u32| Sha256::digest(number.to_be_bytes()))
        .fold(String::new(), |all, digest| all + &format!("{digest:x}"));
    let files = |content: &str| repository.files(&[("large", &large), ("small", content)]);
    let (mirrors, remote) = (server.mirrors(), server.remote("public", &[]));
    let mut parent = None;
    let mut most = 0;
    for number in 0..30 {
        let commit = repository.commit_tree(&files(&number.to_string()), "next", parent.as_deref());
        repository.branch("main", &commit);
        mirrors.fetch(&remote, &main(), &commit, PATIENCE).await.unwrap();
        let listing = mirrors.list(&remote, &commit, "").await.unwrap();
        let ids: Vec<_> = listing.entries.into_iter().map(|entry| entry.id).collect();
        assert_eq!(mirrors.read(&remote, &ids).await.unwrap()[1], number.to_string().as_bytes());
        let packs = packs(&server);
        most = most.max(packs.len());
        assert!(number == 0 || packs.iter().filter(|(_, size)| *size > 100_000).count() == 1, "{packs:?}");
        parent = Some(commit);
    }
    assert!((10..=21).contains(&most), "{most}");
    assert!(packs(&server).len() < 12);
}

fn packs(server: &Server) -> Vec<(String, u64)> {
    let all = fs::read_dir(server.scratch.mirror().join("objects/pack")).unwrap().map(|entry| entry.unwrap());
    let packs = all.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "pack"));
    packs.map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len())).collect()
}

#[tokio::test]
async fn a_damaged_mirror_is_made_anew() {
    let server = Server::start("damaged");
    let commit = server.repository.commit("one", None);
    server.repository.branch("main", &commit);
    let (mirrors, remote) = (server.mirrors(), server.remote("public", &[]));
    let read = async |remote: &Remote| {
        let listing = mirrors.list(remote, &commit, "").await?;
        mirrors.read(remote, &[listing.entries[0].id.clone()]).await
    };
    let harms: [fn(&Server); 4] = [
        |server| {
            let pack = server.scratch.mirror().join("objects/pack");
            let path = pack.join(&packs(server)[0].0);
            fs::remove_file(&path).unwrap();
            fs::write(path, b"no pack").unwrap();
        },
        |server| fs::remove_dir_all(server.scratch.mirror().join("objects/pack")).unwrap(),
        |server| fs::remove_file(server.scratch.mirror().join("HEAD")).unwrap(),
        |server| fs::remove_dir_all(server.scratch.mirror()).unwrap(),
    ];
    mirrors.fetch(&remote, &main(), &commit, PATIENCE).await.unwrap();
    for harm in harms {
        harm(&server);
        assert!(read(&remote).await.is_err());
        mirrors.fetch(&remote, &main(), &commit, PATIENCE).await.unwrap();
        assert_eq!(read(&remote).await.unwrap(), [b"one"]);
        // The fetch mends it also when nobody has read it before.
        harm(&server);
        mirrors.fetch(&remote, &main(), &commit, PATIENCE).await.unwrap();
        assert_eq!(read(&remote).await.unwrap(), [b"one"]);
    }
}

#[tokio::test]
async fn a_gigabyte_ends_with_the_limit_and_leaves_the_mirror_whole() {
    let server = Server::start("gigabyte");
    let repository = &server.repository;
    let small = repository.commit("small", None);
    repository.branch("main", &small);
    // Stored without compression, a gigabyte of zeros is a gigabyte on the wire.
    for key in ["core.compression", "pack.compression", "core.looseCompression"] {
        repository.git(&["config", key, "0"], b"");
    }
    let zeros = fs::File::create(repository.0.join("zeros")).unwrap();
    zeros.set_len(1 << 30).unwrap();
    let blob = repository.git(&["hash-object", "-w", "zeros"], b"");
    let tree = repository.tree(format!("100644 blob {blob}\tlarge\0").as_bytes());
    let large = repository.commit_tree(&tree, "large", Some(&small));
    let limits = Limits { received: 32 << 20, object: 2 << 30, ..Limits::default() };
    let (mirrors, remote) = (server.scratch.mirrors(limits), server.remote("public", &[]));
    mirrors.fetch(&remote, &main(), &small, PATIENCE).await.unwrap();
    repository.branch("main", &large);
    let error = mirrors.fetch(&remote, &main(), &large, PATIENCE).await.unwrap_err();
    assert_eq!(error.to_string(), "what the server sends is more than the limit of 32 MiB");
    let left = fs::read_dir(server.scratch.mirror().join("objects/pack")).unwrap().count();
    assert_eq!(left, 2, "a pack and its index are left, and nothing of the other one");
    assert_eq!(mirrors.list(&remote, &small, "").await.unwrap().entries.len(), 1);
    let strict = server.scratch.mirrors(Limits::default());
    let error = strict.fetch(&remote, &main(), &large, PATIENCE).await.unwrap_err();
    assert_eq!(error.to_string(), "an object of the repository is more than the limit of 64 MiB");
    repository.branch("main", &repository.commit("next", Some(&small)));
    let next = mirrors.look(&remote, &main(), PATIENCE).await.unwrap();
    mirrors.fetch(&remote, &main(), &next, PATIENCE).await.unwrap();
}
