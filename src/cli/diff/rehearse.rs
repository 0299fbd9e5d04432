//! What a sync would do, asked of the API server with nothing stored.

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use futures::{StreamExt, stream};
use serde_json::{Value, value::RawValue};

use super::{files::Files, keys::Keys, mask::hide_at};
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
        renderer::output::Hooks,
        scope::{Scope, Scopes, comes_along},
        values::Values,
    },
    renderer::manifests::{self, Tools, Unmade, Wish},
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
    pub async fn play(&self, files: &Files, tools: Tools<'_>) -> Result<Outlook, Halt> {
        let manifests = self.manifests(files, tools).await?;
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
    async fn manifests(&self, files: &Files, tools: Tools<'_>) -> Result<Vec<Manifest>, Halt> {
        let (keys, settings) = self.settings().await?;
        let wish = Wish {
            reader: files,
            directory: self.source.git.directory(),
            ignore: &self.source.ignore,
            settings: &settings,
            helm: self.source.helm.as_ref(),
            hooks: Hooks::Refused,
            name: self.owner.profile,
            namespace: self.namespace,
            known: None,
            tools,
        };
        let read = manifests::read(&wish).await.map_err(|unmade| match unmade {
            Unmade::Refused(problems) => Halt::Refused(problems.into_iter().map(|one| keys.explain(one)).collect()),
            Unmade::Unread(error) => error.into(),
            Unmade::Cluster(error) => Halt::Error(error.into()),
        })?;
        let mut files: Vec<_> = read.into_iter().collect();
        files.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let manifests: Vec<Manifest> = files.into_iter().flat_map(|(_, (_, manifests))| manifests).collect();
        let scopes = self.scopes(&manifests).await.map_err(anyhow::Error::from)?;
        let allow_profiles = self.source.allow_profiles;
        Ok(render::compose(manifests, &Bounds { namespace: self.namespace, scopes: &scopes, allow_profiles })?)
    }

    /// What the files are read with.
    async fn settings(&self) -> anyhow::Result<(Keys, Settings)> {
        let from = &self.source.substitute_from;
        let brought = values::read(&self.here, &Account::Own, self.owner.namespace, from).await?;
        let keys = Keys::read(&self.here, self.owner.namespace, self.source.decryption.as_ref()).await?;
        let settings = Values::of(&brought, &self.source.substitute)?.settings;
        let settings = Settings { identities: keys.identities(), ..settings };
        Ok((keys, settings))
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
        let pair = |mut before: Option<Value>, mut after, note| {
            hide_at(before.as_mut(), &mut after, &manifest.sealed);
            Ok(Pair { before, after, note })
        };
        match self.writer.apply_as_source(&Account::Own, &place, &text, Claim::DryRun).await {
            Ok(after) => pair(before, after, None),
            Err(error) if error.is_absent() && comes_along(all, &manifest.id) => {
                let note =
                    format!("{}: its kind or namespace comes along, so it is shown as it is written", manifest.id);
                pair(before, sent, Some(note))
            }
            Err(error) if error.is_immutable() && self.source.replace => {
                let note = format!("{}: it is deleted and made anew, and shown as it is written", manifest.id);
                pair(before, sent, Some(note))
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
