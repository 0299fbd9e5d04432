//! The records of revisions: immutable Secrets beside the Deployment, written once before anything else.
//!
//! A record is the compressed release. What does not fit into one Secret goes on in the next; the first says how many there
//! are. They are written and read as the operator itself: what a package contains may be secret.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde_json::{Value, json};
use thiserror::Error;

use super::{
    call::CallError,
    write::{Account, Place, Writer},
};
use crate::{
    api::{
        DEPLOYMENT_LABEL, MANAGED_BY, MANAGED_BY_LABEL, REVISION_LABEL, ROLE_LABEL, Role,
        names::{derived, label_value},
    },
    engine::observed::Revision,
    kinds::workload::{
        objects::Owner,
        release::{FORMAT, Release},
    },
};

/// The most of a record that one Secret holds, in bytes.
const PART_MAX: usize = 700_000;

/// The most Secrets of one record.
const PARTS_MAX: usize = 4;

/// The most that a record may be when it is unpacked: more is not one of ours.
const UNPACKED_MAX: u64 = 16 << 20;

/// The key of the data in each Secret.
const KEY: &str = "release";

/// The annotation that says how many Secrets there are.
const PARTS_ANNOTATION: &str = "landfall.dev/parts";

/// Why a record could not be written or read.
#[derive(Debug, Error)]
pub enum RevisionError {
    /// The API server could not be asked, or refused.
    #[error("the record of revision {0} could not be reached")]
    Call(Revision, #[source] CallError),
    /// It is not there.
    #[error("the record of revision {0} is gone, so it cannot be carried out")]
    Absent(Revision),
    /// It is there and cannot be read.
    #[error("the record of revision {0} cannot be read: {1}")]
    Broken(Revision, String),
    /// It does not fit.
    #[error("the record of revision {0} is too large even when compressed: carry less in one package")]
    TooLarge(Revision),
}

/// The name of the first Secret of a record.
pub fn name(deployment: &str, revision: &Revision) -> String {
    derived(&format!("landfall-rev-{deployment}"), &revision.0, 253)
}

fn part_name(deployment: &str, revision: &Revision, part: usize) -> String {
    let first = name(deployment, revision);
    if part == 0 { first } else { format!("{first}-{part}") }
}

/// Writes a record. One that is there already stays as it is: a revision is rendered once.
///
/// # Errors
/// See [`RevisionError`].
pub async fn save(writer: &Writer, owner: &Owner, release: &Release) -> Result<(), RevisionError> {
    let revision = Revision(release.hash.clone());
    let packed = pack(release).map_err(|error| RevisionError::Broken(revision.clone(), error.to_string()))?;
    let parts: Vec<&[u8]> = packed.chunks(PART_MAX).collect();
    if parts.len() > PARTS_MAX {
        return Err(RevisionError::TooLarge(revision));
    }
    // The first comes last: where it is, all are.
    for (number, part) in parts.iter().enumerate().rev() {
        let secret = secret(owner, &revision, (number, parts.len()), part);
        match writer.create(&Account::Own, &secret).await {
            Ok(_) => {}
            Err(error) if error.is_taken() => {}
            Err(error) => return Err(RevisionError::Call(revision, error)),
        }
    }
    Ok(())
}

/// Reads a record.
///
/// # Errors
/// See [`RevisionError`].
pub async fn load(writer: &Writer, owner: &Owner, revision: &Revision) -> Result<Release, RevisionError> {
    let first = read(writer, owner, revision, 0).await?;
    let parts = first.pointer("/metadata/annotations").and_then(|all| all.get(PARTS_ANNOTATION));
    let parts: usize = parts.and_then(Value::as_str).and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut packed = data(&first, revision)?;
    for part in 1..parts.min(PARTS_MAX) {
        packed.extend(data(&read(writer, owner, revision, part).await?, revision)?);
    }
    unpack(&packed).map_err(|cause| RevisionError::Broken(revision.clone(), cause))
}

/// Deletes a record.
///
/// # Errors
/// See [`RevisionError`].
pub async fn delete(writer: &Writer, owner: &Owner, revision: &Revision) -> Result<(), RevisionError> {
    let call = |error| RevisionError::Call(revision.clone(), error);
    let first = Place::named("v1", "Secret", &owner.namespace, &name(&owner.name, revision));
    let found = writer.get(&Account::Own, &first).await.map_err(call)?;
    let parts =
        found.as_ref().and_then(|secret| secret.pointer("/metadata/annotations")?.get(PARTS_ANNOTATION)?.as_str());
    let parts: usize = parts.and_then(|text| text.parse().ok()).unwrap_or(1);
    for part in (0..parts.min(PARTS_MAX)).rev() {
        let place = Place::named("v1", "Secret", &owner.namespace, &part_name(&owner.name, revision, part));
        writer.delete(&Account::Own, &place, None).await.map_err(call)?;
    }
    Ok(())
}

async fn read(writer: &Writer, owner: &Owner, revision: &Revision, part: usize) -> Result<Value, RevisionError> {
    let place = Place::named("v1", "Secret", &owner.namespace, &part_name(&owner.name, revision, part));
    let found =
        writer.get(&Account::Own, &place).await.map_err(|error| RevisionError::Call(revision.clone(), error))?;
    found.ok_or_else(|| RevisionError::Absent(revision.clone()))
}

fn secret(owner: &Owner, revision: &Revision, (part, parts): (usize, usize), data: &[u8]) -> Value {
    let annotations = BTreeMap::from([(PARTS_ANNOTATION, parts.to_string())]);
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "landfall.dev/revision",
        "immutable": true,
        "metadata": {
            "name": part_name(&owner.name, revision, part),
            "namespace": owner.namespace,
            "labels": {
                DEPLOYMENT_LABEL: label_value(&owner.name),
                REVISION_LABEL: revision.0,
                ROLE_LABEL: Role::Record.as_str(),
                MANAGED_BY_LABEL: MANAGED_BY,
            },
            "annotations": annotations,
            "ownerReferences": [owner.reference()],
        },
        "data": {KEY: BASE64_STANDARD.encode(data)},
    })
}

fn data(secret: &Value, revision: &Revision) -> Result<Vec<u8>, RevisionError> {
    let broken = |cause: &str| RevisionError::Broken(revision.clone(), cause.to_owned());
    let text = secret.pointer("/data/release").and_then(Value::as_str).ok_or_else(|| broken("it has no data"))?;
    BASE64_STANDARD.decode(text).map_err(|_| broken("it is not base64"))
}

fn pack(release: &Release) -> io::Result<Vec<u8>> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(&serde_json::to_vec(release)?)?;
    packer.finish()
}

fn unpack(packed: &[u8]) -> Result<Release, String> {
    let mut text = Vec::new();
    GzDecoder::new(packed).take(UNPACKED_MAX).read_to_end(&mut text).map_err(|error| error.to_string())?;
    // The parser's own words would quote the content, and a password may stand there.
    let release: Release = serde_json::from_slice(&text).map_err(|error| format!("at byte {}", error.column()))?;
    if release.format == FORMAT { Ok(release) } else { Err(format!("it has the form {}", release.format)) }
}
