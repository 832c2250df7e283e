//! Bodies of every kind: what is read from them, and what is refused.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_micros(1_768_473_000_000_000);
const EVENT: &str = r#"{"event_id":"019bc134-78bb-71c8-aa0b-1ad97f9e312e","edge_id":"cf-VIE","link_id":"link_1","account_id":"acc_1",
    "clicked_at":"2026-01-15T10:30:00Z","surprise":{"a":[1]}}"#;

fn with(change: &str, to: &str) -> String {
    assert!(EVENT.contains(change));
    EVENT.replace(change, to)
}

/// How many events are read, or the code of the problem.
#[track_caller]
fn check(body: impl AsRef<[u8]>, expect: Result<usize, ProblemCode>) {
    let read = read_events(body.as_ref(), NOW).map(|events| events.len()).map_err(|problem| problem.code());
    assert_eq!(read, expect);
}

/// What becomes of one event beside a good one.
#[track_caller]
fn check_one(event: &str, fate: EventFate, reason: &str) {
    let arrived = read_events(format!("[{event},{EVENT}]").as_bytes(), NOW).unwrap();
    let refusal = arrived[0].checked.as_ref().unwrap_err();
    assert_eq!(refusal.fate, fate, "{event}");
    assert!(refusal.reason.contains(reason), "{event}: {}", refusal.reason);
    assert!(arrived[1].checked.is_ok());
}

#[test]
fn one_or_many() {
    check(EVENT, Ok(1));
    check(format!(" \n[{EVENT},{EVENT}] "), Ok(2));
    check("[]", Ok(0));
    let many = |count| format!("[{}]", vec![EVENT; count].join(","));
    check(many(EVENTS_MAX), Ok(EVENTS_MAX));
    check(many(EVENTS_MAX + 1), Err(ProblemCode::TooManyEvents));
    check(format!("[{}]", vec!["0"; 100_000].join(",")), Err(ProblemCode::TooManyEvents));
}

#[test]
fn what_is_no_json() {
    let cut = &EVENT[..EVENT.len() - 1];
    let (in_array, trailing) = (format!("[{EVENT},"), format!("{EVENT} x"));
    for bad in
        ["", " ", "{", "[", "]", cut, &in_array, &trailing, "{]", "[1}", "{\"a\":}", "\u{feff}{}", "nul", "[,]", "\0"]
    {
        check(bad, Err(ProblemCode::BadJson));
    }
    check(b"{\"event_id\":\"\xff\"}", Err(ProblemCode::BadJson));
    check(b"[\"\xc3\x28\"]", Err(ProblemCode::BadJson));
}

#[test]
fn what_is_no_event() {
    for other in [
        "null",
        "true",
        "7",
        "1e999",
        "\"text\"",
        "{}",
        "[7]",
        "[[]]",
        "[{},null,\"x\"]",
        r#"{"type":"user.created","data":{}}"#,
    ] {
        check(other, Err(ProblemCode::NotEvents));
    }
    let problem = read_events(br#"[{"clicked_at":7}]"#, NOW).unwrap_err().document();
    assert_eq!((problem.errors[0].field.as_str(), problem.errors.len()), ("[0]", 1));
    let many = format!("[{}]", vec!["{}"; 500].join(","));
    assert_eq!(read_events(many.as_bytes(), NOW).unwrap_err().document().errors.len(), 10);
}

#[test]
fn a_bad_one_is_no_others_business() {
    for (event, reason) in [
        ("null".to_owned(), "null"),
        ("[]".to_owned(), "clicked_at is missing"),
        (with("\"cf-VIE\"", "7"), "expected a string"),
        (with("\"cf-VIE\"", "null"), "expected a string"),
        (with("\"2026-01-15T10:30:00Z\"", "1768473000"), "expected"),
        (with("\"2026-01-15T10:30:00Z\"", "\"yesterday\""), ""),
        (with("\"2026-01-15T10:30:00Z\"", "null"), "clicked_at is missing"),
        (with("\"surprise\"", "\"status\":70000,\"x\""), "70000"),
        (with("\"surprise\"", "\"status\":-1,\"x\""), "-1"),
        (with("\"surprise\"", "\"sequence\":1e999,\"x\""), ""),
        (with("\"surprise\"", "\"sequence\":99999999999999999999,\"x\""), ""),
        (with("\"surprise\"", "\"link_id\":\"link_2\",\"x\""), "duplicate field"),
        (with("\"surprise\"", "\"slug\":\"\\ud800\",\"x\""), ""),
    ] {
        check_one(&event, EventFate::Malformed, reason);
    }
    for (event, reason) in [
        (with("link_1", "1"), "link_id"),
        (with("acc_1", ""), "account_id"),
        (with("019bc134", "zzz"), "event_id"),
        (with("2026-01-15T10:30:00Z", "2026-01-15T11:30:01Z"), "an hour ahead"),
        (with("2026-01-15T10:30:00Z", "1969-12-31T23:59:59Z"), "1970"),
        (with("cf-VIE", "a\\u0000b"), "edge_id"),
        (with("\"surprise\"", "\"slug\":\"a\\u0000b\",\"x\""), "slug"),
        (with("\"surprise\"", "\"domain\":\"a b\",\"x\""), "domain"),
    ] {
        check_one(&event, EventFate::Invalid, reason);
    }
    let old = with("2026-01-15T10:30:00Z", "1996-01-15T10:30:00Z");
    check(with("2026-01-15T10:30:00Z", "2026-01-15T11:30:00Z"), Ok(1));
    assert!(read_events(old.as_bytes(), NOW).unwrap()[0].checked.is_ok(), "counted on its own day");
}

#[test]
fn brackets_have_an_end() {
    check("[".repeat(100_000), Err(ProblemCode::BadJson));
    check("{\"a\":".repeat(100_000), Err(ProblemCode::BadJson));
    check(format!("[{EVENT},{}{}]", "[".repeat(15), "]".repeat(15)), Ok(2));
    check(format!("[{EVENT},{}{}]", "[".repeat(16), "]".repeat(16)), Err(ProblemCode::BadJson));
    check(with("cf-VIE", &"[{".repeat(30)), Ok(1));
    check(with("cf-VIE", &"[{\\\"".repeat(10)), Ok(1));
    check(with("cf-VIE", "\\\\"), Ok(1));
}

#[test]
fn nothing_of_the_visitor_is_kept() {
    let event = r#"{"event_id":"\u0000x","edge_id":"e","clicked_at":7,"ip_address":"192.0.2.1","Client-IP":"x","visitor":"0123456789abcdef",
        "deep":[{"address":1,"seen":["2001:db8::1","192.0.2.1:80","ok"]}],"user_agent":"a\u0000b"}"#;
    let arrived = read_events(format!("[{event},{EVENT}]").as_bytes(), NOW).unwrap();
    assert_eq!(arrived[1].refused(), None);
    let kept = arrived[0].refused().unwrap();
    assert_eq!((kept.edge_id.as_str(), arrived[0].event_id.as_deref()), ("e", Some("x")));
    let value: Value = serde_json::from_str(&kept.event).unwrap();
    assert_eq!(
        value,
        serde_json::json!({
            "event_id": "\0x", "edge_id": "e", "clicked_at": 7, "deep": [{ "seen": ["ok"] }], "user_agent": "a\0b",
        })
    );
    assert!(!kept.event.contains('\0') && !kept.reason.contains('\0'));
    for (text, kept) in [("\"192.0.2.1\"", ""), ("\"\\ud800\"", ""), ("1e999", ""), ("\"x\"", "\"x\"")] {
        let arrived = read_events(format!("[{text},{EVENT}]").as_bytes(), NOW).unwrap();
        assert_eq!(arrived[0].refused().unwrap().event, kept, "{text}");
    }
    let long = with("\"2026-01-15T10:30:00Z\"", &format!("\"{}\"", "é".repeat(10_000)));
    let arrived = read_events(format!("[{long},{EVENT}]").as_bytes(), NOW).unwrap();
    let kept = arrived[0].refused().unwrap();
    assert!(kept.event.len() <= KEPT_BYTES_MAX && kept.event.len() > KEPT_BYTES_MAX - 4);
    assert!(kept.reason.len() <= REASON_BYTES_MAX);
}

/// Values of any kind in any place of an event.
fn field() -> impl Strategy<Value = String> {
    const NAMES: &[&str] = &[
        "event_id",
        "edge_id",
        "sequence",
        "epoch",
        "clicked_at",
        "status",
        "utm_source",
        "visitor",
        "ip_address",
        "slug",
        "x",
    ];
    let values = prop_oneof![
        Just("null".to_owned()),
        Just("{}".to_owned()),
        Just("[[]]".to_owned()),
        Just("-0".to_owned()),
        Just("1e400".to_owned()),
        any::<i128>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| Value::from(text).to_string()),
        Just("\"2026-01-15T10:30:00Z\"".to_owned()),
    ];
    (proptest::sample::select(NAMES), values).prop_map(|(name, value)| format!("\"{name}\":{value}"))
}

proptest! {
    #[test]
    fn any_bytes_are_borne(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_events(&body, NOW);
    }

    #[test]
    fn near_json_is_borne(body in "[\\[\\]{}\":,\\\\ a-e0-9.+-]{0,200}") {
        let _ = read_events(body.as_bytes(), NOW);
    }

    #[test]
    fn any_event_is_checked_and_kept(fields in proptest::collection::vec(field(), 0..8)) {
        let body = format!("[{{{}}},{EVENT}]", fields.join(","));
        if let Ok(arrived) = read_events(body.as_bytes(), NOW) {
            prop_assert_eq!(arrived.len(), 2);
            for kept in arrived.iter().filter_map(Arrived::refused) {
                prop_assert!(kept.event.len() <= KEPT_BYTES_MAX && kept.reason.len() <= REASON_BYTES_MAX);
                let texts = [&kept.edge_id, &kept.reason, &kept.event];
                prop_assert!(texts.iter().all(|text| !text.contains('\0')));
            }
        }
    }
}
