//! Records of the store in the form the link table takes.

use waypost_core::compact::compile;
use waypost_core::{LinkRecord, SchemePolicy};
use waypost_store::EdgeRecord;
use waypost_table::{Change, RECORD_BYTES_MAX};

/// Changes for the table, with the bytes they borrow.
#[derive(Debug, Default)]
pub(crate) struct CompiledBatch {
    records: Vec<CompiledRecord>,
    /// Records left out because they could not be compiled.
    pub(crate) refused: u64,
}

#[derive(Debug)]
struct CompiledRecord {
    domain: String,
    slug: String,
    version: u64,
    /// `None` is a tombstone.
    bytes: Option<Vec<u8>>,
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
            Some(record) => compile_record(record, schemes).map(Some),
        };
        match compiled {
            Ok(bytes) => batch.records.push(CompiledRecord { domain, slug, version, bytes }),
            Err(reason) => {
                let link_id = record.and_then(|record| record.link_id).unwrap_or_default();
                tracing::error!(link.id = %link_id, link.version = version, %reason, "a link cannot be served as it is stored");
                batch.refused += 1;
            }
        }
    }
    batch
}

/// Compiles one record, or says why the table cannot hold it.
pub(crate) fn compile_record(record: &LinkRecord, schemes: &SchemePolicy) -> Result<Vec<u8>, String> {
    match compile(record, schemes) {
        Ok(bytes) if bytes.len() > RECORD_BYTES_MAX => Err(format!("{} bytes are too many", bytes.len())),
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(error.to_string()),
    }
}
