//! Random histories: whatever happens short of a power loss, each append is handed out once, as it was answered.

use proptest::prelude::*;

use super::world::World;

#[derive(Clone, Debug)]
enum Step {
    Append { writer: usize, bytes: usize, times: usize },
    AddWriter,
    DropWriter { writer: usize },
    Prepare,
    Flush,
    Consume { chunks: usize },
    Release,
    RenewReader,
    Kill,
    Close,
    FillDisk,
    EmptyDisk,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0_usize..4, 0_usize..600, 1_usize..40)
            .prop_map(|(writer, bytes, times)| Step::Append { writer, bytes, times }),
        2 => (0_usize..4, 3000_usize..=4096, 1_usize..6)
            .prop_map(|(writer, bytes, times)| Step::Append { writer, bytes, times }),
        2 => Just(Step::AddWriter),
        1 => (0_usize..4).prop_map(|writer| Step::DropWriter { writer }),
        4 => Just(Step::Prepare),
        2 => Just(Step::Flush),
        4 => (1_usize..30).prop_map(|chunks| Step::Consume { chunks }),
        3 => Just(Step::Release),
        1 => Just(Step::RenewReader),
        1 => Just(Step::Kill),
        1 => Just(Step::Close),
        1 => Just(Step::FillDisk),
        1 => Just(Step::EmptyDisk),
    ]
}

fn take(world: &mut World, step: &Step) {
    world.open();
    match *step {
        Step::Append { writer, bytes, times } => {
            if world.writers.is_empty() {
                world.add_writer();
            }
            let writer = writer % world.writers.len();
            for _ in 0..times {
                let _ = world.append(writer, bytes);
            }
        }
        Step::AddWriter if world.writers.len() < 4 => world.add_writer(),
        Step::AddWriter => {}
        Step::DropWriter { writer } if !world.writers.is_empty() => {
            let writer = writer % world.writers.len();
            drop(world.writers.swap_remove(writer));
        }
        Step::DropWriter { .. } => {}
        // Without room it fails, which is what the writers are to live with.
        Step::Prepare => drop(world.prepare()),
        Step::Flush => world.flush().unwrap(),
        Step::Consume { chunks } => world.consume(chunks).unwrap(),
        Step::Release => world.release().unwrap(),
        Step::RenewReader => {
            world.reader = None;
            let mut reader = world.spool.as_ref().unwrap().reader().unwrap();
            reader.start_at(&world.positions());
            world.reader = Some(reader);
        }
        Step::Kill => world.kill(),
        Step::Close => world.close(),
        Step::FillDisk => world.memory.fill_up(),
        Step::EmptyDisk => world.memory.set_capacity(u64::MAX),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn each_append_is_handed_out_once(
        steps in prop::collection::vec(step(), 1..120),
        segments_max in 3_u64..40,
        is_first_small in any::<bool>(),
    ) {
        let mut world = World::new();
        if is_first_small {
            world.options.first_segment_bytes = world.options.segment_bytes;
            world.options.segment_bytes *= 4;
        }
        world.options.bytes_max = segments_max * world.options.segment_bytes;
        for step in &steps {
            take(&mut world, step);
            prop_assert!(world.memory.used() <= world.memory.own_bytes() + world.options.bytes_max);
        }
        world.drain();
        world.check_exact();
        world.kill();
        world.drain();
        world.check_exact();
        world.release().unwrap();
        let stats = world.spool.as_ref().unwrap().stats();
        prop_assert_eq!(stats.pending, 0);
        // Nobody writes, and all is released: only files kept for later may be left.
        prop_assert_eq!(stats.segments, 0, "{:?}", world.memory.names());
        prop_assert!(stats.bytes_on_disk <= 2 * world.options.segment_bytes);
    }
}
