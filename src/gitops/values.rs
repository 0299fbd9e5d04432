//! Values for `${NAME}`, from `ConfigMaps` and Secrets and from the Profile itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{object::digest, render::Settings, substitute::is_name};
use crate::api::source::ValuesKind;

/// The most bytes of all values together.
const TOTAL_MAX: usize = 256 << 10;

/// What one object brings.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Brought {
    /// What it is.
    pub kind: ValuesKind,
    /// The uid of the object: who may not read the object cannot find its values from a digest.
    pub uid: String,
    /// Its keys and values, as far as they are texts.
    pub data: BTreeMap<String, String>,
}

/// All values, and a name for exactly these.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values {
    /// What files are read with.
    pub settings: Settings,
    /// The digest of what objects brought; empty where none did.
    pub digest: String,
}

/// There are more values than are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the objects of spec.source.substituteFrom have more than {} kB of values: name smaller ones", TOTAL_MAX >> 10)]
pub struct TooLarge;

impl Values {
    /// The values of some objects, of which later ones win, and of the Profile, which wins over all. A key that is no name
    /// cannot be asked for and is left out.
    ///
    /// # Errors
    /// There is too much.
    pub fn of(brought: &[Option<Brought>], own: &BTreeMap<String, String>) -> Result<Self, TooLarge> {
        let mut settings = Settings::default();
        for Brought { kind, data, .. } in brought.iter().flatten() {
            for (name, value) in data.iter().filter(|(name, _)| is_name(name)) {
                settings.secret.remove(name);
                if *kind == ValuesKind::Secret {
                    settings.secret.insert(name.clone());
                }
                settings.substitute.insert(name.clone(), value.clone());
            }
        }
        if settings.substitute.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > TOTAL_MAX {
            return Err(TooLarge);
        }
        settings.secret = settings.secret.difference(&own.keys().cloned().collect()).cloned().collect::<BTreeSet<_>>();
        settings.substitute.extend(own.clone());
        let one = |brought: &Brought| json!([brought.uid, brought.data]);
        let all: Vec<_> = brought.iter().map(|brought| brought.as_ref().map(one)).collect();
        let digest = if all.is_empty() { String::new() } else { digest(&json!(all)) };
        Ok(Self { settings, digest })
    }
}
