//! Splits a stream into the records of a CSV file (RFC 4180), whatever program wrote it: columns separated by commas,
//! semicolons or tabs, with or without a byte order mark, with any line ends.

use std::io::{self, BufRead as _, BufReader, Chain, Cursor, Read};

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use crate::transfer::row::RECORD_BYTES_MAX;

/// The most columns of a file.
const COLUMNS_MAX: usize = 64;
const BUFFER_BYTES: usize = 64 * 1024;
/// The most bytes of the first line that are read to find the separator.
const HEADING_BYTES_MAX: usize = 16 * 1024;
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];
/// The byte order marks of UTF-16, in both byte orders.
const UTF16_MARKS: [[u8; 2]; 2] = [[0xff, 0xfe], [0xfe, 0xff]];
/// The first bytes of workbooks and archives: ZIP (`.xlsx`, `.ods`), the older `.xls`, gzip.
const ARCHIVE_MARKS: [&[u8]; 3] = [b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"\x1f\x8b"];
/// The separators of columns; if two fit equally well, the first is used.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// One record of a file.
pub(crate) struct Record<'r> {
    /// The line it begins on, from 1.
    pub(crate) line: u64,
    bytes: &'r [u8],
    /// Where each cell ends in `bytes`.
    pub(crate) ends: &'r [usize],
    /// It has too many bytes or cells, and was skipped.
    pub(crate) is_too_long: bool,
    /// If a quote in it is still open at the end of the file: how many lines follow the one that it begins on.
    pub(crate) unclosed_lines: Option<u64>,
}

impl<'r> Record<'r> {
    pub(crate) fn cells(&self) -> impl Iterator<Item = &'r [u8]> {
        let (bytes, mut start) = (self.bytes, 0);
        self.ends.iter().map(move |end| &bytes[std::mem::replace(&mut start, *end)..*end])
    }

    /// Whether there is nothing in it but separators.
    pub(crate) fn is_blank(&self) -> bool {
        !self.is_too_long && self.unclosed_lines.is_none() && self.bytes.trim_ascii().is_empty()
    }
}

/// Splits a stream into records, in bounded memory, and counts lines.
pub(crate) struct Records<R> {
    input: BufReader<Chain<Cursor<Vec<u8>>, R>>,
    reader: Reader,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// The line of the next byte, from 1.
    line: u64,
}

impl<R: Read> Records<R> {
    /// Finds the separator: the one with which the first line has a heading that `is_wanted`.
    ///
    /// # Errors
    /// If reading fails, or the first bytes are those of UTF-16, a workbook or an archive.
    pub(crate) fn new(mut input: R, is_wanted: fn(&[u8]) -> bool) -> anyhow::Result<Self> {
        let mut start = read_first_line(&mut input)?;
        anyhow::ensure!(
            !UTF16_MARKS.iter().any(|mark| start.starts_with(mark)),
            "the file is UTF-16: save it as UTF-8 (in a spreadsheet: \"CSV UTF-8\")"
        );
        let is_other = ARCHIVE_MARKS.iter().any(|mark| start.starts_with(mark));
        anyhow::ensure!(
            !is_other,
            "the file is a workbook or an archive: save it as CSV (\"CSV UTF-8\") and import that"
        );
        if start.starts_with(&BYTE_ORDER_MARK) {
            start.drain(..BYTE_ORDER_MARK.len());
        }
        let separator = match declared_separator(&start) {
            Some((separator, bytes)) => {
                // Its line end stays, so that the line is counted.
                start.drain(..bytes);
                separator
            }
            None => guess_separator(&start, is_wanted),
        };
        Ok(Self {
            input: BufReader::with_capacity(BUFFER_BYTES, Cursor::new(start).chain(input)),
            reader: ReaderBuilder::new().delimiter(separator).build(),
            bytes: vec![0; RECORD_BYTES_MAX],
            ends: vec![0; COLUMNS_MAX],
            line: 1,
        })
    }

    /// The next record; empty lines are skipped.
    ///
    /// # Errors
    /// If reading fails.
    pub(crate) fn next_record(&mut self) -> io::Result<Option<Record<'_>>> {
        self.skip_line_ends()?;
        let line = self.line;
        let (mut bytes_count, mut ends_count, mut is_too_long) = (0, 0, false);
        let (mut is_unclosed, mut is_at_line_start) = (false, false);
        if self.input.fill_buf()?.is_empty() {
            return Ok(None);
        }
        loop {
            let input = self.input.fill_buf()?;
            if input.is_empty() && !is_unclosed {
                // A line end ends the last record, unless it is inside quotes.
                let (result, _, written, ended) =
                    self.reader.read_record(b"\n", &mut self.bytes[bytes_count..], &mut self.ends[ends_count..]);
                bytes_count += written;
                ends_count += ended;
                match result {
                    ReadRecordResult::Record | ReadRecordResult::End => break,
                    ReadRecordResult::InputEmpty => is_unclosed = true,
                    ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                        is_too_long = true;
                        (bytes_count, ends_count) = (0, 0);
                    }
                }
                continue;
            }
            let (result, read, written, ended) =
                self.reader.read_record(input, &mut self.bytes[bytes_count..], &mut self.ends[ends_count..]);
            self.line += memchr::memchr_iter(b'\n', &input[..read]).count() as u64;
            is_at_line_start = input[..read].last().map_or(is_at_line_start, |byte| *byte == b'\n');
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
        let unclosed_lines = is_unclosed.then(|| self.line - line - u64::from(is_at_line_start && self.line > line));
        let (bytes, ends) = (&self.bytes[..bytes_count], &self.ends[..ends_count]);
        Ok(Some(Record { line, bytes, ends, is_too_long, unclosed_lines }))
    }

    /// Skips line ends, so that empty lines are counted before the record that follows them.
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

/// Reads at least up to the first line end that is not between quotes.
fn read_first_line(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let (mut text, mut chunk) = (Vec::new(), [0; 1024]);
    while text.len() < HEADING_BYTES_MAX && first_line(&text).len() == text.len() {
        match input.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => text.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(text)
}

/// The text up to its first line end that is not between quotes.
fn first_line(text: &[u8]) -> &[u8] {
    let mut is_quoted = false;
    let end = text.iter().position(|byte| {
        is_quoted ^= *byte == b'"';
        !is_quoted && matches!(byte, b'\n' | b'\r')
    });
    &text[..end.unwrap_or(text.len())]
}

/// The separator that a first line `sep=;` of a spreadsheet declares, and the bytes of that line before its line end.
fn declared_separator(text: &[u8]) -> Option<(u8, usize)> {
    let line = first_line(text);
    let [separator] = line.strip_prefix(b"sep=")? else { return None };
    Some((*separator, line.len()))
}

/// The separator with which the first line has a wanted heading, otherwise the one that gives the most columns.
fn guess_separator(text: &[u8], is_wanted: fn(&[u8]) -> bool) -> u8 {
    let line = first_line(text);
    let fit = |separator: u8| {
        let (mut cells, mut ends) = (vec![0; line.len() + 1], [0; COLUMNS_MAX]);
        let mut reader = ReaderBuilder::new().delimiter(separator).build();
        let (_, read, _, mut count) = reader.read_record(line, &mut cells, &mut ends);
        // The end of the text ends the last cell.
        count += reader.read_record(&line[read..], &mut [0; 1], &mut ends[count..]).3;
        let mut start = 0;
        let has_wanted = ends[..count].iter().any(|end| is_wanted(&cells[std::mem::replace(&mut start, *end)..*end]));
        (has_wanted, count)
    };
    SEPARATORS.into_iter().rev().max_by_key(|separator| fit(*separator)).unwrap_or(b',')
}
