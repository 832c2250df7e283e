//! Checks the link table after a start, and keeps it in memory: reads all of it after a start, whenever it was built
//! again, and when it has grown much, so that no visitor waits for the disk, and look-ups know where links are in the
//! file.
//!
//! A table that is too large for the available memory is only read as requests need it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, TryRecvError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use waypost_table::{Table, TableError, TableStats};

/// How often to check whether that is needed again.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The thread that does this. Dropping this value ends it within milliseconds.
#[derive(Debug)]
pub(crate) struct Warmer {
    /// Closing this channel ends the thread; `None` after that.
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Warmer {
    pub(crate) fn start(table: Arc<Table>) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name("table-warm".to_owned()).spawn(move || keep_warm(&table, &stopped))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }

    /// The name of the thread, if it ended before this value was dropped.
    pub(crate) fn ended_thread(&self) -> Option<&'static str> {
        let has_ended = self.thread.as_ref().is_some_and(JoinHandle::is_finished);
        has_ended.then_some("the thread that checks the link table")
    }
}

impl Drop for Warmer {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that keeps the link table in memory panicked");
        }
    }
}

fn keep_warm(table: &Table, stopped: &mpsc::Receiver<()>) {
    let mut warmed = None;
    loop {
        match table.stats() {
            Ok(stats) if warmed != Some((stats.generation, stats.places_max)) => {
                warmed = Some((stats.generation, stats.places_max));
                if let Err(error) = warm(table, stats, || stopped.try_recv() == Err(TryRecvError::Empty)) {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the link table could not be read ahead");
                }
            }
            // Look-ups report what is wrong with it.
            Ok(_) | Err(_) => {}
        }
        if stopped.recv_timeout(LOOK_INTERVAL) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

fn warm(table: &Table, stats: TableStats, keep_going: impl Fn() -> bool) -> Result<(), TableError> {
    // However long it takes: until then nothing is written to the table, and a link that is not in it is not said to be
    // missing.
    if table.check(&keep_going).is_err() {
        // The table has logged what is wrong, and is being filled again.
        return Ok(());
    }
    let available_bytes = available_memory_bytes();
    if available_bytes.is_none_or(|available| stats.used_bytes > available / 2) {
        tracing::info!(
            table.bytes = stats.used_bytes,
            memory.available_bytes = available_bytes,
            "the link table is not read ahead: it is larger than half of the available memory"
        );
        return Ok(());
    }
    let began = Instant::now();
    let entries = table.warm(keep_going)?;
    tracing::debug!(entries, took_ms = began.elapsed().as_millis() as u64, "the link table is in memory");
    Ok(())
}

/// The memory that Linux reports as available without swapping; `None` on other systems.
fn available_memory_bytes() -> Option<u64> {
    available_in(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

/// Reads the line `MemAvailable:   12345 kB`.
fn available_in(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use waypost_table::{Change, Reader, TableOptions};

    use super::*;

    #[test]
    fn available_memory_is_read() {
        let text = "MemTotal:       24672384 kB\nMemFree:          123 kB\nMemAvailable:   20000000 kB\n";
        assert_eq!(available_in(text), Some(20_480_000_000));
        for text in ["", "MemAvailable: x kB", "MemAvailable: 5"] {
            assert_eq!(available_in(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_warmer_ends_when_it_is_dropped_and_leaves_the_table_alone() {
        let folder = tempfile::tempdir().unwrap();
        let table = Arc::new(Table::open(folder.path(), TableOptions::default()).unwrap());
        table.apply(&[Change { domain: "", slug: "s", version: 1, record: Some(b"r") }], 1).unwrap();
        let warmer = Warmer::start(Arc::clone(&table)).unwrap();
        let reader = Reader::new(Arc::clone(&table));
        assert_eq!(reader.get("", "s", |found| Some(found.to_vec())).unwrap().unwrap(), b"r");
        let began = Instant::now();
        drop(warmer);
        assert!(began.elapsed() < Duration::from_secs(5));
        drop(reader);
        assert_eq!(Arc::strong_count(&table), 1);
    }
}
