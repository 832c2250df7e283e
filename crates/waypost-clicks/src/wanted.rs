//! What reports have missed and a job is to make.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most that waits to be made. Past that something is wanted again by the next report that misses it.
const WANTED_MAX: usize = 1_024;

/// What reports had no use of because nobody has made it. Shared by all reports and the job that makes it; held only to
/// put one in or take one out.
#[derive(Clone, Debug)]
pub(crate) struct Wanted<T>(Arc<Mutex<BTreeSet<T>>>);

impl<T: Ord> Wanted<T> {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<T>> {
        // An entry is put in whole or not at all, so what a panic left is as good as before.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn want(&self, what: T) {
        let mut wanted = self.lock();
        if wanted.len() < WANTED_MAX {
            wanted.insert(what);
        }
    }

    /// Takes the first of them out.
    pub(crate) fn take(&self) -> Option<T> {
        self.lock().pop_first()
    }
}

impl<T> Default for Wanted<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}
