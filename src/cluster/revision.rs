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
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use thiserror::Error;

use super::{
    call::CallError,
    execute::is_of_former,
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

/// The type of the Secrets.
const TYPE: &str = "landfall.dev/revision";

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
    /// There is a Secret of its name that this Deployment did not write.
    #[error("Secret {1} has the name of the record of revision {0}, and is not one of this Deployment: delete it")]
    Foreign(Revision, String),
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
        match writer.create::<IgnoredAny>(&Account::Own, &secret).await {
            Ok(_) => {}
            Err(error) if error.is_taken() => keep(writer, owner, &revision, &secret).await?,
            Err(error) => return Err(RevisionError::Call(revision, error)),
        }
    }
    Ok(())
}

/// A record of this Deployment that is there already stays as it is. What a former Deployment of the same name left is
/// about to be collected, so it is replaced; anything else is somebody's who would have it carried out.
async fn keep(writer: &Writer, owner: &Owner, revision: &Revision, wanted: &Value) -> Result<(), RevisionError> {
    let call = |error| RevisionError::Call(revision.clone(), error);
    let place = Place::of(wanted);
    let Some(found) = writer.get(&Account::Own, &place).await.map_err(call)? else { return Ok(()) };
    if is_own(&found, owner) {
        return Ok(());
    }
    if !is_of_former(&found, owner) {
        return Err(RevisionError::Foreign(revision.clone(), place.name));
    }
    let uid = found.pointer("/metadata/uid").and_then(Value::as_str).map(ToOwned::to_owned);
    writer.delete(&Account::Own, &place, uid).await.map_err(call)?;
    writer.create(&Account::Own, wanted).await.map(|IgnoredAny| ()).map_err(call)
}

/// Whether a Secret is a record that belongs to this Deployment. Its type cannot be changed later.
fn is_own(secret: &Value, owner: &Owner) -> bool {
    let owners = secret.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let mut owners = owners.into_iter().flatten();
    secret.get("type").and_then(Value::as_str) == Some(TYPE)
        && owners.any(|reference| reference.get("uid").and_then(Value::as_str) == Some(&owner.uid))
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
        let found = writer.get(&Account::Own, &place).await.map_err(call)?.filter(|secret| is_own(secret, owner));
        let uid = found.as_ref().and_then(|secret| secret.pointer("/metadata/uid")?.as_str().map(ToOwned::to_owned));
        if uid.is_some() {
            writer.delete(&Account::Own, &place, uid).await.map_err(call)?;
        }
    }
    Ok(())
}

async fn read(writer: &Writer, owner: &Owner, revision: &Revision, part: usize) -> Result<Value, RevisionError> {
    let place = Place::named("v1", "Secret", &owner.namespace, &part_name(&owner.name, revision, part));
    let found =
        writer.get(&Account::Own, &place).await.map_err(|error| RevisionError::Call(revision.clone(), error))?;
    match found {
        Some(secret) if is_own(&secret, owner) => Ok(secret),
        Some(secret) if !is_of_former(&secret, owner) => Err(RevisionError::Foreign(revision.clone(), place.name)),
        Some(_) | None => Err(RevisionError::Absent(revision.clone())),
    }
}

fn secret(owner: &Owner, revision: &Revision, (part, parts): (usize, usize), data: &[u8]) -> Value {
    let annotations = BTreeMap::from([(PARTS_ANNOTATION, parts.to_string())]);
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": TYPE,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_of_the_deployment_that_wrote_it_and_of_no_other() {
        let owner = |uid: &str| Owner { name: "web".to_owned(), namespace: "shop".to_owned(), uid: uid.to_owned() };
        let (old, new) = (owner("old"), owner("new"));
        let written = secret(&old, &Revision("bcdfg".to_owned()), (0, 1), b"release");
        assert!(is_own(&written, &old) && !is_of_former(&written, &old));
        assert!(!is_own(&written, &new) && is_of_former(&written, &new));
        let mut forged = written.clone();
        forged["type"] = json!("Opaque");
        assert!(!is_own(&forged, &old), "another type");
        forged["metadata"]["ownerReferences"] = json!([]);
        assert!(!is_own(&forged, &old) && !is_of_former(&forged, &new), "no owner at all");
    }
}
