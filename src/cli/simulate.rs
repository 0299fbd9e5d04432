//! `landfall simulate`: plays a scenario file in a pretended cluster and prints what happens.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use clap::Args;

use crate::simulation::{
    scenario::Scenario,
    story::{Told, play},
    witness::Nobody,
};

/// See the help texts.
#[derive(Debug, Clone, Args)]
pub struct SimulateArgs {
    /// The scenario file; its form is in docs/spec/scenarios.md
    scenario: PathBuf,
    /// Which faults happen: the same number gives the same ones
    #[arg(long, value_name = "N", requires = "faults", default_value_t = 1)]
    seed: u64,
    /// Lets things go wrong: conflicts, old and missing views, kills, a second operator
    #[arg(long)]
    faults: bool,
}

/// Prints the transcript; a story that ends otherwise than expected is a failure.
///
/// # Errors
/// The file cannot be read or is no scenario, or the output is closed.
pub fn run(args: &SimulateArgs) -> anyhow::Result<ExitCode> {
    let file = args.scenario.display();
    let text = fs::read_to_string(&args.scenario).with_context(|| format!("cannot read {file}"))?;
    let scenario = read(&text).with_context(|| format!("{file} is no scenario"))?;
    let told = play(&scenario, args.faults.then_some(args.seed), &mut Nobody);
    print(&told)
}

fn read(text: &str) -> anyhow::Result<Scenario> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| anyhow::anyhow!("{error}"))
}

fn print(told: &Told) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    out.write_all(told.transcript.as_bytes())?;
    let Some(unexpected) = &told.unexpected else { return Ok(ExitCode::SUCCESS) };
    writeln!(out, "# not as expected: {unexpected}")?;
    Ok(ExitCode::FAILURE)
}
