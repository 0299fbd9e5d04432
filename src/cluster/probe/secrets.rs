//! Values of headers, from Secrets. They are sent and never shown.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::analysis::answer::ProbeError;

/// Headers of one request.
#[derive(Clone, Default)]
pub struct Secrets(HeaderMap);

impl Secrets {
    /// Adds a value. Line ends after it are cut: files and `echo` leave them behind.
    ///
    /// # Errors
    /// The value holds characters that no header may have; the error names the header alone.
    pub fn add(&mut self, name: &HeaderName, value: &[u8]) -> Result<(), ProbeError> {
        let mut value =
            HeaderValue::from_bytes(value.trim_ascii_end()).map_err(|_| ProbeError::Header(name.to_string()))?;
        value.set_sensitive(true);
        self.0.insert(name.clone(), value);
        Ok(())
    }

    /// The value of a header.
    pub(super) fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.0.get(name)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use http::header::AUTHORIZATION;

    use super::*;

    #[test]
    fn a_value_is_not_shown_and_a_broken_one_is_refused_without_being_shown() {
        let mut secrets = Secrets::default();
        secrets.add(&AUTHORIZATION, b"Bearer hush\n").unwrap();
        assert_eq!(secrets.get(&AUTHORIZATION).unwrap().as_bytes(), b"Bearer hush");
        assert_eq!(format!("{secrets:?}"), "{\"authorization\"}");
        let error = secrets.add(&AUTHORIZATION, b"hush\r\nHost: other").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
    }
}
