//! Links as CSV (RFC 4180): the first line names the columns, and a cell is a field of the link. Lists and objects are
//! written as JSON in their cell.
//!
//! Spreadsheets treat a cell that begins with `=`, `+`, `-`, `@`, a tab or a line break as a formula. Writing puts a
//! single quote before such a cell, and before one that begins with single quotes followed by such a character; reading
//! removes one single quote from exactly these. So every string is read as it was written.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use waypost_core::Quoted;
use waypost_core::quoted::{Shown, Unescaped};

use crate::print::counted;
use crate::transfer::csv_records::{Record, Records};
use crate::transfer::row::{NOT_UTF8, Refusal, Row, SERVER_FIELDS};
use crate::transfer::slug_columns::{Cells, EXAMINED_MAX, is_named_like_slugs};

/// Fields whose cells are JSON.
const JSON_FIELDS: [&str; 6] = ["rules", "evolution_rules", "geo_rules", "ab_test", "link_utms", "utm_templates"];
/// Fields whose cells are `true` or `false`.
const FLAG_FIELDS: [&str; 3] = ["forward_query", "enabled", "has_password"];
/// Fields whose cells are whole numbers.
const NUMBER_FIELDS: [&str; 2] = ["redirect_status", "version"];
/// Other names for the destination, as exports of other shorteners have them.
const DESTINATION_NAMES: [&str; 10] = [
    "url",
    "target",
    "long_url",
    "original_url",
    "longurl",
    "originalurl",
    "destination",
    "long_link",
    "target_url",
    "full_url",
];
/// Fields whose cells are strings.
const TEXT_FIELDS: [&str; 9] = [
    "destination_url",
    "slug",
    "domain",
    "starts_at",
    "expires_at",
    "expired_url",
    "password",
    "password_hash",
    "created_at",
];
/// The words that the cell of a flag can have.
const FLAG_WORDS: [(&str, bool); 6] =
    [("true", true), ("1", true), ("yes", true), ("false", false), ("0", false), ("no", false)];
/// How similar two names must be for one to be suggested instead of the other, from 0 to 1.
const ALIKE: f64 = 0.85;
/// How many ignored columns are named.
const NAMED_MAX: usize = 20;

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

/// Where the slugs of a table come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SlugColumn<'a> {
    /// From the column `slug`. If there is none, no other column may look like one.
    #[default]
    Own,
    /// From the column with this heading: the cell, or the path of the URL in it.
    Named(&'a str),
    /// From no column: each link gets a random slug.
    Random,
}

/// Reads links from CSV, one record at a time, with the line each begins on.
pub(crate) struct CsvReader<R> {
    records: Records<R>,
    /// The field of each column; empty for ignored columns.
    columns: Vec<String>,
    ignored: Vec<String>,
    /// Whether cells with slugs may be short URLs.
    slugs_may_be_urls: bool,
    /// Rows that were already read to examine their cells.
    ahead: VecDeque<Row>,
}

impl<R: Read> CsvReader<R> {
    /// Reads the line that names the columns.
    ///
    /// # Errors
    /// If reading fails, the first line does not name a destination column, or it is not clear which column has the
    /// slugs.
    pub(crate) fn new(input: R, slug_column: SlugColumn<'_>) -> anyhow::Result<Self> {
        let mut records = Records::new(input, |cell| read_heading(cell).is_some_and(|name| stands_for_url(&name)))?;
        let headings = match records.next_record()? {
            None => anyhow::bail!("the file is empty; its first line names the columns, such as destination_url,slug"),
            Some(Record { is_too_long: true, .. }) => anyhow::bail!("the first line has too many or too long columns"),
            Some(record) => record.cells().map(read_heading).collect::<Option<Vec<_>>>(),
        };
        let headings = headings.ok_or_else(|| anyhow::anyhow!("the first line is {NOT_UTF8}"))?;
        let mut columns = headings.clone();
        name_slugs(&mut columns, slug_column)?;
        for column in columns.iter_mut().filter(|column| stands_for_url(column)) {
            "destination_url".clone_into(column);
        }
        if !columns.iter().any(|column| column == "destination_url") {
            anyhow::bail!(
                "the first line has no column destination_url (or url, long_url, original_url): {}",
                Shown(&headings.join(","))
            );
        }
        let mut ignored = Vec::new();
        for column in columns.iter_mut().filter(|column| !is_field(column)) {
            // Spreadsheets leave columns without a name.
            ignored.extend(Some(std::mem::take(column)).filter(|name| !name.is_empty()));
        }
        refuse_twins(&columns, &headings)?;
        let slugs_may_be_urls = matches!(slug_column, SlugColumn::Named(_));
        let mut reader = Self { records, columns, ignored, slugs_may_be_urls, ahead: VecDeque::new() };
        let may_be_lost = slug_column == SlugColumn::Own && !reader.ignored.is_empty();
        if may_be_lost && !reader.columns.iter().any(|column| column == "slug") {
            reader.look_ahead(&headings)?;
        }
        Ok(reader)
    }

    /// Finds columns whose first cells are short URLs, whatever their heading.
    fn look_ahead(&mut self, headings: &[String]) -> anyhow::Result<()> {
        let destination = self.columns.iter().position(|column| column == "destination_url");
        let mut looks: Vec<Cells> = headings.iter().map(|_| Cells::default()).collect();
        while self.ahead.len() < EXAMINED_MAX {
            let Some(record) = self.records.next_record()? else { break };
            if record.is_blank() {
                continue;
            }
            if !record.is_too_long && record.unclosed_lines.is_none() {
                let cells: Vec<_> = record.cells().map(String::from_utf8_lossy).collect();
                let leads_to = destination.and_then(|place| cells.get(place)).map_or("", |cell| cell);
                looks.iter_mut().zip(&cells).for_each(|(look, cell)| look.examine(cell, leads_to));
            }
            self.ahead.push_back(read_row(&self.columns, self.slugs_may_be_urls, &record));
        }
        let columns = self.columns.iter().zip(headings).zip(&looks);
        refuse_alike(
            columns
                .filter(|((column, heading), look)| column.is_empty() && !heading.is_empty() && look.are_short_urls())
                .map(|((_, heading), _)| heading),
        )
    }

    /// A note about the columns that are not fields of a link.
    pub(crate) fn note(&self) -> Option<String> {
        let shown = self.ignored.iter().take(NAMED_MAX).map(|name| show_ignored(name));
        let names: Vec<String> = shown.chain((self.ignored.len() > NAMED_MAX).then(|| "…".to_owned())).collect();
        let count = counted(self.ignored.len() as u64, "column");
        (!names.is_empty()).then(|| format!("{count} ignored, because links have no such field: {}", names.join(", ")))
    }

    /// The next record as the body of a link; rows with only separators are skipped.
    ///
    /// # Errors
    /// If reading fails; errors in the record are in the row.
    pub(crate) fn next_row(&mut self) -> io::Result<Option<Row>> {
        if let Some(row) = self.ahead.pop_front() {
            return Ok(Some(row));
        }
        loop {
            let Some(record) = self.records.next_record()? else { return Ok(None) };
            if !record.is_blank() {
                return Ok(Some(read_row(&self.columns, self.slugs_may_be_urls, &record)));
            }
        }
    }
}

fn read_row(columns: &[String], slugs_may_be_urls: bool, record: &Record<'_>) -> Row {
    let mut body = if let Some(lines) = record.unclosed_lines {
        Err(Refusal::unclosed(lines))
    } else if record.is_too_long {
        Err(Refusal::too_long())
    } else {
        read_record(columns, record)
    };
    if let (true, Ok(body)) = (slugs_may_be_urls, &mut body) {
        reduce_to_slug(body);
    }
    Row { line: record.line, body }
}

fn read_heading(cell: &[u8]) -> Option<String> {
    Some(normalise(str::from_utf8(cell).ok()?))
}

fn normalise(heading: &str) -> String {
    heading.trim().to_ascii_lowercase().replace([' ', '-'], "_")
}

fn stands_for_url(column: &str) -> bool {
    column == "destination_url" || DESTINATION_NAMES.contains(&column)
}

/// Names the column with the slugs `slug`, and renames columns that must not be read as slugs. A table whose slugs
/// would be lost without notice is refused.
fn name_slugs(columns: &mut [String], slug_column: SlugColumn<'_>) -> anyhow::Result<()> {
    let has_slugs = columns.iter().any(|column| column == "slug");
    match slug_column {
        SlugColumn::Named(wanted) => {
            let name = normalise(wanted);
            let Some(place) = columns.iter().position(|column| *column == name) else {
                anyhow::bail!("the first line has no column {wanted}: {}", columns.join(","));
            };
            "slug".clone_into(&mut columns[place]);
        }
        SlugColumn::Random => columns
            .iter_mut()
            .filter(|column| is_named_like_slugs(column))
            .for_each(|column| *column = format!("{column} (ignored)")),
        SlugColumn::Own if !has_slugs && columns.iter().any(|column| stands_for_url(column)) => {
            let alike = columns.iter().filter(|column| is_named_like_slugs(column) && !stands_for_url(column));
            refuse_alike(alike)?;
        }
        SlugColumn::Own => {}
    }
    Ok(())
}

/// Refuses a table with columns that look like slugs, of which none was named.
fn refuse_alike<'a>(columns: impl Iterator<Item = &'a String>) -> anyhow::Result<()> {
    let columns: Vec<_> = columns.map(|name| Shown(&crate::print::plain(name)).to_string()).collect();
    let Some(name) = columns.first() else { return Ok(()) };
    let (all, look) = (columns.join(" and "), if columns.len() == 1 { "looks" } else { "look" });
    let shown = if name.contains(|letter: char| !letter.is_alphanumeric() && letter != '_') {
        format!("\"{name}\"")
    } else {
        name.clone()
    };
    anyhow::bail!(
        "the first line has no column slug, but {all}, which {look} like one: give --slug-column {shown} to read the \
         slugs from it (the path of each URL), or --draw-slugs to give each link a random slug"
    );
}

fn refuse_twins(columns: &[String], headings: &[String]) -> anyhow::Result<()> {
    let is_twice = |(index, column): &(usize, &String)| !column.is_empty() && columns[..*index].contains(*column);
    let Some((second, column)) = columns.iter().enumerate().find(is_twice) else { return Ok(()) };
    let first = columns.iter().position(|other| other == column).unwrap_or(second);
    let (first, second) = (&headings[first], &headings[second]);
    anyhow::ensure!(first != second, "the first line names the column {column} twice");
    anyhow::bail!(
        "the first line has two columns for {column}: {first} and {second}; give the one that is not meant another name"
    )
}

/// Reduces a short URL, with or without scheme, to its path, decoded.
fn reduce_to_slug(body: &mut Map<String, Value>) {
    let Some(Value::String(slug)) = body.get_mut("slug") else { return };
    let given = slug.trim();
    let behind = match given.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => match given.split_once('/') {
            Some((host, path)) if is_host_like(host) => path,
            _ => return,
        },
    };
    let behind = percent_decode_str(behind.trim_matches('/')).decode_utf8_lossy();
    if !behind.is_empty() {
        *slug = behind.into_owned();
    }
}

/// Whether the part before a `/` is a host and not the beginning of a slug: its last label has only letters, as in
/// `bit.ly`.
fn is_host_like(text: &str) -> bool {
    let last = text.rsplit_once('.').map(|(_, last)| last.split(':').next().unwrap_or(last));
    last.is_some_and(|last| last.len() > 1 && last.chars().all(char::is_alphabetic))
}

fn fields() -> impl Iterator<Item = &'static str> {
    let lists: [&[&str]; 5] = [&TEXT_FIELDS, &JSON_FIELDS, &FLAG_FIELDS, &NUMBER_FIELDS, &SERVER_FIELDS];
    lists.into_iter().flatten().copied()
}

fn is_field(column: &str) -> bool {
    fields().any(|field| field == column)
}

/// The name of an ignored column, and the field that may have been meant.
fn show_ignored(name: &str) -> String {
    let name = Shown(&crate::print::plain(name)).to_string();
    // Fields that a file cannot set are not suggested.
    let settable =
        fields().filter(|field| !SERVER_FIELDS.contains(field) && !["has_password", "password_hash"].contains(field));
    let near = settable.map(|field| (strsim::jaro(field, &name), field));
    let near = near.filter(|(likeness, _)| *likeness >= ALIKE).max_by(|(a, _), (b, _)| a.total_cmp(b));
    near.map_or(name.clone(), |(_, near)| format!("{name} (did you mean {near}?)"))
}

fn read_record(columns: &[String], record: &Record<'_>) -> Result<Map<String, Value>, Refusal> {
    let count = record.ends.len();
    if count != columns.len() {
        let reason =
            format!("has {}, but the first line names {} columns", counted(count as u64, "cell"), columns.len());
        return Err(Refusal::new("csv", reason));
    }
    let mut body = Map::new();
    for (column, cell) in columns.iter().zip(record.cells()) {
        // An ignored cell may contain anything.
        if column.is_empty() {
            continue;
        }
        let text = str::from_utf8(cell).map_err(|_| Refusal::not_utf8(column))?;
        // An empty cell leaves its field out.
        if !text.is_empty() {
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
        let word = FLAG_WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(text.trim()));
        let wanted =
            || refusal(&format!("{} is not one of {}", Quoted(text), FLAG_WORDS.map(|(word, _)| word).join(", ")));
        return word.map(|(_, flag)| Value::Bool(*flag)).ok_or_else(wanted);
    }
    if NUMBER_FIELDS.contains(&column) {
        let number = text.trim().parse::<u64>().map(Value::from);
        return number.map_err(|_| refusal(&format!("{} is not a whole number", Quoted(text))));
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
    /// If writing fails.
    pub(crate) fn new(output: W) -> io::Result<Self> {
        let mut writer = Self { output, line: Vec::new() };
        writer.write_cells(EXPORT_COLUMNS.into_iter().map(str::to_owned))?;
        Ok(writer)
    }

    /// Writes one link.
    ///
    /// # Errors
    /// If writing fails.
    pub(crate) fn write_link(&mut self, link: &Map<String, Value>) -> io::Result<()> {
        self.write_cells(EXPORT_COLUMNS.iter().map(|column| show_cell(link.get(*column))))
    }

    /// Returns the writer.
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

/// Whether a string must be written with a single quote before it: it looks like a formula, or like a guarded one.
fn is_guarded(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\0'])
}

/// Removes the single quote that writing added.
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
            SlugColumn::Own,
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
            https://d.example/,\xff,,,,\n\
            https://e.example/,e,,,,\xe4";
        let expect = vec![
            (
                2,
                Ok(json!({"destination_url": "https://a.example/", "slug": "a", "redirect_status": 301,
                    "forward_query": true, "rules": []})),
            ),
            (4, Ok(json!({"destination_url": "https://b.example/?q=\"1\"", "slug": "b\r\nc"}))),
            (6, Err("redirect_status: \"x\" is not a whole number".to_owned())),
            (7, Err("has 1 cell, but the first line names 6 columns".to_owned())),
            (8, Err(format!("slug: {NOT_UTF8}"))),
            (9, Ok(json!({"destination_url": "https://e.example/", "slug": "e"}))),
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
        let archive = CsvReader::new(&b"PK\x03\x04\x14\n"[..], SlugColumn::Own).err().unwrap().to_string();
        assert!(archive.contains("save it as CSV"), "{archive}");
        assert!(CsvReader::new(utf16.as_slice(), SlugColumn::Own).err().unwrap().to_string().contains("UTF-16"));
    }

    #[test]
    fn columns_of_others_and_rows_of_nothing_are_ignored() {
        let text = b"title;url;Expires;Tags;slug;Tags\nA;https://a.example/;2030;x;a;y\n;;;;;\n ; ;;;;\n;;\nB;https://b.example/;;;;";
        let expect = vec![
            (2, Ok(json!({"destination_url": "https://a.example/", "slug": "a"}))),
            (6, Ok(json!({"destination_url": "https://b.example/"}))),
        ];
        assert_eq!(rows(text), expect);
        let note = CsvReader::new(&text[..], SlugColumn::Own).unwrap().note().unwrap();
        assert!(note.starts_with("4 columns ignored") && note.contains("expires (did you mean expires_at?)"), "{note}");
        assert_eq!(CsvReader::new(&b"url,slug,\n"[..], SlugColumn::Own).unwrap().note(), None);
    }

    #[test]
    fn a_cell_without_end_is_refused_in_bounded_memory() {
        let long = "x".repeat(RECORD_BYTES_MAX);
        let text = format!("url\n{long}y\nhttps://a.example/\n\"{long}{long}");
        let mut reader = CsvReader::new(text.as_bytes(), SlugColumn::Own).unwrap();
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
            ("slug,title\n", "has no column destination_url"),
            ("url,slug,slug\n", "names the column slug twice"),
            ("url,long_url\n", "two columns for destination_url: url and long_url"),
            ("Keyword,url,title\n", "no column slug, but keyword"),
            ("slashtag,destination\n", "--slug-column slashtag"),
            ("link,long_url\n", "--slug-column link"),
            ("Short Link,Long URL\n", "--slug-column short_link"),
            ("short_url,destination_url\n", "--slug-column short_url"),
            ("Bitlink,Long URL\n", "--slug-column bitlink"),
            ("long_url,custom_bitlinks,title\n", "--slug-column custom_bitlinks"),
            ("originalURL,secureShortURL,path\n", "secureshorturl and path, which look like one"),
            ("urlKey,url\n", "--slug-column urlkey"),
            ("Ziel,url,Kurzlink\n", "--slug-column kurzlink"),
            (
                "Lien court,url\nhttps://sho.rt/abc,https://a.example/\nhttps://sho.rt/abd,\n",
                "--slug-column lien_court",
            ),
            ("r\u{e9}f. 1,url\nsho.rt/abc,https://a.example/\n", "--slug-column \"r\u{e9}f._1\""),
            ("link,title\n", "has no column destination_url"),
        ] {
            let error = CsvReader::new(text.as_bytes(), SlugColumn::Own).err().unwrap().to_string();
            assert!(error.contains(expect), "{error}");
        }
    }

    #[track_caller]
    fn check_slugs(text: &str, slug_column: SlugColumn<'_>, expect: &[Option<&str>]) {
        let mut reader = CsvReader::new(text.as_bytes(), slug_column).unwrap();
        let mut found = Vec::new();
        while let Some(row) = reader.next_row().unwrap() {
            found.push(row.body.unwrap().get("slug").map(|slug| slug.as_str().unwrap().to_owned()));
        }
        assert_eq!(found, expect.iter().map(|slug| slug.map(str::to_owned)).collect::<Vec<_>>(), "{text}");
    }

    #[test]
    fn slugs_come_from_the_column_that_is_named() {
        let text = "Short-URL,destination\nhttps://sho.rt/abc/,https://a.example/\nx/y,https://b.example/\n,https://c.example/";
        check_slugs(text, SlugColumn::Named("short url"), &[Some("abc"), Some("x/y"), None]);
        check_slugs(text, SlugColumn::Random, &[None, None, None]);
        let text = "link,destination\nbit.ly/abd,https://a.example/\nrb.gy:443/x/y/,https://b.example/\nv1.2/notes,https://c.example/";
        check_slugs(text, SlugColumn::Named("link"), &[Some("abd"), Some("x/y"), Some("v1.2/notes")]);
        let text = "link,destination\n https://go.example/%C3%A9x ,https://a.example/\n100%,https://b.example/";
        check_slugs(text, SlugColumn::Named("link"), &[Some("\u{e9}x"), Some("100%")]);
        // The short URLs stand where other tables have the destinations.
        let text = "url,destination_url\nhttps://sho.rt/abc,https://a.example/";
        check_slugs(text, SlugColumn::Named("url"), &[Some("abc")]);
        let note = CsvReader::new(&b"link_name,url,slug\n"[..], SlugColumn::Own).unwrap().note().unwrap();
        assert!(!note.contains("did you mean"), "{note}");
        let missing = CsvReader::new(&b"a,url\n"[..], SlugColumn::Named("b")).err().unwrap().to_string();
        assert!(missing.contains("has no column b"), "{missing}");
    }

    #[test]
    fn a_quote_that_is_never_closed_is_no_line() {
        let rows = rows(b"url,title\nhttps://a.example/,ok\nhttps://b.example/,\"open\nhttps://c.example/,x\nhttps://d.example/,y\n");
        assert_eq!((rows.len(), rows[1].0), (2, 3));
        let said = rows[1].1.as_ref().unwrap_err();
        assert!(said.contains("never closed") && said.contains("2 lines"), "{said}");
        let long = format!("url,title\nhttps://b.example/,\"open\n{}", "https://c.example/,x\n".repeat(200));
        assert!(self::rows(long.as_bytes())[0].1.as_ref().unwrap_err().contains("never closed"));
        assert!(self::rows(b"url,title\nhttps://b.example/,\"closed\"")[0].1.is_ok());
        assert!(self::rows(b"url,title\nhttps://b.example/,5\" screen")[0].1.is_ok());
    }

    #[test]
    fn what_a_flag_can_be_is_said() {
        let rows = rows(b"url,enabled\nhttps://a.example/,WAHR\nhttps://a.example/, Yes");
        let said = "enabled: \"WAHR\" is not one of true, 1, yes, false, 0, no";
        assert_eq!(rows[0], (2, Err(said.to_owned())));
        assert_eq!(rows[1].1.as_ref().unwrap()["enabled"], true);
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
