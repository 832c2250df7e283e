//! The link record: the JSON an edge holds for a link, and the value in Cloudflare KV.
//!
//! Unknown fields are ignored, absent and `null` mean "none". [`Deserialize`] is strict in types, for input that can be
//! refused; [`LinkRecord::read_value`], for stored records, skips parts that a link works without ([`crate::lenient`]).
//! Destinations are only validated when a record is compiled ([`crate::compact`]); a record that was only read may
//! contain invalid ones.

mod conditions;

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

pub use self::conditions::{Conditions, Schedule};
use crate::json::{NumberOrText, null_as_default, null_as_true};
use crate::lenient::{self, Skipped};
use crate::quoted::Unescaped;
use crate::time::Timestamp;

/// The most bytes of a record's JSON that are read. A record of the largest links stays far below.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// A link as edges know it. Every field but `destination_url` may be absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LinkRecord {
    /// The link's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_id: Option<String>,
    /// The account that owns the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// Grows with every change of what this domain and slug lead to; an edge never goes back. 0 if absent.
    #[serde(default, deserialize_with = "null_as_default")]
    pub version: u64,
    /// The path part of the short link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    /// The host of the short link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Where visitors go when no rule sends them elsewhere.
    pub destination_url: String,
    /// When the link was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When the link was last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
    /// 301, 302, 303, 307 or 308; 302 if absent.
    #[serde(default = "default_status", deserialize_with = "null_as_302")]
    pub redirect_status: u16,
    /// Whether the visitor's query is added to the destination.
    #[serde(default, deserialize_with = "null_as_default")]
    pub forward_query: bool,
    /// A link that is not enabled answers as if it did not exist.
    #[serde(default = "default_enabled", deserialize_with = "null_as_true")]
    pub enabled: bool,
    /// Whether the limit of visits is reached: the link is then treated as expired. The control plane sets this.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "is_false")]
    pub limit_reached: bool,
    /// Before this the link answers as if it did not exist.
    #[serde(default)]
    pub starts_at: Option<Timestamp>,
    /// From this instant the link is gone, or leads to `expired_url`.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// Where an expired link leads.
    #[serde(default)]
    pub expired_url: Option<String>,
    /// An argon2 hash (PHC string); visitors must unlock the link first.
    #[serde(default)]
    pub password_hash: Option<String>,
    /// General rules: ordered, the first that applies wins.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// Destinations for a time.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub evolution_rules: Vec<EvolutionRule>,
    /// Destinations by country.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub geo_rules: Vec<GeoRule>,
    /// A split of all visitors that no rule matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ab_test: Option<AbTest>,
    /// UTM parameters of every redirect, unless something more specific gives them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_utms: Option<Utms>,
    /// UTM parameters by referrer; the first that matches.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub utm_templates: Vec<UtmTemplate>,
}

/// Conditions, and the target of visits that meet them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(expecting = "an object with `when` and `to`")]
pub struct Rule {
    /// Names the rule in decisions and reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<NumberOrText>,
    /// Every condition that is present must hold.
    #[serde(default, deserialize_with = "null_as_default")]
    pub when: Conditions,
    /// Where the rule leads.
    pub to: RuleTarget,
}

/// Where a rule leads: exactly one of the two.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(expecting = "an object with `url` or `ab_test`")]
pub struct RuleTarget {
    /// One destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ab_test: Option<AbTest>,
}

/// A destination for a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(expecting = "an object")]
pub struct EvolutionRule {
    /// Names the rule; the smallest id wins if priority and start are equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<NumberOrText>,
    /// The highest that is active wins; 0 if absent.
    #[serde(default, deserialize_with = "null_as_default")]
    pub priority: i64,
    /// Active from this instant; always has been if absent.
    #[serde(default)]
    pub starts_at: Option<Timestamp>,
    /// Active before this instant; for ever if absent.
    #[serde(default)]
    pub ends_at: Option<Timestamp>,
    /// Where it leads.
    pub destination_url: String,
}

impl EvolutionRule {
    /// Orders evolution rules as they are tried: highest priority first, then latest start, then smallest id.
    pub fn rank(&self) -> impl Ord + '_ {
        (Reverse(self.priority), Reverse(self.starts_at), self.id.is_none(), self.id.as_ref())
    }
}

/// A destination for a country.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(expecting = "an object")]
pub struct GeoRule {
    /// Names the rule, if anything does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<NumberOrText>,
    /// ISO 3166-1 alpha-2, in any letter case.
    pub country_code: String,
    /// Where it leads.
    pub destination_url: String,
}

/// A split of visitors over weighted variants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(expecting = "an object with `id`, `status` and `variants`")]
pub struct AbTest {
    /// Names the test; part of what assigns a visitor.
    pub id: NumberOrText,
    /// Only `active` applies.
    #[serde(default, deserialize_with = "null_as_default")]
    pub status: String,
    /// In the order that the assignment uses.
    #[serde(default, deserialize_with = "null_as_default")]
    pub variants: Vec<Variant>,
}

/// One weighted destination of a split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(expecting = "an object with `id`, `destination_url` and `weight`")]
pub struct Variant {
    /// Names the variant.
    pub id: NumberOrText,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it leads.
    pub destination_url: String,
    /// Its share of the total weight; with 0 nobody gets it.
    #[serde(default, deserialize_with = "null_as_default")]
    pub weight: u32,
}

/// UTM parameters; an empty string means none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Utms {
    /// Who sent the visitor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utm_source: Option<String>,
    /// By which kind of channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utm_medium: Option<String>,
    /// For which campaign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utm_campaign: Option<String>,
    /// Paid search term.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utm_term: Option<String>,
    /// Which of several pieces of content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utm_content: Option<String>,
}

impl Utms {
    /// The five values in the order they are added to a destination; empty ones are none.
    pub fn values(&self) -> [Option<&str>; 5] {
        [&self.utm_source, &self.utm_medium, &self.utm_campaign, &self.utm_term, &self.utm_content]
            .map(|value| value.as_deref().filter(|text| !text.is_empty()))
    }
}

/// UTM parameters for visitors from certain sites.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(from = "FlatTemplate")]
pub struct UtmTemplate {
    /// Referring hosts; `twitter.com` matches `m.twitter.com`.
    pub platform_domains: Vec<String>,
    /// The parameters.
    #[serde(flatten)]
    pub utms: Utms,
}

/// A template as it is written. With serde's `flatten` every field would be buffered.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct FlatTemplate {
    #[serde(default, deserialize_with = "null_as_default")]
    platform_domains: Vec<String>,
    #[serde(default)]
    utm_source: Option<String>,
    #[serde(default)]
    utm_medium: Option<String>,
    #[serde(default)]
    utm_campaign: Option<String>,
    #[serde(default)]
    utm_term: Option<String>,
    #[serde(default)]
    utm_content: Option<String>,
}

impl From<FlatTemplate> for UtmTemplate {
    fn from(flat: FlatTemplate) -> Self {
        let FlatTemplate { platform_domains, utm_source, utm_medium, utm_campaign, utm_term, utm_content } = flat;
        Self { platform_domains, utms: Utms { utm_source, utm_medium, utm_campaign, utm_term, utm_content } }
    }
}

const fn default_status() -> u16 {
    302
}

const fn default_enabled() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref)] // As serde calls it.
const fn is_false(flag: &bool) -> bool {
    !*flag
}

fn null_as_302<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    Ok(Option::<u16>::deserialize(deserializer)?.unwrap_or(302))
}

/// Why a value is not a link record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The value is too large to be read at all.
    #[error("a link record has at most {RECORD_BYTES_MAX} bytes")]
    TooLong,
    /// Not UTF-8.
    #[error("a link record is UTF-8")]
    NotUtf8,
    /// Not the JSON of a record.
    #[error("not a link record: {field}: {}", Unescaped(&fault.to_string()))]
    Json {
        /// The field, as a path; `.` for the whole.
        field: String,
        /// What the JSON reader found.
        fault: serde_json::Error,
    },
}

impl LinkRecord {
    /// A link with only a destination, which is what a bare URL as a stored value means.
    pub fn from_url(destination_url: impl Into<String>) -> Self {
        Self {
            link_id: None,
            account_id: None,
            version: 0,
            slug: None,
            domain: None,
            destination_url: destination_url.into(),
            created_at: None,
            updated_at: None,
            redirect_status: 302,
            forward_query: false,
            enabled: true,
            limit_reached: false,
            starts_at: None,
            expires_at: None,
            expired_url: None,
            password_hash: None,
            rules: Vec::new(),
            evolution_rules: Vec::new(),
            geo_rules: Vec::new(),
            ab_test: None,
            link_utms: None,
            utm_templates: Vec::new(),
        }
    }

    /// Reads a stored value: the JSON of a record, a bare URL, or a bare URL as a JSON string, with or without a byte
    /// order mark. Also returns the parts of the record that were skipped because they cannot be read; the link works
    /// without them.
    ///
    /// # Errors
    /// If the value is too long, not UTF-8 or not JSON, or if a field that is needed or that protects the link cannot
    /// be read. Whether a bare string is a URL is not checked here.
    pub fn read_value(value: &[u8]) -> Result<(Self, Vec<Skipped>), RecordError> {
        if value.len() > RECORD_BYTES_MAX {
            return Err(RecordError::TooLong);
        }
        let text = std::str::from_utf8(value).map_err(|_| RecordError::NotUtf8)?;
        let text = without_mark(text);
        let mut skipped = Vec::new();
        let record = match text.trim_ascii_start().bytes().next() {
            Some(b'{') => match serde_json::from_str(text) {
                Ok(record) => record,
                Err(_) => lenient::read(text, &mut skipped)?,
            },
            Some(b'"') => {
                let url = serde_json::from_str::<String>(text);
                let url = url.map_err(|fault| RecordError::Json { field: ".".to_owned(), fault })?;
                Self::from_url(without_mark(&url))
            }
            _ => Self::from_url(text.trim_ascii()),
        };
        Ok((record, skipped))
    }

    /// [`LinkRecord::read_value`] without the list of skipped parts.
    ///
    /// # Errors
    /// As there.
    pub fn from_value(value: &[u8]) -> Result<Self, RecordError> {
        Self::read_value(value).map(|(record, _)| record)
    }
}

/// A string without the byte order mark that some editors put before it.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_and_null_fields_mean_none() {
        let bare = LinkRecord::from_value(b"https://example.com/").expect("bare URL");
        assert_eq!(LinkRecord::from_value(br#""https://example.com/""#).expect("string"), bare);
        assert_eq!(
            LinkRecord::from_value(br#"{"destination_url":"https://example.com/","new":1}"#).expect("object"),
            bare
        );
        let nulls = br#"{"destination_url":"https://example.com/","version":null,"redirect_status":null,"enabled":null,
            "forward_query":null,"rules":null,"geo_rules":null,"evolution_rules":null,"ab_test":null,"link_utms":null,
            "utm_templates":null,"password_hash":null,"starts_at":null,"expires_at":null,"expired_url":null,"slug":null}"#;
        assert_eq!(LinkRecord::from_value(nulls).expect("nulls"), bare);
        assert_eq!((bare.redirect_status, bare.enabled, bare.version, bare.forward_query), (302, true, 0, false));
    }

    #[test]
    fn wrong_shapes_are_errors() {
        for bad in [
            &b"{"[..],
            b"{}",
            br#"{"destination_url":"x"} x"#,
            br#"{"destination_url":7}"#,
            br#"{"destination_url":"x","starts_at":"tomorrow"}"#,
            b"\xff",
        ] {
            assert!(LinkRecord::from_value(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn writes_what_it_reads() {
        let json = r#"{"destination_url":"https://example.com/","version":7,"rules":[{"id":"r1","when":{"countries":["DE"],
            "query":{"ref":"mail"}},"to":{"ab_test":{"id":42,"status":"active","variants":[{"id":"v1","name":"A",
            "destination_url":"https://a.example/","weight":50}]}}}],"utm_templates":[{"platform_domains":["t.co"],"utm_source":"x"}]}"#;
        let record = LinkRecord::from_value(json.as_bytes()).expect("record");
        let again = serde_json::to_vec(&record).expect("json");
        assert_eq!(LinkRecord::from_value(&again).expect("again"), record);
    }
}
