//! The entry of libFuzzer. One program has all targets, since each costs a link; `LANDFALL_FUZZ_TARGET` names the one that runs.

#![no_main]

use std::sync::OnceLock;

#[path = "../properties/mod.rs"]
mod properties;

use properties::{TARGETS, Target};

fn target() -> fn(&[u8]) {
    static CHOSEN: OnceLock<Target> = OnceLock::new();
    let chosen = || {
        let name = std::env::var("LANDFALL_FUZZ_TARGET").unwrap_or_default();
        let names = TARGETS.map(|(name, _)| name).join(", ");
        let found = TARGETS.into_iter().find(|(known, _)| *known == name);
        found.unwrap_or_else(|| panic!("LANDFALL_FUZZ_TARGET is `{name}`; targets are {names}"))
    };
    CHOSEN.get_or_init(chosen).1
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| target()(input));
