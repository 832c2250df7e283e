//! Records of the store in the form the link table takes.

use waypost_core::compact::compile_stored;
use waypost_core::lenient::Skipped;
use waypost_core::{LinkRecord, SchemePolicy};
use waypost_jobs::Chain;
use waypost_store::{EdgeRecord, StoreError};
use waypost_table::{Change, RECORD_BYTES_MAX};

/// Changes for the table, with the bytes they borrow.
#[derive(Debug, Default)]
pub(crate) struct CompiledBatch {
    records: Vec<CompiledRecord>,
    /// What could not be compiled.
    pub(crate) left_out: LeftOut,
}

/// How much of records could not be compiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// Records.
    pub(crate) refused: u64,
    /// Rules and other parts that their links do without.
    pub(crate) skipped: u64,
}

#[derive(Debug)]
struct CompiledRecord {
    domain: String,
    slug: String,
    version: u64,
    /// `None` is a tombstone.
    bytes: Option<Vec<u8>>,
}

impl std::ops::AddAssign for LeftOut {
    fn add_assign(&mut self, more: Self) {
        self.refused += more.refused;
        self.skipped += more.skipped;
    }
}

impl CompiledBatch {
    pub(crate) fn changes(&self) -> Vec<Change<'_>> {
        self.records.iter().map(CompiledRecord::change).collect()
    }
}

impl CompiledRecord {
    fn change(&self) -> Change<'_> {
        Change { domain: &self.domain, slug: &self.slug, version: self.version, record: self.bytes.as_deref() }
    }
}

/// Compiles records. One that cannot be compiled is left out, so that its slug keeps what it led to, and is logged:
/// either it came into the store past the checks, or the configuration allows fewer schemes than it did.
pub(crate) fn compile_records(records: Vec<EdgeRecord>, schemes: &SchemePolicy) -> CompiledBatch {
    let mut batch = CompiledBatch::default();
    for EdgeRecord { domain_key: domain, slug, version, record } in records {
        let compiled = match &record {
            None => Ok(None),
            Some(record) => compile_record(record, schemes).map(|(bytes, skipped)| {
                log_skipped(record, &skipped);
                batch.left_out.skipped += skipped.len() as u64;
                Some(bytes)
            }),
        };
        match compiled {
            Ok(bytes) => batch.records.push(CompiledRecord { domain, slug, version, bytes }),
            Err(reason) => {
                let link_id = record.and_then(|record| record.link_id).unwrap_or_default();
                tracing::error!(link.id = %link_id, link.version = version, %reason, "a link cannot be served as it is stored");
                batch.left_out.refused += 1;
            }
        }
    }
    batch
}

/// Logs the links that cannot be read from the store. Like those that cannot be compiled they are left out, and hold up no other.
pub(crate) fn leave_out(unreadable: &[StoreError]) -> LeftOut {
    for error in unreadable {
        tracing::error!(error = %Chain(error), "a link cannot be served because it cannot be read");
    }
    LeftOut { refused: unreadable.len() as u64, skipped: 0 }
}

fn log_skipped(record: &LinkRecord, skipped: &[Skipped]) {
    for skipped in skipped {
        let link_id = record.link_id.as_deref().unwrap_or_default();
        tracing::warn!(link.id = %link_id, link.version = record.version, %skipped, "a part of a link cannot be followed and is passed over");
    }
}

/// Compiles one record, and says which parts of it were passed over; or why the table cannot hold it.
pub fn compile_record(record: &LinkRecord, schemes: &SchemePolicy) -> Result<(Vec<u8>, Vec<Skipped>), String> {
    let mut skipped = Vec::new();
    match compile_stored(record, schemes, &mut skipped) {
        Ok(bytes) if bytes.len() > RECORD_BYTES_MAX => Err(format!("{} bytes are too many", bytes.len())),
        Ok(bytes) => Ok((bytes, skipped)),
        Err(error) => Err(error.to_string()),
    }
}
