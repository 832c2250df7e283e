//! Domains: the hosts that links live on. One without an account is shared by all; exactly one is the default.

use sqlx::any::AnyRow;
use waypost_core::id::{AccountId, DomainId};
use waypost_core::{DomainSettings, Hostname, Timestamp};
use waypost_sql::{Constraint, Statement};

use crate::error::StoreError;
use crate::rows::{Columns, account_number, domain_number, new_number};
use crate::tx::{ReadTx, Tx};

/// The most domains that one list gives.
pub(crate) const DOMAINS_MAX: i64 = 10_000;

/// Up to how many links of a domain are counted.
pub(crate) const LINKS_COUNTED_MAX: i64 = 100_000;

/// A domain to be made.
#[derive(Clone, Debug)]
pub struct NewDomain {
    /// The account that alone may use it; `None` where all may.
    pub account_id: Option<AccountId>,
    /// The host.
    pub host: Hostname,
    /// Whether slugs are kept and looked up in lower case.
    pub case_insensitive: bool,
    /// Where the empty path leads, if not to the landing page.
    pub root_url: Option<String>,
}

/// What to change of a domain; `None` leaves a thing as it is.
#[derive(Clone, Debug, Default)]
pub struct DomainChange {
    /// Whether slugs are kept and looked up in lower case. Can be changed only while the domain has never had a link.
    pub case_insensitive: Option<bool>,
    /// Where the empty path leads; `Some(None)` is the landing page.
    pub root_url: Option<Option<String>>,
}

/// A host that links live on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Its id.
    pub domain_id: DomainId,
    /// The account that alone may use it; `None` where all may.
    pub account_id: Option<AccountId>,
    /// The host, unique in the instance.
    pub host: Hostname,
    /// Edges keep the links of this one domain under the empty name.
    pub is_default: bool,
    /// Whether slugs are kept and looked up in lower case.
    pub case_insensitive: bool,
    /// Where the empty path leads, if not to the landing page.
    pub root_url: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Domain {
    /// What an edge knows of the domain.
    pub fn settings(&self) -> DomainSettings {
        DomainSettings {
            host: self.host.as_str().to_owned(),
            is_default: self.is_default,
            case_insensitive: self.case_insensitive,
            root_url: self.root_url.clone(),
        }
    }

    /// The name under which edges keep this domain's links: the host, or nothing for the default domain.
    pub fn key(&self) -> &str {
        if self.is_default { "" } else { self.host.as_str() }
    }

    /// Whether links of this account may live here.
    pub(crate) fn is_open_to(&self, account_id: &AccountId) -> bool {
        self.account_id.as_ref().is_none_or(|owner| owner == account_id)
    }
}

pub(crate) fn read_domain(row: &AnyRow) -> Result<Domain, StoreError> {
    let columns = Columns::new(row, "domain");
    let host: String = columns.get("host")?;
    Ok(Domain {
        domain_id: columns.domain_id("id")?,
        account_id: columns.optional_account_id("account_id")?,
        host: Hostname::parse(&host).map_err(|error| columns.corrupt("host", &error))?,
        is_default: columns.flag("is_default")?,
        case_insensitive: columns.flag("case_insensitive")?,
        root_url: columns.get("root_url")?,
        created_at: columns.time("created_at")?,
    })
}

fn read_count(row: Option<&AnyRow>) -> Result<u64, StoreError> {
    let links: i64 = row.map_or(Ok(0), |row| Columns::new(row, "count").get("links"))?;
    Ok(u64::try_from(links).unwrap_or_default())
}

impl ReadTx {
    /// The domain with this id, whoever owns it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn get_domain(&mut self, domain_id: &DomainId) -> Result<Option<Domain>, StoreError> {
        let statement = Statement::new(
            "SELECT id, account_id, host, is_default, case_insensitive, root_url, created_at FROM domains
             WHERE id = $1 AND deleted_at IS NULL",
        );
        let row = self.fetch_optional(statement.bind(domain_number(domain_id))).await?;
        row.as_ref().map(read_domain).transpose()
    }

    /// As [`ReadTx::get_domain`], also where the domain was deleted.
    pub(crate) async fn get_domain_ever(&mut self, domain_id: &DomainId) -> Result<Option<Domain>, StoreError> {
        let statement = Statement::new(
            "SELECT id, account_id, host, is_default, case_insensitive, root_url, created_at FROM domains WHERE id = $1",
        );
        let row = self.fetch_optional(statement.bind(domain_number(domain_id))).await?;
        row.as_ref().map(read_domain).transpose()
    }

    /// The domain with this host, whoever owns it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn get_domain_by_host(&mut self, host: &Hostname) -> Result<Option<Domain>, StoreError> {
        let statement = Statement::new(
            "SELECT id, account_id, host, is_default, case_insensitive, root_url, created_at FROM domains
             WHERE host = $1 AND deleted_at IS NULL",
        );
        let row = self.fetch_optional(statement.bind(host.as_str())).await?;
        row.as_ref().map(read_domain).transpose()
    }

    /// The default domain; `None` before [`Tx::init`].
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn get_default_domain(&mut self) -> Result<Option<Domain>, StoreError> {
        let statement = Statement::new(
            "SELECT id, account_id, host, is_default, case_insensitive, root_url, created_at FROM domains
             WHERE is_default = 1 AND deleted_at IS NULL",
        );
        let row = self.fetch_optional(statement).await?;
        row.as_ref().map(read_domain).transpose()
    }

    /// The domains that links of this account may live on, by host; at most 10,000.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn list_domains(&mut self, account_id: &AccountId) -> Result<Vec<Domain>, StoreError> {
        let statement = Statement::new(
            "SELECT id, account_id, host, is_default, case_insensitive, root_url, created_at FROM domains
             WHERE (account_id = $1 OR account_id IS NULL) AND deleted_at IS NULL ORDER BY host LIMIT $2",
        );
        self.fetch_all(statement.bind(account_number(account_id)).bind(DOMAINS_MAX))
            .await?
            .iter()
            .map(read_domain)
            .collect()
    }

    /// How many links the domain has, of any account; more than 100,000 are counted as 100,001.
    pub(crate) async fn count_links(&mut self, domain_id: &DomainId) -> Result<u64, StoreError> {
        let statement = Statement::new(
            "SELECT count(*) AS links FROM
               (SELECT id FROM links WHERE domain_id = $1 AND deleted_at IS NULL LIMIT $2) AS counted",
        );
        let row = self.fetch_optional(statement.bind(domain_number(domain_id)).bind(LINKS_COUNTED_MAX + 1)).await?;
        read_count(row.as_ref())
    }

    /// How many links the instance has, of any account and on any domain, counted up to `max`.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn count_all_links(&mut self, max: u32) -> Result<u64, StoreError> {
        let statement = Statement::new(
            "SELECT count(*) AS links FROM (SELECT id FROM links WHERE deleted_at IS NULL LIMIT $1) AS counted",
        );
        read_count(self.fetch_optional(statement.bind(i64::from(max))).await?.as_ref())
    }

    /// Every domain of the instance in the order of [`Domain::key`], for the edges.
    ///
    /// # Errors
    /// [`StoreError::TooMany`] where there are more than 10,000: edges hold them all in memory.
    pub async fn list_all_domains(&mut self) -> Result<Vec<Domain>, StoreError> {
        let statement = Statement::new(
            "SELECT id, account_id, host, is_default, case_insensitive, root_url, created_at FROM domains
             WHERE deleted_at IS NULL ORDER BY is_default DESC, host LIMIT $1",
        );
        let rows = self.fetch_all(statement.bind(DOMAINS_MAX + 1)).await?;
        if rows.len() > usize::try_from(DOMAINS_MAX).unwrap_or(usize::MAX) {
            return Err(StoreError::TooMany { what: "domains", max: rows.len() - 1 });
        }
        rows.iter().map(read_domain).collect()
    }
}

impl Tx {
    /// Makes a domain. One that was deleted under this host comes back under its id: versions of its slugs go on where they stood.
    ///
    /// # Errors
    /// [`StoreError::DomainTaken`] where the instance has a domain with this host, [`StoreError::NotFound`] where there is no such
    /// account.
    pub async fn create_domain(&mut self, new: &NewDomain) -> Result<Domain, StoreError> {
        let statement = Statement::new(
            "UPDATE domains SET host = $1, account_id = $2, case_insensitive = $3, root_url = $4, created_at = $5, deleted_at = NULL
             WHERE host IN ($1, $6) AND deleted_at IS NOT NULL
               AND NOT EXISTS (SELECT 1 FROM domains AS live WHERE live.host = $1 AND live.deleted_at IS NULL)
             RETURNING id, account_id, host, is_default, case_insensitive, root_url, created_at",
        )
        .bind(new.host.as_str())
        .bind(new.account_id.as_ref().map(account_number))
        .bind(i64::from(new.case_insensitive))
        .bind(new.root_url.as_deref())
        .bind(self.now().as_micros())
        .bind(format!("{}.", new.host));
        match self.fetch_optional(statement).await? {
            Some(row) => read_domain(&row),
            None => self.insert_domain(new, false).await,
        }
    }

    pub(crate) async fn insert_domain(&mut self, new: &NewDomain, is_default: bool) -> Result<Domain, StoreError> {
        let statement = Statement::new(
            "INSERT INTO domains (id, account_id, host, is_default, case_insensitive, root_url, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             RETURNING id, account_id, host, is_default, case_insensitive, root_url, created_at",
        )
        .bind(new_number())
        .bind(new.account_id.as_ref().map(account_number))
        .bind(new.host.as_str())
        .bind(i64::from(is_default))
        .bind(i64::from(new.case_insensitive))
        .bind(new.root_url.as_deref())
        .bind(self.now().as_micros());
        let row = self
            .insert_row(statement, |constraint| match constraint {
                Constraint::Unique => StoreError::DomainTaken { host: new.host.to_string() },
                Constraint::ForeignKey => StoreError::NotFound { what: "account" },
            })
            .await?;
        read_domain(&row)
    }

    /// Changes a domain: `owner` is the account that owns it, `None` for a shared one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where that owner has no such domain; [`StoreError::DomainInUse`] where letter case is to count
    /// differently although the domain has had links.
    pub async fn update_domain(
        &mut self,
        owner: Option<&AccountId>,
        domain_id: &DomainId,
        change: &DomainChange,
    ) -> Result<Domain, StoreError> {
        let not_found = StoreError::NotFound { what: "domain" };
        let Some(domain) = self.get_domain(domain_id).await? else { return Err(not_found) };
        if domain.account_id.as_ref() != owner {
            return Err(not_found);
        }
        let case_insensitive = change.case_insensitive.unwrap_or(domain.case_insensitive);
        if case_insensitive != domain.case_insensitive && self.has_links(domain_id).await? {
            return Err(StoreError::DomainInUse { host: domain.host.to_string() });
        }
        let root_url = change.root_url.as_ref().unwrap_or(&domain.root_url);
        let statement = Statement::new(
            "UPDATE domains SET case_insensitive = $2, root_url = $3 WHERE id = $1
             RETURNING id, account_id, host, is_default, case_insensitive, root_url, created_at",
        )
        .bind(domain_number(domain_id))
        .bind(i64::from(case_insensitive))
        .bind(root_url.as_deref());
        let row = self.fetch_optional(statement).await?.ok_or(not_found)?;
        read_domain(&row)
    }

    /// Deletes a domain that has no links: `owner` is the account that owns it, `None` for a shared one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where that owner has no such domain; [`StoreError::DomainIsDefault`] and
    /// [`StoreError::DomainHasLinks`] where it is needed.
    pub async fn delete_domain(
        &mut self,
        owner: Option<&AccountId>,
        domain_id: &DomainId,
    ) -> Result<Domain, StoreError> {
        let not_found = StoreError::NotFound { what: "domain" };
        let domain = self.get_domain(domain_id).await?.filter(|domain| domain.account_id.as_ref() == owner);
        let domain = domain.ok_or(not_found)?;
        if domain.is_default {
            return Err(StoreError::DomainIsDefault { host: domain.host.to_string() });
        }
        let links = self.count_links(domain_id).await?;
        if links > 0 {
            return Err(StoreError::DomainHasLinks { host: domain.host.to_string(), links });
        }
        // The row stays: what was deleted of its links keeps their versions, which new links of the same host go on from.
        let statement = Statement::new("UPDATE domains SET deleted_at = $2 WHERE id = $1");
        self.execute(statement.bind(domain_number(domain_id)).bind(self.now().as_micros())).await?;
        Ok(domain)
    }

    /// Gives the default domain another host.
    pub(crate) async fn rename_default_domain(&mut self, host: &Hostname) -> Result<Domain, StoreError> {
        // A deleted domain leaves its host to the default domain, and is kept under the other form of it.
        let freed = Statement::new("UPDATE domains SET host = $2 WHERE host = $1 AND deleted_at IS NOT NULL");
        self.execute(freed.bind(host.as_str()).bind(format!("{host}."))).await?;
        let statement = Statement::new(
            "UPDATE domains SET host = $1 WHERE is_default = 1
             RETURNING id, account_id, host, is_default, case_insensitive, root_url, created_at",
        );
        let row = self
            .insert_row(statement.bind(host.as_str()), |_| StoreError::DomainTaken { host: host.to_string() })
            .await?;
        read_domain(&row)
    }

    /// Makes a domain the default one, which goes. Only where nothing is lost by it: the old one never had a link and leads
    /// nowhere, and the new one is shared by all. Links keep their domain and host.
    pub(crate) async fn put_in_place_of_default(
        &mut self,
        default: &Domain,
        other: Domain,
    ) -> Result<Domain, StoreError> {
        let is_unused = default.root_url.is_none() && !self.has_links(&default.domain_id).await?;
        if !is_unused || other.account_id.is_some() {
            let links = self.count_links(&other.domain_id).await?;
            let (host, default_host) = (other.host.to_string(), default.host.to_string());
            return Err(StoreError::PublicUrlTaken { host, links, default_host });
        }
        let gone = Statement::new("UPDATE domains SET is_default = 0, deleted_at = $2 WHERE id = $1");
        self.execute(gone.bind(domain_number(&default.domain_id)).bind(self.now().as_micros())).await?;
        let chosen = Statement::new("UPDATE domains SET is_default = 1 WHERE id = $1");
        self.execute(chosen.bind(domain_number(&other.domain_id))).await?;
        Ok(Domain { is_default: true, ..other })
    }

    async fn has_links(&mut self, domain_id: &DomainId) -> Result<bool, StoreError> {
        // Two questions, because live and deleted links are in different indexes.
        for statement in [
            "SELECT id FROM links WHERE domain_id = $1 AND deleted_at IS NULL LIMIT 1",
            "SELECT id FROM links WHERE domain_id = $1 AND deleted_at IS NOT NULL LIMIT 1",
        ] {
            if self.fetch_optional(Statement::new(statement).bind(domain_number(domain_id))).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
