//! Making many links in one request, each with an outcome of its own. Imports use it.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Value};
use waypost_core::id::{DomainId, LinkId};
use waypost_store::{CreateOutcome, Domain, LINKS_PER_CALL_MAX, NewLink};

use crate::app::App;
use crate::caller::Caller;
use crate::link_input::NewLinkInput;
use crate::links::{CheckedLink, outcome_problem};
use crate::problem::{FieldError, Problem, ProblemCode};
use crate::request::{invalid, refuse_rest};

/// What was asked for.
#[derive(Debug)]
pub(crate) struct BulkInput {
    links: Vec<Value>,
    /// Whether to undo it all at the end.
    dry_run: bool,
}

impl BulkInput {
    pub(crate) fn parse(mut object: Map<String, Value>) -> Result<Self, Problem> {
        let mut errors = Vec::new();
        let links = match object.remove("links") {
            Some(Value::Array(links)) if links.len() <= LINKS_PER_CALL_MAX => links,
            Some(_) | None => {
                errors.push(invalid("links", &format!("a list of at most {LINKS_PER_CALL_MAX} links")));
                Vec::new()
            }
        };
        let dry_run = match object.remove("dry_run") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(dry_run)) => dry_run,
            Some(_) => {
                errors.push(invalid("dry_run", "true or false"));
                false
            }
        };
        refuse_rest(&object, &mut errors);
        if errors.is_empty() { Ok(Self { links, dry_run }) } else { Err(Problem::of_fields(errors)) }
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
    pub(crate) async fn create_links(&self, caller: &Caller, input: BulkInput) -> Result<BulkResults, Problem> {
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
        let mut outcomes = self.store_links(caller, new_links, input.dry_run).await?.into_iter();
        let hosts: HashMap<&DomainId, &str> =
            domains.values().flatten().map(|domain| (&domain.domain_id, domain.host.as_str())).collect();
        let results = checked.iter().map(|item| match item {
            Err(problem) => refused(problem),
            Ok(domain_id) => match outcomes.next() {
                Some(outcome) => self.result(outcome, hosts.get(domain_id).copied().unwrap_or_default()),
                None => refused(&Problem::internal("making links", &"an outcome is missing")),
            },
        });
        let results: Vec<_> = results.collect();
        let created = results.iter().filter(|result| matches!(result, BulkResult::Created { .. })).count();
        let refused = results.len() - created;
        Ok(BulkResults { created, dry_run: input.dry_run, refused, results })
    }

    async fn store_links(
        &self,
        caller: &Caller,
        new_links: Vec<NewLink<'static>>,
        dry_run: bool,
    ) -> Result<Vec<CreateOutcome>, Problem> {
        if dry_run {
            // Dropping the transaction undoes it.
            let mut tx = self.store.begin("create_links_dry_run").await?;
            return Ok(tx.create_links(&new_links, Some(&caller.changed_by)).await?);
        }
        let made = self.create_queue.create(new_links, caller.changed_by.clone()).await?;
        self.wait_for_edge(made.sequence).await?;
        Ok(made.outcomes)
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

fn parse_item(item: Value) -> Result<NewLinkInput, Problem> {
    match item {
        Value::Object(object) => NewLinkInput::parse(object).map_err(Problem::of_fields),
        _ => Err(Problem::of_fields(vec![invalid("", "an object")])),
    }
}

fn refused(problem: &Problem) -> BulkResult {
    BulkResult::Refused { problem: problem.to_json(), status: problem.code().status() }
}
