//! Use cases of domains, the hosts of links.

use waypost_api::FieldError;
use waypost_api::domain::{self as api, CreateDomain, DomainList, UpdateDomain};
use waypost_core::id::DomainId;
use waypost_store::{Domain, DomainChange, NewDomain};

use crate::access::author::Changed;
use crate::access::caller::Caller;
use crate::access::operation::Operation;
use crate::app::App;
use crate::idempotency::{Done, Repeatable};
use crate::links::check::{Rules, check_destination};
use crate::problem::Problem;

impl App {
    /// The domains that links of the caller may live on, by host.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn list_domains(&self, caller: &Caller) -> Result<DomainList, Problem> {
        caller.may(Operation::ReadDomains)?;
        let domains = self.store.read("list_domains").await?.list_domains(&caller.account_id).await?;
        let domains = domains.into_iter().filter(|domain| caller.reaches_domain(&domain.domain_id));
        Ok(DomainList { domains: domains.map(show).collect() })
    }

    /// Makes a domain that every account may use.
    ///
    /// # Errors
    /// Where the caller is not the operator, the host is taken, or the root URL cannot be led to.
    pub async fn create_domain(
        &self,
        caller: &Caller,
        asked: CreateDomain,
        request: &Repeatable,
    ) -> Result<Done<api::Domain>, Problem> {
        caller.may(Operation::CreateDomain)?;
        let change = self.checked(asked.settings)?;
        let new = NewDomain {
            account_id: None,
            host: asked.host,
            case_insensitive: change.case_insensitive.unwrap_or(false),
            root_url: change.root_url.flatten(),
        };
        let mut tx = self.store.begin("create_domain").await?;
        let done = match request.answered(&mut tx).await? {
            Some(before) => before,
            None => {
                let domain = show(tx.create_domain(&new).await?);
                caller.record(&mut tx, Operation::CreateDomain, Changed::created(domain.id.as_str(), &domain)).await?;
                request.remember(&mut tx, &domain).await?;
                Done::now(domain)
            }
        };
        tx.commit().await?;
        self.refresh_edge_domains().await?;
        Ok(done)
    }

    /// Changes a domain.
    ///
    /// # Errors
    /// Where the caller is not the operator, there is no such domain, or the root URL cannot be led to.
    pub async fn update_domain(&self, caller: &Caller, id: &str, asked: UpdateDomain) -> Result<api::Domain, Problem> {
        caller.may(Operation::UpdateDomain)?;
        let domain_id: DomainId = id.parse().map_err(|_| Problem::not_found("domain"))?;
        let change = self.checked(asked)?;
        let mut tx = self.store.begin("update_domain").await?;
        let before = tx.get_domain(&domain_id).await?.map(show);
        let domain = show(tx.update_domain(None, &domain_id, &change).await?);
        let changed = Changed::updated(id, &before, &domain);
        caller.record(&mut tx, Operation::UpdateDomain, changed).await?;
        tx.commit().await?;
        self.refresh_edge_domains().await?;
        Ok(domain)
    }

    /// Deletes a domain that has no links.
    ///
    /// # Errors
    /// Where the caller is not the operator, there is no such domain, or it has links.
    pub async fn delete_domain(&self, caller: &Caller, id: &str) -> Result<(), Problem> {
        caller.may(Operation::DeleteDomain)?;
        let domain_id: DomainId = id.parse().map_err(|_| Problem::not_found("domain"))?;
        let mut tx = self.store.begin("delete_domain").await?;
        let before = tx.get_domain(&domain_id).await?.map(show);
        tx.delete_domain(None, &domain_id).await?;
        caller.record(&mut tx, Operation::DeleteDomain, Changed::deleted(id, &before)).await?;
        tx.commit().await?;
        self.refresh_edge_domains().await
    }

    /// The change, with its root URL as visitors are sent there.
    fn checked(&self, asked: UpdateDomain) -> Result<DomainChange, Problem> {
        let root_url = match asked.root_url {
            Some(Some(url)) => Some(Some(self.check_root(&url).map_err(|error| Problem::of_fields(vec![error]))?)),
            other => other,
        };
        Ok(DomainChange { case_insensitive: asked.case_insensitive, root_url })
    }

    fn check_root(&self, url: &str) -> Result<String, FieldError> {
        let own_hosts = self.own_hosts();
        let rules = Rules { schemes: self.schemes(), own_hosts: &own_hosts, refuse_addresses: false };
        check_destination("root_url", url, &rules)
    }
}

/// A domain as the API shows it.
fn show(domain: Domain) -> api::Domain {
    api::Domain {
        id: domain.domain_id,
        host_unicode: domain.host.to_unicode(),
        host: domain.host.into(),
        is_default: domain.is_default,
        shared: domain.account_id.is_none(),
        case_insensitive: domain.case_insensitive,
        root_url: domain.root_url,
        created_at: domain.created_at,
    }
}
