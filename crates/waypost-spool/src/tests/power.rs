//! Power losses: any part of what was not flushed may be gone, and nothing else.

use fastrand::Rng;

use super::consumer::{Fate, small};
use super::memory::Memory;
use super::world::World;
use crate::LossCause;

/// One history with a power loss at its end, and a second one soon after the restart.
fn live_through(seed: u64) {
    let mut random = Rng::with_seed(seed);
    let mut world = World::on(Memory::new(), small());
    world.options.bytes_max = (4 + random.u64(..8)) * 8192;
    for _ in 0..2 {
        world.open();
        for _ in 0..=random.u64(..2) {
            world.add_writer();
        }
        for _ in 0..random.u64(..12) {
            for _ in 0..random.u64(..25) {
                let writer = random.u64(..world.writers.len() as u64) as usize;
                let _ = world.append(writer, random.u64(..700) as usize);
            }
            match random.u64(..5) {
                0 | 1 => world.flush().unwrap(),
                2 => drop(world.prepare()),
                3 => world.consume(random.u64(..20) as usize).unwrap(),
                _ => world.release().unwrap(),
            }
        }
        let after = world.memory.after_power_loss(random.u64(..));
        // A consumer keeps what it has committed.
        world.go_on_with(after);
    }
    world.drain();
    world.check_after_power_loss();
    world.release().unwrap();
    assert_eq!(world.spool.as_ref().unwrap().stats().segments, 0);
}

#[test]
fn what_was_flushed_survives_a_power_loss() {
    // A night's run takes more.
    let seeds = std::env::var("WAYPOST_SPOOL_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(250);
    for seed in 0..seeds {
        let outcome = std::panic::catch_unwind(|| live_through(seed));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}

#[test]
fn a_new_folder_survives_a_power_loss() {
    for seed in 0..200 {
        let mut world = World::new();
        world.open();
        let first = world.spool.as_ref().unwrap().edge_id().to_owned();
        world.go_on_with(world.memory.after_power_loss(seed));
        world.open();
        assert_eq!(world.spool.as_ref().unwrap().edge_id(), first);
    }
}

#[test]
fn losses_that_were_flushed_survive_a_power_loss() {
    for seed in 0..200 {
        let mut world = World::new();
        world.open();
        world.memory.fill_up();
        world.add_writer();
        for _ in 0..9 {
            let _ = world.append(0, 10);
        }
        world.flush().unwrap();
        let _ = world.append(0, 10);
        world.go_on_with(world.memory.after_power_loss(seed));
        world.drain();
        world.check_after_power_loss();
        assert!(world.consumer.of(1).iter().all(|fate| *fate == Fate::Lost(LossCause::Full)));
    }
}
