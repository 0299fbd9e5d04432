//! `landfall sync`: asks for a look at the repository of a Profile, and waits until what it says is in force.
//!
//! The request is an annotation with a value that was never there before, as `kubectl annotate` could write it; the status
//! says which one was answered last.

pub mod report;

use std::{process::ExitCode, time::Duration};

use anyhow::bail;
use clap::Args;
use futures::{Stream, StreamExt};
use kube::{
    ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
    runtime::watcher,
};
use serde_json::json;

use self::report::End;
use super::{
    TIMED_OUT,
    access::{self, ClusterArgs, Session, ask},
    duration,
    objects::{self, Event, Kind, follow_one, is_refused},
    program,
    terminal::{Ink, lines, note, print, say},
    verb::{FIELD_MANAGER, mark},
};
use crate::api::{SYNC_ANNOTATION, profile::Profile};

/// See the help texts.
#[derive(Debug, Clone, Args)]
pub struct SyncArgs {
    /// The name of the Profile
    name: String,

    /// Ask, and do not wait for what becomes of it
    #[arg(long)]
    no_wait: bool,

    /// How long to wait
    #[arg(long, value_parser = duration, default_value = "5m")]
    timeout: Duration,

    /// Which cluster.
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Asks, waits, and says what became of it.
///
/// # Errors
/// The cluster cannot be asked, or has no such Profile, or the Profile has no source.
pub fn run(args: &SyncArgs) -> anyhow::Result<ExitCode> {
    access::run(give(args))
}

async fn give(args: &SyncArgs) -> anyhow::Result<ExitCode> {
    let (session, name) = (args.cluster.open().await?, &args.name);
    if objects::profile(&session, name).await?.spec.source.is_none() {
        bail!("{name} has no source: there is nothing to sync; name a repository in spec.source");
    }
    let request = mark();
    write(&session, name, &request).await?;
    if args.no_wait {
        say(&format!("{name}: asked for a look at its repository; how it stands: {}", args.typed("tree")))?;
        return Ok(ExitCode::SUCCESS);
    }
    let events = follow_one(objects::api(&session, Kind::Profiles), name);
    let waiting = Waiting { name, request: &request, last: String::new() };
    match tokio::time::timeout(args.timeout, waiting.answer(events)).await {
        Err(_) => Ok(args.unanswered()),
        Ok(profile) => tell(&profile?),
    }
}

async fn write(session: &Session, name: &str, request: &str) -> anyhow::Result<()> {
    let patch = json!({"metadata": {"annotations": {SYNC_ANNOTATION: request}}});
    let params =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }.validation_strict();
    let written = ask(objects::api(session, Kind::Profiles).patch(name, &params, &Patch::Merge(&patch))).await;
    written.map_err(|error| objects::explain(error, session, Kind::Profiles, name))?;
    Ok(())
}

fn tell(profile: &Profile) -> anyhow::Result<ExitCode> {
    let ink = Ink::of_stdout();
    print(&lines(report::result(profile).iter().map(|line| line.render(ink, usize::MAX))))?;
    let went_well = report::end(profile) == Some(End::Well);
    Ok(if went_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A request that was written.
struct Waiting<'a> {
    name: &'a str,
    request: &'a str,
    /// What was said last of how far it is.
    last: String,
}

impl Waiting<'_> {
    /// Waits until this very request was answered and nothing is under way.
    async fn answer(mut self, events: impl Stream<Item = watcher::Result<Event>>) -> anyhow::Result<Profile> {
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(object) | Event::InitApply(object)) => {
                    if let Some(profile) = self.answered(&object)? {
                        return Ok(profile);
                    }
                }
                Ok(Event::Delete(_)) => bail!("{} was deleted before the request was answered", self.name),
                Err(error) if is_refused(&error) => {
                    bail!("the request is written, but its answer cannot be watched: {error}")
                }
                Ok(Event::Init | Event::InitDone) | Err(_) => {}
            }
        }
        bail!("the watch ended before the request was answered")
    }

    fn answered(&mut self, object: &DynamicObject) -> anyhow::Result<Option<Profile>> {
        let profile: Profile = objects::understood(object)?;
        let source = profile.status.as_ref().and_then(|status| status.source.clone()).unwrap_or_default();
        let is_ours = source.handled_request.as_deref() == Some(self.request);
        if !is_ours && object.annotations().get(SYNC_ANNOTATION).map(String::as_str) != Some(self.request) {
            bail!("another request took the place of this one before it was answered");
        }
        let end = report::end(&profile);
        if is_ours && end.is_some() {
            return Ok(Some(profile));
        }
        self.on_the_way(end.map_or_else(|| report::progress(&source), |_| String::new()));
        Ok(None)
    }

    /// Says beside the answer how far it is, once.
    fn on_the_way(&mut self, line: String) {
        if !line.is_empty() && line != self.last {
            note(&format!("{}: {line}", self.name));
            self.last = line;
        }
    }
}

impl SyncArgs {
    fn unanswered(&self) -> ExitCode {
        note(&format!(
            "error: {} was not in force within {} s. The request stays and is carried out as soon as an operator sees it; \
             how it stands: {}",
            self.name,
            self.timeout.as_secs(),
            self.typed("tree")
        ));
        ExitCode::from(TIMED_OUT)
    }

    /// Another command for the same Profile, as one types it.
    fn typed(&self, words: &str) -> String {
        let namespace = self.cluster.typed_namespace().map(|name| format!(" -n {name}")).unwrap_or_default();
        format!("{} {words} {}{namespace}", program(), self.name)
    }
}
