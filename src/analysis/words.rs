//! Texts of others as they are shown to people: one line, bounded.

/// The longest value or sentence of a check, in characters.
pub const SHOWN_MAX: usize = 200;

/// A text on one line of at most `max` characters; what is missing is marked by `…`. Characters that do not print, or
/// that would turn the direction of what follows, become spaces.
pub fn cut(text: &str, max: usize) -> String {
    let mut shown: String = text.chars().map(printed).take(max).collect();
    if text.chars().nth(max).is_some() {
        shown.pop();
        shown.push('…');
    }
    shown
}

fn printed(c: char) -> char {
    let turns = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    if c.is_control() || turns { ' ' } else { c }
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_text_is_shown_on_one_line_and_cut() {
        assert_eq!(cut("a\nb\u{7}c\u{202e}d", 10), "a b c d");
        assert_eq!(cut("äöüß", 4), "äöüß");
        assert_eq!(cut("äöüßx", 4), "äöü…");
        assert_eq!(cut("", 4), "");
    }
}
