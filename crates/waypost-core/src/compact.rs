//! The compact form: a link record compiled to one ordered plan, in bytes that are read without copying.
//!
//! A native edge stores this form in its link table and [`crate::decide::decide`] walks it in place. All integers are
//! little-endian; a string is a `u16` length and that many bytes of UTF-8; an absent optional string has the length
//! `0xFFFF`.
//!
//! ```text
//! offset size
//!      0    8  checksum: XXH3-64 over all bytes from offset 8
//!      8    1  format, 2
//!      9    1  flags: 1 enabled, 2 forward the query, 4 answers vary between visitors, 8 a rule asks for region or city
//!     10    2  redirect status
//!     12    4  offset of the UTM section, 0 for none
//!     16    8  version
//!     24    8  starts_at in microseconds, i64::MIN for none
//!     32    8  expires_at in microseconds, i64::MAX for none, i64::MIN if the limit of visits is reached
//!     40    4  offset of the steps, 0 for none, 0xFFFF_FFFF if the record cannot be read (see `unreadable`)
//!     44       strings: destination, then optional link id, account id, expired_url, password_hash
//! UTM section: five optional strings of the link; u16 count of templates; each: u32 length of the rest, u16 count of
//!              sites, the sites, five optional strings
//! steps:       u16 count; each: u32 length of the rest, u8 source, u8 set of conditions, id, with 128 in the source a
//!              second byte of the set, the conditions in the order of their bits, the target
//! conditions:  (first byte) countries, devices, os, languages, referrers, query, from, until; (second byte) browsers,
//!              regions, cities, addresses, query_present, preferred_languages, schedule, not
//! schedule:    the rule of the time zone; u16 count; each: u8 set of days from Sunday, u16 first minute, u16 end
//! address:     u8 bits of the prefix, 16 bytes of IPv6 address
//! not:         u16 set, then conditions as above
//! id:          u8 0 none | 1 and an i64 | 2 and a string
//! target:      u8 0 and a string | 1 split: id, u8 active, u64 total weight, u16 count of variants; each: u32 weight, id, text
//! ```
//!
//! The steps are stored in the order in which they are tried: rules as written, evolution rules by precedence, country
//! rules as written, the split. So there is one list and one evaluator, whatever field of the record a step came from.

mod conditions;
mod read;

use std::fmt::Display;

use xxhash_rust::xxh3::xxh3_64;

use crate::destination::{Destination, DestinationError, SchemePolicy};
use crate::json::NumberOrText;
use crate::lenient::Skipped;
use crate::record::{AbTest, Conditions, EvolutionRule, LinkRecord, RuleTarget, Utms};
use crate::referrer::normalise_site;
use crate::time::Timestamp;

pub(crate) use conditions::{condition, country_code};
use conditions::{needs_place, preferred_languages, present};
pub(crate) use read::Reader;
pub use read::{CompactId, CompactLink, CorruptRecord};

/// The format this module writes and reads.
pub const FORMAT: u8 = 2;

const HEADER_BYTES: usize = 44;
const NO_TEXT: u16 = u16::MAX;
const FLAG_ENABLED: u8 = 1;
const FLAG_FORWARD_QUERY: u8 = 2;
const FLAG_VARIES: u8 = 4;
const FLAG_NEEDS_PLACE: u8 = 8;
/// Set in the source of a step that has a second byte of conditions.
const MORE_CONDITIONS: u8 = 0x80;
/// An offset of steps that is never valid, so that every decision fails.
const NO_RECORD: u32 = u32::MAX;
/// The `expires_at` of a link whose limit of visits is reached.
pub(crate) const LIMIT_REACHED: i64 = i64::MIN;

/// The part of a record that a step came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepSource {
    Rule,
    EvolutionRule,
    GeoRule,
    AbTest,
}

/// Why a record cannot be compiled: which field, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {fault}")]
pub struct CompileError {
    /// The field, as a path: `rules[0].to.url`.
    pub field: String,
    /// What is wrong.
    pub fault: CompileFault,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileFault {
    /// A destination that cannot be followed.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// Not a redirect status.
    #[error("a redirect status is 301, 302, 303, 307 or 308, not {0}")]
    Status(u16),
    /// A rule has both targets, or neither.
    #[error("a rule leads to exactly one of `url` and `ab_test`")]
    Target,
    /// A string or a list is longer than the format can hold.
    #[error("longer than a link record can hold")]
    Length,
    /// Not the rule of a time zone, or none where the zone has a name.
    #[error("not the POSIX rule of a time zone, such as CET-1CEST,M3.5.0,M10.5.0/3")]
    ZoneRule,
    /// A `not` within a `not`.
    #[error("`not` cannot contain `not`")]
    NestedNot,
}

/// Compiles a record: checks its destinations, orders its steps, writes the compact form.
///
/// # Errors
/// Names the first field that makes the record unsafe to follow. A split that does not apply (not active, or without
/// weight) is checked too, so that activating it later cannot break the link.
pub fn compile(record: &LinkRecord, schemes: &SchemePolicy) -> Result<Vec<u8>, CompileError> {
    write(record, Writer::new(schemes, None))
}

/// [`compile`] for a stored record, which can no longer be refused. A rule, a split, a template or an `expired_url`
/// that cannot be followed is skipped and reported in `skipped`; the rest of the link works.
///
/// # Errors
/// As [`compile`], for the fields that a link needs.
pub fn compile_stored(
    record: &LinkRecord,
    schemes: &SchemePolicy,
    skipped: &mut Vec<Skipped>,
) -> Result<Vec<u8>, CompileError> {
    write(record, Writer::new(schemes, Some(skipped)))
}

/// The compact form of a link that exists but whose record cannot be read or followed. Its checksum is right, and every
/// decision about it fails. So edges answer 503, not 404 as for an unknown link.
#[must_use]
pub fn unreadable(version: u64) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[8] = FORMAT;
    bytes[9] = FLAG_ENABLED;
    bytes[10..12].copy_from_slice(&302_u16.to_le_bytes());
    bytes[16..24].copy_from_slice(&version.to_le_bytes());
    bytes[24..32].copy_from_slice(&i64::MIN.to_le_bytes());
    bytes[32..40].copy_from_slice(&i64::MAX.to_le_bytes());
    bytes[40..44].copy_from_slice(&NO_RECORD.to_le_bytes());
    // An empty destination, and no other strings.
    bytes.extend_from_slice(&0_u16.to_le_bytes());
    (0..4).for_each(|_| bytes.extend_from_slice(&NO_TEXT.to_le_bytes()));
    let sum = checksum(&bytes);
    bytes[..8].copy_from_slice(&sum);
    bytes
}

fn write(record: &LinkRecord, mut writer: Writer<'_>) -> Result<Vec<u8>, CompileError> {
    if !matches!(record.redirect_status, 301 | 302 | 303 | 307 | 308) {
        return Err(fault(&"redirect_status", CompileFault::Status(record.redirect_status)));
    }
    writer.destination(&"destination_url", &record.destination_url)?;
    writer.optional_text(&"link_id", record.link_id.as_deref())?;
    writer.optional_text(&"account_id", record.account_id.as_deref())?;
    match record.expired_url.as_deref().filter(|url| !url.is_empty()) {
        Some(url) if writer.attempt(|writer| writer.destination(&"expired_url", url))? => {}
        Some(_) | None => writer.put(&NO_TEXT.to_le_bytes()),
    }
    let password_hash = record.password_hash.as_deref().filter(|hash| !hash.is_empty());
    writer.optional_text(&"password_hash", password_hash)?;

    let utm_offset = writer.utm_section(record)?;
    let steps_offset = writer.steps(record)?;

    let varies = steps_offset != 0
        || !record.utm_templates.is_empty()
        || password_hash.is_some()
        || record.starts_at.is_some()
        || record.expires_at.is_some()
        || record.limit_reached;
    // After the limit of visits every visit is too late.
    let expires_at =
        if record.limit_reached { LIMIT_REACHED } else { record.expires_at.map_or(i64::MAX, Timestamp::as_micros) };
    let flags = [
        (record.enabled, FLAG_ENABLED),
        (record.forward_query, FLAG_FORWARD_QUERY),
        (varies, FLAG_VARIES),
        (needs_place(record), FLAG_NEEDS_PLACE),
    ]
    .iter()
    .filter(|(set, _)| *set)
    .fold(0, |flags, (_, flag)| flags | flag);

    let mut bytes = writer.bytes;
    bytes[8] = FORMAT;
    bytes[9] = flags;
    bytes[10..12].copy_from_slice(&record.redirect_status.to_le_bytes());
    bytes[12..16].copy_from_slice(&utm_offset.to_le_bytes());
    bytes[16..24].copy_from_slice(&record.version.to_le_bytes());
    bytes[24..32].copy_from_slice(&record.starts_at.map_or(i64::MIN, Timestamp::as_micros).to_le_bytes());
    bytes[32..40].copy_from_slice(&expires_at.to_le_bytes());
    bytes[40..44].copy_from_slice(&steps_offset.to_le_bytes());
    let sum = checksum(&bytes);
    bytes[..8].copy_from_slice(&sum);
    Ok(bytes)
}

/// Field names are passed as `Display`, so that a name is only formatted when there is an error to report.
#[cold]
fn fault(field: &dyn Display, fault: impl Into<CompileFault>) -> CompileError {
    CompileError { field: field.to_string(), fault: fault.into() }
}

/// 64 bits, because a reader may read bytes while they are overwritten; if many links change, that happens every
/// second.
fn checksum(bytes: &[u8]) -> [u8; 8] {
    xxh3_64(&bytes[8..]).to_le_bytes()
}

struct Writer<'p> {
    bytes: Vec<u8>,
    schemes: &'p SchemePolicy,
    /// Where skipped parts are reported; `None` if nothing may be skipped.
    skipped: Option<&'p mut Vec<Skipped>>,
    /// All languages that rules of the record prefer.
    preferred_languages: Vec<String>,
}

impl<'p> Writer<'p> {
    fn new(schemes: &'p SchemePolicy, skipped: Option<&'p mut Vec<Skipped>>) -> Self {
        Self { bytes: vec![0; HEADER_BYTES], schemes, skipped, preferred_languages: Vec::new() }
    }
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn count(&mut self, field: &dyn Display, count: usize) -> Result<(), CompileError> {
        let count = u16::try_from(count).map_err(|_| fault(field, CompileFault::Length))?;
        self.put(&count.to_le_bytes());
        Ok(())
    }

    fn text(&mut self, field: &dyn Display, text: &str) -> Result<(), CompileError> {
        match u16::try_from(text.len()) {
            Ok(length) if length != NO_TEXT => self.put(&length.to_le_bytes()),
            Ok(_) | Err(_) => return Err(fault(field, CompileFault::Length)),
        }
        self.put(text.as_bytes());
        Ok(())
    }

    fn optional_text(&mut self, field: &dyn Display, text: Option<&str>) -> Result<(), CompileError> {
        match text {
            Some(text) => self.text(field, text),
            None => {
                self.put(&NO_TEXT.to_le_bytes());
                Ok(())
            }
        }
    }

    fn destination(&mut self, field: &dyn Display, url: &str) -> Result<(), CompileError> {
        let destination = Destination::parse(url, self.schemes).map_err(|error| fault(field, error))?;
        self.text(field, destination.as_str())
    }

    fn id(&mut self, field: &dyn Display, id: Option<&NumberOrText>) -> Result<(), CompileError> {
        match id {
            None => self.put(&[0]),
            Some(NumberOrText::Number(number)) => {
                self.put(&[1]);
                self.put(&number.to_le_bytes());
            }
            Some(NumberOrText::Text(text)) => {
                self.put(&[2]);
                self.text(field, text)?;
            }
        }
        Ok(())
    }

    /// Writes a part that the link works without; `false` if it was skipped.
    fn attempt(&mut self, part: impl FnOnce(&mut Self) -> Result<(), CompileError>) -> Result<bool, CompileError> {
        let start = self.bytes.len();
        let Err(error) = part(self) else { return Ok(true) };
        let Some(skipped) = &mut self.skipped else { return Err(error) };
        skipped.push(Skipped { field: error.field, reason: error.fault.to_string() });
        self.bytes.truncate(start);
        Ok(false)
    }

    /// Writes the count that was left open at this offset. The caller checked that the largest possible count fits.
    fn set_count(&mut self, at: usize, count: usize) {
        self.bytes[at..at + 2].copy_from_slice(&(count as u16).to_le_bytes());
    }

    /// Writes a length, then what `body` writes, so that a reader can skip it.
    fn sized(&mut self, body: impl FnOnce(&mut Self) -> Result<(), CompileError>) -> Result<(), CompileError> {
        let at = self.bytes.len();
        self.put(&[0; 4]);
        body(self)?;
        let length = self.offset(at + 4)?;
        self.bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
        Ok(())
    }

    /// The number of bytes after `start`.
    fn offset(&self, start: usize) -> Result<u32, CompileError> {
        u32::try_from(self.bytes.len() - start).map_err(|_| fault(&"record", CompileFault::Length))
    }

    /// Writes the UTM section and returns its offset, 0 if the record has none.
    fn utm_section(&mut self, record: &LinkRecord) -> Result<u32, CompileError> {
        let none = Utms::default();
        let own = record.link_utms.as_ref().unwrap_or(&none);
        if own.values() == [None; 5] && record.utm_templates.is_empty() {
            return Ok(0);
        }
        let offset = self.offset(0)?;
        if !self.attempt(|writer| writer.utms(&"link_utms", own))? {
            self.utms(&"link_utms", &none)?;
        }
        let count_at = self.bytes.len();
        self.count(&"utm_templates", record.utm_templates.len())?;
        let mut count = 0;
        for (index, template) in record.utm_templates.iter().enumerate() {
            let field = format_args!("utm_templates[{index}]");
            let written = self.attempt(|writer| {
                writer.sized(|writer| {
                    writer.sites(&field, &template.platform_domains)?;
                    writer.utms(&field, &template.utms)
                })
            })?;
            count += usize::from(written);
        }
        self.set_count(count_at, count);
        Ok(offset)
    }

    fn utms(&mut self, field: &dyn Display, utms: &Utms) -> Result<(), CompileError> {
        utms.values().into_iter().try_for_each(|value| self.optional_text(field, value))
    }

    fn sites(&mut self, field: &dyn Display, sites: &[String]) -> Result<(), CompileError> {
        self.count(field, sites.len())?;
        sites.iter().try_for_each(|site| self.text(field, &normalise_site(site)))
    }

    /// Writes the steps and returns their offset, 0 if the record has none.
    fn steps(&mut self, record: &LinkRecord) -> Result<u32, CompileError> {
        let has_split = usize::from(record.ab_test.is_some());
        let count = record.rules.len() + record.evolution_rules.len() + record.geo_rules.len() + has_split;
        if count == 0 {
            return Ok(0);
        }
        self.preferred_languages = preferred_languages(record);
        let offset = self.offset(0)?;
        self.count(&"rules", count)?;
        let mut written = 0;
        for (index, rule) in record.rules.iter().enumerate() {
            let field = format_args!("rules[{index}]");
            written += self.step(&field, StepSource::Rule, rule.id.as_ref(), &rule.when, |writer| {
                writer.rule_target(&field, &rule.to)
            })?;
        }
        written += self.evolution_rules(record)?;
        for (index, rule) in record.geo_rules.iter().enumerate() {
            let field = format_args!("geo_rules[{index}]");
            let when = Conditions { countries: Some(vec![rule.country_code.clone()]), ..Conditions::default() };
            written += self.step(&field, StepSource::GeoRule, rule.id.as_ref(), &when, |writer| {
                writer.url_target(&format_args!("{field}.destination_url"), &rule.destination_url)
            })?;
        }
        if let Some(test) = &record.ab_test {
            written += self.step(&"ab_test", StepSource::AbTest, None, &Conditions::default(), |writer| {
                writer.split(&"ab_test", test)
            })?;
        }
        self.set_count(offset as usize, written);
        Ok(if written == 0 { 0 } else { offset })
    }

    /// Writes evolution rules ordered by highest priority, then latest start, then smallest id. The first active one
    /// wins.
    fn evolution_rules(&mut self, record: &LinkRecord) -> Result<usize, CompileError> {
        // Inserted one by one: a link has few rules, and a general sort would add much code to the Worker.
        let mut ordered: Vec<(usize, &EvolutionRule)> = Vec::new();
        for rule in record.evolution_rules.iter().enumerate() {
            ordered.insert(ordered.partition_point(|(_, other)| other.rank() <= rule.1.rank()), rule);
        }
        let mut written = 0;
        for (index, rule) in ordered {
            let field = format_args!("evolution_rules[{index}]");
            let when = Conditions { from: rule.starts_at, until: rule.ends_at, ..Conditions::default() };
            written += self.step(&field, StepSource::EvolutionRule, rule.id.as_ref(), &when, |writer| {
                writer.url_target(&format_args!("{field}.destination_url"), &rule.destination_url)
            })?;
        }
        Ok(written)
    }

    /// Writes a step. Returns how many were written: 1, or 0 if it was skipped.
    fn step(
        &mut self,
        field: &dyn Display,
        source: StepSource,
        id: Option<&NumberOrText>,
        when: &Conditions,
        target: impl FnOnce(&mut Self) -> Result<(), CompileError>,
    ) -> Result<usize, CompileError> {
        let written = self.attempt(|writer| {
            writer.sized(|writer| {
                let [first, second] = present(when).to_le_bytes();
                let more = if second == 0 { 0 } else { MORE_CONDITIONS };
                writer.put(&[source as u8 | more, first]);
                writer.id(field, id)?;
                if second != 0 {
                    writer.put(&[second]);
                }
                writer.conditions(field, when)?;
                target(writer)
            })
        });
        written.map(usize::from)
    }

    fn rule_target(&mut self, field: &dyn Display, to: &RuleTarget) -> Result<(), CompileError> {
        match (&to.url, &to.ab_test) {
            (Some(url), None) => self.url_target(&format_args!("{field}.to.url"), url),
            (None, Some(test)) => self.split(&format_args!("{field}.to.ab_test"), test),
            (Some(_), Some(_)) | (None, None) => Err(fault(&format_args!("{field}.to"), CompileFault::Target)),
        }
    }

    fn url_target(&mut self, field: &dyn Display, url: &str) -> Result<(), CompileError> {
        self.put(&[0]);
        self.destination(field, url)
    }

    fn split(&mut self, field: &dyn Display, test: &AbTest) -> Result<(), CompileError> {
        let total: u64 = test.variants.iter().map(|variant| u64::from(variant.weight)).sum();
        self.put(&[1]);
        self.id(field, Some(&test.id))?;
        self.put(&[u8::from(test.status == "active")]);
        self.put(&total.to_le_bytes());
        self.count(field, test.variants.len())?;
        for (index, variant) in test.variants.iter().enumerate() {
            let field = format_args!("{field}.variants[{index}].destination_url");
            self.put(&variant.weight.to_le_bytes());
            self.id(&field, Some(&variant.id))?;
            self.destination(&field, &variant.destination_url)?;
        }
        Ok(())
    }
}
