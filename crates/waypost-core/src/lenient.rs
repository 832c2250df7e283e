//! Reads a record that another program may have written. Fields that affect no decision may have any form, and a bad
//! rule is skipped. Fields that protect a link must be right; else the link is not followed.
//!
//! | fields | read otherwise than written here |
//! |---|---|
//! | `created_at`, `updated_at` | absent |
//! | `link_id`, `account_id` | a number is its text, anything else is absent |
//! | `version` | 0; an error with a password, whose grants it ends |
//! | an entry of `rules`, `evolution_rules`, `geo_rules`, `utm_templates`; `ab_test`, `link_utms`, `expired_url` | skipped, and reported |
//! | any of these lists or objects as `{}` or `[]` | none |
//! | `destination_url`, `redirect_status`, `forward_query`, `slug`, `domain` | an error |
//! | `enabled`, `starts_at`, `expires_at`, `password_hash`, `limit_reached` | an error: the link stays closed |
//!
//! Most records have the strict form, so this is only tried after the strict reading failed. Input of the API is
//! refused instead.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::json::NumberOrText;
use crate::quoted::Unescaped;
use crate::record::{LinkRecord, RecordError};
use crate::time::Timestamp;

/// A part of a record that was skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The part as a path: `rules[0].to.url`. If the rule itself was read, the number counts only the rules that were
    /// read.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.reason)
    }
}

/// A record of which only the field names have been read.
#[derive(Deserialize)]
struct Raw<'t> {
    #[serde(borrow, default)]
    link_id: Option<&'t RawValue>,
    #[serde(borrow, default)]
    account_id: Option<&'t RawValue>,
    #[serde(borrow, default)]
    version: Option<&'t RawValue>,
    #[serde(borrow, default)]
    slug: Option<&'t RawValue>,
    #[serde(borrow, default)]
    domain: Option<&'t RawValue>,
    #[serde(borrow, default)]
    destination_url: Option<&'t RawValue>,
    #[serde(borrow, default)]
    created_at: Option<&'t RawValue>,
    #[serde(borrow, default)]
    updated_at: Option<&'t RawValue>,
    #[serde(borrow, default)]
    redirect_status: Option<&'t RawValue>,
    #[serde(borrow, default)]
    forward_query: Option<&'t RawValue>,
    #[serde(borrow, default)]
    enabled: Option<&'t RawValue>,
    #[serde(borrow, default)]
    limit_reached: Option<&'t RawValue>,
    #[serde(borrow, default)]
    starts_at: Option<&'t RawValue>,
    #[serde(borrow, default)]
    expires_at: Option<&'t RawValue>,
    #[serde(borrow, default)]
    expired_url: Option<&'t RawValue>,
    #[serde(borrow, default)]
    password_hash: Option<&'t RawValue>,
    #[serde(borrow, default)]
    rules: Option<&'t RawValue>,
    #[serde(borrow, default)]
    evolution_rules: Option<&'t RawValue>,
    #[serde(borrow, default)]
    geo_rules: Option<&'t RawValue>,
    #[serde(borrow, default)]
    ab_test: Option<&'t RawValue>,
    #[serde(borrow, default)]
    link_utms: Option<&'t RawValue>,
    #[serde(borrow, default)]
    utm_templates: Option<&'t RawValue>,
}

/// Reads a record that this crate would write differently. Skipped parts are added to `skipped`.
#[cold]
pub(crate) fn read(text: &str, skipped: &mut Vec<Skipped>) -> Result<LinkRecord, RecordError> {
    let raw: Raw<'_> = serde_json::from_str(text).map_err(|fault| json_fault(".", fault))?;
    let destination_url = strict::<String>("destination_url", raw.destination_url)?;
    let destination_url = destination_url.ok_or_else(|| {
        let missing = <serde_json::Error as serde::de::Error>::missing_field("destination_url");
        json_fault("destination_url", missing)
    })?;
    let password_hash = strict::<String>("password_hash", raw.password_hash)?;
    let version = match strict("version", raw.version) {
        Ok(version) => version.unwrap_or_default(),
        Err(error) if password_hash.is_some() => return Err(error),
        Err(_) => 0,
    };
    Ok(LinkRecord {
        link_id: id(raw.link_id),
        account_id: id(raw.account_id),
        version,
        slug: strict::<NumberOrText>("slug", raw.slug)?.map(into_text),
        domain: strict("domain", raw.domain)?,
        created_at: any::<Timestamp>(raw.created_at),
        updated_at: any(raw.updated_at),
        redirect_status: strict("redirect_status", raw.redirect_status)?.unwrap_or(302),
        forward_query: strict("forward_query", raw.forward_query)?.unwrap_or_default(),
        enabled: strict("enabled", raw.enabled)?.unwrap_or(true),
        limit_reached: strict("limit_reached", raw.limit_reached)?.unwrap_or_default(),
        starts_at: strict("starts_at", raw.starts_at)?,
        expires_at: strict("expires_at", raw.expires_at)?,
        expired_url: part("expired_url", raw.expired_url, skipped),
        password_hash,
        rules: list("rules", raw.rules, skipped),
        evolution_rules: list("evolution_rules", raw.evolution_rules, skipped),
        geo_rules: list("geo_rules", raw.geo_rules, skipped),
        ab_test: part("ab_test", raw.ab_test, skipped),
        link_utms: part("link_utms", raw.link_utms, skipped),
        utm_templates: list("utm_templates", raw.utm_templates, skipped),
        destination_url,
    })
}

fn json_fault(field: &str, fault: serde_json::Error) -> RecordError {
    RecordError::Json { field: field.to_owned(), fault }
}

/// A field that must be right if it is present.
fn strict<T: DeserializeOwned>(field: &str, raw: Option<&RawValue>) -> Result<Option<T>, RecordError> {
    raw.map(|raw| serde_json::from_str(raw.get())).transpose().map_err(|fault| json_fault(field, fault))
}

/// A field that affects no decision.
fn any<T: DeserializeOwned>(raw: Option<&RawValue>) -> Option<T> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
}

fn id(raw: Option<&RawValue>) -> Option<String> {
    any::<NumberOrText>(raw).map(into_text)
}

fn into_text(id: NumberOrText) -> String {
    match id {
        NumberOrText::Number(number) => number.to_string(),
        NumberOrText::Text(text) => text,
    }
}

/// One part of a record that the link works without.
fn part<T: DeserializeOwned>(field: &str, raw: Option<&RawValue>, skipped: &mut Vec<Skipped>) -> Option<T> {
    let raw = raw.filter(|raw| !is_empty(raw))?;
    let read = serde_json::from_str(raw.get());
    read.map_err(|fault| skip(field.to_owned(), &fault, skipped)).ok()
}

/// A list of entries, each of which the link works without.
fn list<T: DeserializeOwned>(field: &str, raw: Option<&RawValue>, skipped: &mut Vec<Skipped>) -> Vec<T> {
    let entries: Vec<&RawValue> = raw.and_then(|raw| part_of_list(field, raw, skipped)).unwrap_or_default();
    let mut list = Vec::with_capacity(entries.len());
    for (index, entry) in entries.into_iter().enumerate() {
        match serde_json::from_str(entry.get()) {
            Ok(entry) => list.push(entry),
            Err(fault) => skip(format!("{field}[{index}]"), &fault, skipped),
        }
    }
    list
}

fn part_of_list<'t>(field: &str, raw: &'t RawValue, skipped: &mut Vec<Skipped>) -> Option<Vec<&'t RawValue>> {
    if is_empty(raw) {
        return None;
    }
    serde_json::from_str(raw.get()).map_err(|fault| skip(field.to_owned(), &fault, skipped)).ok()
}

fn skip(field: String, fault: &serde_json::Error, skipped: &mut Vec<Skipped>) {
    skipped.push(Skipped { field, reason: Unescaped(&fault.to_string()).to_string() });
}

/// Whether it is `{}` or `[]`, which is how some languages write an empty value.
fn is_empty(raw: &RawValue) -> bool {
    let mut bytes = raw.get().bytes().filter(|byte| !byte.is_ascii_whitespace());
    matches!(
        (bytes.next(), bytes.next(), bytes.next()),
        (Some(b'{'), Some(b'}'), None) | (Some(b'['), Some(b']'), None)
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Expects that a record can be read with these parts skipped.
    #[track_caller]
    fn reads(fields: &str, skipped: &[&str]) -> LinkRecord {
        let text = format!(r#"{{"destination_url":"https://example.com/",{fields}}}"#);
        let (record, found) = LinkRecord::read_value(text.as_bytes()).unwrap();
        let found: Vec<&str> = found.iter().map(|skipped| skipped.field.as_str()).collect();
        assert_eq!(found, skipped, "{fields}");
        assert_eq!(record.destination_url, "https://example.com/");
        record
    }

    #[track_caller]
    fn fails(fields: &str, field: &str) {
        let text = format!(r#"{{"destination_url":"https://example.com/",{fields}}}"#);
        let error = LinkRecord::read_value(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(field), "{fields}: {error}");
    }

    #[test]
    fn what_decides_nothing_may_have_any_form() {
        let record = reads(r#""created_at":"15/01/2026","updated_at":1768473000,"link_id":42,"account_id":{}"#, &[]);
        assert_eq!((record.link_id.as_deref(), record.account_id), (Some("42"), None));
        assert_eq!((record.created_at, record.updated_at), (None, None));
        assert_eq!(reads(r#""version":"7""#, &[]).version, 0);
        assert_eq!(reads(r#""slug":2026"#, &[]).slug.as_deref(), Some("2026"));
        for empty in [r#""ab_test":{}"#, r#""ab_test":[ ]"#, r#""rules":{ },"link_utms":[],"geo_rules":{}"#] {
            let record = reads(empty, &[]);
            assert!(record.ab_test.is_none() && record.rules.is_empty() && record.geo_rules.is_empty());
        }
    }

    #[test]
    fn one_bad_rule_is_passed_over() {
        let record = reads(
            r#""rules":[{"id":1,"to":"x"},{"id":2,"to":{"url":"https://example.com/2"}},null,7]"#,
            &["rules[0]", "rules[2]", "rules[3]"],
        );
        assert_eq!(record.rules.len(), 1);
        reads(r#""rules":"none""#, &["rules"]);
        reads(r#""geo_rules":[{"country_code":49,"destination_url":"https://example.com/"}]"#, &["geo_rules[0]"]);
        reads(r#""evolution_rules":[{"starts_at":"soon","destination_url":"x"}]"#, &["evolution_rules[0]"]);
        reads(r#""ab_test":{"id":1,"status":7}"#, &["ab_test"]);
        reads(r#""link_utms":{"utm_source":7},"utm_templates":[7]"#, &["link_utms", "utm_templates[0]"]);
        reads(r#""expired_url":7"#, &["expired_url"]);
    }

    #[test]
    fn what_guards_a_link_must_be_right() {
        for (fields, field) in [
            (r#""enabled":"no""#, "enabled"),
            (r#""enabled":0"#, "enabled"),
            (r#""starts_at":"soon""#, "starts_at"),
            (r#""expires_at":1768473000"#, "expires_at"),
            (r#""expires_at":"2026-01-15""#, "expires_at"),
            (r#""password_hash":false"#, "password_hash"),
            (r#""password_hash":{}"#, "password_hash"),
            (r#""password_hash":"$x","version":"7""#, "version"),
            (r#""limit_reached":"yes""#, "limit_reached"),
            (r#""redirect_status":"gone""#, "redirect_status"),
            (r#""domain":7"#, "domain"),
            // It would be unclear which of the two counts.
            (r#""enabled":false,"enabled":true"#, "duplicate"),
            (r#""created_at":7,"password_hash":"$x","password_hash":null"#, "duplicate"),
        ] {
            fails(fields, field);
        }
        assert!(LinkRecord::read_value(br#"{"created_at":7}"#).unwrap_err().to_string().contains("destination_url"));
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_record() {
        for text in ["\u{feff}https://example.com/", "\u{feff}{\"destination_url\":\"https://example.com/\"}"] {
            let (record, skipped) = LinkRecord::read_value(text.as_bytes()).unwrap();
            assert_eq!((record, skipped), (LinkRecord::from_url("https://example.com/"), Vec::new()));
        }
    }
}
