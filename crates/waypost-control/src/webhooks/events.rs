//! The events of a delivery: one event or an array. Each is read separately, so that one that cannot be read does not
//! affect the others.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use waypost_api::{FieldError, ProblemCode};
use waypost_clicks::RefusedEvent;
use waypost_core::Timestamp;
use waypost_core::click::{ClickEvent, WORD_BYTES_MAX, cut};
use waypost_ingest::{CheckedEvent, check_event};

use super::counts::EventFate;
use crate::problem::Problem;

/// The most events of a delivery.
pub(super) const EVENTS_MAX: usize = 1_000;
/// How deep a body may be nested. An event is one deep, an array of events two.
const DEPTH_MAX: usize = 16;
/// How far ahead of the clock here a click may be, in microseconds.
const AHEAD_MICROS_MAX: i64 = 3_600_000_000;
/// The most bytes of a refused event that are kept, and of the reason.
const KEPT_BYTES_MAX: usize = 8 << 10;
const REASON_BYTES_MAX: usize = 300;
/// The most events that a refusal of the whole names.
const NAMED_MAX: usize = 10;
/// Fields that say who the visitor was.
const PERSONAL: [&str; 7] = ["ip_address", "visitor", "ip", "address", "client_ip", "remote_addr", "x_forwarded_for"];

/// An event as it came.
#[derive(Debug)]
pub(super) struct Arrived {
    /// What it calls itself, where it does.
    pub(super) event_id: Option<String>,
    edge_id: String,
    text: Box<str>,
    /// What there is to count.
    pub(super) checked: Result<CheckedEvent, Refusal>,
}

/// Why an event is not counted.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) fate: EventFate,
    pub(super) reason: String,
}

impl Refusal {
    pub(super) fn new(fate: EventFate, reason: impl Into<String>) -> Self {
        let mut reason = reason.into().replace('\0', "\u{fffd}");
        reason.truncate(cut(&reason, REASON_BYTES_MAX).len());
        Self { fate, reason }
    }
}

/// Reads the body of a delivery.
///
/// # Errors
/// Where it is no JSON, too deep, has too many events, or none of what it has can be read as one.
pub(super) fn read_events(body: &[u8], now: Timestamp) -> Result<Vec<Arrived>, Problem> {
    let arrived: Vec<Arrived> = split(body)?.into_iter().map(|event| Arrived::read(event, now)).collect();
    let malformed = |(index, arrived): (usize, &Arrived)| match &arrived.checked {
        Err(Refusal { fate: EventFate::Malformed, reason }) => {
            Some(FieldError { field: format!("[{index}]"), code: ProblemCode::NotEvents, detail: reason.clone() })
        }
        Err(_) | Ok(_) => None,
    };
    if !arrived.is_empty() && arrived.iter().enumerate().filter_map(malformed).count() == arrived.len() {
        let errors = arrived.iter().enumerate().filter_map(malformed).take(NAMED_MAX).collect();
        return Err(not_events("nothing in the body can be read as a click event").with_errors(errors));
    }
    Ok(arrived)
}

fn not_events(detail: &str) -> Problem {
    Problem::new(ProblemCode::NotEvents, detail)
}

/// The texts of the events.
fn split(body: &[u8]) -> Result<Vec<&RawValue>, Problem> {
    let bad = |error: &dyn fmt::Display| Problem::new(ProblemCode::BadJson, format!("the body is not JSON: {error}"));
    if is_too_deep(body) {
        return Err(bad(&format_args!("it is nested more than {DEPTH_MAX} deep")));
    }
    match body.trim_ascii_start().first() {
        Some(b'{') => Ok(vec![serde_json::from_slice(body).map_err(|error| bad(&error))?]),
        Some(b'[') => serde_json::from_slice(body).map(|EventList(events)| events).map_err(|error| {
            if error.is_data() {
                let detail = format!("a delivery has at most {EVENTS_MAX} events");
                return Problem::new(ProblemCode::TooManyEvents, detail);
            }
            bad(&error)
        }),
        Some(_) => match serde_json::from_slice::<IgnoredAny>(body) {
            Ok(_) => Err(not_events("the body must be a click event or an array of them")),
            Err(error) => Err(bad(&error)),
        },
        None => Err(bad(&"it is empty")),
    }
}

/// Whether brackets are nested too deeply, without looking at anything else.
fn is_too_deep(body: &[u8]) -> bool {
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            _ if is_text => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return true;
        }
    }
    false
}

/// An array of anything, no longer than allowed.
struct EventList<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for EventList<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Events;
        impl<'de> Visitor<'de> for Events {
            type Value = EventList<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an array of at most {EVENTS_MAX} events")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut events = Vec::new();
                while let Some(event) = items.next_element()? {
                    if events.len() == EVENTS_MAX {
                        return Err(A::Error::invalid_length(EVENTS_MAX + 1, &self));
                    }
                    events.push(event);
                }
                Ok(EventList(events))
            }
        }
        deserializer.deserialize_seq(Events)
    }
}

impl Arrived {
    fn read(text: &RawValue, now: Timestamp) -> Self {
        let text: Box<str> = text.get().into();
        let malformed = |reason: String| Err(Refusal::new(EventFate::Malformed, reason));
        match serde_json::from_str::<ClickEvent>(&text) {
            Ok(event) => {
                let (event_id, edge_id) = (word(&event.event_id), word(&event.edge_id).unwrap_or_default());
                let checked = match event.clicked_at {
                    None => malformed("clicked_at is missing".to_owned()),
                    Some(at) if at.as_micros() > now.as_micros().saturating_add(AHEAD_MICROS_MAX) => {
                        Err(Refusal::new(EventFate::Invalid, "clicked_at is more than an hour ahead"))
                    }
                    Some(_) => check_event(event).map_err(|reason| Refusal::new(EventFate::Invalid, reason)),
                };
                Self { event_id, edge_id, text, checked }
            }
            Err(error) => {
                let value: Value = serde_json::from_str(&text).unwrap_or_default();
                let told = |name: &str| value.get(name).and_then(Value::as_str).and_then(word);
                let (event_id, edge_id) = (told("event_id"), told("edge_id").unwrap_or_default());
                Self { event_id, edge_id, text, checked: malformed(error.to_string()) }
            }
        }
    }

    /// What is kept of it, where it is refused.
    pub(super) fn refused(&self) -> Option<RefusedEvent> {
        let Err(refusal) = &self.checked else { return None };
        let event = match serde_json::from_str::<Value>(&self.text) {
            Ok(mut value) => {
                if forget_visitor(&mut value) {
                    value.to_string()
                } else {
                    String::new()
                }
            }
            // A number beyond all measure, half a surrogate pair: what cannot be read cannot be searched for addresses.
            Err(_) => String::new(),
        };
        let event = cut(&event, KEPT_BYTES_MAX).to_owned();
        Some(RefusedEvent { edge_id: self.edge_id.clone(), reason: refusal.reason.clone(), event })
    }
}

/// A short text that people can read; `None` for an empty one.
fn word(text: &str) -> Option<String> {
    let word: String = cut(text, WORD_BYTES_MAX).chars().filter(|c| !c.is_control()).collect();
    (!word.is_empty()).then_some(word)
}

/// Takes out of a value what says who the visitor was. `false` where the whole does.
fn forget_visitor(value: &mut Value) -> bool {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, value| {
                let name = name.to_ascii_lowercase().replace('-', "_");
                !PERSONAL.contains(&name.as_str()) && forget_visitor(value)
            });
            true
        }
        Value::Array(items) => {
            items.retain_mut(forget_visitor);
            true
        }
        Value::String(text) => text.parse::<IpAddr>().is_err() && text.parse::<SocketAddr>().is_err(),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

#[cfg(test)]
mod tests;
