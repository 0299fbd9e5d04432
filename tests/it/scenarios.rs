//! Whole rollouts in a pretended world: each scenario file once in order against its transcript, and under 60 seeded
//! orders with faults, with every invariant asserted at every tick. `LANDFALL_UPDATE_GOLDENS=1` writes the transcripts anew.

use std::{
    env, fs,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    thread,
};

use landfall::simulation::{
    plan::PlanFile,
    scenario::Scenario,
    story::{Told, play},
};

use crate::sim::invariants::Watch;

/// `make test` plays 200, by `LANDFALL_SEEDS`.
const SEEDS: u64 = 60;
/// For what is played at every stage of every strategy.
const FEW_SEEDS: u64 = 3;

pub fn scenarios() -> Vec<(PathBuf, Scenario)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut paths: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    let parse = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    paths.into_iter().map(|path| (path.clone(), parse(&path))).collect()
}

#[test]
fn every_scenario_reads_like_its_transcript() {
    let mut wrong = Vec::new();
    for (path, scenario) in scenarios() {
        let told = match panic::catch_unwind(AssertUnwindSafe(|| tell(&scenario, None))) {
            Ok(told) => match told.unexpected {
                Some(text) => format!("{text}\n{}", told.transcript),
                None => told.transcript,
            },
            Err(_) => format!("{} broke", scenario.title),
        };
        let golden = path.with_extension("golden");
        if env::var_os("LANDFALL_UPDATE_GOLDENS").is_some() {
            fs::write(&golden, &told).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != told {
            wrong.push(format!("{}\n{told}", golden.display()));
        }
    }
    assert!(wrong.is_empty(), "transcripts differ:\n{}", wrong.join("\n"));
}

#[test]
fn every_scenario_ends_as_expected_whatever_goes_wrong_on_the_way() {
    let all = scenarios();
    let seeds = env::var("LANDFALL_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    let half = |half: u64| -> Vec<String> {
        all.iter()
            .filter_map(|(_, scenario)| (half..seeds).step_by(2).find_map(|seed| failure(scenario, seed)))
            .collect()
    };
    let failures = thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        [half(0), other.join().unwrap()].concat()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// A newer revision is wanted at every stage of the run before it, and so is an abort.
#[test]
fn a_newer_revision_and_an_abort_are_obeyed_at_every_stage() {
    let mut failures = Vec::new();
    for plan in PLANS {
        let last = stages(plan);
        for stage in 1..last {
            let newer = "want: v3}\nexpect: {phase: Succeeded, stable: v3, after: 150}".to_owned();
            let abort = "command: abort}\nexpect: {phase: RolledBack, stable: v1, after: 150}".to_owned();
            for (what, event) in [("a newer revision", newer), ("an abort", abort)] {
                let text = format!(
                    "title: \"{what} in stage {stage} of {plan}\"\nplan: {plan}\nevents:\n  - {{want: v1}}\n  \
                     - {{when: phase Succeeded, want: v2}}\n  - {{when: stage {stage}, after: 1, {event}"
                );
                let scenario: Scenario = serde_saphyr::from_str(&text).unwrap();
                failures.extend((0..FEW_SEEDS).find_map(|seed| failure_unless_late(&scenario, seed)));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn stages(plan: &str) -> usize {
    serde_saphyr::from_str::<PlanFile>(plan).unwrap().plan().stages().len()
}

const PLANS: [&str; 5] = [
    "{canary: {initial: 40, increment: 40, interval: 4}, check: true}",
    "{canary: {initial: 40, increment: 40, interval: 4}, no_router: true}",
    "{blue_green: {preview: 20, delay: 3}, check: true}",
    "{blue_green: {delay: 3}, no_router: true}",
    "{rolling: {surge: 2, unavailable: 1}}",
];

/// A story whose stage does not exist, or is over before anybody looks, ends with the second revision: nothing to see.
fn failure_unless_late(scenario: &Scenario, seed: u64) -> Option<String> {
    failure(scenario, seed).filter(|text| !text.contains("Succeeded with Some(\"v2\")"))
}

/// What broke under this seed.
fn failure(scenario: &Scenario, seed: u64) -> Option<String> {
    let text = match panic::catch_unwind(AssertUnwindSafe(|| tell(scenario, Some(seed)))) {
        Ok(told) => format!("{}\n{}", told.unexpected?, told.transcript),
        Err(cause) => cause.downcast_ref::<String>().map_or("an invariant broke", String::as_str).to_owned(),
    };
    Some(format!("{}, seed {seed}: {text}", scenario.title))
}

fn tell(scenario: &Scenario, seed: Option<u64>) -> Told {
    play(scenario, seed, &mut Watch::default())
}
