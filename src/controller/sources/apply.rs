//! The objects of a commit asked about, written, and deleted.

use std::sync::PoisonError;

use futures::{StreamExt, stream};
use serde_json::Value;
use tracing::info;

use super::{
    prepare,
    work::{AT_ONCE, Before, Job, Loaded, MESSAGE_MAX, failure as failure_of, place as place_of, unreached},
};
use crate::{
    api::{
        condition::ConditionReason,
        source::{SyncCounts, SyncFailure},
    },
    cluster::{
        bring::{Meta, passes},
        call::CallError,
        write::Claim,
    },
    gitops::{
        inventory::{Entry, Inventory},
        object::Manifest,
        scope::comes_along,
        stage::{prune_stages, stages},
        sync::{Applied, Found},
        words::cut,
    },
};

/// How often a definition is asked whether it is in force, and the pause in between.
const ESTABLISHED: (u32, std::time::Duration) = (150, std::time::Duration::from_millis(200));

/// What went wrong with one object.
enum Trouble {
    /// It is refused.
    Refused(SyncFailure),
    /// There was no answer.
    Unreached(CallError),
}

/// Asks the API server whether it would take the objects that are to be written.
pub async fn check(job: &Job, loaded: &Loaded) -> Found {
    let mut asked = Vec::new();
    let troubles = each(
        &loaded.plan.apply,
        |index| async move {
            let manifest = &loaded.manifests[index];
            Ok((index, ask(job, loaded, manifest).await?))
        },
        |answer| asked.push(answer),
    )
    .await;
    loaded.asked.lock().unwrap_or_else(PoisonError::into_inner).extend(asked);
    match troubles {
        // Before the first object is written it is known that it may be there.
        Ok(failures) if failures.is_empty() => match prepare::keep(job, &loaded.inventory).await {
            Ok(()) => Found::Checked,
            Err(error) => Found::Unreached(unreached(&error)),
        },
        Ok(failures) => Found::Refused(ConditionReason::ValidationFailed, failures),
        Err(error) => Found::Unreached(job.target.unreached(&error)),
    }
}

/// Does something for objects by their numbers, many at a time, and returns what was refused.
async fn each<T, F>(
    indices: &[usize],
    work: impl Fn(usize) -> F,
    mut done: impl FnMut(T),
) -> Result<Vec<SyncFailure>, CallError>
where
    F: Future<Output = Result<T, Trouble>>,
{
    let mut failures = Vec::new();
    let mut answers = stream::iter(indices.iter().copied().map(work)).buffer_unordered(AT_ONCE);
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(answer) => done(answer),
            Err(Trouble::Refused(failure)) => failures.push(failure),
            Err(Trouble::Unreached(error)) => return Err(error),
        }
    }
    failures.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
    Ok(failures)
}

/// What is there before an object is written, if it would be taken.
async fn ask(job: &Job, loaded: &Loaded, manifest: &Manifest) -> Result<Before, Trouble> {
    let (place, text, who) = (place_of(&manifest.id), job.text(manifest), job.target.account.clone());
    let bringer = &job.target.bringer;
    let known = loaded.inventory.get(&manifest.id).is_some_and(|entry| entry.uid.is_some());
    if !known {
        match bringer.try_to_make(&who, &place, &text).await {
            Ok(()) => return Ok(Before::Nothing),
            Err(error) if error.is_taken() => may_be_taken(job, manifest).await?,
            Err(error) if error.is_absent() && comes_along(&loaded.manifests, &manifest.id) => {
                return Ok(Before::Unknown);
            }
            // A webhook that cannot be asked without being told: what it says is seen when the object is written.
            Err(error) if error.is_without_rehearsal() => return Ok(Before::Unknown),
            Err(error) => return Err(trouble(manifest, error)),
        }
    }
    match bringer.apply(&who, &place, &text, Claim::DryRun).await {
        Ok(answer) => Ok(Before::Version(answer.metadata.resource_version)),
        Err(error) if error.is_without_rehearsal() => Ok(Before::Unknown),
        Err(error) if error.is_absent() && comes_along(&loaded.manifests, &manifest.id) => Ok(Before::Unknown),
        Err(error) if error.is_immutable() => replacement(job, manifest, error).await,
        Err(error) => Err(trouble(manifest, error)),
    }
}

/// An object that cannot become what is wanted: it is made anew where that is wanted, and possible.
async fn replacement(job: &Job, manifest: &Manifest, error: CallError) -> Result<Before, Trouble> {
    if !job.source.replace {
        let mut failure = failure(manifest, "Immutable", &error.to_string());
        failure.message =
            cut(&format!("{}; set spec.source.replace to have it deleted and made anew", failure.message), MESSAGE_MAX);
        return Err(Trouble::Refused(failure));
    }
    let place = place_of(&manifest.id);
    // Everything but its being there already is judged by this.
    match job.target.bringer.try_to_make(&job.target.account, &place, &job.text(manifest)).await {
        Err(error) if error.is_taken() => {}
        Err(error) => return Err(trouble(manifest, error)),
        Ok(()) => return Ok(Before::Nothing),
    }
    let meta = job.target.bringer.meta(&job.target.account, &place).await.map_err(|error| trouble(manifest, error))?;
    Ok(meta.map_or(Before::Nothing, |meta| Before::Replaced(meta.uid)))
}

/// Fails where an object that is there already belongs to somebody else.
async fn may_be_taken(job: &Job, manifest: &Manifest) -> Result<(), Trouble> {
    let place = place_of(&manifest.id);
    let meta = job.target.bringer.meta(&job.target.account, &place).await.map_err(|error| trouble(manifest, error))?;
    let Some(owner) = meta.as_ref().and_then(|meta| somebody_else(job, meta)) else { return Ok(()) };
    let message = format!("it belongs to {owner} already: remove it there or here");
    Err(Trouble::Refused(failure(manifest, "ObjectNotOwned", &message)))
}

/// Who an object belongs to, if not to this source or to nobody.
fn somebody_else(job: &Job, meta: &Meta) -> Option<String> {
    let controller = meta.owner_references.iter().find(|owner| owner.controller);
    job.whose().stranger(&meta.labels, controller.map(|owner| (owner.kind.as_str(), owner.name.as_str())))
}

fn trouble(manifest: &Manifest, error: CallError) -> Trouble {
    match error {
        // Who may not be known any more may be known again with the next kubeconfig.
        error if passes(&error) || error.is_unauthorized() => Trouble::Unreached(error),
        CallError::Refused { code: 403, .. } => Trouble::Refused(failure(manifest, "Forbidden", &error.to_string())),
        error => Trouble::Refused(failure(manifest, "Invalid", &error.to_string())),
    }
}

/// A failure of an object. What an API server says of a Secret may quote it.
fn failure(manifest: &Manifest, reason: &str, message: &str) -> SyncFailure {
    let quotes = ["Invalid", "Immutable", "Forbidden"].contains(&reason);
    failure_of(manifest, reason, if quotes { manifest.refusal(message) } else { message })
}

/// Writes the objects, stage by stage. What comes after a stage in which something was refused is not written.
pub async fn apply(job: &Job, loaded: &Loaded) -> Found {
    let mut inventory = loaded.inventory.clone();
    let (mut counts, mut failures) = (SyncCounts::default(), Vec::new());
    for stage in stages_of(loaded) {
        let written = each(
            &stage,
            |index| write(job, loaded, index),
            |(index, done, uid)| {
                inventory.applied(&loaded.manifests[index], Some(uid));
                match done {
                    Done::Created => counts.created += 1,
                    Done::Configured => counts.configured += 1,
                    Done::Unchanged => counts.unchanged += 1,
                }
            },
        )
        .await;
        match written {
            Ok(refused) => failures.extend(refused),
            Err(error) => {
                return end(
                    job,
                    Applied { counts, failures: vec![halted(job, &error)], ..Applied::default() },
                    inventory,
                )
                .await;
            }
        }
        if !failures.is_empty() {
            break;
        }
    }
    counts.failed = i32::try_from(failures.len()).unwrap_or(i32::MAX);
    end(job, Applied { counts, failures, ..Applied::default() }, inventory).await
}

fn halted(job: &Job, error: &CallError) -> SyncFailure {
    let message = cut(&job.target.unreached(error).message, MESSAGE_MAX);
    SyncFailure { reason: error.reason().to_owned(), message, ..SyncFailure::default() }
}

/// Keeps what is looked after now, and says what was done.
async fn end(job: &Job, applied: Applied, inventory: Inventory) -> Found {
    if let Err(error) = prepare::keep(job, &inventory).await {
        return Found::Unreached(unreached(&error));
    }
    Found::Applied(Box::new(Applied { inventory: prepare::shown(job, &inventory), ..applied }))
}

/// The numbers of the objects that are to be written, in the order of their stages.
fn stages_of(loaded: &Loaded) -> Vec<Vec<usize>> {
    let applied: std::collections::BTreeSet<usize> = loaded.plan.apply.iter().copied().collect();
    let stages = stages(&loaded.manifests).into_iter();
    let wanted = stages.map(|stage| stage.into_iter().filter(|index| applied.contains(index)).collect::<Vec<_>>());
    wanted.filter(|stage| !stage.is_empty()).collect()
}

/// What became of an object.
enum Done {
    Created,
    Configured,
    Unchanged,
}

async fn write(job: &Job, loaded: &Loaded, index: usize) -> Result<(usize, Done, String), Trouble> {
    let manifest = &loaded.manifests[index];
    let (place, who, bringer) = (place_of(&manifest.id), job.target.account.clone(), &job.target.bringer);
    let before = loaded.before(index).unwrap_or(Before::Unknown);
    if before == Before::Unknown {
        may_be_taken(job, manifest).await?;
    }
    if let Before::Replaced(uid) = &before {
        bringer.delete(&who, &place, uid).await.map_err(|error| trouble(manifest, error))?;
    }
    let answer = bringer.apply(&who, &place, &job.text(manifest), Claim::Firm).await;
    let answer = answer.map_err(|error| trouble(manifest, error))?.metadata;
    job.target.touched.wrote(&job.key, &manifest.id, &answer);
    let Meta { uid, resource_version, .. } = answer;
    if crate::gitops::scope::is_definition(manifest) {
        established(job, manifest).await?;
    }
    let done = match before {
        Before::Nothing | Before::Replaced(_) => Done::Created,
        Before::Version(version) if version == resource_version => Done::Unchanged,
        Before::Version(_) | Before::Unknown => Done::Configured,
    };
    Ok((index, done, uid))
}

/// Waits until objects of a new kind are taken.
async fn established(job: &Job, manifest: &Manifest) -> Result<(), Trouble> {
    let (times, pause) = ESTABLISHED;
    for _ in 0..times {
        let object: Option<Value> = job
            .target
            .writer
            .get(&job.target.account, &place_of(&manifest.id))
            .await
            .map_err(|error| trouble(manifest, error))?;
        let conditions =
            object.as_ref().and_then(|object| object.pointer("/status/conditions")).and_then(Value::as_array);
        let established = |one: &Value| one["type"] == "Established" && one["status"] == "True";
        if conditions.is_some_and(|conditions| conditions.iter().any(established)) {
            return Ok(());
        }
        tokio::time::sleep(pause).await;
    }
    Err(Trouble::Refused(failure(manifest, "NotEstablished", "the API server does not serve this kind within 30 s")))
}

/// Deletes what is no longer wanted, the other way round.
pub async fn prune(job: &Job, loaded: &Loaded) -> Found {
    let inventory = match prepare::read(job).await {
        Ok(inventory) => inventory,
        Err(trouble) => return Found::Unreached(trouble),
    };
    let (mut counts, mut failures, mut gone) = (SyncCounts::default(), Vec::new(), Vec::new());
    for stage in prune_stages(&loaded.plan.prune) {
        for entry in stage.into_iter().filter_map(|index| loaded.plan.prune.get(index)) {
            match delete(job, entry).await {
                Ok(deleted) => {
                    counts.pruned += i32::from(deleted == Deleted::Yes);
                    gone.push(&entry.id);
                }
                Err(error) => failures.push(left(entry, &error)),
            }
        }
    }
    counts.failed = i32::try_from(failures.len()).unwrap_or(i32::MAX);
    match end(job, Applied { counts, failures, ..Applied::default() }, inventory.cut(gone)).await {
        Found::Applied(applied) => Found::Pruned(applied),
        other => other,
    }
}

fn left(entry: &Entry, error: &CallError) -> SyncFailure {
    SyncFailure {
        object: Some(entry.id.to_string()),
        reason: error.reason().to_owned(),
        message: cut(&format!("it could not be deleted: {error}"), MESSAGE_MAX),
        ..SyncFailure::default()
    }
}

/// Whether an object was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deleted {
    Yes,
    No,
}

/// Deletes an object of a Profile that is deleted itself. None: it is gone, or has to stay; else what it waits for.
pub async fn remove(job: &Job, entry: &Entry) -> Option<String> {
    match delete(job, entry).await {
        Ok(Deleted::No) => None,
        Ok(Deleted::Yes) => Some(format!("{} to be gone", entry.id)),
        Err(error) => Some(format!("{}, which could not be deleted: {error}", entry.id)),
    }
}

/// Deletes an object, provided that it is the one that was written, that it is still this source's, and that it may be
/// deleted.
async fn delete(job: &Job, entry: &Entry) -> Result<Deleted, CallError> {
    let (who, place) = (job.target.account.clone(), place_of(&entry.id));
    let live = match job.target.writer.get(&who, &place).await {
        Ok(Some(live)) => live,
        Ok(None) => return Ok(Deleted::No),
        // With its definition all objects of a kind have gone.
        Err(error) if error.is_absent() => return Ok(Deleted::No),
        Err(error) => return Err(error),
    };
    if let Err(kept) = job.whose().consent(entry, &live) {
        info!(object = %entry.id, reason = %kept, "what is no longer in the repository stays");
        return Ok(Deleted::No);
    }
    let uid = live.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default();
    job.target.bringer.delete(&who, &place, uid).await.map(|()| Deleted::Yes)
}
