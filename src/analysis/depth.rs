//! How deep an expression is, judged on its text before it is parsed.
//!
//! The parser calls itself for every bracket and every operator of a chain, and a stack that overflows ends the process,
//! which no timeout and no handler of panics can prevent. So the text is scanned first. Where the parser would recover
//! from an error and go on, the scan refuses: both have to see the same brackets.

use std::{iter::Peekable, str::Chars};

use super::expression::{ExpressionError, World};

/// What one bracket weighs, in operators of a chain.
const BRACKET: u32 = 5;
/// The most that may stand in each other. Half again as much overflows 2 MB of stack in a build without optimisation.
const MAX: u32 = 40;

/// Refuses a text that is too deep, or that is not made of balanced brackets and whole strings.
///
/// # Errors
/// [`ExpressionError::Nested`] or [`ExpressionError::Malformed`].
pub fn check(text: &str, world: &'static World) -> Result<(), ExpressionError> {
    let malformed = || ExpressionError::Malformed(text.to_owned(), world);
    let mut scan = Scan { levels: vec![Level { closing: None, chain: 0 }], word: String::new() };
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        scan.take(c, &mut rest).ok_or_else(malformed)?;
        if scan.weight() > MAX {
            return Err(ExpressionError::Nested);
        }
    }
    if scan.levels.len() == 1 { Ok(()) } else { Err(malformed()) }
}

struct Scan {
    levels: Vec<Level>,
    /// The letters and digits that were just read.
    word: String,
}

/// Between a bracket and its end.
struct Level {
    closing: Option<char>,
    /// The operators since the last `&&`, `||` or comma, which do not nest in each other.
    chain: u32,
}

impl Scan {
    fn weight(&self) -> u32 {
        self.levels.iter().map(|level| level.chain + level.closing.map_or(0, |_| BRACKET)).sum()
    }

    /// None where the text is broken.
    fn take(&mut self, c: char, rest: &mut Peekable<Chars<'_>>) -> Option<()> {
        if c.is_ascii_alphanumeric() || c == '_' {
            self.word.push(c);
            return Some(());
        }
        let word = std::mem::take(&mut self.word);
        let level = self.levels.last_mut()?;
        if word == "in" {
            level.chain += 1;
        }
        match c {
            '(' | '[' | '{' => {
                let closing = match c {
                    '(' => ')',
                    '[' => ']',
                    _ => '}',
                };
                level.chain += 1;
                self.levels.push(Level { closing: Some(closing), chain: 0 });
            }
            ')' | ']' | '}' => {
                (level.closing == Some(c)).then_some(())?;
                self.levels.pop();
            }
            ',' | '&' | '|' => level.chain = 0,
            '.' | '+' | '*' | '/' | '%' | '<' | '>' | '=' | '?' | ':' | '!' | '-' => level.chain += 1,
            '\'' | '"' => string(c, &word, rest)?,
            ' ' | '\t' | '\r' | '\n' => {}
            _ => return None,
        }
        Some(())
    }
}

/// Reads a string to its end. Prefixes but `r`, triple quotes and rare escapes are refused: nobody needs them here, and
/// each would have to be read exactly as the parser does.
fn string(quote: char, prefix: &str, rest: &mut Peekable<Chars<'_>>) -> Option<()> {
    let is_raw = matches!(prefix, "r" | "R");
    (is_raw || prefix.is_empty()).then_some(())?;
    let mut is_empty = true;
    loop {
        match rest.next()? {
            '\n' | '\r' => return None,
            '\\' if !is_raw => {
                rest.next().filter(|escaped| matches!(escaped, '\\' | '\'' | '"' | 'n' | 'r' | 't'))?;
            }
            c if c == quote => return (!is_empty || rest.peek() != Some(&quote)).then_some(()),
            _ => {}
        }
        is_empty = false;
    }
}
