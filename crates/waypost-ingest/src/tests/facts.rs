//! The facts of clicks and events.

use proptest::prelude::*;
use waypost_core::Timestamp;
use waypost_core::channel::Channel;
use waypost_core::class::Class;
use waypost_core::click::{Click, ClickEvent};
use waypost_core::device::{Device, Os};
use waypost_rollup::ClickFacts;

use super::model::click;
use crate::enrich::{ClickEnricher, ClickOrigin};
use crate::events;

const CHROME: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";

fn with_facts<R>(click: &Click<'_>, then: impl FnOnce(&ClickFacts<'_>) -> R) -> R {
    let origin = ClickOrigin { edge_id: "edge", epoch: 1, sequence: 2 };
    ClickEnricher::new("go.example").enrich(origin, click, then)
}

#[track_caller]
fn check_class(click: &Click<'_>, expect: (Class, &str)) {
    with_facts(click, |facts| assert_eq!((facts.class, facts.class_reason), expect));
}

#[test]
fn classes() {
    let visit = Click { user_agent: CHROME.into(), ..click("x") };
    check_class(&visit, (Class::Human, "none"));
    check_class(&Click { is_head: true, ..visit.clone() }, (Class::Head, "method"));
    check_class(&Click { purpose: "prefetch;prerender".into(), ..visit.clone() }, (Class::Prefetch, "purpose_header"));
    check_class(&Click { purpose: "navigate".into(), ..visit.clone() }, (Class::Human, "none"));
    check_class(&Click { user_agent: "".into(), ..visit.clone() }, (Class::Bot, "no_user_agent"));
    check_class(&Click { user_agent: "curl/8.5.0".into(), is_head: true, ..visit }, (Class::Head, "method"));
}

#[test]
fn a_visitor_from_a_network() {
    let visit = Click {
        user_agent: CHROME.into(),
        referrer: "https://L.Facebook.com/l.php".into(),
        accept_language: "DE-at,en;q=0.5".into(),
        utm: "utm_source=face%20book&utm_medium=cpc".into(),
        ..click("x")
    };
    with_facts(&visit, |facts| {
        assert_eq!((facts.device, facts.os, facts.browser), (Device::Desktop, Os::Windows, "Chrome"));
        assert_eq!((facts.referrer_host, facts.channel, facts.language), ("l.facebook.com", Channel::Paid, "de"));
        assert_eq!(facts.utm, ["face book", "cpc", "", "", ""]);
        let event = facts.to_event();
        assert_eq!((&*event.browser, &*event.class, event.utm_medium.as_deref()), ("Chrome", "human", Some("cpc")));
        assert_eq!((event.sequence, event.visitor.as_deref()), (Some(2), Some("0000000000000007")));
    });
    let own = Click { referrer: "https://go.example/x+".into(), utm: "".into(), ..visit.clone() };
    with_facts(&own, |facts| assert_eq!((facts.channel, facts.referrer_host), (Channel::Direct, "go.example")));
    let other = Click { domain: "b.example".into(), ..own };
    with_facts(&other, |facts| assert_eq!(facts.channel, Channel::Referral));
    let broken = Click { referrer: "https://a b\u{7}/".into(), utm: "".into(), ..visit };
    with_facts(&broken, |facts| assert_eq!((facts.channel, facts.referrer_host), (Channel::Direct, "")));
}

#[test]
fn a_scan_has_a_channel_of_its_own() {
    let link = Click { referrer: "https://t.co/x".into(), utm: "utm_medium=email".into(), ..click("x") };
    with_facts(&link, |facts| assert_eq!(facts.channel, Channel::Email));
    let scan = Click { is_scan: true, ..link };
    let sent = with_facts(&scan, |facts| {
        assert_eq!((facts.channel, facts.utm[1], facts.referrer_host), (Channel::Qr, "email", "t.co"));
        facts.to_event()
    });
    assert_eq!(sent.channel, "qr");
    assert_eq!(events::check_event(sent).unwrap().facts("t.co", "").channel, Channel::Qr);
    let unknown = ClickEvent { channel: "pigeon".to_owned(), ..event() };
    assert_eq!(events::check_event(unknown).unwrap().facts("", "").channel, Channel::Direct);
}

fn event() -> ClickEvent {
    ClickEvent {
        event_id: "019bc134-78bb-71c8-aa0b-1ad97f9e312e".to_owned(),
        link_id: "link_1".to_owned(),
        account_id: "acc_1".to_owned(),
        clicked_at: Some(Timestamp::from_micros(1_768_473_000_123_456)),
        ..ClickEvent::default()
    }
}

#[test]
fn an_event_says_what_the_click_said() {
    let visit = Click { user_agent: CHROME.into(), referrer: "https://t.co/x".into(), ..click("x") };
    let (facts, sent) = with_facts(&visit, |facts| (format!("{facts:?}"), facts.to_event()));
    let event = events::check_event(sent).unwrap();
    assert_eq!(format!("{:?}", event.facts(&event.referrer_host(), "go.example")), facts);
}

#[test]
fn what_an_event_does_not_say_is_read_from_the_user_agent() {
    let sent = ClickEvent {
        user_agent: CHROME.to_owned(),
        device_type: "fridge".to_owned(),
        class: "alien".to_owned(),
        country_code: "Atlantis".to_owned(),
        visitor: Some("+123456789abcdef".to_owned()),
        ip_address: Some("300.0.0.1".to_owned()),
        referrer: format!("https://a.example/?secret#{}", "x".repeat(70_000)),
        utm_source: Some("ä\0".repeat(70_000)),
        domain: "Go.Example".to_owned(),
        ..event()
    };
    let checked = events::check_event(sent).unwrap();
    let host = checked.referrer_host();
    let facts = checked.facts(&host, "");
    assert_eq!((facts.device, facts.os, facts.browser), (Device::Desktop, Os::Windows, "Chrome"));
    assert_eq!((facts.class, facts.country, facts.visitor, facts.address), (Class::Human, None, None, None));
    assert_eq!((facts.referrer, facts.domain), ("https://a.example/", "go.example"));
    assert!(facts.utm[0].len() <= 255 && !facts.utm[0].contains('\0'));
}

#[test]
fn events_that_nobody_could_count_are_refused_with_a_reason() {
    let refused = |event: ClickEvent, reason: &str| {
        let error = events::check_event(event).unwrap_err();
        assert!(error.contains(reason), "{error}");
    };
    refused(ClickEvent { event_id: "42".to_owned(), ..event() }, "event_id");
    refused(ClickEvent { event_id: String::new(), ..event() }, "event_id");
    refused(ClickEvent { event_id: String::new(), sequence: Some(1), ..event() }, "edge_id");
    refused(ClickEvent { link_id: "1".to_owned(), ..event() }, "link_id");
    refused(ClickEvent { account_id: "link_1".to_owned(), ..event() }, "account_id");
    refused(ClickEvent { clicked_at: None, ..event() }, "clicked_at");
    refused(ClickEvent { clicked_at: Some(Timestamp::from_micros(-1)), ..event() }, "clicked_at");
    refused(ClickEvent { clicked_at: Some(Timestamp::from_micros(i64::MAX)), ..event() }, "clicked_at");
    refused(ClickEvent { domain: "a b".to_owned(), ..event() }, "domain");
    refused(ClickEvent { slug: "x".repeat(481), ..event() }, "slug");
    refused(ClickEvent { edge_id: "x".repeat(65), ..event() }, "edge_id");
    let numbered = ClickEvent {
        event_id: String::new(),
        edge_id: "edge".to_owned(),
        epoch: Some(1),
        sequence: Some(2),
        ..event()
    };
    let checked = events::check_event(numbered).unwrap();
    with_facts(&click("x"), |facts| assert_eq!(checked.facts("", "").event_id, facts.event_id));
}

proptest! {
    #[test]
    fn no_click_is_too_absurd(
        texts in proptest::collection::vec(".{0,200}", 8),
        micros in any::<i64>(),
        letters in any::<[u8; 2]>(),
        status in any::<u16>(),
    ) {
        let text = |place: usize| std::borrow::Cow::from(texts[place].clone());
        let absurd = Click {
            clicked_at: Timestamp::from_micros(micros),
            country: Some(letters),
            status,
            link_id: text(0),
            domain: text(1),
            slug: text(2),
            purpose: text(3),
            user_agent: text(4),
            referrer: format!("https://{}", texts[5]).into(),
            accept_language: text(6),
            utm: format!("utm_source={}&{}", texts[7], texts[0]).into(),
            ..click("x")
        };
        let event = with_facts(&absurd, |facts| (facts.to_event(), facts.status)).0;
        prop_assert_eq!(event.status, status);
        let _ = events::check_event(event);
    }
}
