//! Objects that a program made of encrypted files.
//!
//! Their order is another one, and something was added, so the code of a file cannot be checked in them: that was done before.
//! Each value still has its own code, which binds it to the file and to its place.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;

use super::{
    DataKey, FAILED, FileKey, Found, NOT_CONFIGURED, REMEDY, Refused, age::Identities, is_encrypted, is_name,
    may_be_encrypted, prove, replace, value, walk::bound,
};
use crate::gitops::{document, problem::Problem};

/// The keys of all files that a program gets.
#[derive(Default)]
pub struct Keys {
    identities: Arc<Identities>,
    all: Vec<(String, FileKey)>,
    /// Which of them opened something.
    used: Mutex<Vec<String>>,
}

/// They open what is secret.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all.iter().map(|(file, _)| file)).finish()
    }
}

impl Keys {
    /// None yet, to be opened by these identities.
    pub fn new(identities: Arc<Identities>) -> Self {
        Self { identities, ..Self::default() }
    }

    /// Proves a file, if SOPS encrypted it, and keeps its key.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn add(&mut self, path: &str, content: &[u8]) -> Result<(), Problem> {
        let Ok(text) = document::text(content) else { return Ok(()) };
        if !may_be_encrypted(text) {
            return Ok(());
        }
        // What cannot be read is for the program to judge: it may be a template.
        let Ok(documents) = document::read(text) else { return Ok(()) };
        let keys = prove(text, &documents, &self.identities);
        let keys = keys.map_err(|Refused { line, reason, message }| Problem::new(path, line, reason, message))?;
        self.all.extend(keys.into_iter().map(|key| (path.to_owned(), key)));
        Ok(())
    }

    /// Decrypts an object in place. Returns what it was before; none where nothing of it was encrypted.
    ///
    /// # Errors
    /// A value cannot be decrypted.
    pub fn open(&self, object: &mut Value) -> Result<Option<Value>, (&'static str, String)> {
        let mac = object.pointer("/sops/mac").and_then(Value::as_str).map(ToOwned::to_owned);
        if object.pointer("/data/sops_mac").is_some() {
            return Err((FAILED, GENERATED.to_owned()));
        }
        if !is_encrypted(object) && self.all.is_empty() {
            return Ok(None);
        }
        if is_encrypted(object) && self.identities.is_empty() {
            return Err((NOT_CONFIGURED, REMEDY.to_owned()));
        }
        if is_encrypted(object) && self.of(mac.as_deref()).next().is_none() {
            let message = "no file of the commit has this as SOPS encrypted it, so it cannot be proven: name files that SOPS \
                           wrote, without another program between";
            return Err((FAILED, message.to_owned()));
        }
        let mut found = Found::new();
        let keys: Vec<&(String, FileKey)> = self.of(mac.as_deref()).collect();
        look(object, &mut (Vec::new(), Vec::new()), &keys, &mut found).map_err(|message| (FAILED, message))?;
        if mac.is_none() && found.is_empty() {
            return Ok(None);
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.extend(keys.iter().filter(|_| mac.is_some()).map(|(_, key)| key.mac.clone()));
        object.as_object_mut().map(|map| map.remove("sops"));
        let mut sealed = object.clone();
        replace(object, &found);
        found.retain(|(_, value)| value.is_none());
        replace(&mut sealed, &found);
        Ok(Some(sealed))
    }

    /// The keys of a code; without one, of any file.
    fn of(&self, mac: Option<&str>) -> impl Iterator<Item = &(String, FileKey)> {
        self.all.iter().filter(move |(_, key)| mac.is_none_or(|mac| key.mac == mac))
    }

    /// Files of which no object came: whatever was made of them is still encrypted.
    pub fn unused(&self) -> Vec<Problem> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let left = self.all.iter().filter(|(_, key)| !used.contains(&key.mac));
        left.map(|(file, key)| Problem::new(file, key.line, FAILED, GENERATED)).collect()
    }
}

/// Finds every value that is encrypted. `at` are the steps and the keys that lead there.
fn look(
    value: &Value,
    at: &mut (Vec<String>, Vec<String>),
    keys: &[&(String, FileKey)],
    found: &mut Found,
) -> Result<(), String> {
    match value {
        Value::String(text) if text.starts_with(value::PREFIX) => {
            if is_name(&at.0) {
                return Err("kind, name and namespace are shown to people, so they cannot be secret".to_owned());
            }
            let place = bound(&at.1);
            let opened = |key: &DataKey| value::decrypt(text, key, &place);
            let plain = keys.iter().find_map(|(_, key)| opened(&key.key).ok()).ok_or_else(|| MOVED.to_owned())?;
            found.push((at.0.clone(), plain.into_value()?));
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                at.0.push(index.to_string());
                look(item, at, keys, found)?;
                at.0.pop();
            }
        }
        Value::Object(map) => {
            let is_root = at.0.is_empty();
            for (key, inner) in map.iter().filter(|(key, _)| !(is_root && *key == "sops")) {
                at.0.push(key.clone());
                at.1.push(key.clone());
                look(inner, at, keys, found)?;
                at.0.pop();
                at.1.pop();
            }
        }
        _ => {}
    }
    Ok(())
}

const MOVED: &str =
    "a value is encrypted for another place, or by another file: SOPS binds each to the keys that lead to it";

const GENERATED: &str = "only objects that SOPS encrypted are decrypted: what a generator or a template makes of an encrypted file \
                         stays encrypted, so commit the object itself";
