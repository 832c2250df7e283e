//! Deciding a visit without redirecting it, with the core's own decision and its trace; and checking a link for oddities.

use serde_json::value::RawValue;
use waypost_api::decide::{DecideLink, DecideRecord};
use waypost_api::lint::Findings;
use waypost_api::{FieldError, ProblemCode};
use waypost_core::LinkRecord;
use waypost_core::wire::decide_record;
use waypost_store::OutboxEntry;

use crate::access::caller::Caller;
use crate::access::operation::Operation;
use crate::app::App;
use crate::links::lint::lint;
use crate::problem::Problem;

impl App {
    /// What the caller's link answers to a visit: the document that every edge would give.
    ///
    /// # Errors
    /// Where there is no such link, its record cannot be followed, or the database fails.
    pub async fn decide_link(&self, caller: &Caller, id: &str, input: DecideLink) -> Result<Box<RawValue>, Problem> {
        caller.may(Operation::Decide)?;
        let link = self.stored_link(caller, id).await?;
        // As edges have it: with the account's UTM templates.
        let entry = OutboxEntry {
            sequence: 0,
            link_id: link.link_id,
            domain_id: link.domain_id,
            slug: link.slug,
            version: link.version,
        };
        let records = self.store.read("decide_link").await?.edge_records(&[entry]).await?;
        let record = records.records.into_iter().find_map(|record| record.record).unwrap_or(link.record);
        self.decide_record(caller, &DecideRecord { record, skipped: Vec::new(), input })
    }

    /// What a record answers to a visit: the document that every edge would give.
    ///
    /// # Errors
    /// Where the record cannot be followed.
    pub fn decide_record(&self, caller: &Caller, input: &DecideRecord) -> Result<Box<RawValue>, Problem> {
        caller.may(Operation::Decide)?;
        let visit = input.input.visit.as_visit();
        let record = (&input.record, input.skipped.as_slice());
        let decision = decide_record(record, &visit, self.schemes(), input.input.trace);
        let decision = decision.map_err(|detail| {
            let (field, code) = ("record".to_owned(), ProblemCode::InvalidField);
            Problem::of_fields(vec![FieldError { field, code, detail }])
        })?;
        RawValue::from_string(decision).map_err(|error| Problem::internal("writing a decision", &error))
    }

    /// What is odd about the caller's link.
    ///
    /// # Errors
    /// Where there is no such link, or the database fails.
    pub async fn lint_link(&self, caller: &Caller, id: &str) -> Result<Findings, Problem> {
        caller.may(Operation::Lint)?;
        let record = self.stored_link(caller, id).await?.record;
        self.lint_record(caller, &record)
    }

    /// What is odd about a record.
    ///
    /// # Errors
    /// If the caller may not ask.
    pub fn lint_record(&self, caller: &Caller, record: &LinkRecord) -> Result<Findings, Problem> {
        caller.may(Operation::Lint)?;
        Ok(Findings { findings: lint(record, &self.own_hosts(), self.schemes(), waypost_jobs::now()) })
    }
}
