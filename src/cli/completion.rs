//! `landfall completion`: what a shell needs to complete the command line.

use std::{io, process::ExitCode};

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::{Shell, generate};

use super::{Cli, terminal::print};

/// See the help texts.
#[derive(Debug, Clone, Args)]
#[command(after_help = "bash: source <(landfall completion bash)\nzsh:  source <(landfall completion zsh)\n\
                        fish: landfall completion fish | source")]
pub struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Known,
}

/// The shells that are tried in tests.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Known {
    /// Bash
    Bash,
    /// Zsh
    Zsh,
    /// Fish
    Fish,
}

/// Prints the script.
///
/// # Errors
/// It cannot be printed.
pub fn run(args: &CompletionArgs) -> anyhow::Result<ExitCode> {
    let shell = match args.shell {
        Known::Bash => Shell::Bash,
        Known::Zsh => Shell::Zsh,
        Known::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "landfall", &mut script);
    let script = String::from_utf8(script).map_err(io::Error::other)?;
    print(&script)?;
    Ok(ExitCode::SUCCESS)
}
