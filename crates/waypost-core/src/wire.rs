//! Decisions over JSON lines: `{"record": ..., "visit": {...}}` in, one decision out. The command line, the API's
//! preview and the tests of other targets use this format.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::class::{Class, classify};
use crate::compact::{CompactLink, compile_stored};
use crate::decide::{Decision, decide, explain};
use crate::destination::SchemePolicy;
use crate::lenient::Skipped;
use crate::quoted::Unescaped;
use crate::record::LinkRecord;
use crate::time::Timestamp;
use crate::trace::TraceStep;
use crate::visit::{Method, Unlock, Visit};

/// The most bytes of one line: a record of the largest size and a visit with long headers.
pub const LINE_BYTES_MAX: usize = 2 << 20;

#[derive(Deserialize)]
struct Line<'l> {
    #[serde(borrow)]
    record: &'l RawValue,
    visit: VisitFacts,
}

/// A visit as JSON. All fields except `now` may be absent or `null`; unknown fields are ignored.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VisitFacts {
    /// When it happens.
    pub now: Timestamp,
    /// `GET` if absent.
    #[serde(default)]
    pub method: Option<String>,
    /// The requested host.
    #[serde(default)]
    pub host: Option<String>,
    /// The requested path.
    #[serde(default)]
    pub path: Option<String>,
    /// The query as sent, without `?`.
    #[serde(default)]
    pub query: Option<String>,
    /// The visitor's address.
    #[serde(default)]
    pub ip: Option<IpAddr>,
    /// ISO 3166-1 alpha-2.
    #[serde(default)]
    pub country: Option<String>,
    /// ISO 3166-2, such as `DE-BY`.
    #[serde(default)]
    pub region: Option<String>,
    /// The English name of the city.
    #[serde(default)]
    pub city: Option<String>,
    /// The `User-Agent` header.
    #[serde(default)]
    pub user_agent: Option<String>,
    /// The `Referer` header.
    #[serde(default)]
    pub referrer: Option<String>,
    /// The `Accept-Language` header.
    #[serde(default)]
    pub accept_language: Option<String>,
    /// A stable id of the visitor.
    #[serde(default)]
    pub visitor_id: Option<String>,
    /// The `Sec-Purpose`, `Purpose` or `X-Moz` header.
    #[serde(default)]
    pub purpose: Option<String>,
    /// Whether the visit has a valid unlock; `"refused"` right after a wrong password.
    #[serde(default)]
    pub unlocked: Option<UnlockFact>,
}

/// The value of `unlocked`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum UnlockFact {
    /// Whether there is a valid grant.
    Granted(bool),
    /// `refused`.
    Word(RefusedWord),
}

/// The word `refused`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RefusedWord {
    /// A wrong password was given.
    Refused,
}

impl VisitFacts {
    /// The visit, borrowing these facts.
    pub fn as_visit(&self) -> Visit<'_> {
        Visit {
            now: self.now,
            method: self.method.as_deref().map_or(Method::Get, Method::from_name),
            host: self.host.as_deref(),
            path: self.path.as_deref(),
            query: self.query.as_deref(),
            ip: self.ip,
            country: self.country.as_deref(),
            region: self.region.as_deref(),
            city: self.city.as_deref(),
            user_agent: self.user_agent.as_deref(),
            referrer: self.referrer.as_deref(),
            accept_language: self.accept_language.as_deref(),
            visitor_id: self.visitor_id.as_deref(),
            purpose: self.purpose.as_deref(),
            unlock: match self.unlocked {
                Some(UnlockFact::Granted(true)) => Unlock::Granted,
                Some(UnlockFact::Word(RefusedWord::Refused)) => Unlock::Refused,
                Some(UnlockFact::Granted(false)) | None => Unlock::None,
            },
        }
    }
}

/// A decision as JSON: the decision's own fields, the visit's class, and the trace if it was requested.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    decision: Decision<'a>,
    class: Class,
    /// Parts of the record that were skipped, if any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    skipped: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<Vec<TraceStep<'a>>>,
}

/// Decides for a record and a visit, and writes the decision as one line of JSON without its line break. `skipped` is
/// what was skipped when the record was read.
///
/// # Errors
/// The string says what is wrong with the record.
pub fn decide_record(
    (record, skipped): (&LinkRecord, &[Skipped]),
    visit: &Visit<'_>,
    schemes: &SchemePolicy,
    with_trace: bool,
) -> Result<String, String> {
    let mut skipped = skipped.to_vec();
    let bytes = compile_stored(record, schemes, &mut skipped).map_err(|error| format!("record: {error}"))?;
    let link = CompactLink::read(&bytes).map_err(|error| error.to_string())?;
    let (decision, trace) = if with_trace {
        explain(&link, visit).map(|(decision, trace)| (decision, Some(trace)))
    } else {
        decide(&link, visit).map(|decision| (decision, None))
    }
    .map_err(|error| error.to_string())?;
    let skipped = skipped.iter().map(Skipped::to_string).collect();
    let answer = Answer { decision, class: classify(visit).class, skipped, trace };
    serde_json::to_string(&answer).map_err(|error| error.to_string())
}

/// Decides one line; a line that cannot be decided gives `{"error": "..."}`.
pub fn decide_line(line: &[u8], schemes: &SchemePolicy, with_trace: bool) -> String {
    decide_line_with(line, schemes, with_trace, |_| {})
}

/// [`decide_line`], after `complete` has added to the record what this crate cannot know.
pub fn decide_line_with(
    line: &[u8],
    schemes: &SchemePolicy,
    with_trace: bool,
    complete: impl FnOnce(&mut LinkRecord),
) -> String {
    try_line(line, schemes, with_trace, complete).unwrap_or_else(|error| {
        serde_json::to_string(&serde_json::json!({ "error": error })).unwrap_or_else(|_| r#"{"error":""}"#.to_owned())
    })
}

fn try_line(
    line: &[u8],
    schemes: &SchemePolicy,
    with_trace: bool,
    complete: impl FnOnce(&mut LinkRecord),
) -> Result<String, String> {
    if line.len() > LINE_BYTES_MAX {
        return Err(format!("a line has at most {LINE_BYTES_MAX} bytes"));
    }
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
    let line: Line<'_> = serde_json::from_slice(line)
        .map_err(|error| format!("not a record and a visit: {}", Unescaped(&error.to_string())))?;
    // The record is an object, or a string with a bare URL. Any other type is an error.
    if !line.record.get().starts_with(['{', '"']) {
        return Err("record: an object, or a string for a bare URL".to_owned());
    }
    let read = LinkRecord::read_value(line.record.get().as_bytes());
    let (mut record, skipped) = read.map_err(|error| format!("record: {error}"))?;
    complete(&mut record);
    decide_record((&record, &skipped), &line.visit.as_visit(), schemes, with_trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expect: &str) {
        assert_eq!(decide_line(line.as_bytes(), &SchemePolicy::web(), false), expect);
    }

    #[test]
    fn lines() {
        check(
            r#"{"record":"https://example.com","visit":{"now":"2026-01-01T00:00:00Z"}}"#,
            r#"{"action":"redirect","status":302,"location":"https://example.com/","source":"default","rule_id":null,"ab_test_id":null,"variant_id":null,"cache_policy":"no_store","class":"human"}"#,
        );
        check(
            "\u{feff}{\"record\":{\"destination_url\":\"https://example.com\",\"rules\":[7,{\"to\":{}}]},\"visit\":{\"now\":\"2026-01-01T00:00:00Z\"}}",
            r#"{"action":"redirect","status":302,"location":"https://example.com/","source":"default","rule_id":null,"ab_test_id":null,"variant_id":null,"cache_policy":"no_store","class":"human","skipped":["rules[0]: invalid type: integer `7`, expected an object with `when` and `to` at line 1 column 1","rules[0].to: a rule leads to exactly one of `url` and `ab_test`"]}"#,
        );
        for bad in [
            "",
            "{",
            "null",
            "[]",
            r#"{"record":"https://example.com"}"#,
            r#"{"record":"https://example.com","visit":{}}"#,
            r#"{"record":7,"visit":{"now":"2026-01-01T00:00:00Z"}}"#,
            r#"{"record":"javascript:alert(1)","visit":{"now":"2026-01-01T00:00:00Z"}}"#,
            r#"{"record":"https://example.com","visit":{"now":"2026-01-01T00:00:00Z","ip":"999"}}"#,
        ] {
            let answer = decide_line(bad.as_bytes(), &SchemePolicy::web(), true);
            assert!(answer.starts_with(r#"{"error":""#), "{bad}: {answer}");
        }
    }
}
