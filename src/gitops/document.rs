//! YAML and JSON files with the place of every value.
//!
//! The parser is the one below `serde-saphyr`; what its events mean is decided here and in [`scalar`](super::scalar), because
//! manifests are read as `kubectl` reads them: by the rules of YAML 1.1. Unlike there, a key that stands twice is an error.
//! Whoever writes a file decides neither how much memory nor how much time it takes: size, depth and number of values have
//! bounds, and what an alias stands for counts each time. No message quotes a value: it may be a secret.

use std::{
    collections::{BTreeMap, HashMap},
    fmt, iter,
};

use granit_parser::{ErrorKind, Event, Parser, ScanError, StrInput};
use serde_json::{Map, Value};

use super::scalar::{self, Scalar};

/// The most bytes that a file may have.
pub const SIZE_MAX: usize = 4 << 20;
/// The most values that a document may have, and the most that all aliases of a file may stand for.
const WEIGHT_MAX: usize = 300_000;
/// A long text counts as several values: as one more for each so many bytes.
const WEIGHT_BYTES: usize = 64;
/// What a map counts for: even the smallest takes as much memory as so many plain values.
const WEIGHT_MAP: usize = 8;
/// How deep values may be inside of each other.
const DEPTH_MAX: usize = 100;

/// One document of a file. What it contains may be a secret, so it is not shown by `Debug`.
#[derive(Clone)]
pub struct Document {
    /// The document without its places.
    pub value: Value,
    places: Places,
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document(line {})", self.places.line)
    }
}

impl Document {
    /// The line of a value, or of the nearest value around it.
    pub fn line(&self, pointer: &str) -> u64 {
        let mut at = &self.places;
        for step in pointer.split('/').skip(1) {
            let Some(inner) = at.inside.get(&step.replace("~1", "/").replace("~0", "~")) else { break };
            at = inner;
        }
        at.line
    }

    /// The objects of a list of objects (`kind: List`, or `ConfigMapList` and its like); of anything else, itself.
    pub fn parts(self) -> Vec<Self> {
        let kind = self.value.get("kind").and_then(Value::as_str).unwrap_or_default();
        if !kind.ends_with("List") || !self.value.get("items").is_some_and(Value::is_array) {
            return vec![self];
        }
        let Self { mut value, mut places } = self;
        let items = value.get_mut("items").map(Value::take);
        let mut inside = places.inside.remove("items").map(|items| items.inside).unwrap_or_default();
        let Some(Value::Array(items)) = items else { return Vec::new() };
        let part = |(index, value): (usize, Value)| {
            let own = inside.remove(&index.to_string()).unwrap_or_else(|| Places::at(places.line));
            Self { value, places: own }
        };
        items.into_iter().enumerate().map(part).collect()
    }
}

/// Where a value and what is in it begins: by the keys of a map, and the indices of a list.
#[derive(Clone, Default)]
struct Places {
    line: u64,
    inside: BTreeMap<String, Places>,
}

impl Places {
    fn at(line: u64) -> Self {
        Self { line, inside: BTreeMap::new() }
    }
}

/// Why a text is not a sequence of documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The line, from one.
    pub line: u64,
    /// Why, as a sentence.
    pub message: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

fn unreadable(line: u64, message: impl Into<String>) -> Unreadable {
    Unreadable { line, message: message.into() }
}

/// The text of a file.
///
/// # Errors
/// It is too large, or no UTF-8.
pub fn text(content: &[u8]) -> Result<&str, Unreadable> {
    if content.len() > SIZE_MAX {
        return Err(unreadable(1, format!("the file has more than {} MiB: divide it", SIZE_MAX >> 20)));
    }
    std::str::from_utf8(content).map_err(|error| {
        let before = content.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.split(|byte| *byte == b'\n').count();
        unreadable(line as u64, "the text is no UTF-8: store the file as UTF-8")
    })
}

/// Reads all documents of a text. Empty ones are left out.
///
/// # Errors
/// The text is not YAML, or more than a file may have; the line says where.
pub fn read(text: &str) -> Result<Vec<Document>, Unreadable> {
    documents(text).collect()
}

/// The documents of a text, one at a time: a tree takes many times the memory of its text. Empty ones are left out. Nothing
/// comes after an error.
pub fn documents(text: &str) -> impl Iterator<Item = Result<Document, Unreadable>> {
    let options = granit_parser::options! { emit_comments: false };
    let events = Parser::new_from_str_with_options(text, options);
    let mut reader = Reader { events, anchors: HashMap::new(), weight: 0, copied: 0, depth: 0 };
    let mut is_over = false;
    iter::from_fn(move || {
        let next = if is_over { None } else { reader.document().transpose() };
        is_over = !matches!(next, Some(Ok(_)));
        next
    })
}

/// Whether YAML takes a character as it is.
fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn scan_error(error: &ScanError) -> Unreadable {
    let message = match error.kind() {
        ErrorKind::UnexpectedCharacter { character } if !is_printable(*character) => {
            "a character that is not printable stands here: write it as `\\u` and its number, in double quotes"
                .to_owned()
        }
        ErrorKind::UnexpectedCharacter { .. } => {
            "no value may begin with this character: put the value into quotes".to_owned()
        }
        kind => kind.to_string(),
    };
    unreadable(error.marker().line() as u64, message)
}

/// What was read of a text so far.
struct Reader<'t> {
    events: Parser<'t, StrInput<'t>>,
    /// What the aliases of this document stand for, and how much it counts.
    anchors: HashMap<usize, (Value, usize)>,
    /// How much the values of this document count.
    weight: usize,
    /// How much the values count that aliases of all documents stand for.
    copied: usize,
    depth: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<Option<(Event<'t>, u64)>, Unreadable> {
        match self.events.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => Ok(Some((event, span.start.line() as u64))),
            Some(Err(error)) => Err(scan_error(&error)),
        }
    }

    /// The next document; none where there is none any more.
    fn document(&mut self) -> Result<Option<Document>, Unreadable> {
        while let Some((event, line)) = self.next()? {
            match event {
                Event::DocumentStart(..) => (self.weight, self.anchors) = (0, HashMap::new()),
                Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
                node => {
                    let (value, places) = self.node(node, line)?;
                    if !value.is_null() {
                        return Ok(Some(Document { value, places }));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The event inside of a list or map; none at its end.
    fn inside(&mut self, line: u64) -> Result<Option<(Event<'t>, u64)>, Unreadable> {
        match self.next()? {
            Some((Event::SequenceEnd | Event::MappingEnd, _)) => Ok(None),
            Some(next) => Ok(Some(next)),
            None => Err(unreadable(line, "the text ends inside of a value")),
        }
    }

    /// The value that begins with this event.
    fn node(&mut self, event: Event<'t>, line: u64) -> Result<(Value, Places), Unreadable> {
        let before = self.weight;
        let (anchor, (value, places)) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1 + text.len() / WEIGHT_BYTES, line)?;
                let value = scalar::read(&text, style, tag.as_deref()).and_then(Scalar::into_value);
                (anchor, (value.map_err(|message| unreadable(line, message))?, Places::at(line)))
            }
            Event::SequenceStart(_, anchor, _) => {
                self.count(1, line)?;
                (anchor, self.nested(line, Self::list)?)
            }
            Event::MappingStart(_, anchor, _) => {
                self.count(WEIGHT_MAP, line)?;
                (anchor, self.nested(line, Self::map)?)
            }
            Event::Alias(anchor) => (0, (self.alias(anchor, line)?, Places::at(line))),
            _ => return Err(unreadable(line, "a value is missing here")),
        };
        if anchor > 0 {
            let weight = self.weight - before;
            self.copy(weight, line)?;
            self.anchors.insert(anchor, (value.clone(), weight));
        }
        Ok((value, places))
    }

    fn count(&mut self, weight: usize, line: u64) -> Result<(), Unreadable> {
        self.weight = self.weight.saturating_add(weight);
        if self.weight > WEIGHT_MAX {
            return Err(unreadable(line, format!("the document has more than {WEIGHT_MAX} values: divide it")));
        }
        Ok(())
    }

    /// Counts what is there once more.
    fn copy(&mut self, weight: usize, line: u64) -> Result<(), Unreadable> {
        self.count(weight, line)?;
        self.copied = self.copied.saturating_add(weight);
        if self.copied > WEIGHT_MAX {
            return Err(unreadable(line, format!("the aliases stand for more than {WEIGHT_MAX} values: write fewer")));
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, line: u64) -> Result<Value, Unreadable> {
        let missing = || unreadable(line, "an alias stands inside of the value that it stands for");
        let weight = self.anchors.get(&anchor).ok_or_else(missing)?.1;
        self.copy(weight, line)?;
        let value = self.anchors.get(&anchor).map(|(value, _)| value.clone()).ok_or_else(missing)?;
        if self.depth + depth(&value) > DEPTH_MAX {
            return Err(too_deep(line));
        }
        Ok(value)
    }

    fn nested<T>(
        &mut self,
        line: u64,
        read: impl FnOnce(&mut Self, u64) -> Result<T, Unreadable>,
    ) -> Result<T, Unreadable> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(too_deep(line));
        }
        let read = read(self, line)?;
        self.depth -= 1;
        Ok(read)
    }

    fn list(&mut self, line: u64) -> Result<(Value, Places), Unreadable> {
        let (mut items, mut places) = (Vec::new(), Places::at(line));
        while let Some((event, line)) = self.inside(line)? {
            let (value, place) = self.node(event, line)?;
            places.inside.insert(items.len().to_string(), place);
            items.push(value);
        }
        Ok((Value::Array(items), places))
    }

    fn map(&mut self, line: u64) -> Result<(Value, Places), Unreadable> {
        let (mut entries, mut places, mut merged) = (Map::new(), Places::at(line), Vec::new());
        while let Some((event, line)) = self.inside(line)? {
            let key = self.key(event, line)?;
            let Some((event, at)) = self.inside(line)? else { break };
            let (value, place) = self.node(event, at)?;
            let Some(key) = key else {
                let taken = maps(value).ok_or_else(|| unreadable(line, "`<<` takes a map, or a list of maps"))?;
                if taken.iter().flat_map(Map::keys).any(|key| entries.contains_key(key)) {
                    return Err(unreadable(
                        line,
                        "`<<` has a key that stands before it: programs disagree which one counts, so put `<<` first",
                    ));
                }
                merged.extend(taken);
                continue;
            };
            if let Some(first) = places.inside.get(&key) {
                return Err(unreadable(
                    line,
                    format!("the key of line {} stands here again: remove one of them", first.line),
                ));
            }
            places.inside.insert(key.clone(), Places { line, ..place });
            entries.insert(key, value);
        }
        merge(&mut entries, merged);
        Ok((Value::Object(entries), places))
    }

    /// The key that begins with this event; none for `<<`.
    fn key(&mut self, event: Event<'t>, line: u64) -> Result<Option<String>, Unreadable> {
        let no_key = || unreadable(line, "a key is a text, a number or a boolean");
        if let Event::Scalar(text, style, _, tag) = &event {
            let scalar = scalar::read(text, *style, tag.as_deref()).map_err(|message| unreadable(line, message))?;
            if scalar == Scalar::Merge {
                return Ok(None);
            }
            let key = scalar.into_key().ok_or_else(no_key)?;
            // It may have an anchor, and counts.
            return self.node(event, line).map(|_| Some(key));
        }
        match self.node(event, line)?.0 {
            Value::String(key) => Ok(Some(key)),
            _ => Err(no_key()),
        }
    }
}

fn too_deep(line: u64) -> Unreadable {
    unreadable(line, format!("values are inside of each other more than {DEPTH_MAX} times"))
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// The maps that `<<` names, the most important first.
fn maps(value: Value) -> Option<Vec<Map<String, Value>>> {
    let map = |value| if let Value::Object(map) = value { Some(map) } else { None };
    match value {
        Value::Array(items) => items.into_iter().map(map).collect(),
        other => map(other).map(|map| vec![map]),
    }
}

fn merge(entries: &mut Map<String, Value>, merged: Vec<Map<String, Value>>) {
    for (key, value) in merged.into_iter().flatten() {
        entries.entry(key).or_insert(value);
    }
}
