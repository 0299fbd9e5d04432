//! Stories that nobody thought of: random strategies, checks, commands, revisions, numbers of pods and faults. Whatever
//! happens, the invariants hold, and in the end the last wanted revision is in place.
//!
//! `LANDFALL_STORIES=20000` plays more of them; `LANDFALL_STORY=7` prints and plays one.

use std::{
    env,
    fmt::Write,
    panic::{self, AssertUnwindSafe},
};

use landfall::simulation::{random::Random, scenario::Scenario, story::play};

use crate::sim::invariants::Watch;

const STORIES: u64 = 60;

#[test]
fn in_random_stories_the_invariants_hold_and_the_last_wanted_revision_arrives() {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("LANDFALL_STORY") {
        return assert_eq!(failure(seed), None);
    }
    let failures: Vec<String> =
        (0..number("LANDFALL_STORIES").unwrap_or(STORIES)).filter_map(failure).take(3).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn failure(seed: u64) -> Option<String> {
    let text = story(&mut Random::new(seed));
    let scenario: Scenario = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    let faults = (!seed.is_multiple_of(3)).then_some(seed);
    let told = panic::catch_unwind(AssertUnwindSafe(|| play(&scenario, faults, &mut Watch::default())));
    match told {
        Ok(told) => told.unexpected.map(|what| format!("story {seed}: {what}\n{text}\n{}", told.transcript)),
        Err(cause) => {
            let what = cause.downcast_ref::<String>().map_or("an invariant broke", String::as_str);
            Some(format!("story {seed}: {what}\n{text}"))
        }
    }
}

fn story(random: &mut Random) -> String {
    let mut text = String::from("title: a random story\n");
    let gentle = random.percent(50);
    let plan = plan(random);
    let routed = !plan.contains("no_router") && !plan.contains("rolling");
    let _ = writeln!(text, "plan: {{{plan}}}");
    let _ = writeln!(text, "pods: {}", 2 + random.below(6));
    let _ = writeln!(text, "outage: {}", !gentle);
    text.push_str("events:\n  - {want: v1}\n  - {after: 15}\n");
    for _ in 0..=random.below(7) {
        let _ = writeln!(text, "  - {{after: {}, {}}}", random.below(14), event(random, (gentle, routed)));
    }
    text.push_str(
        "  - {after: 5, mended: v1, paused: false, stopped: false, unknown_route: false, refusing: false, silent: false, \
         missing: [], rehearse: false, pods: 4}\n  - {mended: v2}\n  - {mended: v3}\n  - {after: 10, command: resume}\n  \
         - {after: 10, command: restart}\n  - {after: 60, want: v9}\n  - {after: 60, command: promote, full: true}\n",
    );
    text.push_str("expect: {phase: Succeeded, stable: v9, after: 900}\n");
    text
}

fn plan(random: &mut Random) -> String {
    let mut words = vec![strategy(random)];
    words.extend(random.percent(50).then(|| "check: true".to_owned()));
    words.extend(random.percent(25).then(|| "no_router: true".to_owned()));
    words.extend(random.percent(20).then(|| "pause_on_failure: true".to_owned()));
    words.extend(random.percent(20).then(|| "gate_first: true".to_owned()));
    words.extend(random.percent(30).then(|| format!("deadline: {}", 90 + random.below(60))));
    words.extend(random.percent(15).then(|| format!("timeout: {}", 500 + random.below(200))));
    words.extend(random.percent(20).then(|| format!("headroom: {}", 100 + random.below(100))));
    words.push(format!("scale_down_delay: {}", random.below(10)));
    words.join(", ")
}

fn strategy(random: &mut Random) -> String {
    match random.below(4) {
        0 => {
            let (initial, increment) = (random.below(101), 10 + random.below(91));
            format!("canary: {{initial: {initial}, increment: {increment}, interval: {}}}", random.below(8))
        }
        1 => {
            let steps: Vec<String> = (0..=random.below(5)).map(|_| step(random)).collect();
            format!("steps: [{{weight: {}}}, {}]", random.below(101), steps.join(", "))
        }
        2 => format!(
            "blue_green: {{preview: {}, delay: {}, manual: {}}}",
            1 + random.below(100),
            random.below(5),
            random.percent(20)
        ),
        _ => format!("rolling: {{surge: {}, unavailable: {}}}", 1 + random.below(3), random.below(3)),
    }
}

fn step(random: &mut Random) -> String {
    match random.below(5) {
        0 | 1 => format!("{{weight: {}}}", random.below(101)),
        2 => format!("{{pause: {}}}", random.below(8)),
        3 => format!("{{scale: {}}}", random.below(101)),
        _ => "approval".to_owned(),
    }
}

fn event(random: &mut Random, (gentle, routed): (bool, bool)) -> String {
    let revision = |random: &mut Random| format!("v{}", 1 + random.below(3));
    match random.below(if gentle { 16 } else { 22 }) {
        0..=4 => format!("want: {}", revision(random)),
        5 | 6 => format!("command: {}", ["abort", "cancel", "pause", "resume", "promote", "skip"][random.place(6)]),
        7 => format!("command: {}", ["rollback", "retry", "restart", "promote, full: true"][random.place(4)]),
        8 => format!("pods: {}", 2 + random.below(7)),
        9 => format!("paused: {}", random.percent(50)),
        10 => format!("bad: {}", revision(random)),
        11 => format!("unknown_route: {}", random.percent(50)),
        12 => format!("request: r{}", random.below(3)),
        13 => format!("refusing: {}", random.percent(50)),
        14 => format!("silent: {}", random.percent(50)),
        15 => format!("rehearse: {}", random.percent(50)),
        16 => format!("lose: {}", revision(random)),
        17 => format!("crashing: {}", revision(random)),
        18 => "wipe: true".to_owned(),
        19 => format!("stopped: {}", random.percent(50)),
        20 if routed => format!("uneven: [{}, {}]", random.below(101), random.below(101)),
        21 if routed => format!("pods: 0, remade: {}", random.below(101)),
        _ => "pods: 0".to_owned(),
    }
}
