//! What a sync would do, asked of the API server with nothing stored.

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use futures::{StreamExt, stream};
use serde_json::{Value, value::RawValue};

use super::files::Files;
use crate::{
    api::{
        profile::Profile,
        source::{DriftPolicy, Source},
    },
    cli::{access::Session, tree},
    cluster::{
        bring::Meta,
        call::CallError,
        values,
        write::{Account, Claim, Place, Writer},
    },
    gitops::{
        inventory::{Entry, Inventory, distinct},
        object::{Id, Manifest},
        owner::{Owner, Replicas},
        plan::{Plan, Terms, plan},
        problem::Problem,
        render::{self, Bounds, Settings},
        renderer,
        scope::{Scope, Scopes, comes_along},
        select,
        values::Values,
    },
};

/// The objects that are asked about at a time.
const AT_ONCE: usize = 16;

/// Why there is nothing to compare.
pub enum Halt {
    /// Something cannot be read.
    Error(anyhow::Error),
    /// The files are refused.
    Refused(Vec<Problem>),
}

impl From<anyhow::Error> for Halt {
    fn from(error: anyhow::Error) -> Self {
        Self::Error(error)
    }
}

impl From<Vec<Problem>> for Halt {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Refused(problems)
    }
}

/// What would become of the objects.
#[derive(Default)]
pub struct Outlook {
    /// The objects as they are.
    pub before: Vec<Value>,
    /// The same as they would be.
    pub after: Vec<Value>,
    /// What else is to be said.
    pub notes: Vec<String>,
    /// What would be refused, or cannot be told.
    pub troubles: Vec<String>,
}

/// A sync that is only played.
pub struct Rehearsal<'a> {
    /// For the cluster that the objects are in.
    writer: Writer,
    /// For the cluster of the Profile.
    here: Writer,
    /// The namespace that the objects are in.
    namespace: &'a str,
    owner: Owner<'a>,
    source: &'a Source,
    inventory: Inventory,
}

/// One object before and after.
struct Pair {
    before: Option<Value>,
    after: Value,
    note: Option<String>,
}

impl<'a> Rehearsal<'a> {
    /// Reads what the source looks after. `there` is where its objects are, if that is another cluster.
    ///
    /// # Errors
    /// A part of the inventory cannot be read: what would be deleted cannot be told without it.
    pub async fn new(
        session: &'a Session,
        there: Option<&'a Session>,
        profile: &'a Profile,
        source: &'a Source,
    ) -> anyhow::Result<Self> {
        let mut notes = Vec::new();
        let lines = tree::texts(session, profile, &mut notes).await;
        if let Some(note) = notes.first() {
            bail!("{note}");
        }
        let lines = distinct(lines);
        let inventory = Inventory::read(lines.iter().map(String::as_str)).context("the inventory cannot be read")?;
        let name = profile.metadata.name.as_deref().unwrap_or_default();
        let owner = Owner { namespace: &session.namespace, profile: name };
        let at = there.unwrap_or(session);
        let (writer, here) = (Writer::new(at.client.clone()), Writer::new(session.client.clone()));
        Ok(Self { writer, here, namespace: &at.namespace, owner, source, inventory })
    }

    /// Asks what these files would change.
    ///
    /// # Errors
    /// They cannot be read as objects that belong here, or the API server does not answer.
    pub async fn play(&self, files: &Files) -> Result<Outlook, Halt> {
        let manifests = self.manifests(files).await?;
        let Source { prune, allow_empty, allow_profiles, drift, .. } = *self.source;
        let terms = Terms { prune, allow_empty, allow_profiles, again: BTreeSet::new() };
        let plan = plan(&manifests, &self.inventory, &terms).map_err(anyhow::Error::from)?;
        let mut outlook = Outlook::default();
        let written = written(&plan, drift, &mut outlook);
        let mut pairs = stream::iter(written.iter().filter_map(|index| manifests.get(*index)))
            .map(|manifest| self.pair(manifest, &manifests))
            .buffered(AT_ONCE);
        while let Some(pair) = pairs.next().await {
            match pair {
                Ok(Pair { before, after, note }) => {
                    outlook.before.extend(before);
                    outlook.after.push(after);
                    outlook.notes.extend(note);
                }
                Err(trouble) => outlook.troubles.push(trouble),
            }
        }
        for entry in &plan.prune {
            self.prune(entry, &mut outlook).await;
        }
        let stays = |entry: &Entry| format!("{} is no longer looked after, and stays", entry.id);
        outlook.notes.extend(plan.forget.iter().map(stays));
        Ok(outlook)
    }

    /// The objects of the files, as the operator reads them.
    async fn manifests(&self, files: &Files) -> Result<Vec<Manifest>, Halt> {
        let directory = self.source.git.directory();
        let listing = files.list(directory).await?;
        let ignore = match listing.entries.iter().find(|entry| entry.path == select::IGNORE_FILE) {
            Some(entry) => files.read(directory, &[entry]).await?.pop(),
            None => None,
        };
        let ignore = ignore.map(|content| String::from_utf8_lossy(&content).into_owned());
        if let Some((root, program)) = select::root(&listing, ignore.as_deref(), &self.source.ignore)? {
            let message = format!(
                "{} makes the manifests of this directory, which is done by the operator alone: compare what it makes by `kubectl diff --server-side --filename -`",
                program.file()
            );
            return Err(vec![Problem::new(&root.path, 1, renderer::NOT_AVAILABLE, message)].into());
        }
        let selected = select::select(&listing, ignore.as_deref(), &self.source.ignore)?;
        let contents = files.read(directory, &selected).await?;
        let settings = self.settings().await?;
        let prefix = directory.trim_matches('/');
        let (mut manifests, mut problems) = (Vec::new(), Vec::new());
        for (entry, content) in selected.iter().zip(contents) {
            let shown = if prefix.is_empty() { entry.path.clone() } else { format!("{prefix}/{}", entry.path) };
            match render::file(&shown, &content, &settings) {
                Ok(mut read) => manifests.append(&mut read),
                Err(mut found) => problems.append(&mut found),
            }
        }
        if !problems.is_empty() {
            return Err(problems.into());
        }
        let scopes = self.scopes(&manifests).await.map_err(anyhow::Error::from)?;
        let allow_profiles = self.source.allow_profiles;
        Ok(render::compose(manifests, &Bounds { namespace: self.namespace, scopes: &scopes, allow_profiles })?)
    }

    /// What the files are read with.
    async fn settings(&self) -> anyhow::Result<Settings> {
        let from = &self.source.substitute_from;
        let brought = values::read(&self.here, &Account::Own, self.owner.namespace, from).await?;
        Ok(Values::of(&brought, &self.source.substitute)?.settings)
    }

    async fn scopes(&self, manifests: &[Manifest]) -> Result<Scopes, CallError> {
        let mut scopes = Scopes::default();
        for (api_version, kind) in render::kinds(manifests) {
            match self.writer.is_namespaced(&api_version, &kind).await {
                Ok(true) => scopes.insert(&api_version, &kind, Scope::Namespaced),
                Ok(false) => scopes.insert(&api_version, &kind, Scope::Cluster),
                Err(error) if error.is_absent() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(scopes)
    }

    /// An object as it is; none also where its kind is not there.
    async fn live(&self, place: &Place) -> Result<Option<Value>, CallError> {
        match self.writer.get(&Account::Own, place).await {
            Err(error) if error.is_absent() => Ok(None),
            answer => answer,
        }
    }

    /// What a write of an object would make of it.
    async fn pair(&self, manifest: &Manifest, all: &[Manifest]) -> Result<Pair, String> {
        let place = place(&manifest.id);
        let trouble = |error: CallError| refusal(manifest, &error);
        let before = self.live(&place).await.map_err(trouble)?;
        if let Some(owner) = before.as_ref().and_then(|live| self.stranger(manifest, live)) {
            return Err(said(manifest, &format!("it belongs to {owner} already: remove it there or here")));
        }
        let replicas = before.as_ref().map_or(Replicas::Wanted, Replicas::of);
        let sent = self.owner.sent(manifest, replicas);
        // The text of a value is always JSON.
        let text = RawValue::from_string(sent.to_string()).unwrap_or_default();
        match self.writer.apply_as_source(&Account::Own, &place, &text, Claim::DryRun).await {
            Ok(after) => Ok(Pair { before, after, note: None }),
            Err(error) if error.is_absent() && comes_along(all, &manifest.id) => {
                let note =
                    format!("{}: its kind or namespace comes along, so it is shown as it is written", manifest.id);
                Ok(Pair { before, after: sent, note: Some(note) })
            }
            Err(error) if error.is_immutable() && self.source.replace => {
                let note = format!("{}: it is deleted and made anew, and shown as it is written", manifest.id);
                Ok(Pair { before, after: sent, note: Some(note) })
            }
            Err(error) => Err(trouble(error)),
        }
    }

    /// Who an object belongs to, if it was never ours.
    fn stranger(&self, manifest: &Manifest, live: &Value) -> Option<String> {
        if self.inventory.get(&manifest.id).is_some_and(|entry| entry.uid.is_some()) {
            return None;
        }
        let meta: Meta = serde_json::from_value(live["metadata"].clone()).unwrap_or_default();
        let controller = meta.owner_references.iter().find(|owner| owner.controller);
        self.owner.stranger(&meta.labels, controller.map(|owner| (owner.kind.as_str(), owner.name.as_str())))
    }

    /// Whether an object that left the repository would be deleted.
    async fn prune(&self, entry: &Entry, outlook: &mut Outlook) {
        match self.live(&place(&entry.id)).await {
            Ok(None) => {}
            Ok(Some(live)) => match self.owner.consent(entry, &live) {
                Ok(()) => outlook.before.push(live),
                Err(kept) => outlook.notes.push(format!("{} stays: {kept}", entry.id)),
            },
            Err(error) => outlook.troubles.push(format!("{}: {error}", entry.id)),
        }
    }
}

/// The numbers of the objects that a sync would write. What differs and has not changed in the repository is drift.
fn written(plan: &Plan, drift: DriftPolicy, outlook: &mut Outlook) -> Vec<usize> {
    let mut written = plan.apply.clone();
    if drift == DriftPolicy::Correct {
        written.extend(&plan.unchanged);
    } else if !plan.unchanged.is_empty() {
        outlook.notes.push(format!(
            "objects that the repository has not changed, and that are not compared because spec.source.drift is {drift:?}: {}",
            plan.unchanged.len()
        ));
    }
    written.sort_unstable();
    written
}

fn place(id: &Id) -> Place {
    let Id { api_version, kind, namespace, name } = id.clone();
    Place { api_version, kind, namespace, name }
}

fn said(manifest: &Manifest, words: &str) -> String {
    format!("{}:{}: {}: {words}", manifest.file, manifest.line, manifest.id)
}

/// Why the API server would not take an object. What it says may quote what is secret.
fn refusal(manifest: &Manifest, error: &CallError) -> String {
    said(manifest, manifest.refusal(&error.to_string()))
}
