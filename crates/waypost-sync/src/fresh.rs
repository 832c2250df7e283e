//! New records on a short cut to the link table: a transaction knows the records that it has just written, so the job
//! that keeps the table up to date (`table.rs`) need not read them back from the store.
//!
//! Correctness does not depend on it. Records are used only if they are exactly what the outbox has next; records that
//! were dropped or are out of order are read from the outbox, like changes of other kinds and of other processes.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use waypost_store::EdgeRecord;

/// Outbox sequences from the first record that waits to the last. What comes past them is dropped.
const SEQUENCES_WAITING_MAX: u64 = 50_000;

/// All that one or more transactions in a row told edges.
#[derive(Debug, PartialEq)]
pub struct FreshRecords {
    /// The newest outbox sequence before them.
    pub after: u64,
    /// The outbox sequence up to which a table with these records is current.
    pub newest: u64,
    /// What edges are told of each slug.
    pub records: Vec<EdgeRecord>,
}

/// Fresh records in the order of their sequences.
#[derive(Debug, Default)]
pub(crate) struct FreshQueue {
    /// A std mutex: held to move records in and out, never across an await.
    waiting: Mutex<VecDeque<FreshRecords>>,
}

impl FreshQueue {
    /// Takes in what one transaction made. Transactions come in the order of their commits; one that comes before what
    /// waits takes its place.
    pub(crate) fn push(&self, fresh: FreshRecords) {
        let mut waiting = self.lock();
        // A database that was put back to an earlier state counts anew: what waits is not of its outbox.
        if waiting.back().is_some_and(|last| fresh.after < last.newest) {
            waiting.clear();
        }
        let first = waiting.front().map_or(fresh.after, |first| first.after);
        if !fresh.records.is_empty() && fresh.newest - first <= SEQUENCES_WAITING_MAX {
            waiting.push_back(fresh);
        }
    }

    /// What comes right after `cursor`, some `records_max` of it. What the cursor has overtaken is dropped.
    pub(crate) fn take(&self, cursor: u64, records_max: usize) -> Option<FreshRecords> {
        let mut waiting = self.lock();
        while waiting.pop_front_if(|fresh| fresh.after < cursor).is_some() {}
        let mut taken = waiting.pop_front_if(|fresh| fresh.after == cursor)?;
        while taken.records.len() < records_max
            && let Some(next) = waiting.pop_front_if(|next| next.after == taken.newest)
        {
            taken.newest = next.newest;
            taken.records.extend(next.records);
        }
        Some(taken)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<FreshRecords>> {
        // No panic leaves a queue half changed.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh(after: u64, newest: u64) -> FreshRecords {
        let record = |version| EdgeRecord { domain_key: String::new(), slug: "a".to_owned(), version, record: None };
        FreshRecords { after, newest, records: (after + 1..=newest).map(record).collect() }
    }

    #[track_caller]
    fn check(queue: &FreshQueue, cursor: u64, expect: Option<&FreshRecords>) {
        assert_eq!(queue.take(cursor, 10).as_ref(), expect, "after {cursor}");
    }

    #[test]
    fn only_what_comes_next_is_taken() {
        let queue = FreshQueue::default();
        check(&queue, 0, None);
        queue.push(fresh(5, 5));
        check(&queue, 5, None);
        queue.push(fresh(5, 7));
        queue.push(fresh(7, 8));
        queue.push(fresh(9, 10));
        check(&queue, 4, None);
        check(&queue, 5, Some(&fresh(5, 8)));
        check(&queue, 8, None);
        check(&queue, 9, Some(&fresh(9, 10)));
        check(&queue, 10, None);
    }

    #[test]
    fn what_was_overtaken_is_dropped() {
        let queue = FreshQueue::default();
        queue.push(fresh(0, 3));
        queue.push(fresh(3, 6));
        queue.push(fresh(6, 7));
        check(&queue, 4, None);
        check(&queue, 0, None);
        check(&queue, 6, Some(&fresh(6, 7)));
    }

    #[test]
    fn a_database_that_counts_anew_is_believed() {
        let queue = FreshQueue::default();
        queue.push(fresh(100, 103));
        queue.push(fresh(103, 104));
        queue.push(fresh(50, 51));
        check(&queue, 100, None);
        queue.push(fresh(100, 103));
        queue.push(fresh(50, 51));
        check(&queue, 50, Some(&fresh(50, 51)));
        check(&queue, 100, None);
    }

    #[test]
    fn batches_and_the_queue_end() {
        let queue = FreshQueue::default();
        let last = SEQUENCES_WAITING_MAX;
        for after in 0..20 {
            queue.push(fresh(after, after + 1));
        }
        queue.push(fresh(20, last - 1));
        queue.push(fresh(last - 1, last + 1));
        queue.push(fresh(last - 1, last));
        check(&queue, 0, Some(&fresh(0, 10)));
        queue.push(fresh(last, last + 1));
        assert_eq!(queue.take(10, usize::MAX), Some(fresh(10, last + 1)));
        check(&queue, last + 1, None);
    }
}
