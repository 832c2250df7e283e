//! Every redirect is in the spool when its answer arrives, with the facts of its request; nothing else is.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use support::{Setup, TestEdge};
use waypost_core::click::Click;
use waypost_core::decide::Source;
use waypost_core::visitor::{AddressPolicy, visitor_key};
use waypost_edge::{ClickRecording, CountryDatabase};
use waypost_spool::{Entry, ReadLimit, Spool, SpoolOptions};

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// An edge that records clicks.
struct Recorded {
    edge: TestEdge,
    spool: Spool,
    _folder: tempfile::TempDir,
}

impl Recorded {
    fn start(setup: Setup, address_policy: AddressPolicy) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = SpoolOptions { segment_bytes: 1 << 20, ..SpoolOptions::default() };
        let spool = Spool::open(folder.path(), options).unwrap();
        let salt_of_day = Arc::new(|day: i64| Some([day as u8; 16]));
        let recording = ClickRecording { spool: spool.clone(), address_policy, salt_of_day };
        let edge = setup.config(|config| config.clicks = Some(recording)).start();
        Self { edge, spool, _folder: folder }
    }

    /// What was recorded and not read yet, by epoch and sequence.
    fn payloads(&self) -> Vec<(u64, u64, Vec<u8>)> {
        let mut reader = self.spool.reader().unwrap();
        let mut payloads = Vec::new();
        while let Some(chunk) = reader.next(ReadLimit::default()).unwrap() {
            for entry in chunk.entries() {
                match entry {
                    Entry::Record { sequence, payload } => {
                        payloads.push((chunk.epoch(), sequence, payload.to_vec()));
                    }
                    Entry::Lost { count, .. } => panic!("{count} lost"),
                }
            }
        }
        payloads
    }
}

const RULED: &str = r#"{
    "link_id": "link_r", "account_id": "acc_1", "destination_url": "https://example.com/?utm_source=own",
    "forward_query": true, "link_utms": {"utm_campaign": "sp\u00e4t"},
    "rules": [{"id": 7, "when": {"countries": ["DE"]}, "to": {"ab_test": {"id": "t", "status": "active",
               "variants": [{"id": "v1", "destination_url": "https://example.de/?utm_source=own", "weight": 1}]}}}]
}"#;

#[test]
fn a_redirect_is_recorded_with_its_facts() {
    let setup = Setup::new().link("r\u{fc}led", RULED).config(|config| {
        config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        config.country_header = Some("cf-ipcountry".parse().unwrap());
    });
    let recorded = Recorded::start(setup, AddressPolicy::Truncated);
    let reply = recorded.edge.ask(
        "GET /r%C3%BCled?utm_term=a+b&x=1",
        &[
            ("X-Forwarded-For", "192.0.2.77"),
            ("CF-IPCountry", "de"),
            ("User-Agent", BROWSER),
            ("Referer", "https://t.co/page?secret=1"),
            ("Accept-Language", "de-AT,de;q=0.9"),
            ("Sec-Purpose", "prefetch"),
        ],
    );
    assert_eq!(reply.status, 302);
    let payloads = recorded.payloads();
    let [(_, 1, bytes)] = &payloads[..] else { panic!("{payloads:?}") };
    let click = Click::read(bytes).unwrap();
    let address: IpAddr = "192.0.2.77".parse().unwrap();
    let day = click.clicked_at.as_micros() / 86_400_000_000;
    assert_eq!(click.visitor, Some(visitor_key(&[day as u8; 16], "", address, BROWSER)));
    assert_eq!(click.address, Some("192.0.2.0".parse().unwrap()));
    assert_eq!((click.status, click.source, click.is_head), (302, Source::Rule, false));
    assert_eq!((click.link_id.as_ref(), click.account_id.as_ref()), ("link_r", "acc_1"));
    assert_eq!((click.domain.as_ref(), click.slug.as_ref()), ("", "r\u{fc}led"));
    assert_eq!([click.rule_id.as_ref(), &click.ab_test_id, &click.variant_id], ["7", "t", "v1"]);
    assert_eq!((click.country, click.purpose.as_ref()), (Some(*b"DE"), "prefetch"));
    assert_eq!((click.user_agent.as_ref(), click.accept_language.as_ref()), (BROWSER, "de-AT,de;q=0.9"));
    assert_eq!(click.referrer, "https://t.co/page");
    assert_eq!(click.utm, "utm_source=own&utm_campaign=sp%C3%A4t&utm_term=a+b");
    assert!(!click.is_cut);
}

#[test]
fn a_scan_is_marked_and_its_mark_goes_no_further() {
    const MARKED: &str = r#"{"link_id": "link_q", "destination_url": "https://example.com/", "forward_query": true,
        "evolution_rules": [], "rules": [{"when": {"query": {"qr": "1"}}, "to": {"url": "https://example.com/seen"}}]}"#;
    for plain in [true, false] {
        let setup = Setup::new().link("q", MARKED).config(|config| config.plain_requests = plain);
        let recorded = Recorded::start(setup, AddressPolicy::None);
        for (target, location) in [
            ("GET /q", "https://example.com/"),
            ("GET /q?qr=1", "https://example.com/"),
            ("GET /q?a=1&qr=1&b=2", "https://example.com/?a=1&b=2"),
            ("GET /q?qr=2", "https://example.com/?qr=2"),
        ] {
            assert_eq!(recorded.edge.ask(target, &[]).header("location"), Some(location), "{target}");
        }
        let payloads = recorded.payloads();
        let scans: Vec<bool> = payloads.iter().map(|(_, _, bytes)| Click::read(bytes).unwrap().is_scan).collect();
        assert_eq!(scans, [false, true, true, false]);
    }
}

#[test]
fn the_address_of_a_qr_code_is_no_click() {
    for plain in [true, false] {
        let setup = Setup::new().plain_link("abc").plain_link("old.qr").config(|config| config.plain_requests = plain);
        let recorded = Recorded::start(setup, AddressPolicy::None);
        for target in ["GET /abc.qr", "GET /abc.qr.png?size=300", "HEAD /abc.QR.svg", "GET /none.qr"] {
            let reply = recorded.edge.ask(target, &[]);
            assert_eq!((reply.status, reply.header("x-asked")), (200, Some(target)), "control answers");
        }
        assert!(recorded.payloads().is_empty());
        let old = recorded.edge.ask("GET /old.qr", &[]);
        assert_eq!(old.header("location"), Some("https://example.com/old.qr"), "a link that is there wins");
        assert_eq!(recorded.edge.ask("GET /abc.qrx", &[]).status, 404);
        assert_eq!(recorded.payloads().len(), 1);
    }
}

#[test]
fn only_redirects_of_links_are_clicks() {
    let setup = Setup::new()
        .plain_link("abc")
        .link("gone", r#"{"destination_url": "https://example.com/", "expires_at": "2020-01-01T00:00:00Z"}"#)
        .link("off", r#"{"destination_url": "https://example.com/", "enabled": false}"#)
        .link("pass", r#"{"destination_url": "https://example.com/", "password_hash": "$argon2id$x"}"#)
        .domain(r#"{"host": "root.example", "root_url": "https://example.com/root"}"#);
    let recorded = Recorded::start(setup, AddressPolicy::None);
    for (target, status) in [
        ("GET /nope", 404),
        ("GET /gone", 410),
        ("GET /off", 404),
        ("GET /pass", 200),
        ("GET /abc+", 200),
        ("GET /", 200),
    ] {
        assert_eq!(recorded.edge.ask(target, &[]).status, status, "{target}");
    }
    assert_eq!(recorded.edge.ask("GET /", &[("Host", "root.example")]).status, 302);
    assert_eq!(recorded.edge.ask("POST /abc", &[]).status, 405);
    assert_eq!(recorded.payloads(), []);

    assert_eq!(recorded.edge.ask("HEAD /abc", &[]).status, 302);
    let payloads = recorded.payloads();
    let click = Click::read(&payloads[0].2).unwrap();
    assert!(click.is_head);
    assert_eq!((payloads.len(), click.address), (1, None));
}

/// What a visitor sends never makes a click too large, unreadable or absent.
#[test]
fn hostile_headers_are_cut_and_recorded() {
    let recorded = Recorded::start(Setup::new().plain_link("abc"), AddressPolicy::Full);
    let long = "x".repeat(3_000);
    let query = format!("/abc?utm_source={}", "%F0%9F%98%80".repeat(150));
    for headers in [
        [("User-Agent", long.as_str()), ("Referer", &long), ("Accept-Language", &long), ("Purpose", &long)],
        [("User-Agent", "\u{80}"), ("Referer", "\u{ff}://"), ("Accept-Language", "\u{1f600}"), ("X-Moz", "")],
    ] {
        assert_eq!(recorded.edge.ask(&format!("GET {query}"), &headers).status, 302);
    }
    let raw =
        b"GET /abc HTTP/1.1\r\nHost: go.example\r\nConnection: close\r\nUser-Agent: \xff\xfe\r\nReferer: \x80\r\n\r\n";
    assert!(recorded.edge.raw(raw).starts_with("HTTP/1.1 302"));
    let payloads = recorded.payloads();
    assert_eq!(payloads.len(), 3);
    let clicks: Vec<Click<'_>> = payloads.iter().map(|(_, _, bytes)| Click::read(bytes).unwrap()).collect();
    assert!(clicks[0].is_cut);
    assert_eq!(clicks[0].user_agent.len(), 512);
    assert_eq!(clicks[2].user_agent, "\u{fffd}\u{fffd}");
}

#[test]
fn every_thread_numbers_its_clicks_without_gaps() {
    let setup = Setup::new().plain_link("abc").config(|config| config.threads = NonZeroUsize::new(3).unwrap());
    let mut recorded = Recorded::start(setup, AddressPolicy::Truncated);
    let mut count = 0;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            count += 200;
            let edge = &recorded.edge;
            scope.spawn(move || {
                let mut connection = edge.connect();
                for _ in 0..200 {
                    connection.send(b"GET /abc HTTP/1.1\r\nHost: go.example\r\n\r\n").unwrap();
                    assert_eq!(connection.read_response().unwrap().status, 302);
                }
            });
        }
    });
    recorded.edge.shutdown(std::time::Duration::from_secs(5));
    let payloads = recorded.payloads();
    assert_eq!(payloads.len(), count);
    let mut by_epoch = std::collections::BTreeMap::<u64, Vec<u64>>::new();
    for (epoch, sequence, _) in payloads {
        by_epoch.entry(epoch).or_default().push(sequence);
    }
    for (epoch, sequences) in by_epoch {
        assert!(sequences.iter().copied().eq(1..=sequences.len() as u64), "epoch {epoch}");
    }
}

/// A rule may ask for a country that only the database knows, and the click says the same.
#[test]
fn the_database_of_countries_serves_rules_and_clicks() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/mmdb/GeoLite2-Country-Test.mmdb");
    let countries = Arc::new(CountryDatabase::at(path.as_ref()));
    countries.reload().unwrap();
    let by_country = r#"{"destination_url": "https://example.com/world",
        "geo_rules": [{"country_code": "SE", "destination_url": "https://example.se/"}]}"#;
    let setup = Setup::new().link("geo", by_country).config(|config| {
        config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        config.country_header = Some("cf-ipcountry".parse().unwrap());
        config.countries = Some(countries);
    });
    let recorded = Recorded::start(setup, AddressPolicy::Truncated);
    let from = |headers: &[(&str, &str)]| {
        support::location(&recorded.edge.ask("GET /geo", headers)).map(str::to_owned).unwrap()
    };
    assert_eq!(from(&[("X-Forwarded-For", "89.160.20.112")]), "https://example.se/");
    assert_eq!(from(&[("X-Forwarded-For", "89.160.20.112"), ("CF-IPCountry", "NO")]), "https://example.com/world");
    assert_eq!(from(&[]), "https://example.com/world");
    let countries: Vec<_> =
        recorded.payloads().iter().map(|(_, _, bytes)| Click::read(bytes).unwrap().country).collect();
    assert_eq!(countries, [Some(*b"SE"), Some(*b"NO"), None]);
}
