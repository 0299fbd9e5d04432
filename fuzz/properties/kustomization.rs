//! The walk over what a kustomization names. An input is a small tree: a line `=== PATH` begins a file, `==@ PATH` a link and
//! `==~ PATH` a submodule, and the lines after it are its content. The walk begins at the root.

use std::collections::{BTreeMap, BTreeSet};

use landfall::gitops::{
    problem::Problem,
    renderer::{
        files::{Closure, Tree, resolve},
        kustomization::Walk,
    },
    tree::{Entry, Kind, Listing},
};

use super::lines;

/// The most files and rounds of a walk over a tree as small as an input.
const FILES_MAX: usize = 64;

type Files = BTreeMap<String, (Kind, String)>;

pub fn walk(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else { return };
    let Some(files) = parsed(input) else { return };
    for (path, (_, content)) in &files {
        for line in content.lines() {
            inside(path.rsplit_once('/').map_or("", |(directory, _)| directory), line.trim_start_matches("- "));
        }
    }
    let listing = listing(&files);
    let (forth, back) = (walked(&listing, &files, |_| {}), walked(&listing, &files, |wants| wants.reverse()));
    match (forth, back) {
        (Ok(closure), Ok(other)) => {
            assert_eq!(closure, other, "the order of reading decides what is needed");
            for entry in closure.entries() {
                let (kind, content) = &files[&entry.path];
                assert_eq!((*kind, entry.size), (Kind::File, content.len() as u64), "{entry:?}");
            }
        }
        (Err(problems), Err(other)) => {
            are_told(&problems, &files);
            let set = |problems: Vec<Problem>| problems.into_iter().collect::<BTreeSet<_>>();
            assert_eq!(set(problems), set(other), "the order of reading decides what is refused");
        }
        (forth, back) => panic!("the order of reading decides: {forth:?} {back:?}"),
    }
}

/// The tree of an input, where it is one that a commit can be: no part of a path is empty or `..`, and no file is a directory.
fn parsed(input: &str) -> Option<Files> {
    let mut files = Files::new();
    let mut last: Option<String> = None;
    for line in input.split_inclusive('\n') {
        let kinds = [("=== ", Kind::File), ("==@ ", Kind::Link), ("==~ ", Kind::Submodule)];
        let begins = kinds.iter().find_map(|(mark, kind)| Some((line.strip_prefix(mark)?.trim_end(), *kind)));
        match (begins, &last) {
            (Some((path, kind)), _) => {
                if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
                    return None;
                }
                files.insert(path.to_owned(), (kind, String::new()));
                last = Some(path.to_owned());
            }
            (None, Some(path)) => files.get_mut(path)?.1.push_str(line),
            (None, None) => return None,
        }
    }
    let is_around = |outer: &str, path: &str| path.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'));
    let clashes = files.keys().any(|outer| files.keys().any(|path| is_around(outer, path)));
    (!clashes && files.len() <= FILES_MAX).then_some(files)
}

fn listing(files: &Files) -> Listing {
    let entry = |(path, (kind, content)): (&String, &(Kind, String))| Entry {
        path: path.clone(),
        kind: *kind,
        id: format!("id-of-{path}"),
        size: content.len() as u64,
    };
    Listing { id: "tree".to_owned(), entries: files.iter().map(entry).collect() }
}

fn walked(
    listing: &Listing,
    files: &Files,
    order: impl Fn(&mut Vec<(Entry, landfall::gitops::renderer::kustomization::Reading)>),
) -> Result<Closure, Vec<Problem>> {
    let mut walk = Walk::new(Tree::of(listing), "");
    // Each file is read at most once for each of its roles and each directory that paths in it may start from.
    for _ in 0..=2 * FILES_MAX * FILES_MAX {
        let mut wants = walk.wants();
        if wants.is_empty() {
            return walk.end("");
        }
        order(&mut wants);
        for (entry, reading) in wants {
            let (kind, content) = &files[&entry.path];
            assert_eq!(*kind, Kind::File, "what is no file is read: {entry:?}");
            walk.read(&reading, content.as_bytes());
        }
    }
    panic!("the walk does not end")
}

fn are_told(problems: &[Problem], files: &Files) {
    assert!(!problems.is_empty());
    for problem in problems {
        assert!(!problem.message.is_empty() && !problem.reason.is_empty(), "{problem:?}");
        // The directory itself has one line.
        let last = files.get(&problem.file).map_or(1, |(_, content)| lines(content));
        assert!(problem.file.is_empty() || files.contains_key(&problem.file), "{problem:?}");
        assert!((1..=last).contains(&problem.line), "{problem:?}");
    }
}

/// A path never leads out.
fn inside(directory: &str, text: &str) {
    let Some(path) = resolve(directory, text) else { return };
    assert!(path.is_empty() || path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{path}");
    assert_eq!(resolve("", &path).as_deref(), Some(path.as_str()));
}
