//! `landfall promote`, `abort` and the others: writes a command on the Deployment and waits for its answer.
//!
//! A command is an annotation, so it outlives this process and a restart of the operator. Nothing is decided here: whether
//! a command applies is the operator's answer.

mod answer;
pub mod order;

use std::{process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use k8s_openapi::jiff::{Timestamp, Unit};

use self::order::{Order, With};
use super::{access::ClusterArgs, duration};
use crate::api::command::Verb;

/// Under which name the command line's changes stand in `metadata.managedFields`.
pub const FIELD_MANAGER: &str = "landfall-cli";

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub enum VerbCommand {
    /// Pass the gate that waits
    Promote(PromoteArgs),
    /// End the pause or the check that is under way
    Skip(VerbArgs),
    /// Hold the run where it is
    Pause(VerbArgs),
    /// Release a hold
    Resume(VerbArgs),
    /// Return to the stable revision at once and reject the candidate
    Abort(VerbArgs),
    /// End a run before its traffic has moved
    Cancel(VerbArgs),
    /// Start a run to a revision that is kept
    Rollback(RollbackArgs),
    /// Try a failed or rejected revision again
    Retry(VerbArgs),
    /// Take all instances down
    Stop(VerbArgs),
    /// Replace the instances of what runs, or start them after a stop
    Restart(VerbArgs),
}

/// See the help texts.
#[derive(Debug, Clone, Args)]
pub struct VerbArgs {
    /// The name of the Deployment
    pub name: String,

    /// The run or revision that is meant [default: the run in its status, or what runs]
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,

    /// Follow the run to its end, as `landfall status` does
    #[arg(long)]
    pub wait: bool,

    /// How long to wait [default: 30s for the answer, without limit for the end of the run]
    #[arg(long, value_parser = duration)]
    pub timeout: Option<Duration>,

    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// See the help texts.
#[derive(Debug, Clone, Args)]
pub struct PromoteArgs {
    /// All remaining steps at once
    #[arg(long)]
    full: bool,

    /// What all commands have.
    #[command(flatten)]
    common: VerbArgs,
}

/// See the help texts.
#[derive(Debug, Clone, Args)]
pub struct RollbackArgs {
    /// The revision, or a version of the history [default: the last one that is kept]
    #[arg(long, value_name = "REVISION")]
    to: Option<String>,

    /// What all commands have.
    #[command(flatten)]
    common: VerbArgs,
}

/// Gives the command.
///
/// # Errors
/// The cluster cannot be asked, there is no such Deployment, or nothing that the command could mean.
pub fn run(command: VerbCommand) -> anyhow::Result<ExitCode> {
    let (verb, with, args) = taken_apart(command);
    let order = Order { verb, named: args.run.clone(), with };
    super::access::run(answer::give(&args, &order))
}

fn taken_apart(command: VerbCommand) -> (Verb, Option<With>, VerbArgs) {
    match command {
        VerbCommand::Promote(args) => (Verb::Promote, args.full.then_some(With::Full), args.common),
        VerbCommand::Rollback(args) => (Verb::Rollback, args.to.map(With::To), args.common),
        VerbCommand::Skip(args) => (Verb::Skip, None, args),
        VerbCommand::Pause(args) => (Verb::Pause, None, args),
        VerbCommand::Resume(args) => (Verb::Resume, None, args),
        VerbCommand::Abort(args) => (Verb::Abort, None, args),
        VerbCommand::Cancel(args) => (Verb::Cancel, None, args),
        VerbCommand::Retry(args) => (Verb::Retry, None, args),
        VerbCommand::Stop(args) => (Verb::Stop, None, args),
        VerbCommand::Restart(args) => (Verb::Restart, None, args),
    }
}

/// What makes a command unlike every other one: when it was typed, and some chance.
pub fn mark() -> String {
    let now = Timestamp::now().round(Unit::Second).unwrap_or_default();
    format!("{now}-{:08x}", fastrand::u32(..))
}
