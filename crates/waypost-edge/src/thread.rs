//! What the connections of one thread use in turn.

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
/// Requests of one connection that are announced together.
const ANNOUNCED_MAX: usize = 32;

/// One edge thread.
#[derive(Debug)]
pub(crate) struct Thread {
    pub(crate) links: Reader,
    /// `None` where no clicks are recorded.
    pub(crate) recorder: Option<Recorder>,
    /// Where bytes are read to. Borrowed while requests in it are answered, which borrows nothing else of this.
    pub(crate) chunk: RefCell<Box<[u8]>>,
    /// Borrowed while a plain request is answered.
    pub(crate) last_host: RefCell<LastHost>,
    /// Under what name the table has the links of that host.
    last_table_key: RefCell<String>,
    pub(crate) clock: Clock,
    pub(crate) date: Date,
}

impl Thread {
    /// Keeps where the links of the last host were looked for.
    #[inline]
    pub(crate) fn note_site(&self, site: Site<'_>) {
        let mut last = self.last_table_key.borrow_mut();
        // Two empty texts are not compared: the C library does that with loads that are masked out, and where an empty text
        // points to no memory the processor takes a hundred nanoseconds to find that nothing was to be loaded.
        if site.table_key.is_empty() {
            last.clear();
        } else if *last != site.table_key {
            site.table_key.clone_into(&mut last);
        }
    }

    /// Says that these bytes will be answered soon: what their link needs from memory is fetched together with what the requests
    /// of other connections need. A wrong guess costs a little time and nothing else.
    #[inline]
    pub(crate) fn announce(&self, bytes: &[u8]) {
        let Some((path, host)) = plain::peek(bytes) else { return };
        if self.last_host.borrow().is(host) {
            self.links.expect(self.last_table_key.borrow().as_bytes(), path.get(1..).unwrap_or_default());
        }
    }

    /// Announces the requests that these bytes begin with, up to [`ANNOUNCED_MAX`]; gives how many bytes they have together.
    #[cold]
    pub(crate) fn announce_all(&self, bytes: &[u8]) -> usize {
        let mut done = 0;
        for end in memmem::find_iter(bytes, b"\r\n\r\n").take(ANNOUNCED_MAX) {
            self.announce(&bytes[done..]);
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
