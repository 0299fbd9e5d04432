//! `landfall sample`: an application that can be deployed, and a client for it, in the operator's own image.
//!
//! Demonstrations and tests then need no second image. It knows nothing of the operator.

pub mod get;
pub mod load;
pub mod serve;

use std::{future::Future, process::ExitCode};

use clap::Subcommand;

use super::fail;

/// The sample's commands.
#[derive(Debug, Subcommand)]
pub enum SampleCommand {
    /// Serve HTTP: / tells version and pod, /healthz tells health
    Serve(serve::ServeArgs),
    /// Send one HTTP GET with the system's name resolution, and print the answer
    Get(get::GetArgs),
    /// Send many HTTP GETs and tell which version answered how many
    Load(load::LoadCommand),
}

/// Runs one of the sample's commands.
pub fn run(command: SampleCommand) -> ExitCode {
    let outcome = match command {
        SampleCommand::Serve(args) => block_on(serve::run(args)),
        SampleCommand::Get(args) => block_on(get::run(args)),
        SampleCommand::Load(args) => block_on(load::run(args)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error.as_ref()),
    }
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}
