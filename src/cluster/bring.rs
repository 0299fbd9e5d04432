//! Objects of a repository: asked about, written and deleted, so many at a time for all Profiles together.
//!
//! Each call that fails for a reason that passes is tried again, with growing pauses. What is answered is kept to what is
//! needed: the name that the API server gave the object (uid), and its version.

use std::{sync::Arc, time::Duration};

use backon::{ExponentialBuilder, Retryable};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    call::CallError,
    write::{Account, Claim, Place, Writer},
};

/// The calls that are under way at a time, for all Profiles together. More are no sooner done, and others wait behind them.
const UNDER_WAY: usize = 32;

/// The syncs that are judged and written at a time. They keep all calls busy; what more of them read would only lie in memory, and
/// each would take longer, so that its status had more to tell.
const SYNCS: usize = 64;

/// The same for a cluster that one Profile alone writes to.
const UNDER_WAY_ALONE: usize = 8;

/// How often a call is tried again, and the pauses in between.
const TRIES: usize = 4;
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Of an answer, what is needed later.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Answer {
    /// What the API server says of the object.
    pub metadata: Meta,
}

/// What the API server says of an object.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// Which of all objects that ever had this name it is.
    pub uid: String,
    /// Its version. Empty where it was only asked whether it could be made.
    pub resource_version: String,
    /// Its labels, as far as they say whose it is.
    pub labels: std::collections::BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: std::collections::BTreeMap<String, String>,
    /// Who controls it.
    pub owner_references: Vec<Owner>,
    /// Who wrote which of its fields.
    pub managed_fields: Vec<ManagedFieldsEntry>,
}

/// An owner of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Owner {
    /// The owner's kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Whether it controls the object.
    pub controller: bool,
}

/// Brings objects into the cluster. Cheap to share.
#[derive(Clone)]
pub struct Bringer {
    writer: Writer,
    turns: Arc<Semaphore>,
    syncs: Arc<Semaphore>,
}

/// A sync's turn, until it is dropped.
#[must_use]
pub struct Turn(#[expect(dead_code, reason = "what it is good for is its end")] Option<OwnedSemaphorePermit>);

impl Bringer {
    /// One for all Profiles.
    pub fn new(writer: Writer) -> Self {
        Self { writer, turns: Arc::new(Semaphore::new(UNDER_WAY)), syncs: Arc::new(Semaphore::new(SYNCS)) }
    }

    /// Reads and writes, in no turn.
    pub(super) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Waits for the turn of a sync: first come, first served.
    pub async fn turn(&self) -> Turn {
        // The semaphore is never closed.
        Turn(Arc::clone(&self.syncs).acquire_owned().await.ok())
    }

    /// Whether syncs wait for their turn.
    pub fn is_busy(&self) -> bool {
        self.syncs.available_permits() == 0
    }

    /// One for a single Profile: whatever becomes of its calls, nobody else waits behind them.
    pub fn alone(writer: Writer) -> Self {
        Self { writer, turns: Arc::new(Semaphore::new(UNDER_WAY_ALONE)), syncs: Arc::new(Semaphore::new(SYNCS)) }
    }

    /// Whether objects of a kind live in namespaces; none where there is no such kind.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn is_namespaced(&self, api_version: &str, kind: &str) -> Result<Option<bool>, CallError> {
        let ask = || async { self.writer.is_namespaced(api_version, kind).await };
        match self.often(ask).await {
            Ok(namespaced) => Ok(Some(namespaced)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks whether an object could be made that is not there yet. One that is there is [`CallError::is_taken`].
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn try_to_make(&self, who: &Account, place: &Place, text: &RawValue) -> Result<(), CallError> {
        self.often(|| async { self.writer.try_to_make(who, place, text).await }).await
    }

    /// Applies an object, or asks whether it could be.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn apply(
        &self,
        who: &Account,
        place: &Place,
        text: &RawValue,
        claim: Claim,
    ) -> Result<Answer, CallError> {
        self.often(|| async { self.writer.apply_as_source(who, place, text, claim).await }).await
    }

    /// What the API server says of an object; none where there is none.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn meta(&self, who: &Account, place: &Place) -> Result<Option<Meta>, CallError> {
        let answer: Option<Answer> = self.often(|| async { self.writer.get_as(who, place).await }).await?;
        Ok(answer.map(|answer| answer.metadata))
    }

    /// Deletes the object of this uid. One that is gone is no error.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn delete(&self, who: &Account, place: &Place, uid: &str) -> Result<(), CallError> {
        self.often(|| async { self.writer.delete(who, place, Some(uid.to_owned())).await }).await
    }

    pub(super) async fn often<T, F: Future<Output = Result<T, CallError>>>(
        &self,
        call: impl FnMut() -> F,
    ) -> Result<T, CallError> {
        // The semaphore is never closed.
        let turn = self.turns.acquire().await;
        let pauses = ExponentialBuilder::default()
            .with_min_delay(PAUSES.0)
            .with_max_delay(PAUSES.1)
            .with_max_times(TRIES)
            .with_jitter();
        let answer = call.retry(pauses).sleep(tokio::time::sleep).when(passes).await;
        drop(turn);
        answer
    }
}

/// Whether the same call may succeed a moment later.
pub fn passes(error: &CallError) -> bool {
    match error {
        error if error.is_invalid() => false,
        CallError::TimedOut(_) | CallError::Unreachable(_) => true,
        CallError::Refused { code, .. } => matches!(code, 429 | 500 | 502 | 503 | 504),
        _ => false,
    }
}
