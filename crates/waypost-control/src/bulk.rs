//! Making many links in one request, each with an outcome of its own. Imports use it.

use std::collections::HashMap;

use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use waypost_core::id::{DomainId, LinkId};
use waypost_store::{CreateOutcome, Domain, LINKS_PER_CALL_MAX, NewLink};

use crate::app::App;
use crate::bulk_parts::{BulkParts, Links};
use crate::caller::Caller;
use crate::idempotency::{Answer, Repeatable};
use crate::json_weight::json_weight;
use crate::link_input::NewLinkInput;
use crate::links::{CheckedLink, outcome_problem};
use crate::problem::{FieldError, Problem, ProblemCode};
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
        errors.extend(parts.strangers.into_iter().map(unknown));
        if errors.is_empty() { Ok(Self { links, dry_run }) } else { Err(Problem::of_fields(errors)) }
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
    refused: usize,
    /// One for each link, in their order.
    results: Vec<BulkResult>,
}

/// What became of one link.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum BulkResult {
    Created { id: LinkId, short_url: String, slug: String, status: u16, version: u64 },
    Refused { problem: Value, status: u16 },
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
        let parsed: Vec<_> = input.links.into_iter().map(parse_item).collect();
        let domains = self.domains_of(caller, &parsed).await;
        let (mut checked, mut new_links) = (Vec::with_capacity(parsed.len()), Vec::with_capacity(parsed.len()));
        for item in parsed {
            checked.push(match item.and_then(|input| self.check_item(caller, input, &domains)) {
                Ok(mut new) => {
                    self.hash_password(&mut new).await?;
                    let domain_id = new.link.domain_id.clone();
                    new_links.push(new.link);
                    Ok(domain_id)
                }
                Err(problem) => Err(problem),
            });
        }
        let hosts: HashMap<&DomainId, &str> =
            domains.values().flatten().map(|domain| (&domain.domain_id, domain.host.as_str())).collect();
        let results = |outcomes: Vec<CreateOutcome>| self.results(&checked, outcomes, &hosts, input.dry_run);
        if input.dry_run {
            let work = async { Ok(results(self.try_links(caller, &new_links).await?)) };
            return self.answer_once(request, work).await;
        }
        if request.has_key() {
            return self.create_links_once(caller, &new_links, request, results).await;
        }
        let made = self.create_queue.create(new_links, caller.changed_by.clone()).await?;
        self.wait_for_edge(made.sequence).await?;
        Ok(results(made.outcomes))
    }

    /// What would become of these links.
    async fn try_links(&self, caller: &Caller, new_links: &[NewLink<'static>]) -> Result<Vec<CreateOutcome>, Problem> {
        // Dropping the transaction undoes it.
        let mut tx = self.store.begin("create_links_dry_run").await?;
        Ok(tx.create_links(new_links, Some(&caller.changed_by)).await?)
    }

    /// Makes links unless this request was done before: then its answer is given again.
    async fn create_links_once(
        &self,
        caller: &Caller,
        new_links: &[NewLink<'static>],
        request: &Repeatable,
        results: impl FnOnce(Vec<CreateOutcome>) -> Answer,
    ) -> Result<Answer, Problem> {
        let mut tx = self.store.begin("create_links_once").await?;
        let answer = match request.answered(&mut tx).await? {
            Some(answer) => answer,
            None => {
                let answer = results(tx.create_links(new_links, Some(&caller.changed_by)).await?);
                request.remember(&mut tx, answer.status, &answer.body).await?;
                answer
            }
        };
        let sequence = tx.outbox_last().await?;
        tx.commit().await?;
        self.wait_for_edge(sequence).await?;
        Ok(answer)
    }

    fn results(
        &self,
        checked: &[Result<DomainId, Problem>],
        outcomes: Vec<CreateOutcome>,
        hosts: &HashMap<&DomainId, &str>,
        dry_run: bool,
    ) -> Answer {
        let mut outcomes = outcomes.into_iter();
        let results = checked.iter().map(|item| match item {
            Err(problem) => refused(problem),
            Ok(domain_id) => match outcomes.next() {
                Some(outcome) => self.result(outcome, hosts.get(domain_id).copied().unwrap_or_default()),
                None => refused(&Problem::internal("making links", &"an outcome is missing")),
            },
        });
        let results: Vec<_> = results.collect();
        let created = results.iter().filter(|result| matches!(result, BulkResult::Created { .. })).count();
        let results = BulkResults { created, dry_run, refused: results.len() - created, results };
        Answer::new(StatusCode::OK, serde_json::to_vec(&results).unwrap_or_default())
    }

    /// The domains that the items name, by the name they use.
    async fn domains_of(
        &self,
        caller: &Caller,
        items: &[Result<NewLinkInput, Problem>],
    ) -> HashMap<Option<String>, Option<Domain>> {
        let mut domains = HashMap::new();
        for input in items.iter().flatten() {
            if !domains.contains_key(&input.domain) {
                let found = self.domain_of(caller, input.domain.as_deref()).await.ok();
                domains.insert(input.domain.clone(), found);
            }
        }
        domains
    }

    fn check_item(
        &self,
        caller: &Caller,
        input: NewLinkInput,
        domains: &HashMap<Option<String>, Option<Domain>>,
    ) -> Result<CheckedLink, Problem> {
        let Some(Some(domain)) = domains.get(&input.domain) else {
            return Err(Problem::of_fields(vec![FieldError {
                field: "domain".to_owned(),
                code: ProblemCode::DomainUnknown,
                detail: "there is no such domain for links of this account".to_owned(),
            }]));
        };
        self.new_link(caller, input, domain).map_err(Problem::of_fields)
    }

    fn result(&self, outcome: CreateOutcome, host: &str) -> BulkResult {
        match outcome {
            CreateOutcome::Created { link_id: id, slug, version } => {
                BulkResult::Created { id, short_url: self.short_url(host, &slug), slug, status: 201, version }
            }
            outcome => refused(&outcome_problem(&outcome)),
        }
    }
}

fn parse_item(item: &RawValue) -> Result<NewLinkInput, Problem> {
    let text = item.get();
    if !text.starts_with('{') {
        return Err(Problem::of_fields(vec![invalid("", "an object")]));
    }
    weigh(text.as_bytes(), LINK_TREE_BYTES_MAX)?;
    NewLinkInput::parse(parse_object(text.as_bytes())?).map_err(Problem::of_fields)
}

fn refused(problem: &Problem) -> BulkResult {
    BulkResult::Refused { problem: problem.to_json(), status: problem.code().status() }
}
