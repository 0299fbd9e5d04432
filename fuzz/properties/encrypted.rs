//! Files that somebody claims to have encrypted, with an identity that can open those of `tests/sops`.

use std::{collections::BTreeMap, sync::Arc};

use landfall::gitops::{
    document, render,
    sops::{self, age::Identities},
};
use serde_json::Value;

use super::has_place;

const IDENTITY: &str = include_str!("../../tests/sops/one.agekey");
/// What is secret in the files of `tests/sops`.
const SECRETS: [&str; 8] = [
    "correct-horse",
    "t0ken",
    "alpha-secret",
    "beta-secret",
    "first-secret",
    "second-secret",
    "json-secret",
    "suffix-secret",
];

fn identities(content: &[u8]) -> Result<Identities, sops::age::IdentityError> {
    Identities::read(&BTreeMap::from([("a.agekey".to_owned(), content.to_vec())]))
}

/// What was changed is refused, and nothing that is secret is in what is said of it.
pub fn open(input: &[u8]) {
    let known = identities(IDENTITY.as_bytes()).unwrap();
    match identities(input) {
        Ok(found) => assert!(!found.is_empty() && !found.fingerprint().is_empty()),
        Err(error) => assert!(!quotes(&error.to_string()), "{error}"),
    }
    let Ok(text) = document::text(input) else { return };
    let settings = render::Settings { identities: Arc::new(known.clone()), ..render::Settings::default() };
    if let Err(problems) = render::file("a.yaml", input, &settings) {
        for problem in &problems {
            assert!(!quotes(&problem.message), "{problem:?}");
        }
        super::are_told(&problems, text);
    }
    let Ok(documents) = document::read(text) else { return };
    let before: Vec<Value> = documents.iter().map(|document| document.value.clone()).collect();
    match sops::open(text, documents, &known) {
        Ok(opened) => {
            assert_eq!(opened.len(), before.len());
            for (opened, before) in opened.iter().zip(&before) {
                // After a document that is encrypted, all are, until one says otherwise.
                assert!(opened.sealed.is_some() || !sops::is_encrypted(before), "it is left encrypted");
                assert!(opened.sealed.is_none() || opened.document.value.get("sops").is_none());
                assert!(opened.sealed.is_some() || &opened.document.value == before, "it is changed");
            }
        }
        Err(refused) => {
            assert!(!quotes(&refused.message) && !refused.reason.is_empty(), "{refused:?}");
            has_place((refused.line, &refused.message), text);
        }
    }
}

fn quotes(message: &str) -> bool {
    SECRETS.iter().any(|secret| message.contains(secret)) || message.contains("ENC[")
}
