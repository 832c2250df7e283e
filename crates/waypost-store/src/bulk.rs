//! Making many links in one transaction, with few statements however many there are.
//!
//! All rows of a call travel as one JSON parameter, so a call costs three statements and no round trip per link. What
//! collides with a live link is left out by the database's own constraints and reported item by item.

use std::collections::HashMap;

use serde_json::json;
use sha2::{Digest, Sha256};
use waypost_core::id::{DomainId, LinkId};
use waypost_core::slug::HOST_AND_SLUG_BYTES_MAX;
use waypost_core::{Slug, Timestamp};

use crate::domains::Domain;
use crate::error::StoreError;
use crate::links::{NewLink, SlugChoice};
use crate::record_json;
use crate::rows::{Columns, new_id};
use crate::tx::Tx;

/// The most links that one call of [`Tx::create_links`] takes.
pub const LINKS_PER_CALL_MAX: usize = 1_000;
/// How many slugs are drawn for a link with a generator before its slug counts as taken.
const DRAWS_MAX: usize = 8;

/// What became of one link of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateOutcome {
    /// It was made.
    Created {
        /// Its id.
        link_id: LinkId,
        /// Its slug, as stored.
        slug: String,
        /// Its first version: 1, or one more than the last link on this slug had.
        version: u64,
    },
    /// A live link has the same dedupe key.
    Existing {
        /// That link.
        link_id: LinkId,
        /// Its slug.
        slug: String,
        /// Its version.
        version: u64,
    },
    /// A live link has the slug.
    SlugTaken {
        /// The slug (the last one drawn, where there was a generator).
        slug: String,
    },
    /// Host and slug together are too long for the edges' keys.
    SlugTooLong,
    /// The domain is not there, or belongs to another account.
    DomainNotFound,
}

/// An item on its way into the database.
struct Row<'n> {
    index: usize,
    new: &'n NewLink<'n>,
    link_id: LinkId,
    slug: Slug,
    dedupe_key: Option<String>,
}

impl Tx {
    /// Makes up to 1,000 links in this transaction; one outcome for each, in their order. A link that cannot be made
    /// does not keep the others from being made. `changed_by` says who made them.
    ///
    /// # Errors
    /// [`StoreError::TooMany`]; [`StoreError::NotFound`] where there is no such account; and where the database fails.
    pub async fn create_links(
        &mut self,
        new_links: &[NewLink<'_>],
        changed_by: Option<&str>,
    ) -> Result<Vec<CreateOutcome>, StoreError> {
        if new_links.len() > LINKS_PER_CALL_MAX {
            return Err(StoreError::TooMany { what: "links", max: LINKS_PER_CALL_MAX });
        }
        let domains = self.domains_of(new_links).await?;
        let mut outcomes: Vec<Option<CreateOutcome>> = vec![None; new_links.len()];
        let mut pending: Vec<usize> = (0..new_links.len()).collect();
        for _ in 0..DRAWS_MAX {
            let mut rows = Vec::with_capacity(pending.len());
            for index in pending.drain(..) {
                match draw_row(index, &new_links[index], &domains) {
                    Ok(row) => rows.push(row),
                    Err(outcome) => outcomes[index] = Some(outcome),
                }
            }
            if rows.is_empty() {
                break;
            }
            for row in self.add_links(rows, changed_by, &mut outcomes).await? {
                let outcome = self.after_collision(&row).await?;
                if outcome.is_none() {
                    pending.push(row.index);
                }
                outcomes[row.index] = outcome.or(Some(CreateOutcome::SlugTaken { slug: row.slug.into() }));
            }
        }
        // Every index was either decided or drawn, and every draw decides; the filter only spares a panic.
        Ok(outcomes.into_iter().flatten().collect())
    }

    async fn domains_of(&mut self, new_links: &[NewLink<'_>]) -> Result<HashMap<DomainId, Domain>, StoreError> {
        let mut domains = HashMap::new();
        for new in new_links {
            if !domains.contains_key(&new.domain_id)
                && let Some(domain) = self.get_domain(&new.domain_id).await?
            {
                domains.insert(new.domain_id.clone(), domain);
            }
        }
        Ok(domains)
    }

    /// Inserts the rows with their version rows and outbox entries; gives back those that collided.
    async fn add_links<'n>(
        &mut self,
        rows: Vec<Row<'n>>,
        changed_by: Option<&str>,
        outcomes: &mut [Option<CreateOutcome>],
    ) -> Result<Vec<Row<'n>>, StoreError> {
        let versions = self.insert_links(&rows).await?;
        self.publish_new_links(&rows, changed_by).await?;
        let mut collided = Vec::new();
        for row in rows {
            match versions.get(row.link_id.as_str()) {
                Some(&version) => {
                    let Row { index, link_id, slug, .. } = row;
                    outcomes[index] = Some(CreateOutcome::Created { link_id, slug: slug.into(), version });
                }
                None => collided.push(row),
            }
        }
        Ok(collided)
    }

    /// Inserts what collides with no live link; gives id and version of each link that was made.
    async fn insert_links(&mut self, rows: &[Row<'_>]) -> Result<HashMap<String, u64>, StoreError> {
        let now = self.now();
        let items: Vec<_> = rows.iter().map(|row| row.to_json(now)).collect();
        let statement = sqlx::query(self.engine.insert_links_sql())
            .bind(serde_json::Value::Array(items).to_string())
            .bind(now.as_micros());
        let inserted = self.insert_rows(statement, |_| StoreError::NotFound { what: "account" }).await?;
        inserted
            .iter()
            .map(|row| {
                let columns = Columns::new(row, "link");
                Ok((columns.get("id")?, columns.count("version")?))
            })
            .collect()
    }

    /// Adds version rows and outbox entries for the links that were just made: those between the first and the last id
    /// that have no version row yet.
    async fn publish_new_links(&mut self, rows: &[Row<'_>], changed_by: Option<&str>) -> Result<(), StoreError> {
        let ids = rows.iter().map(|row| &row.link_id);
        let (Some(first), Some(last)) = (ids.clone().min(), ids.max()) else { return Ok(()) };
        let outbox_entries = sqlx::query(
            "INSERT INTO outbox (sequence, link_id, domain_id, slug, version)
             SELECT (SELECT coalesce(max(sequence), 0) FROM outbox) + row_number() OVER (ORDER BY l.id),
               l.id, l.domain_id, l.slug, l.version
             FROM links AS l WHERE l.id >= $1 AND l.id <= $2
               AND NOT EXISTS (SELECT 1 FROM link_versions AS v WHERE v.link_id = l.id)",
        );
        self.execute(outbox_entries.bind(first.as_str()).bind(last.as_str())).await?;
        let version_rows = sqlx::query(
            "INSERT INTO link_versions (link_id, version, record, changed_by, changed_at)
             SELECT l.id, l.version, l.record, $3, l.updated_at
             FROM links AS l WHERE l.id >= $1 AND l.id <= $2
               AND NOT EXISTS (SELECT 1 FROM link_versions AS v WHERE v.link_id = l.id)",
        );
        self.execute(version_rows.bind(first.as_str()).bind(last.as_str()).bind(changed_by)).await.map(drop)
    }

    /// What stands in the way of a row: a link with its dedupe key, or one with its slug. `None` says draw again.
    async fn after_collision(&mut self, row: &Row<'_>) -> Result<Option<CreateOutcome>, StoreError> {
        if let Some(dedupe_key) = &row.dedupe_key {
            let statement =
                sqlx::query("SELECT id, slug, version, record FROM links WHERE dedupe_key = $1 AND deleted_at IS NULL");
            if let Some(found) = self.fetch_optional(statement.bind(dedupe_key.as_str())).await? {
                let columns = Columns::new(&found, "link");
                let record = record_json::read(&columns)?;
                if record.enabled && record.expires_at.is_none_or(|expires_at| self.now() < expires_at) {
                    let (link_id, slug) = (columns.id("id")?, columns.get("slug")?);
                    return Ok(Some(CreateOutcome::Existing { link_id, slug, version: columns.count("version")? }));
                }
                let forget = sqlx::query("UPDATE links SET dedupe_key = NULL WHERE dedupe_key = $1");
                self.execute(forget.bind(dedupe_key.as_str())).await?;
                return Ok(None);
            }
        }
        Ok(match row.new.slug {
            SlugChoice::Chosen(_) => Some(CreateOutcome::SlugTaken { slug: row.slug.as_str().to_owned() }),
            SlugChoice::Generated(_) => None,
        })
    }
}

/// Gives the item an id and a slug, or says why it can have none.
fn draw_row<'n>(
    index: usize,
    new: &'n NewLink<'n>,
    domains: &HashMap<DomainId, Domain>,
) -> Result<Row<'n>, CreateOutcome> {
    let domain = domains
        .get(&new.domain_id)
        .filter(|domain| domain.is_open_to(&new.account_id))
        .ok_or(CreateOutcome::DomainNotFound)?;
    let slug = match &new.slug {
        SlugChoice::Chosen(slug) => slug.clone(),
        SlugChoice::Generated(draw) => draw(),
    };
    let slug = if domain.case_insensitive { slug.to_case_folded() } else { slug };
    if domain.host.as_str().len() + slug.as_str().len() > HOST_AND_SLUG_BYTES_MAX {
        return Err(CreateOutcome::SlugTooLong);
    }
    let link_id = LinkId::from_uuid_bytes(new_id());
    let dedupe_key = new.dedupe_key.as_deref().map(|key| stored_dedupe_key(new, key));
    Ok(Row { index, new, link_id, slug, dedupe_key })
}

impl Row<'_> {
    /// The row as the statement of [`crate::Engine`] reads it: id, account, domain, slug, record, dedupe key, time.
    fn to_json(&self, now: Timestamp) -> serde_json::Value {
        json!([
            self.link_id.as_str(),
            self.new.account_id.as_str(),
            self.new.domain_id.as_str(),
            self.slug.as_str(),
            record_json::write(&self.new.record),
            self.dedupe_key,
            self.new.created_at.unwrap_or(now).as_micros(),
        ])
    }
}

/// A dedupe key as stored: a digest, because a key may be a URL of 8 KB and indexes take less; with account and
/// domain in it, because it must never lead to another one's link.
fn stored_dedupe_key(new: &NewLink<'_>, key: &str) -> String {
    let mut digest = Sha256::new();
    for part in [new.account_id.as_str(), new.domain_id.as_str(), key] {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
