//! Secrets as they are read: of what is in one, nothing is ever shown.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;

/// A Secret. It has no `Debug`.
#[derive(Deserialize)]
pub struct Secret {
    #[serde(default)]
    data: BTreeMap<String, String>,
}

impl Secret {
    /// What stands under a key; none also where it is no base64.
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        BASE64_STANDARD.decode(self.data.get(key)?).ok()
    }

    /// All of it.
    ///
    /// # Errors
    /// The key whose value is no base64.
    pub fn into_data(self) -> Result<BTreeMap<String, Vec<u8>>, String> {
        let value = |(key, value): (String, String)| match BASE64_STANDARD.decode(value) {
            Ok(value) => Ok((key, value)),
            Err(_) => Err(key),
        };
        self.data.into_iter().map(value).collect()
    }
}
