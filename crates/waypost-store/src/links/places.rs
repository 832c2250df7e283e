//! Where new links are to live: what a transaction looks up once of their accounts and domains before it makes them
//! (`bulk.rs`), and what edges are told of them afterwards without reading anything back.

use std::collections::HashMap;

use waypost_core::Timestamp;
use waypost_core::record::UtmTemplate;
use waypost_sql::Statement;

use crate::dialect::FirstVersions;
use crate::domains::{Domain, read_domain};
use crate::error::StoreError;
use crate::links::edge_records::EdgeRecord;
use crate::links::link::{CreateOutcome, Link, NewLink};
use crate::rows::{Columns, account_number, domain_number};
use crate::tx::Tx;

/// Where links are made: what a transaction knows of their accounts and domains, as long as it deletes no link. See
/// [`Tx::link_places`].
#[derive(Debug, Default)]
pub struct LinkPlaces {
    /// By account and domain; `None` where the account may not use the domain.
    places: HashMap<PlaceKey, Option<Place>>,
    outbox_last: Option<u64>,
}

/// The numbers of an account and a domain.
pub(crate) type PlaceKey = (i64, i64);

/// A domain that links of an account are made on.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) domain: Domain,
    pub(crate) first_versions: FirstVersions,
    /// The account's UTM templates.
    templates: Vec<UtmTemplate>,
}

impl LinkPlaces {
    /// The outbox's newest sequence when the places were looked up. Each link that the transaction makes adds one. `None` where
    /// there are no places.
    pub const fn outbox_last(&self) -> Option<u64> {
        self.outbox_last
    }

    pub(crate) fn get(&self, key: PlaceKey) -> Option<&Place> {
        self.places.get(&key).and_then(Option::as_ref)
    }

    /// A link as a transaction that began at `now` made it; `None` where it made none. What was just written need not be
    /// read back.
    pub(crate) fn made_link(&self, new: NewLink<'_>, outcome: &CreateOutcome, now: Timestamp) -> Option<Link> {
        self.get(place_key(&new))?.made_link(new, outcome, now)
    }

    /// What edges are told of a link that a transaction made which began at `now`: what [`ReadTx::edge_records`] gave of it right
    /// after the commit. `None` where it made none.
    ///
    /// [`ReadTx::edge_records`]: crate::ReadTx::edge_records
    pub fn edge_record(&self, new: NewLink<'_>, outcome: &CreateOutcome, now: Timestamp) -> Option<EdgeRecord> {
        let place = self.get(place_key(&new))?;
        let Link { slug, version, mut record, .. } = place.made_link(new, outcome, now)?;
        record.utm_templates.extend_from_slice(&place.templates);
        Some(EdgeRecord { domain_key: place.domain.key().to_owned(), slug, version, record: Some(record) })
    }
}

impl Place {
    fn made_link(&self, new: NewLink<'_>, outcome: &CreateOutcome, now: Timestamp) -> Option<Link> {
        let CreateOutcome::Created { link_id, slug, version } = outcome else { return None };
        let link = Link {
            link_id: link_id.clone(),
            account_id: new.account_id,
            domain_id: new.domain_id,
            host: self.domain.host.as_str().to_owned(),
            slug: slug.clone(),
            version: *version,
            created_at: new.created_at.unwrap_or(now),
            updated_at: now,
            record: new.record,
        };
        Some(link.with_full_record())
    }
}

pub(crate) fn place_key(new: &NewLink<'_>) -> PlaceKey {
    (account_number(&new.account_id), domain_number(&new.domain_id))
}

impl Tx {
    /// Where these links are to live. The database looks at references only when the transaction ends, too late for a clear
    /// answer, so account and domain are looked up here; neither is ever deleted meanwhile.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such account; and where the database fails.
    pub async fn link_places(&mut self, new_links: &[NewLink<'_>]) -> Result<LinkPlaces, StoreError> {
        let mut places = LinkPlaces::default();
        for new in new_links {
            let key = place_key(new);
            if !places.places.contains_key(&key) {
                let place = self.find_place(new, key, &mut places.outbox_last).await?;
                places.places.insert(key, place);
            }
        }
        Ok(places)
    }

    async fn find_place(
        &mut self,
        new: &NewLink<'_>,
        key: PlaceKey,
        outbox_last: &mut Option<u64>,
    ) -> Result<Option<Place>, StoreError> {
        let statement = Statement::new(
            "SELECT d.id, d.account_id, d.host, d.is_default, d.case_insensitive, d.root_url, d.created_at,
               CASE WHEN EXISTS (SELECT 1 FROM links AS l WHERE l.domain_id = d.id AND l.deleted_at IS NOT NULL)
                 THEN 1 ELSE 0 END AS has_deleted_links,
               CASE WHEN EXISTS (SELECT 1 FROM utm_templates AS t WHERE t.account_id = a.id)
                 THEN 1 ELSE 0 END AS has_templates,
               (SELECT coalesce(max(sequence), 0) FROM outbox) AS outbox_last
             FROM accounts AS a CROSS JOIN domains AS d WHERE a.id = $1 AND d.id = $2 AND d.deleted_at IS NULL",
        );
        let Some(row) = self.fetch_optional(statement.bind(key.0).bind(key.1)).await? else {
            return match self.get_account(&new.account_id).await? {
                Some(_) => Ok(None),
                None => Err(StoreError::NotFound { what: "account" }),
            };
        };
        let (domain, columns) = (read_domain(&row)?, Columns::new(&row, "domain"));
        *outbox_last = Some(columns.count("outbox_last")?);
        if !domain.is_open_to(&new.account_id) {
            return Ok(None);
        }
        let first_versions = match columns.flag("has_deleted_links")? {
            true => FirstVersions::AfterDeleted,
            false => FirstVersions::One,
        };
        let templates = match columns.flag("has_templates")? {
            true => self.utm_templates_of(&new.account_id).await?,
            false => Vec::new(),
        };
        Ok(Some(Place { domain, first_versions, templates }))
    }
}
