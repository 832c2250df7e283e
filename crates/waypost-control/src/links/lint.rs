//! What is odd about a link that is valid: rules that never apply, rules that hide others, destinations that may not be meant.
//!
//! Pure functions of a record. Each save answers with the warnings, `POST .../lint` with the notes too. Nothing is refused here;
//! `check.rs` does that.

mod implies;

use std::borrow::Cow;
use std::collections::HashSet;

use waypost_api::lint::{Finding, FindingCode, FindingLevel};
use waypost_core::destination::{Destination, SchemePolicy};
use waypost_core::record::{AbTest, Conditions};
use waypost_core::{LinkRecord, Timestamp};

use self::implies::{contradiction, implies, overlap};
use crate::links::own_hosts::OwnHosts;

/// Proxies with their default buffers refuse answers with a longer `Location`: nginx takes 4 KB for all headers
/// together.
const LOCATION_BYTES_SAFE: usize = 3_500;
/// Findings of one link.
const FINDINGS_MAX: usize = 100;

/// The warnings about a link, each as one line: what a save answers.
pub(crate) fn warnings_of(record: &LinkRecord, now: Timestamp) -> Vec<String> {
    let findings = Lint { record, now, findings: Vec::new() }.run(None);
    findings.iter().filter(|finding| finding.level == FindingLevel::Warning).map(Finding::to_text).collect()
}

/// Everything that is odd about a link.
pub(crate) fn lint(
    record: &LinkRecord,
    own_hosts: &OwnHosts<'_>,
    schemes: &SchemePolicy,
    now: Timestamp,
) -> Vec<Finding> {
    Lint { record, now, findings: Vec::new() }.run(Some((own_hosts, schemes)))
}

struct Lint<'r> {
    record: &'r LinkRecord,
    now: Timestamp,
    findings: Vec<Finding>,
}

/// A rule of any kind, in the order in which they are tried.
struct Tried<'r> {
    field: String,
    when: Cow<'r, Conditions>,
    /// Where it leads, if it takes every visit that it matches; a split that does not apply takes none.
    target: Option<Target<'r>>,
}

#[derive(PartialEq)]
enum Target<'r> {
    Url(&'r str),
    Split(&'r AbTest),
}

impl<'r> Lint<'r> {
    fn run(mut self, own: Option<(&OwnHosts<'_>, &SchemePolicy)>) -> Vec<Finding> {
        self.times();
        if !self.record.rules.is_empty() || !self.record.geo_rules.is_empty() || !self.record.evolution_rules.is_empty()
        {
            self.rules();
        }
        let destinations = destinations(self.record);
        if let Some((own_hosts, schemes)) = own {
            self.destinations(&destinations, own_hosts, schemes);
        }
        let longest = destinations.iter().max_by_key(|(_, url)| url.len());
        if let Some((field, url)) = longest.filter(|(_, url)| url.len() > LOCATION_BYTES_SAFE) {
            let detail = format!(
                "of {} bytes: behind nginx with its default buffers a destination of more than {LOCATION_BYTES_SAFE} bytes may be \
                 answered with 502; see proxy_buffer_size in docs/proxies.md",
                url.len()
            );
            self.warn(FindingCode::LongDestination, field, None, detail);
        }
        self.findings
    }

    fn warn(&mut self, code: FindingCode, field: &str, other: Option<&str>, detail: String) {
        self.add(code, FindingLevel::Warning, field, other, detail);
    }

    fn note(&mut self, code: FindingCode, field: &str, other: Option<&str>, detail: String) {
        self.add(code, FindingLevel::Note, field, other, detail);
    }

    fn add(&mut self, code: FindingCode, level: FindingLevel, field: &str, other: Option<&str>, detail: String) {
        if self.findings.len() < FINDINGS_MAX {
            let (field, other) = (field.to_owned(), other.map(str::to_owned));
            self.findings.push(Finding { code, level, field, other, detail });
        }
    }

    fn times(&mut self) {
        let record = self.record;
        if let Some(ended) = record.expires_at.filter(|expires_at| *expires_at <= self.now) {
            let then =
                if record.expired_url.is_some() { "leads to its expired_url" } else { "answers that it has expired" };
            let detail = format!("{ended} is in the past, so the link {then} from the start");
            self.warn(FindingCode::Expired, "expires_at", None, detail);
        }
        for (index, rule) in record.evolution_rules.iter().enumerate() {
            self.over(&format!("evolution_rules[{index}].ends_at"), rule.ends_at);
        }
        for (index, rule) in record.rules.iter().enumerate() {
            self.over(&format!("rules[{index}].when.until"), rule.when.until);
        }
    }

    fn over(&mut self, field: &str, until: Option<Timestamp>) {
        if let Some(until) = until.filter(|until| *until <= self.now) {
            let detail = format!("{until} is in the past, so the rule never applies");
            self.warn(FindingCode::NeverTrue, field, None, detail);
        }
    }

    fn rules(&mut self) {
        let (tried, now) = (tried(self.record), self.now);
        let mut never = HashSet::new();
        for (index, rule) in tried.iter().enumerate() {
            if let Some(why) = contradiction(&rule.when) {
                never.insert(index);
                self.warn(
                    FindingCode::NeverTrue,
                    &format!("{}.when", rule.field),
                    None,
                    format!("no visit can match: {why}"),
                );
            }
        }
        for (index, rule) in tried.iter().enumerate().filter(|(index, _)| !never.contains(index)) {
            let before = tried[..index].iter().enumerate().filter(|(index, other)| {
                !never.contains(index) && other.target.is_some() && !is_over(&other.when, now)
            });
            for (_, other) in before {
                if implies(&rule.when, &other.when) {
                    let detail =
                        format!("{} before it matches every visitor that it matches, so it never applies", other.field);
                    self.warn(FindingCode::Shadowed, &rule.field, Some(&other.field), detail);
                    break;
                }
                if rule.target.is_some() && rule.target != other.target && overlap(&rule.when, &other.when) {
                    let detail = format!("{} before it matches some of its visitors, who go there", other.field);
                    self.note(FindingCode::Overlapping, &rule.field, Some(&other.field), detail);
                }
            }
            if index + 1 < tried.len() && *rule.when == Conditions::default() && rule.target.is_some() {
                let detail =
                    "has no condition, so this rule matches every visitor, and no rule after it applies".to_owned();
                self.warn(FindingCode::Unreachable, &format!("{}.when", rule.field), None, detail);
                break;
            }
        }
    }

    fn destinations(&mut self, all: &[(String, &'r str)], own_hosts: &OwnHosts<'_>, schemes: &SchemePolicy) {
        for (field, url) in all {
            if Destination::parse(url, schemes).is_ok_and(|destination| own_hosts.lead_back(&destination)) {
                let detail = "leads to a host of this instance, so it may go round in circles".to_owned();
                self.warn(FindingCode::Loop, field, None, detail);
            }
            if url.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://")) {
                let detail = "is not encrypted: use https if the destination has it".to_owned();
                self.note(FindingCode::Http, field, None, detail);
            }
        }
    }
}

/// Whether a rule has ended, so that it takes nobody any more.
fn is_over(when: &Conditions, now: Timestamp) -> bool {
    when.until.is_some_and(|until| until <= now)
}

/// All rules of a record in the order in which they are tried.
fn tried(record: &LinkRecord) -> Vec<Tried<'_>> {
    let takes = |test: &AbTest| test.status == "active" && test.variants.iter().any(|variant| variant.weight > 0);
    let rules = record.rules.iter().enumerate().map(|(index, rule)| {
        let split = rule.to.ab_test.as_ref().filter(|test| takes(test)).map(Target::Split);
        let target = rule.to.url.as_deref().map(Target::Url).or(split);
        Tried { field: format!("rules[{index}]"), when: Cow::Borrowed(&rule.when), target }
    });
    let mut evolution: Vec<_> = record.evolution_rules.iter().enumerate().collect();
    evolution.sort_by(|(_, one), (_, other)| one.rank().cmp(&other.rank()));
    let evolution = evolution.into_iter().map(|(index, rule)| Tried {
        field: format!("evolution_rules[{index}]"),
        when: Cow::Owned(Conditions { from: rule.starts_at, until: rule.ends_at, ..Conditions::default() }),
        target: Some(Target::Url(&rule.destination_url)),
    });
    let geo = record.geo_rules.iter().enumerate().map(|(index, rule)| Tried {
        field: format!("geo_rules[{index}]"),
        when: Cow::Owned(Conditions { countries: Some(vec![rule.country_code.clone()]), ..Conditions::default() }),
        target: Some(Target::Url(&rule.destination_url)),
    });
    rules.chain(evolution).chain(geo).collect()
}

/// All destinations of a link, each with its field.
fn destinations(record: &LinkRecord) -> Vec<(String, &str)> {
    let mut all = vec![("destination_url".to_owned(), record.destination_url.as_str())];
    all.extend(record.expired_url.iter().map(|url| ("expired_url".to_owned(), url.as_str())));
    for (index, rule) in record.rules.iter().enumerate() {
        all.extend(rule.to.url.iter().map(|url| (format!("rules[{index}].to.url"), url.as_str())));
        all.extend(rule.to.ab_test.iter().flat_map(|test| of_split(format!("rules[{index}].to.ab_test"), test)));
    }
    let evolution = record.evolution_rules.iter().enumerate();
    all.extend(evolution.map(|(index, rule)| (format!("evolution_rules[{index}]"), rule.destination_url.as_str())));
    let geo = record.geo_rules.iter().enumerate();
    all.extend(geo.map(|(index, rule)| (format!("geo_rules[{index}]"), rule.destination_url.as_str())));
    all.extend(record.ab_test.iter().flat_map(|test| of_split("ab_test".to_owned(), test)));
    all
}

/// The destinations of a split.
fn of_split(field: String, test: &AbTest) -> impl Iterator<Item = (String, &str)> {
    let variants = test.variants.iter().enumerate();
    variants.map(move |(index, variant)| (format!("{field}.variants[{index}]"), variant.destination_url.as_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(link: Value, expect: &[&str]) {
        let record: LinkRecord = serde_json::from_value(link).expect("a record");
        let warnings = warnings_of(&record, "2026-06-01T00:00:00Z".parse().expect("a time"));
        assert_eq!(warnings.len(), expect.len(), "{warnings:?}");
        for (warning, part) in warnings.iter().zip(expect) {
            assert!(warning.contains(part), "{warning}");
        }
    }

    #[test]
    fn what_is_over_and_what_is_long() {
        let url = "https://a.example/";
        check(json!({"destination_url": url, "expires_at": "2026-06-01T00:00:01Z"}), &[]);
        check(json!({"destination_url": url, "expires_at": "2026-06-01T00:00:00Z"}), &["answers that it has expired"]);
        check(
            json!({"destination_url": url, "expires_at": "2025-01-01T00:00:00Z", "expired_url": url}),
            &["expires_at: 2025-01-01T00:00:00Z is in the past, so the link leads to its expired_url"],
        );
        check(
            json!({"destination_url": url, "evolution_rules": [{"destination_url": url, "ends_at": "2025-01-01T00:00:00Z"}],
                "rules": [{"when": {"until": "2025-01-01T00:00:00Z"}, "to": {"url": url}}]}),
            &["evolution_rules[0].ends_at", "rules[0].when.until"],
        );
        let (all, some) = (json!({"to": {"url": url}}), json!({"when": {"os": ["ios"]}, "to": {"url": url}}));
        check(json!({"destination_url": url, "rules": [some, all]}), &[]);
        check(json!({"destination_url": url, "rules": [all, some]}), &["rules[0].when: has no condition"]);
        let long = |bytes: usize| format!("{url}{}", "x".repeat(bytes - url.len()));
        check(json!({"destination_url": long(3_500)}), &[]);
        check(json!({"destination_url": long(3_501)}), &["destination_url: of 3501 bytes"]);
        check(
            json!({"destination_url": url, "ab_test": {"id": 1, "variants": [{"id": 1, "destination_url": long(8_000), "weight": 1}]}}),
            &["ab_test.variants[0]: of 8000 bytes"],
        );
    }

    /// The codes, fields and earlier rules of all findings about these rules, each of which leads elsewhere.
    #[track_caller]
    fn found(rules: &[Value], expect: &[&str]) {
        let rule = |(index, when)| json!({"when": when, "to": {"url": format!("https://{index}.example/")}});
        let rules: Vec<Value> = rules.iter().enumerate().map(rule).collect();
        let record = json!({"destination_url": "https://a.example/", "rules": rules});
        found_in(record, expect);
    }

    #[track_caller]
    fn found_in(record: Value, expect: &[&str]) {
        let record: LinkRecord = serde_json::from_value(record).expect("a record");
        let now = "2026-06-01T00:00:00Z".parse().expect("a time");
        let findings = Lint { record: &record, now, findings: Vec::new() }.run(None);
        let show = |finding: &Finding| {
            let code = serde_json::to_value(finding.code).expect("a code");
            let code = code.as_str().unwrap_or_default();
            let other = finding.other.as_ref().map(|other| format!(" by {other}")).unwrap_or_default();
            format!("{code} {}{other}", finding.field)
        };
        assert_eq!(findings.iter().map(show).collect::<Vec<_>>(), expect, "{findings:?}");
    }

    #[test]
    fn rules_that_hide_others() {
        let (de, dach) = (json!({"countries": ["DE"]}), json!({"countries": ["de", "AT", "CH"]}));
        found(&[de.clone(), dach.clone()], &["overlapping rules[1] by rules[0]"]);
        found(&[dach.clone(), de.clone()], &["shadowed rules[1] by rules[0]"]);
        found(&[dach.clone(), json!({"countries": ["DE"], "os": ["ios"]})], &["shadowed rules[1] by rules[0]"]);
        found(&[json!({"countries": ["DE"], "os": ["ios"]}), de.clone()], &[]);
        found(&[json!({"languages": ["de"]}), json!({"languages": ["de-AT"]})], &["shadowed rules[1] by rules[0]"]);
        found(&[json!({"languages": ["de-AT"]}), json!({"languages": ["de"]})], &["overlapping rules[1] by rules[0]"]);
        found(&[json!({"languages": ["de"]}), json!({"languages": ["den"]})], &[]);
        found(
            &[json!({"referrers": ["x.com"]}), json!({"referrers": ["m.x.com"]})],
            &["shadowed rules[1] by rules[0]"],
        );
        let (wide, narrow) = (json!({"addresses": ["10.0.0.0/8"]}), json!({"addresses": ["10.1.0.0/16", "10.2.3.4"]}));
        found(&[wide.clone(), narrow.clone()], &["shadowed rules[1] by rules[0]"]);
        found(&[narrow, wide], &["overlapping rules[1] by rules[0]"]);
        let query = |value| json!({"query": {"ref": value}});
        found(&[query("a"), query("b")], &[]);
        found(&[json!({"query_present": ["ref"]}), query("b")], &["shadowed rules[1] by rules[0]"]);
        found(&[query("b"), json!({"query_present": ["ref"]})], &[]);
        let from = |from: &str| json!({"from": from});
        found(&[from("2026-07-01T00:00:00Z"), from("2026-08-01T00:00:00Z")], &["shadowed rules[1] by rules[0]"]);
        found(&[json!({}), de.clone()], &["unreachable rules[0].when"]);
        found(&[de, json!({})], &[]);
    }

    #[test]
    fn hours_and_exceptions() {
        let hours = |hours: &str| json!({"schedule": {"hours": [hours], "time_zone_rule": "CET-1"}});
        let (week, noon) = (hours("mon-fri 09:00-17:00"), hours("tue 12:00-13:00"));
        found(&[week.clone(), noon.clone()], &["shadowed rules[1] by rules[0]"]);
        found(&[noon, week.clone()], &["overlapping rules[1] by rules[0]"]);
        found(&[week, hours("sat")], &[]);
        found(&[hours("00:00-24:00"), json!({"schedule": {"hours": ["sun"]}})], &["shadowed rules[1] by rules[0]"]);
        let not = |countries: &[&str]| json!({"not": {"countries": countries}});
        found(&[not(&["DE"]), not(&["AT", "DE"])], &["shadowed rules[1] by rules[0]"]);
        found(&[not(&["AT", "DE"]), not(&["DE"])], &[]);
        found(&[not(&["DE"]), json!({"countries": ["FR"]})], &["shadowed rules[1] by rules[0]"]);
        found(&[not(&["DE"]), json!({"countries": ["FR", "DE"]})], &[]);
        found(&[json!({"not": {"languages": ["de"]}}), json!({"languages": ["fr"]})], &[]);
    }

    #[test]
    fn rules_that_nobody_can_match() {
        for when in [
            json!({"countries": ["DE"], "not": {"countries": ["de", "AT"]}}),
            json!({"countries": ["DE"], "regions": ["AT-9"]}),
            json!({"addresses": ["10.1.0.0/16"], "not": {"addresses": ["10.0.0.0/8"]}}),
            json!({"query": {"ref": "x"}, "not": {"query_present": ["ref"]}}),
            json!({"query_present": ["ref"], "not": {"query_present": ["ref"]}}),
            json!({"query": {"ref": "x"}, "not": {"query": {"ref": "x"}}}),
            json!({"schedule": {"hours": ["sun"]}, "not": {"schedule": {"hours": ["sat,sun"]}}}),
        ] {
            found(&[when, json!({"countries": ["DE"]})], &["never_true rules[0].when"]);
        }
        found(&[json!({"countries": ["DE"], "not": {"regions": ["DE-BY"]}})], &[]);
    }

    #[test]
    fn short_forms_are_rules_too() {
        let url = "https://a.example/";
        let geo =
            json!([{"country_code": "DE", "destination_url": url}, {"country_code": "de", "destination_url": url}]);
        found_in(json!({"destination_url": url, "geo_rules": geo}), &["shadowed geo_rules[1] by geo_rules[0]"]);
        let evolution = json!([{"destination_url": url, "starts_at": "2026-07-01T00:00:00Z"}, {"destination_url": url, "priority": 1}]);
        found_in(
            json!({"destination_url": url, "evolution_rules": evolution, "geo_rules": geo}),
            &["unreachable evolution_rules[1].when"],
        );
        let split = json!({"id": 1, "status": "paused", "variants": []});
        found_in(
            json!({"destination_url": url, "rules": [{"to": {"ab_test": split}}], "geo_rules": [{"country_code": "DE", "destination_url": url}]}),
            &[],
        );
    }
}
