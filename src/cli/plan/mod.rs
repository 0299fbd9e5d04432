//! `landfall plan`: what would happen next, and why. Nothing is changed.
//!
//! The engine decides on what the cluster has now, exactly as the operator would at its next look. [`look`] reads,
//! [`outlook`] decides, [`report`] puts it into words.

pub mod look;
pub mod outlook;
pub mod report;

use std::{
    process::ExitCode,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::{
    access::{self, ClusterArgs},
    terminal::{clean_block, print},
};
use crate::{api::version::Version, engine::moment::Moment};

/// The exit code where something would change and `--detailed-exitcode` asks for it. Not 2, as elsewhere: that is the code
/// of wrong arguments, and a script that misspells an option must not take it for an answer.
pub const CHANGES: u8 = 3;

/// See the help texts.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXIT_CODES)]
pub struct PlanArgs {
    /// The name of the Deployment
    name: String,

    /// Plan another version of the package instead of the one that is asked for
    #[arg(long, value_name = "VERSION")]
    version: Option<Version>,

    /// The form of the answer
    #[arg(short, long, value_enum, default_value = "text")]
    output: Form,

    /// End with 3 where something would change
    #[arg(long)]
    detailed_exitcode: bool,

    /// Which cluster.
    #[command(flatten)]
    cluster: ClusterArgs,
}

const EXIT_CODES: &str = "\
Exit codes: 0 there is a plan, 1 there is none or what is wanted is refused, 2 wrong arguments.
With --detailed-exitcode: 0 nothing would change, 3 something would.";

/// The form of an answer.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    /// Text for people
    Text,
    /// One object as JSON
    Json,
}

/// Prints the plan.
///
/// # Errors
/// The cluster cannot be asked, or has no such Deployment.
pub fn run(args: &PlanArgs) -> anyhow::Result<ExitCode> {
    access::run(async {
        let session = args.cluster.open().await?;
        let world = Box::pin(look::World::see(&session, &args.name, args.version.as_ref())).await?;
        let outlook = outlook::Outlook::of(&world, now(), Instant::now());
        match args.output {
            Form::Text => print(&report::text(&outlook))?,
            Form::Json => print(&format!("{}\n", clean_block(&serde_json::to_string_pretty(&json!(outlook))?)))?,
        }
        Ok(match outlook.ends() {
            outlook::Ends::Refused => ExitCode::FAILURE,
            outlook::Ends::Changes if args.detailed_exitcode => ExitCode::from(CHANGES),
            outlook::Ends::Changes | outlook::Ends::Same => ExitCode::SUCCESS,
        })
    })
}

fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
