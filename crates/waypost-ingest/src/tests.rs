//! The ingest with a source and a database that fail in every way, at every step.
#![allow(clippy::unwrap_used)]

mod facts;
mod model;

use std::sync::Arc;
use std::time::Duration;

use model::{Fault, ModelSink, ModelSource, World, bytes_of};
use waypost_clicks::LossCause;
use waypost_core::click::ClickEvent;

use crate::fill::{FillEnd, LIVE_CLICKS_MAX};
use crate::ingest::Ingest;
use crate::settings::ClickSettings;

pub(super) const SLUG_THAT_PANICS: &str = "panic";

/// Longer than anything here takes.
const WAIT: Duration = Duration::from_secs(20);
/// How long a database that is down is watched.
const DOWN: Duration = Duration::from_millis(200);

fn settings(batch_clicks_max: usize) -> ClickSettings {
    let quick = Duration::from_millis(1);
    let back_off = (quick, Duration::from_millis(32));
    ClickSettings { batch_clicks_max, batch_age: quick, poll: quick, back_off, ..ClickSettings::default() }
}

/// An ingest at work on a world, with small batches.
struct Running {
    ingest: Arc<Ingest>,
    job: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(world: &World, batch_clicks_max: usize) -> Self {
        let ingest = Arc::new(Ingest::new(settings(batch_clicks_max)));
        let filler = ingest.filler(Box::new(ModelSource::new(world)));
        let job = tokio::spawn({
            let (ingest, sink) = (Arc::clone(&ingest), ModelSink::new(world));
            async move { ingest.run(sink, filler).await }
        });
        Self { ingest, job }
    }

    async fn stop(self) {
        self.ingest.stop();
        self.job.await.unwrap();
    }
}

/// Two epochs that write in turn, a loss among them.
fn world() -> World {
    let world = World::default();
    for number in 1..=40 {
        world.append(1 + number % 2, bytes_of(&format!("slug-{number}")));
    }
    world.lose(1, 5, LossCause::Full);
    world.append(1, bytes_of("after"));
    world
}

#[tokio::test]
async fn everything_is_counted_once_and_let_go_of() {
    let world = world();
    let running = Running::start(&world, 7);
    assert!(running.ingest.wait_until_drained(WAIT).await);
    world.assert_counted_once(41, 5);
    let status = running.ingest.status();
    assert_eq!((status.counted, status.lost, status.pending, status.is_failing), (41, 5, 0, false));
    assert!(status.batches >= 5);
    world.append(3, bytes_of("later"));
    assert!(running.ingest.wait_until_drained(WAIT).await);
    world.assert_counted_once(42, 5);
    running.stop().await;
}

#[test]
fn a_batch_is_no_larger_than_asked_for() {
    let ingest = Ingest::new(settings(1_000));
    let mut filler = ingest.filler(Box::new(ModelSource::new(&world())));
    filler.start_at(&[]).unwrap();
    // A batch is also full when filling takes long, as it may where the first user agent is read.
    while filler.filled().clicks < 7 {
        assert_eq!(filler.fill(&"".into(), 7).unwrap(), FillEnd::Full);
    }
    assert_eq!(filler.fill(&"".into(), 7).unwrap(), FillEnd::Full);
    // The source shows up to three at once.
    assert!((7..10).contains(&filler.filled().clicks), "{}", filler.filled().clicks);
    while filler.fill(&"".into(), u64::MAX).unwrap() == FillEnd::Full {}
    assert_eq!(filler.filled().clicks, 41);
}

#[tokio::test]
async fn a_failure_at_any_step_loses_and_doubles_nothing() {
    for fault in [Fault::Error, Fault::ErrorAfterwards, Fault::Panic] {
        for step in 1.. {
            let world = world();
            world.fail_at(step, fault);
            let running = Running::start(&world, 7);
            assert!(running.ingest.wait_until_drained(WAIT).await, "{fault:?} at step {step}");
            world.assert_counted_once(41, 5);
            running.stop().await;
            if world.has_fault_left() {
                assert!(step > 20, "only {step} steps");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_database_that_is_down_makes_clicks_wait() {
    let world = world();
    world.set_down(true);
    let running = Running::start(&world, 7);
    assert!(!running.ingest.wait_until_drained(DOWN).await);
    let status = running.ingest.status();
    assert!(status.is_failing && status.pending == 46, "{status:?}");
    // Shown to anyone: what failed, and nothing of what the driver said.
    assert_eq!(status.last_error.as_deref(), Some("clicks cannot be counted"));
    // Ever longer pauses: not a busy loop.
    assert!((1..15).contains(&status.failures), "{} failures", status.failures);
    world.append(2, bytes_of("meanwhile"));
    world.set_down(false);
    assert!(running.ingest.wait_until_drained(WAIT).await);
    world.assert_counted_once(42, 5);
    assert!(!running.ingest.status().is_failing);
    // Down again, with clicks read but not counted.
    world.set_down(true);
    world.append(2, bytes_of("and again"));
    assert!(!running.ingest.wait_until_drained(DOWN).await);
    assert!(running.ingest.status().is_failing);
    world.set_down(false);
    assert!(running.ingest.wait_until_drained(WAIT).await);
    world.assert_counted_once(43, 5);
    running.stop().await;
}

#[tokio::test]
async fn clicks_that_cannot_be_read_are_declared_lost() {
    let world = World::default();
    for number in 0..30 {
        let bytes = match number {
            3 => b"no click".to_vec(),
            7 | 8 | 20 => bytes_of(SLUG_THAT_PANICS),
            29 => Vec::new(),
            _ => bytes_of("fine"),
        };
        world.append(1, bytes);
    }
    let running = Running::start(&world, 1_000);
    assert!(running.ingest.wait_until_drained(WAIT).await);
    world.assert_counted_once(25, 5);
    assert_eq!(running.ingest.status().unreadable, 5);
    running.stop().await;
}

#[tokio::test]
async fn a_source_that_repeats_or_skips_is_put_right() {
    let world = world();
    world.misbehave(|source| {
        source.repeats_everything = true;
        source.skips_once = Some((2, 4));
    });
    let running = Running::start(&world, 7);
    assert!(running.ingest.wait_until_drained(WAIT).await);
    world.assert_counted_once(41, 5);
    running.stop().await;
}

#[tokio::test]
async fn what_the_spool_has_let_go_of_before_it_was_counted_is_declared_lost() {
    let world = world();
    // As after the database was replaced by an older copy.
    world.misbehave(|source| {
        source.released.insert(1, 9);
        source.released.insert(2, 3);
    });
    let running = Running::start(&world, 1_000);
    assert!(running.ingest.wait_until_drained(WAIT).await);
    world.assert_counted_once(41 - 10, 5 + 10);
    running.stop().await;
}

#[tokio::test]
async fn stopping_counts_what_is_there() {
    let world = world();
    let running = Running::start(&world, 7);
    running.stop().await;
    world.assert_counted_once(41, 5);

    let world = self::world();
    world.set_down(true);
    let running = Running::start(&world, 7);
    // With a database that is down it ends all the same.
    tokio::time::timeout(WAIT, running.stop()).await.unwrap();
    assert_eq!(world.pending(), 46);
}

#[tokio::test]
async fn whoever_listens_is_shown_what_is_counted() {
    let world = World::default();
    world.append(1, bytes_of("before anyone listened"));
    let running = Running::start(&world, 1_000_000);
    assert!(running.ingest.wait_until_drained(WAIT).await);

    let mut live = running.ingest.subscribe();
    for number in 0..50 {
        world.append(1, bytes_of(&format!("slug-{number}")));
    }
    let mut slugs = Vec::new();
    while slugs.len() < 50 {
        let events = live.recv().await.unwrap();
        assert!(world.counted() > slugs.len() as u64, "shown before it was counted");
        slugs.extend(events.iter().map(|event: &ClickEvent| event.slug.clone()));
    }
    assert_eq!(slugs, (0..50).map(|number| format!("slug-{number}")).collect::<Vec<_>>());

    for _ in 0..LIVE_CLICKS_MAX * 2 {
        world.append(1, bytes_of("many"));
    }
    assert!(running.ingest.wait_until_drained(WAIT).await);
    assert!(live.recv().await.unwrap().len() <= LIVE_CLICKS_MAX);
    running.stop().await;
}
