//! Links as CSV (RFC 4180): the first line names the columns, a cell is a field of the link, lists and objects stand in
//! their cell as JSON.
//!
//! A spreadsheet takes a cell that begins with `=`, `+`, `-`, `@`, a tab or a line break for a formula. Writing puts a
//! single quote before such a cell, and before one that begins with single quotes followed by such a character; reading
//! takes one single quote away from exactly these. So every text comes back as it was.

use std::io::{self, BufRead as _, BufReader, Chain, Cursor, Read, Write};

use csv_core::{ReadRecordResult, Reader};
use serde_json::{Map, Value};

use crate::transfer::row::{RECORD_BYTES_MAX, Refusal, Row};

/// The most columns of a file.
const COLUMNS_MAX: usize = 64;
const BUFFER_BYTES: usize = 64 * 1024;
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// Fields whose cells are JSON.
const JSON_FIELDS: [&str; 6] = ["rules", "evolution_rules", "geo_rules", "ab_test", "link_utms", "utm_templates"];
/// Fields whose cells are `true` or `false`.
const FLAG_FIELDS: [&str; 3] = ["forward_query", "enabled", "has_password"];
/// Fields whose cells are whole numbers.
const NUMBER_FIELDS: [&str; 2] = ["redirect_status", "version"];
/// Other names for the destination, as exports of other shorteners have them.
const DESTINATION_NAMES: [&str; 5] = ["url", "long_url", "original_url", "longurl", "originalurl"];

/// The columns of an export, in order.
pub(crate) const EXPORT_COLUMNS: [&str; 20] = [
    "domain",
    "slug",
    "destination_url",
    "redirect_status",
    "forward_query",
    "enabled",
    "starts_at",
    "expires_at",
    "expired_url",
    "has_password",
    "rules",
    "evolution_rules",
    "geo_rules",
    "ab_test",
    "link_utms",
    "utm_templates",
    "id",
    "version",
    "created_at",
    "updated_at",
];

/// Reads links from CSV, one record at a time, with the line each begins on.
pub(crate) struct CsvReader<R> {
    records: Records<R>,
    columns: Vec<String>,
}

impl<R: Read> CsvReader<R> {
    /// Reads the line that names the columns.
    ///
    /// # Errors
    /// Where reading fails, or the first line does not name a destination column.
    pub(crate) fn new(input: R) -> anyhow::Result<Self> {
        let mut records = Records::new(input)?;
        let columns = match records.next_record()? {
            None => anyhow::bail!("the file is empty; its first line names the columns, such as destination_url,slug"),
            Some(Record { is_too_long: true, .. }) => anyhow::bail!("the first line has too many or too long columns"),
            Some(record) => record.cells().map(read_heading).collect::<Option<Vec<_>>>(),
        };
        let columns = columns.ok_or_else(|| anyhow::anyhow!("the first line is not UTF-8"))?;
        if !columns.iter().any(|column| column == "destination_url") {
            anyhow::bail!(
                "the first line names no column destination_url (or url, long_url, original_url): {}",
                columns.join(",")
            );
        }
        if let Some(twice) = columns.iter().enumerate().find(|(index, column)| columns[..*index].contains(column)) {
            anyhow::bail!("the first line names the column {} twice", twice.1);
        }
        Ok(Self { records, columns })
    }

    /// The next record as the body of a link to be made.
    ///
    /// # Errors
    /// Where reading fails; what is wrong with the record itself is in the row.
    pub(crate) fn next_row(&mut self) -> io::Result<Option<Row>> {
        let Some(record) = self.records.next_record()? else { return Ok(None) };
        let line = record.line;
        let body = if record.is_too_long { Err(Refusal::too_long()) } else { read_record(&self.columns, &record) };
        Ok(Some(Row { line, body }))
    }
}

fn read_heading(cell: &[u8]) -> Option<String> {
    let name = str::from_utf8(cell).ok()?.trim().to_ascii_lowercase();
    Some(if DESTINATION_NAMES.contains(&name.as_str()) { "destination_url".to_owned() } else { name })
}

fn read_record(columns: &[String], record: &Record<'_>) -> Result<Map<String, Value>, Refusal> {
    let count = record.ends.len();
    if count != columns.len() {
        let reason = format!("has {count} cells where the first line names {} columns", columns.len());
        return Err(Refusal::new("csv", reason));
    }
    let mut body = Map::new();
    for (column, cell) in columns.iter().zip(record.cells()) {
        let text = str::from_utf8(cell).map_err(|_| Refusal::new("utf8", format!("{column}: not UTF-8")))?;
        // An empty cell says nothing. A column without a name is a left-over of a spreadsheet.
        if !text.is_empty() && !column.is_empty() {
            body.insert(column.clone(), read_cell(column, unguard(text))?);
        }
    }
    Ok(body)
}

fn read_cell(column: &str, text: &str) -> Result<Value, Refusal> {
    let refusal = |what: &str| Refusal::new("csv", format!("{column}: {what}"));
    if JSON_FIELDS.contains(&column) {
        return serde_json::from_str(text).map_err(|error| refusal(&format!("not JSON: {error}")));
    }
    if FLAG_FIELDS.contains(&column) {
        return match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Ok(Value::Bool(true)),
            "false" | "0" | "no" => Ok(Value::Bool(false)),
            _ => Err(refusal("neither true nor false")),
        };
    }
    if NUMBER_FIELDS.contains(&column) {
        return text.trim().parse::<u64>().map(Value::from).map_err(|_| refusal("not a whole number"));
    }
    Ok(Value::from(text))
}

/// Writes links as CSV.
pub(crate) struct CsvWriter<W> {
    output: W,
    line: Vec<u8>,
}

impl<W: Write> CsvWriter<W> {
    /// Writes the line that names the columns.
    ///
    /// # Errors
    /// Where writing fails.
    pub(crate) fn new(output: W) -> io::Result<Self> {
        let mut writer = Self { output, line: Vec::new() };
        writer.write_cells(EXPORT_COLUMNS.into_iter().map(str::to_owned))?;
        Ok(writer)
    }

    /// Writes one link.
    ///
    /// # Errors
    /// Where writing fails.
    pub(crate) fn write_link(&mut self, link: &Map<String, Value>) -> io::Result<()> {
        self.write_cells(EXPORT_COLUMNS.iter().map(|column| show_cell(link.get(*column))))
    }

    /// Hands out what was written to.
    pub(crate) fn into_inner(self) -> W {
        self.output
    }

    fn write_cells(&mut self, cells: impl Iterator<Item = String>) -> io::Result<()> {
        write_record(&mut self.line, cells);
        self.output.write_all(&self.line)
    }
}

/// Sets `line` to these cells as one record with its line end, formulas guarded.
pub(crate) fn write_record(line: &mut Vec<u8>, cells: impl Iterator<Item = String>) {
    line.clear();
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            line.push(b',');
        }
        let needs_quotes = cell.contains(['"', ',', '\n', '\r']) || cell.starts_with(' ') || cell.ends_with(' ');
        if needs_quotes {
            line.push(b'"');
        }
        if is_guarded(&cell) {
            line.push(b'\'');
        }
        for byte in cell.bytes() {
            if byte == b'"' {
                line.push(b'"');
            }
            line.push(byte);
        }
        if needs_quotes {
            line.push(b'"');
        }
    }
    line.extend_from_slice(b"\r\n");
}

fn show_cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) if items.is_empty() => String::new(),
        Some(Value::Object(fields)) if fields.is_empty() => String::new(),
        Some(other) => other.to_string(),
    }
}

/// Whether a text must be written with a single quote before it: it is a formula, or would be taken for a guarded one.
fn is_guarded(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\0'])
}

/// Takes away the single quote that writing put there.
fn unguard(text: &str) -> &str {
    text.strip_prefix('\'').filter(|rest| is_guarded(rest)).unwrap_or(text)
}

/// One record of a file.
struct Record<'r> {
    /// The line it begins on, from 1.
    line: u64,
    bytes: &'r [u8],
    /// Where each cell ends in `bytes`.
    ends: &'r [usize],
    /// It has more bytes or cells than is taken, and was passed over.
    is_too_long: bool,
}

impl<'r> Record<'r> {
    fn cells(&self) -> impl Iterator<Item = &'r [u8]> {
        let (bytes, mut start) = (self.bytes, 0);
        self.ends.iter().map(move |end| &bytes[std::mem::replace(&mut start, *end)..*end])
    }
}

/// Splits a stream into records, in bounded memory, and counts lines.
struct Records<R> {
    input: BufReader<Chain<Cursor<Vec<u8>>, R>>,
    reader: Reader,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// The line of the next byte, from 1.
    line: u64,
}

impl<R: Read> Records<R> {
    /// A byte order mark at the start is no part of the first record.
    fn new(mut input: R) -> io::Result<Self> {
        let mut start = Vec::new();
        input.by_ref().take(BYTE_ORDER_MARK.len() as u64).read_to_end(&mut start)?;
        if start == BYTE_ORDER_MARK {
            start.clear();
        }
        Ok(Self {
            input: BufReader::with_capacity(BUFFER_BYTES, Cursor::new(start).chain(input)),
            reader: Reader::new(),
            bytes: vec![0; RECORD_BYTES_MAX],
            ends: vec![0; COLUMNS_MAX],
            line: 1,
        })
    }

    fn next_record(&mut self) -> io::Result<Option<Record<'_>>> {
        self.skip_line_ends()?;
        let line = self.line;
        let (mut bytes_count, mut ends_count, mut is_too_long) = (0, 0, false);
        loop {
            let input = self.input.fill_buf()?;
            let (result, read, written, ended) =
                self.reader.read_record(input, &mut self.bytes[bytes_count..], &mut self.ends[ends_count..]);
            self.line += memchr::memchr_iter(b'\n', &input[..read]).count() as u64;
            self.input.consume(read);
            bytes_count += written;
            ends_count += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    is_too_long = true;
                    (bytes_count, ends_count) = (0, 0);
                }
                ReadRecordResult::Record => break,
                ReadRecordResult::End => return Ok(None),
            }
        }
        Ok(Some(Record { line, bytes: &self.bytes[..bytes_count], ends: &self.ends[..ends_count], is_too_long }))
    }

    /// Passes over line ends, so that empty lines are counted before the record that follows them.
    fn skip_line_ends(&mut self) -> io::Result<()> {
        loop {
            let input = self.input.fill_buf()?;
            let count = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            if count == 0 {
                return Ok(());
            }
            self.line += memchr::memchr_iter(b'\n', &input[..count]).count() as u64;
            self.input.consume(count);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn rows(text: &[u8]) -> Vec<(u64, Result<Value, String>)> {
        // One byte at a time, so that every state is met at the end of a buffer.
        let mut reader = CsvReader::new(
            text.chunks(1).fold(Box::new(io::empty()) as Box<dyn Read>, |read, chunk| Box::new(read.chain(chunk))),
        )
        .unwrap();
        let mut rows = Vec::new();
        while let Some(row) = reader.next_row().unwrap() {
            rows.push((row.line, row.body.map(Value::Object).map_err(|refusal| refusal.reason)));
        }
        rows
    }

    #[test]
    fn records_have_fields_and_lines() {
        let text = b"\xef\xbb\xbfURL,Slug,redirect_status,forward_query,rules,\r\n\
            https://a.example/,a,301,TRUE,[],x\r\n\
            \r\n\
            \"https://b.example/?q=\"\"1\"\"\",\"b\r\nc\",,,,\r\n\
            https://c.example/,c,x,,,\n\
            only\n\
            https://d.example/,\xff,,,,";
        let expect = vec![
            (
                2,
                Ok(json!({"destination_url": "https://a.example/", "slug": "a", "redirect_status": 301,
                    "forward_query": true, "rules": []})),
            ),
            (4, Ok(json!({"destination_url": "https://b.example/?q=\"1\"", "slug": "b\r\nc"}))),
            (6, Err("redirect_status: not a whole number".to_owned())),
            (7, Err("has 1 cells where the first line names 6 columns".to_owned())),
            (8, Err("slug: not UTF-8".to_owned())),
        ];
        assert_eq!(rows(text), expect);
    }

    #[test]
    fn a_cell_without_end_is_refused_in_bounded_memory() {
        let long = "x".repeat(RECORD_BYTES_MAX);
        let text = format!("url\n{long}y\nhttps://a.example/\n\"{long}{long}");
        let mut reader = CsvReader::new(text.as_bytes()).unwrap();
        let mut found = Vec::new();
        while let Some(row) = reader.next_row().unwrap() {
            found.push((row.line, row.body.is_ok()));
        }
        assert_eq!(found, [(2, false), (3, true), (4, false)]);
    }

    #[test]
    fn headings_are_checked() {
        for (text, expect) in [
            ("", "the file is empty"),
            ("slug,title\n", "names no column destination_url"),
            ("url,long_url\n", "names the column destination_url twice"),
        ] {
            let error = CsvReader::new(text.as_bytes()).err().unwrap().to_string();
            assert!(error.contains(expect), "{error}");
        }
    }

    #[test]
    fn every_text_comes_back() {
        let texts = [
            "=1+1", "'=1", "''=1", "'", "''", "'a", "-", "+49", "@x", "\ttab", "\rcr", "\nlf", "a,b", "\"q\"", " a ",
            "ä", "\0",
        ];
        for text in texts {
            let mut writer = CsvWriter::new(Vec::new()).unwrap();
            let link = json!({"destination_url": "https://a.example/", "slug": text});
            writer.write_link(link.as_object().unwrap()).unwrap();
            let written = writer.into_inner();
            let (_, row) = rows(&written).remove(0);
            assert_eq!(row.unwrap()["slug"], text);
            // A second implementation of CSV sees no formula.
            let mut other = csv::Reader::from_reader(written.as_slice());
            let cell = other.records().next().unwrap().unwrap()[1].to_owned();
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\0']), "{cell:?}");
            assert_eq!(unguard(&cell), text);
        }
    }
}
