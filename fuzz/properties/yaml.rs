//! Files of a repository: from bytes to manifests.

use std::{fmt::Write, sync::Arc};

use landfall::gitops::{
    document::{self, Document},
    object::Manifest,
    render::{self, Bounds, Settings},
    scope::{Scope, Scopes},
};
use serde_json::Value;

use super::{are_told, is_told, secrets};

/// The most values of a document, and how deep they may be inside of each other.
const VALUES_MAX: usize = 300_000;
const DEPTH_MAX: usize = 100;

pub fn read(input: &[u8]) {
    let text = match document::text(input) {
        Ok(text) => text,
        Err(error) => return is_told((error.line, &error.message), &String::from_utf8_lossy(input)),
    };
    match document::read(text) {
        Ok(documents) => documents.iter().for_each(|document| is_good(document, text)),
        Err(error) => is_told((error.line, &error.message), text),
    }
    files(input, text);
}

fn is_good(document: &Document, text: &str) {
    let (values, depth) = size(&document.value);
    assert!(values <= VALUES_MAX && depth <= DEPTH_MAX, "{values} values, {depth} deep");
    has_lines(document, "", &document.value, super::lines(text));
    let shown = format!("{document:?}");
    assert!(secrets(text).all(|secret| !shown.contains(secret)), "{shown}");
    let json = serde_json::to_string(&document.value).unwrap();
    let printable = |c: char| !c.is_control() && !matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    for json in [escaped(&json, |c| c.is_ascii() && !c.is_control()), escaped(&json, printable)] {
        let again = document::read(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
        assert_eq!(again.len(), 1, "{json}");
        assert_eq!(again[0].value, document.value, "it is something else once it was written as JSON: {json}");
    }
}

fn size(value: &Value) -> (usize, usize) {
    let all = |values: &mut dyn Iterator<Item = &Value>| {
        values.map(size).fold((1, 1), |(count, depth), (more, deep)| (count + more, depth.max(deep + 1)))
    };
    match value {
        Value::Array(items) => all(&mut items.iter()),
        Value::Object(map) => all(&mut map.values()),
        _ => (1, 0),
    }
}

/// Every value has a line of the file.
fn has_lines(document: &Document, pointer: &str, value: &Value, lines: u64) {
    let line = document.line(pointer);
    assert!((1..=lines).contains(&line), "{pointer} is said to be in line {line} of {lines}");
    let inside: Vec<(String, &Value)> = match value {
        Value::Array(items) => items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect(),
        Value::Object(map) => map.iter().map(|(key, item)| (key.replace('~', "~0").replace('/', "~1"), item)).collect(),
        _ => Vec::new(),
    };
    // Of what has many, the first ones.
    for (step, value) in inside.into_iter().take(20) {
        has_lines(document, &format!("{pointer}/{step}"), value, lines);
    }
}

/// JSON in which only some characters stand for themselves: programs write ASCII alone, and YAML takes only what is printable.
fn escaped(json: &str, stands: impl Fn(char) -> bool) -> String {
    let mut text = String::new();
    for c in json.chars() {
        if stands(c) {
            text.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|half| write!(text, "\\u{half:04x}").unwrap());
        }
    }
    text
}

fn settings() -> Settings {
    let values = [("NAME", "shop"), ("HUSH", "t0ken4711hush")];
    let substitute = values.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Settings { substitute, secret: ["HUSH".to_owned()].into(), ..Settings::default() }
}

/// The file as the operator reads it.
fn files(input: &[u8], text: &str) {
    let manifests = match render::file("a.yaml", input, &settings()) {
        Ok(manifests) => manifests,
        Err(problems) => {
            let quoted = problems.iter().any(|problem| problem.message.contains("t0ken4711hush"));
            assert!(!quoted, "the value of a Secret is quoted: {problems:?}");
            return are_told(&problems, text);
        }
    };
    for manifest in &manifests {
        is_kept(manifest, text);
    }
    let mut scopes = Scopes::default();
    scopes.insert("v1", "ConfigMap", Scope::Namespaced);
    scopes.insert("v1", "Namespace", Scope::Cluster);
    let bounds = Bounds { namespace: "shop", scopes: &scopes, allow_profiles: false };
    let count = manifests.len();
    match render::compose(manifests, &bounds) {
        Ok(composed) => {
            assert_eq!(composed.len(), count);
            for Manifest { id, .. } in &composed {
                assert!(!id.is_profile() && id.namespace.as_deref().is_none_or(|name| name == "shop"), "{id}");
            }
        }
        Err(problems) => are_told(&problems, text),
    }
}

/// What is sent to the API server is what was judged.
fn is_kept(manifest: &Manifest, text: &str) {
    assert!((1..=super::lines(text)).contains(&manifest.line), "{manifest:?}");
    let object = manifest.object();
    assert_eq!(object["kind"], Value::from(manifest.id.kind.as_str()));
    assert_eq!(object["apiVersion"], Value::from(manifest.id.api_version.as_str()));
    assert_eq!(object["metadata"]["name"], Value::from(manifest.id.name.as_str()));
    assert!(object.get("status").is_none() && object["metadata"].get("uid").is_none());
    // A list of lists would be taken apart once more.
    if manifest.id.kind.ends_with("List") && object["items"].is_array() {
        return;
    }
    let json = escaped(manifest.text(), |c| c.is_ascii() && !c.is_control());
    let again = render::file("b.json", json.as_bytes(), &Settings::default())
        .unwrap_or_else(|problems| panic!("{problems:?}: {}", manifest.text()));
    let [again] = again.as_slice() else { panic!("{again:?}") };
    assert_eq!((again.text(), &again.digest), (manifest.text(), &manifest.digest));
    assert_eq!(again.file, Arc::from("b.json"));
}
