//! Reads the compact form in place. [`super`] describes the format; [`crate::decide::decide`] evaluates it.

use serde::Serialize;

use super::{
    FLAG_ENABLED, FLAG_FORWARD_QUERY, FLAG_NEEDS_PLACE, FLAG_VARIES, FORMAT, HEADER_BYTES, MORE_CONDITIONS, NO_TEXT,
    StepSource, checksum,
};

/// Bytes that are not the compact form of a link: damaged, truncated, or of another format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stored link record is damaged or of another format")]
pub struct CorruptRecord;

/// An id in the compact form; serialised as it was written, as a number or a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum CompactId<'a> {
    /// A whole number.
    Number(i64),
    /// Any string.
    Text(&'a str),
}

impl CompactId<'_> {
    /// The id as a string; the same for `42` and `"42"`.
    pub fn to_text(&self) -> std::borrow::Cow<'_, str> {
        match self {
            Self::Number(number) => number.to_string().into(),
            Self::Text(text) => (*text).into(),
        }
    }
}

/// A link in compact form. Its checksum has been verified; strings are read in place.
#[derive(Clone, Copy, Debug)]
pub struct CompactLink<'a> {
    bytes: &'a [u8],
    destination: &'a str,
    /// The strings after the destination.
    texts: Reader<'a>,
}

impl<'a> CompactLink<'a> {
    /// Reads stored bytes as a link.
    ///
    /// # Errors
    /// If the checksum or the format is wrong: the bytes are damaged and must not be followed.
    pub fn read(bytes: &'a [u8]) -> Result<Self, CorruptRecord> {
        if bytes.len() < HEADER_BYTES || bytes[8] != FORMAT || bytes[..8] != checksum(bytes) {
            return Err(CorruptRecord);
        }
        let mut texts = Reader { bytes: &bytes[HEADER_BYTES..] };
        let destination = texts.text()?;
        Ok(Self { bytes, destination, texts })
    }

    /// Whether the link can be followed; false for what [`super::unreadable`] returns.
    pub fn is_readable(&self) -> bool {
        self.header(40) != super::NO_RECORD.to_le_bytes()
    }

    /// The version; an edge never goes back to a smaller one.
    pub fn version(&self) -> u64 {
        u64::from_le_bytes(self.header(16))
    }

    /// Where visitors go when no rule sends them elsewhere.
    pub fn destination(&self) -> &'a str {
        self.destination
    }

    /// Whether the link answers at all.
    pub fn enabled(&self) -> bool {
        self.bytes[9] & FLAG_ENABLED != 0
    }

    /// The link's id, if the record had one.
    pub fn link_id(&self) -> Option<&'a str> {
        self.optional_text(0)
    }

    /// The account's id, if the record had one.
    pub fn account_id(&self) -> Option<&'a str> {
        self.optional_text(1)
    }

    /// Where the link leads after it has expired.
    pub fn expired_url(&self) -> Option<&'a str> {
        self.optional_text(2)
    }

    /// The hash that an unlock is checked against.
    pub fn password_hash(&self) -> Option<&'a str> {
        self.optional_text(3)
    }

    /// Whether rules, times, countries or a split may send some visitors elsewhere than to the destination.
    pub fn has_steps(&self) -> bool {
        self.header::<4>(40) != [0; 4]
    }

    /// Whether a rule asks for the visitor's region or city, which edges look up only then.
    pub fn needs_place(&self) -> bool {
        self.bytes[9] & FLAG_NEEDS_PLACE != 0
    }

    pub(crate) fn forward_query(&self) -> bool {
        self.bytes[9] & FLAG_FORWARD_QUERY != 0
    }

    pub(crate) fn varies(&self) -> bool {
        self.bytes[9] & FLAG_VARIES != 0
    }

    pub(crate) fn redirect_status(&self) -> u16 {
        u16::from_le_bytes(self.header(10))
    }

    pub(crate) fn starts_at(&self) -> Option<i64> {
        Some(i64::from_le_bytes(self.header(24))).filter(|micros| *micros != i64::MIN)
    }

    pub(crate) fn expires_at(&self) -> Option<i64> {
        Some(i64::from_le_bytes(self.header(32))).filter(|micros| *micros != i64::MAX)
    }

    /// The link's UTM parameters and its templates, if it has any.
    pub(crate) fn utm_section(&self) -> Result<Option<Reader<'a>>, CorruptRecord> {
        self.section(12)
    }

    /// The count of steps, then the steps, if it has any.
    pub(crate) fn steps(&self) -> Result<Option<Reader<'a>>, CorruptRecord> {
        self.section(40)
    }

    fn section(&self, at: usize) -> Result<Option<Reader<'a>>, CorruptRecord> {
        match u32::from_le_bytes(self.header(at)) as usize {
            0 => Ok(None),
            offset => Ok(Some(Reader { bytes: self.bytes.get(offset..).ok_or(CorruptRecord)? })),
        }
    }

    fn header<const N: usize>(&self, at: usize) -> [u8; N] {
        self.bytes[at..at + N].try_into().expect("the header was measured when the link was read")
    }

    /// The optional string at `index` after the destination. Damage is not possible here after the checksum was
    /// verified, so it is read as absent.
    fn optional_text(&self, index: usize) -> Option<&'a str> {
        let mut reader = self.texts;
        for _ in 0..index {
            reader.skip_optional_text().ok()?;
        }
        reader.optional_text().ok()?
    }
}

/// Reads the compact form from front to back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], CorruptRecord> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(CorruptRecord)?;
        self.bytes = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], CorruptRecord> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>().ok_or(CorruptRecord)?;
        self.bytes = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, CorruptRecord> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, CorruptRecord> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, CorruptRecord> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, CorruptRecord> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, CorruptRecord> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, CorruptRecord> {
        self.optional_text()?.ok_or(CorruptRecord)
    }

    pub(crate) fn optional_text(&mut self) -> Result<Option<&'a str>, CorruptRecord> {
        match self.u16()? {
            NO_TEXT => Ok(None),
            length => std::str::from_utf8(self.take(usize::from(length))?).map(Some).map_err(|_| CorruptRecord),
        }
    }

    pub(crate) fn skip_optional_text(&mut self) -> Result<(), CorruptRecord> {
        match self.u16()? {
            NO_TEXT => Ok(()),
            length => self.take(usize::from(length)).map(|_| ()),
        }
    }

    pub(crate) fn skip_texts(&mut self, count: usize) -> Result<(), CorruptRecord> {
        (0..count).try_for_each(|_| self.skip_optional_text())
    }

    pub(crate) fn id(&mut self) -> Result<Option<CompactId<'a>>, CorruptRecord> {
        match self.u8()? {
            0 => Ok(None),
            1 => Ok(Some(CompactId::Number(self.i64()?))),
            2 => Ok(Some(CompactId::Text(self.text()?))),
            _ => Err(CorruptRecord),
        }
    }

    /// A reader of the next part, whose length comes first. This reader moves past the part.
    pub(crate) fn sized(&mut self) -> Result<Self, CorruptRecord> {
        let length = self.u32()? as usize;
        Ok(Self { bytes: self.take(length)? })
    }

    /// The source of a step, and whether it has a second byte of conditions.
    pub(crate) fn source(&mut self) -> Result<(StepSource, bool), CorruptRecord> {
        let byte = self.u8()?;
        let source = match byte & !MORE_CONDITIONS {
            0 => StepSource::Rule,
            1 => StepSource::EvolutionRule,
            2 => StepSource::GeoRule,
            3 => StepSource::AbTest,
            _ => return Err(CorruptRecord),
        };
        Ok((source, byte & MORE_CONDITIONS != 0))
    }
}
