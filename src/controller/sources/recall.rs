//! What is in force, read again by a process that has not read it. Nothing is written.

use std::sync::Arc;

use super::{
    deliver::Delivery,
    prepare::{self, Halt},
    verify::verify,
    work::{Job, Loaded},
};
use crate::{
    git::{error::GitError, mirror::Wanted},
    gitops::{
        plan::Plan,
        sync::{Found, Recalled},
        words::short,
    },
    renderer::manifests,
};

/// Fetches a commit by its hash, and reads it as it was read when it was brought into force. Of its objects those are kept whose
/// content is known to be in force: with the others nothing is compared.
pub async fn recall(job: &Job) -> Delivery {
    match Box::pin(fetch_then_read(job)).await {
        Ok((recalled, loaded)) => {
            Delivery { found: Found::Recalled(recalled), loaded: Some(Arc::new(loaded)), turn: None }
        }
        Err(halt) => halt.into(),
    }
}

async fn fetch_then_read(job: &Job) -> Result<(Recalled, Loaded), Halt> {
    let Some((remote, wanted)) = &job.repository else { return Err(prepare::not_followed()) };
    // By its hash or not at all: a whole history is too much for this. The name is that of no branch.
    let by_hash = Wanted::Branch(String::new());
    prepare::fetch(job, remote, &by_hash).await.map_err(|halt| gone(job, halt))?;
    Box::pin(verify(job, remote, wanted)).await?;
    let _turn = job.target.bringer.turn().await;
    let files = prepare::files(job, remote).await?;
    let all = prepare::compose(job, &files).await?;
    let inventory = prepare::read(job).await.map_err(Halt::Unreached)?;
    let count = all.len();
    let manifests: Vec<_> = all.into_iter().filter(|manifest| inventory.has(manifest)).collect();
    let recalled = Recalled { digest: manifests::digest(&files, &job.settings), others: count - manifests.len() };
    prepare::watch(job, &manifests).await;
    let settings = job.settings.clone();
    let asked = std::sync::Mutex::default();
    Ok((recalled, Loaded { settings, files, manifests, plan: Plan::default(), inventory, asked }))
}

/// What to say of a commit that the server does not give.
fn gone(job: &Job, halt: Halt) -> Halt {
    let what = "it was rewritten or deleted meanwhile, or the server gives no commit by its hash";
    match halt {
        Halt::Unfetched(GitError::NoSuchReference { .. }) => {
            let what = format!("commit {} any more: {what}", short(&job.commit));
            Halt::Unfetched(GitError::NoSuchReference { what })
        }
        halt => halt,
    }
}
