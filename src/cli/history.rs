//! `landfall history`: the finished runs of a Deployment.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::{
    access::{self, ClusterArgs},
    objects::{deployment, short_span},
    table::table,
    terminal::{clean_block, note, print},
};
use crate::api::run::FinishedRun;

/// See the help texts.
#[derive(Debug, Clone, Args)]
pub struct HistoryArgs {
    /// The name of the Deployment
    name: String,

    /// The form of the answer
    #[arg(short, long, value_enum, default_value = "table")]
    output: Form,

    /// Which cluster.
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    /// A table
    Table,
    /// A list as JSON
    Json,
}

/// Prints the finished runs, the latest first.
///
/// # Errors
/// The cluster cannot be asked, or has no such Deployment.
pub fn run(args: &HistoryArgs) -> anyhow::Result<ExitCode> {
    access::run(async {
        let session = args.cluster.open().await?;
        let runs = deployment(&session, &args.name).await?.status.unwrap_or_default().history;
        match args.output {
            Form::Json => print(&format!("{}\n", clean_block(&serde_json::to_string_pretty(&json!(runs))?)))?,
            Form::Table if runs.is_empty() => note(&format!("{} has no finished run", args.name)),
            Form::Table => print(&tabulate(&runs))?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The runs as a table.
pub fn tabulate(runs: &[FinishedRun]) -> String {
    table(&["RUN", "VERSION", "REVISION", "PHASE", "DURATION", "BY", "MESSAGE"], runs.iter().map(row))
}

fn row(finished: &FinishedRun) -> Vec<String> {
    vec![
        finished.run.id.clone(),
        finished.revision.version.clone(),
        finished.revision.hash.clone(),
        finished.phase.to_string(),
        finished.run.duration_ms.map(|ms| short_span(ms / 1_000)).unwrap_or_default(),
        finished.by.clone().unwrap_or_default(),
        finished.message.clone().unwrap_or_default(),
    ]
}
