//! `landfall simulate` as a person runs it: transcripts, seeds, and what is wrong with a file.

use std::{fs, path::Path};

use crate::cli::{landfall, run, scratch};

const GOOD: &str = "title: a story
plan: {rolling: {surge: 1, unavailable: 0}}
events: [{want: v1}]
expect: {phase: Succeeded, stable: v1, after: 30}
";

/// A file of the repository.
fn file(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name).to_str().unwrap().to_owned()
}

/// A scenario of this text in a file of this name.
fn written(name: &str, text: &str) -> String {
    let path = scratch(&format!("{name}.scenario.yaml"));
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn simulate(arguments: &[&str]) -> (i32, String, String) {
    run(&mut landfall(&[&["simulate"], arguments].concat()))
}

#[test]
fn a_scenario_prints_its_transcript_and_ends_with_0() {
    for name in ["canary", "blue-green-manual", "rolling-aborted"] {
        let golden = fs::read_to_string(file(&format!("tests/scenarios/{name}.golden"))).unwrap();
        let told = simulate(&[&file(&format!("tests/scenarios/{name}.yaml"))]);
        assert_eq!(told, (0, golden, String::new()), "{name}");
    }
}

#[test]
fn the_scenario_of_the_specification_is_the_one_in_the_repository_and_prints_what_it_says() {
    let page = fs::read_to_string(file("docs/spec/scenarios.md")).unwrap();
    let blocks: Vec<&str> = page.split("```text\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let [scenario, transcript] = blocks[..] else { panic!("a scenario and a transcript: {blocks:?}") };
    assert_eq!(scenario, fs::read_to_string(file("tests/scenarios/rolling-aborted.yaml")).unwrap());
    let told = simulate(&[&written("specification", scenario)]);
    assert_eq!(told, (0, transcript.to_owned(), String::new()));
}

#[test]
fn a_seed_lets_the_same_things_go_wrong_each_time() {
    let scenario = file("tests/scenarios/canary.yaml");
    let calm = simulate(&[&scenario]);
    let faulty = simulate(&["--faults", "--seed", "3", &scenario]);
    assert_eq!(faulty.0, 0, "{faulty:?}");
    assert_eq!(faulty, simulate(&[&scenario, "--seed", "3", "--faults"]));
    assert_ne!(faulty, simulate(&["--faults", "--seed", "4", &scenario]));
    assert_ne!(faulty, calm);
    assert!(faulty.1.starts_with("# a canary goes to success step by step\n"), "{faulty:?}");
}

#[test]
fn a_story_that_ends_otherwise_is_told_to_its_end_and_ends_with_1() {
    let scenario = written("otherwise", &GOOD.replace("stable: v1", "stable: v7"));
    let (code, transcript, stderr) = simulate(&[&scenario]);
    assert_eq!((code, stderr.as_str()), (1, ""), "{transcript}");
    let lines: Vec<&str> = transcript.lines().collect();
    assert!(lines[lines.len() - 2].ends_with("Succeeded   100 %  v1 is stable"), "{transcript}");
    let last = lines[lines.len() - 1];
    assert!(last.starts_with("# not as expected: Succeeded") && last.contains("v7"), "{last}");
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_ends_with_1() {
    let missing = scratch("no-such-scenario.yaml");
    let (code, stdout, stderr) = simulate(&[missing.to_str().unwrap()]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    let words = format!("error: cannot read {}: No such file", missing.display());
    assert!(stderr.starts_with(&words) && stderr.lines().count() == 1, "{stderr}");
}

#[test]
fn what_is_wrong_with_a_scenario_is_named_with_line_and_field_in_one_sentence() {
    let cases = [
        (
            "typo",
            "surge: 1",
            "surje: 1",
            "unknown field `surje`, expected one of surge, unavailable at line 2, column 18",
        ),
        ("stranger", "plan:", "mood: good\nplan:", "unknown field `mood`"),
        ("number", "unavailable: 0", "unavailable: some", "at line 2, column 41"),
        (
            "strategies",
            "{rolling",
            "{steps: [], rolling",
            "plan: name exactly one of canary, steps, blue_green and rolling",
        ),
        ("still", "surge: 1", "surge: 0", "plan: "),
        ("time", "{want", "{when: sometime, want", "when: write `phase Paused`, `weight 40` or `stage 3`, not `some"),
        ("verb", "{want: v1}", "{command: fly}", "unknown variant `fly`"),
        ("endless", "expect:", "#", "missing field `expect`"),
        ("code", "after: 30", "after: 30, code: Rain", "unknown variant `Rain`"),
        ("yaml", "events: [", "events: [[", "at line 4, "),
        ("empty", GOOD, "", "at line 1, "),
    ];
    for (name, good, bad, words) in cases {
        let scenario = written(name, &GOOD.replace(good, bad));
        let (code, stdout, stderr) = simulate(&[&scenario]);
        assert_eq!((code, stdout.as_str(), stderr.lines().count()), (1, "", 1), "{name}: {stderr}");
        let start = format!("error: {scenario} is no scenario: ");
        assert!(stderr.starts_with(&start) && stderr.contains(words), "{name}: {stderr}");
    }
}

#[test]
fn wrong_arguments_of_simulate_are_named_and_end_with_2() {
    let scenario = file("tests/scenarios/canary.yaml");
    let cases: [(&[&str], &str); 4] = [
        (&[], "<SCENARIO>"),
        (&[&scenario, "--seed", "3"], "--faults"),
        (&[&scenario, "--faults", "--seed", "some"], "--seed"),
        (&[&scenario, &scenario], "unexpected argument"),
    ];
    for (arguments, words) in cases {
        let (code, stdout, stderr) = simulate(arguments);
        assert!(code == 2 && stdout.is_empty() && stderr.contains(words), "{arguments:?} ended with {code}: {stderr}");
    }
}
