//! Validation of a link: every rule that a record must obey before it is stored. All errors are reported by field.
//!
//! Destinations are replaced by their serialisation, so that what is stored is what visitors are sent to. A record that
//! passes compiles; the core itself checks that at the end.

mod conditions;

use std::collections::HashSet;

use waypost_api::{FieldError, ProblemCode};
use waypost_core::compact::compile;
use waypost_core::destination::{self, DestinationError, is_bare_host};
use waypost_core::json::NumberOrText;
use waypost_core::record::{AbTest, UtmTemplate, Utms};
use waypost_core::{LinkRecord, SchemePolicy, Timestamp};

use crate::links::own_hosts::OwnHosts;
use crate::unlocking::password::is_usable_hash;

/// General rules of one link.
pub(crate) const RULES_MAX: usize = 100;
/// Destinations by country, or for a time, or UTM templates, of one link.
const SIMPLE_RULES_MAX: usize = 300;
/// Entries of one list of a condition.
const CONDITION_ENTRIES_MAX: usize = 300;
/// Variants of a split that is switched on.
const VARIANTS: std::ops::RangeInclusive<usize> = 2..=20;
/// Bytes of a UTM value.
const UTM_BYTES_MAX: usize = 255;
/// Bytes of a name, an id, a language, a host or one side of a query parameter.
const TEXT_BYTES_MAX: usize = 255;
/// Bytes of a link in its compact form.
const COMPACT_BYTES_MAX: usize = 512 << 10;
/// What the status of a split may say; only the first applies.
const SPLIT_STATUSES: [&str; 5] = ["active", "draft", "inactive", "paused", "completed"];

/// What a record is checked against.
pub(crate) struct Rules<'a> {
    pub(crate) schemes: &'a SchemePolicy,
    pub(crate) own_hosts: &'a OwnHosts<'a>,
    /// Whether bare addresses and `localhost` are refused as hosts.
    pub(crate) refuse_addresses: bool,
}

/// Checks a record and brings its destinations into their serialisation.
pub(crate) fn check_record(record: &mut LinkRecord, rules: &Rules<'_>) -> Vec<FieldError> {
    let mut check = Check { rules, errors: Vec::new() };
    check.basics(record);
    check.lists(record);
    if check.errors.is_empty() {
        check.compiles(record);
    }
    check.errors
}

/// Checks one destination and gives its serialisation.
pub(crate) fn check_destination(field: &str, text: &str, rules: &Rules<'_>) -> Result<String, FieldError> {
    let error = |code, detail: String| FieldError { field: field.to_owned(), code, detail };
    let destination =
        destination::typed(text, rules.schemes).map_err(|fault| error(destination_code(&fault), fault.to_string()))?;
    if rules.own_hosts.lead_back(&destination) {
        let detail = "a link cannot lead to short links of this same instance";
        return Err(error(ProblemCode::DestinationLoop, detail.to_owned()));
    }
    if rules.refuse_addresses && is_bare_host(&destination) {
        let detail = "links created without an API key cannot lead to IP addresses or to names of a private network";
        return Err(error(ProblemCode::DestinationHost, detail.to_owned()));
    }
    Ok(destination.as_str().to_owned())
}

const fn destination_code(error: &DestinationError) -> ProblemCode {
    match error {
        DestinationError::Empty
        | DestinationError::ControlCharacter
        | DestinationError::NotAUrl { .. }
        | DestinationError::Slip { .. } => ProblemCode::DestinationInvalid,
        DestinationError::Length => ProblemCode::DestinationLength,
        DestinationError::Scheme { .. } | DestinationError::Wrapped { .. } => ProblemCode::DestinationScheme,
        DestinationError::Userinfo => ProblemCode::DestinationUserinfo,
    }
}

/// Refuses ids of rules that reports would take for the place of a rule without one: `#2`. What is stored already
/// stays.
pub(crate) fn check_rule_ids(record: &LinkRecord, stored: Option<&LinkRecord>) -> Vec<FieldError> {
    let is_place = |id: &NumberOrText| matches!(id, NumberOrText::Text(text) if text.starts_with('#'));
    let is_stored = |id: &NumberOrText| stored.is_some_and(|stored| rule_ids(stored).any(|(_, _, held)| held == id));
    let taken = rule_ids(record).filter(|(_, _, id)| is_place(id) && !is_stored(id));
    let refuse = |(list, index, _): (&str, usize, _)| FieldError {
        field: format!("{list}[{index}].id"),
        code: ProblemCode::InvalidField,
        detail:
            "cannot begin with #: reports name a rule without an id by its place, such as #2. Choose another id, or \
                 leave it out"
                .to_owned(),
    };
    taken.map(refuse).collect()
}

/// The ids that rules of a record have, each with its list and its index there.
fn rule_ids(record: &LinkRecord) -> impl Iterator<Item = (&'static str, usize, &NumberOrText)> {
    let rules = record.rules.iter().map(|rule| rule.id.as_ref());
    let evolution_rules = record.evolution_rules.iter().map(|rule| rule.id.as_ref());
    let geo_rules = record.geo_rules.iter().map(|rule| rule.id.as_ref());
    let all = rules.enumerate().map(|(index, id)| ("rules", index, id));
    let all = all.chain(evolution_rules.enumerate().map(|(index, id)| ("evolution_rules", index, id)));
    let all = all.chain(geo_rules.enumerate().map(|(index, id)| ("geo_rules", index, id)));
    all.filter_map(|(list, index, id)| Some((list, index, id?)))
}

struct Check<'a> {
    rules: &'a Rules<'a>,
    errors: Vec<FieldError>,
}

impl Check<'_> {
    fn require(&mut self, holds: bool, field: impl Into<String>, wanted: &str) {
        if !holds {
            self.errors.push(FieldError::invalid(field, wanted));
        }
    }

    fn destination(&mut self, field: &str, url: &mut String) {
        match check_destination(field, url, self.rules) {
            Ok(serialised) => *url = serialised,
            Err(error) => self.errors.push(error),
        }
    }

    fn basics(&mut self, record: &mut LinkRecord) {
        self.destination("destination_url", &mut record.destination_url);
        record.expired_url = record.expired_url.take().filter(|url| !url.is_empty());
        if let Some(url) = &mut record.expired_url {
            self.destination("expired_url", url);
        }
        let is_status = matches!(record.redirect_status, 301 | 302 | 303 | 307 | 308);
        self.require(is_status, "redirect_status", "301, 302, 303, 307 or 308");
        self.span("expires_at", record.starts_at, record.expires_at, "later than starts_at");
        if let Some(hash) = &record.password_hash {
            self.require(is_usable_hash(hash), "password_hash", "an argon2 hash (PHC string) of reasonable cost");
        }
        record.link_utms = record.link_utms.take().filter(|utms| utms.values().iter().any(Option::is_some));
        if let Some(utms) = &record.link_utms {
            self.utms("link_utms", utms);
        }
    }

    fn lists(&mut self, record: &mut LinkRecord) {
        self.count("rules", record.rules.len(), RULES_MAX);
        self.count("evolution_rules", record.evolution_rules.len(), SIMPLE_RULES_MAX);
        self.count("geo_rules", record.geo_rules.len(), SIMPLE_RULES_MAX);
        self.count("utm_templates", record.utm_templates.len(), SIMPLE_RULES_MAX);
        for (index, rule) in record.rules.iter_mut().enumerate() {
            let field = format!("rules[{index}]");
            self.id(&field, rule.id.as_ref());
            self.conditions(&format!("{field}.when"), &rule.when);
            match (&mut rule.to.url, &mut rule.to.ab_test) {
                (Some(url), None) => self.destination(&format!("{field}.to.url"), url),
                (None, Some(test)) => self.split(&format!("{field}.to.ab_test"), test),
                (Some(_), Some(_)) | (None, None) => {
                    self.require(false, format!("{field}.to"), "exactly one of url and ab_test");
                }
            }
        }
        for (index, rule) in record.evolution_rules.iter_mut().enumerate() {
            let field = format!("evolution_rules[{index}]");
            self.id(&field, rule.id.as_ref());
            self.span(&format!("{field}.ends_at"), rule.starts_at, rule.ends_at, "later than its starts_at");
            self.destination(&format!("{field}.destination_url"), &mut rule.destination_url);
        }
        for (index, rule) in record.geo_rules.iter_mut().enumerate() {
            let field = format!("geo_rules[{index}]");
            self.id(&field, rule.id.as_ref());
            self.country(&format!("{field}.country_code"), &rule.country_code);
            self.destination(&format!("{field}.destination_url"), &mut rule.destination_url);
        }
        if let Some(test) = &mut record.ab_test {
            self.split("ab_test", test);
        }
        for (index, template) in record.utm_templates.iter().enumerate() {
            self.template(&format!("utm_templates[{index}]"), template);
        }
    }

    fn split(&mut self, field: &str, test: &mut AbTest) {
        self.id(field, Some(&test.id));
        let is_active = test.status == "active";
        let is_known = SPLIT_STATUSES.contains(&test.status.as_str());
        self.require(is_known, format!("{field}.status"), "one of active, draft, inactive, paused, completed");
        let (variants, count) = (format!("{field}.variants"), test.variants.len());
        self.require(!is_active || VARIANTS.contains(&count), &variants, "a list of 2 to 20 variants");
        self.count(&variants, count, *VARIANTS.end());
        let total: u64 = test.variants.iter().map(|variant| u64::from(variant.weight)).sum();
        self.require(!is_active || total > 0, &variants, "of a total weight above 0");
        let mut ids = HashSet::new();
        for (index, variant) in test.variants.iter_mut().enumerate() {
            let field = format!("{variants}[{index}]");
            self.id(&field, Some(&variant.id));
            self.require(
                ids.insert(variant.id.as_text().into_owned()),
                format!("{field}.id"),
                "unlike those before it",
            );
            let name_bytes = variant.name.as_ref().map_or(0, String::len);
            self.require(name_bytes <= TEXT_BYTES_MAX, format!("{field}.name"), "at most 255 bytes long");
            self.destination(&format!("{field}.destination_url"), &mut variant.destination_url);
        }
    }

    fn template(&mut self, field: &str, template: &UtmTemplate) {
        self.sites(&format!("{field}.platform_domains"), &template.platform_domains);
        self.utms(field, &template.utms);
    }

    fn utms(&mut self, field: &str, utms: &Utms) {
        let names = ["utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"];
        for (name, value) in names.iter().zip(utms.values()) {
            let value = value.unwrap_or_default();
            let fits = value.len() <= UTM_BYTES_MAX && !value.chars().any(char::is_control);
            self.require(fits, format!("{field}.{name}"), "at most 255 bytes long, without control characters");
        }
    }

    fn id(&mut self, field: &str, id: Option<&NumberOrText>) {
        if let Some(NumberOrText::Text(text)) = id {
            let fits = (1..=TEXT_BYTES_MAX).contains(&text.len());
            self.require(fits, format!("{field}.id"), "a number, or a string of 1 to 255 bytes");
        }
    }

    fn count(&mut self, field: &str, count: usize, max: usize) {
        self.require(count <= max, field, &format!("a list of at most {max} entries"));
    }

    fn span(&mut self, field: &str, from: Option<Timestamp>, until: Option<Timestamp>, wanted: &str) {
        let is_span = from.zip(until).is_none_or(|(from, until)| from < until);
        self.require(is_span, field, wanted);
    }

    fn compiles(&mut self, record: &LinkRecord) {
        match compile(record, self.rules.schemes) {
            Ok(bytes) => {
                self.require(bytes.len() <= COMPACT_BYTES_MAX, "", "smaller: the link with all its rules is too large");
            }
            Err(error) => self.errors.push(FieldError {
                field: error.field,
                code: ProblemCode::InvalidField,
                detail: error.fault.to_string(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::settings::PublicUrl;

    #[track_caller]
    fn check(mut link: Value, expect: &[(&str, &str)]) {
        let defaults = json!({"destination_url": "https://a.example/"});
        for (name, value) in defaults.as_object().into_iter().flatten() {
            link.as_object_mut().expect("an object").entry(name).or_insert(value.clone());
        }
        let mut record: LinkRecord = serde_json::from_value(link).expect("a record");
        let public_url = PublicUrl::parse("https://go.example").expect("a public URL");
        let own_hosts = OwnHosts::new(&public_url, Arc::default());
        let rules = Rules { schemes: &SchemePolicy::web(), own_hosts: &own_hosts, refuse_addresses: false };
        let errors = check_record(&mut record, &rules);
        let found: Vec<_> = errors.iter().map(|error| (error.field.as_str(), error.code.name())).collect();
        assert_eq!(found, expect);
    }

    fn variant(id: u32, weight: u32) -> Value {
        json!({"id": id, "destination_url": "https://v.example/", "weight": weight})
    }

    #[test]
    fn destinations_everywhere() {
        check(json!({}), &[]);
        for (url, code) in [
            ("", "destination_invalid"),
            ("nonsense", "destination_invalid"),
            ("javascript:alert(1)", "destination_scheme"),
            ("https://user:pw@a.example/", "destination_userinfo"),
            ("https://go.example/x", "destination_loop"),
        ] {
            check(json!({"destination_url": url}), &[("destination_url", code)]);
            check(json!({"rules": [{"to": {"url": url}}]}), &[("rules[0].to.url", code)]);
            check(
                json!({"geo_rules": [{"country_code": "de", "destination_url": url}]}),
                &[("geo_rules[0].destination_url", code)],
            );
            check(
                json!({"evolution_rules": [{"destination_url": url}]}),
                &[("evolution_rules[0].destination_url", code)],
            );
        }
        let long = format!("https://a.example/{}", "x".repeat(9000));
        check(json!({"expired_url": long}), &[("expired_url", "destination_length")]);
        check(json!({"expired_url": ""}), &[]);
    }

    #[test]
    fn conditions() {
        let when = |when: Value| json!({"rules": [{"when": when, "to": {"url": "https://b.example/"}}]});
        check(
            when(json!({"countries": ["DE", "at"], "devices": ["Mobile"], "os": ["ios"], "languages": ["de-AT"],
            "referrers": ["t.co"], "query": {"ref": ""}, "from": "2026-01-01T00:00:00Z"})),
            &[],
        );
        for (name, bad, field) in [
            ("countries", json!([]), "rules[0].when.countries"),
            ("countries", json!(["DEU"]), "rules[0].when.countries[0]"),
            ("countries", json!(["GB", "UK"]), "rules[0].when.countries[1]"),
            ("countries", json!(["XX"]), "rules[0].when.countries[0]"),
            ("languages", json!(["en-UK"]), "rules[0].when.languages[0]"),
            ("referrers", json!(["*.twitter.com"]), "rules[0].when.referrers[0]"),
            ("devices", json!(["phone"]), "rules[0].when.devices[0]"),
            ("os", json!(["ios", "beos"]), "rules[0].when.os[1]"),
            ("languages", json!(["de_AT"]), "rules[0].when.languages[0]"),
            ("referrers", json!(["https://t.co/"]), "rules[0].when.referrers[0]"),
            ("query", json!({}), "rules[0].when.query"),
        ] {
            check(when(json!({name: bad})), &[(field, "invalid_field")]);
        }
        let berlin = json!({"hours": ["mon-fri 09:00-17:00"], "time_zone": "Europe/Berlin", "time_zone_rule": "CET-1CEST,M3.5.0,M10.5.0/3"});
        check(
            when(json!({"regions": ["DE-BY"], "cities": ["Munich"], "addresses": ["192.0.2.7", "2001:db8::/32"],
                "browsers": ["Firefox"], "preferred_languages": ["de"], "query_present": ["ref"], "schedule": berlin,
                "not": {"countries": ["DE"], "query_present": ["x"], "schedule": {"hours": ["sun"]}}})),
            &[],
        );
        for (name, bad, field) in [
            ("regions", json!(["BY"]), "regions[0]"),
            ("regions", json!(["XX-BY"]), "regions[0]"),
            ("regions", json!(["DE-BAYERN"]), "regions[0]"),
            ("cities", json!(["Munich", " "]), "cities[1]"),
            ("addresses", json!(["192.0.2.0/33"]), "addresses[0]"),
            ("addresses", json!(["example.com"]), "addresses[0]"),
            ("addresses", json!(vec!["192.0.2.7"; 301]), "addresses"),
            ("browsers", json!(["ie"]), "browsers[0]"),
            ("browsers", json!([]), "browsers"),
            ("preferred_languages", json!(["*"]), "preferred_languages[0]"),
            ("query_present", json!([""]), "query_present[0]"),
            ("schedule", json!({"hours": []}), "schedule.hours"),
            ("schedule", json!({"hours": ["9-17"]}), "schedule.hours[0]"),
            ("schedule", json!({"hours": ["sun"], "time_zone": "Europe/Berlin"}), "schedule.time_zone"),
            ("schedule", json!({"hours": ["sun"], "time_zone_rule": "X"}), "schedule.time_zone"),
            ("not", json!({}), "not"),
            ("not", json!({"countries": ["UK"]}), "not.countries[0]"),
            ("not", json!({"os": []}), "not.os"),
            ("not", json!({"from": "2026-01-01T00:00:00Z"}), "not.from"),
            ("not", json!({"until": "2026-01-01T00:00:00Z"}), "not.until"),
            ("not", json!({"preferred_languages": ["de"]}), "not.preferred_languages"),
            ("not", json!({"not": {"os": ["ios"]}}), "not.not"),
        ] {
            check(when(json!({name: bad})), &[(&format!("rules[0].when.{field}"), "invalid_field")]);
        }
        check(
            when(json!({"from": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"})),
            &[("rules[0].when.until", "invalid_field")],
        );
        check(json!({"rules": [{"to": {}}]}), &[("rules[0].to", "invalid_field")]);
        let many: Vec<_> = (0..101).map(|_| json!({"to": {"url": "https://b.example/"}})).collect();
        check(json!({"rules": many}), &[("rules", "invalid_field")]);
    }

    #[test]
    fn splits() {
        let split =
            |status: &str, variants: Vec<Value>| json!({"ab_test": {"id": 1, "status": status, "variants": variants}});
        check(split("active", vec![variant(1, 1), variant(2, 0)]), &[]);
        check(split("draft", vec![]), &[]);
        check(split("active", vec![variant(1, 1)]), &[("ab_test.variants", "invalid_field")]);
        check(split("active", vec![variant(1, 0), variant(2, 0)]), &[("ab_test.variants", "invalid_field")]);
        check(split("active", vec![variant(1, 1), variant(1, 1)]), &[("ab_test.variants[1].id", "invalid_field")]);
        check(split("running", vec![]), &[("ab_test.status", "invalid_field")]);
        check(split("draft", (0..21).map(|id| variant(id, 1)).collect()), &[("ab_test.variants", "invalid_field")]);
    }

    #[test]
    fn the_rest() {
        check(json!({"redirect_status": 200}), &[("redirect_status", "invalid_field")]);
        check(
            json!({"starts_at": "2026-01-02T00:00:00Z", "expires_at": "2026-01-02T00:00:00Z"}),
            &[("expires_at", "invalid_field")],
        );
        check(json!({"link_utms": {"utm_term": "x".repeat(256)}}), &[("link_utms.utm_term", "invalid_field")]);
        check(
            json!({"utm_templates": [{"utm_source": "x"}]}),
            &[("utm_templates[0].platform_domains", "invalid_field")],
        );
        check(json!({"password_hash": "plain"}), &[("password_hash", "invalid_field")]);
        check(
            json!({"redirect_status": 200, "destination_url": "x"}),
            &[("destination_url", "destination_invalid"), ("redirect_status", "invalid_field")],
        );
    }
}
