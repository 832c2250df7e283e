//! The quick way to look links up, for a thread that does little else.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use crate::entry::put_key;
use crate::places::hash_of;
use crate::{Table, TableError};

/// Links that are expected at one time; what is beyond is fetched when it is read. More would push each other out of the cache.
const EXPECTED_MAX: usize = 128;

/// One thread's look-ups. They give what [`Table::get`] gives, mostly without asking the tree.
pub struct Reader {
    table: Arc<Table>,
    /// What is being read, taken out meanwhile.
    copy: Cell<Vec<u8>>,
    /// The room of a key, taken out meanwhile.
    key: Cell<Vec<u8>>,
    /// The hashes of the keys that are expected.
    expected: RefCell<Vec<u64>>,
}

impl Reader {
    /// Looks up in this table.
    pub fn new(table: Arc<Table>) -> Reader {
        Reader { table, copy: Cell::default(), key: Cell::default(), expected: RefCell::default() }
    }

    /// The table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Says that this link will probably be wanted soon. Has no other effect than that [`Reader::approach`] fetches it from memory.
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

    /// Fetches from memory what is expected, all at once: one after the other each would be waited for.
    #[inline]
    pub fn approach(&self) {
        let mut expected = self.expected.borrow_mut();
        if !expected.is_empty() {
            self.table.with_live(|live| live.places().approach(&expected));
            expected.clear();
        }
    }

    /// Looks a link up and hands its record to `read`, which gives `None` where the bytes are not a sound record and must have
    /// done nothing then: they may be called damaged once, and are read from the tree for good.
    ///
    /// # Errors
    /// As [`Table::get`]; [`TableError::DamagedEntry`] also where `read` refuses what the tree holds.
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
            // No such link can be stored.
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
