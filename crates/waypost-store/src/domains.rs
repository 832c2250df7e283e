//! Domains: the hosts that links live on. One without an account is shared by all; exactly one is the default.

use sqlx::any::AnyRow;
use waypost_core::id::{AccountId, DomainId};
use waypost_core::{DomainSettings, Hostname, Timestamp};

use crate::dialect::Constraint;
use crate::error::StoreError;
use crate::rows::{Columns, account_number, domain_number, new_number};
use crate::statement::Statement;
use crate::tx::{ReadTx, Tx};

/// The most domains that one list gives.
pub(crate) const DOMAINS_MAX: i64 = 10_000;

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

impl ReadTx {
    /// The domain with this id, whoever owns it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn get_domain(&mut self, domain_id: &DomainId) -> Result<Option<Domain>, StoreError> {
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
             WHERE host = $1",
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
             WHERE is_default = 1",
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
             WHERE account_id = $1 OR account_id IS NULL ORDER BY host LIMIT $2",
        );
        self.fetch_all(statement.bind(account_number(account_id)).bind(DOMAINS_MAX))
            .await?
            .iter()
            .map(read_domain)
            .collect()
    }

    /// Every domain of the instance in the order of [`Domain::key`], for the edges.
    ///
    /// # Errors
    /// [`StoreError::TooMany`] where there are more than 10,000: edges hold them all in memory.
    pub async fn list_all_domains(&mut self) -> Result<Vec<Domain>, StoreError> {
        let statement = Statement::new(
            "SELECT id, account_id, host, is_default, case_insensitive, root_url, created_at FROM domains
             ORDER BY is_default DESC, host LIMIT $1",
        );
        let rows = self.fetch_all(statement.bind(DOMAINS_MAX + 1)).await?;
        if rows.len() > usize::try_from(DOMAINS_MAX).unwrap_or(usize::MAX) {
            return Err(StoreError::TooMany { what: "domains", max: rows.len() - 1 });
        }
        rows.iter().map(read_domain).collect()
    }
}

impl Tx {
    /// Makes a domain.
    ///
    /// # Errors
    /// [`StoreError::DomainTaken`] where the instance has a domain with this host, [`StoreError::NotFound`] where there is no such
    /// account.
    pub async fn create_domain(&mut self, new: &NewDomain) -> Result<Domain, StoreError> {
        self.insert_domain(new, false).await
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

    /// Gives the default domain another host.
    pub(crate) async fn rename_default_domain(&mut self, host: &Hostname) -> Result<Domain, StoreError> {
        let statement = Statement::new(
            "UPDATE domains SET host = $1 WHERE is_default = 1
             RETURNING id, account_id, host, is_default, case_insensitive, root_url, created_at",
        );
        let row = self
            .insert_row(statement.bind(host.as_str()), |_| StoreError::DomainTaken { host: host.to_string() })
            .await?;
        read_domain(&row)
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
