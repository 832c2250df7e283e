//! Links as CSV (RFC 4180): the first line names the columns, a cell is a field of the link, lists and objects stand in
//! their cell as JSON.
//!
//! A spreadsheet takes a cell that begins with `=`, `+`, `-`, `@`, a tab or a line break for a formula. Writing puts a
//! single quote before such a cell, and before one that begins with single quotes followed by such a character; reading
//! takes one single quote away from exactly these. So every text comes back as it was.

use std::io::{self, Read, Write};

use serde_json::{Map, Value};
use waypost_core::quoted::Unescaped;

use crate::print::counted;
use crate::transfer::csv_records::{Record, Records};
use crate::transfer::row::{GIVEN_FIELDS, Refusal, Row};

/// Fields whose cells are JSON.
const JSON_FIELDS: [&str; 6] = ["rules", "evolution_rules", "geo_rules", "ab_test", "link_utms", "utm_templates"];
/// Fields whose cells are `true` or `false`.
const FLAG_FIELDS: [&str; 3] = ["forward_query", "enabled", "has_password"];
/// Fields whose cells are whole numbers.
const NUMBER_FIELDS: [&str; 2] = ["redirect_status", "version"];
/// Other names for the destination, as exports of other shorteners have them.
const DESTINATION_NAMES: [&str; 5] = ["url", "long_url", "original_url", "longurl", "originalurl"];

/// Fields whose cells are texts.
const TEXT_FIELDS: [&str; 8] =
    ["destination_url", "slug", "domain", "starts_at", "expires_at", "expired_url", "password", "password_hash"];
/// How alike two names must be for one to be offered instead of the other, from 0 to 1.
const ALIKE: f64 = 0.85;

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
    /// The field of each column; empty for those that are passed over.
    columns: Vec<String>,
    passed_over: Vec<String>,
}

impl<R: Read> CsvReader<R> {
    /// Reads the line that names the columns.
    ///
    /// # Errors
    /// Where reading fails, or the first line does not name a destination column.
    pub(crate) fn new(input: R) -> anyhow::Result<Self> {
        let mut records = Records::new(input, |cell| read_heading(cell).is_some_and(|name| name == "destination_url"))?;
        let columns = match records.next_record()? {
            None => anyhow::bail!("the file is empty; its first line names the columns, such as destination_url,slug"),
            Some(Record { is_too_long: true, .. }) => anyhow::bail!("the first line has too many or too long columns"),
            Some(record) => record.cells().map(read_heading).collect::<Option<Vec<_>>>(),
        };
        let mut columns = columns.ok_or_else(|| anyhow::anyhow!("the first line is not UTF-8"))?;
        if !columns.iter().any(|column| column == "destination_url") {
            anyhow::bail!(
                "the first line names no column destination_url (or url, long_url, original_url): {}",
                columns.join(",")
            );
        }
        let mut passed_over = Vec::new();
        for column in columns.iter_mut().filter(|column| !is_field(column)) {
            // A column without a name is a left-over of a spreadsheet.
            passed_over.extend(Some(std::mem::take(column)).filter(|name| !name.is_empty()));
        }
        let is_twice = |(index, column): &(usize, &String)| !column.is_empty() && columns[..*index].contains(*column);
        if let Some((_, twice)) = columns.iter().enumerate().find(is_twice) {
            anyhow::bail!("the first line names the column {twice} twice");
        }
        Ok(Self { records, columns, passed_over })
    }

    /// What a person should know of the columns that are no fields of a link.
    pub(crate) fn note(&self) -> Option<String> {
        let names: Vec<String> = self.passed_over.iter().map(|name| show_passed_over(name)).collect();
        let count = counted(names.len() as u64, "column");
        (!names.is_empty())
            .then(|| format!("{count} passed over, because links have no such field: {}", names.join(", ")))
    }

    /// The next record as the body of a link to be made; rows of nothing but separators are passed over.
    ///
    /// # Errors
    /// Where reading fails; what is wrong with the record itself is in the row.
    pub(crate) fn next_row(&mut self) -> io::Result<Option<Row>> {
        loop {
            let Some(record) = self.records.next_record()? else { return Ok(None) };
            if record.is_blank() {
                continue;
            }
            let line = record.line;
            let body = if record.is_too_long { Err(Refusal::too_long()) } else { read_record(&self.columns, &record) };
            return Ok(Some(Row { line, body }));
        }
    }
}

fn read_heading(cell: &[u8]) -> Option<String> {
    let name = str::from_utf8(cell).ok()?.trim().to_ascii_lowercase().replace([' ', '-'], "_");
    Some(if DESTINATION_NAMES.contains(&name.as_str()) { "destination_url".to_owned() } else { name })
}

fn fields() -> impl Iterator<Item = &'static str> {
    let lists: [&[&str]; 5] = [&TEXT_FIELDS, &JSON_FIELDS, &FLAG_FIELDS, &NUMBER_FIELDS, &GIVEN_FIELDS];
    lists.into_iter().flatten().copied()
}

fn is_field(column: &str) -> bool {
    fields().any(|field| field == column)
}

/// The name of a column that is passed over, and the field that may have been meant.
fn show_passed_over(name: &str) -> String {
    let name = crate::print::plain(name);
    let near = fields().map(|field| (strsim::jaro_winkler(field, &name), field));
    let near = near.filter(|(likeness, _)| *likeness >= ALIKE).max_by(|(a, _), (b, _)| a.total_cmp(b));
    near.map_or(name.clone(), |(_, near)| format!("{name} (did you mean {near}?)"))
}

fn read_record(columns: &[String], record: &Record<'_>) -> Result<Map<String, Value>, Refusal> {
    let count = record.ends.len();
    if count != columns.len() {
        let reason = format!("has {} where the first line names {}", counted(count as u64, "cell"), columns.len());
        return Err(Refusal::new("csv", reason));
    }
    let mut body = Map::new();
    for (column, cell) in columns.iter().zip(record.cells()) {
        let text = str::from_utf8(cell).map_err(|_| Refusal::new("utf8", format!("{column}: not UTF-8")))?;
        // An empty cell says nothing.
        if !text.is_empty() && !column.is_empty() {
            body.insert(column.clone(), read_cell(column, unguard(text))?);
        }
    }
    Ok(body)
}

fn read_cell(column: &str, text: &str) -> Result<Value, Refusal> {
    let refusal = |what: &str| Refusal::new("csv", format!("{column}: {what}"));
    if JSON_FIELDS.contains(&column) {
        return serde_json::from_str(text)
            .map_err(|error| refusal(&format!("not JSON: {}", Unescaped(&error.to_string()))));
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::transfer::row::RECORD_BYTES_MAX;

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
            (7, Err("has 1 cell where the first line names 6".to_owned())),
            (8, Err("slug: not UTF-8".to_owned())),
        ];
        assert_eq!(rows(text), expect);
    }

    #[test]
    fn what_separates_is_seen_from_the_first_line() {
        let expect = vec![
            (2, Ok(json!({"destination_url": "https://a.example/?a=1;2,3", "slug": "a"}))),
            (3, Ok(json!({"destination_url": "https://b.example/", "slug": "b\nc"}))),
        ];
        for separator in [",", ";", "\t"] {
            let text =
                "Title|Long URL|slug\r\n\"x\"|\"https://a.example/?a=1;2,3\"|a\r\n|https://b.example/|\"b\nc\"\r\n";
            let text = text.replace('|', separator);
            assert_eq!(rows(text.as_bytes()), expect, "{separator:?}");
            assert_eq!(rows(format!("\u{feff}{text}").as_bytes()), expect, "{separator:?}");
            let said: Vec<_> = expect.iter().map(|(line, row)| (line + 1, row.clone())).collect();
            assert_eq!(rows(format!("sep={separator}\r\n{text}").as_bytes()), said, "{separator:?}");
        }
        // Quoted separators of another kind are none.
        let text = b"\"a;b;c;d\",url\n1,https://a.example/";
        assert_eq!(rows(text), [(2, Ok(json!({"destination_url": "https://a.example/"})))]);
        assert_eq!(
            rows(b"url\nhttps://a.example/?x;y"),
            [(2, Ok(json!({"destination_url": "https://a.example/?x;y"})))]
        );
        let utf16: Vec<u8> = "\u{feff}url\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(CsvReader::new(utf16.as_slice()).err().unwrap().to_string().contains("UTF-16"));
    }

    #[test]
    fn columns_of_others_and_rows_of_nothing_are_passed_over() {
        let text = b"title;url;Expires;Tags;slug;Tags\nA;https://a.example/;2030;x;a;y\n;;;;;\n ; ;;;;\n;;\nB;https://b.example/;;;;";
        let expect = vec![
            (2, Ok(json!({"destination_url": "https://a.example/", "slug": "a"}))),
            (6, Ok(json!({"destination_url": "https://b.example/"}))),
        ];
        assert_eq!(rows(text), expect);
        let note = CsvReader::new(&text[..]).unwrap().note().unwrap();
        assert!(
            note.starts_with("4 columns passed over") && note.contains("expires (did you mean expires_at?)"),
            "{note}"
        );
        assert_eq!(CsvReader::new(&b"url,slug,\n"[..]).unwrap().note(), None);
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
