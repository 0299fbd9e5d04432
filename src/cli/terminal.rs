//! What reaches the terminal: text without control characters, colours where they are wanted, and one way to print.
//!
//! Names and messages come from a cluster, where anybody may have written them. Everything printed goes through [`clean`]
//! or [`clean_block`], or an escape sequence in a message could rewrite the screen of whoever reads it.

use std::{
    borrow::Cow,
    io::{self, ErrorKind, IsTerminal, Write},
};

use anstyle::{AnsiColor, Style};

use crate::api::deployment_status::Phase;

/// Whether what is printed has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// Text alone.
    Plain,
    /// With escape sequences for colours.
    Colour,
}

impl Ink {
    /// Colours on a terminal that can show them, unless `NO_COLOR` is set.
    pub fn of_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if is_live() && !refused { Self::Colour } else { Self::Plain }
    }

    /// A text in a style. The text is cleaned.
    pub fn paint(self, style: Style, text: &str) -> String {
        let text = clean(text);
        match self {
            Self::Plain => text.into_owned(),
            Self::Colour => format!("{style}{text}{style:#}"),
        }
    }
}

/// What is well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What is under way, or waits.
pub const BUSY: Style = AnsiColor::Yellow.on_default();
/// What is wrong.
pub const BAD: Style = AnsiColor::Red.on_default();
/// What is said beside the matter.
pub const FAINT: Style = Style::new().dimmed();
/// What is named.
pub const STRONG: Style = Style::new().bold();

/// The style of a phase.
pub fn style_of(phase: Phase) -> Style {
    match phase {
        Phase::Succeeded => GOOD,
        Phase::Failed | Phase::RolledBack | Phase::RollingBack => BAD,
        Phase::Cancelled | Phase::Stopped => FAINT,
        _ => BUSY,
    }
}

/// Whether standard output is a terminal that can be drawn on.
pub fn is_live() -> bool {
    io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|value| value != "dumb")
}

/// The columns and lines of the terminal; a common size where it does not say.
pub fn size() -> (usize, usize) {
    terminal_size::terminal_size().map_or((80, 24), |(width, height)| (usize::from(width.0), usize::from(height.0)))
}

/// A text that stays on its line and in its colours: line breaks become blanks, and every other control character is
/// written out, also those that turn the direction of writing.
pub fn clean(text: &str) -> Cow<'_, str> {
    replace(text, |c| if c.is_whitespace() { Some(' ') } else { None })
}

/// As [`clean`] for a text of several lines.
pub fn clean_block(text: &str) -> Cow<'_, str> {
    replace(text, |c| matches!(c, '\n').then_some(c))
}

fn replace(text: &str, keep_as: impl Fn(char) -> Option<char>) -> Cow<'_, str> {
    if !text.chars().any(is_control) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match (is_control(c), keep_as(c)) {
            (false, _) => clean.push(c),
            (true, Some(instead)) => clean.push(instead),
            // The form of JSON, so that a document stays one.
            (true, None) => clean.extend([format!("\\u{:04x}", u32::from(c))]),
        }
    }
    Cow::Owned(clean)
}

/// Characters that move the cursor, start a sequence, end a line, or turn the direction of writing.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Lines as one text.
pub fn lines(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().fold(String::new(), |text, line| text + &line + "\n")
}

/// Prints a text as it is on standard output.
///
/// # Errors
/// It cannot be written; see [`is_hang_up`].
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Prints one line, cleaned.
///
/// # Errors
/// As [`print`].
pub fn say(line: &str) -> anyhow::Result<()> {
    print(&format!("{}\n", clean(line)))
}

/// Prints one line, cleaned, on standard error: what is said beside the answer.
#[expect(clippy::print_stderr, reason = "the command line's words to the person who typed it")]
pub fn note(line: &str) {
    eprintln!("{}", clean(line));
}

/// Whether a command ended because nobody reads on, as in `landfall get | head -1`.
pub fn is_hang_up(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_comes_through() {
        let hostile = "a\u{1b}[2Jb\r\nc\u{9b}31md\u{7}e\u{202e}f\u{2028}g\th\u{0}";
        assert_eq!(clean(hostile), "a\\u001b[2Jb  c\\u009b31md\\u0007e\\u202ef g h\\u0000");
        assert_eq!(clean_block("a\nb\r\u{1b}[0m"), "a\nb\\u000d\\u001b[0m");
        assert!(matches!(clean("shop wünscht 1 → 2 ✓"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_painted_text_is_clean_and_plain_ink_adds_nothing() {
        assert_eq!(Ink::Plain.paint(BAD, "a\u{1b}[0m"), "a\\u001b[0m");
        assert_eq!(Ink::Colour.paint(BAD, "a\u{1b}"), "\u{1b}[31ma\\u001b\u{1b}[0m");
    }
}
