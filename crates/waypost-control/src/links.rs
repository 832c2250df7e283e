//! What callers of the API do with links, one at a time. Many at once is in `bulk.rs`, listing in `link_list.rs`.
//!
//! Each change is one transaction of the store, and answered once the edge has it.

use axum::http::StatusCode;
use serde_json::{Map, Value};
use waypost_core::id::LinkId;
use waypost_core::{Hostname, LinkRecord, Quoted, Slug};
use waypost_store::{CreateOutcome, Domain, Link, LinkChange, LinkVersion, NewLink, ReadTx, SlugChoice, Tx};

use crate::app::{App, wall_clock_now};
use crate::caller::Caller;
use crate::idempotency::Repeatable;
use crate::link_check::{Rules, check_record, check_rule_ids};
use crate::link_input::{LinkPatch, NewLinkInput, PasswordChange};
use crate::link_view::LinkView;
use crate::link_warnings::warnings_of;
use crate::password::PasswordError;
use crate::problem::{FieldError, Problem, ProblemCode};
use crate::request::Precondition;

/// A link that was made, as it is answered: now, and again to the same request.
#[derive(Clone, Debug)]
pub(crate) struct CreatedLink {
    pub(crate) id: String,
    pub(crate) version: u64,
    /// The link as JSON.
    pub(crate) body: Vec<u8>,
    /// Whether the request was answered before.
    pub(crate) is_replayed: bool,
}

impl App {
    /// Makes a link.
    pub(crate) async fn create_link(
        &self,
        caller: &Caller,
        body: Map<String, Value>,
        request: &Repeatable,
    ) -> Result<CreatedLink, Problem> {
        let input = NewLinkInput::parse(body).map_err(Problem::of_fields)?;
        let domain =
            self.domain_of(caller, input.domain.as_deref()).await.map_err(|error| Problem::of_fields(vec![error]))?;
        let mut new = self.new_link(caller, input, &domain).map_err(Problem::of_fields)?;
        self.hash_password(&mut new).await?;
        let (created, sequence) = match request.has_key() {
            true => self.create_once(caller, &new.link, request).await?,
            false => self.create_queued(caller, new.link, &domain).await?,
        };
        self.wait_for_edge(sequence).await?;
        Ok(created)
    }

    /// Makes a link in one transaction with those that others ask for at the same time.
    async fn create_queued(
        &self,
        caller: &Caller,
        new: NewLink<'static>,
        domain: &Domain,
    ) -> Result<(CreatedLink, u64), Problem> {
        let (record, created_at) = (new.record.clone(), new.created_at);
        let mut made = self.create_queue.create(vec![new], caller.changed_by.clone()).await?;
        match made.outcomes.pop() {
            Some(CreateOutcome::Created { link_id, slug, version }) => {
                let link = Link {
                    link_id,
                    account_id: caller.account_id.clone(),
                    domain_id: domain.domain_id.clone(),
                    host: domain.host.as_str().to_owned(),
                    slug,
                    version,
                    created_at: created_at.unwrap_or(made.at),
                    updated_at: made.at,
                    record,
                };
                Ok((self.created(&link), made.sequence))
            }
            Some(outcome) => Err(outcome_problem(&outcome)),
            None => Err(Problem::internal("making a link", &"its outcome is missing")),
        }
    }

    fn created(&self, link: &Link) -> CreatedLink {
        let body = serde_json::to_vec(&self.view_written(link)).unwrap_or_default();
        CreatedLink { id: link.link_id.as_str().to_owned(), version: link.version, body, is_replayed: false }
    }

    /// Makes a link unless this request was done before: then its answer is given again.
    async fn create_once(
        &self,
        caller: &Caller,
        new: &NewLink<'_>,
        request: &Repeatable,
    ) -> Result<(CreatedLink, u64), Problem> {
        let mut tx = self.store.begin("create_link_once").await?;
        let created = self.create_within(&mut tx, caller, new, request).await?;
        let sequence = tx.outbox_last().await?;
        tx.commit().await?;
        Ok((created, sequence))
    }

    async fn create_within(
        &self,
        tx: &mut Tx,
        caller: &Caller,
        new: &NewLink<'_>,
        request: &Repeatable,
    ) -> Result<CreatedLink, Problem> {
        if let Some(answer) = request.answered(tx).await? {
            return replayed(answer.body)
                .ok_or_else(|| Problem::internal("reading a remembered answer", &"it is no link"));
        }
        let created = self.created(&tx.create_link(new, Some(&caller.changed_by)).await?);
        request.remember(tx, StatusCode::CREATED, &created.body).await?;
        Ok(created)
    }

    /// The caller's link with this id.
    pub(crate) async fn get_link(&self, caller: &Caller, id: &str) -> Result<Link, Problem> {
        let link_id = parse_link_id(id)?;
        let mut tx = self.store.read("get_link").await?;
        tx.get_link(&caller.account_id, &link_id).await?.ok_or_else(|| Problem::not_found("link"))
    }

    /// Applies a merge patch. A patch that changes nothing makes no version.
    pub(crate) async fn update_link(
        &self,
        caller: &Caller,
        id: &str,
        precondition: &Precondition,
        body: Map<String, Value>,
    ) -> Result<Link, Problem> {
        let link_id = parse_link_id(id)?;
        let patch = LinkPatch::parse(body)?;
        // Hashed before the transaction, which holds up all other writers.
        let password_hash = match &patch.password {
            PasswordChange::Set(password) => {
                Some(self.passwords.hash(password.clone()).await.map_err(|error| hash_problem(&error))?)
            }
            PasswordChange::Keep | PasswordChange::Clear => None,
        };
        let mut tx = self.store.begin("update_link").await?;
        let link = find_link(&mut tx, caller, &link_id, precondition).await?;
        let record = self.patched(&link, &patch, password_hash.as_deref()).map_err(Problem::of_fields)?;
        if record == own_record(&link) {
            return Ok(link);
        }
        let change = LinkChange {
            account_id: &caller.account_id,
            link_id: &link_id,
            expected_version: Some(link.version),
            record: &record,
            changed_by: Some(&caller.changed_by),
        };
        let link = tx.update_link(&change).await?;
        let sequence = tx.outbox_last().await?;
        tx.commit().await?;
        self.wait_for_edge(sequence).await?;
        Ok(link)
    }

    /// Deletes a link; its slug is free from then on.
    pub(crate) async fn delete_link(
        &self,
        caller: &Caller,
        id: &str,
        precondition: &Precondition,
    ) -> Result<(), Problem> {
        let link_id = parse_link_id(id)?;
        let mut tx = self.store.begin("delete_link").await?;
        find_link(&mut tx, caller, &link_id, precondition).await?;
        tx.delete_link(&caller.account_id, &link_id, None, Some(&caller.changed_by)).await?;
        let sequence = tx.outbox_last().await?;
        tx.commit().await?;
        self.wait_for_edge(sequence).await
    }

    /// The newest versions of a link, deleted or not, before this one where given.
    pub(crate) async fn link_versions(
        &self,
        caller: &Caller,
        id: &str,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<LinkVersion>, Problem> {
        let link_id = parse_link_id(id)?;
        let mut tx = self.store.read("link_versions").await?;
        let versions = tx.link_versions(&caller.account_id, &link_id, before, limit).await?;
        if versions.is_empty() && before.is_none() {
            return Err(Problem::not_found("link"));
        }
        Ok(versions)
    }

    pub(crate) fn view<'a>(&self, link: &'a Link) -> LinkView<'a> {
        LinkView::new(link, self.short_url(&link.host, &link.slug))
    }

    /// A link as it is shown to whoever has just written it.
    pub(crate) fn view_written<'a>(&self, link: &'a Link) -> LinkView<'a> {
        self.view(link).with_warnings(warnings_of(&link.record, wall_clock_now()))
    }

    /// The domain a link was asked to live on.
    pub(crate) async fn domain_of(&self, caller: &Caller, host: Option<&str>) -> Result<Domain, FieldError> {
        let unknown = |detail| FieldError { field: "domain".to_owned(), code: ProblemCode::DomainUnknown, detail };
        let host = host.map(Hostname::parse).transpose().map_err(|error| unknown(error.to_string()))?;
        let domain = self.domain_for(&caller.account_id, host.as_ref()).await;
        domain.ok_or_else(|| unknown("there is no such domain for links of this account".to_owned()))
    }

    /// Checks a new link. Its password is hashed by [`App::hash_password`].
    pub(crate) fn new_link(
        &self,
        caller: &Caller,
        input: NewLinkInput,
        domain: &Domain,
    ) -> Result<CheckedLink, Vec<FieldError>> {
        let mut record = input.record;
        let own_hosts = self.own_hosts();
        let rules = Rules { schemes: self.schemes(), own_hosts: &own_hosts, refuse_addresses: false };
        let mut errors = check_record(&mut record, &rules);
        errors.extend(check_rule_ids(&record, None));
        errors.extend(input.slug.as_ref().and_then(|slug| self.check_first_segment(slug, domain)));
        if !errors.is_empty() {
            return Err(errors);
        }
        let link = NewLink {
            account_id: caller.account_id.clone(),
            domain_id: domain.domain_id.clone(),
            slug: input.slug.map_or(SlugChoice::Generated(&generate_slug), SlugChoice::Chosen),
            record,
            dedupe_key: None,
            created_at: input.created_at,
        };
        Ok(CheckedLink { link, password: input.password })
    }

    /// Refuses a slug of the default domain that begins with the host of a domain. Cloudflare's edge keeps links of the
    /// default domain under their slugs and others under host and slug, so it would serve the other domain's link.
    fn check_first_segment(&self, slug: &Slug, domain: &Domain) -> Option<FieldError> {
        let (first, _) = slug.as_str().split_once('/').filter(|_| domain.is_default)?;
        let domains = self.sync.domains();
        let others = domains.iter().filter(|domain| !domain.is_default).map(|domain| domain.host.as_str());
        let host = others.into_iter().find(|host| host.eq_ignore_ascii_case(first))?;
        let detail = format!(
            "a slug of the default domain cannot begin with {host}/, because {host} is a domain of this instance and \
             edges would take the rest for a slug of that domain"
        );
        Some(FieldError { field: "slug".to_owned(), code: ProblemCode::SlugReserved, detail })
    }

    pub(crate) async fn hash_password(&self, new: &mut CheckedLink) -> Result<(), Problem> {
        if let Some(password) = new.password.take() {
            new.link.record.password_hash =
                Some(self.passwords.hash(password).await.map_err(|error| hash_problem(&error))?);
        }
        Ok(())
    }

    pub(crate) fn patched(
        &self,
        link: &Link,
        patch: &LinkPatch,
        password_hash: Option<&str>,
    ) -> Result<LinkRecord, Vec<FieldError>> {
        let mut record = patch.apply(&link.record, &self.view(link).to_json())?;
        match patch.password {
            PasswordChange::Keep => {}
            PasswordChange::Clear => record.password_hash = None,
            PasswordChange::Set(_) => record.password_hash = password_hash.map(str::to_owned),
        }
        let own_hosts = self.own_hosts();
        let rules = Rules { schemes: self.schemes(), own_hosts: &own_hosts, refuse_addresses: false };
        let mut errors = check_record(&mut record, &rules);
        errors.extend(check_rule_ids(&record, Some(&link.record)));
        if errors.is_empty() { Ok(record) } else { Err(errors) }
    }
}

/// A link that may be made, but for a password that is not hashed yet.
pub(crate) struct CheckedLink {
    pub(crate) link: NewLink<'static>,
    password: Option<String>,
}

impl CheckedLink {
    /// Whether a password is still to be hashed.
    pub(crate) const fn has_password(&self) -> bool {
        self.password.is_some()
    }
}

/// Why a link was not made.
pub(crate) fn outcome_problem(outcome: &CreateOutcome) -> Problem {
    match outcome {
        CreateOutcome::SlugTaken { slug } | CreateOutcome::Existing { slug, .. } => {
            Problem::new(ProblemCode::SlugTaken, format!("the slug {} is taken", Quoted(slug)))
        }
        CreateOutcome::SlugTooLong => Problem::new(ProblemCode::SlugInvalid, "host and slug together are too long"),
        CreateOutcome::DomainNotFound => {
            Problem::new(ProblemCode::DomainUnknown, "there is no such domain for links of this account")
        }
        CreateOutcome::Created { .. } => Problem::internal("making a link", &"it was made"),
    }
}

/// A slug from the system's secure generator.
pub(crate) fn generate_slug() -> Slug {
    loop {
        let mut random = [0; 32];
        getrandom::fill(&mut random).expect("the system has a working source of randomness");
        if let Some(slug) = Slug::generate(&random) {
            return slug;
        }
    }
}

/// An id that is none of ours names nothing.
pub(crate) fn parse_link_id(id: &str) -> Result<LinkId, Problem> {
    id.parse().map_err(|_| Problem::not_found("link"))
}

async fn find_link(
    tx: &mut ReadTx,
    caller: &Caller,
    link_id: &LinkId,
    precondition: &Precondition,
) -> Result<Link, Problem> {
    let found = tx.get_link(&caller.account_id, link_id).await?;
    let link = found.ok_or_else(|| Problem::not_found("link"))?;
    precondition.check(link.version)?;
    Ok(link)
}

/// A link's record without what names the link, as patches see it.
pub(crate) fn own_record(link: &Link) -> LinkRecord {
    LinkRecord {
        link_id: None,
        account_id: None,
        version: 0,
        slug: None,
        domain: None,
        created_at: None,
        updated_at: None,
        ..link.record.clone()
    }
}

fn replayed(body: Vec<u8>) -> Option<CreatedLink> {
    let link: Value = serde_json::from_slice(&body).ok()?;
    let (id, version) = (link.get("id")?.as_str()?.to_owned(), link.get("version")?.as_u64()?);
    Some(CreatedLink { id, version, body, is_replayed: true })
}

pub(crate) fn hash_problem(error: &PasswordError) -> Problem {
    match error {
        PasswordError::Busy => Problem::rate_limited(1),
        PasswordError::Failed(_) => Problem::internal("hashing a password", error),
    }
}
