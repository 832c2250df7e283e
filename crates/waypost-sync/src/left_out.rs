//! Links that the table cannot have as the store has them: their rows are damaged, or their records cannot be served.
//!
//! A link that exists is never answered as if it did not: its slug keeps the record that the table has, also when the
//! table is filled again; if there is none, it gets a record that edges answer with 503. These links are remembered, so
//! that the operator can be notified (`waypost-control`).

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use waypost_api::sync::FailedLink;
use waypost_jobs::Chain;
use waypost_store::{EdgeRecord, UnreadableLink};

/// Links whose names are kept; more are only counted.
const NAMED_MAX: usize = 1_000;

/// A link whose row cannot be read, as it is shown.
pub(crate) fn unreadable_link(link: &UnreadableLink) -> FailedLink {
    FailedLink {
        link_id: link.link_id.as_ref().map(|id| id.as_str().to_owned()),
        domain: link.domain_key.clone(),
        slug: link.key.slug.clone(),
        version: link.version,
        error: Chain(&link.error).to_string(),
    }
}

/// The links that are left out now, as far as this process has met them.
#[derive(Debug, Default)]
pub(crate) struct LeftOutLinks {
    /// A std mutex: held to change the list, never across an await.
    met: Mutex<Met>,
}

#[derive(Debug, Default)]
struct Met {
    /// By domain and slug.
    named: BTreeMap<(String, String), FailedLink>,
    /// Links past those.
    others: u64,
}

impl LeftOutLinks {
    /// Forgets the links of these slugs: what is true of them now is about to be written.
    pub(crate) fn forget(&self, records: &[EdgeRecord]) {
        let mut met = self.lock();
        if met.named.is_empty() {
            return;
        }
        for record in records {
            met.named.remove(&(record.domain_key.clone(), record.slug.clone()));
        }
    }

    /// Forgets all: every link is about to be written.
    pub(crate) fn forget_all(&self) {
        *self.lock() = Met::default();
    }

    pub(crate) fn add(&self, links: Vec<FailedLink>) {
        let mut met = self.lock();
        for link in links {
            let key = (link.domain.clone(), link.slug.clone());
            if met.named.len() < NAMED_MAX || met.named.contains_key(&key) {
                met.named.insert(key, link);
            } else {
                met.others += 1;
            }
        }
    }

    /// Their number, and the first of them.
    pub(crate) fn first(&self, links_max: usize) -> (u64, Vec<FailedLink>) {
        let met = self.lock();
        (met.named.len() as u64 + met.others, met.named.values().take(links_max).cloned().collect())
    }

    fn lock(&self) -> MutexGuard<'_, Met> {
        // What a panic left is whole.
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
