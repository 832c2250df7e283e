//! A request to decide a visit. The response is that of `waypost_core::wire`, which every edge gives.

use serde_json::{Map, Value};
use waypost_core::lenient::Skipped;
use waypost_core::quoted::Unescaped;
use waypost_core::wire::VisitFacts;
use waypost_core::{LinkRecord, Timestamp};

use crate::link::{normalise, normalise_times};
use crate::problem::{FieldError, Invalid};
use crate::read::Fields;

/// A visit to decide for.
#[derive(Debug)]
pub struct DecideLink {
    /// What is known of it.
    pub visit: VisitFacts,
    /// Whether to say how the decision came about.
    pub trace: bool,
}

/// A visit to decide for, and the record it meets.
#[derive(Debug)]
pub struct DecideRecord {
    /// The record.
    pub record: LinkRecord,
    /// What was passed over when it was read.
    pub skipped: Vec<Skipped>,
    /// The visit.
    pub input: DecideLink,
}

impl DecideLink {
    /// Reads a request's body. `now` is this moment, where the visit does not say.
    ///
    /// # Errors
    /// Every field that is at fault.
    pub fn read(object: Map<String, Value>, now: Timestamp) -> Result<Self, Invalid> {
        let mut fields = Fields::of(object);
        let input = Self::take(&mut fields, now);
        fields.finish()?;
        input.ok_or_else(|| Invalid::of_fields(vec![FieldError::invalid("visit", "the facts of a visit")]))
    }

    fn take(fields: &mut Fields, this_moment: Timestamp) -> Option<Self> {
        let trace = fields.flag("trace").unwrap_or(false);
        let mut visit = fields.take("visit").unwrap_or_else(|| Value::Object(Map::new()));
        let mut errors = Vec::new();
        if let Value::Object(visit) = &mut visit {
            let now = visit.entry("now").or_insert(Value::Null);
            if now.is_null() {
                *now = Value::String(this_moment.to_string());
            }
            normalise(visit, "now", "visit.now", &mut errors);
        }
        let visit = serde_json::from_value(visit);
        if let (Err(error), true) = (&visit, errors.is_empty()) {
            let error = error.to_string();
            errors.push(FieldError::invalid("visit", &format!("the facts of a visit: {}", Unescaped(&error))));
        }
        errors.into_iter().for_each(|error| fields.refuse(error));
        visit.ok().map(|visit| Self { visit, trace })
    }
}

impl DecideRecord {
    /// Reads a request's body. `now` is this moment, where the visit does not say.
    ///
    /// # Errors
    /// Every field that is at fault.
    pub fn read(object: Map<String, Value>, now: Timestamp) -> Result<Self, Invalid> {
        let mut fields = Fields::of(object);
        let record = take_record(&mut fields);
        let input = DecideLink::take(&mut fields, now);
        fields.finish()?;
        match (record, input) {
            (Some((record, skipped)), Some(input)) => Ok(Self { record, skipped, input }),
            _ => Err(Invalid::of_fields(vec![FieldError::invalid("", "a record and a visit")])),
        }
    }
}

/// Takes the record of a request, with what was passed over when it was read.
pub(crate) fn take_record(fields: &mut Fields) -> Option<(LinkRecord, Vec<Skipped>)> {
    let record = fields.take("record").ok_or_else(|| "it is missing".to_owned()).and_then(|mut record| {
        if let Value::Object(record) = &mut record {
            normalise_times(record).into_iter().for_each(|error| fields.refuse(error));
        }
        let is_record = matches!(record, Value::Object(_) | Value::String(_));
        let bytes = serde_json::to_vec(&record).unwrap_or_default();
        let read = LinkRecord::read_value(&bytes).map_err(|error| Unescaped(&error.to_string()).to_string());
        if is_record { read } else { Err("it is neither".to_owned()) }
    });
    if let Err(error) = &record {
        let wanted = format!("a link record, or a bare URL as a string ({error})");
        fields.refuse(FieldError::invalid("record", &wanted));
    }
    record.ok()
}
