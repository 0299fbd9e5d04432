//! What is wrong with a file or an object of a commit.

use super::words::cut;
use crate::api::source::SyncFailure;

/// The most bytes of a message in a status.
const MESSAGE_MAX: usize = 1024;
/// The most bytes of an object's name in a status.
const OBJECT_MAX: usize = 512;

/// Why a file or an object is refused. It never quotes what a manifest contains but kind, namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, from the root of what was read.
    pub file: String,
    /// The line in it, from one; 0 where it is not known.
    pub line: u64,
    /// The object, as `Kind namespace/name`; none where no object could be read.
    pub object: Option<String>,
    /// Why, as one word for programs.
    pub reason: &'static str,
    /// Why, as a sentence with the remedy.
    pub message: String,
}

impl Problem {
    /// A problem of a file.
    pub fn new(file: &str, line: u64, reason: &'static str, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, object: None, reason, message: message.into() }
    }

    /// The problem as one of this object.
    #[must_use]
    pub fn of(mut self, object: &impl ToString) -> Self {
        self.object = Some(object.to_string());
        self
    }
}

impl From<Problem> for SyncFailure {
    fn from(problem: Problem) -> Self {
        let Problem { file, line, object, reason, message } = problem;
        Self {
            object: object.map(|object| cut(&object, OBJECT_MAX)),
            file: Some(cut(&file, MESSAGE_MAX)),
            line: i64::try_from(line).ok().filter(|line| *line > 0),
            reason: reason.to_owned(),
            message: cut(&message, MESSAGE_MAX),
        }
    }
}
