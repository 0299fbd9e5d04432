//! Commands: durable wishes of a person about a run, one annotation each.
//!
//! The value of the annotation names the run or the revision that is meant, so a command that arrives late is answered
//! and not carried out.

use super::schema::status_enum;

/// What the name of a command's annotation starts with.
pub const COMMAND_PREFIX: &str = "command.landfall.dev/";

/// The annotation that names who gave the last command; the admission policy sees to it that it is true.
pub const ACTOR_ANNOTATION: &str = "command.landfall.dev/actor";

status_enum! {
    /// What a person can ask of a run. The order is that in which commands that stand side by side are carried out.
    Verb {
        /// Everything back to the stable revision; the candidate is rejected.
        Abort,
        /// All revisions to no instances.
        Stop,
        /// End a run whose traffic has not moved.
        Cancel,
        /// Hold the run.
        Pause,
        /// Release the hold.
        Resume,
        /// Pass the gate that waits.
        Promote,
        /// End the current step.
        Skip,
        /// A new run to a kept revision.
        Rollback,
        /// A new attempt of a failed or rejected revision.
        Retry,
        /// Replace the stable instances, without a new revision.
        Restart,
    }
}

impl Verb {
    /// The word in annotations, permissions and on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Abort => "abort",
            Self::Stop => "stop",
            Self::Cancel => "cancel",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Promote => "promote",
            Self::Skip => "skip",
            Self::Rollback => "rollback",
            Self::Retry => "retry",
            Self::Restart => "restart",
            Self::Unknown => "unknown",
        }
    }

    /// The verb of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|verb| verb.word() == word)
    }

    /// The annotation that carries the command.
    pub fn annotation(self) -> String {
        format!("{COMMAND_PREFIX}{}", self.word())
    }

    /// The verb of an annotation.
    pub fn from_annotation(name: &str) -> Option<Self> {
        name.strip_prefix(COMMAND_PREFIX).and_then(Self::from_word)
    }
}

status_enum! {
    /// What became of a command.
    CommandResult {
        /// It was carried out.
        Done,
        /// It is being carried out.
        Accepted,
        /// It names another run or revision than the one that is there.
        Stale,
        /// It does not fit the phase; the message names the command that does.
        Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_a_word_and_an_annotation_of_its_own() {
        for verb in Verb::ALL {
            assert_eq!(Verb::from_word(verb.word()), Some(*verb));
            assert_eq!(Verb::from_annotation(&verb.annotation()), Some(*verb));
            assert_eq!(verb.word(), verb.as_str().to_lowercase());
        }
        assert_eq!(Verb::from_annotation(ACTOR_ANNOTATION), None);
        assert_eq!(Verb::from_word("unknown"), None);
    }

    #[test]
    fn abort_comes_before_all_others_and_pause_before_what_moves_on() {
        let first: Vec<_> = Verb::ALL.iter().take(4).map(|verb| verb.word()).collect();
        assert_eq!(first, ["abort", "stop", "cancel", "pause"]);
    }
}
