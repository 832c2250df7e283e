//! Where clicks come from: the spool, as far as the ingest needs it. A trait, so that tests can use a source that
//! misbehaves in every way.

use std::collections::{BTreeMap, BTreeSet};

use waypost_clicks::{ClickPosition, LossCause};
use waypost_spool::{Entry, Position, ReadLimit, Reader, Spool, SpoolError};

/// An edge's clicks by epoch, each epoch's in the order of their numbers.
pub(super) trait ClickSource: Send {
    /// The edge that writes them.
    fn edge_id(&self) -> &str;

    /// Epochs of earlier runs that another edge wrote, with its id.
    fn former_epochs(&self) -> BTreeMap<u64, String> {
        BTreeMap::new()
    }

    /// The first epoch of this run.
    fn first_epoch(&self) -> u64 {
        1
    }

    /// Goes on from these positions; epochs that are not named from their first click.
    fn start_at(&mut self, positions: &[ClickPosition]);

    /// Shows the next entries, at least one. `false` where there are none just now.
    fn next(&mut self, limit: ReadLimit, show: &mut dyn FnMut(SourceEntry<'_>)) -> Result<bool, SpoolError>;

    /// Lets go of everything before these positions. Where that fails it can be said again.
    fn release(&mut self, positions: &[ClickPosition]) -> Result<(), SpoolError>;

    /// About how many clicks wait that were not let go of.
    fn pending(&self) -> u64;
}

/// Whose clicks a source has.
#[derive(Clone, Debug, Default)]
pub(super) struct Edges {
    /// The edge that writes them.
    pub(super) own: String,
    /// Epochs that another one wrote.
    pub(super) former: BTreeMap<u64, String>,
}

impl Edges {
    /// The edge that wrote an epoch.
    pub(super) fn of(&self, epoch: u64) -> &str {
        self.former.get(&epoch).map_or(&self.own, String::as_str)
    }

    /// Each of them once.
    pub(super) fn ids(&self) -> BTreeSet<&str> {
        self.former.values().chain([&self.own]).map(String::as_str).collect()
    }
}

/// One entry of a source.
#[derive(Clone, Copy, Debug)]
pub(super) enum SourceEntry<'a> {
    /// A click in compact form.
    Record { epoch: u64, sequence: u64, payload: &'a [u8] },
    /// Clicks that are not there any more.
    Lost { epoch: u64, first_sequence: u64, count: u64, cause: LossCause },
}

/// The spool and its reader.
pub(super) struct SpoolSource {
    spool: Spool,
    reader: Reader,
}

impl SpoolSource {
    /// `None` where somebody else is reading the spool.
    pub(super) fn new(spool: Spool) -> Option<Self> {
        let reader = spool.reader()?;
        Some(Self { spool, reader })
    }
}

impl ClickSource for SpoolSource {
    fn edge_id(&self) -> &str {
        self.spool.edge_id()
    }

    fn former_epochs(&self) -> BTreeMap<u64, String> {
        self.spool.former_epochs().clone()
    }

    fn first_epoch(&self) -> u64 {
        self.spool.stats().first_epoch
    }

    fn start_at(&mut self, positions: &[ClickPosition]) {
        self.reader.start_at(&spool_positions(positions));
    }

    fn next(&mut self, limit: ReadLimit, show: &mut dyn FnMut(SourceEntry<'_>)) -> Result<bool, SpoolError> {
        let Some(chunk) = self.reader.next(limit)? else { return Ok(false) };
        let epoch = chunk.epoch();
        for entry in chunk.entries() {
            show(match entry {
                Entry::Record { sequence, payload } => SourceEntry::Record { epoch, sequence, payload },
                Entry::Lost { first_sequence, count, cause } => {
                    SourceEntry::Lost { epoch, first_sequence, count, cause: loss_cause(cause) }
                }
            });
        }
        Ok(true)
    }

    fn release(&mut self, positions: &[ClickPosition]) -> Result<(), SpoolError> {
        self.reader.release(&spool_positions(positions))
    }

    fn pending(&self) -> u64 {
        self.reader.pending()
    }
}

fn spool_positions(positions: &[ClickPosition]) -> Vec<Position> {
    positions.iter().map(|at| Position { epoch: at.epoch, next_sequence: at.next_sequence }).collect()
}

const fn loss_cause(cause: waypost_spool::LossCause) -> LossCause {
    match cause {
        waypost_spool::LossCause::Full => LossCause::Full,
        waypost_spool::LossCause::Damaged => LossCause::Damaged,
        // No click is; whatever was appended, it was none.
        waypost_spool::LossCause::TooLong => LossCause::Unreadable,
    }
}
