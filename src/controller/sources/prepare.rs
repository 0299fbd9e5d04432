//! A commit fetched, read, and compared with what is looked after.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use serde::de::IgnoredAny;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tracing::warn;

use super::{
    deliver::Delivery,
    rendered,
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
    rollout::words::{hexadecimal, time},
};

/// Why there is nothing to go on with.
pub enum Halt {
    /// Something did not answer.
    Unreached(Trouble),
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
            error => Self::Unreached(trouble(&error)),
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

/// Fetches a commit, reads it, and finds out what is to be done.
pub async fn prepare(job: &Job) -> Delivery {
    match read_commit(job).await {
        Ok((prepared, loaded)) => {
            Delivery { found: Found::Prepared(Box::new(prepared)), loaded: Some(Arc::new(loaded)) }
        }
        Err(Halt::Unreached(trouble)) => Delivery { found: Found::Unreached(trouble), loaded: None },
        Err(Halt::Refused(failures)) => {
            Delivery { found: Found::Refused(ConditionReason::RenderFailed, failures), loaded: None }
        }
        Err(Halt::Unverified(failure)) => {
            Delivery { found: Found::Refused(ConditionReason::VerificationFailed, vec![failure]), loaded: None }
        }
    }
}

async fn read_commit(job: &Job) -> Result<(Prepared, Loaded), Halt> {
    let Some((remote, wanted)) = &job.repository else {
        let message = "the repository is not followed any more".to_owned();
        return Err(Halt::Unreached(Trouble { reason: ConditionReason::FetchFailed, message }));
    };
    let revision = fetch(job, remote, wanted).await?;
    verify(job, remote, wanted).await?;
    let files = files(job, remote).await?;
    let all: Vec<Manifest> = files.read.values().flat_map(|(_, manifests)| manifests.iter().cloned()).collect();
    let scopes = scopes(job, &all).await?;
    let bounds = Bounds { namespace: &job.key.namespace, scopes: &scopes, allow_profiles: job.source.allow_profiles };
    let manifests = render::compose(all, &bounds)?;
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
        commit: commit(&revision),
        digest: files.digest.clone(),
        inventory: shown(job, &inventory),
        applies: plan.apply.len(),
        unchanged: plan.unchanged.len(),
        prunes: plan.prune.len(),
    };
    let loaded = Loaded {
        settings: job.settings.clone(),
        files: files.read,
        manifests,
        plan,
        inventory,
        asked: std::sync::Mutex::default(),
    };
    for (api_version, kind) in render::kinds(&loaded.manifests) {
        job.operator.sources.touched.watch(&job.operator, &api_version, &kind).await;
    }
    Ok((prepared, loaded))
}

async fn fetch(job: &Job, remote: &Remote, wanted: &Wanted) -> Result<Revision, Halt> {
    let mirrors = job.operator.sources.repositories.mirrors();
    Ok(mirrors.fetch(remote, wanted, &job.commit, job.source.git.limit()).await?)
}

/// The files of a commit.
pub struct Files {
    /// The digest of all that was read.
    pub digest: String,
    /// The objects of each file by its path, with the hash of its content.
    pub read: HashMap<String, (String, Vec<Manifest>)>,
}

/// Reads the files that are not known as they are.
async fn files(job: &Job, remote: &Remote) -> Result<Files, Halt> {
    let mirrors = job.operator.sources.repositories.mirrors();
    let checkout = mirrors.checkout(remote, &job.source.git, &job.commit).await?;
    let directory = job.source.git.directory();
    let listing = checkout.list(directory).await?;
    let ignore = match listing.entries.iter().find(|entry| entry.path == select::IGNORE_FILE) {
        Some(entry) => checkout.read(std::slice::from_ref(&entry.id)).await?.pop(),
        None => None,
    };
    let ignore = ignore.map(|content| String::from_utf8_lossy(&content).into_owned());
    if let Some((root, program)) = select::root(&listing, ignore.as_deref(), &job.source.ignore)? {
        return rendered::files(job, &checkout, (&root.path, program)).await;
    }
    if let Some(halt) = rendered::without_chart(job) {
        return Err(halt);
    }
    let selected = select::select(&listing, ignore.as_deref(), &job.source.ignore)?;
    let known = job.loaded.as_ref().filter(|loaded| loaded.settings == job.settings);
    let mut read = HashMap::new();
    let mut unknown = Vec::new();
    for entry in selected {
        match known.and_then(|known| known.files.get(&entry.path)).filter(|(id, _)| *id == entry.id) {
            Some(same) => drop(read.insert(entry.path.clone(), same.clone())),
            None => unknown.push(entry),
        }
    }
    let ids: Vec<String> = unknown.iter().map(|entry| entry.id.clone()).collect();
    let contents = checkout.read(&ids).await?;
    let settings = Settings { identities: Arc::clone(&job.identities), ..job.values.settings.clone() };
    let files: Vec<(String, String, Vec<u8>)> = unknown
        .into_iter()
        .zip(contents)
        .map(|(entry, content)| (entry.path.clone(), entry.id.clone(), content))
        .collect();
    let prefix = directory.trim_matches('/').to_owned();
    // Thousands of files take a while, in which others wait for their turn.
    let rendered = tokio::task::spawn_blocking(move || render_all(&prefix, files, &settings)).await;
    let rendered = rendered.unwrap_or_else(|_| Err(Vec::new()))?;
    read.extend(rendered);
    Ok(Files { digest: digest(&read, &job.settings), read })
}

/// The digits of a digest.
const DIGITS: usize = 32;

/// The digest of everything that was read. Files that are no manifests have no part in it.
pub fn digest(read: &HashMap<String, (String, Vec<Manifest>)>, settings: &str) -> String {
    let files: BTreeMap<_, _> = read.iter().map(|(path, (id, _))| (path, id)).collect();
    let mut all = Sha256::new();
    all.update(settings);
    for (path, id) in files {
        all.update(format!("\n{path}\0{id}"));
    }
    hexadecimal(&all.finalize(), DIGITS)
}

type Rendered = Vec<(String, (String, Vec<Manifest>))>;

fn render_all(
    prefix: &str,
    files: Vec<(String, String, Vec<u8>)>,
    settings: &Settings,
) -> Result<Rendered, Vec<Problem>> {
    let (mut rendered, mut problems) = (Vec::new(), Vec::new());
    for (path, id, content) in files {
        let shown = if prefix.is_empty() { path.clone() } else { format!("{prefix}/{path}") };
        match render::file(&shown, &content, settings) {
            Ok(manifests) => rendered.push((path, (id, manifests))),
            Err(mut found) => problems.append(&mut found),
        }
    }
    if problems.is_empty() { Ok(rendered) } else { Err(problems) }
}

/// Where the objects of all kinds live.
async fn scopes(job: &Job, manifests: &[Manifest]) -> Result<Scopes, Halt> {
    let mut scopes = Scopes::default();
    for (api_version, kind) in render::kinds(manifests) {
        match job.operator.bringer.is_namespaced(&api_version, &kind).await? {
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
