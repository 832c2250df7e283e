//! What a spool does when all is well, and what it refuses.

use std::sync::Arc;

use super::consumer::{Consumer, Fate, payload, small};
use super::memory::Memory;
use super::world::World;
use crate::{
    Appended, Chunk, LossCause, Position, RECORD_BYTES_MAX, ReadLimit, Reader, Spool, SpoolError, SpoolOptions, Writer,
};

#[test]
fn what_is_appended_is_read_and_released() {
    let memory = Memory::new();
    let spool = Spool::open_without_threads(Arc::new(memory.clone()), small()).unwrap();
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
    assert!(memory.names().iter().any(|name| name.starts_with("free-")), "files are used again");
}

#[test]
fn a_segment_stays_until_its_last_record_is_released() {
    let mut world = World::new();
    world.open();
    world.add_writer();
    let mut in_first = 0;
    while !world.memory.names().iter().any(|name| name.ends_with("-00000002")) {
        let _ = world.append(0, 100);
        in_first += 1;
    }
    // The last append went to the second segment.
    in_first -= 1;
    world.consume(usize::MAX).unwrap();
    let has_first = |world: &World| world.memory.names().iter().any(|name| name.ends_with("-00000001"));
    for (released, is_there) in [(in_first - 1, true), (in_first, false)] {
        let position = Position { epoch: 1, next_sequence: released + 1 };
        world.reader.as_mut().unwrap().release(&[position]).unwrap();
        assert_eq!(has_first(&world), is_there, "{released} of {in_first} released");
    }
}

#[test]
fn a_writer_begins_small_and_gets_more_under_load() {
    let mut world = World::new();
    world.options.first_segment_bytes = 8_192;
    world.options.segment_bytes = 65_536;
    world.open();
    world.add_writer();
    world.prepare().unwrap();
    world.flush().unwrap();
    let bytes = |world: &World| world.spool.as_ref().unwrap().stats().bytes_on_disk;
    assert_eq!(bytes(&world), 8_192, "nothing is made ahead for who writes nothing");
    // Half of the first segment and a little.
    for _ in 0..5 {
        let _ = world.append(0, 1_000);
    }
    world.prepare().unwrap();
    assert_eq!(bytes(&world), 8_192 + 65_536);
    for _ in 0..5 {
        let _ = world.append(0, 1_000);
    }
    world.prepare().unwrap();
    assert_eq!(bytes(&world), 8_192 + 2 * 65_536, "the one after it is made ahead at once");
    world.drain();
    world.check_exact();
    world.release().unwrap();
    assert_eq!(bytes(&world), 2 * 65_536, "the small file is not kept for later");
}

#[test]
fn the_flush_notices_a_first_segment_that_fills_up() {
    let folder = tempfile::tempdir().unwrap();
    let options = SpoolOptions {
        segment_bytes: 65_536,
        first_segment_bytes: 8_192,
        flush_interval: std::time::Duration::from_millis(1),
        ..small()
    };
    let spool = Spool::open(folder.path(), options).unwrap();
    let mut writer = spool.writer().unwrap();
    assert_eq!(spool.stats().bytes_on_disk, 8_192);
    for sequence in 1..=5 {
        assert_eq!(writer.append(&payload(1, sequence, 1_000)), Appended::Stored { sequence });
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while spool.stats().bytes_on_disk != 8_192 + 65_536 {
        assert!(std::time::Instant::now() < deadline, "{:?}", spool.stats());
        std::thread::yield_now();
    }
}

#[test]
fn a_start_skips_what_the_consumer_has() {
    let mut world = World::new();
    world.open();
    world.add_writer();
    for _ in 0..300 {
        let _ = world.append(0, 100);
    }
    world.kill();
    for next_sequence in 1..=301 {
        let mut next = World::on(world.memory.after_kill(), small());
        next.open();
        let mut reader = next.reader.take().unwrap();
        reader.start_at(&[Position { epoch: 1, next_sequence }]);
        let first = reader.next(ReadLimit::default()).unwrap().map(|chunk| chunk.first_sequence());
        assert_eq!(first, (next_sequence <= 300).then_some(next_sequence));
    }
}

#[test]
fn parts_can_be_sent_to_other_threads() {
    fn check<T: Send>() {}
    check::<Spool>();
    check::<Writer>();
    check::<Reader>();
    check::<Chunk>();
}

#[test]
fn a_payload_may_be_empty_or_long_but_not_too_long() {
    let memory = Memory::new();
    let spool = Spool::open_without_threads(Arc::new(memory), small()).unwrap();
    let mut writer = spool.writer().unwrap();
    for _ in 0..5 {
        assert!(matches!(writer.append(&[]), Appended::Stored { .. }));
        assert!(matches!(writer.append(&[1; RECORD_BYTES_MAX]), Appended::Stored { .. }));
        assert!(matches!(writer.append(&[2; RECORD_BYTES_MAX + 1]), Appended::Lost { .. }));
    }
    assert_eq!(spool.stats().lost, 5);
    let mut consumer = Consumer::default();
    consumer.drain(&mut spool.reader().unwrap());
    let once = [Fate::Record(vec![]), Fate::Record(vec![1; RECORD_BYTES_MAX]), Fate::Lost(LossCause::TooLong)];
    let expected: Vec<Fate> = once.iter().cycle().take(15).cloned().collect();
    assert_eq!(consumer.of(1), expected);
}

#[test]
fn epochs_take_turns_from_the_oldest_on() {
    let mut world = World::new();
    world.open();
    for writer in 0..3 {
        world.add_writer();
        for _ in 0..12 {
            let _ = world.append(writer, 50);
        }
    }
    let mut reader = world.reader.take().unwrap();
    let mut order = Vec::new();
    while let Some(chunk) = reader.next(ReadLimit { records: 6, ..ReadLimit::default() }).unwrap() {
        order.push((chunk.epoch(), chunk.first_sequence()));
    }
    assert_eq!(order, [(1, 1), (2, 1), (3, 1), (1, 7), (2, 7), (3, 7)]);
}

#[test]
fn epochs_are_not_used_again_when_all_is_gone() {
    let mut world = World::new();
    for _ in 0..5 {
        world.drain();
        world.release().unwrap();
        world.add_writer();
        let _ = world.append(0, 10);
        world.close();
    }
    world.drain();
    world.release().unwrap();
    assert_eq!(world.answered.keys().copied().collect::<Vec<u64>>(), [1, 2, 3, 4, 5]);
    world.check_exact();
}

#[test]
fn the_size_of_segments_may_change_between_runs() {
    let mut world = World::new();
    for pages in [2, 4, 3, 2] {
        world.options.segment_bytes = pages * 4096;
        world.drain();
        world.release().unwrap();
        world.add_writer();
        for _ in 0..200 {
            let _ = world.append(0, 150);
        }
        world.consume(20).unwrap();
        world.release().unwrap();
        let stats = world.spool.as_ref().unwrap().stats();
        assert_eq!(world.memory.used(), stats.bytes_on_disk + world.memory.own_bytes());
        world.kill();
    }
    world.drain();
    world.check_exact();
}

#[test]
fn what_waits_is_counted_at_the_start() {
    let mut world = World::new();
    world.open();
    world.add_writer();
    world.add_writer();
    for index in 0..300 {
        let _ = world.append(index % 2, 150);
    }
    world.kill();
    world.open();
    let spool = world.spool.as_ref().unwrap();
    assert_eq!((spool.stats().pending, world.reader.as_ref().unwrap().pending()), (300, 300));
}

#[test]
fn an_idle_spool_holds_two_segments_for_each_writer() {
    let mut world = World::new();
    world.open();
    for _ in 0..3 {
        world.add_writer();
    }
    world.prepare().unwrap();
    world.prepare().unwrap();
    assert_eq!(world.spool.as_ref().unwrap().stats().bytes_on_disk, 6 * 8192);
}

#[test]
fn senseless_options_are_refused() {
    for (segment_bytes, flush_ms) in [(4096, 1), (8193, 1), (1 << 31, 1), (8192, 0)] {
        let flush_interval = std::time::Duration::from_millis(flush_ms);
        let options = SpoolOptions { segment_bytes, flush_interval, ..small() };
        let error = Spool::open_on(Arc::new(Memory::new()), options).unwrap_err();
        assert!(matches!(error, SpoolError::Options(_)), "{error}");
    }
}
