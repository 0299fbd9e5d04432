//! Tables as kubectl prints them: columns of equal width, no lines.

use comfy_table::{Table, presets};

use super::terminal::{clean, lines};

/// A table as text. Every cell is cleaned; an empty one is shown as such, so that columns can be counted.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.to_vec());
    for row in rows {
        table.add_row(row.iter().map(|cell| filled(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    lines(table.lines().map(|line| line.trim_end().to_owned()))
}

fn filled(cell: &str) -> String {
    if cell.trim().is_empty() { "-".to_owned() } else { clean(cell).into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_longest_cell_and_cells_stay_on_their_line() {
        let rows = [vec!["a".to_owned(), "1\n2".to_owned()], vec!["wünscht".to_owned(), String::new()]];
        let text = table(&["NAME", "WEIGHT"], rows);
        assert_eq!(text, "NAME      WEIGHT\na         1 2\nwünscht   -\n");
    }
}
