//! Files that SOPS encrypted for recipients of age: opened here, in memory, and only as a whole that is proven.
//!
//! Every value is bound to its place by its own code, and all values of a file in their order by another one, `sops.mac`. Both
//! have to fit, or nothing of the file is used. A program that makes manifests gets files as they are, still encrypted; what it
//! makes of them has another order, so the code of a file is checked before, and the values one by one after. In reading
//! order: [`age`] (the key of a file), [`block`] (what SOPS says of a file), [`walk`] and [`value`] (what is counted), [`made`].
//! No message quotes a value.

pub mod age;
mod block;
pub mod made;
mod value;
mod walk;

use std::fmt;

use serde_json::Value;
use sha2::{Digest, Sha512};

use self::{
    age::Identities,
    block::Block,
    value::{DataKey, Plain},
    walk::{Leaf, Path},
};
use super::{
    document::{Document, Unreadable},
    render::REQUEST,
};

/// The file could not be decrypted.
pub const FAILED: &str = "DecryptionFailed";
/// The Profile names no Secret with a key.
pub const NOT_CONFIGURED: &str = "DecryptionNotConfigured";

/// What is said where there is no key.
pub const REMEDY: &str = "SOPS encrypted this: name a Secret with its age key (a key that ends with .agekey) in \
                          spec.source.decryption.secretRef";

/// What begins the code where only encrypted values are counted.
const ONLY_ENCRYPTED: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b, 0x0b, 0x97, 0x5b,
    0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

/// Why a file is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The line, from one.
    pub line: u64,
    /// Why, as one word.
    pub reason: &'static str,
    /// Why, as a sentence with the remedy.
    pub message: String,
}

impl Refused {
    fn failed(line: u64, message: impl Into<String>) -> Self {
        Self { line, reason: FAILED, message: message.into() }
    }
}

/// A document, and what it was before it was decrypted.
#[derive(Debug)]
pub struct Opened {
    /// The document in plain.
    pub document: Document,
    /// As it was, without what SOPS says of it; none where nothing of it was encrypted.
    pub sealed: Option<Document>,
}

/// The key of a file whose code fits.
pub struct FileKey {
    mac: String,
    key: DataKey,
    /// The line where SOPS says what it did.
    line: u64,
}

/// It opens what is secret.
impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileKey(line {})", self.line)
    }
}

/// Whether SOPS may have encrypted something of a text: it is to be looked at more closely.
pub fn may_be_encrypted(text: &str) -> bool {
    text.contains("sops") && text.contains(value::PREFIX)
}

/// Whether SOPS encrypted an object.
pub fn is_encrypted(object: &Value) -> bool {
    object.pointer("/sops/mac").is_some()
}

/// What belongs to one code: documents that follow each other.
struct Tree {
    block: Block,
    key: DataKey,
    line: u64,
    sum: Sha512,
}

/// What stands in place of what was encrypted: nothing, where that was a comment in a list.
type Instead = Option<Value>;

/// What is found, by the steps that lead there.
type Found = Vec<(Vec<String>, Instead)>;

/// The trees of a text, the one that each document belongs to, and what is found in each.
type Unsealed = (Vec<Tree>, Vec<Option<usize>>, Vec<Found>);

/// The trees of a text, and the one that each document belongs to.
type Trees = (Vec<Tree>, Vec<Option<usize>>);

/// Decrypts the documents of a text.
///
/// # Errors
/// See [`Refused`]; nothing is decrypted then.
pub fn open(text: &str, documents: Vec<Document>, identities: &Identities) -> Result<Vec<Opened>, Refused> {
    let (_, of, found) = unseal(text, &documents, identities)?;
    let opened = documents.into_iter().zip(of).zip(found).map(|((mut document, tree), found)| {
        if tree.is_none() {
            return Opened { document, sealed: None };
        }
        let map = document.value.as_object_mut();
        map.map(|map| map.remove("sops"));
        let mut sealed = document.clone();
        replace(&mut document.value, &found);
        // What is left out of a list is left out of both, so that they can be taken apart alike.
        let gone: Found = found.into_iter().filter(|(_, value)| value.is_none()).collect();
        replace(&mut sealed.value, &gone);
        Opened { document, sealed: Some(sealed) }
    });
    Ok(opened.collect())
}

/// Proves the documents of a text, and gives the keys to them.
///
/// # Errors
/// See [`Refused`].
pub fn prove(text: &str, documents: &[Document], identities: &Identities) -> Result<Vec<FileKey>, Refused> {
    let (trees, ..) = unseal(text, documents, identities)?;
    Ok(trees.into_iter().map(|Tree { block, key, line, .. }| FileKey { mac: block.mac, key, line }).collect())
}

fn unseal(text: &str, documents: &[Document], identities: &Identities) -> Result<Unsealed, Refused> {
    let (mut trees, of) = trees(documents, identities)?;
    if let Some(tree) = trees.first()
        && text.lines().any(|line| line.trim() == REQUEST)
    {
        let message = format!("a file that SOPS encrypted gets no values: remove the comment `{REQUEST}`");
        return Err(Refused::failed(tree.line, message));
    }
    let mut found: Vec<Found> = documents.iter().map(|_| Vec::new()).collect();
    let mut visit = |path: &Path, leaf: &Leaf<'_>| {
        let Some(tree) = of.get(path.document).copied().flatten().and_then(|tree| trees.get_mut(tree)) else {
            return Ok(());
        };
        let is_own = path.steps.first().is_some_and(|first| first == "sops");
        if !is_own && let Some(found) = found.get_mut(path.document) {
            tree.count(path, leaf, found)?;
        }
        Ok(())
    };
    walk::walk(text, &mut visit).map_err(|Unreadable { line, message }| Refused::failed(line, message))?;
    for tree in &trees {
        tree.prove()?;
    }
    Ok((trees, of, found))
}

/// Documents with one code belong together, with those between them that have none.
fn trees(documents: &[Document], identities: &Identities) -> Result<Trees, Refused> {
    let (mut trees, mut of) = (Vec::<Tree>::new(), Vec::new());
    for document in documents {
        let mac = document.value.pointer("/sops/mac").and_then(Value::as_str);
        let goes_on = mac.is_some() && mac == trees.last().map(|tree| tree.block.mac.as_str());
        if is_encrypted(&document.value) && !goes_on {
            let line = document.line("/sops");
            if identities.is_empty() {
                return Err(Refused { line, reason: NOT_CONFIGURED, message: REMEDY.to_owned() });
            }
            let refused = |message| Refused::failed(line, message);
            let block = Block::read(&document.value).map_err(refused)?;
            let key = block.key(identities).map_err(refused)?;
            let mut sum = Sha512::new();
            if block.only_encrypted {
                sum.update(ONLY_ENCRYPTED);
            }
            trees.push(Tree { block, key, line, sum });
        }
        of.push(trees.len().checked_sub(1));
    }
    Ok((trees, of))
}

impl Tree {
    /// Counts a value, and finds what is to stand in its place, if it is encrypted.
    fn count(&mut self, path: &Path, leaf: &Leaf<'_>, found: &mut Found) -> Result<(), Unreadable> {
        let refused = |message: &str| Unreadable { line: leaf.line, message: message.to_owned() };
        let Some(seen) = value::as_sops_reads(leaf.text, leaf.style, leaf.tag) else { return Ok(()) };
        if !self.block.is_encrypted(&path.keys) {
            if !self.block.only_encrypted {
                self.sum.update(seen.counted());
            }
            return Ok(());
        }
        let Plain::Text(text) = seen else {
            return Err(refused(
                "this value has to be encrypted by the file's own rules, and is not: encrypt it again",
            ));
        };
        if text.is_empty() {
            return Ok(());
        }
        if is_name(&path.steps) {
            return Err(refused(
                "kind, name and namespace are shown to people, so they cannot be secret: encrypt with \
                 --encrypted-regex '^(data|stringData)$'",
            ));
        }
        let plain = value::decrypt(&text, &self.key, &path.bound()).map_err(refused)?;
        self.sum.update(plain.counted());
        let is_item = path.steps.len() > path.keys.len();
        if plain == Plain::Comment && !is_item {
            return Err(refused("a comment stands here in place of a value: encrypt the file again"));
        }
        found.push((path.steps.clone(), plain.into_value().map_err(|message| refused(&message))?));
        Ok(())
    }

    /// Whether the file is as SOPS left it.
    fn prove(&self) -> Result<(), Refused> {
        let expected = format!("{:X}", Hexadecimal(&self.sum.clone().finalize()));
        match value::decrypt(&self.block.mac, &self.key, &self.block.modified) {
            Ok(Plain::Text(mac)) if mac == expected => Ok(()),
            _ => Err(Refused::failed(
                self.line,
                "the file was changed after SOPS encrypted it: its code (sops.mac) does not fit; change it by `sops edit`, or \
                 encrypt it again",
            )),
        }
    }
}

struct Hexadecimal<'a>(&'a [u8]);

impl fmt::UpperHex for Hexadecimal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

/// Whether a value is part of what an object is known by.
fn is_name(steps: &[String]) -> bool {
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    let steps = steps.as_slice();
    let own = if let ["items", _, own @ ..] = steps { own } else { steps };
    matches!(own, ["apiVersion" | "kind", ..] | ["metadata", "name" | "namespace" | "generateName", ..])
}

/// Puts what was found into its place, the last first: what is left out of a list moves those after it.
fn replace(value: &mut Value, found: &Found) {
    for (steps, new) in found.iter().rev() {
        let Some((last, around)) = steps.split_last() else { continue };
        let around = around.iter().try_fold(&mut *value, |value, step| inside(value, step));
        match (around, new) {
            (Some(around), Some(new)) => {
                if let Some(old) = inside(around, last) {
                    *old = new.clone();
                }
            }
            (Some(Value::Array(items)), None) => {
                if let Some(index) = last.parse::<usize>().ok().filter(|index| *index < items.len()) {
                    items.remove(index);
                }
            }
            _ => {}
        }
    }
}

fn inside<'v>(value: &'v mut Value, step: &str) -> Option<&'v mut Value> {
    match value {
        Value::Array(items) => items.get_mut(step.parse::<usize>().ok()?),
        Value::Object(map) => map.get_mut(step),
        _ => None,
    }
}
