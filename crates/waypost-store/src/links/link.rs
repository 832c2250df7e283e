//! A link, what it is made of and changed by, and its row in the database.

use std::fmt;

use sqlx::any::AnyRow;
use waypost_core::id::{AccountId, DomainId, LinkId};
use waypost_core::{LinkRecord, Slug, Timestamp};

use crate::error::StoreError;
use crate::links::record_json;
use crate::rows::Columns;

/// The slug of a link to be made.
#[derive(Clone)]
pub enum SlugChoice<'a> {
    /// This one or none.
    Chosen(Slug),
    /// Whatever this generator gives; called again where the slug is taken.
    Generated(&'a (dyn Fn() -> Slug + Sync)),
}

impl fmt::Debug for SlugChoice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chosen(slug) => f.debug_tuple("Chosen").field(slug).finish(),
            Self::Generated(_) => f.write_str("Generated"),
        }
    }
}

/// A link to be made.
#[derive(Clone, Debug)]
pub struct NewLink<'a> {
    /// The account that will own it.
    pub account_id: AccountId,
    /// The domain, shared or of that account.
    pub domain_id: DomainId,
    /// The slug; folded to lower case here where the domain does not tell cases apart.
    pub slug: SlugChoice<'a>,
    /// What the link does. Its ids, version, slug, domain and times are not read: those are given here.
    pub record: LinkRecord,
    /// Links of one account and domain with equal keys are one link, until it is edited, expires or is deleted.
    pub dedupe_key: Option<String>,
    /// When it was made elsewhere (imports); the transaction's time where absent.
    pub created_at: Option<Timestamp>,
}

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

/// What [`crate::Tx::create_or_get_link`] found or did.
#[derive(Clone, Debug, PartialEq)]
pub enum Creation {
    /// A new link.
    Created(Link),
    /// The live link with the same dedupe key.
    Existing(Link),
}

impl Creation {
    /// The link, new or not.
    pub fn into_link(self) -> Link {
        match self {
            Self::Created(link) | Self::Existing(link) => link,
        }
    }
}

/// A live link.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Its id.
    pub link_id: LinkId,
    /// The account that owns it.
    pub account_id: AccountId,
    /// The domain it lives on.
    pub domain_id: DomainId,
    /// The host of that domain.
    pub host: String,
    /// The slug.
    pub slug: String,
    /// Grows with every change.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// What it does, with its ids, version, slug, domain and times filled in; without the account's UTM templates.
    pub record: LinkRecord,
}

/// A change of one link.
#[derive(Clone, Debug)]
pub struct LinkChange<'a> {
    /// The account that owns it.
    pub account_id: &'a AccountId,
    /// Which link.
    pub link_id: &'a LinkId,
    /// Changes nothing unless the link is at this version.
    pub expected_version: Option<u64>,
    /// What the link does from now on, as a whole. Ids, version, slug, domain and times in it are not read.
    pub record: &'a LinkRecord,
    /// Who changes it, for the history.
    pub changed_by: Option<&'a str>,
}

/// The columns that [`read_link`] reads, of `links AS l` and `domains AS d`.
macro_rules! link_columns {
    () => {
        "l.id, l.account_id, l.domain_id, d.host, l.slug, l.version, l.record, l.created_at, l.updated_at"
    };
}
pub(crate) use link_columns;

pub(crate) fn read_link(row: &AnyRow) -> Result<Link, StoreError> {
    let columns = Columns::new(row, "link");
    let link = Link {
        link_id: columns.link_id("id")?,
        account_id: columns.account_id("account_id")?,
        domain_id: columns.domain_id("domain_id")?,
        host: columns.get("host")?,
        slug: columns.get("slug")?,
        version: columns.count("version")?,
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
        record: record_json::read(&columns)?,
    };
    Ok(link.with_full_record())
}

impl Link {
    /// Fills in what the record says of the link itself.
    pub(crate) fn with_full_record(mut self) -> Self {
        let record = &mut self.record;
        record.link_id = Some(self.link_id.as_str().to_owned());
        record.account_id = Some(self.account_id.as_str().to_owned());
        record.version = self.version;
        record.slug = Some(self.slug.clone());
        record.domain = Some(self.host.clone());
        record.created_at = Some(self.created_at);
        record.updated_at = Some(self.updated_at);
        self
    }
}
