//! Stored values as links: read, checked and compiled; and the compiled form of links that were followed lately, so
//! that a popular link is compiled once in an isolate and not at every visit.
//!
//! A value is asked of KV at every visit all the same: the cache says what bytes mean, never what is stored.

use waypost_core::compact::compile_stored;
use waypost_core::lenient::Skipped;
use waypost_core::{LinkRecord, SchemePolicy};
use xxhash_rust::xxh3::xxh3_64;

use crate::home::Home;

/// The largest value whose compiled form is kept, in bytes.
const KEPT_VALUE_BYTES_MAX: usize = 4_096;

/// Compiled links by the bytes they were compiled from. Each value has one place; the newest takes it.
#[derive(Debug, Default)]
pub(crate) struct Records {
    places: Vec<Option<Kept>>,
    /// A link that was too large to be kept, or any if none is kept.
    last: Stored,
}

#[derive(Clone, Debug)]
struct Kept {
    value: Box<[u8]>,
    stored: Stored,
}

/// A stored value as a link.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    /// Its compiled form.
    pub(crate) compact: Box<[u8]>,
    /// The address that the record names.
    pub(crate) home: Home,
    /// Parts of it that were skipped, until they have been logged: a line each.
    pub(crate) untold: String,
}

impl Records {
    /// Keeps up to this many links.
    pub(crate) fn new(count: usize) -> Self {
        Self { places: vec![None; count], last: Stored::default() }
    }

    /// The link that a stored value is.
    ///
    /// # Errors
    /// Says what keeps the value from being followed.
    pub(crate) fn read(&mut self, value: &[u8], schemes: &SchemePolicy) -> Result<&mut Stored, String> {
        if self.places.is_empty() || value.len() > KEPT_VALUE_BYTES_MAX {
            self.last = Stored::read(value, schemes)?;
            return Ok(&mut self.last);
        }
        let place = xxh3_64(value) % self.places.len() as u64;
        let place = &mut self.places[place as usize];
        let kept = match place.take_if(|kept| *kept.value == *value) {
            Some(kept) => kept,
            None => Kept { stored: Stored::read(value, schemes)?, value: value.into() },
        };
        Ok(&mut place.insert(kept).stored)
    }
}

impl Stored {
    fn read(value: &[u8], schemes: &SchemePolicy) -> Result<Self, String> {
        let (record, mut skipped) = LinkRecord::read_value(value).map_err(|error| error.to_string())?;
        let compact = compile_stored(&record, schemes, &mut skipped).map_err(|error| error.to_string())?;
        let untold: Vec<String> = skipped.iter().map(Skipped::to_string).collect();
        Ok(Self { compact: compact.into(), home: Home::of(record), untold: untold.join("\n") })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use waypost_core::CompactLink;

    use super::*;

    #[test]
    fn what_is_kept_is_what_was_stored() {
        for count in [0, 1, 8] {
            let mut records = Records::new(count);
            for round in 0..3 {
                for link in 0..20 {
                    let url = format!("https://example.com/{link}");
                    let stored = records.read(url.as_bytes(), &SchemePolicy::web()).unwrap();
                    assert_eq!(CompactLink::read(&stored.compact).unwrap().destination(), url, "{count} {round}");
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_followed_is_not_kept() {
        let mut records = Records::new(1);
        let large = vec![b'x'; 25 << 20];
        for bad in
            [&b"javascript:alert(1)"[..], b"{\"destination_url\":", b"{\"destination_url\":7}", b"\xff", b"", &large]
        {
            assert!(records.read(bad, &SchemePolicy::web()).is_err());
            assert!(records.read(bad, &SchemePolicy::web()).is_err());
        }
        let long = format!("{{\"destination_url\":\"https://example.com/\",\"x\":\"{}\"}}", "y".repeat(5_000));
        assert!(records.read(long.as_bytes(), &SchemePolicy::web()).is_ok());
    }
}
