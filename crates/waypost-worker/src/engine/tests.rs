//! The engine as JavaScript meets it: answers, clicks, and what must never come out.

#![allow(clippy::unwrap_used)]

use serde_json::Value;
use waypost_core::click::ClickEvent;

use super::*;
use crate::facts::packed;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NOW: Timestamp = Timestamp::from_micros(1_768_473_000_123_000);
const FIREFOX: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";

fn engine(settings: &str) -> Engine {
    let mut engine = Engine::default();
    assert_eq!(engine.run(Operation::Configure, settings.as_bytes(), b"", NOW).status, 200, "{}", text(&engine));
    engine
}

fn webhook() -> Engine {
    engine(&format!(r#"{{"edge_id":"cf-VIE","nonce":"n","secrets":"{SECRET}","clicks":"webhook"}}"#))
}

fn text(engine: &Engine) -> String {
    String::from_utf8_lossy(engine.output()).into_owned()
}

#[track_caller]
fn check(value: &str, facts: &[(usize, &str)], status: u32, location: &str) {
    let mut engine = engine("{}");
    let answer = engine.follow(value.as_bytes(), &packed(facts), NOW);
    assert_eq!(answer.status, status, "{}", text(&engine));
    if status < 400 {
        assert_eq!(text(&engine), location);
    }
}

#[test]
fn values_of_every_form_are_followed() {
    check("https://example.com", &[], 302, "https://example.com/");
    check("\"https://example.com\"", &[], 302, "https://example.com/");
    check(r#"{"destination_url":"https://example.com/","redirect_status":301}"#, &[], 301, "https://example.com/");
    check(r#"{"destination_url":"https://example.com/","enabled":false}"#, &[], 404, "");
    check(r#"{"destination_url":"https://example.com/","expires_at":"2026-01-01T00:00:00Z"}"#, &[], 410, "");
    check("https://example.com", &[(0, "POST")], 405, "");
    let geo = r#"{"destination_url":"https://e.example/","geo_rules":[{"country_code":"AT","destination_url":"https://at.example/"}]}"#;
    check(geo, &[(6, "at")], 302, "https://at.example/");
}

#[test]
fn only_rules_about_a_place_ask_for_it() {
    let link = |when: &str| {
        format!(
            r#"{{"destination_url":"https://e.example/","rules":[{{"when":{when},"to":{{"url":"https://r.example/"}}}}]}}"#
        )
    };
    let mut engine = engine("{}");
    let by_country = engine.follow(link(r#"{"countries":["DE"]}"#).as_bytes(), &packed(&[]), NOW);
    assert_eq!(by_country.status, 302);
    for when in [r#"{"regions":["DE-BY"]}"#, r#"{"not":{"cities":["Berlin"]}}"#] {
        let value = link(when);
        let asks = engine.follow(value.as_bytes(), &packed(&[]), NOW);
        assert_eq!((asks, text(&engine)), (Answer::default(), String::new()), "{when}");
        let facts = [packed(&[]), b"\0DE-BY\0Munich".to_vec()].concat();
        assert_eq!(engine.follow(value.as_bytes(), &facts, NOW).status, 302);
        assert_eq!(text(&engine), "https://r.example/", "{when}");
    }
}

#[test]
fn malformed_values_are_a_page_and_a_fault() {
    let destinations =
        ["javascript:alert(1)", "data:text/html,x", "https://x.example/\\r\\nSet-Cookie: a=b", "//x.example", ""];
    let mut values: Vec<Vec<u8>> =
        destinations.iter().map(|url| format!("{{\"destination_url\":\"{url}\"}}").into_bytes()).collect();
    values.extend(destinations.iter().filter(|url| !url.contains("\\r")).map(|url| url.as_bytes().to_vec()));
    values.extend([
        b"{\"destination_url\":".to_vec(),
        b"{\"destination_url\":[]}".to_vec(),
        b"\xff\xfe".to_vec(),
        vec![b'x'; 25 << 20],
    ]);
    values.push(b"https://x.example/\r\nSet-Cookie: a=b".to_vec());
    for value in values {
        let mut engine = webhook();
        let answer = engine.follow(&value, &packed(&[]), NOW);
        let shown = String::from_utf8_lossy(&value[..value.len().min(80)]).into_owned();
        assert_eq!((answer.status, answer.text_bytes, answer.event_bytes), (502, 0, 0), "{shown}");
        assert!(answer.fault_bytes > 0 && answer.fault_bytes < 1_000, "{shown}: {}", text(&engine));
    }
}

#[test]
fn a_redirect_comes_with_its_signed_click() {
    let value = r#"{"destination_url":"https://example.com/?utm_source=own","link_id":"link_1","account_id":"acc_1",
        "rules":[{"id":7,"when":{"devices":["desktop"]},"to":{"url":"https://d.example/?utm_source=a+b"}}]}"#;
    let facts =
        [(2, "größe"), (5, "192.0.2.77"), (6, "AT"), (7, FIREFOX), (8, "https://t.co/x?secret"), (9, "de-AT,en")];
    let mut engine = webhook();
    let answer = engine.follow(value.as_bytes(), &packed(&facts), NOW);
    let output = text(&engine);
    let (location, rest) = output.split_at(answer.text_bytes as usize);
    let (heading, event) = rest.split_at(answer.heading_bytes as usize);
    assert_eq!(location, "https://d.example/?utm_source=a+b");
    let read: ClickEvent = serde_json::from_str(event).unwrap();
    let expect = ClickEvent {
        event_id: read.event_id.clone(),
        edge_id: "cf-VIE".into(),
        link_id: "link_1".into(),
        account_id: "acc_1".into(),
        slug: "größe".into(),
        clicked_at: Some(NOW),
        ip_address: Some("192.0.2.0".into()),
        visitor: read.visitor.clone(),
        user_agent: FIREFOX.into(),
        referrer: "https://t.co/x".into(),
        country_code: "AT".into(),
        device_type: "desktop".into(),
        os: "windows".into(),
        class: "human".into(),
        class_reason: "none".into(),
        language: "de".into(),
        source: "rule".into(),
        rule_id: Some("7".into()),
        utm_source: Some("a b".into()),
        status: 302,
        ..ClickEvent::default()
    };
    assert_eq!(read, expect);
    assert_eq!(read.visitor.unwrap().len(), 16);

    let mut lines = heading.split('\n');
    let (id, timestamp, signature) = (lines.next().unwrap(), lines.next().unwrap(), lines.next().unwrap());
    assert_eq!((id, timestamp), (read.event_id.as_str(), "1768473000"));
    engine.run(Operation::Sign, id.as_bytes(), event.as_bytes(), NOW);
    assert_eq!(text(&engine), format!("\n{timestamp}\n{signature}"));
}

#[test]
fn a_scan_is_marked_and_its_mark_goes_no_further() {
    let value = r#"{"destination_url":"https://example.com/","forward_query":true}"#;
    let mut engine = webhook();
    for (query, location, channel) in [
        ("qr=1", "https://example.com/", "qr"),
        ("a=1&qr=1", "https://example.com/?a=1", "qr"),
        ("qr=2", "https://example.com/?qr=2", ""),
    ] {
        let answer = engine.follow(value.as_bytes(), &packed(&[(4, query), (7, FIREFOX)]), NOW);
        let output = text(&engine);
        let (to, rest) = output.split_at(answer.text_bytes as usize);
        let event: ClickEvent = serde_json::from_str(&rest[answer.heading_bytes as usize..]).unwrap();
        assert_eq!((to, event.channel.as_str()), (location, channel), "{query}");
    }
}

#[test]
fn every_click_has_an_id_of_its_own_and_a_visitor_one_key_a_day() {
    let mut engine = webhook();
    let mut seen = std::collections::HashSet::new();
    let mut event = |address: &str, now: Timestamp| {
        let answer = engine.follow(b"https://example.com", &packed(&[(5, address), (7, "UA")]), now);
        let start = (answer.text_bytes + answer.heading_bytes) as usize;
        let event: ClickEvent = serde_json::from_slice(&engine.output()[start..]).unwrap();
        assert!(seen.insert(event.event_id));
        event.visitor.unwrap()
    };
    let first = event("192.0.2.1", NOW);
    assert_eq!(event("192.0.2.1", NOW), first);
    assert_ne!(event("192.0.2.2", NOW), first);
    assert_ne!(event("192.0.2.1", Timestamp::from_micros(NOW.as_micros() + 86_400_000_000)), first);
}

#[test]
fn a_queue_gets_the_event_alone_and_nothing_leaves_where_nothing_is_set() {
    let mut queue = engine(r#"{"clicks":"queue","address_policy":"none","edge_id":"e"}"#);
    let answer = queue.follow(b"https://example.com", &packed(&[(5, "192.0.2.1")]), NOW);
    let output = text(&queue);
    let event: Value = serde_json::from_str(&output[(answer.text_bytes + answer.heading_bytes) as usize..]).unwrap();
    assert_eq!((event.get("ip_address"), event.get("visitor")), (None, None));
    assert_eq!(answer.heading_bytes, 0);
    assert_eq!(engine("{}").follow(b"https://example.com", &packed(&[]), NOW).event_bytes, 0);
}

#[test]
fn locked_links_ask_and_open() {
    let hash = "$argon2id$v=19$m=16,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let value = format!(r#"{{"destination_url":"https://example.com/","password_hash":"{hash}"}}"#);
    let mut engine = webhook();
    assert_eq!(engine.follow(value.as_bytes(), &packed(&[]), NOW).status, 200);
    assert_eq!(engine.run(Operation::CheckPassword, value.as_bytes(), b"\0a\0secret", NOW).status, 401);
    assert_eq!(engine.run(Operation::CheckPassword, b"https://example.com", b"\0a\0secret", NOW).status, 405);
    let answer = engine.run(Operation::Grant, value.as_bytes(), &packed(&[]), NOW);
    assert_eq!(answer.status, 200);
    let cookie = text(&engine);
    assert!(cookie.contains("; Path=/a; ") && cookie.ends_with("; Secure"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    assert_eq!(engine.follow(value.as_bytes(), &packed(&[(13, cookie)]), NOW).status, 302);
    assert_eq!(engine.follow(value.as_bytes(), &packed(&[(13, cookie), (2, "b")]), NOW).status, 200);
}

#[test]
fn slugs_and_pages_are_read() {
    let mut engine = Engine::default();
    for (path, case, expect) in [
        ("/a%C3%A4", "", "aä"),
        ("/A", "i", "a"),
        ("/api/url", "", ""),
        ("/a%2Fb", "", ""),
        ("/%61pi", "", ""),
        ("/a%20!", "", "a !"),
    ] {
        let answer = engine.run(Operation::ReadSlug, path.as_bytes(), case.as_bytes(), NOW);
        assert_eq!((answer.status == 200, text(&engine).as_str()), (!expect.is_empty(), expect), "{path}");
    }
    let answer = engine.run(Operation::ShowPage, b"0", b"application/json", NOW);
    assert_eq!((answer.status, answer.detail), (404, 1));
    assert!(Operation::from_number(10).is_some() && Operation::from_number(11).is_none());
}

#[test]
fn a_record_is_followed_only_on_its_own_domain() {
    let value =
        br#"{"destination_url":"https://b.example/to","domain":"b.example","slug":"hello","password_hash":null}"#;
    let locked =
        br#"{"destination_url":"https://b.example/to","domain":"b.example","slug":"hello","password_hash":"$x"}"#;
    let mut engine =
        engine(&format!(r#"{{"default_domain":"go.example","nonce":"n","secrets":"{SECRET}","clicks":"webhook"}}"#));
    let right = packed(&[(1, "b.example"), (2, "hello"), (3, "/hello")]);
    assert_eq!(engine.follow(value, &right, NOW).status, 302);
    let wrong = packed(&[(1, ""), (2, "b.example/hello"), (3, "/b.example/hello")]);
    let answer = engine.follow(value, &wrong, NOW);
    assert_eq!((answer.status, answer.event_bytes, answer.fault_bytes), (404, 0, 0), "{}", text(&engine));
    assert_eq!(engine.follow(locked, &wrong, NOW).status, 404);
    assert_eq!(engine.run(Operation::CheckPassword, locked, b"\0b.example/hello\0x", NOW).status, 404);
    assert_eq!(engine.run(Operation::Grant, locked, &wrong, NOW).status, 404);
    assert_eq!(
        engine.run(Operation::Preview, value, b"\0b.example/hello\0go.example/b.example/hello", NOW).status,
        404
    );
    assert_eq!(engine.run(Operation::Preview, value, b"b.example\0hello\0b.example/hello", NOW).status, 200);
    // Under a key that is not its own: nobody can ask for that who does not write to KV, so it is worth a line.
    let answer = engine.follow(value, &packed(&[(1, "b.example"), (2, "copy")]), NOW);
    assert_eq!(answer.status, 404);
    assert!(text(&engine).contains("b.example/hello"), "{}", text(&engine));
}

#[test]
fn parts_that_are_passed_over_are_told_once() {
    let value = br#"{"destination_url":"https://example.com/","created_at":7,"rules":[7,{"to":{"url":"data:,x"}}]}"#;
    let mut engine = webhook();
    let answer = engine.follow(value, &packed(&[]), NOW);
    assert_eq!(answer.status, 302);
    let output = text(&engine);
    let told: Vec<&str> = output[output.len() - answer.fault_bytes as usize..].lines().collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("rules[0]: ") && told[1].starts_with("rules[0].to.url: "), "{told:?}");
    assert!(answer.event_bytes > 0);
    assert_eq!(engine.follow(value, &packed(&[]), NOW).fault_bytes, 0);
}

#[test]
fn an_unlock_lasts_as_long_as_on_the_native_edge() {
    let value = br#"{"destination_url":"https://example.com/","password_hash":"$x"}"#;
    let mut engine = webhook();
    engine.run(Operation::Grant, value, &packed(&[]), NOW);
    assert!(text(&engine).contains("; Max-Age=86400;"), "{}", text(&engine));
}

#[test]
fn the_script_names_pages_by_their_numbers() {
    let script = include_str!("../../js/engine.js");
    let pages = script.split("export const Page").nth(1).unwrap().split("});").next().unwrap();
    let named: Vec<_> = pages.lines().filter_map(|line| line.trim().strip_suffix(',')?.split_once(": ")).collect();
    assert!(named.len() >= 10, "{named:?}");
    for (name, number) in named {
        let page = Page::ALL[number.parse::<usize>().unwrap()];
        assert!(format!("{page:?}").eq_ignore_ascii_case(name), "{name} is {page:?}");
    }
}
