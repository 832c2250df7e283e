//! Where clicks come from: the spool, as far as the ingest needs it. A trait, so that the tests can put a source in its
//! place that misbehaves in every way.

use waypost_store::ClickPosition;

/// An edge's clicks in the order of their numbers, by epoch.
pub trait ClickSource: Send {
    /// The edge that wrote them.
    fn edge_id(&self) -> &str;

    /// Goes on from these positions; epochs that are not named from their first click.
    fn start_at(&mut self, positions: &[ClickPosition]);

    /// Shows the next entries, of one epoch and at most `bytes_max` bytes (but at least one entry). `false` where there are
    /// none just now.
    ///
    /// # Errors
    /// Where the source cannot be read.
    fn next(&mut self, bytes_max: usize, show: &mut dyn FnMut(SourceEntry<'_>)) -> Result<bool, SourceError>;

    /// Lets go of everything before these positions.
    ///
    /// # Errors
    /// Where that fails; it can be said again.
    fn release(&mut self, positions: &[ClickPosition]) -> Result<(), SourceError>;

    /// About how many clicks wait that were not let go of.
    fn pending(&self) -> u64;
}

/// One entry of a source.
#[derive(Clone, Copy, Debug)]
pub enum SourceEntry<'a> {
    /// A click.
    Record {
        /// Which run of a writer.
        epoch: u64,
        /// Its number there.
        sequence: u64,
        /// The click in compact form.
        payload: &'a [u8],
    },
    /// Clicks that are not there any more.
    Lost {
        /// Which run of a writer.
        epoch: u64,
        /// The first one's number.
        first_sequence: u64,
        /// How many.
        count: u64,
        /// Why.
        cause: waypost_store::LossCause,
    },
}

/// A source could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the click spool failed")]
pub struct SourceError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
