//! Making many links in one transaction, with few statements however many there are.
//!
//! The links of one account and domain go in together with their outbox entries, in one way to the database.
//! What collides with a live link is left out by the database's own constraints and reported item by item.

use std::collections::HashMap;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use waypost_core::id::LinkId;
use waypost_core::slug::HOST_AND_SLUG_BYTES_MAX;
use waypost_core::{LinkRecord, Slug};
use waypost_sql::Statement;

use crate::dialect::{self, FirstVersions};
use crate::error::StoreError;
use crate::links::link::{CreateOutcome, NewLink, SlugChoice};
use crate::links::places::{LinkPlaces, PlaceKey, place_key};
use crate::links::record_json;
use crate::rows::{Columns, new_id};
use crate::tx::Tx;

/// The most links that one call of [`Tx::create_links`] takes.
pub const LINKS_PER_CALL_MAX: usize = 1_000;
/// How much of its digest a dedupe key keeps: the index has it a second time.
const DEDUPE_KEY_BYTES: usize = 16;
/// How many slugs are drawn for a link with a generator before its slug counts as taken.
const DRAWS_MAX: usize = 8;

/// An item on its way into the database.
struct Row<'n> {
    index: usize,
    new: &'n NewLink<'n>,
    place_key: PlaceKey,
    slug: Slug,
    dedupe_key: Option<String>,
}

/// The links of one account and domain that go in with one statement. Their ids are counted up from a random one, so that
/// no other id lies between them.
struct Batch<'n> {
    account: i64,
    domain: i64,
    first_id: u128,
    rows: Vec<Row<'n>>,
}

impl Batch<'_> {
    fn ids(&self) -> impl Iterator<Item = u128> {
        (0..self.rows.len()).map(|place| self.first_id.wrapping_add(place as u128))
    }

    /// The first and the last id, as stored.
    fn id_range(&self) -> [Vec<u8>; 2] {
        [self.ids().next(), self.ids().last()].map(|id| id.unwrap_or_default().to_be_bytes().to_vec())
    }
}

impl Tx {
    /// Makes up to 1,000 links in this transaction; one outcome for each, in their order. A link that cannot be made
    /// does not keep the others from being made. `changed_by` says who made them.
    ///
    /// A transaction of several calls (10,000 links, say) costs less per link than one of a single call.
    ///
    /// # Errors
    /// [`StoreError::TooMany`]; [`StoreError::NotFound`] where there is no such account; and where the database fails.
    pub async fn create_links(
        &mut self,
        new_links: &[NewLink<'_>],
        changed_by: Option<&str>,
    ) -> Result<Vec<CreateOutcome>, StoreError> {
        let places = self.link_places(new_links).await?;
        self.create_links_at(&places, new_links, changed_by).await
    }

    /// As [`Tx::create_links`], where this transaction has given the places of these links.
    ///
    /// # Errors
    /// [`StoreError::TooMany`], and where the database fails.
    pub async fn create_links_at(
        &mut self,
        places: &LinkPlaces,
        new_links: &[NewLink<'_>],
        changed_by: Option<&str>,
    ) -> Result<Vec<CreateOutcome>, StoreError> {
        if new_links.len() > LINKS_PER_CALL_MAX {
            return Err(StoreError::TooMany { what: "links", max: LINKS_PER_CALL_MAX });
        }
        let mut outcomes: Vec<Option<CreateOutcome>> = vec![None; new_links.len()];
        let mut pending: Vec<usize> = (0..new_links.len()).collect();
        for _ in 0..DRAWS_MAX {
            let mut rows = Vec::with_capacity(pending.len());
            for index in pending.drain(..) {
                match draw_row(index, &new_links[index], places) {
                    Ok(row) => rows.push(row),
                    Err(outcome) => outcomes[index] = Some(outcome),
                }
            }
            if rows.is_empty() {
                break;
            }
            for row in self.add_links(rows, places, changed_by, &mut outcomes).await? {
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

    /// Inserts the rows with their outbox entries; gives back those that collided.
    async fn add_links<'n>(
        &mut self,
        rows: Vec<Row<'n>>,
        places: &LinkPlaces,
        changed_by: Option<&str>,
        outcomes: &mut [Option<CreateOutcome>],
    ) -> Result<Vec<Row<'n>>, StoreError> {
        let mut groups: HashMap<PlaceKey, Vec<Row<'n>>> = HashMap::new();
        for row in rows {
            groups.entry(row.place_key).or_default().push(row);
        }
        let mut collided = Vec::new();
        for ((account, domain), rows) in groups {
            let batch = Batch { account, domain, first_id: u128::from_be_bytes(new_id()), rows };
            let place = places.get((account, domain));
            let first_versions = place.map_or(FirstVersions::AfterDeleted, |place| place.first_versions);
            let created = self.insert_links(&batch, first_versions, changed_by).await?;
            // Where all is as it mostly is, nothing needs to be read back.
            let versions = match first_versions {
                FirstVersions::One if created == batch.rows.len() as u64 => None,
                FirstVersions::One | FirstVersions::AfterDeleted => Some(self.new_versions(&batch).await?),
            };
            let ids: Vec<u128> = batch.ids().collect();
            for (id, row) in ids.into_iter().zip(batch.rows) {
                let version = versions.as_ref().map_or(Some(1), |versions| versions.get(&id).copied());
                let Some(version) = version else {
                    collided.push(row);
                    continue;
                };
                let link_id = LinkId::from_uuid_bytes(id.to_be_bytes());
                outcomes[row.index] = Some(CreateOutcome::Created { link_id, slug: row.slug.into(), version });
            }
        }
        Ok(collided)
    }

    /// Inserts what collides with no live link, with outbox entries; gives how many links that were.
    async fn insert_links(
        &mut self,
        batch: &Batch<'_>,
        versions: FirstVersions,
        changed_by: Option<&str>,
    ) -> Result<u64, StoreError> {
        let now = self.now();
        let count = batch.rows.len();
        let sql = dialect::make_links_sql(self.engine(), count, versions);
        // Only the two common sizes are worth keeping.
        let statement = match count {
            1 | LINKS_PER_CALL_MAX => Statement::new(sql),
            _ => Statement::once(sql),
        };
        let statement = batch.ids().zip(&batch.rows).fold(statement, |statement, (id, row)| {
            statement
                .bind(id.to_be_bytes().as_slice())
                .bind(row.slug.as_str())
                .bind(record_json::write(&row.new.record))
                .bind(row.dedupe_key.as_deref())
                .bind(row.new.created_at.unwrap_or(now).as_micros())
        });
        let statement = statement.bind(batch.account).bind(batch.domain).bind(now.as_micros()).bind(changed_by);
        Ok(dialect::links_made(self.engine(), self.execute(statement).await?))
    }

    /// The versions of those links that were inserted.
    async fn new_versions(&mut self, batch: &Batch<'_>) -> Result<HashMap<u128, u64>, StoreError> {
        let [first, last] = batch.id_range();
        let statement = Statement::new("SELECT l.id, l.version FROM links AS l WHERE l.id >= $1 AND l.id <= $2");
        let found = self.fetch_all(statement.bind(first).bind(last)).await?;
        let read = |row| {
            let columns = Columns::new(row, "link");
            Ok((columns.link_number("id")?, columns.count("version")?))
        };
        found.iter().map(read).collect()
    }

    /// What stands in the way of a row. `None` says try again: with another slug, or now that the dedupe key is free.
    async fn after_collision(&mut self, row: &Row<'_>) -> Result<Option<CreateOutcome>, StoreError> {
        if let Some(dedupe_key) = &row.dedupe_key {
            match self.holder_of(dedupe_key, row.new).await? {
                DedupeKey::Held(existing) => return Ok(Some(existing)),
                DedupeKey::Released => return Ok(None),
                DedupeKey::Free => {}
            }
        }
        Ok(match row.new.slug {
            SlugChoice::Chosen(_) => Some(CreateOutcome::SlugTaken { slug: row.slug.as_str().to_owned() }),
            SlugChoice::Generated(_) => None,
        })
    }

    /// Which live link has this dedupe key. One that leads nowhere any more loses it here to one that does.
    async fn holder_of(&mut self, dedupe_key: &str, new: &NewLink<'_>) -> Result<DedupeKey, StoreError> {
        let statement = Statement::new("SELECT id, slug, version, record FROM links WHERE dedupe_key = $1");
        let Some(found) = self.fetch_optional(statement.bind(dedupe_key)).await? else { return Ok(DedupeKey::Free) };
        let columns = Columns::new(&found, "link");
        let record = record_json::read(&columns)?;
        let now = self.now();
        let leads_nowhere =
            |record: &LinkRecord| !record.enabled || record.expires_at.is_some_and(|expires_at| expires_at <= now);
        if leads_nowhere(&record) && !leads_nowhere(&new.record) {
            let release = Statement::new("UPDATE links SET dedupe_key = NULL WHERE dedupe_key = $1");
            self.execute(release.bind(dedupe_key)).await?;
            return Ok(DedupeKey::Released);
        }
        let (link_id, slug, version) = (columns.link_id("id")?, columns.get("slug")?, columns.count("version")?);
        Ok(DedupeKey::Held(CreateOutcome::Existing { link_id, slug, version }))
    }
}

/// Who has a dedupe key.
enum DedupeKey {
    Held(CreateOutcome),
    Released,
    Free,
}

/// Gives the item a slug, or says why it can have none.
fn draw_row<'n>(index: usize, new: &'n NewLink<'n>, places: &LinkPlaces) -> Result<Row<'n>, CreateOutcome> {
    let place_key = place_key(new);
    let domain = places.get(place_key).map(|place| &place.domain).ok_or(CreateOutcome::DomainNotFound)?;
    let slug = match &new.slug {
        SlugChoice::Chosen(slug) => slug.clone(),
        SlugChoice::Generated(draw) => draw(),
    };
    let slug = if domain.case_insensitive { slug.to_case_folded() } else { slug };
    if domain.host.as_str().len() + slug.as_str().len() > HOST_AND_SLUG_BYTES_MAX {
        return Err(CreateOutcome::SlugTooLong);
    }
    let dedupe_key = new.dedupe_key.as_deref().map(|key| stored_dedupe_key(new, key));
    Ok(Row { index, new, place_key, slug, dedupe_key })
}

/// A dedupe key as stored: a digest, because a key may be a URL of 8 KB and indexes take less; with account and
/// domain in it, because it must never lead to another one's link.
fn stored_dedupe_key(new: &NewLink<'_>, key: &str) -> String {
    let mut digest = Sha256::new();
    for part in [new.account_id.as_str(), new.domain_id.as_str(), key] {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    HEXLOWER.encode(&digest.finalize()[..DEDUPE_KEY_BYTES])
}
