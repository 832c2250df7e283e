//! Prints for people and programs: aligned tables, lines and JSON.

use std::io::{self, IsTerminal as _, Write};

use serde::Serialize;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Spaces between the columns of a table.
const GAP: usize = 2;
/// The least characters of a column that is cut first.
const CUT_CELL_CHARS_MIN: usize = 16;
/// The least characters of any other column, however narrow the terminal is.
const CELL_CHARS_MIN: usize = 8;

/// Writes a line to standard output.
///
/// # Errors
/// If it cannot be written. `main` ends without an error message if the pipe was closed.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.write_all(b"\n")?;
    output.flush()
}

/// Writes a line to standard error, for people. Errors are ignored.
pub(crate) fn note(text: &str) {
    drop(writeln!(io::stderr(), "{text}"));
}

/// Writes one JSON document in one line.
///
/// # Errors
/// As [`line()`].
pub(crate) fn json<T: Serialize>(value: &T) -> io::Result<()> {
    line(&serde_json::to_string(value)?)
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column<'h> {
    heading: &'h str,
    /// Whether its cells are cut first if a row is wider than the terminal.
    is_cut_first: bool,
}

impl<'h> Column<'h> {
    /// A column whose cells are shown whole, if possible.
    pub(crate) const fn whole(heading: &'h str) -> Self {
        Self { heading, is_cut_first: false }
    }

    /// A column whose cells are cut if the terminal is narrow.
    pub(crate) const fn cut(heading: &'h str) -> Self {
        Self { heading, is_cut_first: true }
    }
}

/// The width of the terminal, if standard output is one: `COLUMNS` if that is set, otherwise what the system reports.
pub(crate) fn terminal_columns() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let named = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let measured = || terminal_size::terminal_size().map(|(terminal_size::Width(columns), _)| columns.into());
    Some(named.or_else(measured).filter(|columns| *columns > 0).unwrap_or(80))
}

/// Writes a table with these headings, each column as wide as its widest cell; only the line `none` if there are no
/// rows.
///
/// # Errors
/// As [`line()`].
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>], none: &str) -> io::Result<()> {
    if rows.is_empty() {
        return line(none);
    }
    let columns: Vec<Column<'_>> = headings.iter().copied().map(Column::whole).collect();
    line(render(&columns, rows, terminal_columns()).trim_end_matches('\n'))
}

/// Writes a list that may be long: on a terminal as a table, otherwise with tabs between cells, for programs.
///
/// # Errors
/// As [`line()`].
pub(crate) fn list(headings: &[&str], rows: &[Vec<String>], none: &str) -> io::Result<()> {
    let whole: Vec<Column<'_>> = headings.iter().copied().map(Column::whole).collect();
    columns(&whole, rows, none)
}

/// As [`list`], but the columns say which of them are cut on a narrow terminal.
///
/// # Errors
/// As [`line()`].
pub(crate) fn columns(columns: &[Column<'_>], rows: &[Vec<String>], none: &str) -> io::Result<()> {
    if rows.is_empty() {
        return line(none);
    }
    let text = match terminal_columns() {
        Some(terminal_columns) => render(columns, rows, Some(terminal_columns)),
        None => render_tabs(columns, rows),
    };
    line(text.trim_end_matches('\n'))
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

fn lines_of(columns: &[Column<'_>], rows: &[Vec<String>]) -> Vec<Vec<String>> {
    let headings = columns.iter().map(|column| column.heading.to_owned()).collect();
    let rows = rows.iter().map(|row| row.iter().map(|cell| plain(cell)).collect());
    std::iter::once(headings).chain(rows).collect()
}

/// Nothing is cut or padded. No cell has a tab or a line end: [`plain`] replaces them.
fn render_tabs(columns: &[Column<'_>], rows: &[Vec<String>]) -> String {
    lines_of(columns, rows).iter().map(|cells| cells.join("\t") + "\n").collect()
}

fn render(columns: &[Column<'_>], rows: &[Vec<String>], terminal_columns: Option<usize>) -> String {
    let lines = lines_of(columns, rows);
    let width_of = |column: usize| lines.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max();
    let mut widths: Vec<usize> = (0..columns.len()).map(|column| width_of(column).unwrap_or(0)).collect();
    if let Some(terminal_columns) = terminal_columns {
        narrow(&mut widths, columns, terminal_columns);
    }
    let mut text = String::new();
    for row in &lines {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| fit(cell, *width)).collect();
        text.push_str(cells.join(&" ".repeat(GAP)).trim_end());
        text.push('\n');
    }
    text
}

/// Makes columns narrower until a row fits: first those that are cut first, then the widest.
fn narrow(widths: &mut [usize], columns: &[Column<'_>], terminal_columns: usize) {
    let gaps = GAP * widths.len().saturating_sub(1);
    let excess = |widths: &[usize]| (widths.iter().sum::<usize>() + gaps).saturating_sub(terminal_columns);
    for (index, _) in columns.iter().enumerate().filter(|(_, column)| column.is_cut_first) {
        let least = widths[index].min(CUT_CELL_CHARS_MIN);
        widths[index] = widths[index].saturating_sub(excess(widths)).max(least);
    }
    while excess(widths) > 0 {
        let Some(widest) = widths.iter_mut().max().filter(|widest| **widest > CELL_CHARS_MIN) else { break };
        *widest -= 1;
    }
}

/// A cell of this width: cut, or padded with spaces.
fn fit(cell: &str, wanted: usize) -> String {
    let own = width(cell);
    if own <= wanted {
        return format!("{cell}{}", " ".repeat(wanted - own));
    }
    let mut fitted = String::new();
    let mut left = wanted.saturating_sub(1);
    for letter in cell.chars() {
        let Some(rest) = left.checked_sub(letter.width().unwrap_or(0)) else { break };
        left = rest;
        fitted.push(letter);
    }
    fitted.push('…');
    fitted.push_str(&" ".repeat(left));
    fitted
}

/// The columns of a terminal that a string takes: letters of some scripts take two, combining marks none.
fn width(text: &str) -> usize {
    text.width()
}

/// `1 click`, `1,234 clicks`: a count with its noun, which is given in the singular.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(count))
}

/// A number with a comma after every three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The string with its control characters replaced: a terminal would interpret them.
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
        let columns = ["SLUG", "DESTINATION", "V"].map(Column::whole);
        assert_eq!(render(&columns, &rows, None), expect);
        let expect = "SLUG\tDESTINATION\tV\ngröße\thttps://example.com/\t1\na\tevil\u{fffd}[2J\t\n";
        assert_eq!(render_tabs(&columns, &rows), expect);
    }

    #[test]
    fn counts_agree_with_their_nouns() {
        for (number, expect) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), expect);
        }
        assert_eq!(
            [0, 1, 2, 1_000].map(|count| counted(count, "link")),
            ["0 links", "1 link", "2 links", "1,000 links"]
        );
    }

    #[test]
    fn tables_keep_to_the_width_of_the_terminal() {
        let rows = vec![
            vec![
                "https://go.example/spring".to_owned(),
                format!("https://example.com/{}", "x".repeat(200)),
                "12".to_owned(),
            ],
            vec!["https://go.example/東京観光".to_owned(), "https://example.com/".to_owned(), "1".to_owned()],
        ];
        let columns = [Column::whole("SHORT URL"), Column::cut("DESTINATION"), Column::whole("VERSION")];
        for terminal_columns in [200, 120, 80, 60, 40, 30] {
            let text = render(&columns, &rows, Some(terminal_columns));
            for line in text.lines() {
                assert!(width(line) <= terminal_columns, "{terminal_columns}: {text}");
            }
            // The short URL is there to be taken as it is.
            assert_eq!(
                text.contains("https://go.example/東京観光  http"),
                terminal_columns >= 60,
                "{terminal_columns}: {text}"
            );
        }
        let expect = "SHORT URL                    DESTINATION            VERSION\n\
            https://go.example/spring    https://example.com/x…  12\n\
            https://go.example/東京観光  https://example.com/   1\n";
        assert_eq!(
            render(&columns, &rows, Some(60)),
            expect
                .replace("DESTINATION            VERSION", "DESTINATION             VERSION")
                .replace("com/   1", "com/    1")
        );
    }
}
