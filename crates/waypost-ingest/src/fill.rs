//! Fills a batch: entries of the source become clicks and declared losses, each number of an epoch exactly once.
//!
//! No content of an entry stops the ingest. Bytes that are not a click are declared lost as unreadable. A record that
//! makes the code panic is remembered as a suspect; the batch is discarded, filled again up to the suspect, and the
//! suspect declared lost. If a source repeats numbers, they are not counted twice. If it leaves some out, it is read
//! again, and if it leaves out the same ones they are declared lost: the source has released clicks that this database
//! never counted, as happens after the database was restored from an older copy.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::broadcast;
use waypost_clicks::{ClickBatch, ClickPosition, LossCause};
use waypost_core::Timestamp;
use waypost_core::click::{Click, ClickEvent};
use waypost_spool::{ReadLimit, SpoolError};

use crate::enrich::{ClickEnricher, ClickOrigin};
use crate::settings::ClickSettings;
use crate::source::{ClickSource, Edges, SourceEntry};

/// What is read at once: small, so that a batch is looked at often enough to keep to its limits.
const READ_LIMIT: ReadLimit = ReadLimit { records: 2_000, bytes: 256 << 10 };
/// What is read at once while a suspect is about: nothing beyond it.
const READ_ONE: ReadLimit = ReadLimit { records: 1, bytes: 1 };
/// The longest time a batch is filled while there is always more, so that reports move while a backlog is counted.
const FILL_MAX: Duration = Duration::from_secs(1);
/// The most clicks of a batch that whoever listens is shown.
pub(super) const LIVE_CLICKS_MAX: usize = 1_000;

/// Sends what was counted to whoever listens.
pub(super) type LiveSender = broadcast::Sender<Arc<Vec<ClickEvent>>>;

/// Fills batches from a source.
pub(super) struct Filler {
    source: Box<dyn ClickSource>,
    adder: Adder,
    clicks_max: u64,
    memory_bytes_max: usize,
}

/// A batch on its way into the database, with what is to be done once it is there.
#[derive(Debug, Default)]
pub(super) struct Filled {
    pub(super) batch: ClickBatch,
    /// Where each of its epochs begins and ends in it.
    pub(super) from: BTreeMap<u64, u64>,
    pub(super) to: BTreeMap<u64, u64>,
    pub(super) clicks: u64,
    pub(super) lost: u64,
    /// Those of them that this run of the spool found no room for.
    pub(super) lost_full: u64,
    pub(super) unreadable: u64,
    /// Shown to whoever listens.
    pub(super) live: Vec<ClickEvent>,
    /// When the first click of it was answered.
    pub(super) oldest_at: Option<Timestamp>,
}

/// Why filling came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FillEnd {
    /// The source has no more just now.
    Exhausted,
    /// The batch is to be counted before there can be more.
    Full,
}

/// Why the batch must not be counted. [`Filler::start_at`] begins anew.
#[derive(Debug, thiserror::Error)]
pub(super) enum FillError {
    #[error("the click spool cannot be read")]
    Source(#[from] SpoolError),
    #[error("reading the click spool panicked")]
    SourcePanicked,
    #[error("a click could not be worked on; it is taken as lost when it comes again")]
    Panicked,
    #[error("the click spool left out numbers; it is asked again")]
    OutOfStep,
}

impl Filler {
    /// Clicks that are to be shown are kept while anyone listens to `live`.
    pub(super) fn new(source: Box<dyn ClickSource>, settings: &ClickSettings, live: LiveSender) -> Self {
        let adder = Adder {
            edges: Edges { own: source.edge_id().to_owned(), former: source.former_epochs() },
            first_epoch: source.first_epoch(),
            enricher: ClickEnricher::new(""),
            positions: BTreeMap::new(),
            filled: Filled::default(),
            current: None,
            suspects: BTreeSet::new(),
            gaps: BTreeSet::new(),
            is_out_of_step: false,
            live,
        };
        let (clicks_max, memory_bytes_max) = (settings.batch_clicks_max as u64, settings.batch_memory_bytes_max);
        Self { source, adder, clicks_max, memory_bytes_max }
    }

    /// Whose clicks the source has.
    pub(super) const fn edges(&self) -> &Edges {
        &self.adder.edges
    }

    pub(super) fn pending(&self) -> u64 {
        self.source.pending()
    }

    pub(super) const fn filled(&self) -> &Filled {
        &self.adder.filled
    }

    pub(super) fn unparsed_user_agents(&self) -> u64 {
        self.adder.enricher.unparsed_user_agents()
    }

    /// Throws the batch away and goes on from what the database has counted.
    pub(super) fn start_at(&mut self, counted: &[ClickPosition]) -> Result<(), SpoolError> {
        self.adder.filled = Filled::default();
        self.adder.is_out_of_step = false;
        self.adder.positions = counted.iter().map(|at| (at.epoch, at.next_sequence)).collect();
        self.source.start_at(counted);
        self.source.release(counted)
    }

    /// Fills the batch with what the source has, up to about so many clicks and what the settings say. `default_host`
    /// is the host of the default domain.
    pub(super) fn fill(&mut self, default_host: &Arc<str>, clicks_max: u64) -> Result<FillEnd, FillError> {
        let begun = Instant::now();
        let clicks_max = clicks_max.min(self.clicks_max);
        self.adder.enricher.set_default_host(default_host);
        loop {
            let filled = &self.adder.filled;
            let is_full = filled.clicks >= clicks_max || filled.batch.memory_bytes() >= self.memory_bytes_max;
            if is_full || begun.elapsed() >= FILL_MAX || self.adder.has_passed_suspect() {
                return Ok(FillEnd::Full);
            }
            let limit = if self.adder.suspects.is_empty() { READ_LIMIT } else { READ_ONE };
            let (source, adder) = (&mut self.source, &mut self.adder);
            let shown = catch_unwind(AssertUnwindSafe(|| source.next(limit, &mut |entry| adder.add(entry))));
            let Ok(shown) = shown else { return Err(self.adder.note_panic()) };
            if self.adder.is_out_of_step {
                return Err(FillError::OutOfStep);
            }
            if !shown? {
                return Ok(FillEnd::Exhausted);
            }
        }
    }

    /// The batch as filled so far; the next one begins behind it.
    pub(super) fn take(&mut self) -> Filled {
        std::mem::take(&mut self.adder.filled)
    }

    /// The batch that ended at these positions is counted: lets the source go of it.
    pub(super) fn counted(&mut self, to: &BTreeMap<u64, u64>) -> Result<(), SpoolError> {
        self.adder.positions.extend(to);
        let positions = &self.adder.positions;
        self.adder.suspects.retain(|(epoch, sequence)| positions.get(epoch).is_none_or(|next| next <= sequence));
        self.adder.gaps.retain(|(epoch, first, _)| positions.get(epoch).is_none_or(|next| next <= first));
        let released: Vec<_> =
            to.iter().map(|(epoch, next)| ClickPosition { epoch: *epoch, next_sequence: *next }).collect();
        self.source.release(&released)
    }
}

/// What adds entries to the batch; apart from the source, which shows them to it.
struct Adder {
    edges: Edges,
    /// The first epoch of this run of the source.
    first_epoch: u64,
    enricher: ClickEnricher,
    /// The first number of each epoch that is not counted in the database.
    positions: BTreeMap<u64, u64>,
    filled: Filled,
    /// The record that is being worked on.
    current: Option<(u64, u64)>,
    /// Records that made the code panic.
    suspects: BTreeSet<(u64, u64)>,
    /// Where numbers were left out: epoch, the first of them, and what came instead. Several epochs may have some.
    gaps: BTreeSet<(u64, u64, u64)>,
    /// Numbers were left out just now: nothing more is taken until the source has begun anew.
    is_out_of_step: bool,
    /// Asked whether anyone listens; the job sends.
    live: LiveSender,
}

impl Adder {
    fn add(&mut self, entry: SourceEntry<'_>) {
        match entry {
            SourceEntry::Record { epoch, sequence, payload } => {
                if self.comes_next(epoch, sequence) {
                    self.add_record(epoch, sequence, payload);
                    self.advance(epoch, sequence, 1);
                }
            }
            SourceEntry::Lost { epoch, first_sequence, count, cause } => {
                let end = first_sequence.saturating_add(count);
                // Of a loss that was counted in part, the rest.
                let first_sequence = first_sequence.max(self.next_of(epoch).min(end));
                if first_sequence < end && self.comes_next(epoch, first_sequence) {
                    if epoch >= self.first_epoch && cause != LossCause::Damaged {
                        self.filled.lost_full += end - first_sequence;
                    }
                    self.add_lost(epoch, (first_sequence, end - first_sequence), cause);
                }
            }
        }
    }

    /// The number that this epoch goes on with.
    fn next_of(&self, epoch: u64) -> u64 {
        let next = self.filled.to.get(&epoch).or_else(|| self.positions.get(&epoch));
        next.copied().unwrap_or(1)
    }

    /// Whether this number is to be added. Declares what was left out before it, where the source has nothing else to
    /// say.
    fn comes_next(&mut self, epoch: u64, sequence: u64) -> bool {
        let next = self.next_of(epoch);
        if self.is_out_of_step || sequence < next {
            return false;
        }
        if sequence > next {
            if self.gaps.insert((epoch, next, sequence)) {
                self.is_out_of_step = true;
                return false;
            }
            tracing::error!(
                epoch,
                first = next,
                last = sequence - 1,
                "the click spool no longer has clicks that this database has not counted: they are lost"
            );
            self.add_lost(epoch, (next, sequence - next), LossCause::Damaged);
        }
        true
    }

    fn add_record(&mut self, epoch: u64, sequence: u64, payload: &[u8]) {
        let Ok(click) = Click::read(payload) else { return self.add_unreadable(epoch, sequence) };
        if self.suspects.contains(&(epoch, sequence)) {
            return self.add_unreadable(epoch, sequence);
        }
        self.current = Some((epoch, sequence));
        let origin = ClickOrigin { edge_id: self.edges.of(epoch), epoch, sequence };
        let (filled, live) = (&mut self.filled, &self.live);
        self.enricher.enrich(origin, &click, |facts| {
            #[cfg(test)]
            assert!(facts.slug != super::tests::SLUG_THAT_PANICS, "as the test wants it");
            filled.batch.push(facts);
            if filled.live.len() < LIVE_CLICKS_MAX && live.receiver_count() > 0 {
                filled.live.push(facts.to_event());
            }
        });
        filled.clicks += 1;
        filled.oldest_at.get_or_insert(click.clicked_at);
        self.current = None;
    }

    fn add_unreadable(&mut self, epoch: u64, sequence: u64) {
        tracing::warn!(epoch, sequence, "a click in the spool cannot be read: it is counted as lost");
        let edge_id = self.edges.of(epoch);
        self.filled.batch.push_lost(edge_id, epoch, sequence, 1, LossCause::Unreadable);
        self.filled.lost += 1;
        self.filled.unreadable += 1;
    }

    /// `(first, count)`: the numbers that are lost.
    fn add_lost(&mut self, epoch: u64, (first, count): (u64, u64), cause: LossCause) {
        let edge_id = self.edges.of(epoch);
        self.filled.batch.push_lost(edge_id, epoch, first, count, cause);
        self.filled.lost = self.filled.lost.saturating_add(count);
        self.advance(epoch, first, count);
    }

    fn advance(&mut self, epoch: u64, first: u64, count: u64) {
        self.filled.from.entry(epoch).or_insert(first);
        self.filled.to.insert(epoch, first + count);
    }

    fn has_passed_suspect(&self) -> bool {
        self.suspects.iter().any(|(epoch, sequence)| self.filled.to.get(epoch).is_some_and(|next| next > sequence))
    }

    /// Remembers which record made the code panic. What was being changed meanwhile is made anew.
    fn note_panic(&mut self) -> FillError {
        self.enricher = ClickEnricher::new("");
        match self.current.take() {
            Some(suspect) => {
                self.suspects.insert(suspect);
                FillError::Panicked
            }
            None => FillError::SourcePanicked,
        }
    }
}
