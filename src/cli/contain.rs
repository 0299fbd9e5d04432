//! `landfall contain`: the operator starts other people's programs by it. It is no command for people.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::Args;

use super::fail;
use crate::program::contain::{Contained, MEMORY_MAX, contain};

/// See the help texts.
#[derive(Debug, Clone, Args)]
pub struct ContainArgs {
    /// A directory or file that the program may read
    #[arg(long)]
    read: Vec<PathBuf>,

    /// A directory or file that the program may read and start
    #[arg(long)]
    run: Vec<PathBuf>,

    /// The bytes of memory that the program may write to
    #[arg(long, default_value_t = MEMORY_MAX)]
    memory: u64,

    /// The program with its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// The exit code of a program that was not started.
pub const NOT_STARTED: u8 = 125;

/// Becomes the program, without what it does not need.
pub fn run(args: ContainArgs) -> ExitCode {
    let ContainArgs { read, mut run, memory, command } = args;
    let mut words = command.into_iter();
    let program = PathBuf::from(words.next().unwrap_or_default());
    run.push(program.clone());
    match contain(&Contained { read, run, memory, program, arguments: words.collect() }) {
        Ok(never) => match never {},
        Err(error) => {
            fail(&error);
            ExitCode::from(NOT_STARTED)
        }
    }
}
