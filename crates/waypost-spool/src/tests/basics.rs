//! What a spool does when all is well, and what it refuses.

use std::sync::Arc;

use super::consumer::{Consumer, Fate, payload, small};
use super::memory::Memory;
use crate::{Appended, Spool};

#[test]
fn what_is_appended_is_read_and_released() {
    let memory = Memory::new();
    let spool = Spool::open_without_threads(Arc::new(memory), small()).unwrap();
    let mut writer = spool.writer().unwrap();
    let mut reader = spool.reader().unwrap();
    assert!(spool.reader().is_none());
    let mut consumer = Consumer::default();
    for sequence in 1..=1000 {
        assert_eq!(writer.append(&payload(1, sequence, 250)), Appended::Stored { sequence });
        if sequence % 50 == 0 {
            consumer.drain(&mut reader);
            reader.release(&consumer.positions()).unwrap();
            assert_eq!(reader.pending(), 0);
        }
    }
    let expected: Vec<Fate> = (1..=1000).map(|sequence| Fate::Record(payload(1, sequence, 250))).collect();
    assert_eq!(consumer.of(1), expected);
    assert!(spool.stats().bytes_on_disk <= 4 * 8192, "{:?}", spool.stats());
}
