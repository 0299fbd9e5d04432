//! A commit fetched, read, and compared with what is looked after.

use std::{collections::BTreeSet, sync::Arc};

use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tracing::warn;

use super::{
    deliver::Delivery,
    trouble::trouble,
    verify::{Unverified, verify},
    work::{Job, Loaded, MESSAGE_MAX, unreached},
};
use crate::{
    api::{
        MANAGED_BY, MANAGED_BY_LABEL,
        condition::ConditionReason,
        source::{self, Commit, Source, SyncFailure},
    },
    cluster::{
        bring::Turn,
        call::CallError,
        write::{Claim, Place},
    },
    git::{
        error::GitError,
        mirror::{Remote, Wanted},
    },
    gitops::{
        inventory::{Inventory, Stored, distinct},
        object::Manifest,
        plan::{Terms, plan},
        problem::Problem,
        render::{self, Bounds, Settings},
        scope::{Scope, Scopes},
        select,
        sync::{Found, Prepared, Trouble},
        tree::Revision,
        words,
    },
    renderer::manifests::{self, Read, Tools, Unmade, Wish},
    rollout::words::time,
};

/// Why there is nothing to go on with.
pub enum Halt {
    /// Something did not answer.
    Unreached(Trouble),
    /// The repository did not give the commit.
    Unfetched(GitError),
    /// The commit is refused.
    Refused(Vec<SyncFailure>),
    /// It is not signed as it has to be.
    Unverified(SyncFailure),
}

impl From<Problem> for Halt {
    fn from(problem: Problem) -> Self {
        Self::from(vec![problem])
    }
}

impl From<Vec<Problem>> for Halt {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Refused(problems.into_iter().map(SyncFailure::from).collect())
    }
}

impl From<GitError> for Halt {
    fn from(error: GitError) -> Self {
        match error {
            GitError::Modules { file, line, why } => Problem::new(&file, line, select::SUBMODULE, why).into(),
            // A commit stays as it is: only another one, or another path, has it.
            GitError::NoSuchDirectory { .. } => Self::Refused(vec![refusal(
                "NoSuchDirectory",
                &format!("{error}: correct spec.source.git.path, or commit it"),
            )]),
            error => Self::Unfetched(error),
        }
    }
}

impl From<Unverified> for Halt {
    fn from(unverified: Unverified) -> Self {
        match unverified {
            Unverified::Unreached(trouble) => Self::Unreached(trouble),
            Unverified::Refused(failure) => Self::Unverified(failure),
        }
    }
}

impl From<CallError> for Halt {
    fn from(error: CallError) -> Self {
        Self::Unreached(unreached(&error))
    }
}

impl From<Halt> for Delivery {
    fn from(halt: Halt) -> Self {
        let found = match halt {
            Halt::Unreached(trouble) => Found::Unreached(trouble),
            Halt::Unfetched(error) => Found::Unreached(trouble(&error)),
            Halt::Refused(failures) => Found::Refused(ConditionReason::RenderFailed, failures),
            Halt::Unverified(failure) => Found::Refused(ConditionReason::VerificationFailed, vec![failure]),
        };
        found.into()
    }
}

/// Fetches a commit, reads it, and finds out what is to be done.
pub async fn prepare(job: &Job) -> Delivery {
    // What waits is small: only what has its turn takes the memory that reading needs.
    match Box::pin(fetch_then_read(job)).await {
        Ok((prepared, loaded, turn)) => {
            Delivery { found: Found::Prepared(Box::new(prepared)), loaded: Some(Arc::new(loaded)), turn: Some(turn) }
        }
        Err(halt) => halt.into(),
    }
}

/// Nobody knows any more where the commit is.
pub fn not_followed() -> Halt {
    let message = "the repository is not followed any more".to_owned();
    Halt::Unreached(Trouble { reason: ConditionReason::FetchFailed, message })
}

async fn fetch_then_read(job: &Job) -> Result<(Prepared, Loaded, Turn), Halt> {
    let Some((remote, wanted)) = &job.repository else { return Err(not_followed()) };
    let revision = Box::pin(fetch(job, remote, wanted)).await?;
    Box::pin(verify(job, remote, wanted)).await?;
    // A repository that is slow keeps nobody from their turn.
    let turn = job.target.bringer.turn().await;
    let (prepared, loaded) = Box::pin(read_commit(job, remote, &revision)).await?;
    Ok((prepared, loaded, turn))
}

async fn read_commit(job: &Job, remote: &Remote, revision: &Revision) -> Result<(Prepared, Loaded), Halt> {
    let files = files(job, remote).await?;
    let manifests = compose(job, &files).await?;
    let inventory = read(job).await.map_err(Halt::Unreached)?;
    let Source { prune, allow_empty, allow_profiles, .. } = job.source;
    let terms = Terms { prune, allow_empty, allow_profiles, again: BTreeSet::new() };
    let plan = plan(&manifests, &inventory, &terms)
        .map_err(|empty| Halt::Refused(vec![refusal("Empty", &empty.to_string())]))?;
    let inventory = inventory.cut(plan.forget.iter().map(|entry| &entry.id));
    let inventory = inventory.union(&manifests);
    if plan.apply.is_empty() && plan.prune.is_empty() && !plan.forget.is_empty() {
        // Nothing else is written, and what is forgotten stays so.
        keep(job, &inventory).await?;
    }
    let prepared = Prepared {
        commit: commit(revision),
        digest: manifests::digest(&files, &job.settings),
        inventory: shown(job, &inventory),
        applies: plan.apply.len(),
        unchanged: plan.unchanged.len(),
        prunes: plan.prune.len(),
    };
    let loaded = Loaded {
        settings: job.settings.clone(),
        files,
        manifests,
        plan,
        inventory,
        asked: std::sync::Mutex::default(),
    };
    watch(job, &loaded.manifests).await;
    Ok((prepared, loaded))
}

/// The objects of files, each where it belongs.
///
/// # Errors
/// One belongs nowhere, or the API server does not say which kinds it has.
pub async fn compose(job: &Job, files: &Read) -> Result<Vec<Manifest>, Halt> {
    let all: Vec<Manifest> = files.values().flat_map(|(_, manifests)| manifests.iter().cloned()).collect();
    let scopes = scopes(job, &all).await?;
    let bounds =
        Bounds { namespace: &job.target.namespace, scopes: &scopes, allow_profiles: job.source.allow_profiles };
    Ok(render::compose(all, &bounds)?)
}

/// Sees to it that somebody watches objects of these kinds.
pub async fn watch(job: &Job, manifests: &[Manifest]) {
    let outlook = job.target.outlook(&job.operator, &job.key);
    for (api_version, kind) in render::kinds(manifests) {
        job.target.touched.watch(&outlook, &api_version, &kind).await;
    }
}

/// Makes a commit be there.
///
/// # Errors
/// It cannot be had.
pub async fn fetch(job: &Job, remote: &Remote, wanted: &Wanted) -> Result<Revision, Halt> {
    let mirrors = job.operator.sources.repositories.mirrors();
    Ok(mirrors.fetch(remote, wanted, &job.commit, job.source.git.limit()).await?)
}

/// Reads the files that are not known as they are.
///
/// # Errors
/// They are refused, or cannot be read.
pub async fn files(job: &Job, remote: &Remote) -> Result<Read, Halt> {
    let mirrors = job.operator.sources.repositories.mirrors();
    let checkout = mirrors.checkout(remote, &job.source.git, &job.commit).await?;
    let settings = Settings { identities: Arc::clone(&job.identities), ..job.values.settings.clone() };
    let known = job.loaded.as_ref().filter(|loaded| loaded.settings == job.settings);
    let wish = Wish {
        reader: &checkout,
        directory: job.source.git.directory(),
        ignore: &job.source.ignore,
        settings: &settings,
        helm: job.source.helm.as_ref(),
        hooks: job.hooks,
        name: &job.key.name,
        namespace: &job.target.namespace,
        known: known.map(|loaded| &loaded.files),
        tools: Tools {
            renderers: &job.operator.renderers,
            capabilities: &job.target.capabilities,
            client: job.target.writer.client(),
        },
    };
    manifests::read(&wish).await.map_err(|unmade| match unmade {
        Unmade::Refused(problems) => problems.into(),
        Unmade::Unread(error) => error.into(),
        Unmade::Cluster(error) => Halt::Unreached(job.target.unreached(&error)),
    })
}

/// Where the objects of all kinds live.
async fn scopes(job: &Job, manifests: &[Manifest]) -> Result<Scopes, Halt> {
    let mut scopes = Scopes::default();
    for (api_version, kind) in render::kinds(manifests) {
        let found = job.target.bringer.is_namespaced(&api_version, &kind).await;
        match found.map_err(|error| Halt::Unreached(job.target.unreached(&error)))? {
            Some(true) => scopes.insert(&api_version, &kind, Scope::Namespaced),
            Some(false) => scopes.insert(&api_version, &kind, Scope::Cluster),
            None => {}
        }
    }
    Ok(scopes)
}

fn commit(revision: &Revision) -> Commit {
    let first = revision.message.lines().next().unwrap_or_default();
    let seconds = u64::try_from(revision.time).unwrap_or_default();
    Commit {
        id: revision.id.clone(),
        author: words::cut(&revision.author, 250),
        message: words::cut(first, 250),
        time: Some(time(crate::engine::moment::Moment(seconds * 1000))),
    }
}

/// The most `ConfigMap`s that an inventory is read from.
const CHUNKS_MAX: usize = 64;

/// The key of a `ConfigMap` that has the entries.
const ENTRIES: &str = "entries";

/// What is refused of a commit as a whole.
pub fn refusal(reason: &str, message: &str) -> SyncFailure {
    SyncFailure { reason: reason.to_owned(), message: words::cut(message, MESSAGE_MAX), ..SyncFailure::default() }
}

/// The inventory, from the status or from the `ConfigMap`s that it names. What stood in one that is gone is not known any more:
/// such objects are found again when they are wanted, and are not deleted when they are not.
///
/// # Errors
/// The API server did not answer, or what is stored there cannot be read: nothing is written or deleted on half of it.
pub async fn read(job: &Job) -> Result<Inventory, Trouble> {
    let source::Inventory { entries, config_maps, .. } = &job.inventory;
    let mut lines: Vec<String> = entries.clone();
    // One more may have been written, and the status that names it not.
    let named = config_maps.len();
    let numbers = if named == 0 { 0..0 } else { 0..CHUNKS_MAX };
    for number in numbers {
        let name = chunk_name(job, number);
        let place = Place::named("v1", "ConfigMap", &job.key.namespace, &name);
        let chunk = job.operator.writer.get(&job.account(), &place).await.map_err(|error| unreached(&error))?;
        if chunk.is_none() && number >= named {
            break;
        }
        if chunk.is_none() {
            warn!(name, "a part of an inventory is gone: what stood in it is not deleted when it is no longer wanted");
        }
        let text = chunk.as_ref().and_then(|chunk| chunk.pointer("/data/entries")).and_then(Value::as_str);
        lines.extend(text.unwrap_or_default().lines().map(ToOwned::to_owned));
    }
    let lines = distinct(lines);
    Inventory::read(lines.iter().map(String::as_str)).map_err(|error| Trouble {
        reason: ConditionReason::ApplyFailed,
        message: format!("the inventory in the status cannot be read: {error}"),
    })
}

/// Keeps an inventory that is too long for a status in `ConfigMap`s, before the status names them.
///
/// # Errors
/// See [`CallError`].
pub async fn keep(job: &Job, inventory: &Inventory) -> Result<(), CallError> {
    let Stored::Chunks(chunks) = inventory.store() else { return Ok(()) };
    let count = chunks.len();
    // The last one first: what moves from one to the next is twice there for a moment, and never not at all.
    for (number, chunk) in chunks.into_iter().enumerate().rev() {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": chunk_name(job, number), "namespace": *job.key.namespace,
                "labels": {MANAGED_BY_LABEL: MANAGED_BY},
                "ownerReferences": [{
                    "apiVersion": "landfall.dev/v1alpha1", "kind": "Profile", "name": *job.key.name, "uid": job.owner,
                }],
            },
            "data": {ENTRIES: chunk},
        });
        let IgnoredAny = job.operator.writer.apply(&job.account(), &object, Claim::Firm).await?;
    }
    // What stood in more of them than there are now is not looked after any more.
    for number in count..CHUNKS_MAX {
        let place = Place::named("v1", "ConfigMap", &job.key.namespace, &chunk_name(job, number));
        if job.operator.writer.get(&job.account(), &place).await?.is_none() {
            break;
        }
        job.operator.writer.delete(&job.account(), &place, None).await?;
    }
    Ok(())
}

fn chunk_name(job: &Job, number: usize) -> String {
    format!("landfall-inventory-{}-{number}", job.key.name)
}

/// The inventory as the status has it.
pub fn shown(job: &Job, inventory: &Inventory) -> source::Inventory {
    let count = words::count(inventory.len());
    match inventory.store() {
        Stored::Entries(entries) => source::Inventory { count, entries, config_maps: Vec::new() },
        Stored::Chunks(chunks) => {
            let config_maps = (0..chunks.len()).map(|number| chunk_name(job, number)).collect();
            source::Inventory { count, entries: Vec::new(), config_maps }
        }
    }
}
