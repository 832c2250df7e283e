//! Stored values as links: read, checked and compiled; and the compiled form of links that were followed lately, so that a
//! popular link is compiled once in an isolate and not at every visit.
//!
//! A value is asked of KV at every visit all the same: the cache says what bytes mean, never what is stored.

use waypost_core::compact::compile;
use waypost_core::{LinkRecord, SchemePolicy};
use xxhash_rust::xxh3::xxh3_64;

/// The largest value whose compiled form is kept, in bytes.
const KEPT_VALUE_BYTES_MAX: usize = 4_096;

/// Compiled links by the bytes they were compiled from. Each value has one place; the newest takes it.
#[derive(Debug, Default)]
pub(crate) struct Records {
    places: Vec<Option<Kept>>,
    /// A link that was too large to be kept, or any where none is kept.
    last: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Kept {
    value: Box<[u8]>,
    compact: Box<[u8]>,
}

impl Records {
    /// Keeps up to this many links.
    pub(crate) fn new(count: usize) -> Self {
        Self { places: vec![None; count], last: Vec::new() }
    }

    /// The compiled form of a stored value.
    ///
    /// # Errors
    /// Says what keeps the value from being followed.
    pub(crate) fn compiled(&mut self, value: &[u8], schemes: &SchemePolicy) -> Result<&[u8], String> {
        if self.places.is_empty() || value.len() > KEPT_VALUE_BYTES_MAX {
            self.last = compiled(value, schemes)?;
            return Ok(&self.last);
        }
        let place = xxh3_64(value) % self.places.len() as u64;
        let place = &mut self.places[place as usize];
        if place.as_ref().is_none_or(|kept| *kept.value != *value) {
            let compact = compiled(value, schemes)?.into_boxed_slice();
            *place = Some(Kept { value: value.into(), compact });
        }
        Ok(place.as_ref().map_or(&[], |kept| &kept.compact))
    }
}

fn compiled(value: &[u8], schemes: &SchemePolicy) -> Result<Vec<u8>, String> {
    let record = LinkRecord::from_value(value).map_err(|error| error.to_string())?;
    compile(&record, schemes).map_err(|error| error.to_string())
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
                    let compact = records.compiled(url.as_bytes(), &SchemePolicy::web()).unwrap();
                    assert_eq!(CompactLink::read(compact).unwrap().destination(), url, "{count} {round}");
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
            assert!(records.compiled(bad, &SchemePolicy::web()).is_err());
            assert!(records.compiled(bad, &SchemePolicy::web()).is_err());
        }
        let long = format!("{{\"destination_url\":\"https://example.com/\",\"x\":\"{}\"}}", "y".repeat(5_000));
        assert!(records.compiled(long.as_bytes(), &SchemePolicy::web()).is_ok());
    }
}
