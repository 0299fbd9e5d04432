//! The values of a text in the order in which they stand there, which is the order in which SOPS counts them.
//!
//! Only for texts that [`document`](crate::gitops::document) has read before: their size and depth have bounds.

use granit_parser::{Event, Parser, ScalarStyle, StrInput, Tag};

use crate::gitops::{
    document::Unreadable,
    scalar::{self, Scalar},
};

/// Where a value is.
#[derive(Default)]
pub struct Path {
    /// The number of its document, of those that are not empty.
    pub document: usize,
    /// The keys and indices that lead to it.
    pub steps: Vec<String>,
    /// The keys alone, as SOPS reads them.
    pub keys: Vec<String>,
}

impl Path {
    /// The path as SOPS binds values to it.
    pub fn bound(&self) -> String {
        bound(&self.keys)
    }
}

/// Keys as SOPS binds values to them.
pub fn bound(keys: &[String]) -> String {
    keys.iter().fold(String::new(), |path, key| path + key + ":")
}

/// A value that is no list and no map.
pub struct Leaf<'a> {
    /// As it stands there.
    pub text: &'a str,
    /// How it stands there.
    pub style: ScalarStyle,
    /// What it is said to be.
    pub tag: Option<&'a Tag>,
    /// Its line, from one.
    pub line: u64,
}

/// What is done with each value.
pub type Visit<'v> = dyn FnMut(&Path, &Leaf<'_>) -> Result<(), Unreadable> + 'v;

/// Visits the values of all documents.
///
/// # Errors
/// Something of it is not possible in a file that SOPS encrypted, or the visit failed.
pub fn walk(text: &str, visit: &mut Visit<'_>) -> Result<(), Unreadable> {
    let options = granit_parser::options! { emit_comments: false };
    let mut walker = Walker { events: Parser::new_from_str_with_options(text, options), path: Path::default(), visit };
    while let Some((event, line)) = walker.next()? {
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd => {}
            node if is_empty(&node) => {}
            node => {
                walker.node(node, line)?;
                walker.path.document += 1;
            }
        }
    }
    Ok(())
}

/// Whether a document of this alone is left out.
fn is_empty(event: &Event<'_>) -> bool {
    let Event::Scalar(text, style, _, tag) = event else { return false };
    scalar::read(text, *style, tag.as_deref()) == Ok(Scalar::Null)
}

struct Walker<'t, 'v, 'w> {
    events: Parser<'t, StrInput<'t>>,
    path: Path,
    visit: &'w mut Visit<'v>,
}

impl<'t> Walker<'t, '_, '_> {
    fn next(&mut self) -> Result<Option<(Event<'t>, u64)>, Unreadable> {
        match self.events.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => Ok(Some((event, span.start.line() as u64))),
            Some(Err(error)) => Err(refused(error.marker().line() as u64, "the text cannot be read")),
        }
    }

    fn inside(&mut self) -> Result<Option<(Event<'t>, u64)>, Unreadable> {
        Ok(self.next()?.filter(|(event, _)| !matches!(event, Event::SequenceEnd | Event::MappingEnd)))
    }

    fn node(&mut self, event: Event<'t>, line: u64) -> Result<(), Unreadable> {
        match event {
            Event::Scalar(text, style, _, tag) => {
                (self.visit)(&self.path, &Leaf { text: &text, style, tag: tag.as_deref(), line })
            }
            Event::SequenceStart(..) => {
                let mut index = 0_usize;
                while let Some((event, line)) = self.inside()? {
                    self.path.steps.push(index.to_string());
                    self.node(event, line)?;
                    self.path.steps.pop();
                    index += 1;
                }
                Ok(())
            }
            Event::MappingStart(..) => self.map(),
            _ => Err(refused(line, "an alias is not possible in a file that SOPS encrypted: write what it stands for")),
        }
    }

    fn map(&mut self) -> Result<(), Unreadable> {
        while let Some((event, line)) = self.inside()? {
            let no_key = || refused(line, "a key of a file that SOPS encrypted is a text");
            let Event::Scalar(text, style, _, tag) = &event else { return Err(no_key()) };
            let scalar = scalar::read(text, *style, tag.as_deref()).map_err(|_| no_key())?;
            if scalar == Scalar::Merge {
                return Err(refused(line, "`<<` is not possible in a file that SOPS encrypted: write the values out"));
            }
            self.path.steps.push(scalar.into_key().ok_or_else(no_key)?);
            self.path.keys.push(text.to_string());
            if let Some((event, line)) = self.inside()? {
                self.node(event, line)?;
            }
            self.path.steps.pop();
            self.path.keys.pop();
        }
        Ok(())
    }
}

fn refused(line: u64, message: &str) -> Unreadable {
    Unreadable { line, message: message.to_owned() }
}
