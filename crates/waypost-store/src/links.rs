//! Links: making, reading, changing and deleting one. What one is, is in `link.rs`, making many in `bulk.rs`, listing in `list.rs`.
//!
//! A link's version grows by one with each change, deletion included, and a new link on a slug goes on counting where
//! the last one stopped: an edge that only ever takes higher versions of a slug never goes back. Each change copies the version
//! that it replaces to `link_versions` and adds an entry to the outbox, in the same transaction.

pub(crate) mod bulk;
pub(crate) mod edge_records;
pub(crate) mod link;
pub(crate) mod list;
pub(crate) mod owners;
pub(crate) mod places;
pub(crate) mod record_json;
pub(crate) mod versions;

use waypost_core::id::{AccountId, DomainId, LinkId};
use waypost_sql::{Statement, as_bigint};

use crate::dialect;
use crate::error::StoreError;
use crate::links::link::{CreateOutcome, Creation, Link, LinkChange, NewLink, link_columns, read_link};
use crate::links::versions::KEEP_VERSIONS_SQL;
use crate::rows::{Columns, account_number, domain_number, link_bytes};
use crate::tx::{ReadTx, Tx};

impl ReadTx {
    /// The account's live link with this id.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn get_link(&mut self, account_id: &AccountId, link_id: &LinkId) -> Result<Option<Link>, StoreError> {
        let statement = Statement::new(concat!(
            "SELECT ",
            link_columns!(),
            " FROM links AS l JOIN domains AS d ON d.id = l.domain_id
             WHERE l.account_id = $1 AND l.id = $2 AND l.deleted_at IS NULL"
        ));
        let row = self.fetch_optional(statement.bind(account_number(account_id)).bind(link_bytes(link_id))).await?;
        row.as_ref().map(read_link).transpose()
    }

    /// The live link with this slug on this domain, whoever owns it: for pages that anyone may see. The slug is compared as it is
    /// stored; see [`waypost_core::slug::from_request_path`].
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn get_link_by_slug(&mut self, domain_id: &DomainId, slug: &str) -> Result<Option<Link>, StoreError> {
        let statement = Statement::new(concat!(
            "SELECT ",
            link_columns!(),
            " FROM links AS l JOIN domains AS d ON d.id = l.domain_id
             WHERE l.domain_id = $1 AND l.slug = $2 AND l.deleted_at IS NULL"
        ));
        let row = self.fetch_optional(statement.bind(domain_number(domain_id)).bind(slug)).await?;
        row.as_ref().map(read_link).transpose()
    }

    async fn existing_link(&mut self, account_id: &AccountId, link_id: &LinkId) -> Result<Link, StoreError> {
        self.get_link(account_id, link_id).await?.ok_or(StoreError::NotFound { what: "link" })
    }
}

impl Tx {
    /// Makes a link. `changed_by` says who made it: an id, or a word such as `import`.
    ///
    /// # Errors
    /// [`StoreError::SlugTaken`] where a live link has the chosen slug, or where every generated slug was taken or the
    /// dedupe key belongs to a live link (use [`Tx::create_or_get_link`] with one); [`StoreError::SlugTooLong`];
    /// [`StoreError::NotFound`] where the domain is not one for this account, or there is no such account.
    pub async fn create_link(&mut self, new: &NewLink<'_>, changed_by: Option<&str>) -> Result<Link, StoreError> {
        match self.create_or_get_link(new, changed_by).await? {
            Creation::Created(link) => Ok(link),
            Creation::Existing(link) => Err(StoreError::SlugTaken { slug: link.slug }),
        }
    }

    /// Makes a link, unless there is a live one with the same dedupe key that still works: then that one.
    ///
    /// # Errors
    /// As [`Tx::create_link`].
    pub async fn create_or_get_link(
        &mut self,
        new: &NewLink<'_>,
        changed_by: Option<&str>,
    ) -> Result<Creation, StoreError> {
        let new_links = std::slice::from_ref(new);
        let places = self.link_places(new_links).await?;
        let outcome = self.create_links_at(&places, new_links, changed_by).await?.pop();
        if let Some(outcome) = &outcome
            && let Some(link) = places.made_link(new.clone(), outcome, self.now())
        {
            return Ok(Creation::Created(link));
        }
        match outcome {
            Some(CreateOutcome::Existing { link_id, .. }) => {
                Ok(Creation::Existing(self.existing_link(&new.account_id, &link_id).await?))
            }
            Some(CreateOutcome::SlugTaken { slug }) => Err(StoreError::SlugTaken { slug }),
            Some(CreateOutcome::SlugTooLong) => Err(StoreError::SlugTooLong),
            // The last two never come to be: what was created has a place, and one link has one outcome.
            Some(CreateOutcome::DomainNotFound | CreateOutcome::Created { .. }) | None => {
                Err(StoreError::NotFound { what: "domain" })
            }
        }
    }

    /// Replaces what a link does and gives the link as it is then. A link whose record really changed loses its dedupe key.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where the account has no such live link, [`StoreError::VersionConflict`] where it is not at the
    /// expected version.
    pub async fn update_link(&mut self, change: &LinkChange<'_>) -> Result<Link, StoreError> {
        self.keep_version(change.account_id, change.link_id, change.expected_version).await?;
        let statement = Statement::new(
            "UPDATE links SET version = version + 1, record = $2, updated_at = $3, changed_by = $4,
               dedupe_key = CASE WHEN record = $2 THEN dedupe_key END
             WHERE id = $1",
        )
        .bind(link_bytes(change.link_id))
        .bind(record_json::write(change.record))
        .bind(self.now().as_micros())
        .bind(change.changed_by);
        self.execute(statement).await?;
        self.publish_link(change.link_id).await?;
        self.existing_link(change.account_id, change.link_id).await
    }

    /// Deletes a link; its slug is free from then on. Gives the version under which edges learn of it.
    ///
    /// # Errors
    /// As [`Tx::update_link`].
    pub async fn delete_link(
        &mut self,
        account_id: &AccountId,
        link_id: &LinkId,
        expected_version: Option<u64>,
        changed_by: Option<&str>,
    ) -> Result<u64, StoreError> {
        self.keep_version(account_id, link_id, expected_version).await?;
        let statement = Statement::new(
            "UPDATE links SET version = version + 1, updated_at = $2, deleted_at = $2, changed_by = $3, dedupe_key = NULL
             WHERE id = $1 RETURNING id, version",
        )
        .bind(link_bytes(link_id))
        .bind(self.now().as_micros())
        .bind(changed_by);
        let row = self.fetch_optional(statement).await?.ok_or(StoreError::NotFound { what: "link" })?;
        self.publish_link(link_id).await?;
        Ok(Columns::new(&row, "link").count("version")?)
    }

    /// Copies what a live link is now to its history, before it is changed.
    async fn keep_version(
        &mut self,
        account_id: &AccountId,
        link_id: &LinkId,
        expected_version: Option<u64>,
    ) -> Result<(), StoreError> {
        let condition = " AND account_id = $1 AND id = $2 AND version = coalesce($3, version)";
        let statement = Statement::new(format!("{KEEP_VERSIONS_SQL}{condition}"))
            .bind(account_number(account_id))
            .bind(link_bytes(link_id))
            .bind(expected_version.map(as_bigint));
        if self.execute(statement).await? == 0 {
            return Err(self.why_not_changed(account_id, link_id).await?);
        }
        Ok(())
    }

    async fn why_not_changed(&mut self, account_id: &AccountId, link_id: &LinkId) -> Result<StoreError, StoreError> {
        Ok(match self.get_link(account_id, link_id).await? {
            Some(link) => StoreError::VersionConflict { current: link.version },
            None => StoreError::NotFound { what: "link" },
        })
    }

    /// Adds the outbox entry of a link that has just changed.
    async fn publish_link(&mut self, link_id: &LinkId) -> Result<(), StoreError> {
        let outbox_entry = Statement::new(dialect::publish_sql(self.engine(), "links AS l WHERE l.id = $1"));
        self.execute(outbox_entry.bind(link_bytes(link_id))).await.map(drop)
    }
}
