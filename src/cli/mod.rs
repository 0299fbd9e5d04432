//! The command line: arguments as typed, and the commands that need no operator.
//!
//! Ring 3. It never calls the controller: `main` hands the operator's arguments over. Only here does the process print;
//! everything else logs.
//!
//! The commands that talk to a cluster read and write custom resources with the caller's own kubeconfig: they can do nothing
//! that kubectl could not.

pub mod access;
pub mod adopt;
pub mod completion;
pub mod contain;
pub mod crds;
pub mod diff;
pub mod elsewhere;
pub mod get;
pub mod history;
pub mod host;
pub mod init;
pub mod lint;
pub mod objects;
pub mod operator;
pub mod plan;
pub mod sample;
pub mod simulate;
pub mod status;
pub mod sync;
pub mod table;
pub mod terminal;
pub mod tree;
pub mod uninstall;
pub mod verb;

use std::{error::Error, path::Path, process::ExitCode, time::Duration};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use k8s_openapi::jiff::SignedDuration;

use crate::telemetry::{chain, log::LogFormat, version};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "landfall", version = version(), about, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 success, 1 failure, 2 wrong arguments, 3 the operator lost its Lease or a plan has changes, 4 time ran out;
of diff: 0 nothing would change, 1 something would, 2 that cannot be told.
Also a plugin: as a link of the name kubectl-landfall on the PATH it is `kubectl landfall`.";

/// The exit code of a command that waited as long as it was told to.
pub const TIMED_OUT: u8 = 4;

impl Cli {
    /// The command line of this process. It ends the process where the arguments are wrong or help was asked for.
    pub fn read() -> Self {
        let matches = Self::command().bin_name(program()).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// The program as it was called: also a plugin of kubectl.
pub fn program() -> &'static str {
    let called = std::env::args_os().next().unwrap_or_default();
    match Path::new(&called).file_stem().and_then(|name| name.to_str()) {
        Some("kubectl-landfall") => "kubectl landfall",
        _ => "landfall",
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show deployments, packages or profiles
    Get(get::GetArgs),
    /// Follow the run of a Deployment to its end
    Status(status::StatusArgs),
    /// Say what would happen next to a Deployment, and why; nothing is changed
    Plan(plan::PlanArgs),
    /// Show the finished runs of a Deployment
    History(history::HistoryArgs),
    /// Look at the repository of a Profile now, and wait until what it says is in force
    Sync(sync::SyncArgs),
    /// Show the objects that a Profile's repository brought, with how its Deployments stand
    Tree(tree::TreeArgs),
    /// Show what the next sync of a Profile would change; nothing is changed
    Diff(diff::DiffArgs),
    /// What can be asked of a Deployment.
    #[command(flatten)]
    Verb(verb::VerbCommand),
    /// Hand an object that exists already over to a Deployment
    Adopt(adopt::AdoptArgs),
    /// Prepare a namespace: an account that packages are written as, and its rights
    Init(init::InitArgs),
    /// Let go what would wait for an operator that is gone: Profiles that are to be deleted after their objects
    Uninstall(uninstall::UninstallArgs),
    /// Run the operator
    Operator(operator::OperatorArgs),
    /// Say of files, without a cluster, what the API server and Landfall would refuse
    Lint(lint::LintArgs),
    /// Print the definitions of the custom resources as YAML
    Crds,
    /// Print what a shell needs to complete the command line
    Completion(completion::CompletionArgs),
    /// Print the version
    Version,
    /// Start a renderer of the operator without what it does not need
    #[command(hide = true)]
    Contain(contain::ContainArgs),
    /// Play a scenario file in a pretended cluster, and print what happens
    Simulate(simulate::SimulateArgs),
    /// A small application to deploy, and a client for it, for demonstrations and tests
    #[command(subcommand)]
    Sample(sample::SampleCommand),
}

/// How to log.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// The form of log lines on standard error [default: text on a terminal, else json]
    #[arg(long, env = "LANDFALL_LOG_FORMAT", value_enum)]
    log_format: Option<LogFormat>,
}

impl LogArgs {
    /// As typed, or what suits standard error.
    pub fn format(&self) -> LogFormat {
        self.log_format.unwrap_or_else(LogFormat::for_stderr)
    }
}

/// Prints why a command failed, as one line, and gives the exit code for it. For what happens before a log is started,
/// and for commands that have none.
#[expect(clippy::print_stderr, reason = "the command line's answer to the person who typed it")]
pub fn fail(error: &(dyn Error + 'static)) -> ExitCode {
    eprintln!("error: {}", terminal::clean(&chain(error)));
    ExitCode::FAILURE
}

/// The exit code of a command that says itself what it found, or the reason why it could not.
pub fn answer(result: anyhow::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| if terminal::is_hang_up(&error) { ExitCode::SUCCESS } else { fail(error.as_ref()) })
}

/// Prints the version.
///
/// # Errors
/// It cannot be printed.
pub fn print_version() -> anyhow::Result<ExitCode> {
    terminal::say(&format!("landfall {}", version())).map(|()| ExitCode::SUCCESS)
}

/// Reads a duration such as `5s`, `250ms` or `1m 30s`.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed: SignedDuration = text.parse().map_err(|_| "a duration looks like 5s, 250ms or 1m30s".to_owned())?;
    Duration::try_from(parsed).map_err(|_| "a duration is not negative".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_have_units_and_are_not_negative() {
        assert_eq!(duration("0ms"), Ok(Duration::ZERO));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        for bad in ["", "5", "-1s", "soon"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
