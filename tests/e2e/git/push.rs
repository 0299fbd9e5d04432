//! Branches moved on real servers: a commit that undoes another one, and every way in which it is refused.

use std::{fs, os::unix::fs::PermissionsExt};

use landfall::{
    git::{
        error::GitError,
        mirror::{Mirrors, Remote, Wanted},
        push::{Answer, Push},
    },
    gitops::revert::Proposal,
};

use super::server::{PATIENCE, Repository, Server};

/// A directory that was changed, beside a file, a directory and a module that were changed with it.
pub struct Scene {
    pub good: String,
    pub bad: String,
}

impl Scene {
    pub fn new(repository: &Repository) -> Self {
        let commit = |version: &str, parent: Option<&str>| {
            let shop = repository.files(&[("shop.yaml", version)]);
            let deep = repository.tree(format!("040000 tree {shop}\tshop\0").as_bytes());
            let other = repository.files(&[("notes", version)]);
            let module = if version == "one" { "1" } else { "2" }.repeat(40);
            let root = format!(
                "100644 blob {}\tREADME\0160000 commit {module}\tmodule\0040000 tree {other}\tother\0040000 tree {deep}\tproduction\0",
                repository.blob(version)
            );
            let tree = repository.git(&["mktree", "-z", "--missing"], root.as_bytes());
            repository.commit_tree(&tree, version, parent)
        };
        let good = commit("one", None);
        let bad = commit("two", Some(&good));
        repository.branch("main", &bad);
        Self { good, bad }
    }

    fn proposal(&self, directory: &str) -> Proposal {
        Proposal {
            of: self.bad.clone(),
            to: self.good.clone(),
            directory: directory.to_owned(),
            branch: "landfall/revert".to_owned(),
            followed: Some("main".to_owned()),
            name: "Landfall".to_owned(),
            email: "landfall@production.shop".to_owned(),
            seconds: 1_700_000_100,
            message: "Revert \"two\"\n\nThis reverts commit x.\n".to_owned(),
        }
    }

    /// The push of a revert of the directory, made in the mirror of whoever reads.
    pub async fn push(&self, (mirrors, reader): (&Mirrors, &Remote), directory: &str) -> Push {
        for commit in [&self.bad, &self.good] {
            mirrors.fetch(reader, &Wanted::Commit(commit.clone()), commit, PATIENCE).await.unwrap();
        }
        let made = mirrors.undo(reader, &self.proposal(directory)).await.unwrap().unwrap();
        Push {
            branch: "landfall/revert".to_owned(),
            from: None,
            to: made.id,
            provided: Some(("main".to_owned(), self.bad.clone())),
            pack: made.pack,
        }
    }
}

const ANN: [(&str, &str); 2] = [("username", "ann"), ("password", "right")];

#[tokio::test]
async fn a_directory_is_brought_back_by_one_commit_and_nothing_else_changes() {
    let server = Server::start("push");
    let scene = Scene::new(&server.repository);
    let (mirrors, reader, writer) = (server.mirrors(), server.remote("public", &[]), server.remote("basic", &ANN));
    let push = scene.push((&mirrors, &reader), "/production/shop").await;
    assert_eq!(mirrors.push(&writer, &push, PATIENCE).await.unwrap(), Answer::Moved);

    let git = |arguments: &[&str]| server.repository.git(arguments, b"");
    assert_eq!(git(&["rev-parse", "landfall/revert"]), push.to);
    assert_eq!(git(&["rev-parse", "main"]), scene.bad, "no other branch is moved");
    let changed = git(&["diff", "--name-only", &scene.bad, &push.to]);
    assert_eq!(changed, "production/shop/shop.yaml");
    let of = |commit: &str| git(&["rev-parse", &format!("{commit}:production")]);
    assert_eq!(of(&push.to), of(&scene.good));
    let said = git(&["log", "-1", "--format=%P|%an <%ae>|%cn <%ce>|%at|%s", &push.to]);
    let who = "Landfall <landfall@production.shop>";
    assert_eq!(said, format!("{}|{who}|{who}|1700000100|Revert \"two\"", scene.bad));
    git(&["fsck", "--strict", "--no-dangling"]);

    // The same again is the same commit, and the branch is where it is to be.
    assert_eq!(scene.push((&mirrors, &reader), "production/shop").await.to, push.to);
    let left = fs::read_dir(server.scratch.0.join("mirrors")).unwrap().count();
    assert_eq!(left, 1, "pushing makes no mirror");
    let head = mirrors.fetch(&reader, &Wanted::Branch("landfall/revert".into()), &push.to, PATIENCE).await.unwrap();
    assert_eq!(head.message, "Revert \"two\"\n\nThis reverts commit x.\n");
    let head = mirrors.head(&reader, &push.to).await.unwrap().unwrap();
    assert_eq!((head.author.as_str(), head.committer.as_str()), (who, who));
}

#[tokio::test]
async fn the_root_is_brought_back_as_it_was_and_what_is_the_same_is_no_commit() {
    let server = Server::start("push-root");
    let scene = Scene::new(&server.repository);
    let (mirrors, writer) = (server.mirrors(), server.remote("basic", &ANN));
    let push = scene.push((&mirrors, &writer), "/").await;
    let onto = Push { branch: "main".to_owned(), from: Some(scene.bad.clone()), provided: None, ..push.clone() };
    assert_eq!(mirrors.push(&writer, &onto, PATIENCE).await.unwrap(), Answer::Moved);
    let tree = |commit: &str| server.repository.git(&["rev-parse", &format!("{commit}^{{tree}}")], b"");
    assert_eq!(tree("main"), tree(&scene.good));
    mirrors.fetch(&writer, &Wanted::Branch("main".into()), &push.to, PATIENCE).await.unwrap();
    let again = Proposal { of: push.to.clone(), ..scene.proposal("/") };
    assert_eq!(mirrors.undo(&writer, &again).await.unwrap(), None);
    let missing = mirrors.undo(&writer, &scene.proposal("/staging")).await.unwrap_err();
    assert_eq!(missing, GitError::NoSuchDirectory { directory: "/staging".to_owned() });
}

#[tokio::test]
async fn a_branch_that_leads_elsewhere_is_left_alone() {
    let server = Server::start("push-race");
    let scene = Scene::new(&server.repository);
    let (mirrors, writer) = (server.mirrors(), server.remote("basic", &ANN));
    let push = scene.push((&mirrors, &writer), "/production").await;
    let theirs = server.repository.commit("theirs", None);
    server.repository.branch("landfall/revert", &theirs);
    for from in [None, Some(scene.bad.clone())] {
        let push = Push { from, ..push.clone() };
        assert_eq!(mirrors.push(&writer, &push, PATIENCE).await.unwrap(), Answer::Elsewhere);
    }
    let asked = server.requests().await;
    assert!(asked.iter().all(|line| !line.starts_with("200 POST /basic/shop.git/git-receive-pack")), "{asked:?}");
    server.repository.branch("main", &theirs);
    let push = Push { from: Some(theirs.clone()), ..push };
    assert_eq!(mirrors.push(&writer, &push, PATIENCE).await.unwrap(), Answer::Elsewhere, "a newer commit is there");
    assert_eq!(server.repository.git(&["rev-parse", "landfall/revert"], b""), theirs);
}

/// The command names what was there, so the server itself refuses what came in between.
#[tokio::test]
async fn whoever_comes_between_the_look_and_the_push_wins() {
    let server = Server::start("push-between");
    let scene = Scene::new(&server.repository);
    let (mirrors, writer) = (server.mirrors(), server.remote("basic", &ANN));
    let push = scene.push((&mirrors, &writer), "/production").await;
    let theirs = server.repository.commit("theirs", Some(&scene.bad));
    // The quarantine that keeps hooks from moving branches is left for this one move.
    hook(
        &server.repository,
        &format!(
            "cat >/dev/null\nunset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY\n\
             git update-ref refs/heads/landfall/revert {theirs}"
        ),
    );
    let Answer::Refused(why) = mirrors.push(&writer, &push, PATIENCE).await.unwrap() else { panic!("it was moved") };
    assert!(!why.is_empty());
    assert_eq!(server.repository.git(&["rev-parse", "landfall/revert"], b""), theirs);
}

fn hook(repository: &Repository, script: &str) {
    let path = repository.0.join("hooks/pre-receive");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn whoever_may_only_read_is_denied_and_a_hook_that_says_no_is_quoted() {
    let server = Server::start("push-refused");
    let scene = Scene::new(&server.repository);
    let (mirrors, writer) = (server.mirrors(), server.remote("basic", &ANN));
    let push = scene.push((&mirrors, &writer), "/production").await;
    let wrong = [("username", "ann"), ("password", "hush-wrong")];
    for (door, values) in [("reader", &ANN[..]), ("public", &[]), ("basic", &[]), ("basic", &wrong[..])] {
        let error = mirrors.push(&server.remote(door, values), &push, PATIENCE).await.unwrap_err();
        assert!(matches!(error, GitError::Denied { .. }), "{door}: {error}");
        assert!(!format!("{error:?}").contains("hush"), "{error:?}");
    }
    hook(&server.repository, "printf 'frozen \\033[2Juntil Monday\\nask Ann, whose word is right\\n' >&2\nexit 1");
    let talks = mirrors.push(&writer, &push, PATIENCE).await.unwrap();
    let Answer::Refused(why) = talks else { panic!("it was moved") };
    assert_eq!(why, "its reason has credentials in it, and is not repeated");
    hook(&server.repository, "printf 'frozen \\033[2Juntil Monday\\n' >&2\nexit 1");
    let Answer::Refused(why) = mirrors.push(&writer, &push, PATIENCE).await.unwrap() else { panic!("it was moved") };
    assert_eq!(why, "pre-receive hook declined; frozen [2Juntil Monday");
    assert_eq!(server.repository.git(&["for-each-ref", "refs/heads/landfall"], b""), "");
}
