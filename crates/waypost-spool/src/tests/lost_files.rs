//! Files that somebody removed or spoiled: the start goes on, and what was in them is missed.

use super::consumer::{Fate, payload};
use super::memory::Memory;
use super::world::World;
use crate::format::SegmentId;
use crate::identity::{IDENTITY, IDENTITY_DAMAGED};
use crate::losses::SLOTS;
use crate::marks::{MARKS, Mark, Marks};
use crate::{Appended, FileSystem as _, LossCause};

fn segment(epoch: u64, number: u32) -> String {
    SegmentId { epoch, number }.file_name()
}

/// A world in which one writer appended that many records of 60 bytes, all flushed, and was killed.
fn killed_after(count: usize) -> World {
    let mut world = World::new();
    world.open();
    world.add_writer();
    for _ in 0..count {
        let _ = world.append(0, 60);
    }
    world.flush().unwrap();
    world.kill();
    world
}

fn edge_id(world: &World) -> String {
    world.spool.as_ref().unwrap().edge_id().to_owned()
}

fn former_edges(world: &World) -> Vec<(u64, String)> {
    world.spool.as_ref().unwrap().former_epochs().clone().into_iter().collect()
}

/// Ways to lose an identity.
fn spoil(memory: &Memory, way: usize) {
    let random = vec![0x5a; 8192];
    let zero = vec![0; 8192];
    match way {
        0 => memory.replace(IDENTITY, None),
        1 => memory.replace(IDENTITY, Some(b"short")),
        2 => memory.replace(IDENTITY, Some(&zero)),
        3 => memory.replace(IDENTITY, Some(&random)),
        4 => memory.replace(IDENTITY, Some(b"")),
        _ => {
            memory.overwrite(IDENTITY, 20, &[0xff]);
            memory.overwrite(IDENTITY, 4096 + 20, &[0xff]);
        }
    }
}

#[test]
fn a_lost_identity_is_replaced_and_what_waits_is_handed_out_once_under_the_old_one() {
    for way in 0..6 {
        let mut world = killed_after(300);
        world.open();
        let old = edge_id(&world);
        world.consume(10).unwrap();
        world.release().unwrap();
        world.kill();
        spoil(&world.memory, way);
        world.open();
        let new = edge_id(&world);
        assert_ne!(new, old, "way {way}");
        assert_eq!(former_edges(&world), [(1, old.clone())], "way {way}");
        assert_eq!(world.memory.names().contains(&IDENTITY_DAMAGED.to_owned()), way > 0, "a damaged one is set aside");
        world.add_writer();
        for _ in 0..200 {
            let _ = world.append(0, 60);
        }
        // The next start finds the same.
        world.kill();
        world.open();
        assert_eq!((edge_id(&world), former_edges(&world)), (new, vec![(1, old)]), "way {way}");
        world.drain();
        world.check_exact();
        world.release().unwrap();
        assert_eq!(world.spool.as_ref().unwrap().stats().segments, 0, "way {way}");
    }
}

#[test]
fn identities_may_be_lost_again_and_again() {
    let mut world = World::new();
    for round in 0..5 {
        world.open();
        world.add_writer();
        for _ in 0..150 {
            let _ = world.append(0, 60);
        }
        if round % 2 == 0 {
            world.consume(8).unwrap();
            world.release().unwrap();
        }
        world.kill();
        world.memory.replace(IDENTITY, None);
    }
    world.drain();
    world.check_exact();
    let mut edges: Vec<String> = former_edges(&world).into_iter().map(|(_, edge)| edge).collect();
    edges.dedup();
    assert_eq!(edges.len(), 5, "each epoch keeps its edge");
}

#[test]
fn losses_for_want_of_room_outlive_the_identity() {
    let mut world = World::new();
    world.open();
    world.memory.fill_up();
    world.add_writer();
    for _ in 0..40 {
        assert!(matches!(world.append(0, 60), Appended::Lost { .. }));
    }
    world.flush().unwrap();
    world.kill();
    world.memory.set_capacity(u64::MAX);
    world.memory.replace(IDENTITY, None);
    world.drain();
    world.check_exact();
    assert_eq!(former_edges(&world).len(), 1);
}

#[test]
fn segments_without_headers_are_read_under_the_edge_that_wrote_them() {
    let mut world = killed_after(30);
    world.open();
    world.add_writer();
    let _ = world.append(0, 60);
    world.kill();
    world.memory.overwrite(&segment(1, 1), 0, &[0xff; 64]);
    for name in [IDENTITY, MARKS] {
        world.memory.replace(name, None);
    }
    // Nothing but the other epoch of that edge says under which one the records of this one may verify.
    world.drain();
    world.check_exact();
    assert_eq!(former_edges(&world).len(), 2);
}

#[test]
fn a_file_that_is_used_again_never_passes_for_what_it_was() {
    let mut world = World::new();
    world.open();
    world.add_writer();
    for _ in 0..300 {
        let _ = world.append(0, 60);
        world.consume(usize::MAX).unwrap();
        world.release().unwrap();
    }
    world.close();
    world.drain();
    world.release().unwrap();
    world.close();
    let names = world.memory.names();
    assert!(names.iter().any(|name| name.starts_with("free-")) && !names.iter().any(|name| name.starts_with("seg-")));
    world.memory.replace(IDENTITY, None);
    world.memory.replace(MARKS, None);
    world.open();
    world.add_writer();
    assert!(world.writers[0].epoch() > 1, "epochs that a free file holds are not used again");
    world.kill();
    world.drain();
    world.check_exact();
}

#[test]
fn segments_that_disappear_are_missed() {
    // Of four: the first, one in the middle, the last, all.
    for removed in [vec![1], vec![2], vec![4], vec![1, 2, 3, 4]] {
        let mut world = killed_after(300);
        let names = world.memory.names();
        assert_eq!(names.iter().filter(|name| name.starts_with("seg-")).count(), 4);
        for number in &removed {
            world.memory.replace(&segment(1, *number), None);
        }
        assert!(world.memory.names().len() < names.len());
        world.drain();
        assert_eq!(world.consumer.of(1).len(), 300, "without {removed:?}");
        for (index, fate) in world.consumer.of(1).iter().enumerate() {
            let is_right = *fate == Fate::Lost(LossCause::Damaged) || *fate == world.answered[&1][index];
            assert!(is_right, "without {removed:?}, sequence {}", index + 1);
        }
        let lost = world.consumer.of(1).iter().filter(|fate| matches!(fate, Fate::Lost(_))).count();
        assert!(lost >= 20 && (lost == 300) == (removed.len() == 4), "without {removed:?}: {lost}");
        assert_eq!(world.spool.as_ref().unwrap().stats().damaged, lost as u64);
        world.release().unwrap();
        assert_eq!(world.spool.as_ref().unwrap().stats().pending, 0);
        // Told once.
        world.kill();
        world.open();
        assert_eq!(world.spool.as_ref().unwrap().stats().pending, 0, "without {removed:?}");
    }
}

#[test]
fn what_disappears_is_missed_up_to_the_last_flush() {
    let mut world = World::new();
    world.open();
    world.add_writer();
    for appended in 1..=20 {
        let _ = world.append(0, 60);
        if appended == 15 {
            world.flush().unwrap();
        }
    }
    world.kill();
    world.memory.replace(&segment(1, 1), None);
    world.open();
    assert_eq!(world.spool.as_ref().unwrap().stats().pending, 15, "known before anybody reads");
    world.drain();
    assert_eq!(world.consumer.of(1), vec![Fate::Lost(LossCause::Damaged); 15]);
}

#[test]
fn a_segment_that_is_removed_under_a_running_spool_costs_what_was_in_it() {
    let mut world = World::new();
    world.open();
    world.add_writer();
    for _ in 0..300 {
        let _ = world.append(0, 60);
    }
    world.memory.replace(&segment(1, 2), None);
    let current = world.memory.names().into_iter().rfind(|name| name.starts_with("seg-")).unwrap();
    world.memory.replace(&current, None);
    world.consume(usize::MAX).unwrap();
    assert_eq!(world.consumer.of(1).len(), 300);
    // The writer leaves the file that nobody can read any more.
    let appended = world.append(0, 60);
    world.consume(usize::MAX).unwrap();
    assert!(matches!(appended, Appended::Stored { sequence: 301 }));
    assert_eq!(world.consumer.of(1).last(), Some(&Fate::Record(payload(1, 301, 60))));
    world.release().unwrap();
    assert_eq!(world.spool.as_ref().unwrap().stats().pending, 0);
}

#[test]
fn free_files_that_are_removed_under_a_running_spool_cost_nothing() {
    let mut world = World::new();
    world.open();
    world.add_writer();
    for _ in 0..300 {
        let _ = world.append(0, 60);
    }
    world.consume(usize::MAX).unwrap();
    world.release().unwrap();
    let free: Vec<String> = world.memory.names().into_iter().filter(|name| name.starts_with("free-")).collect();
    assert!(!free.is_empty());
    free.iter().for_each(|name| world.memory.replace(name, None));
    for _ in 0..300 {
        assert!(matches!(world.append(0, 60), Appended::Stored { .. }));
    }
    let bytes = world.spool.as_ref().unwrap().stats().bytes_on_disk;
    assert_eq!(world.memory.used(), world.memory.own_bytes() + bytes);
}

#[test]
fn marks_keep_no_writer_from_starting() {
    let mut world = World::new();
    world.open();
    let edge = world.spool.as_ref().unwrap().shared().edge;
    world.close();
    let (marks, _) = Marks::open(&world.memory, &world.memory.list().unwrap());
    for slot in 0..SLOTS {
        let mark = Mark { edge, epoch: 1 + slot as u64, next_sequence: 2 };
        marks.put(slot, Some(mark)).unwrap();
    }
    world.open();
    assert_eq!(world.spool.as_ref().unwrap().stats().pending, SLOTS as u64);
    for _ in 0..3 {
        world.try_add_writer().unwrap();
    }
    let _ = world.append(0, 60);
    world.flush().unwrap();
    world.drain();
    assert_eq!(world.consumer.fates.len(), SLOTS + 1, "what is known stays known in this run");
    world.release().unwrap();
    world.kill();
    world.open();
    assert_eq!(world.spool.as_ref().unwrap().stats().pending, 0);
}

#[test]
fn a_lost_file_of_marks_does_not_stop_the_start() {
    for content in [None, Some(b"short".as_slice()), Some(&[0; 33280])] {
        let mut world = killed_after(30);
        world.memory.replace(MARKS, content);
        world.drain();
        world.check_exact();
    }
}
