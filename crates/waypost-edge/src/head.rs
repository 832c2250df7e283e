//! Heads of requests as most clients send them, taken apart sixteen bytes at a time.
//!
//! This reads a subset of HTTP/1.1 and reads it strictly: lines end in CR LF, names are letters, digits and hyphens,
//! values are printable ASCII. Whatever has anything else in it is [`Head::Other`], for the HTTP engine to read or to
//! refuse: an answer here is never wrong, only sometimes "ask somebody else".

use crate::field_name::FieldName;

/// A block whose bytes are looked at together.
const BLOCK_BYTES: usize = 64;
/// Fields of a head; more are left to the engine.
pub(crate) const FIELDS_MAX: usize = 64;

/// What some bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head<'r> {
    /// A head that was read.
    Complete {
        /// The lines after it, each with its end.
        fields: FieldLines<'r>,
        /// Bytes of the head.
        bytes: usize,
    },
    /// It has no end yet.
    Partial,
    /// Something else.
    Other,
}

/// The fields of a head: lines that are known to be well formed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldLines<'r>(&'r [u8]);

/// One line of a head.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Line<'r> {
    /// The first one, without its end.
    Request(&'r str),
    /// A field.
    Field(Field<'r>),
}

/// A field of a head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'r> {
    pub(crate) name: FieldName,
    /// The value without the spaces around it.
    pub(crate) value: &'r str,
}

/// Reads a head. `take` gets every line and says whether it is one for this way of reading; it may have been called in
/// vain where the head turns out to be [`Head::Other`] or partial.
#[inline]
pub(crate) fn read<'r>(bytes: &'r [u8], mut take: impl FnMut(Line<'r>) -> bool) -> Head<'r> {
    let mut lines = Lines::new(bytes);
    let Some(request_line) = lines.next() else { return lines.end() };
    if !take(Line::Request(request_line)) {
        return Head::Other;
    }
    let fields_at = lines.line_at;
    for _ in 0..=FIELDS_MAX {
        let line_at = lines.line_at;
        let Some(line) = lines.next() else { return lines.end() };
        if line.is_empty() {
            let fields = FieldLines(&bytes[fields_at..line_at]);
            return Head::Complete { fields, bytes: lines.line_at };
        }
        let Some(field) = Field::read(line, &bytes[line_at..]) else { return Head::Other };
        if !take(Line::Field(field)) {
            return Head::Other;
        }
    }
    Head::Other
}

impl<'r> FieldLines<'r> {
    /// Names and values, in order.
    pub(crate) fn iter(self) -> impl DoubleEndedIterator<Item = (&'r [u8], &'r [u8])> {
        self.0.split(|byte| *byte == b'\n').filter_map(|line| {
            let line = line.strip_suffix(b"\r")?;
            let colon = line.iter().position(|byte| *byte == b':')?;
            Some((&line[..colon], line[colon + 1..].trim_ascii()))
        })
    }
}

impl<'r> Field<'r> {
    /// Reads a line; `rest` is the head from there on. `None` if the line is no field, or not for this way of reading.
    #[inline]
    fn read(line: &'r str, rest: &[u8]) -> Option<Self> {
        let start = match rest.first_chunk::<16>() {
            Some(start) => *start,
            None => {
                let mut start = [b' '; 16];
                start[..rest.len()].copy_from_slice(rest);
                start
            }
        };
        let colon = match lanes::no_name(&start) {
            0 => 16 + name_bytes(&rest[16..]),
            others => others.trailing_zeros() as usize,
        };
        if colon == 0 || line.as_bytes().get(colon) != Some(&b':') {
            return None;
        }
        // What a name may hold is in lower case once this bit is set.
        let low = (u128::from_le_bytes(start) | u128::from_le_bytes([0x20; 16])) & STARTS[colon.min(16)];
        let name = FieldName::of_start(colon, low);
        Some(Self { name, value: line[colon + 1..].trim_ascii() })
    }
}

/// The first bytes of sixteen, by their number.
static STARTS: [u128; 17] = {
    let mut starts = [u128::MAX; 17];
    let mut count = 0;
    while count < 16 {
        starts[count] = (1 << (8 * count)) - 1;
        count += 1;
    }
    starts
};

/// The bytes at the beginning that a name may have: letters, digits, hyphens.
#[cold]
fn name_bytes(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'-')).unwrap_or(bytes.len())
}

/// The lines of some bytes, one by one, while they hold nothing but printable ASCII between CR LFs.
struct Lines<'r> {
    bytes: &'r [u8],
    /// Where the next line begins.
    line_at: usize,
    /// Where the block begins whose bytes are in `others`.
    block_at: usize,
    /// What is not printable ASCII in the block and comes after the last line, a bit each.
    others: u64,
    /// The last line ends with the first byte of the block to come.
    ends_in_next: bool,
    is_faulty: bool,
}

impl<'r> Lines<'r> {
    fn new(bytes: &'r [u8]) -> Self {
        let mut lines = Self { bytes, line_at: 0, block_at: 0, others: 0, ends_in_next: false, is_faulty: false };
        lines.look();
        lines
    }

    /// The next line without its end.
    #[inline(always)]
    #[allow(unsafe_code, reason = "asking whether printable ASCII is UTF-8 takes longer than all the rest; see below")]
    fn next(&mut self) -> Option<&'r str> {
        while self.others == 0 {
            if self.block_at + BLOCK_BYTES >= self.bytes.len() {
                return None;
            }
            self.block_at += BLOCK_BYTES;
            self.look();
        }
        let place = self.others.trailing_zeros();
        let end = self.block_at + place as usize;
        match self.bytes[end..] {
            [b'\r', b'\n', ..] => {}
            // What follows has not come yet.
            [b'\r'] => return None,
            _ => {
                self.is_faulty = true;
                return None;
            }
        }
        // The carriage return, and the line feed where that is in this block.
        self.others &= !(0b11 << place);
        self.ends_in_next = place == BLOCK_BYTES as u32 - 1;
        let line = &self.bytes[self.line_at..end];
        self.line_at = end + 2;
        debug_assert!(line.is_ascii());
        // SAFETY: every byte from the last line's end up to `end` has been looked at, and `end` is the first of them
        // that is not printable ASCII. So the line is ASCII, and that is UTF-8.
        Some(unsafe { str::from_utf8_unchecked(line) })
    }

    /// What it means that there is no further line.
    fn end<'h>(&self) -> Head<'h> {
        if self.is_faulty { Head::Other } else { Head::Partial }
    }

    /// Looks at the block that begins at `block_at`.
    #[inline]
    fn look(&mut self) {
        let rest = &self.bytes[self.block_at..];
        self.others = match rest.first_chunk::<BLOCK_BYTES>() {
            Some(block) => others(block),
            None => {
                let mut block = [b' '; BLOCK_BYTES];
                block[..rest.len()].copy_from_slice(rest);
                others(&block)
            }
        };
        self.others &= !u64::from(self.ends_in_next);
        self.ends_in_next = false;
    }
}

/// What is not printable ASCII in a block, a bit each.
#[inline]
fn others(block: &[u8; BLOCK_BYTES]) -> u64 {
    let (lanes, _) = block.as_chunks::<16>();
    lanes.iter().rev().fold(0, |others, lanes| others << 16 | u64::from(lanes::no_print(lanes)))
}

/// Sixteen bytes at once, by instructions of SSE2.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "the compiler asks for it to call what needs SSE2, which every x86-64 has")]
mod lanes {
    use std::arch::x86_64::{
        __m128i, _mm_andnot_si128, _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8, _mm_setzero_si128, _mm_sub_epi8,
    };

    /// What is not printable ASCII.
    #[inline]
    pub(super) fn no_print(bytes: &[u8; 16]) -> u16 {
        // SAFETY: SSE2 is part of x86-64; the function is safe otherwise.
        unsafe { no_print_sse2(bytes) }
    }

    /// What is no letter, digit or hyphen.
    #[inline]
    pub(super) fn no_name(bytes: &[u8; 16]) -> u16 {
        // SAFETY: as above.
        unsafe { no_name_sse2(bytes) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn no_print_sse2(bytes: &[u8; 16]) -> u16 {
        !bits(in_range(load(bytes), b' ', 95))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn no_name_sse2(bytes: &[u8; 16]) -> u16 {
        let lanes = load(bytes);
        let letters = in_range(_mm_or_si128(lanes, each(0x20)), b'a', 26);
        let others = _mm_or_si128(in_range(lanes, b'0', 10), _mm_cmpeq_epi8(lanes, each(b'-')));
        let is_no_ascii = _mm_cmplt_epi8(lanes, _mm_setzero_si128());
        !bits(_mm_andnot_si128(is_no_ascii, _mm_or_si128(letters, others)))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn load(bytes: &[u8; 16]) -> __m128i {
        let number = u128::from_le_bytes(*bytes);
        _mm_set_epi64x((number >> 64) as i64, number as i64)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn each(byte: u8) -> __m128i {
        _mm_set1_epi8(byte.cast_signed())
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn bits(lanes: __m128i) -> u16 {
        _mm_movemask_epi8(lanes) as u16
    }

    /// Lanes that are in a range of so many bytes from `first` on. There are only comparisons of signed numbers, so
    /// both sides are moved by half of all values.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn in_range(lanes: __m128i, first: u8, count: u8) -> __m128i {
        _mm_cmplt_epi8(_mm_sub_epi8(lanes, each(first ^ 0x80)), each(count ^ 0x80))
    }
}

/// The same byte by byte.
#[cfg(not(target_arch = "x86_64"))]
mod lanes {
    fn bits(bytes: &[u8; 16], is: impl Fn(u8) -> bool) -> u16 {
        bytes.iter().rev().fold(0, |bits, byte| bits << 1 | u16::from(is(*byte)))
    }

    pub(super) fn no_print(bytes: &[u8; 16]) -> u16 {
        bits(bytes, |byte| !matches!(byte, b' '..=b'~'))
    }

    pub(super) fn no_name(bytes: &[u8; 16]) -> u16 {
        bits(bytes, |byte| !(byte.is_ascii_alphanumeric() || byte == b'-'))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    type Fields = Vec<(String, String)>;

    /// What is read of a head, in owned strings.
    fn read_all(bytes: &[u8]) -> Option<Result<(String, Fields, usize), ()>> {
        let mut taken = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut request_line = String::new();
        match read(bytes, |line| {
            match line {
                Line::Request(line) => request_line = line.to_owned(),
                Line::Field(field) => taken.push((field.name, field.value.to_owned())),
            }
            true
        }) {
            Head::Complete { fields, bytes } => {
                let read: Fields = fields.iter().map(|(name, value)| (text(name), text(value))).collect();
                let named: Vec<_> =
                    read.iter().map(|(name, value)| (FieldName::of(name.as_bytes()), value.clone())).collect();
                assert_eq!(named, taken);
                let mut reversed: Fields = fields.iter().rev().map(|(name, value)| (text(name), text(value))).collect();
                reversed.reverse();
                assert_eq!(reversed, read);
                Some(Ok((request_line, read, bytes)))
            }
            Head::Partial => None,
            Head::Other => Some(Err(())),
        }
    }

    #[track_caller]
    fn check(text: &str, expect: Option<Result<&[(&str, &str)], ()>>) {
        let read = read_all(text.as_bytes()).map(|read| read.map(|(_, fields, _)| fields));
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        assert_eq!(read, expect.map(|expect| expect.map(|fields| fields.iter().map(own).collect())), "{text:?}");
    }

    #[test]
    fn heads() {
        check("GET / HTTP/1.1\r\n\r\n", Some(Ok(&[])));
        check(
            "GET / HTTP/1.1\r\nA: b\r\nC-1:d  e \r\nEmpty:\r\n\r\n",
            Some(Ok(&[("A", "b"), ("C-1", "d  e"), ("Empty", "")])),
        );
        check("x\r\nA:b\r\n\r\nB: c\n", Some(Ok(&[("A", "b")])));
        for partial in
            ["", "G", "GET / HTTP/1.1", "GET / HTTP/1.1\r", "x\r\n", "x\r\nA: b", "x\r\nA: b\r\n", "x\r\nA: b\r\n\r"]
        {
            check(partial, None);
        }
        for other in [
            "x\n\r\n",
            "x\r\nA: b\n\r\n",
            "x\ry\r\n\r\n",
            "x\r\nA: \r b\r\n\r\n",
            "x\r\nA: b\r\r\n\r\n",
            "x\r\n b\r\n\r\n",
            "x\r\n: b\r\n\r\n",
            "x\r\nA : b\r\n\r\n",
            "x\r\nA_b: c\r\n\r\n",
            "x\r\nb\r\n\r\n",
            "x\r\nA: \u{e9}\r\n\r\n",
            "x\r\nA: \t\r\n\r\n",
            "x\r\nA: \0\r\n\r\n",
            "x\r\n\u{c1}: b\r\n\r\n",
            "\u{16}\u{3}\u{1}",
        ] {
            check(other, Some(Err(())));
        }
        let many = |count: usize| format!("x\r\n{}\r\n", "A: b\r\n".repeat(count));
        assert!(read_all(many(FIELDS_MAX).as_bytes()).unwrap().is_ok());
        assert!(read_all(many(FIELDS_MAX + 1).as_bytes()).unwrap().is_err());
    }

    #[test]
    fn every_byte_in_every_place_of_a_block() {
        for byte in 0..=u8::MAX {
            for place in [0, 1, 14, 15, 16, 17, 31, 62, 63, 64, 65, 127, 128] {
                let mut value = [b'v'; 130];
                value[place] = byte;
                let head = [b"GET / HTTP/1.1\r\nName: x", &value[..], b"x\r\n\r\n"].concat();
                let is_read = matches!(read_all(&head), Some(Ok(_)));
                assert_eq!(is_read, matches!(byte, b' '..=b'~'), "byte {byte} at {place}");
                let mut name = [b'n'; 130];
                name[place] = byte;
                let head = [b"GET / HTTP/1.1\r\n", &name[..], b": x\r\n\r\n"].concat();
                let is_name = byte.is_ascii_alphanumeric() || byte == b'-' || (byte == b':' && place > 0);
                assert_eq!(matches!(read_all(&head), Some(Ok(_))), is_name, "name byte {byte} at {place}");
            }
        }
    }

    proptest! {
        /// What is read here, another parser reads just so.
        #[test]
        fn agrees_with_httparse(pieces in proptest::collection::vec(proptest::sample::select(vec![
            "GET /a HTTP/1.1", "\r\n", "\r\n", "\r\n\r\n", "Host: go.example", "X-Long-Name-Of-A-Header: some value, and more of it; q=1",
            "\r", "\n", ":", " ", "\t", "a", "ä", "A:", "-", "Cookie: a=b; c=d", "User-Agent: Mozilla/5.0 (X11; Linux x86_64)",
        ]), 0..30)) {
            let text = format!("GET /a HTTP/1.1\r\n{}", pieces.concat());
            let mut headers = [httparse::EMPTY_HEADER; 100];
            let mut request = httparse::Request::new(&mut headers);
            let parsed = request.parse(text.as_bytes());
            match read_all(text.as_bytes()) {
                Some(Ok((_, fields, bytes))) => {
                    prop_assert_eq!(parsed, Ok(httparse::Status::Complete(bytes)));
                    let expect: Fields = request.headers.iter()
                        .map(|header| (header.name.to_owned(), String::from_utf8(header.value.to_vec()).unwrap())).collect();
                    prop_assert_eq!(fields, expect);
                }
                None => prop_assert!(parsed.is_err() || parsed == Ok(httparse::Status::Partial)),
                Some(Err(())) => {}
            }
        }
    }
}
