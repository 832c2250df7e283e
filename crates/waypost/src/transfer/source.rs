//! The source of an import: a file or standard input, read as rows, in any of the formats.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use serde_json::{Map, Value};
use waypost_core::quoted::Unescaped;

use crate::cli::Format;
use crate::lines::{Line, Lines};
use crate::transfer::csv::{CsvReader, SlugColumn};
use crate::transfer::row::{RECORD_BYTES_MAX, Refusal, Row};

const BUFFER_BYTES: usize = 64 * 1024;

/// A stream of rows.
pub(crate) struct Source {
    rows: Rows,
    /// Bytes read so far; the counting reader adds to it.
    read_bytes: Arc<AtomicU64>,
    total_bytes: Option<u64>,
}

enum Rows {
    Csv(Box<CsvReader<Input>>),
    Ndjson(Lines<Input>),
    Urls(Lines<Input>),
}

type Input = Box<dyn Read + Send>;
type ReadLine = fn(&[u8]) -> Result<Map<String, Value>, Refusal>;

impl Source {
    /// Opens a file, or standard input if the path is `-`.
    ///
    /// # Errors
    /// If the file cannot be read, its format is not clear from its name, or its first line does not have the format.
    pub(crate) fn open(path: &Path, format: Option<Format>, slugs: SlugColumn<'_>) -> anyhow::Result<Self> {
        let is_stdin = path.as_os_str() == "-";
        if let Some(kind) = path.extension().and_then(|ending| workbook_of(ending.to_str()?)) {
            anyhow::bail!(
                "{} is a workbook of {kind}, which cannot be read: save it as CSV (\"CSV UTF-8\") and import that",
                path.display()
            );
        }
        let format = format.or_else(|| format_of(path));
        let format =
            format.context("the format of the file is not clear from its name: give --format csv, ndjson or urls")?;
        let (input, total_bytes): (Input, _) = if is_stdin {
            (Box::new(io::stdin()), None)
        } else {
            let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
            let metadata = file.metadata()?;
            anyhow::ensure!(!metadata.is_dir(), "cannot read {}: it is a folder", path.display());
            (Box::new(file), metadata.is_file().then_some(metadata.len()))
        };
        let read_bytes = Arc::new(AtomicU64::new(0));
        let input: Input = Box::new(CountingReader { input, read_bytes: Arc::clone(&read_bytes) });
        let lines = |input| Lines::new(BufReader::with_capacity(BUFFER_BYTES, input), RECORD_BYTES_MAX);
        let rows = match format {
            Format::Csv => Rows::Csv(Box::new(CsvReader::new(input, slugs)?)),
            Format::Ndjson | Format::Urls if slugs != SlugColumn::Own => {
                anyhow::bail!("--slug-column and --draw-slugs are for tables (CSV), and this file is not one")
            }
            Format::Ndjson => Rows::Ndjson(lines(input)),
            Format::Urls => Rows::Urls(lines(input)),
        };
        Ok(Self { rows, read_bytes, total_bytes })
    }

    /// The next row; empty lines are skipped.
    ///
    /// # Errors
    /// If reading fails; errors in a row are in the row.
    pub(crate) fn next_row(&mut self) -> io::Result<Option<Row>> {
        match &mut self.rows {
            Rows::Csv(reader) => reader.next_row(),
            Rows::Ndjson(lines) => next_line_row(lines, read_json),
            Rows::Urls(lines) => next_line_row(lines, read_url),
        }
    }

    /// A note about the file for the user, before it is read.
    pub(crate) fn note(&self) -> Option<String> {
        match &self.rows {
            Rows::Csv(reader) => reader.note(),
            Rows::Ndjson(_) | Rows::Urls(_) => None,
        }
    }

    /// Bytes read so far.
    pub(crate) fn read_bytes(&self) -> u64 {
        self.read_bytes.load(Ordering::Relaxed)
    }

    /// The bytes of the file, if known.
    pub(crate) fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }
}

fn format_of(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "csv" | "tsv" => Some(Format::Csv),
        "ndjson" | "jsonl" => Some(Format::Ndjson),
        "txt" => Some(Format::Urls),
        _ => None,
    }
}

/// The program whose workbooks have this file extension.
fn workbook_of(ending: &str) -> Option<&'static str> {
    match ending.to_ascii_lowercase().as_str() {
        "xlsx" | "xls" | "xlsm" | "xlsb" => Some("Excel"),
        "ods" | "fods" => Some("LibreOffice"),
        "numbers" => Some("Numbers"),
        _ => None,
    }
}

fn next_line_row(lines: &mut Lines<Input>, read: ReadLine) -> io::Result<Option<Row>> {
    while let Some(line) = lines.next_line()? {
        match line {
            Line::Text { bytes, .. } if bytes.trim_ascii().is_empty() => {}
            Line::Text { number, bytes } => return Ok(Some(Row { line: number, body: read(bytes) })),
            Line::TooLong { number } => return Ok(Some(Row { line: number, body: Err(Refusal::too_long()) })),
        }
    }
    Ok(None)
}

/// A link as an object, or its destination as a string.
fn read_json(bytes: &[u8]) -> Result<Map<String, Value>, Refusal> {
    let text = str::from_utf8(bytes).map_err(|_| Refusal::not_utf8(""))?;
    match serde_json::from_str(text) {
        Ok(Value::Object(body)) => Ok(body),
        Ok(Value::String(url)) => Ok(link_to(url)),
        Ok(_) => Err(Refusal::new("json", "neither an object nor a string")),
        Err(error) => Err(Refusal::new("json", format!("not JSON: {}", Unescaped(&error.to_string())))),
    }
}

fn read_url(bytes: &[u8]) -> Result<Map<String, Value>, Refusal> {
    let text = str::from_utf8(bytes).map_err(|_| Refusal::not_utf8(""))?;
    Ok(link_to(text.to_owned()))
}

fn link_to(url: String) -> Map<String, Value> {
    Map::from_iter([("destination_url".to_owned(), Value::String(url))])
}

/// Counts what is read, for the progress bar.
struct CountingReader {
    input: Input,
    read_bytes: Arc<AtomicU64>,
}

impl Read for CountingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.read_bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn rows(name: &str, text: &[u8]) -> Vec<(u64, Result<Value, String>)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let mut source = Source::open(&path, None, SlugColumn::Own).unwrap();
        let mut rows = Vec::new();
        while let Some(row) = source.next_row().unwrap() {
            rows.push((row.line, row.body.map(Value::Object).map_err(|refusal| refusal.code)));
        }
        assert_eq!((source.read_bytes(), source.total_bytes()), (text.len() as u64, Some(text.len() as u64)));
        rows
    }

    fn link(url: &str) -> Result<Value, String> {
        Ok(Value::Object(link_to(url.to_owned())))
    }

    #[test]
    fn ndjson_has_objects_and_strings() {
        let text = b"{\"destination_url\":\"https://a.example/\"}\n\n\"https://b.example/\"\r\n[]\n{\n\"\xff\"\n7";
        let expect = [
            (1, link("https://a.example/")),
            (3, link("https://b.example/")),
            (4, Err("json".to_owned())),
            (5, Err("json".to_owned())),
            (6, Err("utf8".to_owned())),
            (7, Err("json".to_owned())),
        ];
        assert_eq!(rows("a.ndjson", text), expect);
    }

    #[test]
    fn lists_have_one_url_a_line() {
        let expect = [(1, link("https://a.example/ ")), (3, link("# b"))];
        assert_eq!(rows("a.txt", b"https://a.example/ \n\n# b"), expect);
    }

    #[test]
    fn an_unclear_format_is_refused() {
        let error = Source::open(Path::new("links.dat"), None, SlugColumn::Own).err().unwrap().to_string();
        assert!(error.contains("--format"), "{error}");
        for name in ["links.xlsx", "links.ODS"] {
            let error = Source::open(Path::new(name), Some(Format::Csv), SlugColumn::Own).err().unwrap().to_string();
            assert!(error.contains("save it as CSV"), "{error}");
        }
    }
}
