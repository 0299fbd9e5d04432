//! What a contained program can do: programs of this machine try.

use std::process::{Command, Output, Stdio};

/// Runs a program of the machine, contained, with these directories to read. What programs of a system need to start is always
/// allowed here.
fn contained(read: &[&str], command: &[&str]) -> Output {
    contained_with(&[], read, command)
}

/// The same with more words for `contain`.
fn contained_with(words: &[&str], read: &[&str], command: &[&str]) -> Output {
    let mut own = Command::new(env!("CARGO_BIN_EXE_landfall"));
    own.arg("contain").args(words);
    for path in ["/usr", "/lib", "/lib64", "/bin"].iter().filter(|path| std::path::Path::new(path).exists()) {
        own.args(["--run", path]);
    }
    for path in read {
        own.args(["--read", path]);
    }
    own.arg("--").args(command).env_clear().stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Whether this kernel limits which files can be opened: without Landlock it does not.
fn has_landlock() -> bool {
    let status = landlock::Ruleset::default();
    let handled = landlock::RulesetAttr::handle_access(
        landlock::Compatible::set_compatibility(status, landlock::CompatLevel::HardRequirement),
        landlock::AccessFs::Execute,
    );
    handled.and_then(landlock::Ruleset::create).is_ok()
}

#[test]
fn a_contained_program_works_within_its_limits() {
    let output = contained(&[], &["/bin/echo", "hello"]);
    assert_eq!(said(&output), "hello\n");
    let limits = said(&contained(&[], &["/bin/bash", "-c", "ulimit -d; ulimit -t; ulimit -f; ulimit -n; ulimit -c"]));
    assert_eq!(limits.split_whitespace().collect::<Vec<_>>(), ["262144", "20", "0", "256", "0"]);
    let memory = said(&contained_with(&["--memory", "67108864"], &[], &["/bin/bash", "-c", "ulimit -d"]));
    assert_eq!(memory, "65536\n");
}

#[test]
fn a_contained_program_reaches_no_network() {
    let output = contained(&["/etc", "/dev"], &["/bin/bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9"]);
    assert!(!output.status.success() && said(&output).contains("Operation not permitted"), "{}", said(&output));
}

#[test]
fn a_contained_program_starts_no_other_and_signals_no_other() {
    let output = contained(&[], &["/bin/bash", "-c", "(echo child)"]);
    assert!(!said(&output).contains("child"), "{}", said(&output));
    let command = format!("kill -0 {}", std::process::id());
    let output = contained(&[], &["/bin/bash", "-c", &command]);
    assert!(!output.status.success() && said(&output).contains("not permitted"), "{}", said(&output));
}

#[test]
fn a_contained_program_opens_only_what_it_is_given_and_writes_nothing() {
    if !has_landlock() {
        return;
    }
    let directory = std::env::temp_dir().join(format!("landfall-contain-{}", std::process::id()));
    std::fs::create_dir_all(directory.join("in")).unwrap();
    std::fs::write(directory.join("in/file"), "inside").unwrap();
    std::fs::write(directory.join("token"), "secret").unwrap();
    let inside = directory.join("in");
    let (file, token) = (directory.join("in/file"), directory.join("token"));
    let given = [inside.to_str().unwrap()];
    assert_eq!(said(&contained(&given, &["/bin/cat", file.to_str().unwrap()])), "inside");
    for path in [token.to_str().unwrap(), "/etc/passwd", "/proc/self/environ"] {
        let output = contained(&given, &["/bin/cat", path]);
        assert!(!output.status.success() && said(&output).contains("Permission denied"), "{path}: {}", said(&output));
    }
    let link = directory.join("in/link");
    std::os::unix::fs::symlink(&token, &link).unwrap();
    assert!(!contained(&given, &["/bin/cat", link.to_str().unwrap()]).status.success());
    let output = contained(&given, &["/bin/bash", "-c", &format!("echo x > {}", file.display())]);
    assert!(!output.status.success(), "{}", said(&output));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "inside");
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_program_that_is_not_there_is_said_and_is_no_answer_of_its_own() {
    let output = contained(&[], &["/usr/no-such-program"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(said(&output).contains("the program does not start"), "{}", said(&output));
}
