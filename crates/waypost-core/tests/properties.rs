//! Properties of the core: `decide` is total and deterministic, splits keep their shares, the compact form keeps
//! records, and a `Location` never contains bytes from a visitor that a header cannot hold.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::net::IpAddr;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use waypost_core::compact::{CompactLink, compile};
use waypost_core::decide::{Action, decide, explain};
use waypost_core::json::NumberOrText;
use waypost_core::record::{
    AbTest, Conditions, EvolutionRule, GeoRule, LinkRecord, Rule, RuleTarget, Schedule, UtmTemplate, Utms, Variant,
};
use waypost_core::visit::{Method, Unlock, Visit};
use waypost_core::{SchemePolicy, Timestamp, query, slug, split};

fn url() -> impl Strategy<Value = String> {
    ("[a-z]{1,8}", "[ -~äß日]{0,20}", option::of("[ -~ä]{0,20}"), option::of("[ -~]{0,8}")).prop_map(
        |(host, path, query, fragment)| {
            let query = query.map(|query| format!("?{query}")).unwrap_or_default();
            let fragment = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
            format!("https://{host}.example/{path}{query}{fragment}")
        },
    )
}

fn id() -> impl Strategy<Value = NumberOrText> {
    prop_oneof![any::<i64>().prop_map(NumberOrText::Number), ".{0,6}".prop_map(NumberOrText::Text)]
}

fn time() -> impl Strategy<Value = Timestamp> {
    (-3i64..4).prop_map(|days| Timestamp::from_micros(1_770_000_000_000_000 + days * 86_400_000_000))
}

fn test() -> impl Strategy<Value = AbTest> {
    let variant = (id(), url(), 0u32..4).prop_map(|(id, destination_url, weight)| Variant {
        id,
        name: None,
        destination_url,
        weight,
    });
    (id(), prop_oneof![Just("active"), Just("paused")], vec(variant, 0..4)).prop_map(|(id, status, variants)| AbTest {
        id,
        status: status.into(),
        variants,
    })
}

fn conditions() -> impl Strategy<Value = Conditions> {
    let words =
        |known: &'static [&'static str]| option::of(vec(prop::sample::select(known).prop_map(str::to_owned), 0..3));
    (
        words(&["DE", "at", "GBR", ""]),
        words(&["mobile", "desktop", "watch"]),
        words(&["ios", "linux", "other"]),
        words(&["de", "en-GB", "*", ""]),
        words(&["t.co", "example.org", "", "bücher.example"]),
        option::of(btree_map("[a-c]{1}", "[a-c ]{0,2}", 0..3)),
        option::of(time()),
        option::of(time()),
    )
        .prop_map(|(countries, devices, os, languages, referrers, query, from, until)| Conditions {
            countries,
            devices,
            os,
            languages,
            referrers,
            query,
            from,
            until,
            ..Conditions::default()
        })
}

/// [`conditions`], and those that fewer rules have.
fn all_conditions() -> impl Strategy<Value = Conditions> {
    let words = |known: &'static [&'static str]| {
        option::weighted(0.2, vec(prop::sample::select(known).prop_map(str::to_owned), 0..3))
    };
    let zone = prop::sample::select(vec![None, Some("CET-1CEST,M3.5.0,M10.5.0/3"), Some("IST-1GMT0,M10.5.0,M3.5.0/1")]);
    let hours = vec(prop::sample::select(vec!["mon-fri 09:00-17:00", "22:00-06:00", "sun", "never"]), 0..3);
    let schedule = (hours, zone).prop_map(|(hours, rule)| Schedule {
        hours: hours.into_iter().map(str::to_owned).collect(),
        time_zone: None,
        time_zone_rule: rule.map(str::to_owned),
    });
    let more = (
        words(&["chrome", "other", "netscape"]),
        words(&["DE-BY", "de-be", ""]),
        words(&["Munich", "São Paulo", ""]),
        words(&["192.0.2.0/24", "::/0", "0.0.0.0/1", "x"]),
        words(&["a", "b"]),
        words(&["de", "en", "*"]),
        option::weighted(0.2, schedule),
    );
    (conditions(), more, option::weighted(0.3, conditions())).prop_map(|(when, more, not)| {
        let (browsers, regions, cities, addresses, query_present, preferred_languages, schedule) = more;
        let not = not.map(Box::new);
        Conditions { browsers, regions, cities, addresses, query_present, preferred_languages, schedule, not, ..when }
    })
}

fn utms() -> impl Strategy<Value = Utms> {
    (option::of(".{0,8}"), option::of(".{0,8}"), option::of("[a-z]{0,3}")).prop_map(|(source, medium, content)| Utms {
        utm_source: source,
        utm_medium: medium,
        utm_content: content,
        ..Utms::default()
    })
}

prop_compose! {
    fn record()(
        destination_url in url(),
        (version, redirect_status, forward_query, enabled) in (any::<u64>(), prop::sample::select(vec![301u16, 302, 303, 307, 308]), any::<bool>(), prop::bool::weighted(0.9)),
        (starts_at, expires_at, expired_url, password_hash) in (option::weighted(0.2, time()), option::weighted(0.2, time()), option::of(url()), option::weighted(0.1, ".{0,10}")),
        rules in vec((option::of(id()), all_conditions(), prop_oneof![url().prop_map(|url| RuleTarget { url: Some(url), ab_test: None }), test().prop_map(|test| RuleTarget { url: None, ab_test: Some(test) })]).prop_map(|(id, when, to)| Rule { id, when, to }), 0..4),
        evolution_rules in vec((option::of(id()), -2i64..3, option::of(time()), option::of(time()), url()).prop_map(|(id, priority, starts_at, ends_at, destination_url)| EvolutionRule { id, priority, starts_at, ends_at, destination_url }), 0..4),
        geo_rules in vec(("[A-Za-z]{0,3}", url()).prop_map(|(country_code, destination_url)| GeoRule { id: None, country_code, destination_url }), 0..3),
        ab_test in option::of(test()),
        (link_utms, utm_templates) in (option::of(utms()), vec((vec(prop::sample::select(vec!["t.co", "example.org", ""]).prop_map(str::to_owned), 0..3), utms()).prop_map(|(platform_domains, utms)| UtmTemplate { platform_domains, utms }), 0..3)),
    ) -> LinkRecord {
        LinkRecord {
            version, redirect_status, forward_query, enabled, starts_at, expires_at, expired_url, password_hash,
            rules, evolution_rules, geo_rules, ab_test, link_utms, utm_templates,
            ..LinkRecord::from_url(destination_url)
        }
    }
}

#[derive(Debug, Clone)]
struct Facts {
    now: Timestamp,
    method: Method,
    unlock: Unlock,
    ip: Option<IpAddr>,
    texts: [Option<String>; 9],
}

impl Facts {
    fn visit(&self) -> Visit<'_> {
        let [query, country, user_agent, referrer, accept_language, visitor_id, purpose, region, city] =
            self.texts.each_ref().map(Option::as_deref);
        Visit {
            method: self.method,
            unlock: self.unlock,
            ip: self.ip,
            query,
            country,
            region,
            city,
            user_agent,
            referrer,
            accept_language,
            visitor_id,
            purpose,
            ..Visit::at(self.now)
        }
    }
}

prop_compose! {
    fn facts()(
        now in time(),
        method in prop::sample::select(vec![Method::Get, Method::Head, Method::Post, Method::Other]),
        unlock in prop::sample::select(vec![Unlock::None, Unlock::Granted, Unlock::Refused]),
        ip in option::of(any::<IpAddr>()),
        query in option::of(prop_oneof!["([a-c%+=&]|utm_source|\\PC|[\\x00-\\x20]){0,20}", any::<String>()]),
        country in option::of(prop_oneof!["DE", "at", "\\PC{0,4}"]),
        user_agent in option::of(prop_oneof![Just("Mozilla/5.0 (iPhone)".to_owned()), any::<String>()]),
        referrer in option::of(prop_oneof![Just("https://m.t.co/x".to_owned()), "[a-z:/@\\[\\]\\\\.]{0,20}", any::<String>()]),
        accept_language in option::of(prop_oneof![Just("de-AT;q=0.5, en".to_owned()), any::<String>()]),
        visitor_id in option::of(any::<String>()),
        purpose in option::of(any::<String>()),
        region in option::of(prop_oneof!["DE-BY", "\\PC{0,4}"]),
        city in option::of(prop_oneof!["Munich", "\\PC{0,4}"]),
    ) -> Facts {
        Facts { now, method, unlock, ip, texts: [query, country, user_agent, referrer, accept_language, visitor_id, purpose, region, city] }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn decide_is_total_deterministic_and_safe(record in record(), facts in facts()) {
        let bytes = compile(&record, &SchemePolicy::web()).unwrap();
        let link = CompactLink::read(&bytes).unwrap();
        let visit = facts.visit();
        let decision = decide(&link, &visit).unwrap();
        prop_assert_eq!(&decision, &decide(&link, &visit).unwrap());
        prop_assert_eq!(&decision, &explain(&link, &visit).unwrap().0);
        prop_assert_eq!(decision.location.is_some(), decision.action == Action::Redirect);
        prop_assert_eq!(decision.source.is_some(), decision.action == Action::Redirect);
        if let Some(location) = &decision.location {
            prop_assert!(location.bytes().all(|byte| (0x21..0x7f).contains(&byte)), "{location:?}");
            let url = url::Url::parse(location).unwrap();
            prop_assert_eq!(url.as_str(), &**location, "not the serialisation");
            let hosts: Vec<_> = stored_urls(&record).iter().map(|url| url::Url::parse(url).unwrap().host_str().unwrap().to_owned()).collect();
            prop_assert!(hosts.contains(&url.host_str().unwrap().to_owned()), "{location} goes to no stored host");
        }
    }

    #[test]
    fn the_compact_form_keeps_what_it_was_given(record in record()) {
        let bytes = compile(&record, &SchemePolicy::web()).unwrap();
        let link = CompactLink::read(&bytes).unwrap();
        prop_assert_eq!(link.version(), record.version);
        prop_assert_eq!(link.enabled(), record.enabled);
        prop_assert_eq!(link.password_hash(), record.password_hash.as_deref().filter(|hash| !hash.is_empty()));
        prop_assert_eq!(String::from(url::Url::parse(&record.destination_url).unwrap()), link.destination());
        // Reading the record back from its own JSON compiles to the same bytes.
        let again: LinkRecord = serde_json::from_slice(&serde_json::to_vec(&record).unwrap()).unwrap();
        prop_assert_eq!(&again, &record);
        prop_assert_eq!(compile(&again, &SchemePolicy::web()).unwrap(), bytes);
    }

    #[test]
    fn damaged_bytes_are_never_followed(record in record(), at in any::<prop::sample::Index>(), bit in 0u8..8, cut in any::<prop::sample::Index>()) {
        let bytes = compile(&record, &SchemePolicy::web()).unwrap();
        let mut flipped = bytes.clone();
        flipped[at.index(bytes.len())] ^= 1 << bit;
        prop_assert!(CompactLink::read(&flipped).is_err());
        prop_assert!(CompactLink::read(&bytes[..cut.index(bytes.len())]).is_err());
    }

    #[test]
    fn any_bytes_can_be_offered_as_a_record(bytes in vec(any::<u8>(), 0..200)) {
        let _ = LinkRecord::from_value(&bytes);
        prop_assert!(CompactLink::read(&bytes).is_err());
        let _ = waypost_core::wire::decide_line(&bytes, &SchemePolicy::web(), true);
    }

    #[test]
    fn any_text_can_be_offered_as_a_slug(text in any::<String>()) {
        if let Ok(slug) = slug::Slug::parse(&text) {
            prop_assert_eq!(slug::Slug::parse(slug.as_str()), Ok(slug.clone()), "parsing is idempotent");
            let path = format!("/{}", slug.as_str());
            prop_assert_eq!(slug::from_request_path(&path, false), Some(slug.as_str().into()));
            let encoded = format!("/{}", percent_encoding::utf8_percent_encode(slug.as_str(), percent_encoding::CONTROLS));
            prop_assert_eq!(slug::from_request_path(&encoded, false), Some(slug.as_str().into()));
        }
        let _ = slug::from_request_path(&text, true);
    }

    #[test]
    fn no_parameter_appears_twice_because_of_us(record in record(), facts in facts()) {
        let bytes = compile(&record, &SchemePolicy::web()).unwrap();
        let decision = decide(&CompactLink::read(&bytes).unwrap(), &facts.visit()).unwrap();
        let Some(location) = decision.location else { return Ok(()) };
        let url = url::Url::parse(&location).unwrap();
        for name in query::UTM_NAMES {
            let count = url.query_pairs().filter(|(key, _)| key == name).count();
            let own = stored_urls(&record).iter().map(|url| url::Url::parse(url).unwrap().query_pairs().filter(|(key, _)| key == name).count()).max();
            let sent = facts.texts[0].as_deref().unwrap_or("").replace(['\t', '\n', '\r'], "");
            let brought = url::form_urlencoded::parse(sent.as_bytes()).filter(|(key, _)| key == name).count();
            prop_assert!(count <= own.unwrap_or(0).max(brought).max(1), "{location}");
        }
    }
}

fn stored_urls(record: &LinkRecord) -> Vec<String> {
    let variants =
        |test: &AbTest| test.variants.iter().map(|variant| variant.destination_url.clone()).collect::<Vec<_>>();
    let mut urls = vec![record.destination_url.clone()];
    urls.extend(record.expired_url.clone().filter(|url| !url.is_empty()));
    urls.extend(record.evolution_rules.iter().map(|rule| rule.destination_url.clone()));
    urls.extend(record.geo_rules.iter().map(|rule| rule.destination_url.clone()));
    urls.extend(record.rules.iter().filter_map(|rule| rule.to.url.clone()));
    urls.extend(record.rules.iter().filter_map(|rule| rule.to.ab_test.as_ref()).flat_map(variants));
    urls.extend(record.ab_test.iter().flat_map(variants));
    urls
}

/// Over many visitors each variant's count stays within five standard deviations of its binomial mean: a fair hash
/// fails this about once in a million draws, and these draws are fixed.
#[test]
fn splits_keep_their_shares() {
    for weights in [&[50u64, 50][..], &[1, 99], &[10, 20, 30, 40], &[1, 1, 1, 1, 1, 1, 1]] {
        let total: u64 = weights.iter().sum();
        let visitors = 100_000u32;
        let mut counts = vec![0u32; weights.len()];
        for visitor in 0..visitors {
            let id = format!("visitor-{visitor}");
            let visit = Visit { visitor_id: Some(&id), ..Visit::at(Timestamp::from_micros(0)) };
            let mut left = split::bucket("share", &visit, total);
            let at = weights.iter().position(|&weight| {
                if left < weight {
                    true
                } else {
                    left -= weight;
                    false
                }
            });
            counts[at.unwrap()] += 1;
        }
        for (&weight, &count) in weights.iter().zip(&counts) {
            let share = weight as f64 / total as f64;
            let mean = f64::from(visitors) * share;
            let deviation = (mean * (1.0 - share)).sqrt();
            assert!((f64::from(count) - mean).abs() < 5.0 * deviation, "{weights:?}: {counts:?}");
        }
    }
}

/// The same over addresses and user agents, and two tests split their visitors independently of each other.
#[test]
fn splits_by_address_are_even_and_independent() {
    let mut both = [[0u32; 2]; 2];
    for address in 0..40_000u32 {
        let visit = Visit {
            ip: Some(IpAddr::from((0x0a00_0000 + address).to_be_bytes())),
            user_agent: Some("Mozilla/5.0"),
            ..Visit::at(Timestamp::from_micros(0))
        };
        let [first, second] = ["one", "two"].map(|test| split::bucket(test, &visit, 2) as usize);
        both[first][second] += 1;
    }
    // Each cell expects 10,000 with a standard deviation of 87.
    assert!(both.iter().flatten().all(|&count| count.abs_diff(10_000) < 450), "{both:?}");
}
