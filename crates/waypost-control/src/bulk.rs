//! Making many links in one request, each with an outcome of its own. Imports use it.

use std::collections::HashMap;

use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use waypost_core::id::{DomainId, LinkId};
use waypost_store::{CreateOutcome, Domain, LINKS_PER_CALL_MAX, Link, NewLink, ReadTx};

use crate::app::App;
use crate::bulk_existing::{ExistingOutcome, IfExists, Wanted, find_existing};
use crate::bulk_parts::{BulkParts, Links};
use crate::caller::Caller;
use crate::idempotency::{Answer, Repeatable};
use crate::json_weight::json_weight;
use crate::link_input::NewLinkInput;
use crate::link_warnings::warnings_of;
use crate::links::{CheckedLink, outcome_problem};
use crate::problem::{FieldError, Problem};
use crate::request::{invalid, parse_object, unknown, weigh};

/// The most that one link of a request may weigh as a tree, in bytes.
const LINK_TREE_BYTES_MAX: usize = 16 << 20;
/// How much more than its text a whole request takes while it is worked on, besides the tree of one link at a time.
const WORK_PER_BYTE: usize = 3;

/// What was asked for: the links as texts, so that no more than one of them is a tree at a time.
#[derive(Debug)]
pub(crate) struct BulkInput<'b> {
    links: Vec<&'b RawValue>,
    /// Whether to undo it all at the end.
    dry_run: bool,
    if_exists: IfExists,
}

impl<'b> BulkInput<'b> {
    /// Reads a body. Links are counted while they are read; nothing after the first that is too many is looked at.
    ///
    /// # Errors
    /// Where it is no JSON object, or its fields are none of ours.
    pub(crate) fn parse(body: &'b [u8]) -> Result<Self, Problem> {
        let parts = BulkParts::read(body)?;
        let mut errors = Vec::new();
        let wanted = || invalid("links", &format!("a list of at most {LINKS_PER_CALL_MAX} links"));
        let links = match parts.links {
            Links::Listed(links) => links,
            Links::Other => {
                errors.push(wanted());
                Vec::new()
            }
            // The rest was not read, so nothing else is known.
            Links::TooMany => return Err(Problem::of_fields(vec![wanted()])),
        };
        let dry_run = match parts.dry_run.map(RawValue::get) {
            None | Some("null" | "false") => false,
            Some("true") => true,
            Some(_) => {
                errors.push(invalid("dry_run", "true or false"));
                false
            }
        };
        let if_exists = match parts.if_exists.map(RawValue::get) {
            None | Some("null") => Some(IfExists::Error),
            Some(text) => IfExists::of_json(text),
        };
        if if_exists.is_none() {
            errors.push(invalid("if_exists", "error, skip or update"));
        }
        errors.extend(parts.strangers.into_iter().map(unknown));
        let if_exists = if_exists.unwrap_or_default();
        if errors.is_empty() { Ok(Self { links, dry_run, if_exists }) } else { Err(Problem::of_fields(errors)) }
    }

    /// What working on it takes, in bytes.
    pub(crate) fn work_bytes(&self) -> usize {
        let texts: usize = self.links.iter().map(|link| link.get().len()).sum();
        let tree = |link: &&RawValue| json_weight(link.get().as_bytes(), LINK_TREE_BYTES_MAX).unwrap_or(0);
        texts * WORK_PER_BYTE + self.links.iter().map(tree).max().unwrap_or(0)
    }
}

/// What became of it.
#[derive(Debug, Serialize)]
pub(crate) struct BulkResults {
    created: usize,
    dry_run: bool,
    /// Links that were there already, as they were asked for or not.
    existing: usize,
    refused: usize,
    /// One for each link, in their order.
    results: Vec<BulkResult>,
}

/// What became of one link.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum BulkResult {
    Created {
        id: LinkId,
        short_url: String,
        slug: String,
        status: u16,
        version: u64,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<String>,
    },
    Existing {
        id: LinkId,
        short_url: String,
        slug: String,
        status: u16,
        version: u64,
        outcome: ExistingOutcome,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<String>,
    },
    Refused {
        problem: Value,
        status: u16,
    },
}

impl BulkResults {
    fn new(results: Vec<BulkResult>, dry_run: bool) -> Self {
        let count = |wanted: fn(&BulkResult) -> bool| results.iter().filter(|result| wanted(result)).count();
        Self {
            created: count(|result| matches!(result, BulkResult::Created { .. })),
            dry_run,
            existing: count(|result| matches!(result, BulkResult::Existing { .. })),
            refused: count(|result| matches!(result, BulkResult::Refused { .. })),
            results,
        }
    }
}

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
    pub(crate) async fn create_links(
        &self,
        caller: &Caller,
        input: BulkInput<'_>,
        request: &Repeatable,
    ) -> Result<Answer, Problem> {
        let BulkInput { links, dry_run, if_exists } = input;
        let parsed: Vec<_> = links.into_iter().map(parse_item).collect();
        let domains = self.domains_of(caller, &parsed).await;
        let now = waypost_jobs::now();
        let (mut checked, mut new_links) = (Vec::with_capacity(parsed.len()), Vec::with_capacity(parsed.len()));
        for item in parsed {
            let new = item.and_then(|(input, text)| Ok((self.check_item(caller, input, &domains)?, text)));
            checked.push(match new {
                Ok((mut new, text)) => {
                    let wanted = (if_exists != IfExists::Error).then(|| Wanted::prepare(&mut new, text));
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
    ) -> Result<Answer, Problem> {
        let mut tx = self.store.begin("create_links_once").await?;
        let answer = match request.answered(&mut tx).await? {
            Some(answer) => answer,
            None => {
                let outcomes = tx.create_links(new_links, Some(&caller.changed_by)).await?;
                let outcomes = outcomes.into_iter().map(|outcome| (outcome, None)).collect();
                let how = How { dry_run: false, if_exists: IfExists::Error };
                let answer = self.settle(caller, checked, outcomes, (hosts, how)).await;
                request.remember(&mut tx, answer.status, &answer.body).await?;
                answer
            }
        };
        let sequence = tx.outbox_last().await?;
        tx.commit().await?;
        self.wait_for_edge(sequence).await?;
        Ok(answer)
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
            let outcomes = tx.create_links(&new_links, Some(&caller.changed_by)).await?;
            return with_existing(&mut tx, caller, outcomes, domains, looks).await;
        }
        let made = self.create_queue.create(new_links, caller.changed_by.clone()).await?;
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
    ) -> Answer {
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
        let results = BulkResults::new(results, how.dry_run);
        Answer::new(StatusCode::OK, serde_json::to_vec(&results).unwrap_or_default())
    }

    async fn existing_result(&self, caller: &Caller, link: Link, item: Checked<'_>, how: How) -> BulkResult {
        let Some(wanted) = item.wanted else {
            return refused(&Problem::internal("making links", &"a link was looked for that nobody wanted"));
        };
        match self.settle_existing(caller, link, wanted, (how.if_exists, how.dry_run)).await {
            Ok((link, outcome)) => BulkResult::Existing {
                short_url: self.short_url(&link.host, &link.slug),
                id: link.link_id,
                slug: link.slug,
                status: 200,
                version: link.version,
                outcome,
                warnings: if outcome == ExistingOutcome::Updated { item.warnings } else { Vec::new() },
            },
            Err(problem) => refused(&problem),
        }
    }

    /// The domains that the items name, by the name they use.
    async fn domains_of(
        &self,
        caller: &Caller,
        items: &[Result<(NewLinkInput, &RawValue), Problem>],
    ) -> HashMap<Option<String>, Result<Domain, FieldError>> {
        let mut domains = HashMap::new();
        for (input, _) in items.iter().flatten() {
            if !domains.contains_key(&input.domain) {
                let found = self.domain_of(caller, input.domain.as_deref()).await;
                domains.insert(input.domain.clone(), found);
            }
        }
        domains
    }

    fn check_item(
        &self,
        caller: &Caller,
        input: NewLinkInput,
        domains: &HashMap<Option<String>, Result<Domain, FieldError>>,
    ) -> Result<CheckedLink, Problem> {
        match domains.get(&input.domain) {
            Some(Ok(domain)) => self.new_link(caller, input, domain).map_err(Problem::of_fields),
            Some(Err(error)) => Err(Problem::of_fields(vec![error.clone()])),
            None => Err(Problem::internal("making links", &"a domain was not looked up")),
        }
    }

    fn result(&self, outcome: CreateOutcome, host: &str, warnings: Vec<String>) -> BulkResult {
        match outcome {
            CreateOutcome::Created { link_id: id, slug, version } => {
                BulkResult::Created { id, short_url: self.short_url(host, &slug), slug, status: 201, version, warnings }
            }
            outcome => refused(&outcome_problem(&outcome)),
        }
    }
}

/// The link of an item, and the item's text.
fn parse_item(item: &RawValue) -> Result<(NewLinkInput, &RawValue), Problem> {
    let text = item.get();
    if !text.starts_with('{') {
        return Err(Problem::of_fields(vec![invalid("", "an object")]));
    }
    weigh(text.as_bytes(), LINK_TREE_BYTES_MAX)?;
    Ok((NewLinkInput::parse(parse_object(text.as_bytes())?).map_err(Problem::of_fields)?, item))
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
    BulkResult::Refused { problem: problem.to_json(), status: problem.code().status() }
}
