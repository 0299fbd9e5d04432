//! Every file under `examples/` is what it claims to be: read, held against schema and rules, and complete.

use std::{fs, path::Path};

use landfall::cli::lint::lint;

fn examples() -> Vec<String> {
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")];
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            found.push(path.display().to_string());
        }
    }
    found.sort();
    found
}

#[test]
fn every_example_is_accepted() {
    let mut own = 0;
    for file in examples() {
        let text = fs::read_to_string(&file).unwrap();
        let report = lint(&file, &text).unwrap();
        assert_eq!(report.findings, [""; 0], "{file}");
        own += text.matches("apiVersion: landfall.dev/").count();
    }
    assert!(own >= 4, "only {own} objects of Landfall were found");
}

/// The documents show examples too; they must not fall behind.
#[test]
fn every_example_in_the_specifications_is_accepted() {
    for kind in ["package", "profile", "deployment"] {
        let path = format!("{}/docs/spec/{kind}.md", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(&path).unwrap();
        let blocks: Vec<_> = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
        let whole: Vec<_> = blocks.into_iter().filter(|block| block.starts_with("apiVersion:")).collect();
        assert!(!whole.is_empty(), "{path} shows no whole object");
        for block in whole {
            assert_eq!(lint(&path, block).unwrap().findings, [""; 0], "{block}");
        }
    }
}
