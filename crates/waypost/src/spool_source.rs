//! The spool as the ingest reads it.

use waypost_control::{ClickSource, SourceEntry, SourceError};
use waypost_spool::{Entry, LossCause, Position, ReadLimit, Reader, Spool};
use waypost_store::ClickPosition;

/// The spool's one reader.
#[derive(Debug)]
pub(crate) struct SpoolSource {
    edge_id: String,
    reader: Reader,
}

impl SpoolSource {
    /// `None` while another reader is out.
    pub(crate) fn of(spool: &Spool) -> Option<Self> {
        Some(Self { edge_id: spool.edge_id().to_owned(), reader: spool.reader()? })
    }
}

impl ClickSource for SpoolSource {
    fn edge_id(&self) -> &str {
        &self.edge_id
    }

    fn start_at(&mut self, positions: &[ClickPosition]) {
        self.reader.start_at(&read_positions(positions));
    }

    fn next(&mut self, bytes_max: usize, show: &mut dyn FnMut(SourceEntry<'_>)) -> Result<bool, SourceError> {
        let limit = ReadLimit { bytes: bytes_max, ..ReadLimit::default() };
        let Some(chunk) = self.reader.next(limit).map_err(|error| SourceError(error.into()))? else {
            return Ok(false);
        };
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

    fn release(&mut self, positions: &[ClickPosition]) -> Result<(), SourceError> {
        self.reader.release(&read_positions(positions)).map_err(|error| SourceError(error.into()))
    }

    fn pending(&self) -> u64 {
        self.reader.pending()
    }
}

fn read_positions(positions: &[ClickPosition]) -> Vec<Position> {
    let read = |at: &ClickPosition| Position { epoch: at.epoch, next_sequence: at.next_sequence };
    positions.iter().map(read).collect()
}

fn loss_cause(cause: LossCause) -> waypost_store::LossCause {
    match cause {
        LossCause::Full => waypost_store::LossCause::Full,
        LossCause::Damaged => waypost_store::LossCause::Damaged,
        // An edge writes none that is longer than the spool takes.
        LossCause::TooLong => waypost_store::LossCause::Unreadable,
    }
}
