//! Fast look-ups, for a thread that does little else.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use crate::entry::put_key;
use crate::places::hash_of;
use crate::{Table, TableError};

/// The most links that are prefetched together; more would evict each other from the cache. Further ones are fetched
/// when they are read.
const EXPECTED_MAX: usize = 128;

/// One thread's look-ups. They return what [`Table::get`] returns, mostly without searching the tree.
pub struct Reader {
    table: Arc<Table>,
    /// The buffer for a record; taken out during a look-up.
    copy: Cell<Vec<u8>>,
    /// The buffer for a key; taken out during a look-up.
    key: Cell<Vec<u8>>,
    /// The hashes of the keys that are expected.
    expected: RefCell<Vec<u64>>,
}

impl Reader {
    /// A reader of this table.
    pub fn new(table: Arc<Table>) -> Reader {
        Reader { table, copy: Cell::default(), key: Cell::default(), expected: RefCell::default() }
    }

    /// The table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Notes that this link will probably be looked up soon. Its only effect is that [`Reader::prefetch`] prefetches
    /// it.
    #[inline]
    pub fn expect(&self, domain: &[u8], slug: &[u8]) {
        let mut key = self.key.take();
        put_key(domain, slug, &mut key);
        let mut expected = self.expected.borrow_mut();
        if expected.len() < EXPECTED_MAX {
            expected.push(hash_of(&key));
        }
        self.key.set(key);
    }

    /// Prefetches the expected links together, so that the waits for memory overlap.
    #[inline]
    pub fn prefetch(&self) {
        let mut expected = self.expected.borrow_mut();
        if !expected.is_empty() {
            self.table.with_live(|live| live.places().prefetch_records(&expected));
            expected.clear();
        }
    }

    /// Looks a link up and passes its record to `read`. If the bytes are not a valid record, `read` must return `None`
    /// and have no effect: a place may give damaged bytes, and then the record is read again from the tree.
    ///
    /// # Errors
    /// As [`Table::get`]; [`TableError::DamagedEntry`] also if `read` refuses the tree's bytes.
    #[inline]
    pub fn get<R>(
        &self,
        domain: &str,
        slug: &str,
        read: impl FnMut(&[u8]) -> Option<R>,
    ) -> Result<Option<R>, TableError> {
        let (mut key, mut copy) = (self.key.take(), self.copy.take());
        let found = if put_key(domain.as_bytes(), slug.as_bytes(), &mut key) {
            self.table.with_live(|live| live.find(&key, hash_of(&key), &mut copy, read))
        } else {
            // Such a link cannot be stored.
            Ok(None)
        };
        self.copy.set(copy);
        self.key.set(key);
        found
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("table", &self.table).finish_non_exhaustive()
    }
}
