//! The state that the connections of one thread share.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use memchr::memmem;
use waypost_table::{Reader, Table};

use crate::clicks::Recorder;
use crate::clock::Clock;
use crate::date::Date;
use crate::host::{LastHost, Site};
use crate::plain;

/// Bytes read from a connection at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// The most requests of one connection whose links are prefetched together.
const PREFETCHED_MAX: usize = 32;

/// One edge thread.
#[derive(Debug)]
pub(crate) struct Thread {
    pub(crate) links: Reader,
    /// `None` if no clicks are recorded.
    pub(crate) recorder: Option<Recorder>,
    /// The buffer that bytes are read to. Borrowed while the requests in it are answered, which borrows nothing else
    /// here.
    pub(crate) chunk: RefCell<Box<[u8]>>,
    /// Borrowed while a plain request is answered.
    pub(crate) last_host: RefCell<LastHost>,
    /// The name under which the table has the links of that host.
    last_table_key: RefCell<String>,
    pub(crate) clock: Clock,
    pub(crate) date: Date,
}

impl Thread {
    /// Keeps where the links of the last host were looked for.
    #[inline]
    pub(crate) fn note_site(&self, site: Site<'_>) {
        let mut last = self.last_table_key.borrow_mut();
        // Two empty strings are not compared: the C library does that with loads that are masked out, and where an
        // empty text points to no memory the processor takes a hundred nanoseconds to find that nothing was to be
        // loaded.
        if site.table_key.is_empty() {
            last.clear();
        } else if *last != site.table_key {
            site.table_key.clone_into(&mut last);
        }
    }

    /// Prefetches the memory that the link of this request needs, together with that of other connections' requests. A
    /// wrong guess costs a little time and nothing else.
    #[inline]
    pub(crate) fn prefetch(&self, bytes: &[u8]) {
        let Some((path, host)) = plain::peek(bytes) else { return };
        if self.last_host.borrow().is(host) {
            self.links.expect(self.last_table_key.borrow().as_bytes(), path.get(1..).unwrap_or_default());
        }
    }

    /// Prefetches for the requests that these bytes begin with, up to [`PREFETCHED_MAX`]; returns their bytes.
    #[cold]
    pub(crate) fn prefetch_all(&self, bytes: &[u8]) -> usize {
        let mut done = 0;
        for end in memmem::find_iter(bytes, b"\r\n\r\n").take(PREFETCHED_MAX) {
            self.prefetch(&bytes[done..]);
            done = end + b"\r\n\r\n".len();
        }
        done
    }

    /// `wakes` has to grow whenever the thread wakes.
    pub(crate) fn new(table: Arc<Table>, recorder: Option<Recorder>, wakes: Arc<AtomicU64>) -> Self {
        Self {
            links: Reader::new(table),
            recorder,
            chunk: RefCell::new(vec![0; CHUNK_BYTES].into_boxed_slice()),
            last_host: RefCell::default(),
            last_table_key: RefCell::default(),
            clock: Clock::new(wakes),
            date: Date::default(),
        }
    }
}
