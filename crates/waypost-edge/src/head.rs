//! Heads of requests as most clients send them, taken apart sixteen bytes at a time.
//!
//! This reads a subset of HTTP/1.1 and reads it strictly: lines end in CR LF, names are letters, digits and hyphens, values
//! are printable ASCII. Whatever has anything else in it is [`Head::Other`], for the HTTP engine to read or to refuse: an
//! answer here is never wrong, only sometimes "ask somebody else".

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
    Request(&'r [u8]),
    /// A field: its name as it came, and its value without the spaces around it.
    Field(&'r [u8], &'r [u8]),
}

/// Reads a head. `take` gets every line and says whether it is one for this way of reading; it may have been called in vain
/// where the head turns out to be [`Head::Other`] or partial.
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
        let colon = name_bytes(&bytes[line_at..]);
        if colon == 0 || line.get(colon) != Some(&b':') || !take(Line::Field(&line[..colon], value(&line[colon + 1..])))
        {
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
            Some((&line[..colon], value(&line[colon + 1..])))
        })
    }
}

/// A value without the spaces around it.
fn value(bytes: &[u8]) -> &[u8] {
    let mut value = bytes;
    while let [b' ', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' '] = value {
        value = rest;
    }
    value
}

/// The lines of some bytes, one by one, while they hold nothing but printable ASCII between CR LFs.
struct Lines<'r> {
    bytes: &'r [u8],
    /// Where the next line begins.
    line_at: usize,
    /// Where the block begins whose line ends are in `ends`.
    block_at: usize,
    /// The line feeds of the block that are still to come, a bit each.
    ends: u64,
    /// What there must not be in the block, a bit each.
    faults: u64,
    /// Whether the block before ends in a carriage return.
    is_return_before: bool,
    is_faulty: bool,
}

impl<'r> Lines<'r> {
    fn new(bytes: &'r [u8]) -> Self {
        let mut lines =
            Self { bytes, line_at: 0, block_at: 0, ends: 0, faults: 0, is_return_before: false, is_faulty: false };
        lines.look();
        lines
    }

    /// The next line without its end.
    #[inline]
    fn next(&mut self) -> Option<&'r [u8]> {
        while self.ends == 0 {
            if self.faults != 0 || self.block_at + BLOCK_BYTES >= self.bytes.len() {
                self.is_faulty |= self.faults != 0;
                return None;
            }
            self.block_at += BLOCK_BYTES;
            self.look();
        }
        // What comes behind this line is not its fault.
        let before = self.ends ^ (self.ends - 1);
        if self.faults & before != 0 {
            self.is_faulty = true;
            return None;
        }
        let end = self.block_at + self.ends.trailing_zeros() as usize;
        self.ends &= self.ends - 1;
        // Every line feed here has a carriage return before it, or is a fault.
        let line = &self.bytes[self.line_at..end - 1];
        self.line_at = end + 1;
        Some(line)
    }

    /// What it means that there is no further line.
    fn end<'h>(&self) -> Head<'h> {
        if self.is_faulty { Head::Other } else { Head::Partial }
    }

    /// Looks at the block that begins at `block_at`.
    #[inline]
    fn look(&mut self) {
        let rest = &self.bytes[self.block_at..];
        let seen = match rest.first_chunk::<BLOCK_BYTES>() {
            Some(block) => Seen::of(block),
            None => {
                let mut block = [b' '; BLOCK_BYTES];
                block[..rest.len()].copy_from_slice(rest);
                Seen::of(&block)
            }
        };
        let after_return = seen.returns << 1 | u64::from(self.is_return_before);
        // A return and a feed belong together. That the last byte is a return is judged with the next block.
        self.faults = seen.others | (after_return ^ seen.feeds);
        self.ends = seen.feeds;
        self.is_return_before = seen.returns >> (BLOCK_BYTES - 1) != 0;
        if rest.len() < BLOCK_BYTES && rest.last() == Some(&b'\r') {
            // What follows it has not come yet.
            self.faults &= !(1 << rest.len());
        }
    }
}

/// Where in a block there are certain bytes, a bit each.
struct Seen {
    feeds: u64,
    returns: u64,
    /// Neither those nor printable ASCII.
    others: u64,
}

/// The bytes at the beginning that a name may have: letters, digits, hyphens.
#[inline]
fn name_bytes(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(lanes) = bytes[at..].first_chunk::<16>() {
        let others = lanes::no_name(lanes);
        if others != 0 {
            return at + others.trailing_zeros() as usize;
        }
        at += 16;
    }
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    at + bytes[at..].iter().position(|byte| !is_name(byte)).unwrap_or(bytes.len() - at)
}

impl Seen {
    #[inline]
    fn of(block: &[u8; BLOCK_BYTES]) -> Self {
        let mut seen = Self { feeds: 0, returns: 0, others: 0 };
        let (lanes, _) = block.as_chunks::<16>();
        for (index, lanes) in lanes.iter().enumerate() {
            let [feeds, returns, others] = lanes::lines(lanes);
            let shift = index * 16;
            seen.feeds |= u64::from(feeds) << shift;
            seen.returns |= u64::from(returns) << shift;
            seen.others |= u64::from(others) << shift;
        }
        seen
    }
}

/// Sixteen bytes at once, by instructions of SSE2.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "the compiler asks for it to call what needs SSE2, which every x86-64 has")]
mod lanes {
    use std::arch::x86_64::{
        __m128i, _mm_andnot_si128, _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8, _mm_setzero_si128, _mm_sub_epi8,
    };

    /// Line feeds, carriage returns, and what is neither of them nor printable ASCII.
    #[inline]
    pub(super) fn lines(bytes: &[u8; 16]) -> [u16; 3] {
        // SAFETY: SSE2 is part of x86-64; the function is safe otherwise.
        unsafe { lines_sse2(bytes) }
    }

    /// What is no letter, digit or hyphen.
    #[inline]
    pub(super) fn no_name(bytes: &[u8; 16]) -> u16 {
        // SAFETY: as above.
        unsafe { no_name_sse2(bytes) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn lines_sse2(bytes: &[u8; 16]) -> [u16; 3] {
        let lanes = load(bytes);
        let feeds = _mm_cmpeq_epi8(lanes, each(b'\n'));
        let returns = _mm_cmpeq_epi8(lanes, each(b'\r'));
        let known = _mm_or_si128(in_range(lanes, b' ', 95), _mm_or_si128(feeds, returns));
        [bits(feeds), bits(returns), !bits(known)]
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

    /// Lanes that are in a range of so many bytes from `first` on. There are only comparisons of signed numbers, so both sides
    /// are moved by half of all values.
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

    pub(super) fn lines(bytes: &[u8; 16]) -> [u16; 3] {
        let others = bits(bytes, |byte| !matches!(byte, b' '..=b'~' | b'\r' | b'\n'));
        [bits(bytes, |byte| byte == b'\n'), bits(bytes, |byte| byte == b'\r'), others]
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

    /// What is read of a head, in owned texts.
    fn read_all(bytes: &[u8]) -> Option<Result<(String, Fields, usize), ()>> {
        let mut taken = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut request_line = String::new();
        match read(bytes, |line| {
            match line {
                Line::Request(line) => request_line = text(line),
                Line::Field(name, value) => taken.push((text(name), text(value))),
            }
            true
        }) {
            Head::Complete { fields, bytes } => {
                let again: Fields = fields.iter().map(|(name, value)| (text(name), text(value))).collect();
                assert_eq!(again, taken);
                let mut reversed: Fields = fields.iter().rev().map(|(name, value)| (text(name), text(value))).collect();
                reversed.reverse();
                assert_eq!(reversed, taken);
                Some(Ok((request_line, taken, bytes)))
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
