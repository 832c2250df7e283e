//! Asking where a visit would go, with the core's own decision and its trace.

use serde_json::{Map, Value};
use waypost_core::LinkRecord;
use waypost_core::lenient::Skipped;
use waypost_core::quoted::Unescaped;
use waypost_core::wire::{VisitFacts, decide_record};
use waypost_store::OutboxEntry;

use crate::app::App;
use crate::caller::Caller;
use crate::link_times::{normalise, normalise_times};
use crate::problem::{FieldError, Problem, ProblemCode};
use crate::request::{invalid, refuse_rest};

/// A visit to decide for.
#[derive(Debug)]
pub(crate) struct DecideInput {
    visit: VisitFacts,
    trace: bool,
}

/// A visit to decide for, and the record it meets.
#[derive(Debug)]
pub(crate) struct RecordDecideInput {
    record: LinkRecord,
    /// What was passed over when it was read.
    skipped: Vec<Skipped>,
    input: DecideInput,
}

impl DecideInput {
    pub(crate) fn parse(mut object: Map<String, Value>) -> Result<Self, Problem> {
        let mut errors = Vec::new();
        let input = Self::take(&mut object, &mut errors);
        refuse_rest(&object, &mut errors);
        input.filter(|_| errors.is_empty()).ok_or_else(|| Problem::of_fields(errors))
    }

    /// `now` is this moment where the visit does not say.
    fn take(object: &mut Map<String, Value>, errors: &mut Vec<FieldError>) -> Option<Self> {
        let trace = match object.remove("trace") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(trace)) => trace,
            Some(_) => {
                errors.push(invalid("trace", "true or false"));
                false
            }
        };
        let mut visit = object.remove("visit").unwrap_or_else(|| Value::Object(Map::new()));
        if let Value::Object(visit) = &mut visit {
            let now = visit.entry("now").or_insert(Value::Null);
            if now.is_null() {
                *now = Value::String(waypost_jobs::now().to_string());
            }
            normalise(visit, "now", "visit.now", errors);
        }
        match serde_json::from_value(visit) {
            Ok(visit) => Some(Self { visit, trace }),
            Err(error) => {
                if errors.is_empty() {
                    let error = error.to_string();
                    errors.push(invalid("visit", &format!("the facts of a visit: {}", Unescaped(&error))));
                }
                None
            }
        }
    }
}

impl RecordDecideInput {
    pub(crate) fn parse(mut object: Map<String, Value>) -> Result<Self, Problem> {
        let mut errors = Vec::new();
        let record = object.remove("record").ok_or_else(|| "it is missing".to_owned()).and_then(|mut record| {
            if let Value::Object(record) = &mut record {
                errors.extend(normalise_times(record));
            }
            let is_record = matches!(record, Value::Object(_) | Value::String(_));
            let bytes = serde_json::to_vec(&record).unwrap_or_default();
            let read = LinkRecord::read_value(&bytes).map_err(|error| Unescaped(&error.to_string()).to_string());
            if is_record { read } else { Err("it is neither".to_owned()) }
        });
        if let Err(error) = &record {
            errors.push(invalid("record", &format!("a link record, or a bare URL as a text ({error})")));
        }
        let input = DecideInput::take(&mut object, &mut errors);
        refuse_rest(&object, &mut errors);
        match (record, input) {
            (Ok((record, skipped)), Some(input)) if errors.is_empty() => Ok(Self { record, skipped, input }),
            _ => Err(Problem::of_fields(errors)),
        }
    }
}

impl App {
    /// What the caller's link answers to a visit, as JSON.
    pub(crate) async fn decide_link(&self, caller: &Caller, id: &str, input: DecideInput) -> Result<String, Problem> {
        let link = self.get_link(caller, id).await?;
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
        self.decide_record(&RecordDecideInput { record, skipped: Vec::new(), input })
    }

    /// What a record answers to a visit, as JSON.
    pub(crate) fn decide_record(&self, input: &RecordDecideInput) -> Result<String, Problem> {
        let visit = input.input.visit.as_visit();
        let record = (&input.record, input.skipped.as_slice());
        let decision = decide_record(record, &visit, self.schemes(), input.input.trace);
        decision.map_err(|error| {
            Problem::of_fields(vec![FieldError {
                field: "record".to_owned(),
                code: ProblemCode::InvalidField,
                detail: error,
            }])
        })
    }
}
