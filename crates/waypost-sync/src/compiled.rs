//! Records of the store in the format of the link table.

use waypost_api::sync::FailedLink;
use waypost_core::compact::{CompactLink, compile_stored, unreadable};
use waypost_core::lenient::Skipped;
use waypost_core::{LinkRecord, SchemePolicy};
use waypost_store::{EdgeRecord, UnreadableLink};
use waypost_table::{Change, RECORD_BYTES_MAX, Table};

use crate::left_out::unreadable_link;

/// Changes for the table, with the bytes they borrow.
#[derive(Debug, Default)]
pub(crate) struct CompiledBatch {
    records: Vec<CompiledRecord>,
    /// What cannot be served as it is stored.
    pub(crate) left_out: LeftOut,
}

/// What of records cannot be served as it is stored.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// Whole records.
    pub(crate) links: Vec<FailedLink>,
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
        self.links.extend(more.links);
        self.skipped += more.skipped;
    }
}

impl LeftOut {
    fn refuse(&mut self, link: FailedLink) {
        let FailedLink { link_id, domain, slug, version, error } = &link;
        let link_id = link_id.as_deref().unwrap_or_default();
        tracing::error!(
            link.id = %link_id, domain.name = domain, link.slug = slug, link.version = version, reason = %error,
            "a link cannot be served as it is stored"
        );
        self.links.push(link);
    }
}

impl CompiledBatch {
    pub(crate) fn changes(&self) -> Vec<Change<'_>> {
        self.records.iter().map(CompiledRecord::change).collect()
    }

    /// Adds for each link that is left out what its slug is to have: what the table has of it now, so that a filling
    /// anew does not lose it; else a record that edges answer 503.
    pub(crate) fn keep_held(&mut self, table: &Table) {
        for link in &self.left_out.links {
            let held = table.get(&link.domain, &link.slug, |bytes| held_record(bytes, link));
            let (version, bytes) =
                held.ok().flatten().flatten().unwrap_or_else(|| (link.version, unreadable(link.version)));
            let (domain, slug) = (link.domain.clone(), link.slug.clone());
            self.records.push(CompiledRecord { domain, slug, version, bytes: Some(bytes) });
        }
    }
}

impl CompiledRecord {
    fn change(&self) -> Change<'_> {
        Change { domain: &self.domain, slug: &self.slug, version: self.version, record: self.bytes.as_deref() }
    }
}

/// The version and bytes of what a table has of this link. Another link that had the slug before is none of it.
fn held_record(bytes: &[u8], link: &FailedLink) -> Option<(u64, Vec<u8>)> {
    let held = CompactLink::read(bytes).ok()?;
    let is_same = link.link_id.is_none() || held.link_id() == link.link_id.as_deref();
    (is_same && held.is_readable()).then(|| (held.version(), bytes.to_vec()))
}

/// Compiles records. One that cannot be compiled is left out, so that its slug keeps what it led to, and is logged:
/// either it came into the store past the checks, or the configuration allows fewer schemes than it did. So is one that
/// cannot be read: it holds up no other.
pub(crate) fn compile_records(
    records: Vec<EdgeRecord>,
    unreadable: &[UnreadableLink],
    schemes: &SchemePolicy,
) -> CompiledBatch {
    let mut batch = CompiledBatch::default();
    for link in unreadable {
        batch.left_out.refuse(unreadable_link(link));
    }
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
            Err(error) => {
                let link_id = record.and_then(|record| record.link_id);
                batch.left_out.refuse(FailedLink { link_id, domain, slug, version, error });
            }
        }
    }
    batch
}

fn log_skipped(record: &LinkRecord, skipped: &[Skipped]) {
    for skipped in skipped {
        let link_id = record.link_id.as_deref().unwrap_or_default();
        tracing::warn!(link.id = %link_id, link.version = record.version, %skipped, "a part of a link is not valid and is skipped");
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
