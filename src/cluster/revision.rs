//! The records of revisions: immutable Secrets beside the Deployment, written once before anything else.
//!
//! A record is the compressed release. What does not fit into one Secret goes on in the next; the first says how many there
//! are. They are written and read as the operator itself: what a package contains may be secret.
//!
//! A revision's name is too short to prove what a record says, and whoever may write Secrets could write one where no policy
//! forbids it. So the digest of the whole record is remembered in the Deployment's status, and what is read back must have it.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Read, Write},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
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
    rollout::words::hexadecimal,
};

/// The digests of records, by revision, as they are remembered.
pub type Digests = BTreeMap<Revision, String>;

/// The hexadecimal characters of a digest: all of a sha256.
const DIGEST: usize = 64;

/// A release as its record holds it.
pub struct Recorded {
    /// The release.
    pub release: Release,
    /// The digest of the record.
    pub digest: String,
    /// The record as text. Secrets are in it.
    pub text: Vec<u8>,
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { release, digest, text: _ } = self;
        f.debug_struct("Recorded").field("release", release).field("digest", digest).finish_non_exhaustive()
    }
}

/// The most of a record that one Secret holds, in bytes.
pub(super) const PART_MAX: usize = 700_000;

/// The most Secrets of one record.
pub(super) const PARTS_MAX: usize = 4;

/// The most that a record may be when it is unpacked: more is not one of ours.
const UNPACKED_MAX: u64 = 16 << 20;

/// The type of the Secrets.
const TYPE: &str = "landfall.dev/revision";

/// The key of the data in each Secret.
const KEY: &str = "release";

/// The annotation that says how many Secrets there are.
pub(super) const PARTS_ANNOTATION: &str = "landfall.dev/parts";

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
    /// It is one of this Deployment by its marks, and says something else than this Deployment recorded.
    #[error(
        "Secret {1} does not hold revision {0} as it was recorded, so somebody else wrote it, and nothing of it is carried out: delete it, or restore it from a backup; that of the wanted revision is made anew from its Package"
    )]
    Altered(Revision, String),
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

/// Writes a record. One that is there already stays as it is, as a revision is rendered once: then it is read, and has to be
/// what is remembered of it, or at least what was rendered now.
///
/// # Errors
/// See [`RevisionError`].
pub async fn save(
    writer: &Writer,
    owner: &Owner,
    release: Release,
    digests: &Digests,
) -> Result<Recorded, RevisionError> {
    let revision = Revision(release.hash.clone());
    let broken = |error: io::Error| RevisionError::Broken(revision.clone(), error.to_string());
    let text = serde_json::to_vec(&release).map_err(|error| broken(error.into()))?;
    let packed = pack(&text).map_err(broken)?;
    let parts: Vec<&[u8]> = packed.chunks(PART_MAX).collect();
    if parts.len() > PARTS_MAX {
        return Err(RevisionError::TooLarge(revision));
    }
    let mut made = true;
    // The first comes last: where it is, all are.
    for (number, part) in parts.iter().enumerate().rev() {
        let secret = secret(owner, &revision, (number, parts.len()), part);
        match writer.create::<IgnoredAny>(&Account::Own, &secret).await {
            Ok(_) => {}
            Err(error) if error.is_taken() => made &= keep(writer, owner, &revision, &secret).await? == Kept::Replaced,
            Err(error) => return Err(RevisionError::Call(revision, error)),
        }
    }
    if made {
        return Ok(Recorded { digest: digest(&text), release, text });
    }
    let found = load(writer, owner, &revision, digests).await?;
    if digests.contains_key(&revision) || found.release.is_like(&release) {
        Ok(found)
    } else {
        Err(RevisionError::Altered(revision.clone(), name(&owner.name, &revision)))
    }
}

/// What became of a Secret that was there already.
#[derive(Debug, PartialEq, Eq)]
enum Kept {
    /// It stays.
    Found,
    /// The new one has taken its place.
    Replaced,
}

/// A record of this Deployment that is there already stays as it is. What a former Deployment of the same name left is
/// about to be collected, so it is replaced; anything else is somebody's who would have it carried out.
async fn keep(writer: &Writer, owner: &Owner, revision: &Revision, wanted: &Value) -> Result<Kept, RevisionError> {
    let call = |error| RevisionError::Call(revision.clone(), error);
    let place = Place::of(wanted);
    let Some(found) = writer.get(&Account::Own, &place).await.map_err(call)? else { return Ok(Kept::Found) };
    if is_own(&found, owner) {
        return Ok(Kept::Found);
    }
    if !is_of_former(&found, owner) {
        return Err(RevisionError::Foreign(revision.clone(), place.name));
    }
    let uid = found.pointer("/metadata/uid").and_then(Value::as_str).map(ToOwned::to_owned);
    writer.delete(&Account::Own, &place, uid).await.map_err(call)?;
    writer.create(&Account::Own, wanted).await.map(|IgnoredAny| Kept::Replaced).map_err(call)
}

/// Whether a Secret is a record that belongs to this Deployment. Its type cannot be changed later.
fn is_own(secret: &Value, owner: &Owner) -> bool {
    let owners = secret.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let mut owners = owners.into_iter().flatten();
    secret.get("type").and_then(Value::as_str) == Some(TYPE)
        && owners.any(|reference| reference.get("uid").and_then(Value::as_str) == Some(&owner.uid))
}

/// Reads a record. It must have the digest that is remembered of it, if any is: without one, as after the loss of a status, it
/// is taken as it is.
///
/// # Errors
/// See [`RevisionError`].
pub async fn load(
    writer: &Writer,
    owner: &Owner,
    revision: &Revision,
    digests: &Digests,
) -> Result<Recorded, RevisionError> {
    let first = read(writer, owner, revision, 0).await?;
    let parts = first.pointer("/metadata/annotations").and_then(|all| all.get(PARTS_ANNOTATION));
    let parts: usize = parts.and_then(Value::as_str).and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut packed = data(&first, revision)?;
    for part in 1..parts.min(PARTS_MAX) {
        packed.extend(data(&read(writer, owner, revision, part).await?, revision)?);
    }
    prove(owner, revision, &packed, digests.get(revision).map(String::as_str))
}

/// What was read, if it is what is remembered. What is not is not even looked into.
fn prove(
    owner: &Owner,
    revision: &Revision,
    packed: &[u8],
    remembered: Option<&str>,
) -> Result<Recorded, RevisionError> {
    let altered = || RevisionError::Altered(revision.clone(), name(&owner.name, revision));
    let broken = |cause| if remembered.is_some() { altered() } else { RevisionError::Broken(revision.clone(), cause) };
    let text = unpack(packed).map_err(|error| broken(error.to_string()))?;
    let digest = digest(&text);
    if remembered.is_some_and(|remembered| remembered != digest) {
        return Err(altered());
    }
    let release = parse(&text).map_err(|cause| RevisionError::Broken(revision.clone(), cause))?;
    // One of another revision under this name.
    if release.hash == revision.0 { Ok(Recorded { release, digest, text }) } else { Err(altered()) }
}

/// The digest of a record: of its text, so that how it is packed makes no difference.
pub(super) fn digest(text: &[u8]) -> String {
    hexadecimal(&Sha256::digest(text), DIGEST)
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

pub(super) fn pack(text: &[u8]) -> io::Result<Vec<u8>> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(text)?;
    packer.finish()
}

pub(super) fn unpack(packed: &[u8]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    GzDecoder::new(packed).take(UNPACKED_MAX).read_to_end(&mut text)?;
    Ok(text)
}

pub(super) fn parse(text: &[u8]) -> Result<Release, String> {
    // The parser's own words would quote the content, and a password may stand there.
    let release: Release = serde_json::from_slice(text).map_err(|error| format!("at byte {}", error.column()))?;
    if release.format == FORMAT { Ok(release) } else { Err(format!("it has the form {}", release.format)) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
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

    fn packed(release: &Release) -> (Vec<u8>, String) {
        let text = serde_json::to_vec(release).unwrap();
        (pack(&text).unwrap(), digest(&text))
    }

    #[test]
    fn a_record_that_is_not_the_one_that_is_remembered_is_named_with_the_remedy_and_not_used() {
        let owner = Owner { name: "web".to_owned(), namespace: "shop".to_owned(), uid: "1".to_owned() };
        let revision = Revision("bcdfghjklm".to_owned());
        let own = Release { format: FORMAT, hash: revision.0.clone(), package: "web".to_owned(), ..Release::default() };
        let (record, remembered) = packed(&own);
        let read = prove(&owner, &revision, &record, Some(&remembered)).unwrap();
        assert_eq!((read.release == own, read.digest == remembered), (true, true));

        // The same name, the same marks, other content.
        let (forged, _) = packed(&Release { version: "6.6.6".to_owned(), ..own.clone() });
        for bad in [&forged[..], b"no archive", b""] {
            let refused = prove(&owner, &revision, bad, Some(&remembered)).unwrap_err();
            assert!(matches!(&refused, RevisionError::Altered(_, secret) if secret == "landfall-rev-web-bcdfghjklm"));
            assert!(refused.to_string().contains("delete it"), "{refused}");
        }
        // Nothing is remembered: it is taken as it is, but never for another revision.
        assert!(prove(&owner, &revision, &forged, None).is_ok());
        let (other, digest) = packed(&Release { hash: "other".to_owned(), ..own });
        for remembered in [None, Some(&*digest)] {
            assert!(matches!(prove(&owner, &revision, &other, remembered), Err(RevisionError::Altered(..))));
        }
    }

    #[test]
    fn how_a_record_is_packed_is_nothing_to_its_digest() {
        let owner = Owner { name: "web".to_owned(), namespace: "shop".to_owned(), uid: "1".to_owned() };
        let revision = Revision("bcdfg".to_owned());
        let text =
            serde_json::to_vec(&Release { format: FORMAT, hash: "bcdfg".to_owned(), ..Release::default() }).unwrap();
        let mut packer = GzEncoder::new(Vec::new(), Compression::none());
        packer.write_all(&text).unwrap();
        assert!(prove(&owner, &revision, &packer.finish().unwrap(), Some(&digest(&text))).is_ok());
    }
}
