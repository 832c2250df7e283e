//! Warnings about a link that is valid but may not be what its owner meant.

use waypost_core::record::{Conditions, Rule};
use waypost_core::{LinkRecord, Timestamp};

/// Proxies with their default buffers refuse answers with a longer `Location`: nginx takes 4 KB for all headers
/// together.
const LOCATION_BYTES_SAFE: usize = 3_500;

/// What is worth saying of this link, for people.
pub(crate) fn warnings_of(record: &LinkRecord, now: Timestamp) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(ended) = record.expires_at.filter(|expires_at| *expires_at <= now) {
        let then =
            if record.expired_url.is_some() { "leads to its expired_url" } else { "answers that it has expired" };
        warnings.push(format!("expires_at: {ended} is in the past, so the link {then} from the start"));
    }
    for (index, rule) in record.evolution_rules.iter().enumerate() {
        over(&format!("evolution_rules[{index}].ends_at"), rule.ends_at, now, &mut warnings);
    }
    for (index, rule) in record.rules.iter().enumerate() {
        over(&format!("rules[{index}].when.until"), rule.when.until, now, &mut warnings);
    }
    if let Some(index) = record.rules.iter().position(takes_everyone)
        && index + 1 < record.rules.len() + record.evolution_rules.len() + record.geo_rules.len()
    {
        warnings.push(format!(
            "rules[{index}].when: has no condition, so this rule matches every visitor, and no rule after it applies"
        ));
    }
    if let Some((field, bytes)) = longest_destination(record)
        && bytes > LOCATION_BYTES_SAFE
    {
        warnings.push(format!(
            "{field}: of {bytes} bytes: behind nginx with its default buffers a destination of more than {LOCATION_BYTES_SAFE} bytes \
             may be answered with 502; see proxy_buffer_size in docs/proxies.md"
        ));
    }
    warnings
}

/// A rule without conditions; a split that is not at work takes nobody.
fn takes_everyone(rule: &Rule) -> bool {
    rule.when == Conditions::default() && rule.to.url.is_some()
}

fn over(field: &str, until: Option<Timestamp>, now: Timestamp, warnings: &mut Vec<String>) {
    if let Some(until) = until.filter(|until| *until <= now) {
        warnings.push(format!("{field}: {until} is in the past, so the rule never applies"));
    }
}

/// The longest of all destinations of a link.
fn longest_destination(record: &LinkRecord) -> Option<(String, usize)> {
    let mut all = vec![("destination_url".to_owned(), record.destination_url.len())];
    all.extend(record.expired_url.iter().map(|url| ("expired_url".to_owned(), url.len())));
    for (index, rule) in record.rules.iter().enumerate() {
        all.extend(rule.to.url.iter().map(|url| (format!("rules[{index}].to.url"), url.len())));
        let variants = rule.to.ab_test.iter().flat_map(|test| &test.variants);
        all.extend(variants.map(|variant| (format!("rules[{index}].to.ab_test"), variant.destination_url.len())));
    }
    let evolution = record.evolution_rules.iter().enumerate();
    all.extend(evolution.map(|(index, rule)| (format!("evolution_rules[{index}]"), rule.destination_url.len())));
    let geo = record.geo_rules.iter().enumerate();
    all.extend(geo.map(|(index, rule)| (format!("geo_rules[{index}]"), rule.destination_url.len())));
    let variants = record.ab_test.iter().flat_map(|test| &test.variants).enumerate();
    all.extend(variants.map(|(index, variant)| (format!("ab_test.variants[{index}]"), variant.destination_url.len())));
    all.into_iter().max_by_key(|(_, bytes)| *bytes)
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
}
