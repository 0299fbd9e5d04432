//! YAML and JSON files with the place of every value.
//!
//! Scalars are read by the rules of YAML 1.1, as kubectl does: `yes` is a boolean and `0644` is octal.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

/// One document of a file.
#[derive(Debug)]
pub struct Document {
    /// The document without its places.
    pub value: Value,
    /// The line of every value, by its JSON pointer.
    lines: BTreeMap<String, u64>,
}

impl Document {
    /// The line of a value, or of the nearest value around it.
    pub fn line(&self, pointer: &str) -> u64 {
        let mut at = pointer;
        loop {
            if let Some(line) = self.lines.get(at) {
                return *line;
            }
            let Some(end) = at.rfind('/') else { return 1 };
            at = &at[..end];
        }
    }
}

/// Reads all documents of a text. Empty ones are left out.
///
/// # Errors
/// The text is not YAML; the message names the place.
pub fn read(text: &str) -> Result<Vec<Document>, serde_saphyr::Error> {
    let options = serde_saphyr::options! { legacy_octal_numbers: true, with_snippet: false };
    let nodes: Vec<Spanned<Node>> = serde_saphyr::from_multiple_with_options(text, options)?;
    Ok(nodes.into_iter().map(document).collect())
}

fn document(node: Spanned<Node>) -> Document {
    let mut lines = BTreeMap::new();
    let value = flatten(node, &mut String::new(), &mut lines);
    Document { value, lines }
}

/// Takes the places out of a tree and writes them down by pointer.
fn flatten(node: Spanned<Node>, pointer: &mut String, lines: &mut BTreeMap<String, u64>) -> Value {
    // A key has said the line of its value already; a list or the document itself has not.
    lines.entry(pointer.clone()).or_insert_with(|| node.referenced.line());
    let length = pointer.len();
    let mut inside = |step: &str, child: Spanned<Node>, line: u64| {
        pointer.push('/');
        pointer.push_str(&step.replace('~', "~0").replace('/', "~1"));
        lines.insert(pointer.clone(), line);
        let value = flatten(child, pointer, lines);
        pointer.truncate(length);
        value
    };
    match node.value {
        Node::Scalar(value) => value,
        Node::List(items) => {
            let value = |(index, item): (usize, Spanned<Node>)| {
                let line = item.referenced.line();
                inside(&index.to_string(), item, line)
            };
            Value::Array(items.into_iter().enumerate().map(value).collect())
        }
        Node::Map(entries) => {
            let entry = |(key, child): (Spanned<String>, Spanned<Node>)| {
                let value = inside(&key.value, child, key.referenced.line());
                (key.value, value)
            };
            Value::Object(entries.into_iter().map(entry).collect::<Map<_, _>>())
        }
    }
}

/// A value whose parts know their places.
enum Node {
    Scalar(Value),
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number must be finite"))?;
        Ok(Node::Scalar(Value::Number(number)))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_none<E: de::Error>(self) -> Result<Node, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Node::Map(map))
    }
}
