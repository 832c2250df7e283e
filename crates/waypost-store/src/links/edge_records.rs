//! What edges hold of the links: the state that is true now, of some slugs or of all.

use std::collections::{BTreeSet, HashMap};

use serde_json::json;
use sqlx::any::AnyRow;
use waypost_core::LinkRecord;
use waypost_core::id::{AccountId, DomainId, LinkId};
use waypost_core::record::UtmTemplate;
use waypost_sql::{SqlError, Statement};

use crate::dialect;
use crate::domains::Domain;
use crate::error::StoreError;
use crate::links::link::{link_columns, read_link};
use crate::outbox::OutboxEntry;
use crate::rows::{Columns, domain_number};
use crate::sync::states::SyncKey;
use crate::tx::ReadTx;

/// What an edge is told of one slug.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeRecord {
    /// The name under which edges keep the domain: empty for the default domain, else the host.
    pub domain_key: String,
    /// The slug.
    pub slug: String,
    /// Edges take this only where they hold a lower version.
    pub version: u64,
    /// The link's record, complete, with the account's UTM templates after its own; `None` where the slug leads nowhere.
    pub record: Option<LinkRecord>,
}

/// What is true now of some slugs. A link that cannot be read keeps no other from being told.
#[derive(Debug)]
pub struct EdgeRecords {
    /// The records, ordered as the edges' tables order their keys.
    pub records: Vec<EdgeRecord>,
    /// The links that cannot be read.
    pub unreadable: Vec<UnreadableLink>,
}

/// A live link whose row is damaged: what can be said of it all the same.
#[derive(Debug)]
pub struct UnreadableLink {
    /// The slug it is the link of.
    pub key: SyncKey,
    /// As [`EdgeRecord::domain_key`].
    pub domain_key: String,
    /// Its id, unless that is damaged, too.
    pub link_id: Option<LinkId>,
    /// Its version; 0 where that is damaged, too.
    pub version: u64,
    /// What is wrong: always [`SqlError::Corrupt`].
    pub error: StoreError,
}

/// Where a walk over all links stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeCursor {
    domain_key: String,
    slug: String,
}

/// A part of all live links.
#[derive(Debug)]
pub struct EdgePage {
    /// The records, ordered as the edges' tables order their keys: by domain key, then slug, byte by byte.
    pub records: Vec<EdgeRecord>,
    /// As [`EdgeRecords::unreadable`].
    pub unreadable: Vec<UnreadableLink>,
    /// Where the next page begins; absent after the last.
    pub next: Option<EdgeCursor>,
}

/// What is true now of a key, or why it cannot be read.
pub type KeyedRecord = (SyncKey, Result<EdgeRecord, UnreadableLink>);

/// UTM templates of the accounts met so far.
type Templates = HashMap<AccountId, Vec<UtmTemplate>>;

impl ReadTx {
    /// What is true now of each slug in these entries, once each.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn edge_records(&mut self, entries: &[OutboxEntry]) -> Result<EdgeRecords, StoreError> {
        let keys = entries.iter().map(|entry| (&entry.domain_id, entry.slug.as_str()));
        let mut read = EdgeRecords { records: Vec::new(), unreadable: Vec::new() };
        for (_, record) in self.records_of(keys).await? {
            match record {
                Ok(record) => read.records.push(record),
                Err(unreadable) => read.unreadable.push(unreadable),
            }
        }
        Ok(read)
    }

    /// What is true now of each of these keys, once each, or why it cannot be read. A key whose domain is not known is left out.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn edge_records_of(&mut self, keys: &[SyncKey]) -> Result<Vec<KeyedRecord>, StoreError> {
        self.records_of(keys.iter().map(|key| (&key.domain_id, key.slug.as_str()))).await
    }

    async fn records_of<'k>(
        &mut self,
        keys: impl Iterator<Item = (&'k DomainId, &'k str)>,
    ) -> Result<Vec<KeyedRecord>, StoreError> {
        let keys: Vec<_> = keys.collect();
        let domains = self.list_all_domains().await?.into_iter();
        let mut domains: HashMap<DomainId, Domain> = domains.map(|domain| (domain.domain_id.clone(), domain)).collect();
        for (domain_id, _) in &keys {
            // Who reads late has to hear of the links of a deleted domain that they are gone.
            if !domains.contains_key(*domain_id)
                && let Some(domain) = self.get_domain_ever(domain_id).await?
            {
                domains.insert((*domain_id).clone(), domain);
            }
        }
        let keys = keys.into_iter();
        let slugs: BTreeSet<_> =
            keys.filter_map(|(domain_id, slug)| Some((domains.get(domain_id)?.key(), domain_id, slug))).collect();
        let wanted: Vec<_> = slugs.iter().map(|(_, domain_id, slug)| json!([domain_number(domain_id), slug])).collect();
        let statement =
            Statement::new(dialect::edge_records_sql(self.engine())).bind(serde_json::Value::Array(wanted).to_string());
        let mut found = HashMap::new();
        for row in self.fetch_all(statement).await? {
            let columns = Columns::new(&row, "link");
            found.insert((columns.domain_id("wanted_domain_id")?, columns.get::<String>("wanted_slug")?), row);
        }
        let mut templates = Templates::new();
        let mut records = Vec::with_capacity(slugs.len());
        for (domain_key, domain_id, slug) in slugs {
            if let Some(row) = found.get(&(domain_id.clone(), slug.to_owned())) {
                let key = SyncKey { domain_id: domain_id.clone(), slug: slug.to_owned() };
                let record = self.edge_record(row, (domain_key, slug), &mut templates).await;
                let record = damage_apart(record, row, (&key, domain_key))?;
                records.push((key, record));
            }
        }
        Ok(records)
    }

    async fn edge_record(
        &mut self,
        row: &AnyRow,
        (domain_key, slug): (&str, &str),
        templates: &mut Templates,
    ) -> Result<EdgeRecord, StoreError> {
        let columns = Columns::new(row, "link");
        let (domain_key, slug) = (domain_key.to_owned(), slug.to_owned());
        if columns.get::<Option<Vec<u8>>>("id")?.is_none() {
            return Ok(EdgeRecord { domain_key, slug, version: columns.count("deleted_version")?, record: None });
        }
        let record = self.full_record(row, templates).await?;
        Ok(EdgeRecord { domain_key, slug, version: record.version, record: Some(record) })
    }

    /// The first `limit` live links of the instance, or those after a page's cursor; for a full rebuild of an edge's
    /// table. The rebuilt table is current up to the [`ReadTx::outbox_last`] that was read before the first page: links
    /// that change during the walk are in it with either state, and in the outbox after that sequence.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn edge_records_page(&mut self, after: Option<&EdgeCursor>, limit: u32) -> Result<EdgePage, StoreError> {
        let limit = limit.max(1) as usize;
        let mut templates = Templates::new();
        let (mut records, mut unreadable) = (Vec::new(), Vec::new());
        let mut last: Option<EdgeCursor> = None;
        let after_domain = after.map_or("", |cursor| cursor.domain_key.as_str());
        for domain in self.list_all_domains().await?.iter().filter(|domain| domain.key() >= after_domain) {
            let room = limit - records.len() - unreadable.len();
            if room == 0 {
                break;
            }
            let after_slug = after.filter(|cursor| cursor.domain_key == domain.key()).map_or("", |cursor| &cursor.slug);
            let statement = Statement::new(EDGE_PAGE_SQL).bind(domain_number(&domain.domain_id)).bind(after_slug);
            let room = i64::try_from(room).unwrap_or(i64::MAX);
            for row in self.fetch_all(statement.bind(room)).await? {
                let slug: String = Columns::new(&row, "link").get("slug")?;
                let domain_key = domain.key().to_owned();
                last = Some(EdgeCursor { domain_key: domain_key.clone(), slug: slug.clone() });
                let key = SyncKey { domain_id: domain.domain_id.clone(), slug };
                let read = self.full_record(&row, &mut templates).await;
                match damage_apart(read, &row, (&key, domain.key()))? {
                    Ok(record) => {
                        let (slug, version) = (key.slug, record.version);
                        records.push(EdgeRecord { domain_key, slug, version, record: Some(record) });
                    }
                    Err(link) => unreadable.push(link),
                }
            }
        }
        let next = last.filter(|_| records.len() + unreadable.len() == limit);
        Ok(EdgePage { records, unreadable, next })
    }

    async fn full_record(&mut self, row: &AnyRow, templates: &mut Templates) -> Result<LinkRecord, StoreError> {
        let link = read_link(row)?;
        if !templates.contains_key(&link.account_id) {
            let of_account = self.utm_templates_of(&link.account_id).await?;
            templates.insert(link.account_id.clone(), of_account);
        }
        let mut record = link.record;
        record.utm_templates.extend_from_slice(&templates[&link.account_id]);
        Ok(record)
    }
}

/// Parts what is wrong with the link in this row from what is wrong with the database.
fn damage_apart<T>(
    read: Result<T, StoreError>,
    row: &AnyRow,
    (key, domain_key): (&SyncKey, &str),
) -> Result<Result<T, UnreadableLink>, StoreError> {
    match read {
        Err(error @ StoreError::Sql(SqlError::Corrupt { .. })) => {
            let columns = Columns::new(row, "link");
            Ok(Err(UnreadableLink {
                key: key.clone(),
                domain_key: domain_key.to_owned(),
                link_id: columns.link_id("id").ok(),
                version: columns.count("version").unwrap_or(0),
                error,
            }))
        }
        Err(error) => Err(error),
        Ok(read) => Ok(Ok(read)),
    }
}

/// Live links of one domain in the order of their slugs.
const EDGE_PAGE_SQL: &str = concat!(
    "SELECT ",
    link_columns!(),
    " FROM links AS l JOIN domains AS d ON d.id = l.domain_id
     WHERE l.domain_id = $1 AND l.slug > $2 AND l.deleted_at IS NULL ORDER BY l.slug LIMIT $3"
);
