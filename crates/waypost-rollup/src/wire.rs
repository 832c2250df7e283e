//! Numbers and blocks in bytes, of which the formats of this crate consist.
//!
//! A block is a format byte, a body, and the low four bytes of the XXH3 of both. A number is a LEB128 varint of at most
//! ten bytes, in its shortest form.

use xxhash_rust::xxh3::xxh3_64;

use crate::CorruptRollup;

const CHECKSUM_BYTES: usize = 4;

/// An error unless this holds of the bytes.
pub(crate) fn require(holds: bool) -> Result<(), CorruptRollup> {
    if holds { Ok(()) } else { Err(CorruptRollup) }
}

/// Begins a block.
pub(crate) fn begin(format: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    out.push(format);
    out
}

/// Ends it.
pub(crate) fn seal(mut out: Vec<u8>) -> Vec<u8> {
    let checksum = xxh3_64(&out) as u32;
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

/// The body of a block of this format, if its checksum is right.
pub(crate) fn open(format: u8, block: &[u8]) -> Result<Reader<'_>, CorruptRollup> {
    let (content, checksum) = block.split_last_chunk::<CHECKSUM_BYTES>().ok_or(CorruptRollup)?;
    if xxh3_64(content) as u32 != u32::from_le_bytes(*checksum) {
        return Err(CorruptRollup);
    }
    let (first, rest) = content.split_first().ok_or(CorruptRollup)?;
    if *first == format { Ok(Reader { rest }) } else { Err(CorruptRollup) }
}

pub(crate) fn push_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Writes a part and before it how many bytes it has.
pub(crate) fn push_sized(out: &mut Vec<u8>, part: &[u8]) {
    push_varint(out, part.len() as u64);
    out.extend_from_slice(part);
}

/// Reads a varint at `at` and moves it on.
#[inline]
pub(crate) fn varint_at(bytes: &[u8], at: &mut usize) -> Result<u64, CorruptRollup> {
    let first = *bytes.get(*at).ok_or(CorruptRollup)?;
    *at += 1;
    if first < 0x80 {
        return Ok(first.into());
    }
    let mut number = u64::from(first & 0x7f);
    for shift in (7..64).step_by(7) {
        let byte = *bytes.get(*at).ok_or(CorruptRollup)?;
        *at += 1;
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 {
            return Err(CorruptRollup);
        }
        number |= part << shift;
        if byte < 0x80 {
            return if byte == 0 { Err(CorruptRollup) } else { Ok(number) };
        }
    }
    Err(CorruptRollup)
}

/// What is left to read.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, bytes: usize) -> Result<&'a [u8], CorruptRollup> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or(CorruptRollup)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn varint(&mut self) -> Result<u64, CorruptRollup> {
        let mut at = 0;
        let number = varint_at(self.rest, &mut at)?;
        self.rest = &self.rest[at..];
        Ok(number)
    }

    /// A count with an upper limit.
    pub(crate) fn count(&mut self, max: usize) -> Result<usize, CorruptRollup> {
        let count = usize::try_from(self.varint()?).map_err(|_| CorruptRollup)?;
        if count <= max { Ok(count) } else { Err(CorruptRollup) }
    }

    /// What [`push_sized`] wrote.
    pub(crate) fn sized(&mut self) -> Result<Self, CorruptRollup> {
        let bytes = self.count(self.rest.len())?;
        Ok(Self { rest: self.take(bytes)? })
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// That nothing is left.
    pub(crate) fn end(self) -> Result<(), CorruptRollup> {
        if self.rest.is_empty() { Ok(()) } else { Err(CorruptRollup) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_varint(bytes: &[u8], expect: Option<u64>) {
        let mut at = 0;
        assert_eq!(varint_at(bytes, &mut at).ok(), expect, "{bytes:?}");
    }

    #[test]
    fn varints_have_one_form() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX >> 1, u64::MAX] {
            let mut out = Vec::new();
            push_varint(&mut out, number);
            check_varint(&out, Some(number));
            check_varint(&out[..out.len() - 1], None);
        }
        check_varint(&[0x80, 0], None);
        check_varint(&[0xff; 11], None);
        check_varint(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], None);
    }

    #[test]
    fn a_block_is_whole_or_refused() {
        let mut block = begin(7);
        push_varint(&mut block, 9);
        let block = seal(block);
        assert!(open(7, &block).is_ok());
        assert!(open(8, &block).is_err());
        assert!((0..block.len()).all(|end| open(7, &block[..end]).is_err()));
    }
}
