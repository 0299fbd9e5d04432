//! The `landfall` binary: reads the command line and hands over.

use std::process::ExitCode;

use clap::Parser;
use landfall::{
    cli::{Cli, Command, answer, crds, fail, lint, operator::OperatorArgs, sample, simulate},
    cluster::connect::install_tls_provider,
    controller::{self, config::Config},
    telemetry,
};

fn main() -> ExitCode {
    install_tls_provider();
    match Cli::parse().command {
        Command::Operator(args) => operator(args),
        Command::Lint(args) => answer(lint::run(&args)),
        Command::Crds => answer(crds::run().map(|()| ExitCode::SUCCESS)),
        Command::Simulate(args) => answer(simulate::run(&args)),
        Command::Sample(command) => sample::run(command),
    }
}

/// Runs the operator. Its errors end as one record of the log, where the operator's other words are.
fn operator(args: OperatorArgs) -> ExitCode {
    if let Err(error) = telemetry::log::start(args.log.format()) {
        return fail(&error);
    }
    let config = match Config::try_from(args) {
        Ok(config) => config,
        Err(error) => return give_up(&error, 1),
    };
    match controller::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => give_up(&error, error.exit_code()),
    }
}

fn give_up(error: &(dyn std::error::Error + 'static), code: u8) -> ExitCode {
    tracing::error!("{}", telemetry::chain(error));
    ExitCode::from(code)
}
