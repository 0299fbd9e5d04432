//! What holds for every input, whoever wrote it. libFuzzer looks for inputs for which it does not hold, and `cargo test`
//! replays those that are kept in `corpus`.
//!
//! A property is a function that panics where it is broken. Besides what it asserts, nothing may fall over, and time and
//! memory stay within the bounds that its caller sets.

mod encrypted;
mod git;
mod kustomization;
mod substitute;
mod trust;
mod webhook;
mod yaml;

use landfall::gitops::{
    problem::Problem,
    render::{OTHER_NAMESPACE, UNKNOWN_KIND, VALUE_MISSING},
    sops,
};

/// A property, by the name of the directory with its inputs.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 11] = [
    ("advertisement", git::advertisement),
    ("kustomization", kustomization::walk),
    ("known_hosts", trust::known_hosts),
    ("openpgp", trust::openpgp),
    ("pack", git::pack),
    ("packet", git::packet),
    ("signature", trust::signature),
    ("sops", encrypted::open),
    ("substitute", substitute::fill),
    ("webhook", webhook::judge),
    ("yaml", yaml::read),
];

/// How many lines a text has, by whatever breaks lines in YAML.
fn lines(text: &str) -> u64 {
    let breaks = text.chars().filter(|c| matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')).count();
    breaks as u64 + 1
}

/// Words of a text that nobody but its author can know: none of them may stand in what is said of it.
fn secrets(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let mixed = |word: &str| {
        let has = |is: fn(&u8) -> bool| word.bytes().filter(is).count();
        has(u8::is_ascii_digit) > 2 && has(u8::is_ascii_alphabetic) > 2
    };
    words.filter(move |word| word.len() >= 10 && mixed(word))
}

/// What is said of a text says where and why.
fn has_place((line, message): (u64, &str), text: &str) {
    assert!((1..=lines(text)).contains(&line), "line {line} of {}: {message}", lines(text));
    assert!(!message.is_empty() && message.len() < 4096, "{message}");
}

/// It does, and quotes nothing.
fn is_told((line, message): (u64, &str), text: &str) {
    has_place((line, message), text);
    for secret in secrets(text) {
        assert!(!message.contains(secret), "{secret} is quoted: {message}");
    }
}

/// The problems of a file, which are told, and are some.
fn are_told(problems: &[Problem], text: &str) {
    assert!(!problems.is_empty(), "it is refused without a word");
    for problem in problems {
        assert!(!problem.reason.is_empty() && !problem.file.is_empty(), "{problem:?}");
        // These name what is missing, the kind, or the namespace.
        let names = [VALUE_MISSING, UNKNOWN_KIND, OTHER_NAMESPACE, sops::FAILED].contains(&problem.reason);
        let told = (problem.line, problem.message.as_str());
        if names { has_place(told, text) } else { is_told(told, text) }
    }
}

/// The first line of an input, and what comes after it.
fn first_line(input: &[u8]) -> (&[u8], &[u8]) {
    match input.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (input, &[]),
    }
}
