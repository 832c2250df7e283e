//! The event id of a click that an edge has numbered: a UUIDv7 computed from what identifies the click. So a click that
//! is read again, after a crash or from a copy, gets the same id.

use xxhash_rust::xxh3::Xxh3;

use crate::time::Timestamp;

/// The largest number of milliseconds in a UUIDv7.
const MILLIS_MAX: i64 = (1 << 48) - 1;

/// The id of the click with this number. Ids sort by the time of the click; the random part of the UUID is a hash
/// (XXH3) of all arguments. Times outside the range of a UUIDv7 become its first or last one.
pub fn event_id(edge_id: &str, epoch: u64, sequence: u64, clicked_at: Timestamp) -> [u8; 16] {
    let micros = clicked_at.as_micros();
    let millis = micros.div_euclid(1_000).clamp(0, MILLIS_MAX);
    let mut hasher = Xxh3::new();
    hasher.update(&epoch.to_le_bytes());
    hasher.update(&sequence.to_le_bytes());
    hasher.update(&micros.to_le_bytes());
    hasher.update(edge_id.as_bytes());
    let mut id = [0; 16];
    id[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    // Version 7 and the microseconds of the millisecond, then the variant and the hash.
    let fraction = micros.rem_euclid(1_000) as u16;
    id[6..8].copy_from_slice(&(0x7000 | fraction).to_be_bytes());
    id[8..].copy_from_slice(&(hasher.digest() >> 2 | 1 << 63).to_be_bytes());
    id
}

/// The text of an event id, as UUIDs are written.
pub fn event_id_text(id: [u8; 16]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(36);
    for (place, byte) in id.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
    }
    text
}

/// Reads the text of a UUIDv7, in any letter case; `None` for anything else.
pub fn read_event_id(text: &str) -> Option<[u8; 16]> {
    let bytes = text.as_bytes();
    let has_shape = bytes.len() == 36
        && bytes.iter().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    if !has_shape {
        return None;
    }
    let digits: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != b'-').collect();
    let mut id = [0; 16];
    for (place, pair) in digits.chunks_exact(2).enumerate() {
        id[place] = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    (id[6] >> 4 == 7 && id[8] >> 6 == 2).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(id: [u8; 16]) -> String {
        id.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_same_click_has_the_same_id_for_ever() {
        let at = Timestamp::from_micros(1_768_473_000_123_456);
        assert_eq!(hex(event_id("edge-1", 3, 42, at)), "019bc13478bb71c8aa0b1ad97f9e312e");
        assert_eq!(hex(event_id("", 0, 0, Timestamp::from_micros(0))), "00000000000070009d0f7e53b931e28a");
    }

    #[test]
    fn every_part_makes_a_difference() {
        let at = Timestamp::from_micros(1_768_473_000_123_456);
        let later = Timestamp::from_micros(1_768_473_000_123_457);
        let ids = [
            event_id("a", 1, 1, at),
            event_id("b", 1, 1, at),
            event_id("a", 2, 1, at),
            event_id("a", 1, 2, at),
            event_id("a", 1, 1, later),
        ];
        let distinct: std::collections::HashSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
        assert!(event_id("z", 9, 9, at) < event_id("a", 1, 1, later));
    }

    #[test]
    fn absurd_times_have_ids_of_the_form_too() {
        for micros in [i64::MIN, -1, 0, 253_402_300_799_999_999, i64::MAX] {
            let id = event_id("edge", 1, 1, Timestamp::from_micros(micros));
            assert_eq!((id[6] >> 4, id[8] >> 6), (7, 2), "{micros}");
        }
    }

    #[test]
    fn texts() {
        let id = event_id("edge-1", 3, 42, Timestamp::from_micros(1_768_473_000_123_456));
        let text = event_id_text(id);
        assert_eq!(text, "019bc134-78bb-71c8-aa0b-1ad97f9e312e");
        assert_eq!(read_event_id(&text), Some(id));
        assert_eq!(read_event_id(&text.to_uppercase()), Some(id));
        for bad in [
            "",
            "019bc13478bb71c8aa0b1ad97f9e312e",
            "019bc134-78bb-41c8-aa0b-1ad97f9e312e",
            "019bc134-78bb-71c8-ca0b-1ad97f9e312e",
            "019bc134-78bb-71c8-aa0b-1ad97f9e312\u{e9}",
            "019bc134-78bb-71c8-aa0b-1ad97f9e31+e",
            "019bc134-78bb-71c8-aa0b-1ad97f9e312e0",
        ] {
            assert_eq!(read_event_id(bad), None, "{bad:?}");
        }
    }
}
