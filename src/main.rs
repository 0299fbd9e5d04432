//! The `landfall` binary: reads the command line and hands over.

use std::process::ExitCode;

use landfall::{
    cli::{
        Cli, Command, adopt, answer, completion, contain, crds, diff, fail, get, history, init, lint,
        operator::OperatorArgs, plan, print_version, sample, simulate, status, sync, tree, uninstall, verb,
    },
    cluster::connect::install_tls_provider,
    controller::{self, config::Config},
    telemetry,
};

/// Most of what the operator does is to make and drop small texts; see docs/decisions/0005.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    install_tls_provider();
    match Cli::read().command {
        Command::Get(args) => answer(get::run(&args)),
        Command::Status(args) => answer(status::run(&args)),
        Command::Plan(args) => answer(plan::run(&args)),
        Command::History(args) => answer(history::run(&args)),
        Command::Sync(args) => answer(sync::run(&args)),
        Command::Tree(args) => answer(tree::run(&args)),
        Command::Diff(args) => diff::run(&args),
        Command::Verb(command) => answer(verb::run(command)),
        Command::Adopt(args) => answer(adopt::run(&args)),
        Command::Init(args) => answer(init::run(&args)),
        Command::Uninstall(args) => answer(uninstall::run(&args)),
        Command::Operator(args) => operator(args),
        Command::Lint(args) => answer(lint::run(&args)),
        Command::Crds => answer(crds::run().map(|()| ExitCode::SUCCESS)),
        Command::Completion(args) => answer(completion::run(&args)),
        Command::Contain(args) => contain::run(args),
        Command::Version => answer(print_version()),
        Command::Simulate(args) => answer(simulate::run(&args)),
        Command::Sample(command) => sample::run(command),
    }
}

/// Runs the operator. Its errors end as one record of the log, where the operator's other words are.
fn operator(args: OperatorArgs) -> ExitCode {
    if let Err(error) = telemetry::log::start(args.log.format()) {
        return fail(&error);
    }
    match Config::try_from(args).map(|config| controller::run(&config)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => give_up(&error, error.exit_code()),
        Err(error) => give_up(&error, 1),
    }
}

fn give_up(error: &(dyn std::error::Error + 'static), code: u8) -> ExitCode {
    tracing::error!("{}", telemetry::chain(error));
    ExitCode::from(code)
}
