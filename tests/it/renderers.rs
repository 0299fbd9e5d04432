//! What renderers run in, and what is said where there are none.

use std::{
    fs,
    path::{Path, PathBuf},
};

use landfall::{
    gitops::renderer::Program,
    program::{
        run::{Programs, RunError},
        scratch::{Scratch, clear},
    },
    renderer::programs::Renderers,
};

fn renderers(programs: &Path, scratch: PathBuf) -> Renderers {
    Renderers::new(Programs::new(PathBuf::from(env!("CARGO_BIN_EXE_landfall")), programs.to_owned(), scratch))
}

fn directory(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("landfall-{name}-{}", std::process::id()));
    drop(fs::remove_dir_all(&directory));
    directory
}

fn file(path: &str) -> (String, Vec<u8>) {
    (path.to_owned(), b"content".to_vec())
}

#[test]
fn a_scratch_directory_has_its_files_and_goes_with_its_run() {
    let root = directory("scratch");
    let scratch = Scratch::new(&root, &[file("work/a/b.yaml"), file("values.json")]).unwrap();
    assert_eq!(fs::read(scratch.path().join("work/a/b.yaml")).unwrap(), b"content");
    let own = scratch.path().to_owned();
    drop(scratch);
    assert!(!own.exists());
    for bad in ["../a", "/etc/landfall", "a/../../b", ""] {
        assert!(Scratch::new(&root, &[file(bad)]).is_err(), "{bad}");
    }
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0, "one that could not be made leaves nothing");
    fs::create_dir_all(root.join("left/by/a/process")).unwrap();
    clear(&root).unwrap();
    assert!(!root.exists());
    clear(&root).unwrap();
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named_with_the_remedy() {
    let programs = directory("no-programs");
    let renderers = renderers(&programs, directory("none"));
    let run = renderers.run(Program::Helm, Vec::new(), Vec::new()).await;
    for error in [renderers.identity(Program::Helm).await.unwrap_err(), run.unwrap_err()] {
        assert!(matches!(&error, RunError::Absent { tool, .. } if tool.file == "helm"), "{error:?}");
        let said = error.to_string();
        assert!(said.contains("--renderers") && said.contains(&programs.display().to_string()), "{said}");
    }
}

#[tokio::test]
async fn a_program_that_changes_is_another_one_to_another_operator_and_what_cannot_be_started_is_said() {
    let (programs, scratch) = (directory("programs"), directory("runs"));
    fs::create_dir_all(&programs).unwrap();
    let new = || renderers(&programs, scratch.clone());
    fs::write(programs.join("kustomize"), "one").unwrap();
    let first = new().identity(Program::Kustomize).await.unwrap();
    fs::write(programs.join("kustomize"), "two").unwrap();
    assert_ne!(new().identity(Program::Kustomize).await.unwrap(), first);
    let error = new().run(Program::Kustomize, vec![file("work/a")], Vec::new()).await.unwrap_err();
    assert!(matches!(&error, RunError::NotContained(why) if why.contains("the program does not start")), "{error:?}");
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0);
    fs::remove_dir_all(&programs).unwrap();
    fs::remove_dir_all(&scratch).unwrap();
}
