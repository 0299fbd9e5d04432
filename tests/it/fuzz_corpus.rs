//! The inputs of `fuzz/corpus`, among them every one for which a property did not hold, replayed without libFuzzer; and some
//! that are made of them, for machines without it.

use std::{
    collections::BTreeSet,
    env, fs,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use landfall::simulation::random::Random;

#[path = "../../fuzz/properties/mod.rs"]
mod properties;

use properties::TARGETS;

/// The longest that one input may take, on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many inputs are made of each one; `LANDFALL_MUTATIONS` has another number.
const MUTATIONS: u64 = 10;

fn inside(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    inside(&corpus().join(target)).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// What is wrong with an input, if a property does not hold for it or it takes too long.
fn broken(holds: fn(&[u8]), input: &[u8]) -> Option<String> {
    let started = Instant::now();
    let cause = panic::catch_unwind(AssertUnwindSafe(|| holds(input))).err();
    let words = cause.map(|cause| {
        let text = cause.downcast_ref::<String>().cloned();
        text.or_else(|| cause.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
    });
    words.or_else(|| (started.elapsed() > PATIENCE).then(|| "it takes too long".to_owned()))
}

#[test]
fn every_input_that_is_kept_has_the_properties_of_its_target() {
    let mut failures = Vec::new();
    for (target, holds) in TARGETS {
        let inputs = inputs(target);
        assert!(inputs.len() > 2, "{target} has too few inputs to begin with");
        let wrong = |(path, input): (PathBuf, Vec<u8>)| Some(format!("{}: {}", path.display(), broken(holds, &input)?));
        failures.extend(inputs.into_iter().filter_map(wrong));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// One of these with a few bytes changed, taken away, doubled, or with a piece of another one.
fn mutated(random: &mut Random, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=random.place(4) {
        let at = random.place(bytes.len() + 1);
        let end = (at + random.place(12)).min(bytes.len());
        match random.place(5) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
            3 => {
                let from = random.place(other.len() + 1);
                let piece = other[from..(from + random.place(20)).min(other.len())].to_vec();
                drop(bytes.splice(at..end, piece));
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = u8::try_from(random.below(256)).unwrap();
                }
            }
        }
    }
    bytes
}

#[test]
fn what_is_made_of_them_has_the_properties_too() {
    let number = env::var("LANDFALL_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(MUTATIONS);
    let mut failures = Vec::new();
    for (target, holds) in TARGETS {
        let inputs = inputs(target);
        let mut random = Random::new(7);
        let mut kept = 0;
        for (path, input) in &inputs {
            for _ in 0..number {
                let other = &inputs[random.place(inputs.len())].1;
                let made = mutated(&mut random, input, other);
                if let Some(why) = broken(holds, &made).filter(|_| kept < 3) {
                    kept += 1;
                    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{target}-{kept}"));
                    fs::write(&file, &made).unwrap();
                    failures.push(format!("{}, made of {}: {why}", file.display(), path.display()));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_directory_of_inputs_has_a_target() {
    let known: BTreeSet<String> = TARGETS.iter().map(|(target, _)| (*target).to_owned()).collect();
    let names = inside(&corpus()).into_iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    assert_eq!(names.collect::<BTreeSet<_>>(), known);
}
