//! `ConfigMaps` and Secrets with values for files, read as an account that may read them.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use thiserror::Error;

use super::{
    call::CallError,
    write::{Account, Place, Writer},
};
use crate::{
    api::source::{ValuesFrom, ValuesKind},
    gitops::values::Brought,
};

/// Why values cannot be had. None is in it.
#[derive(Debug, Error)]
pub enum ValuesError {
    /// There is no such object.
    #[error("spec.source.substituteFrom[{index}]: there is no {kind} {name} in {namespace}: make it, or set optional")]
    Absent {
        /// Its place in the list.
        index: usize,
        /// Its kind.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Where it should be.
        namespace: String,
    },
    /// It cannot be read.
    #[error("spec.source.substituteFrom[{index}]: the {kind} {name} cannot be read: {cause}")]
    Unread {
        /// Its place in the list.
        index: usize,
        /// Its kind.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Why.
        cause: CallError,
    },
}

/// An object, of which nothing is ever shown.
#[derive(Deserialize)]
struct Object {
    metadata: Meta,
    #[serde(default)]
    data: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Meta {
    uid: String,
}

/// Reads all of them, in their order; none for one that need not be there.
///
/// # Errors
/// See [`ValuesError`].
pub async fn read(
    writer: &Writer,
    who: &Account,
    namespace: &str,
    from: &[ValuesFrom],
) -> Result<Vec<Option<Brought>>, ValuesError> {
    let mut all = Vec::with_capacity(from.len());
    for (index, ValuesFrom { kind, name, optional }) in from.iter().enumerate() {
        let word = word(*kind);
        let place = Place::named("v1", word, namespace, name);
        let found = writer.get_as::<Object>(who, &place).await;
        let found = found.map_err(|cause| ValuesError::Unread { index, kind: word, name: name.clone(), cause })?;
        if found.is_none() && !optional {
            return Err(ValuesError::Absent { index, kind: word, name: name.clone(), namespace: namespace.to_owned() });
        }
        all.push(found.map(|object| brought(*kind, object)));
    }
    Ok(all)
}

fn word(kind: ValuesKind) -> &'static str {
    match kind {
        ValuesKind::ConfigMap => "ConfigMap",
        ValuesKind::Secret => "Secret",
    }
}

/// What an object brings. What is no text cannot stand in a file.
fn brought(kind: ValuesKind, object: Object) -> Brought {
    let text = |(key, value): (String, String)| match kind {
        ValuesKind::ConfigMap => Some((key, value)),
        ValuesKind::Secret => Some((key, String::from_utf8(BASE64_STANDARD.decode(value).ok()?).ok()?)),
    };
    Brought { kind, uid: object.metadata.uid, data: object.data.into_iter().filter_map(text).collect() }
}
