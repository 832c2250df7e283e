//! Bytes that are not what was written.

use fastrand::Rng;

use super::consumer::{Fate, payload, small};
use super::memory::Memory;
use super::world::World;
use crate::format::{HEADER_BYTES, RECORD_HEAD_BYTES, SegmentId, record_bytes};
use crate::identity::IDENTITY;
use crate::losses::LOSSES;
use crate::{LossCause, SpoolError};

fn segment(number: u32) -> String {
    SegmentId { epoch: 1, number }.file_name()
}

/// A world in which one writer appended that many records of 60 bytes, then was killed or closed.
fn with_records(count: usize, is_killed: bool) -> World {
    let mut world = World::new();
    world.open();
    world.add_writer();
    for _ in 0..count {
        let _ = world.append(0, 60);
    }
    if is_killed {
        world.kill();
    } else {
        world.close();
    }
    world
}

/// The record that a byte of the first segment is in, as an index. Padding is in none.
fn record_at(offset: usize) -> Option<usize> {
    let offset = offset.checked_sub(HEADER_BYTES)?;
    (offset % record_bytes(60) < RECORD_HEAD_BYTES + 60).then_some(offset / record_bytes(60))
}

#[track_caller]
fn check_flips(is_killed: bool) {
    const RECORDS: usize = 8;
    let world = with_records(RECORDS, is_killed);
    let content = world.memory.content(&segment(1));
    let used = HEADER_BYTES + (RECORDS + 1) * record_bytes(60);
    for offset in (0..used).chain((used..content.len()).step_by(509)) {
        let mut world = World::on(world.memory.after_kill(), small());
        world.memory.overwrite(&segment(1), offset as u64, &[content[offset] ^ 0x41]);
        world.drain();
        let got = world.consumer.of(1);
        for index in (0..RECORDS).filter(|index| Some(*index) != record_at(offset)) {
            let expected = Fate::Record(payload(1, index as u64 + 1, 60));
            assert_eq!(got.get(index), Some(&expected), "flip at {offset}");
        }
        match record_at(offset) {
            // After a kill there is no telling a damaged last record from one that was cut.
            Some(index) if index + 1 == RECORDS && is_killed => assert_eq!(got.len(), RECORDS - 1),
            Some(index) if index < RECORDS => assert_eq!(got[index], Fate::Lost(LossCause::Damaged)),
            Some(_) | None => assert_eq!(got.len(), RECORDS, "flip at {offset}"),
        }
        world.release().unwrap();
        let stats = world.spool.as_ref().unwrap().stats();
        assert_eq!((stats.pending, stats.segments), (0, 0), "flip at {offset}");
    }
}

#[test]
fn a_flipped_byte_costs_one_record_after_a_kill() {
    check_flips(true);
}

#[test]
fn a_flipped_byte_costs_one_record_after_a_close() {
    check_flips(false);
}

#[test]
fn a_flipped_byte_of_the_other_files_costs_nothing() {
    let world = with_records(3, true);
    for (name, places) in [(IDENTITY, 0..48), (IDENTITY, 4096..4144), (LOSSES, 0..24), (LOSSES, 1024..1088)] {
        for offset in places {
            let mut world = World::on(world.memory.after_kill(), small());
            let old = world.memory.content(name)[offset];
            world.memory.overwrite(name, offset as u64, &[old ^ 0x41]);
            world.drain();
            assert_eq!(world.consumer.of(1).len(), 3, "{name} at {offset}");
            let next = world.spool.as_ref().unwrap().writer().unwrap();
            assert!(next.epoch() > 1, "{name} at {offset}");
        }
    }
}

#[test]
fn no_epoch_is_used_twice_when_only_a_damaged_file_tells_of_it() {
    let mut world = with_records(3, false);
    world.drain();
    world.release().unwrap();
    world.close();
    for offset in (0..48).chain(4096..4144) {
        let mut next = World::on(world.memory.after_kill(), small());
        let old = next.memory.content(IDENTITY)[offset];
        next.memory.overwrite(IDENTITY, offset as u64, &[old ^ 0x41]);
        next.open();
        assert!(next.spool.as_ref().unwrap().writer().unwrap().epoch() > 1, "flip at {offset}");
    }
}

#[test]
fn no_epoch_is_used_twice_when_an_old_counter_is_put_back() {
    let mut world = World::new();
    world.open();
    let old = world.memory.content(IDENTITY);
    world.add_writer();
    let _ = world.append(0, 60);
    world.kill();
    world.memory.replace(IDENTITY, Some(&old));
    world.open();
    world.add_writer();
    world.drain();
    world.check_exact();
}

#[test]
fn a_damaged_length_near_the_end_hides_no_record() {
    let count = (8192 - HEADER_BYTES - RECORD_HEAD_BYTES) / record_bytes(60);
    for from_the_end in 1..6 {
        let mut world = with_records(count, false);
        let index = count - from_the_end;
        // The length now says more than what is left of the file.
        world.memory.overwrite(&segment(1), (HEADER_BYTES + index * record_bytes(60)) as u64, &[0, 0x0f]);
        world.drain();
        let expected = (0..count).map(|at| match at == index {
            true => Fate::Lost(LossCause::Damaged),
            false => Fate::Record(payload(1, at as u64 + 1, 60)),
        });
        assert_eq!(world.consumer.of(1), expected.collect::<Vec<Fate>>());
    }
}

#[test]
fn random_damage_to_large_files_is_counted() {
    for seed in 0..60 {
        let mut random = Rng::with_seed(seed);
        let mut world = with_records(400, seed % 2 == 0);
        for _ in 0..random.u64(..6) {
            let number = 1 + random.u64(..4) as u32;
            let bytes: Vec<u8> = (0..random.u64(..900)).map(|_| random.u64(..) as u8).collect();
            let offset = random.u64(..8192 - bytes.len() as u64);
            world.memory.overwrite(&segment(number), offset, &bytes);
        }
        world.answered.insert(1, (1..=400).map(|sequence| Fate::Record(payload(1, sequence, 60))).collect());
        world.drain();
        world.check_after_power_loss();
        let damaged = world.spool.as_ref().unwrap().stats().damaged;
        assert!(world.consumer.of(1).len() >= 330 && damaged < 100, "seed {seed}: {damaged}");
    }
}

#[test]
fn a_missing_segment_is_a_counted_hole() {
    let mut world = with_records(400, true);
    world.memory.replace(&segment(2), None);
    world.drain();
    let lost = world.consumer.of(1).iter().filter(|fate| **fate == Fate::Lost(LossCause::Damaged)).count();
    assert_eq!(world.consumer.of(1).len(), 400);
    assert_eq!(lost, (8192 - HEADER_BYTES - 24) / record_bytes(60));
}

#[test]
fn a_segment_with_a_damaged_header_is_read_and_set_aside() {
    let mut world = with_records(3, true);
    world.memory.overwrite(&segment(1), 0, b"something else");
    world.drain();
    assert_eq!(world.consumer.of(1).len(), 3);
    world.release().unwrap();
    assert!(world.memory.names().contains(&format!("damaged-{}", segment(1))), "{:?}", world.memory.names());
    world.kill();
    world.drain();
}

#[test]
fn the_stores_of_an_append_may_arrive_in_any_order_and_number() {
    let mut world = World::new();
    world.open();
    world.add_writer();
    for _ in 0..3 {
        let _ = world.append(0, 60);
    }
    let before = world.memory.content(&segment(1));
    let _ = world.append(0, 60);
    let after = world.memory.content(&segment(1));
    let changed: Vec<usize> = (0..before.len()).filter(|offset| before[*offset] != after[*offset]).collect();
    assert!(changed.len() > 60);
    let mut random = Rng::with_seed(1);
    for round in 0..600 {
        let mut torn = before.clone();
        let from_the_front = round / 2 % (changed.len() + 1);
        for (index, offset) in changed.iter().enumerate() {
            let is_there = match round % 3 {
                0 => index < from_the_front,
                1 => index >= from_the_front,
                _ => random.u64(..2) == 0,
            };
            if is_there {
                torn[*offset] = after[*offset];
            }
        }
        let mut killed = World::on(world.memory.after_kill(), small());
        killed.memory.replace(&segment(1), Some(&torn));
        killed.drain();
        let got = killed.consumer.of(1);
        assert_eq!(got.len(), if torn == after { 4 } else { 3 }, "round {round}");
    }
}

#[test]
fn the_stores_of_a_loss_may_arrive_in_any_order_and_number() {
    let mut world = World::new();
    world.open();
    world.memory.fill_up();
    world.add_writer();
    let mut random = Rng::with_seed(2);
    for count in 1..40 {
        let before = world.memory.content(LOSSES);
        let _ = world.append(0, 60);
        let after = world.memory.content(LOSSES);
        for _ in 0..4 {
            let mut torn = before.clone();
            for offset in 0..torn.len() {
                if random.u64(..2) == 0 {
                    torn[offset] = after[offset];
                }
            }
            let mut killed = World::on(world.memory.after_kill(), small());
            killed.memory.replace(LOSSES, Some(&torn));
            killed.drain();
            let got = killed.consumer.of(1);
            assert!(got.len() == count || got.len() == count - 1, "{} of {count}", got.len());
        }
    }
}

#[test]
fn stale_bytes_of_a_recycled_segment_are_not_read() {
    let mut world = World::new();
    world.open();
    world.add_writer();
    for round in 0..6 {
        for _ in 0..90 {
            let _ = world.append(0, 60);
        }
        world.consume(usize::MAX).unwrap();
        world.release().unwrap();
        if round == 3 {
            // The same file now serves another epoch.
            world.writers.clear();
            world.add_writer();
        }
    }
    let _ = world.append(0, 60);
    world.kill();
    world.drain();
    world.check_exact();
    // A consumer that has forgotten everything finds only what is there, and no sequence twice.
    let mut forgetful = World::on(world.memory.after_kill(), small());
    forgetful.drain();
    for fates in forgetful.consumer.fates.values() {
        assert!(!fates.is_empty());
    }
}

#[test]
fn stale_bytes_of_the_same_epoch_are_not_read_either() {
    let mut world = World::new();
    world.open();
    world.add_writer();
    let current = |world: &World| world.memory.names().into_iter().rfind(|name| name.starts_with("seg-")).unwrap();
    let mut segments = 1;
    // On until a recycled file has just been begun.
    while segments < 5 {
        let before = current(&world);
        let _ = world.append(0, 60);
        world.consume(usize::MAX).unwrap();
        world.release().unwrap();
        segments += usize::from(current(&world) != before);
    }
    world.kill();
    let last = current(&world);
    world.memory.overwrite(&last, 0, &[0xff; HEADER_BYTES + 80]);
    let mut forgetful = World::on(world.memory, small());
    forgetful.drain();
    assert_eq!(forgetful.consumer.of(1), []);
}

#[test]
fn what_is_not_ours_is_refused() {
    let foreign = Memory::new();
    foreign.replace("holiday.jpg", Some(b"..."));
    assert!(matches!(World::on(foreign, small()).try_open(), Err(SpoolError::NotASpool { .. })));

    let volume = Memory::new();
    volume.replace("lost+found", Some(b""));
    World::on(volume, small()).open();

    let world = with_records(3, true);
    let check = |change: &dyn Fn(&Memory)| {
        let memory = world.memory.after_kill();
        change(&memory);
        World::on(memory, small()).try_open().unwrap_err()
    };
    let among_others = |memory: &Memory| {
        memory.replace(IDENTITY, None);
        memory.replace("holiday.jpg", Some(b"..."));
    };
    assert!(matches!(check(&among_others), SpoolError::NotASpool { .. }));
    let version = |name: &'static str, checked: usize| {
        move |memory: &Memory| {
            let mut bytes = memory.content(name)[..checked].to_vec();
            bytes[8] = 9;
            let checksum = xxhash_rust::xxh3::xxh3_64_with_seed(&bytes, 0);
            bytes.extend(checksum.to_le_bytes());
            memory.overwrite(name, 0, &bytes);
        }
    };
    for (name, checked) in [(IDENTITY, 40), (LOSSES, 16), ("seg-0000000000000001-00000001", 40)] {
        let error = check(&version(name, checked));
        assert!(matches!(error, SpoolError::ForeignVersion { found: 9, known: 1, .. }), "{name}: {error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_lost_file_of_losses_does_not_stop_the_start() {
    for content in [None, Some(b"short".as_slice())] {
        let mut world = with_records(3, true);
        world.memory.replace(LOSSES, content);
        world.drain();
        world.check_exact();
    }
}
