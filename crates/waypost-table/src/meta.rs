//! The two entries of the LMDB file that are not links: how current the table is, and the domain settings.
//!
//! # Format
//!
//! Keys: `0x01` and `table` or `domains`. No link key lacks a NUL, so these never collide with one.
//!
//! `table`, 40 bytes: `waypost\0`, format version (u32), source (u32), cursor (u64), tombstones (u64), XXH3-64 of the
//! 32 bytes before. The source's highest bit is set after the table had every link of its store once; the other bits
//! are a hash of the store's name, 0 if it is unknown. Earlier builds of this format wrote zero for both. `domains`:
//! XXH3-64 of the rest, then the settings as a JSON array. Numbers are little-endian.

use xxhash_rust::xxh3::xxh3_64;

/// The version of everything this crate writes to disk.
pub(crate) const FORMAT: u32 = 2;
pub(crate) const META_KEY: &[u8] = b"\x01table";
pub(crate) const DOMAINS_KEY: &[u8] = b"\x01domains";
/// Entries of a complete file that are not links.
pub(crate) const META_ENTRIES: u64 = 2;

const MAGIC: &[u8; 8] = b"waypost\0";
const META_BYTES: usize = 40;
const COMPLETE: u32 = 1 << 31;

/// The facts that a generation stores about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    /// Outbox sequence up to which the generation is current.
    pub(crate) cursor: u64,
    /// Deleted links whose version is still kept.
    pub(crate) tombstones: u64,
    /// Whether it has every link that the store had at some time. Never true before the end of a first fill.
    pub(crate) is_complete: bool,
    /// The store of these links, as [`source_of`] computes it; 0 if unknown.
    pub(crate) source: u32,
}

/// The value of [`Meta::source`] for the store with this name.
pub(crate) fn source_of(store: &str) -> u32 {
    ((xxh3_64(store.as_bytes()) as u32) & !COMPLETE).max(1)
}

/// Why a meta entry was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetaFault {
    /// Not an entry of this crate, or damaged.
    Damaged,
    /// Undamaged, but of this other format.
    OtherFormat(u32),
}

impl Meta {
    pub(crate) fn encode(self) -> [u8; META_BYTES] {
        let mut bytes = [0; META_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        let complete = if self.is_complete { COMPLETE } else { 0 };
        bytes[12..16].copy_from_slice(&(self.source | complete).to_le_bytes());
        bytes[16..24].copy_from_slice(&self.cursor.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.tombstones.to_le_bytes());
        let check = xxh3_64(&bytes[..32]);
        bytes[32..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Meta, MetaFault> {
        let Some((body, check)) = bytes.split_last_chunk::<8>() else { return Err(MetaFault::Damaged) };
        if !body.starts_with(MAGIC) || u64::from_le_bytes(*check) != xxh3_64(body) {
            return Err(MetaFault::Damaged);
        }
        let half_at =
            |at: usize| body.get(at..).and_then(<[u8]>::first_chunk::<4>).copied().map_or(0, u32::from_le_bytes);
        let (format, source) = (half_at(8), half_at(12));
        if format != FORMAT {
            return Err(MetaFault::OtherFormat(format));
        }
        let number_at = |at: usize| body.get(at..).and_then(<[u8]>::first_chunk::<8>).copied().map(u64::from_le_bytes);
        match (number_at(16), number_at(24)) {
            (Some(cursor), Some(tombstones)) => {
                let is_complete = source & COMPLETE != 0;
                Ok(Meta { cursor, tombstones, is_complete, source: source & !COMPLETE })
            }
            _ => Err(MetaFault::Damaged),
        }
    }
}

/// Writes a checksum before `body`.
pub(crate) fn seal(body: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(body.len() + 8);
    sealed.extend_from_slice(&xxh3_64(body).to_le_bytes());
    sealed.extend_from_slice(body);
    sealed
}

/// The body after a checksum, or `None` if the checksum does not match.
pub(crate) fn unseal(sealed: &[u8]) -> Option<&[u8]> {
    let (check, body) = sealed.split_first_chunk::<8>()?;
    (u64::from_le_bytes(*check) == xxh3_64(body)).then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_reads_back_and_every_flipped_bit_is_found() {
        let meta = Meta { cursor: 90_210, tombstones: 3, is_complete: true, source: source_of("a store") };
        let bytes = meta.encode();
        assert_eq!(Meta::decode(&bytes), Ok(meta));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Meta::decode(&flipped), Err(MetaFault::Damaged), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(Meta::decode(&bytes[..len]), Err(MetaFault::Damaged), "{len} bytes");
        }
    }

    #[test]
    fn a_later_format_is_named() {
        let mut bytes = Meta::default().encode();
        bytes[8] += 1;
        let check = xxh3_64(&bytes[..32]);
        bytes[32..].copy_from_slice(&check.to_le_bytes());
        assert_eq!(Meta::decode(&bytes), Err(MetaFault::OtherFormat(FORMAT + 1)));
    }

    #[test]
    fn a_sealed_body_reads_back() {
        let sealed = seal(b"[]");
        assert_eq!(unseal(&sealed), Some(&b"[]"[..]));
        assert_eq!(unseal(&sealed[..9]), None);
        assert_eq!(unseal(b"short"), None);
    }
}
