//! Use cases of single links. Bulk requests are in `bulk.rs`, lists in `list.rs`.
//!
//! Each change is one transaction of the store, and is answered when the edge has it.

pub(crate) mod anonymous;
mod bulk;
pub(crate) mod check;
mod conditions;
pub(crate) mod create_queue;
mod decide;
mod existing;
mod lint;
mod list;
pub(crate) mod own_hosts;
pub(crate) mod preview;
pub(crate) mod qr;

use waypost_api::link::{self as api, CreateLink, ListVersions, PasswordChange, UpdateLink, VersionPage};
use waypost_api::{FieldError, ProblemCode};
use waypost_core::id::LinkId;
use waypost_core::{Hostname, LinkRecord, Quoted, Slug};
use waypost_store::{CreateOutcome, Domain, Link, LinkChange, LinkVersion, NewLink, ReadTx, SlugChoice, Tx};

use crate::access::author::Changed;
use crate::access::caller::Caller;
use crate::access::operation::Operation;
use crate::app::App;
use crate::idempotency::{Done, Repeatable};
use crate::links::check::{Rules, check_record, check_rule_ids};
use crate::links::lint::warnings_of;
use crate::problem::Problem;
use crate::unlocking::password::PasswordError;

/// What a change demands of the version that it meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Any version will do.
    None,
    /// One of these.
    OneOf(Vec<u64>),
}

impl Precondition {
    fn check(&self, version: u64) -> Result<(), Problem> {
        match self {
            Self::OneOf(versions) if !versions.contains(&version) => {
                Err(Problem::new(ProblemCode::StaleVersion, format!("the link is now at version {version}")))
            }
            Self::OneOf(_) | Self::None => Ok(()),
        }
    }
}

impl App {
    /// Makes a link.
    ///
    /// # Errors
    /// Every field that is at fault; where the slug is taken, or the database fails.
    pub async fn create_link(
        &self,
        caller: &Caller,
        asked: CreateLink,
        request: &Repeatable,
    ) -> Result<Done<api::Link>, Problem> {
        caller.may(Operation::CreateLink)?;
        let domain =
            self.domain_of(caller, asked.domain.as_deref()).await.map_err(|error| Problem::of_fields(vec![error]))?;
        let mut new = self.new_link(caller, asked, &domain).map_err(Problem::of_fields)?;
        self.hash_password(&mut new).await?;
        let (done, sequence) = match request.has_key() {
            true => self.create_once(caller, &new.link, request).await?,
            false => self.create_queued(caller, new.link, &domain).await?,
        };
        self.wait_for_edge(sequence).await?;
        Ok(done)
    }

    /// Makes a link in one transaction with those that others ask for at the same time.
    async fn create_queued(
        &self,
        caller: &Caller,
        new: NewLink<'static>,
        domain: &Domain,
    ) -> Result<(Done<api::Link>, u64), Problem> {
        let (record, created_at) = (new.record.clone(), new.created_at);
        let mut made = self.create_queue.create(vec![new], caller.author.clone()).await?;
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
                Ok((Done::now(self.show_written(link)), made.sequence))
            }
            Some(outcome) => Err(outcome_problem(&outcome)),
            None => Err(Problem::internal("creating a link", &"its outcome is missing")),
        }
    }

    /// Makes a link unless this request was done before: then its answer is given again.
    async fn create_once(
        &self,
        caller: &Caller,
        new: &NewLink<'_>,
        request: &Repeatable,
    ) -> Result<(Done<api::Link>, u64), Problem> {
        let mut tx = self.store.begin("create_link_once").await?;
        let done = self.create_within(&mut tx, caller, new, request).await?;
        let sequence = tx.outbox_last().await?;
        tx.commit().await?;
        Ok((done, sequence))
    }

    async fn create_within(
        &self,
        tx: &mut Tx,
        caller: &Caller,
        new: &NewLink<'_>,
        request: &Repeatable,
    ) -> Result<Done<api::Link>, Problem> {
        if let Some(before) = request.answered(tx).await? {
            return Ok(before);
        }
        let link = self.show_written(tx.create_link(new, Some(&caller.author.id)).await?);
        caller.record(tx, Operation::CreateLink, Changed::link(&link.id, link.version)).await?;
        request.remember(tx, &link).await?;
        Ok(Done::now(link))
    }

    /// The caller's link with this id.
    ///
    /// # Errors
    /// Where there is none, or the database fails.
    pub async fn get_link(&self, caller: &Caller, id: &str) -> Result<api::Link, Problem> {
        caller.may(Operation::ReadLinks)?;
        Ok(self.show(self.stored_link(caller, id).await?))
    }

    /// The caller's link with this id, as it is stored.
    pub(crate) async fn stored_link(&self, caller: &Caller, id: &str) -> Result<Link, Problem> {
        let link_id = parse_link_id(id)?;
        let mut tx = self.store.read("get_link").await?;
        find_link(&mut tx, caller, &link_id, &Precondition::None).await
    }

    /// Applies a merge patch. A patch that changes nothing makes no version.
    ///
    /// # Errors
    /// Every field that is at fault; where there is no such link, it has another version, or the database fails.
    pub async fn update_link(
        &self,
        caller: &Caller,
        id: &str,
        precondition: &Precondition,
        patch: UpdateLink,
    ) -> Result<api::Link, Problem> {
        caller.may(Operation::UpdateLink)?;
        Ok(self.show_written(self.update_stored(caller, id, precondition, &patch).await?))
    }

    /// As [`App::update_link`], giving the link as it is stored.
    pub(crate) async fn update_stored(
        &self,
        caller: &Caller,
        id: &str,
        precondition: &Precondition,
        patch: &UpdateLink,
    ) -> Result<Link, Problem> {
        let link_id = parse_link_id(id)?;
        // Hashed before the transaction, which holds up all other writers.
        let password_hash = match &patch.password {
            PasswordChange::Set(password) => {
                Some(self.passwords.hash(password.clone()).await.map_err(|error| hash_problem(&error))?)
            }
            PasswordChange::Keep | PasswordChange::Clear => None,
        };
        let mut tx = self.store.begin("update_link").await?;
        let link = find_link(&mut tx, caller, &link_id, precondition).await?;
        let record = self.patched(&link, patch, password_hash.as_deref()).map_err(Problem::of_fields)?;
        if record == own_record(&link) {
            return Ok(link);
        }
        let change = LinkChange {
            account_id: &caller.account_id,
            link_id: &link_id,
            expected_version: Some(link.version),
            record: &record,
            changed_by: Some(&caller.author.id),
        };
        let link = tx.update_link(&change).await?;
        caller.record(&mut tx, Operation::UpdateLink, Changed::link(&link_id, link.version)).await?;
        let sequence = tx.outbox_last().await?;
        tx.commit().await?;
        self.wait_for_edge(sequence).await?;
        Ok(link)
    }

    /// Deletes a link; its slug is free from then on.
    ///
    /// # Errors
    /// Where there is no such link, it has another version, or the database fails.
    pub async fn delete_link(&self, caller: &Caller, id: &str, precondition: &Precondition) -> Result<(), Problem> {
        caller.may(Operation::DeleteLink)?;
        let link_id = parse_link_id(id)?;
        let mut tx = self.store.begin("delete_link").await?;
        let link = find_link(&mut tx, caller, &link_id, precondition).await?;
        tx.delete_link(&caller.account_id, &link_id, None, Some(&caller.author.id)).await?;
        caller.record(&mut tx, Operation::DeleteLink, Changed::link(&link_id, link.version + 1)).await?;
        let sequence = tx.outbox_last().await?;
        tx.commit().await?;
        self.wait_for_edge(sequence).await
    }

    /// The versions of a link, deleted or not, the newest first.
    ///
    /// # Errors
    /// Where there is no such link, or the database fails.
    pub async fn list_versions(&self, caller: &Caller, id: &str, asked: ListVersions) -> Result<VersionPage, Problem> {
        caller.may(Operation::ReadLinks)?;
        let ListVersions { before, limit } = asked;
        let link_id = self.known_link_id(caller, id).await?;
        let mut tx = self.store.read("link_versions").await?;
        let versions = tx.link_versions(&caller.account_id, &link_id, before, limit).await?;
        let is_full = versions.len() == limit as usize;
        let next_before = versions.last().map(|last| last.version).filter(|version| is_full && *version > 1);
        let show = |version: LinkVersion| api::LinkVersion {
            version: version.version,
            changed_at: version.changed_at,
            changed_by: version.changed_by,
            link: version.record.map(Into::into),
        };
        Ok(VersionPage { versions: versions.into_iter().map(show).collect(), next_before })
    }

    /// A link as the API shows it.
    pub(crate) fn show(&self, link: Link) -> api::Link {
        api::Link {
            short_url: self.short_url(&link.host, &link.slug),
            id: link.link_id,
            account_id: link.account_id,
            domain: link.host,
            slug: link.slug,
            version: link.version,
            fields: link.record.into(),
            created_at: link.created_at,
            updated_at: link.updated_at,
            warnings: Vec::new(),
        }
    }

    /// A link as it is shown to whoever has just written it.
    fn show_written(&self, link: Link) -> api::Link {
        let warnings = warnings_of(&link.record, waypost_jobs::now());
        api::Link { warnings, ..self.show(link) }
    }

    /// The domain a link was asked to live on.
    pub(crate) async fn domain_of(&self, caller: &Caller, host: Option<&str>) -> Result<Domain, FieldError> {
        let unknown = |detail| FieldError { field: "domain".to_owned(), code: ProblemCode::DomainUnknown, detail };
        let host = host.map(Hostname::parse).transpose().map_err(|error| unknown(error.to_string()))?;
        let domain = self.domain_for(&caller.account_id, host.as_ref()).await;
        if domain.as_ref().is_some_and(|domain| !caller.reaches_domain(&domain.domain_id)) {
            return Err(unknown("this API key is limited to other domains: name one of these".to_owned()));
        }
        let named = || host.as_ref().map_or("without a name", Hostname::as_str);
        domain.ok_or_else(|| unknown(format!("there is no domain {} for links of this account", named())))
    }

    /// Checks a new link. Its password is hashed by [`App::hash_password`].
    pub(crate) fn new_link(
        &self,
        caller: &Caller,
        asked: CreateLink,
        domain: &Domain,
    ) -> Result<CheckedLink, Vec<FieldError>> {
        let mut record = asked.record;
        let own_hosts = self.own_hosts();
        let rules = Rules { schemes: self.schemes(), own_hosts: &own_hosts, refuse_addresses: false };
        let mut errors = check_record(&mut record, &rules);
        errors.extend(check_rule_ids(&record, None));
        errors.extend(asked.slug.as_ref().and_then(|slug| self.check_first_segment(slug, domain)));
        if !errors.is_empty() {
            return Err(errors);
        }
        let link = NewLink {
            account_id: caller.account_id.clone(),
            domain_id: domain.domain_id.clone(),
            slug: asked.slug.map_or(SlugChoice::Generated(&generate_slug), SlugChoice::Chosen),
            record,
            dedupe_key: None,
            created_at: asked.created_at,
        };
        Ok(CheckedLink { link, password: asked.password })
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
        patch: &UpdateLink,
        password_hash: Option<&str>,
    ) -> Result<LinkRecord, Vec<FieldError>> {
        let mut record = patch.apply(&link.record, &self.show(link.clone()))?;
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
        CreateOutcome::Created { .. } => Problem::internal("creating a link", &"it was created"),
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

pub(crate) async fn find_link(
    tx: &mut ReadTx,
    caller: &Caller,
    link_id: &LinkId,
    precondition: &Precondition,
) -> Result<Link, Problem> {
    let found = tx.get_link(&caller.account_id, link_id).await?;
    let link = found.filter(|link| caller.reaches_domain(&link.domain_id)).ok_or_else(|| Problem::not_found("link"))?;
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

pub(crate) fn hash_problem(error: &PasswordError) -> Problem {
    match error {
        PasswordError::Busy => Problem::rate_limited(1),
        PasswordError::Failed(_) => Problem::internal("hashing a password", error),
    }
}
