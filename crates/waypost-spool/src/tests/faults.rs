//! Operations that fail: the Nth of a history, all of a kind, and a disk that is full.

use rustix::io::Errno;

use super::consumer::{Fate, small};
use super::memory::{Fault, Memory, Operation};
use super::world::World;
use crate::{Appended, LossCause, SpoolError};

/// Calls again until it succeeds; a single fault is over after one failure.
fn insist(world: &mut World, mut what: impl FnMut(&mut World) -> Result<(), SpoolError>) {
    for _ in 0..3 {
        let result = what(world);
        world.note_kill();
        if result.is_ok() {
            return;
        }
    }
    panic!("one fault made an operation fail three times");
}

/// A history with everything in it: three runs, two writers each, rolls, releases, recycling, a kill and closes.
fn live_through(world: &mut World) {
    for run in 0..3 {
        insist(world, World::try_open);
        for _ in 0..2 {
            insist(world, World::try_add_writer);
        }
        for round in 0..3 {
            // Room is counted as it is taken, whatever failed.
            let bytes = world.spool.as_ref().unwrap().stats().bytes_on_disk;
            assert_eq!(world.memory.used(), world.memory.own_bytes() + bytes);
            for index in 0..30 {
                // An append during which the kill comes may or may not be there; it was not answered.
                let _ = world.append(index % 2, 200 + 100 * ((index + round) % 6));
                world.note_kill();
            }
            insist(world, |world| world.prepare());
            insist(world, World::flush);
            insist(world, |world| world.consume(if run == 1 { 3 } else { usize::MAX }));
            insist(world, World::release);
        }
        let _ = world.append(0, 300);
        if run == 1 {
            world.kill();
        } else {
            world.close();
        }
        world.note_kill();
    }
}

/// How many operations the history takes when all goes well.
fn operations() -> u64 {
    let mut world = World::new();
    live_through(&mut world);
    world.memory.operations()
}

#[track_caller]
fn check_each_fault(errno: Errno) {
    let operations = operations();
    assert!(operations > 150, "{operations}");
    // Failures make it longer, hence some more.
    for number in 1..operations + 20 {
        let mut world = World::new();
        world.memory.set_fault(Some(Fault::Nth(number, errno)));
        live_through(&mut world);
        world.memory.set_fault(None);
        world.drain();
        world.check_exact();
        insist(&mut world, World::release);
        let stats = world.spool.as_ref().unwrap().stats();
        assert_eq!(stats.segments, 0, "fault {number}: {:?}", world.memory.names());
        assert_eq!(world.memory.used(), world.memory.own_bytes() + stats.bytes_on_disk, "fault {number}");
    }
}

#[test]
fn a_kill_may_come_before_each_operation() {
    for number in 1..=operations() {
        let mut world = World::new();
        world.memory.kill_before(number);
        live_through(&mut world);
        let killed = world.killed.unwrap();
        let mut next = World::on(killed.memory, small());
        next.consumer = killed.consumer;
        next.drain();
        for (epoch, answered) in &killed.answered {
            let got = next.consumer.of(*epoch);
            // One append of one writer may have been under way.
            assert!(got.len() == answered.len() || got.len() + 1 == answered.len(), "kill {number}, epoch {epoch}");
            assert_eq!(got, &answered[..got.len()], "kill {number}, epoch {epoch}");
        }
        next.release().unwrap();
        assert_eq!(next.spool.as_ref().unwrap().stats().segments, 0, "kill {number}: {:?}", next.memory.names());
    }
}

#[test]
fn one_operation_may_fail_for_want_of_space() {
    check_each_fault(Errno::NOSPC);
}

#[test]
fn one_operation_may_fail_by_a_broken_disk() {
    check_each_fault(Errno::IO);
}

#[test]
fn a_full_disk_is_counted_and_left_when_there_is_room() {
    let mut world = World::new();
    world.open();
    world.memory.fill_up();
    world.add_writer();
    for _ in 0..5 {
        assert!(matches!(world.append(0, 100), Appended::Lost { .. }));
        world.prepare().unwrap_err();
    }
    // What is lost can be handed out while it goes on.
    world.consume(usize::MAX).unwrap();
    assert_eq!(world.consumer.of(1), vec![Fate::Lost(LossCause::Full); 5]);
    for _ in 0..5 {
        assert!(matches!(world.append(0, 100), Appended::Lost { .. }));
    }
    world.memory.set_capacity(u64::MAX);
    assert!(matches!(world.append(0, 100), Appended::Lost { .. }));
    world.prepare().unwrap();
    assert!(matches!(world.append(0, 100), Appended::Stored { sequence: 12 }));
    let stats = world.spool.as_ref().unwrap().stats();
    assert_eq!((stats.appended, stats.lost, stats.pending), (12, 11, 12));
    world.kill();
    world.drain();
    world.check_exact();
}

#[test]
fn losses_survive_a_kill_without_any_room() {
    let mut world = World::new();
    world.open();
    world.memory.fill_up();
    for run in 0..20 {
        world.open();
        world.add_writer();
        for _ in 0..run {
            let _ = world.append(0, 100);
        }
        world.kill();
        world.memory.fill_up();
    }
    world.drain();
    world.check_exact();
    assert_eq!(world.consumer.fates.values().map(Vec::len).sum::<usize>(), 190);
    world.release().unwrap();
    assert_eq!(world.spool.as_ref().unwrap().stats().pending, 0);
}

#[test]
fn a_free_file_that_cannot_be_renamed_is_used_later() {
    let mut world = World::new();
    world.open();
    world.add_writer();
    for _ in 0..200 {
        let _ = world.append(0, 200);
        world.consume(usize::MAX).unwrap();
        world.release().unwrap();
    }
    assert!(world.memory.names().iter().any(|name| name.starts_with("free-")));
    world.memory.fill_up();
    world.memory.set_fault(Some(Fault::Each(Operation::Rename, Errno::IO)));
    while matches!(world.append(0, 200), Appended::Stored { .. }) {}
    world.memory.set_fault(None);
    world.prepare().unwrap();
    assert!(matches!(world.append(0, 200), Appended::Stored { .. }));
    world.drain();
    world.check_exact();
}

#[test]
fn losses_stay_until_they_are_released() {
    let mut world = World::new();
    world.open();
    world.memory.fill_up();
    world.add_writer();
    let _ = world.append(0, 100);
    for _ in 0..3 {
        world.kill();
        let mut forgetful = World::on(world.memory.clone(), small());
        forgetful.drain();
        assert_eq!(forgetful.consumer.of(1).len(), 1);
        forgetful.close();
    }
    world.drain();
    world.release().unwrap();
    let mut forgetful = World::on(world.memory.after_kill(), small());
    forgetful.drain();
    assert!(forgetful.consumer.fates.is_empty());
}

#[test]
fn a_new_folder_on_a_full_disk_is_an_error_and_can_be_tried_again() {
    for capacity in [0, 8192, 65536, 70000] {
        let memory = Memory::new();
        memory.set_capacity(capacity);
        let mut world = World::on(memory, small());
        let error = world.try_open().unwrap_err();
        assert!(matches!(error, SpoolError::Io { operation: "create", .. }), "{error}");
        world.memory.set_capacity(u64::MAX);
        world.open();
    }
}

#[test]
fn losses_have_a_limit_that_is_an_error() {
    let mut world = World::new();
    world.open();
    world.memory.fill_up();
    for _ in 0..crate::losses::SLOTS {
        world.add_writer();
        let _ = world.append(0, 10);
        world.writers.clear();
    }
    assert!(matches!(world.try_add_writer(), Err(SpoolError::LossEntriesUsedUp { .. })));
    world.drain();
    world.check_exact();
    world.release().unwrap();
    world.add_writer();
}

#[test]
fn a_segment_that_cannot_be_flushed_is_retired() {
    let mut world = World::new();
    world.open();
    world.add_writer();
    let _ = world.append(0, 100);
    world.memory.set_fault(Some(Fault::Each(Operation::Sync, Errno::IO)));
    world.flush().unwrap_err();
    let segments = |world: &World| world.memory.names().iter().filter(|name| name.starts_with("seg-")).count();
    assert_eq!(segments(&world), 1);
    assert!(matches!(world.append(0, 100), Appended::Stored { .. }));
    assert_eq!(segments(&world), 2);
    world.memory.set_fault(None);
    world.flush().unwrap();
    let stats = world.spool.as_ref().unwrap().stats();
    assert_eq!((stats.suspect_segments, stats.flush_failures, stats.lost), (1, 1, 0));
    world.kill();
    world.drain();
    world.check_exact();
}

#[test]
fn without_room_a_suspect_segment_is_better_than_none() {
    let mut world = World::new();
    world.open();
    world.add_writer();
    let _ = world.append(0, 100);
    world.memory.fill_up();
    world.memory.set_fault(Some(Fault::Each(Operation::Sync, Errno::IO)));
    world.flush().unwrap_err();
    assert!(matches!(world.append(0, 100), Appended::Stored { .. }));
    world.drain();
    world.check_exact();
}

#[test]
fn a_segment_that_cannot_be_read_blocks_no_other_epoch_and_not_for_ever() {
    let mut world = World::new();
    world.open();
    world.add_writer();
    for _ in 0..5 {
        let _ = world.append(0, 100);
    }
    world.memory.set_fault(Some(Fault::Each(Operation::Read, Errno::IO)));
    for _ in 0..3 {
        world.consume(1).unwrap_err();
    }
    world.consume(usize::MAX).unwrap();
    assert_eq!(world.consumer.of(1), vec![Fate::Lost(LossCause::Damaged); 5]);
}
