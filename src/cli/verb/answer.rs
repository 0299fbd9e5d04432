//! One command on its way: the write, the wait, and what is said of the answer.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{anyhow, bail};
use futures::{Stream, StreamExt};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    runtime::watcher,
};
use serde_json::{Value, json};

use super::{
    FIELD_MANAGER, VerbArgs, mark,
    order::{Order, OrderError},
};
use crate::{
    api::{
        command::{ACTOR_ANNOTATION, CommandResult, Verb},
        deployment::Deployment,
        deployment_status::DeploymentStatus,
        run::CommandAnswer,
    },
    cli::{
        TIMED_OUT,
        access::{Session, ask},
        objects::{self, Event, Kind, follow_one, is_refused},
        program,
        status::{self, Goal, Hope},
        terminal::{note, say},
    },
};

/// How long an operator that is there needs at most for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes the command and waits for its answer, and for the end of the run if that was asked for.
pub async fn give(args: &VerbArgs, order: &Order) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let session = args.cluster.open().await?;
    let status = objects::deployment(&session, &args.name).await?.status.unwrap_or_default();
    let value = order.value(&status, &mark()).map_err(|error| advise(args, &error))?;
    write(&session, &args.name, order.verb, &value).await?;
    let asked = Asked { verb: order.verb, value: &value, args, started, over: over(order.verb, &status) };
    let patience = args.timeout.unwrap_or(PATIENCE);
    let events = follow_one(objects::api(&session, Kind::Deployments), &args.name);
    match tokio::time::timeout(patience, asked.answer(events)).await {
        Err(_) => Ok(asked.unanswered(patience)),
        Ok(answer) => asked.say(&session, &answer?).await,
    }
}

/// The run whose end was there before the command: a verb that starts a run waits for the end of another one.
fn over(verb: Verb, status: &DeploymentStatus) -> Option<String> {
    let starts = matches!(verb, Verb::Rollback | Verb::Retry | Verb::Restart);
    status.run.as_ref().filter(|run| starts && run.completed_at.is_some()).map(|run| run.id.clone())
}

fn advise(args: &VerbArgs, error: &OrderError) -> anyhow::Error {
    let more = match error {
        OrderError::UnderWay => format!("; type: {}", args.typed(Verb::Abort)),
        _ => String::new(),
    };
    anyhow!("{}: {error}{more}", args.name)
}

/// Writes the annotation, and whose word it is. Nothing else is touched.
async fn write(session: &Session, name: &str, verb: Verb, value: &str) -> anyhow::Result<()> {
    let mut annotations = json!({verb.annotation(): value});
    if let Some(actor) = own_name(session).await {
        annotations[ACTOR_ANNOTATION] = Value::String(actor);
    }
    let patch = json!({"metadata": {"annotations": annotations}});
    let params =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }.validation_strict();
    let api = objects::api(session, Kind::Deployments);
    let written = ask(api.patch(name, &params, &Patch::Merge(&patch))).await;
    written.map_err(|error| objects::explain(error, session, Kind::Deployments, name))?;
    Ok(())
}

/// The caller's own name. An admission policy compares it; without one it means nothing, so it may be missing.
async fn own_name(session: &Session) -> Option<String> {
    let api: Api<SelfSubjectReview> = Api::all(session.client.clone());
    let review = ask(api.create(&PostParams::default(), &SelfSubjectReview::default())).await.ok()?;
    review.status?.user_info?.username
}

/// A command that was written.
struct Asked<'a> {
    verb: Verb,
    value: &'a str,
    args: &'a VerbArgs,
    started: Instant,
    over: Option<String>,
}

impl Asked<'_> {
    /// Waits for the answer to this very command.
    async fn answer(&self, events: impl Stream<Item = watcher::Result<Event>>) -> anyhow::Result<CommandAnswer> {
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(object) | Event::InitApply(object)) => {
                    if let Some(answer) = self.answer_on(&object)? {
                        return Ok(answer);
                    }
                }
                Ok(Event::Delete(_)) => bail!("{} was deleted before the command was answered", self.args.name),
                Err(error) if is_refused(&error) => {
                    bail!("the command is written, but its answer cannot be watched: {error}")
                }
                Ok(Event::Init | Event::InitDone) | Err(_) => {}
            }
        }
        bail!("the watch ended before the command was answered")
    }

    fn answer_on(&self, object: &DynamicObject) -> anyhow::Result<Option<CommandAnswer>> {
        let deployment: Option<Deployment> = objects::read(object);
        let answers = deployment.and_then(|deployment| deployment.status).unwrap_or_default().commands;
        let answer = answers.get(self.verb.word()).filter(|answer| answer.id == self.value);
        if answer.is_none() && object.annotations().get(&self.verb.annotation()).map(String::as_str) != Some(self.value)
        {
            bail!("another {} took the place of this one before it was answered", self.verb.word());
        }
        Ok(answer.cloned())
    }

    /// Prints the answer. One that is a yes ends well, or with the run.
    async fn say(&self, session: &Session, answer: &CommandAnswer) -> anyhow::Result<ExitCode> {
        let (name, verb) = (&self.args.name, self.verb.word());
        let message = answer.message.as_ref().filter(|message| !message.is_empty());
        let because = message.map(|message| format!(": {message}")).unwrap_or_default();
        match answer.result {
            CommandResult::Refused => bail!("{name}: {verb} was refused{because}{}", self.instead(&because)),
            CommandResult::Stale => bail!(
                "{name}: {verb} about {} is stale{because}; look with: {}",
                self.value.split(' ').next().unwrap_or_default(),
                self.args.typed_words("status"),
            ),
            CommandResult::Done | CommandResult::Unknown => say(&format!("{name}: {verb}: done{because}"))?,
            CommandResult::Accepted => say(&format!("{name}: {verb}: accepted{because}"))?,
        }
        if !self.args.wait {
            return Ok(ExitCode::SUCCESS);
        }
        let left = self.args.timeout.map(|timeout| timeout.saturating_sub(self.started.elapsed()));
        let hope = if matches!(self.verb, Verb::Abort | Verb::Cancel) { Hope::Over } else { Hope::Success };
        status::to_the_end(session, Goal { name, over: self.over.as_deref(), hope }, left).await
    }

    /// The command to type instead, where the refusal names one.
    fn instead(&self, because: &str) -> String {
        let named = |verb: &&Verb| because.contains(&format!("use {}", verb.word()));
        let other = Verb::ALL.iter().find(named);
        other.map(|verb| format!("; type: {}", self.args.typed(*verb))).unwrap_or_default()
    }

    fn unanswered(&self, patience: Duration) -> ExitCode {
        note(&format!(
            "error: no answer within {} s. The command stays on {} and is carried out as soon as an operator sees it; \
             whether one runs: kubectl get pods --all-namespaces --selector app.kubernetes.io/name=landfall",
            patience.as_secs(),
            self.args.name
        ));
        ExitCode::from(TIMED_OUT)
    }
}

impl VerbArgs {
    /// Another command for the same Deployment, as one types it.
    fn typed(&self, verb: Verb) -> String {
        self.typed_words(verb.word())
    }

    fn typed_words(&self, words: &str) -> String {
        let namespace = self.cluster.typed_namespace().map(|name| format!(" -n {name}")).unwrap_or_default();
        format!("{} {words} {}{namespace}", program(), self.name)
    }
}
