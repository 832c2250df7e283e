//! The stored form of one link in the LMDB file: key, header, record.
//!
//! # Format
//!
//! Key: the domain's bytes (none for the default domain), one `0x00`, the slug's bytes. Neither part holds a NUL, so
//! every link key has exactly one; the keys of [`crate::meta`] have none and can never be looked up as a link.
//!
//! Value:
//!
//! | bytes | holds |
//! |---|---|
//! | 0..8 | version, u64 little-endian |
//! | 8 | kind: 1 record, 2 tombstone |
//! | 9..12 | zero |
//! | 12..16 | check, u32 little-endian: low half of XXH3-64 of the key, seeded with version, kind and record length |
//! | 16.. | the record; nothing for a tombstone |
//!
//! The header's length aligns the record to 8 bytes within the value. The check covers header, key and length. So a
//! damaged page never returns another link's record, and a damaged length is found before it is used. The record has
//! its own checksum, which `waypost-core` verifies.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::TableError;

/// The most bytes of domain and slug together. LMDB keys have at most 511, Cloudflare KV keys 512.
pub const NAME_BYTES_MAX: usize = 480;
/// The most bytes of a record.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// Bytes in front of the record in a stored value.
pub(crate) const HEADER_BYTES: usize = 16;
/// Longest key: domain, separator, slug.
pub(crate) const KEY_BYTES_MAX: usize = NAME_BYTES_MAX + 1;

const KIND_RECORD: u8 = 1;
const KIND_TOMBSTONE: u8 = 2;

/// A change of one link: a new record, or its deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// The domain's host, empty for the default domain.
    pub domain: &'a str,
    /// The slug.
    pub slug: &'a str,
    /// The link's version; only written if it is higher than the stored one.
    pub version: u64,
    /// The record's bytes; `None` deletes the link and leaves a tombstone with this version.
    pub record: Option<&'a [u8]>,
}

impl Change<'_> {
    /// Refuses what the table cannot hold.
    pub(crate) fn validate(&self) -> Result<(), TableError> {
        let size_bytes = self.domain.len() + self.slug.len();
        if size_bytes > NAME_BYTES_MAX {
            return Err(TableError::NameTooLong { size_bytes });
        }
        if self.domain.as_bytes().contains(&0) || self.slug.as_bytes().contains(&0) {
            return Err(TableError::NulInName);
        }
        match self.record {
            Some(record) if record.len() > RECORD_BYTES_MAX => {
                Err(TableError::RecordTooLarge { size_bytes: record.len() })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Bytes of the stored key and value.
    pub(crate) fn stored_bytes(&self) -> usize {
        self.domain.len() + 1 + self.slug.len() + HEADER_BYTES + self.record.map_or(0, <[u8]>::len)
    }

    /// Writes the stored value into `value`, replacing what it held.
    pub(crate) fn encode_value(&self, key: &[u8], value: &mut Vec<u8>) {
        value.clear();
        let kind = if self.record.is_some() { KIND_RECORD } else { KIND_TOMBSTONE };
        let record = self.record.unwrap_or_default();
        value.extend_from_slice(&self.version.to_le_bytes());
        value.extend_from_slice(&[kind, 0, 0, 0]);
        value.extend_from_slice(&check(key, self.version, kind, record.len()).to_le_bytes());
        value.extend_from_slice(record);
    }
}

/// A key on the stack. Its length is at most [`KEY_BYTES_MAX`].
pub(crate) struct Key {
    bytes: [u8; KEY_BYTES_MAX],
    len: usize,
}

impl Key {
    /// The key of a link, or `None` if no such link can be stored. A NUL in either name need not be refused here: the
    /// key then has two NULs, and no stored key has two.
    pub(crate) fn new(domain: &str, slug: &str) -> Option<Key> {
        let len = domain.len() + 1 + slug.len();
        if len > KEY_BYTES_MAX {
            return None;
        }
        let mut bytes = [0; KEY_BYTES_MAX];
        bytes[..domain.len()].copy_from_slice(domain.as_bytes());
        bytes[domain.len() + 1..len].copy_from_slice(slug.as_bytes());
        Some(Key { bytes, len })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Replaces the contents of `key` with the key of a link, as [`Key::new`] does. False if no such link can be stored.
#[inline]
pub(crate) fn put_key(domain: &[u8], slug: &[u8], key: &mut Vec<u8>) -> bool {
    key.clear();
    key.extend_from_slice(domain);
    key.push(0);
    key.extend_from_slice(slug);
    key.len() <= KEY_BYTES_MAX
}

/// A decoded value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) version: u64,
    /// `None` for a tombstone.
    pub(crate) record: Option<&'a [u8]>,
}

impl<'a> Entry<'a> {
    /// Reads the value stored under `key`.
    ///
    /// # Errors
    /// [`TableError::DamagedEntry`] when the header is short, of an unknown kind, or not the one written for this key.
    pub(crate) fn decode(key: &[u8], value: &'a [u8]) -> Result<Entry<'a>, TableError> {
        let Some((header, record)) = value.split_first_chunk::<HEADER_BYTES>() else {
            return Err(damaged(key));
        };
        let version = version_in(header);
        let kind = header[8];
        let stored_check = [header[12], header[13], header[14], header[15]];
        if header[9..12] != [0; 3] || stored_check != check(key, version, kind, record.len()).to_le_bytes() {
            return Err(damaged(key));
        }
        match kind {
            KIND_RECORD => Ok(Entry { version, record: Some(record) }),
            KIND_TOMBSTONE if record.is_empty() => Ok(Entry { version, record: None }),
            _ => Err(damaged(key)),
        }
    }
}

/// The record of a stored value, not verified; `None` for a tombstone.
pub(crate) fn record_in(value: &[u8]) -> Option<&[u8]> {
    (value.get(8) == Some(&KIND_RECORD)).then(|| value.get(HEADER_BYTES..).unwrap_or_default())
}

/// The version of a value that this process encoded itself; not verified again.
pub(crate) fn version_of(value: &[u8]) -> u64 {
    value.first_chunk::<HEADER_BYTES>().map_or(0, version_in)
}

/// Whether a value that this process encoded itself is a tombstone.
pub(crate) fn is_tombstone(value: &[u8]) -> bool {
    value.get(8) == Some(&KIND_TOMBSTONE)
}

fn version_in(header: &[u8; HEADER_BYTES]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *header;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// Any change of one of the four changes the seed or the input.
fn check(key: &[u8], version: u64, kind: u8, record_bytes: usize) -> u32 {
    let seed = version.rotate_left(8) ^ u64::from(kind) ^ (record_bytes as u64).rotate_left(40);
    (xxh3_64_with_seed(key, seed) & u64::from(u32::MAX)) as u32
}

pub(crate) fn damaged(key: &[u8]) -> TableError {
    TableError::DamagedEntry { name: String::from_utf8_lossy(key).replacen('\0', "/", 1) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_value_reads_back_and_every_flipped_header_or_key_bit_is_found() {
        let change = Change { domain: "go.example", slug: "docs", version: 7, record: Some(b"record") };
        let key = Key::new(change.domain, change.slug).unwrap();
        let mut value = Vec::new();
        change.encode_value(key.as_bytes(), &mut value);
        let entry = Entry::decode(key.as_bytes(), &value).unwrap();
        assert_eq!(entry, Entry { version: 7, record: Some(b"record") });

        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = value.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Entry::decode(key.as_bytes(), &flipped).is_err(), "header bit {bit}");
        }
        for bit in 0..key.as_bytes().len() * 8 {
            let mut other = key.as_bytes().to_vec();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(Entry::decode(&other, &value).is_err(), "key bit {bit}");
        }
        for len in 0..value.len() {
            assert!(Entry::decode(key.as_bytes(), &value[..len]).is_err(), "value of {len} bytes");
        }
        value.push(b'!');
        assert!(Entry::decode(key.as_bytes(), &value).is_err(), "a record that became longer");
    }

    #[test]
    fn a_tombstone_has_no_record() {
        let change = Change { domain: "", slug: "gone", version: 3, record: None };
        let key = Key::new("", "gone").unwrap();
        let mut value = Vec::new();
        change.encode_value(key.as_bytes(), &mut value);
        assert_eq!(Entry::decode(key.as_bytes(), &value).unwrap(), Entry { version: 3, record: None });
        assert_eq!((version_of(&value), is_tombstone(&value)), (3, true));
        value.push(0);
        assert!(Entry::decode(key.as_bytes(), &value).is_err());
    }

    #[test]
    fn names_are_bounded_and_hold_no_nul() {
        let check = |domain: &str, slug: &str| Change { domain, slug, version: 1, record: None }.validate();
        assert!(check("", "").is_ok());
        assert!(check(&"d".repeat(240), &"s".repeat(240)).is_ok());
        assert!(matches!(check("d", &"s".repeat(480)), Err(TableError::NameTooLong { size_bytes: 481 })));
        assert!(matches!(check("d\0", "s"), Err(TableError::NulInName)));
        assert!(matches!(check("d", "\0s"), Err(TableError::NulInName)));
        assert!(Key::new("d", &"s".repeat(479)).is_some());
        assert!(Key::new("d", &"s".repeat(480)).is_none());
    }
}
