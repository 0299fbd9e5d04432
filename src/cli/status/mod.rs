//! `landfall status`: follows a run to its end.
//!
//! On a terminal it is a picture that is drawn again when something changes; elsewhere it is a line or an object per change.

mod live;
pub mod picture;
pub mod report;
pub mod tree;
pub mod world;

use std::{process::ExitCode, time::Duration};

use anyhow::bail;
use clap::{Args, ValueEnum};
use futures::StreamExt;
use kube::api::DynamicObject;

use self::{live::Until, report::End};
use super::{
    TIMED_OUT,
    access::{self, ClusterArgs, Session},
    duration,
    objects::{self, Event, Kind, follow_one, is_refused},
    terminal::{clean_block, is_live, note, print, say},
};
use crate::api::deployment::Deployment;

/// See the help texts.
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// The name of the Deployment
    name: String,

    /// Follow the run to its end; this is the default
    #[arg(short, long, overrides_with = "no_watch")]
    watch: bool,

    /// Say how it stands and end
    #[arg(long)]
    no_watch: bool,

    /// How long to follow [default: without limit]
    #[arg(long, value_parser = duration)]
    timeout: Option<Duration>,

    /// The form of the answer
    #[arg(short, long, value_enum, default_value = "text")]
    output: Form,

    /// Which cluster.
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A live picture on a terminal, else one line per change
    Text,
    /// One JSON object per change
    Json,
}

/// Whose end is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Goal<'a> {
    /// The name of the Deployment.
    pub name: &'a str,
    /// A run that had ended before, whose end therefore is none.
    pub over: Option<&'a str>,
    /// What is hoped for.
    pub hope: Hope,
}

/// Which end of a run is a good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hope {
    /// What is wanted is in force.
    Success,
    /// The run is over: somebody asked for its end.
    Over,
}

impl Goal<'_> {
    /// How the run ended, if it has.
    pub fn end(self, deployment: &Deployment) -> Option<End> {
        let run = deployment.status.as_ref().and_then(|status| status.run.as_ref());
        let is_old = self.over.is_some() && run.map(|run| run.id.as_str()) == self.over;
        let end = report::end(deployment).filter(|_| !is_old)?;
        Some(if self.hope == Hope::Over { End::Well } else { end })
    }
}

/// Says how a Deployment stands, until its run ends.
///
/// # Errors
/// The cluster cannot be asked, or has no such Deployment.
pub fn run(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    access::run(async {
        let session = args.cluster.open().await?;
        let until = if args.no_watch { Until::Drawn } else { Until::Ended };
        let goal = Goal { name: &args.name, over: None, hope: Hope::Success };
        within(args.timeout, goal, follow(&session, goal, args.output, until)).await
    })
}

/// Follows a run to its end and says how it goes.
///
/// # Errors
/// As [`run`].
pub async fn to_the_end(session: &Session, goal: Goal<'_>, timeout: Option<Duration>) -> anyhow::Result<ExitCode> {
    within(timeout, goal, follow(session, goal, Form::Text, Until::Ended)).await
}

async fn follow(session: &Session, goal: Goal<'_>, form: Form, until: Until) -> anyhow::Result<End> {
    if form == Form::Text && is_live() {
        return Box::pin(live::draw(session, goal, until)).await;
    }
    Box::pin(tell(session, goal, Teller { form, last: String::new() }, until)).await
}

async fn within(
    timeout: Option<Duration>,
    goal: Goal<'_>,
    watch: impl Future<Output = anyhow::Result<End>>,
) -> anyhow::Result<ExitCode> {
    let Some(limit) = timeout else { return watch.await.map(code) };
    if let Ok(end) = tokio::time::timeout(limit, watch).await {
        return end.map(code);
    }
    note(&format!("error: {} has not ended within {} s; it goes on without this command", goal.name, limit.as_secs()));
    Ok(ExitCode::from(TIMED_OUT))
}

fn code(end: End) -> ExitCode {
    match end {
        End::Well => ExitCode::SUCCESS,
        End::Badly => ExitCode::FAILURE,
    }
}

async fn tell(session: &Session, goal: Goal<'_>, mut teller: Teller, until: Until) -> anyhow::Result<End> {
    // Asked once as a plain call, because a watch does not say that there is no such object.
    let name = goal.name;
    match (teller.tell(&objects::one(session, Kind::Deployments, name).await?, goal)?, until) {
        (Some(end), _) => return Ok(end),
        (None, Until::Drawn) => return Ok(End::Well),
        (None, Until::Ended) => {}
    }
    let mut events = std::pin::pin!(follow_one(objects::api(session, Kind::Deployments), name));
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => {
                if let Some(end) = teller.tell(&object, goal)? {
                    return Ok(end);
                }
            }
            Ok(Event::Delete(_)) => bail!("{name} was deleted"),
            Err(error) if is_refused(&error) => bail!("{name} cannot be watched: {error}"),
            Ok(Event::Init | Event::InitDone) | Err(_) => {}
        }
    }
    bail!("the watch of {name} ended")
}

/// Says what changed, once.
struct Teller {
    form: Form,
    last: String,
}

impl Teller {
    fn tell(&mut self, object: &DynamicObject, goal: Goal<'_>) -> anyhow::Result<Option<End>> {
        let Some(deployment) = objects::read::<Deployment>(object) else {
            bail!(
                "{} cannot be read by this version; update landfall",
                object.metadata.name.clone().unwrap_or_default()
            )
        };
        let line = match self.form {
            Form::Text => report::line(&deployment.status.clone().unwrap_or_default()),
            Form::Json => report::object(&deployment).to_string(),
        };
        if line != self.last {
            match self.form {
                Form::Text => say(&line)?,
                Form::Json => print(&format!("{}\n", clean_block(&line)))?,
            }
            self.last = line;
        }
        Ok(goal.end(&deployment))
    }
}
