//! Objects by their metadata alone: which there are, in which version, and who wrote what of them.
//!
//! Nothing of what an object contains is asked for, and of its metadata nothing is kept that could quote it: `kubectl apply` keeps
//! whole Secrets in an annotation.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use kube::api::{GetParams, ListParams};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    bring::Bringer,
    call::CallError,
    write::{Account, PAGE, PAGES_MAX, Place, Writer},
};

/// Of an object, what is kept.
#[derive(Deserialize)]
struct Glimpse {
    metadata: Narrow,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Narrow {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
    managed_fields: Option<Vec<ManagedFieldsEntry>>,
}

impl From<Glimpse> for ObjectMeta {
    fn from(Glimpse { metadata }: Glimpse) -> Self {
        let Narrow { name, namespace, uid, resource_version, generation, labels, managed_fields } = metadata;
        Self { name, namespace, uid, resource_version, generation, labels, managed_fields, ..Self::default() }
    }
}

/// A part of a list.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: PageMeta,
    /// An API server has null for none.
    items: Option<Vec<Glimpse>>,
}

#[derive(Default, Deserialize)]
struct PageMeta {
    #[serde(default, rename = "continue")]
    next: Option<String>,
}

impl Writer {
    async fn metadata(&self, who: &Account, place: &Place) -> Result<Option<Glimpse>, CallError> {
        let path = self.path(place).await?;
        match self.send(who, path.get_metadata(&place.name, &GetParams::default())).await {
            Ok(found) => narrow(found).map(Some),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn page_of_metadata(&self, who: &Account, place: &Place, how: &ListParams) -> Result<Page, CallError> {
        let path = self.path(place).await?;
        narrow(self.send(who, path.list_metadata(how)).await?)
    }
}

/// Of an answer, what is kept. The client would log the whole of what it cannot read, annotations and all.
fn narrow<T: DeserializeOwned>(answer: Value) -> Result<T, CallError> {
    serde_json::from_value(answer).map_err(|error| CallError::from(kube::Error::SerdeError(error)))
}

impl Bringer {
    /// Lists objects of a kind and namespace by label, each page in a turn of its own.
    ///
    /// # Errors
    /// See [`CallError`]. A list that is longer than is read is one: what is not in half of it would be taken to be gone.
    pub async fn list_metadata(
        &self,
        who: &Account,
        place: &Place,
        labels: &str,
    ) -> Result<Vec<ObjectMeta>, CallError> {
        let mut how = ListParams::default().labels(labels).limit(PAGE);
        let mut found = Vec::new();
        for _ in 0..PAGES_MAX {
            let page = self.often(|| async { self.writer().page_of_metadata(who, place, &how).await }).await?;
            found.extend(page.items.into_iter().flatten().map(ObjectMeta::from));
            match page.metadata.next {
                Some(next) if !next.is_empty() => how.continue_token = Some(next),
                _ => return Ok(found),
            }
        }
        Err(CallError::TooMany(found.len()))
    }

    /// The metadata of one object; none where there is none.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn metadata(&self, who: &Account, place: &Place) -> Result<Option<ObjectMeta>, CallError> {
        let found = self.often(|| async { self.writer().metadata(who, place).await }).await?;
        Ok(found.map(ObjectMeta::from))
    }
}
