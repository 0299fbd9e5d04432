//! Lines of text in colours, as values: spans, trees, bars. Pure.

use anstyle::Style;
use unicode_width::UnicodeWidthChar;

use crate::cli::terminal::{FAINT, Ink, clean, lines as joined};

/// The cells of a progress bar.
const BAR: i32 = 24;

/// One line, as texts with their styles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line(Vec<(Style, String)>);

impl Line {
    /// A line that starts with this.
    pub fn new(text: impl Into<String>) -> Self {
        Self::default().then(Style::new(), text)
    }

    /// The line and more of it. The text is cleaned here, once and for all.
    #[must_use]
    pub fn then(mut self, style: Style, text: impl Into<String>) -> Self {
        self.0.push((style, clean(&text.into()).into_owned()));
        self
    }

    /// The line behind something else.
    fn behind(self, prefix: (Style, String)) -> Self {
        Self(std::iter::once(prefix).chain(self.0).collect())
    }

    /// The line in so many columns; what does not fit is cut.
    pub fn render(&self, ink: Ink, columns: usize) -> String {
        let whole: usize = self.0.iter().map(|(_, text)| width(text)).sum();
        let mut room = if whole > columns { columns.saturating_sub(1) } else { columns };
        let mut rendered = String::new();
        for (style, text) in &self.0 {
            let kept = cut(text, &mut room);
            if !kept.is_empty() {
                rendered.push_str(&ink.paint(*style, kept));
            }
        }
        if whole > columns { format!("{rendered}…") } else { rendered.trim_end().to_owned() }
    }
}

fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// The start of a text that fits into the room, which becomes smaller by it.
fn cut<'a>(text: &'a str, room: &mut usize) -> &'a str {
    for (at, c) in text.char_indices() {
        let needed = c.width().unwrap_or(0);
        if needed > *room {
            *room = 0;
            return &text[..at];
        }
        *room -= needed;
    }
    text
}

/// A line and what is below it.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// The line.
    pub line: Line,
    /// What is below it.
    pub inside: Vec<Node>,
}

impl Node {
    /// A line with nothing below it.
    pub fn leaf(line: Line) -> Self {
        Self { line, inside: Vec::new() }
    }

    /// The tree as lines.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = vec![self.line.clone()];
        for (index, node) in self.inside.iter().enumerate() {
            let (own, below) = if index + 1 == self.inside.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            for (index, line) in node.lines().into_iter().enumerate() {
                let prefix = if index == 0 { own } else { below };
                lines.push(line.behind((FAINT, prefix.to_owned())));
            }
        }
        lines
    }
}

/// A progress bar.
pub fn bar(percentage: i32) -> String {
    let full = usize::try_from(percentage.clamp(0, 100) * BAR / 100).unwrap_or_default();
    let cells = usize::try_from(BAR).unwrap_or_default();
    format!("{}{}", "█".repeat(full), "░".repeat(cells - full))
}

/// What replaces a picture of so many lines by another one on a terminal.
pub fn frame(before: usize, lines: &[String]) -> String {
    let up = if before > 0 { format!("\u{1b}[{before}A") } else { String::new() };
    format!("{up}\r\u{1b}[J{}", joined(lines.iter().cloned()))
}

/// As many lines as a terminal shows; the last one says how many are left out.
pub fn fit(mut lines: Vec<Line>, rows: usize) -> Vec<Line> {
    // The cursor stands on a line of its own below the picture.
    let room = rows.saturating_sub(1).max(1);
    if lines.len() > room {
        let hidden = lines.len() - room + 1;
        lines.truncate(room - 1);
        lines.push(Line::default().then(FAINT, format!("… and {hidden} more lines")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::terminal::GOOD;

    #[test]
    fn a_bar_is_as_full_as_the_share_and_never_longer() {
        assert_eq!(bar(0), "░".repeat(24));
        assert_eq!(bar(50), format!("{}{}", "█".repeat(12), "░".repeat(12)));
        assert_eq!(bar(99), format!("{}░", "█".repeat(23)));
        assert_eq!((bar(100), bar(900), bar(-3)), ("█".repeat(24), "█".repeat(24), "░".repeat(24)));
    }

    #[test]
    fn a_line_is_cut_where_the_terminal_ends_and_colours_do_not_count() {
        let line = Line::new("wide 漢字 ").then(GOOD, "green");
        assert_eq!(line.render(Ink::Plain, 80), "wide 漢字 green");
        assert_eq!(line.render(Ink::Plain, 15), "wide 漢字 green");
        assert_eq!(line.render(Ink::Plain, 12), "wide 漢字 g…");
        assert_eq!(line.render(Ink::Plain, 7), "wide …");
        assert_eq!(line.render(Ink::Colour, 12), "wide 漢字 \u{1b}[32mg\u{1b}[0m…");
    }

    #[test]
    fn a_hostile_name_stays_on_its_line() {
        assert_eq!(Line::new("a\n\u{1b}[2Jb").render(Ink::Plain, 80), "a \\u001b[2Jb");
    }

    #[test]
    fn a_tree_has_branches() {
        let leaf = |text: &str| Node::leaf(Line::new(text));
        let inner = Node { line: Line::new("b"), inside: vec![leaf("c"), leaf("d")] };
        let tree = Node { line: Line::new("a"), inside: vec![inner, leaf("e")] };
        let text: Vec<_> = tree.lines().iter().map(|line| line.render(Ink::Plain, 80)).collect();
        assert_eq!(text, ["a", "├─ b", "│  ├─ c", "│  └─ d", "└─ e"]);
    }

    #[test]
    fn a_frame_goes_back_over_the_last_one_and_fits_the_terminal() {
        let lines = ["a".to_owned(), "b".to_owned()];
        assert_eq!(frame(0, &lines), "\r\u{1b}[Ja\nb\n");
        assert_eq!(frame(3, &lines), "\u{1b}[3A\r\u{1b}[Ja\nb\n");
        let many: Vec<_> = (0..10).map(|number| Line::new(number.to_string())).collect();
        let fitted: Vec<_> = fit(many.clone(), 5).iter().map(|line| line.render(Ink::Plain, 80)).collect();
        assert_eq!(fitted, ["0", "1", "2", "… and 7 more lines"]);
        assert_eq!(fit(many, 11).len(), 10);
    }
}
