//! `landfall diff`: what the next sync of a Profile would change, by the API server's own answer to a dry run.
//!
//! Everything is read and asked as whoever calls: the repository with the credentials that the Profile names, if the caller may
//! read their Secret, or else a working copy on the disk. Nothing is written.

mod directory;
mod files;
mod keys;
pub mod mask;
pub mod print;
mod programs;
mod rehearse;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};
use clap::Args;

use self::{
    files::Files,
    print::{differences, report},
    programs::Programs,
    rehearse::{Halt, Outlook, Rehearsal},
};
use super::{
    access::{self, ClusterArgs},
    elsewhere, fail, objects, program,
    terminal::{Ink, is_hang_up, lines, note, print},
};

/// Something would change.
const DIFFERENT: u8 = 1;

/// Whether something would change cannot be told, or the next sync would be refused.
const TROUBLE: u8 = 2;

/// What is said where the objects are in a cluster that cannot be asked.
const ELSEWHERE: &str = "the objects of this Profile are in another cluster, which cannot be asked from here";

/// See the help texts.
#[derive(Debug, Clone, Args)]
pub struct DiffArgs {
    /// The name of the Profile
    name: String,

    /// A working copy of the repository, by its root [default: the repository itself is read]
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,

    /// Directory with kustomize and helm, for repositories that need them [default: they are looked for in the PATH]
    #[arg(long, value_name = "DIR")]
    renderers: Option<PathBuf>,

    /// Which cluster.
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Prints what would change. It ends as `diff` does: 0 where nothing is different, 1 where something is, 2 where that cannot be told.
pub fn run(args: &DiffArgs) -> ExitCode {
    match access::run(give(args)) {
        Ok(code) => ExitCode::from(code),
        Err(error) if is_hang_up(&error) => ExitCode::SUCCESS,
        Err(error) => {
            fail(error.as_ref());
            ExitCode::from(TROUBLE)
        }
    }
}

async fn give(args: &DiffArgs) -> anyhow::Result<u8> {
    let (session, name) = (args.cluster.open().await?, &args.name);
    let profile = objects::profile(&session, name).await?;
    let Some(source) = &profile.spec.source else {
        bail!("{name} has no source: there is nothing to compare; name a repository in spec.source");
    };
    let files = match &args.path {
        Some(root) => Files::of_directory(root.clone()),
        None => match Files::of_repository(&session, name, source).await {
            Ok(files) => files,
            Err(error) => return Err(error.context(args.remedy())),
        },
    };
    let there = elsewhere::target(&session, &profile).await.context(ELSEWHERE)?;
    let rehearsal = Rehearsal::new(&session, there.as_ref(), &profile, source).await?;
    let programs = Programs::find(args.renderers.clone())?;
    let client = there.as_ref().map_or(&session.client, |there| &there.client);
    let outcome = rehearsal.play(&files, programs.tools(client)).await;
    programs.say_versions().await;
    match outcome {
        Ok(outlook) => tell(&outlook),
        Err(Halt::Error(error)) => Err(error),
        Err(Halt::Refused(problems)) => {
            for problem in problems {
                let object = problem.object.map(|object| format!("{object}: ")).unwrap_or_default();
                let (file, line) = (problem.file, problem.line);
                note(&format!("error: {file}:{line}: {object}{} ({})", problem.message, problem.reason));
            }
            Ok(TROUBLE)
        }
    }
}

fn tell(outlook: &Outlook) -> anyhow::Result<u8> {
    let found = differences(&outlook.before, &outlook.after)?;
    let ink = Ink::of_stdout();
    print(&lines(report(&found).iter().map(|line| line.render(ink, usize::MAX))))?;
    outlook.notes.iter().for_each(|words| note(&format!("note: {words}")));
    outlook.troubles.iter().for_each(|words| note(&format!("error: {words}")));
    Ok(match (outlook.troubles.is_empty(), found.is_empty()) {
        (false, _) => TROUBLE,
        (true, false) => DIFFERENT,
        (true, true) => 0,
    })
}

impl DiffArgs {
    /// What else may be done where the repository cannot be read from here.
    fn remedy(&self) -> String {
        let namespace = self.cluster.typed_namespace().map(|name| format!(" -n {name}")).unwrap_or_default();
        let command = format!("{} diff --path DIR {}{namespace}", program(), self.name);
        format!("the repository cannot be read from here; to compare a working copy of it: {command}")
    }
}
