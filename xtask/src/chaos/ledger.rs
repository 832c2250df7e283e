//! Compares what the client knows with what the server reports.
//!
//! The client counts a request as sent before its first byte leaves, and as answered once its status line has come. So
//! a click was certainly recorded for each answer, and certainly none without a request:
//!
//! answered <= stored + declared lost <= sent
//!
//! The server says its part in three ways (raw clicks, the audit, reports), which must agree.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The most different faults kept in words; all are counted.
const FAULTS_SHOWN_MAX: usize = 10;

/// The client's own count, shared by its connections.
#[derive(Debug)]
pub(crate) struct Ledger {
    links: Vec<LinkCount>,
    /// Answers that should not have been, and connections that ended without a reason.
    faults: AtomicU64,
    /// How often each came.
    fault_texts: Mutex<BTreeMap<String, u64>>,
    slowest_micros: AtomicU64,
}

#[derive(Debug, Default)]
struct LinkCount {
    sent: AtomicU64,
    answered: AtomicU64,
}

impl Ledger {
    pub(crate) fn new(links: usize) -> Self {
        let links = (0..links).map(|_| LinkCount::default()).collect();
        Self { links, faults: AtomicU64::new(0), fault_texts: Mutex::default(), slowest_micros: AtomicU64::new(0) }
    }

    pub(crate) fn count_sent(&self, link: usize) {
        self.links[link].sent.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_answered(&self, link: usize) {
        self.links[link].answered.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes how long an answer took while nothing was wrong with the process.
    pub(crate) fn note_wait(&self, micros: u64) {
        self.slowest_micros.fetch_max(micros, Ordering::Relaxed);
    }

    pub(crate) fn fault(&self, text: String) {
        self.faults.fetch_add(1, Ordering::Relaxed);
        let mut texts = self.fault_texts.lock().unwrap_or_else(PoisonError::into_inner);
        if texts.len() < FAULTS_SHOWN_MAX || texts.contains_key(&text) {
            *texts.entry(text).or_default() += 1;
        }
    }

    /// The counts; `link_ids` names the links in their order.
    pub(crate) fn tally(&self, link_ids: &[String]) -> Tally {
        let count = |link: &LinkCount| Sent {
            sent: link.sent.load(Ordering::Relaxed),
            answered: link.answered.load(Ordering::Relaxed),
        };
        let texts = self.fault_texts.lock().unwrap_or_else(PoisonError::into_inner);
        Tally {
            links: link_ids.iter().cloned().zip(self.links.iter().map(count)).collect(),
            faults: self.faults.load(Ordering::Relaxed),
            fault_texts: texts.iter().map(|(text, count)| format!("{count} x {text}")).collect(),
            slowest_micros: self.slowest_micros.load(Ordering::Relaxed),
        }
    }
}

/// Requests on one link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) sent: u64,
    pub(crate) answered: u64,
}

/// What the client counted in the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) links: BTreeMap<String, Sent>,
    pub(crate) faults: u64,
    pub(crate) fault_texts: Vec<String>,
    pub(crate) slowest_micros: u64,
}

impl Tally {
    pub(crate) fn sent(&self) -> u64 {
        self.links.values().map(|link| link.sent).sum()
    }

    pub(crate) fn answered(&self) -> u64 {
        self.links.values().map(|link| link.answered).sum()
    }
}

/// What the server says once it has counted everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    /// Raw clicks by link.
    pub(crate) raw: BTreeMap<String, u64>,
    /// Raw clicks whose event id an earlier one had.
    pub(crate) repeated_ids: u64,
    /// Days that raw clicks are of.
    pub(crate) days: BTreeSet<String>,
    /// Clicks in reports, by link, all classes.
    pub(crate) reported: BTreeMap<String, u64>,
    /// Clicks in the report on the account, all classes.
    pub(crate) reported_total: u64,
    /// The audit's sums over edges and epochs.
    pub(crate) stored: u64,
    pub(crate) lost: u64,
    pub(crate) missing: u64,
    /// What the audit found wrong, in its words.
    pub(crate) complaints: Vec<String>,
}

/// Everything that cannot be true. Empty: the promise held.
pub(crate) fn violations(tally: &Tally, counted: &Counted) -> Vec<String> {
    let mut found = tally.fault_texts.clone();
    if tally.faults > 0 {
        found.push(format!("{} redirects failed without a reason", tally.faults));
    }
    let (sent, answered) = (tally.sent(), tally.answered());
    let known = counted.stored + counted.lost;
    let mut must = |holds: bool, text: String| {
        if !holds {
            found.push(text);
        }
    };
    must(answered > 0, "no redirect was answered: nothing was tried".to_owned());
    must(answered <= known, format!("{answered} answered, but only {known} stored or declared lost"));
    must(known <= sent, format!("{known} stored or declared lost, but only {sent} sent"));
    must(counted.missing == 0, format!("{} sequences are missing in the audit", counted.missing));
    must(counted.repeated_ids == 0, format!("{} event ids appear more than once", counted.repeated_ids));
    let reported: u64 = counted.reported.values().sum();
    must(counted.reported_total == counted.stored, {
        format!("the account's report says {}, the audit {}", counted.reported_total, counted.stored)
    });
    must(reported == counted.stored, format!("the links' reports say {reported}, the audit {}", counted.stored));
    let raw: u64 = counted.raw.values().sum();
    must(raw == counted.stored, format!("{raw} raw clicks, the audit says {}", counted.stored));
    must(counted.raw == counted.reported, "raw clicks and reports differ by link".to_owned());
    found.extend(counted.complaints.iter().cloned());
    found.extend(link_violations(tally, counted));
    found
}

/// By link: no more than were sent, and all that is short in any of them must have been declared lost.
fn link_violations(tally: &Tally, counted: &Counted) -> Vec<String> {
    let mut found = Vec::new();
    let mut short = 0;
    for (link, sent) in &tally.links {
        let stored = counted.reported.get(link).copied().unwrap_or_default();
        if stored > sent.sent {
            found.push(format!("{link}: {stored} stored, but only {} sent", sent.sent));
        }
        short += sent.answered.saturating_sub(stored);
    }
    if short > counted.lost {
        found.push(format!(
            "links are {short} clicks short of their answers, and only {} were declared lost",
            counted.lost
        ));
    }
    for link in counted.reported.keys().filter(|link| !tally.links.contains_key(*link)) {
        found.push(format!("{link}: clicks on a link that was never asked for"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two links: on each 11 sent, 10 answered, 10 stored; and 1 declared lost.
    fn good() -> (Tally, Counted) {
        let links = ["link_a", "link_b"];
        let sent = |link: &str| (link.to_owned(), Sent { sent: 11, answered: 10 });
        let stored: BTreeMap<String, u64> = links.map(|link| (link.to_owned(), 10)).into();
        let tally = Tally { links: links.map(sent).into(), ..Tally::default() };
        let counted = Counted {
            raw: stored.clone(),
            reported: stored,
            reported_total: 20,
            stored: 20,
            lost: 1,
            ..Counted::default()
        };
        (tally, counted)
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Tally, &mut Counted), expect: &str) {
        let (mut tally, mut counted) = good();
        change(&mut tally, &mut counted);
        let found = violations(&tally, &counted);
        assert!(found.iter().any(|text| text.contains(expect)), "{expect:?} is not among {found:#?}");
    }

    fn take(counts: &mut BTreeMap<String, u64>, clicks: u64) {
        counts.entry("link_a".to_owned()).and_modify(|count| *count -= clicks);
    }

    #[test]
    fn what_can_be_true_passes() {
        let (tally, counted) = good();
        assert_eq!(violations(&tally, &counted), Vec::<String>::new());
    }

    #[test]
    fn every_wrong_number_is_found() {
        check(|_, counted| counted.stored = 18, "only 19 stored or declared lost");
        check(|_, counted| counted.lost = 3, "23 stored or declared lost, but only 22 sent");
        check(|_, counted| counted.missing = 1, "1 sequences are missing");
        check(|_, counted| counted.repeated_ids = 2, "2 event ids appear more than once");
        check(|_, counted| counted.reported_total = 19, "the account's report says 19, the audit 20");
        check(|_, counted| take(&mut counted.reported, 1), "the links' reports say 19");
        check(|_, counted| counted.raw.clear(), "0 raw clicks, the audit says 20");
        check(|_, counted| counted.complaints.push("gap".to_owned()), "gap");
        check(|tally, _| tally.links.clear(), "nothing was tried");
        check(|tally, _| tally.fault_texts.push("503".to_owned()), "503");
        check(|tally, _| tally.faults = 4, "4 redirects failed");
    }

    #[test]
    fn totals_that_agree_do_not_hide_a_link_that_is_wrong() {
        let shift = |counts: &mut BTreeMap<String, u64>| {
            take(counts, 2);
            counts.entry("link_b".to_owned()).and_modify(|count| *count += 2);
        };
        let both = |counted: &mut Counted| {
            shift(&mut counted.reported);
            counted.raw = counted.reported.clone();
        };
        check(|_, counted| both(counted), "link_b: 12 stored, but only 11 sent");
        check(|_, counted| both(counted), "links are 2 clicks short");
        check(
            |_, counted| {
                counted.reported.insert("link_c".to_owned(), 1);
            },
            "link_c: clicks on a link that was never asked for",
        );
    }

    #[test]
    fn the_ledger_counts() {
        let ledger = Ledger::new(2);
        ledger.count_sent(1);
        ledger.count_sent(1);
        ledger.count_answered(1);
        ledger.note_wait(5);
        (0..20).for_each(|number| ledger.fault(format!("fault {number}")));
        let tally = ledger.tally(&["link_a".to_owned(), "link_b".to_owned()]);
        assert_eq!((tally.sent(), tally.answered(), tally.slowest_micros), (2, 1, 5));
        assert_eq!((tally.faults, tally.fault_texts.len()), (20, FAULTS_SHOWN_MAX));
        assert_eq!(tally.links["link_a"], Sent::default());
    }
}
