//! Comma-separated values as spreadsheets read them (RFC 4180), without cells that a spreadsheet would run as a
//! formula.
//!
//! A cell that begins with `=`, `+`, `-`, `@`, a tab, a line break or NUL gets a single quote before it, and so does
//! one that begins with single quotes before such a character, so that removing one quote always gives the original
//! text. Numbers that this program writes are not text and stay as they are.

use csv::{Terminator, Writer, WriterBuilder};

const GROWS: &str = "a growing buffer takes everything";

/// Lines of cells, growing.
#[derive(Debug)]
pub(crate) struct CsvText {
    writer: Writer<Vec<u8>>,
}

impl CsvText {
    /// An empty text.
    pub(crate) fn new() -> Self {
        let writer = WriterBuilder::new().terminator(Terminator::CRLF).flexible(true).from_writer(Vec::new());
        Self { writer }
    }

    /// Adds a cell that came from outside.
    pub(crate) fn text(&mut self, cell: &str) -> &mut Self {
        // NUL is in no text that came through the API, and no reader of CSV agrees with another on it.
        if is_formula(cell) { self.write(&format!("'{cell}")) } else { self.write(cell) }
    }

    /// Adds a count.
    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        self.write(&number.to_string())
    }

    /// Adds a count, or an empty cell.
    pub(crate) fn optional_number(&mut self, number: Option<u64>) -> &mut Self {
        match number {
            Some(number) => self.number(number),
            None => self.text(""),
        }
    }

    /// Ends the line.
    pub(crate) fn end_line(&mut self) {
        self.writer.write_record(None::<&[u8]>).expect(GROWS);
    }

    /// A line of these strings.
    pub(crate) fn line<'t>(&mut self, cells: impl IntoIterator<Item = &'t str>) {
        for cell in cells {
            self.text(cell);
        }
        self.end_line();
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.writer.into_inner().expect(GROWS)
    }

    fn write(&mut self, cell: &str) -> &mut Self {
        self.writer.write_field(cell).expect(GROWS);
        self
    }
}

fn is_formula(cell: &str) -> bool {
    cell.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cells: &[&str], expect: &str) {
        let mut csv = CsvText::new();
        csv.line(cells.iter().copied());
        assert_eq!(String::from_utf8(csv.into_bytes()).as_deref(), Ok(expect));
    }

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        check(&["a", "", "größe"], "a,,größe\r\n");
        check(&["a,b", "say \"hi\"", "two\nlines"], "\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\"\r\n");
    }

    #[test]
    fn no_cell_is_a_formula() {
        for start in ["=", "+", "-", "@", "\t", "\0", "'=", "''+"] {
            check(&[&format!("{start}1+1")], &format!("'{start}1+1\r\n"));
        }
        check(&["=HYPERLINK(\"http://x\",\"y\")"], "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\"\r\n");
        check(&["\r=1"], "\"'\r=1\"\r\n");
        check(&["'quoted'", "a=b", "2026-01-15"], "'quoted',a=b,2026-01-15\r\n");
    }

    #[test]
    fn numbers_stay_numbers() {
        let mut csv = CsvText::new();
        csv.text("x").number(7).optional_number(None).optional_number(Some(1)).end_line();
        assert_eq!(csv.into_bytes(), b"x,7,,1\r\n");
        assert!(CsvText::new().into_bytes().is_empty());
    }
}
