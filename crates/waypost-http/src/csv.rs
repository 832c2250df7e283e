//! Comma-separated values as spreadsheets read them (RFC 4180), without cells that a spreadsheet would run as a
//! formula.
//!
//! A cell that begins with `=`, `+`, `-`, `@`, a tab, a line break or NUL gets a single quote before it, and so does
//! one that begins with single quotes before such a character, so that removing one quote always gives the original
//! text. Numbers that this program writes are not text and stay as they are.

/// Lines of cells, growing.
#[derive(Debug, Default)]
pub(crate) struct CsvText {
    text: String,
    /// Whether the line has a cell already.
    is_within_line: bool,
}

impl CsvText {
    /// An empty text.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a cell that came from outside.
    pub(crate) fn text(&mut self, cell: &str) -> &mut Self {
        self.separate();
        let guard = if is_formula(cell) { "'" } else { "" };
        // NUL is in no text that came through the API, and no reader of CSV agrees with another on it.
        let needs_quotes = cell.contains(['"', ',', '\r', '\n']);
        if needs_quotes {
            self.text.push('"');
            self.text.push_str(guard);
            self.text.push_str(&cell.replace('"', "\"\""));
            self.text.push('"');
        } else {
            self.text.push_str(guard);
            self.text.push_str(cell);
        }
        self
    }

    /// Adds a count.
    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        self.separate();
        self.text.push_str(&number.to_string());
        self
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
        self.text.push_str("\r\n");
        self.is_within_line = false;
    }

    /// A line of these texts.
    pub(crate) fn line<'t>(&mut self, cells: impl IntoIterator<Item = &'t str>) {
        for cell in cells {
            self.text(cell);
        }
        self.end_line();
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.text.into_bytes()
    }

    fn separate(&mut self) {
        if std::mem::replace(&mut self.is_within_line, true) {
            self.text.push(',');
        }
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
    }
}
