//! What repositories gave for Packages: immutable Secrets beside the Package, packed as the records of revisions are.
//!
//! The digest of the whole is remembered in the Package's status, and what is read back must have it: what a Deployment gets is
//! what was rendered, whoever else may write Secrets.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use thiserror::Error;

use super::{
    call::CallError,
    revision::{PART_MAX, PARTS_ANNOTATION, PARTS_MAX, digest, pack, unpack},
    write::{Account, Place, Writer},
};
use crate::{
    api::{GROUP, MANAGED_BY, MANAGED_BY_LABEL},
    kinds::workload::brought::{Content, FORMAT},
};

/// The type of the Secrets.
const TYPE: &str = "landfall.dev/package";

/// The key of the data in each Secret.
const KEY: &str = "content";

/// The Package that something is kept for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keeper {
    /// The name of the object.
    pub package: String,
    /// Its namespace.
    pub namespace: String,
    /// Its uid.
    pub uid: String,
}

/// Why content could not be kept or read.
#[derive(Debug, Error)]
pub enum ContentError {
    /// The API server could not be asked, or refused.
    #[error("Secret {0} with the manifests of the Package could not be reached")]
    Call(String, #[source] CallError),
    /// It is not there, or not as it was kept.
    #[error("Secret {0} with the manifests of the Package is gone, or somebody else wrote it")]
    Lost(String),
    /// There is a Secret of its name that is not this Package's.
    #[error("Secret {0} has the name of the manifests of this Package, and is not its own: delete it")]
    Foreign(String),
    /// The repository gives something else than was recorded.
    #[error(
        "the manifests are not those that were recorded of this Package: restore Secret {0} from a backup, or make a Package of a new version; what runs does not move"
    )]
    Changed(String),
    /// It does not fit.
    #[error("the manifests are too large even when compressed: carry less in one package")]
    TooLarge,
}

impl Keeper {
    /// The name of a Secret. The number stands before the name of the Package, which may end with one.
    fn secret(&self, part: usize) -> String {
        let number = if part == 0 { String::new() } else { part.to_string() };
        format!("landfall-pkg{number}-{}", self.package)
    }

    fn place(&self, part: usize) -> Place {
        Place::named("v1", "Secret", &self.namespace, &self.secret(part))
    }

    fn object(&self, (part, parts): (usize, usize), data: &[u8]) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": TYPE,
            "immutable": true,
            "metadata": {
                "name": self.secret(part),
                "namespace": self.namespace,
                "labels": {MANAGED_BY_LABEL: MANAGED_BY},
                "annotations": {PARTS_ANNOTATION: parts.to_string()},
                "ownerReferences": [{
                    "apiVersion": "landfall.dev/v1alpha1", "kind": "Package", "name": self.package, "uid": self.uid,
                }],
            },
            "data": {KEY: BASE64_STANDARD.encode(data)},
        })
    }

    /// Whether a Secret is one of this Package, or of one of its name that is gone.
    fn is_own(&self, secret: &Value) -> bool {
        let owners = secret.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let text = |owner: &Value, field: &str| owner.get(field).and_then(Value::as_str).map(ToOwned::to_owned);
        secret.get("type").and_then(Value::as_str) == Some(TYPE)
            && owners.into_iter().flatten().any(|owner| {
                text(owner, "apiVersion").is_some_and(|version| version.starts_with(&format!("{GROUP}/")))
                    && text(owner, "kind").as_deref() == Some("Package")
                    && text(owner, "name").as_deref() == Some(&self.package)
            })
    }
}

/// Keeps content, and returns its digest. It has to be the one that is remembered, if any is. What else is there under its name is
/// replaced, where it is this Package's.
///
/// # Errors
/// See [`ContentError`].
pub async fn save(
    writer: &Writer,
    keeper: &Keeper,
    content: &Content,
    remembered: Option<&str>,
) -> Result<String, ContentError> {
    let text = serde_json::to_vec(content).map_err(|_| ContentError::TooLarge)?;
    let found = digest(&text);
    if remembered.is_some_and(|remembered| remembered != found) {
        return Err(ContentError::Changed(keeper.secret(0)));
    }
    let packed = pack(&text).map_err(|_| ContentError::TooLarge)?;
    let parts: Vec<&[u8]> = packed.chunks(PART_MAX).collect();
    if parts.len() > PARTS_MAX {
        return Err(ContentError::TooLarge);
    }
    // The first comes last: where it is, all are.
    for (number, part) in parts.iter().enumerate().rev() {
        put(writer, keeper, &keeper.object((number, parts.len()), part)).await?;
    }
    Ok(found)
}

async fn put(writer: &Writer, keeper: &Keeper, secret: &Value) -> Result<(), ContentError> {
    let place = Place::of(secret);
    let call = |error| ContentError::Call(place.name.clone(), error);
    match writer.create::<IgnoredAny>(&Account::Own, secret).await {
        Ok(_) => return Ok(()),
        Err(error) if error.is_taken() => {}
        Err(error) => return Err(call(error)),
    }
    if let Some(found) = writer.get(&Account::Own, &place).await.map_err(call)? {
        if !keeper.is_own(&found) {
            return Err(ContentError::Foreign(place.name));
        }
        let same = |pointer: &str| found.pointer(pointer) == secret.pointer(pointer);
        if ["/data", "/immutable", "/metadata/annotations", "/metadata/ownerReferences/0/uid"].into_iter().all(same) {
            return Ok(());
        }
        let uid = found.pointer("/metadata/uid").and_then(Value::as_str).map(ToOwned::to_owned);
        writer.delete(&Account::Own, &place, uid).await.map_err(call)?;
    }
    writer.create(&Account::Own, secret).await.map(|IgnoredAny| ()).map_err(call)
}

/// Reads content, which has to have this digest.
///
/// # Errors
/// See [`ContentError`].
pub async fn load(writer: &Writer, keeper: &Keeper, remembered: &str) -> Result<Content, ContentError> {
    let lost = || ContentError::Lost(keeper.secret(0));
    let (mut packed, mut parts, mut part) = (Vec::new(), 1, 0);
    while part < parts {
        let place = keeper.place(part);
        let found = writer.get(&Account::Own, &place).await.map_err(|error| ContentError::Call(place.name, error))?;
        let secret = found.filter(|secret| keeper.is_own(secret)).ok_or_else(lost)?;
        if part == 0 {
            let number = secret.pointer("/metadata/annotations").and_then(|all| all.get(PARTS_ANNOTATION)?.as_str());
            parts = number.and_then(|text| text.parse().ok()).unwrap_or(1).min(PARTS_MAX);
        }
        let data = secret.pointer("/data/content").and_then(Value::as_str).ok_or_else(lost)?;
        packed.extend(BASE64_STANDARD.decode(data).map_err(|_| lost())?);
        part += 1;
    }
    prove(&packed, remembered).ok_or_else(lost)
}

/// What was read, if it is what is remembered. What is not is not even looked into.
fn prove(packed: &[u8], remembered: &str) -> Option<Content> {
    let text = unpack(packed).ok().filter(|text| digest(text) == remembered)?;
    serde_json::from_slice(&text).ok().filter(|content: &Content| content.format == FORMAT)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn keeper() -> Keeper {
        Keeper { package: "web-1.0.0".to_owned(), namespace: "shop".to_owned(), uid: "1".to_owned() }
    }

    #[test]
    fn only_what_is_remembered_is_believed() {
        let content = Content { format: FORMAT, spec: "s".to_owned(), commit: "c".to_owned(), objects: Vec::new() };
        let text = serde_json::to_vec(&content).unwrap();
        let packed = pack(&text).unwrap();
        assert!(prove(&packed, &digest(&text)).as_ref() == Some(&content));
        let other = serde_json::to_vec(&Content { commit: "d".to_owned(), ..content.clone() }).unwrap();
        assert!(prove(&pack(&other).unwrap(), &digest(&text)).is_none(), "another content");
        assert!(prove(b"no archive", &digest(&text)).is_none());
        let later = serde_json::to_vec(&Content { format: FORMAT + 1, ..content }).unwrap();
        assert!(prove(&pack(&later).unwrap(), &digest(&later)).is_none(), "another form");
    }

    #[test]
    fn a_secret_is_of_its_package_by_type_and_owner_and_no_part_has_the_name_of_another_package() {
        let written = keeper().object((0, 1), b"x");
        assert!(keeper().is_own(&written));
        for (pointer, value) in [
            ("/type", json!("Opaque")),
            ("/metadata/ownerReferences/0/kind", json!("Deployment")),
            ("/metadata/ownerReferences/0/name", json!("web-2.0.0")),
            ("/metadata/ownerReferences/0/apiVersion", json!("landfall.developers/v1")),
        ] {
            let mut forged = written.clone();
            *forged.pointer_mut(pointer).unwrap() = value;
            assert!(!keeper().is_own(&forged), "{pointer}");
        }
        let other = Keeper { package: "web-1.0.0-1".to_owned(), ..keeper() };
        assert_ne!(keeper().secret(1), other.secret(0));
        assert_eq!(keeper().secret(0), "landfall-pkg-web-1.0.0");
    }
}
