//! The domains that links live on. Only the operator makes or changes them; callers see those that they may use.

use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};
use waypost_core::id::DomainId;
use waypost_core::{Hostname, Timestamp};
use waypost_store::{Domain, DomainChange, NewDomain};

use crate::app::App;
use crate::caller::Caller;
use crate::idempotency::{Answer, Repeatable};
use crate::link_check::{Rules, check_destination};
use crate::problem::{FieldError, Problem};
use crate::request::{invalid, refuse_rest, take_text};

/// A domain as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct DomainView<'a> {
    id: &'a str,
    host: &'a str,
    /// The host as people read it.
    host_unicode: String,
    is_default: bool,
    /// Whether links of every account may live here.
    shared: bool,
    case_insensitive: bool,
    root_url: Option<&'a str>,
    created_at: Timestamp,
}

impl<'a> DomainView<'a> {
    pub(crate) fn new(domain: &'a Domain) -> Self {
        Self {
            id: domain.domain_id.as_str(),
            host: domain.host.as_str(),
            host_unicode: domain.host.to_unicode(),
            is_default: domain.is_default,
            shared: domain.account_id.is_none(),
            case_insensitive: domain.case_insensitive,
            root_url: domain.root_url.as_deref(),
            created_at: domain.created_at,
        }
    }
}

impl App {
    /// The domains that links of the caller may live on, by host.
    pub(crate) async fn list_domains(&self, caller: &Caller) -> Result<Vec<Domain>, Problem> {
        Ok(self.store.read("list_domains").await?.list_domains(&caller.account_id).await?)
    }

    /// Makes a domain that every account may use.
    pub(crate) async fn create_domain(
        &self,
        caller: &Caller,
        body: Map<String, Value>,
        request: &Repeatable,
    ) -> Result<Answer, Problem> {
        caller.require_operator()?;
        let (host, change) = self.domain_input(body, true)?;
        let host = host.ok_or_else(|| Problem::of_fields(vec![invalid("host", "a host name such as go.example")]))?;
        let new = NewDomain {
            account_id: None,
            host,
            case_insensitive: change.case_insensitive.unwrap_or(false),
            root_url: change.root_url.flatten(),
        };
        let mut tx = self.store.begin("create_domain").await?;
        let answer = match request.answered(&mut tx).await? {
            Some(answer) => answer,
            None => {
                let domain = tx.create_domain(&new).await?;
                let body = serde_json::to_vec(&DomainView::new(&domain)).unwrap_or_default();
                request.remember(&mut tx, StatusCode::CREATED, &body).await?;
                Answer::new(StatusCode::CREATED, body)
            }
        };
        tx.commit().await?;
        self.refresh_edge_domains().await?;
        Ok(answer)
    }

    /// Changes a domain.
    pub(crate) async fn update_domain(
        &self,
        caller: &Caller,
        id: &str,
        body: Map<String, Value>,
    ) -> Result<Domain, Problem> {
        caller.require_operator()?;
        let domain_id: DomainId = id.parse().map_err(|_| Problem::not_found("domain"))?;
        let (_, change) = self.domain_input(body, false)?;
        let mut tx = self.store.begin("update_domain").await?;
        let domain = tx.update_domain(None, &domain_id, &change).await?;
        tx.commit().await?;
        self.refresh_edge_domains().await?;
        Ok(domain)
    }

    /// Deletes a domain that has no links.
    pub(crate) async fn delete_domain(&self, caller: &Caller, id: &str) -> Result<(), Problem> {
        caller.require_operator()?;
        let domain_id: DomainId = id.parse().map_err(|_| Problem::not_found("domain"))?;
        let mut tx = self.store.begin("delete_domain").await?;
        tx.delete_domain(None, &domain_id).await?;
        tx.commit().await?;
        self.refresh_edge_domains().await
    }

    fn domain_input(
        &self,
        mut object: Map<String, Value>,
        is_new: bool,
    ) -> Result<(Option<Hostname>, DomainChange), Problem> {
        let mut errors = Vec::new();
        let host = if is_new { take_host(&mut object, &mut errors) } else { None };
        let case_insensitive = match object.remove("case_insensitive") {
            None | Some(Value::Null) => None,
            Some(Value::Bool(flag)) => Some(flag),
            Some(_) => {
                errors.push(invalid("case_insensitive", "true or false"));
                None
            }
        };
        let names_root = object.contains_key("root_url");
        let root_url = take_text(&mut object, "root_url", &mut errors);
        let root_url = root_url.and_then(|url| match self.check_root(&url) {
            Ok(url) => Some(url),
            Err(error) => {
                errors.push(error);
                None
            }
        });
        refuse_rest(&object, &mut errors);
        if !errors.is_empty() {
            return Err(Problem::of_fields(errors));
        }
        Ok((host, DomainChange { case_insensitive, root_url: names_root.then_some(root_url) }))
    }

    fn check_root(&self, url: &str) -> Result<String, FieldError> {
        let own_hosts = self.own_hosts();
        let rules = Rules { schemes: self.schemes(), own_hosts: &own_hosts, refuse_addresses: false };
        check_destination("root_url", url, &rules)
    }
}

fn take_host(object: &mut Map<String, Value>, errors: &mut Vec<FieldError>) -> Option<Hostname> {
    let host = take_text(object, "host", errors)?;
    let parsed = Hostname::parse(&host);
    if let Err(error) = &parsed {
        errors.push(invalid("host", &format!("a host name: {error}")));
    }
    parsed.ok()
}
