//! Creating many links in one request, each with its own outcome. Imports use it.

use std::collections::HashMap;

use waypost_api::FieldError;
use waypost_api::link::{
    BulkItem, BulkResult, BulkResults, CreateLink, CreateLinks, ExistingOutcome, IfExists, LinkResult,
};
use waypost_core::id::DomainId;
use waypost_store::{CreateOutcome, Domain, Link, NewLink, ReadTx};

use crate::access::author::created_links;
use crate::access::caller::Caller;
use crate::access::operation::Operation;
use crate::app::App;
use crate::idempotency::{Done, Repeatable};
use crate::links::existing::{Wanted, find_existing};
use crate::links::lint::warnings_of;
use crate::links::{CheckedLink, outcome_problem};
use crate::problem::Problem;

const _: () = assert!(waypost_api::link::LINKS_PER_CALL_MAX == waypost_store::LINKS_PER_CALL_MAX);

/// An item that may be made, on its way.
struct Checked<'b> {
    domain_id: DomainId,
    warnings: Vec<String>,
    /// `None` where a link that is there is an error.
    wanted: Option<Wanted<'b>>,
}

/// In what way a request is to be done.
#[derive(Clone, Copy)]
struct How {
    dry_run: bool,
    if_exists: IfExists,
}

impl App {
    /// Makes the links that can be made and says of each what became of it, in one transaction. A dry run does the
    /// same and undoes it, so that it sees taken slugs too.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn create_links(
        &self,
        caller: &Caller,
        asked: CreateLinks<'_>,
        request: &Repeatable,
    ) -> Result<Done<BulkResults>, Problem> {
        caller.may(Operation::CreateLink)?;
        let CreateLinks { links, dry_run, if_exists } = asked;
        let parsed: Vec<_> = links.into_iter().map(parse_item).collect();
        let domains = self.domains_of(caller, &parsed).await;
        let now = waypost_jobs::now();
        let (mut checked, mut new_links) = (Vec::with_capacity(parsed.len()), Vec::with_capacity(parsed.len()));
        for item in parsed {
            let new = item.and_then(|(link, item)| Ok((self.check_item(caller, link, &domains)?, item)));
            checked.push(match new {
                Ok((mut new, item)) => {
                    let wanted = (if_exists != IfExists::Error).then(|| Wanted::prepare(&mut new, item));
                    self.hash_password(&mut new).await?;
                    let (domain_id, warnings) = (new.link.domain_id.clone(), warnings_of(&new.link.record, now));
                    new_links.push(new.link);
                    Ok(Checked { domain_id, warnings, wanted })
                }
                Err(problem) => Err(problem),
            });
        }
        let hosts: HashMap<&DomainId, &str> =
            domains.values().flatten().map(|domain| (&domain.domain_id, domain.host.as_str())).collect();
        let how = How { dry_run, if_exists };
        if request.has_key() && !dry_run && if_exists == IfExists::Error {
            return self.create_links_once(caller, &new_links, request, (checked, &hosts)).await;
        }
        // A dry run changes nothing, and what meets links that are there changes nothing the second time.
        let work = async {
            let outcomes = self.store_links(caller, new_links, &checked, how).await?;
            Ok(self.settle(caller, checked, outcomes, (&hosts, how)).await)
        };
        self.answer_once(request, work).await
    }

    /// Makes links unless this request was done before: then its answer is given again.
    async fn create_links_once(
        &self,
        caller: &Caller,
        new_links: &[NewLink<'static>],
        request: &Repeatable,
        (checked, hosts): (Vec<Result<Checked<'_>, Problem>>, &HashMap<&DomainId, &str>),
    ) -> Result<Done<BulkResults>, Problem> {
        let mut tx = self.store.begin("create_links_once").await?;
        let done = match request.answered(&mut tx).await? {
            Some(before) => before,
            None => {
                let outcomes = tx.create_links(new_links, Some(&caller.author.id)).await?;
                if let Some(changed) = created_links(&outcomes) {
                    caller.record(&mut tx, Operation::CreateLink, changed).await?;
                }
                let outcomes = outcomes.into_iter().map(|outcome| (outcome, None)).collect();
                let how = How { dry_run: false, if_exists: IfExists::Error };
                let results = self.settle(caller, checked, outcomes, (hosts, how)).await;
                request.remember(&mut tx, &results).await?;
                Done::now(results)
            }
        };
        let sequence = tx.outbox_last().await?;
        tx.commit().await?;
        self.wait_for_edge(sequence).await?;
        Ok(done)
    }

    /// What became of each link; and where it was there already and that is no error, that link.
    async fn store_links(
        &self,
        caller: &Caller,
        new_links: Vec<NewLink<'static>>,
        checked: &[Result<Checked<'_>, Problem>],
        how: How,
    ) -> Result<Vec<(CreateOutcome, Option<Link>)>, Problem> {
        let domains = checked.iter().flatten().map(|item| &item.domain_id);
        let looks = how.if_exists != IfExists::Error;
        if how.dry_run {
            // Dropping the transaction undoes it.
            let mut tx = self.store.begin("create_links_dry_run").await?;
            let outcomes = tx.create_links(&new_links, Some(&caller.author.id)).await?;
            return with_existing(&mut tx, caller, outcomes, domains, looks).await;
        }
        let made = self.create_queue.create(new_links, caller.author.clone()).await?;
        self.wait_for_edge(made.sequence).await?;
        let all_made = made.outcomes.iter().all(|outcome| matches!(outcome, CreateOutcome::Created { .. }));
        if all_made || !looks {
            return Ok(made.outcomes.into_iter().map(|outcome| (outcome, None)).collect());
        }
        let found = async {
            let mut tx = self.store.read("existing_links").await?;
            with_existing(&mut tx, caller, made.outcomes, domains, looks).await
        };
        found.await.map_err(Problem::after_change)
    }

    async fn settle(
        &self,
        caller: &Caller,
        checked: Vec<Result<Checked<'_>, Problem>>,
        outcomes: Vec<(CreateOutcome, Option<Link>)>,
        (hosts, how): (&HashMap<&DomainId, &str>, How),
    ) -> BulkResults {
        let mut outcomes = outcomes.into_iter();
        let mut results = Vec::with_capacity(checked.len());
        for item in checked {
            results.push(match item {
                Err(problem) => refused(&problem),
                Ok(item) => match outcomes.next() {
                    Some((_, Some(link))) => self.existing_result(caller, link, item, how).await,
                    Some((outcome, None)) => {
                        let host = hosts.get(&item.domain_id).copied().unwrap_or_default();
                        self.result(outcome, host, item.warnings)
                    }
                    None => refused(&Problem::internal("making links", &"an outcome is missing")),
                },
            });
        }
        BulkResults::new(results, how.dry_run)
    }

    async fn existing_result(&self, caller: &Caller, link: Link, item: Checked<'_>, how: How) -> BulkResult {
        let Some(wanted) = item.wanted else {
            return refused(&Problem::internal("making links", &"a link was looked for that nobody wanted"));
        };
        match self.settle_existing(caller, link, wanted, (how.if_exists, how.dry_run)).await {
            Ok((link, outcome)) => BulkResult::Link(LinkResult {
                short_url: self.short_url(&link.host, &link.slug),
                id: link.link_id,
                slug: link.slug,
                status: 200,
                version: link.version,
                outcome: Some(outcome),
                warnings: if outcome == ExistingOutcome::Updated { item.warnings } else { Vec::new() },
            }),
            Err(problem) => refused(&problem),
        }
    }

    /// The domains that the items name, by the name they use.
    async fn domains_of(
        &self,
        caller: &Caller,
        items: &[Result<(CreateLink, BulkItem<'_>), Problem>],
    ) -> HashMap<Option<String>, Result<Domain, FieldError>> {
        let mut domains = HashMap::new();
        for (link, _) in items.iter().flatten() {
            if !domains.contains_key(&link.domain) {
                let found = self.domain_of(caller, link.domain.as_deref()).await;
                domains.insert(link.domain.clone(), found);
            }
        }
        domains
    }

    fn check_item(
        &self,
        caller: &Caller,
        link: CreateLink,
        domains: &HashMap<Option<String>, Result<Domain, FieldError>>,
    ) -> Result<CheckedLink, Problem> {
        match domains.get(&link.domain) {
            Some(Ok(domain)) => self.new_link(caller, link, domain).map_err(Problem::of_fields),
            Some(Err(error)) => Err(Problem::of_fields(vec![error.clone()])),
            None => Err(Problem::internal("creating links", &"a domain was not looked up")),
        }
    }

    fn result(&self, outcome: CreateOutcome, host: &str, warnings: Vec<String>) -> BulkResult {
        match outcome {
            CreateOutcome::Created { link_id: id, slug, version } => {
                let short_url = self.short_url(host, &slug);
                BulkResult::Link(LinkResult { id, short_url, slug, status: 201, version, outcome: None, warnings })
            }
            outcome => refused(&outcome_problem(&outcome)),
        }
    }
}

/// The link of an item, and the item.
fn parse_item(item: BulkItem<'_>) -> Result<(CreateLink, BulkItem<'_>), Problem> {
    Ok((item.read()?, item))
}

async fn with_existing<'d>(
    tx: &mut ReadTx,
    caller: &Caller,
    outcomes: Vec<CreateOutcome>,
    domains: impl Iterator<Item = &'d DomainId>,
    looks: bool,
) -> Result<Vec<(CreateOutcome, Option<Link>)>, Problem> {
    let mut found = Vec::with_capacity(outcomes.len());
    for (outcome, domain_id) in outcomes.into_iter().zip(domains) {
        let existing = if looks { find_existing(tx, caller, domain_id, &outcome).await? } else { None };
        found.push((outcome, existing));
    }
    Ok(found)
}

fn refused(problem: &Problem) -> BulkResult {
    BulkResult::Refused { problem: problem.document(), status: problem.code().status() }
}
