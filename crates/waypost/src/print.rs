//! Printing for people and machines: aligned tables, JSON, and the end of a pipe taken for what it is.

use std::io::{self, IsTerminal as _, Write};

use serde_json::Value;

/// Columns of a table keep this many blanks between them.
const GAP: usize = 2;
/// Cells of the widest column are cut at this many characters on a terminal.
const TERMINAL_CELL_CHARS_MAX: usize = 60;

/// Writes a line to standard output.
///
/// # Errors
/// Where it cannot be written; `main` takes a closed pipe for a wish to stop.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.write_all(b"\n")?;
    output.flush()
}

/// Writes a line to standard error, for people. Where nobody takes it nothing is lost.
pub(crate) fn note(text: &str) {
    drop(writeln!(io::stderr(), "{text}"));
}

/// Writes one JSON document in one line.
///
/// # Errors
/// As [`line()`].
pub(crate) fn json(value: &Value) -> io::Result<()> {
    line(&value.to_string())
}

/// Writes a table with these headings, each column as wide as its widest cell; nothing but `none` where it is empty.
///
/// # Errors
/// As [`line()`].
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>], none: &str) -> io::Result<()> {
    if rows.is_empty() {
        return line(none);
    }
    let cell_chars_max = if io::stdout().is_terminal() { TERMINAL_CELL_CHARS_MAX } else { usize::MAX };
    line(render(headings, rows, cell_chars_max).trim_end_matches('\n'))
}

/// Writes names and values, one pair a line; pairs without a value are left out.
///
/// # Errors
/// As [`line()`].
pub(crate) fn pairs(pairs: &[(&str, Option<String>)]) -> io::Result<()> {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + GAP;
    let text: Vec<String> =
        pairs.iter().filter_map(|(name, value)| Some(format!("{name:width$}{}", plain(value.as_ref()?)))).collect();
    line(&text.join("\n"))
}

fn render(headings: &[&str], rows: &[Vec<String>], cell_chars_max: usize) -> String {
    let cut = |cell: &str| match cell.char_indices().nth(cell_chars_max) {
        None => plain(cell),
        Some(_) => plain(cell).chars().take(cell_chars_max - 1).chain(['…']).collect(),
    };
    let mut lines: Vec<Vec<String>> = vec![headings.iter().map(|heading| (*heading).to_owned()).collect()];
    lines.extend(rows.iter().map(|row| row.iter().map(|cell| cut(cell)).collect()));
    let width_of =
        |column: usize| lines.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..headings.len()).map(|column| width_of(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &lines {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect::<Vec<_>>();
        text.push_str(cells.join(&" ".repeat(GAP)).trim_end());
        text.push('\n');
    }
    text
}

/// The text without control characters, which could say anything to a terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned_and_harmless() {
        let rows = vec![
            vec!["größe".to_owned(), "https://example.com/".to_owned(), "1".to_owned()],
            vec!["a".to_owned(), "evil\u{1b}[2J".to_owned(), String::new()],
        ];
        let expect = "SLUG   DESTINATION           V\ngröße  https://example.com/  1\na      evil\u{fffd}[2J\n";
        assert_eq!(render(&["SLUG", "DESTINATION", "V"], &rows, usize::MAX), expect);
        let cut = "SLUG  DESTINATION  V\ngröße  https…       1\na      evil\u{fffd}…\n";
        assert_eq!(render(&["SLUG", "DESTINATION", "V"], &rows, 6).lines().count(), cut.lines().count());
    }
}
