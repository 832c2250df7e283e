//! Hosts and times as people write them: taken alike wherever one is given, and what is doubtful is said.

use serde_json::{Value, json};

use crate::harness::TestApp;

const URL: &str = "https://example.com/";

/// The host `kürz.example`, in all the forms that mean it.
const FORMS: [&str; 6] = [
    "kürz.example",
    "KÜRZ.Example",
    "kürz.example.",
    "xn--krz-hoa.example",
    "XN--KRZ-HOA.example.",
    "ku\u{308}rz。example",
];

fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[tokio::test]
async fn a_host_is_the_same_in_every_form() {
    let app = TestApp::new().await;
    let made = app.operator("POST", "/api/v1/domains").json(&json!({"host": "KÜRZ.example."})).await;
    assert_eq!((made.status.as_u16(), &made.json()["host"]), (201, &json!("xn--krz-hoa.example")));
    for (number, form) in FORMS.into_iter().enumerate() {
        let again = app.operator("POST", "/api/v1/domains").json(&json!({ "host": form })).await;
        again.assert_problem(409, "domain_taken");
        let link =
            app.create_link(json!({"destination_url": URL, "slug": format!("one{number}"), "domain": form})).await;
        assert_eq!(link["domain"], "xn--krz-hoa.example", "{form}");
        let bulk = json!({"links": [{"destination_url": URL, "slug": format!("many{number}"), "domain": form}]});
        let bulk = app.operator("POST", "/api/v1/links/bulk").json(&bulk).await.json();
        assert_eq!(bulk["created"], 1, "{form}: {bulk}");
        let list = app.operator("GET", &format!("/api/v1/links?slug=one0&domain={}", escaped(form))).send().await;
        assert_eq!(list.json()["links"][0]["slug"], "one0", "{form}");
        let report = app.operator("GET", &format!("/api/v1/reports?domain={}", escaped(form))).send().await;
        assert_eq!(report.json()["query"]["domain"], "xn--krz-hoa.example", "{form}");
        let report = app.operator("GET", &format!("/api/v1/reports?referrer_host={}", escaped(form))).send().await;
        assert_eq!(report.json()["query"]["filters"]["referrer_host"], json!(["xn--krz-hoa.example"]), "{form}");
    }
    for bad in ["https://kürz.example", "kürz.example/a", "a b", ""] {
        let link = json!({"destination_url": URL, "domain": bad});
        app.operator("POST", "/api/v1/links").json(&link).await.assert_problem(422, "domain_unknown");
    }
}

/// The same instant in all the forms that are taken.
const TIMES: [&str; 7] = [
    "2046-01-15T00:00:00Z",
    "2046-01-15T01:00:00+01:00",
    "2046-01-15T00:00:00",
    "2046-01-15 00:00",
    "2046-01-15T00:00Z",
    "2046-01-15",
    " 2046-01-15T00:00:00.0Z",
];

#[tokio::test]
async fn a_time_is_the_same_in_every_form() {
    let app = TestApp::new().await;
    let expect = json!("2046-01-15T00:00:00Z");
    for time in TIMES {
        let link = json!({"destination_url": URL, "expires_at": time, "created_at": time,
            "evolution_rules": [{"starts_at": time, "destination_url": URL}],
            "rules": [{"when": {"until": time}, "to": {"url": URL}}]});
        let made = app.create_link(link.clone()).await;
        let bulk = app.operator("POST", "/api/v1/links/bulk").json(&json!({"links": [link]})).await.json();
        assert_eq!(bulk["created"], 1, "{time}: {bulk}");
        let path = format!("/api/v1/links/{}", made["id"].as_str().unwrap());
        let patched =
            app.operator("PATCH", &path).json(&json!({ "starts_at": "2045-01-01", "expires_at": time })).await;
        for shown in [&made, &patched.json()] {
            assert_eq!((&shown["expires_at"], &shown["created_at"]), (&expect, &expect), "{time}");
            assert_eq!(shown["evolution_rules"][0]["starts_at"], expect, "{time}");
            assert_eq!(shown["rules"][0]["when"]["until"], expect, "{time}");
        }
        let key = app.operator("POST", "/api/v1/keys").json(&json!({"name": "k", "expires_at": time})).await;
        assert_eq!(key.json()["expires_at"], expect, "{time}");
        let decide = json!({"record": {"destination_url": URL, "expires_at": time}, "visit": {"now": time}});
        let decided = app.operator("POST", "/api/v1/decide").json(&decide).await;
        assert_eq!(decided.json()["status"], 410, "{time}: {}", decided.text());
        let report = app.operator("GET", &format!("/api/v1/reports?from={}&to=2046-01-16", escaped(time))).send().await;
        assert_eq!(report.json()["query"]["from"], expect, "{time}: {}", report.text());
    }
}

#[tokio::test]
async fn what_is_no_time_is_refused_with_what_is_one() {
    let app = TestApp::new().await;
    for bad in ["soon", "2046-02-30", "15.01.2046", "1768473000", "2046-01-15T25:00", "say \"when\""] {
        let link = json!({"destination_url": URL, "expires_at": bad, "evolution_rules": [{"ends_at": bad, "destination_url": URL}],
            "rules": [{"when": {"from": bad}, "to": {"url": URL}}]});
        let reply = app.operator("POST", "/api/v1/links").json(&link).await;
        let fields = ["expires_at", "evolution_rules[0].ends_at", "rules[0].when.from"];
        assert_eq!(reply.errors(), fields.map(|field| (field.to_owned(), "invalid_field".to_owned())), "{bad}");
        let key = app.operator("POST", "/api/v1/keys").json(&json!({"expires_at": bad})).await;
        assert_eq!(key.errors(), [("expires_at".to_owned(), "invalid_field".to_owned())], "{bad}");
        let report = app.operator("GET", &format!("/api/v1/reports?to={}", escaped(bad))).send().await;
        for reply in [&reply, &key, &report] {
            let detail = reply.json()["errors"][0]["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(bad) && detail.contains("2026-01-15T10:30:00Z"), "{detail}");
        }
    }
}

#[tokio::test]
async fn what_has_ended_before_it_begins_is_refused_or_said() {
    let app = TestApp::new().await;
    let key = app.operator("POST", "/api/v1/keys").json(&json!({"name": "k", "expires_at": "2020-01-01"})).await;
    key.assert_problem(422, "invalid_field");
    assert!(key.text().contains("in the future"), "{}", key.text());

    let warnings = |shown: &Value| shown["warnings"].to_string();
    let made = app.create_link(json!({"destination_url": URL, "expires_at": "2020-01-01"})).await;
    assert!(warnings(&made).contains("2020-01-01T00:00:00Z is in the past"), "{made}");
    let path = format!("/api/v1/links/{}", made["id"].as_str().unwrap());
    let shown = app.operator("GET", &path).send().await.json();
    assert_eq!(shown.get("warnings"), None, "only those who write are told");
    let patched = app.operator("PATCH", &path).json(&json!({"expires_at": "2021-01-01"})).await.json();
    assert!(warnings(&patched).contains("2021-01-01T00:00:00Z is in the past"), "{patched}");
    let patched = app.operator("PATCH", &path).json(&json!({"expires_at": null})).await.json();
    assert_eq!(patched.get("warnings"), None);

    let long = format!("{URL}{}", "x".repeat(4_000));
    let bulk = json!({"links": [{"destination_url": long}, {"destination_url": URL, "expires_at": "2020-01-01"}, {"destination_url": URL}]});
    let results = app.operator("POST", "/api/v1/links/bulk").json(&bulk).await.json()["results"].clone();
    assert!(warnings(&results[0]).contains("proxy_buffer_size"), "{results}");
    assert!(warnings(&results[1]).contains("is in the past"), "{results}");
    assert_eq!(results[2].get("warnings"), None);
    let made = app.create_link(json!({"destination_url": long})).await;
    assert!(warnings(&made).contains("destination_url: of 4020 bytes"), "{}", warnings(&made));
}

#[tokio::test]
async fn no_message_has_a_backslash_before_a_quote() {
    let app = TestApp::new().await;
    let odd = r#"a"b'c"#;
    let target = escaped(odd);
    let mut replies = Vec::new();
    for link in [
        json!({"destination_url": odd}),
        json!({"destination_url": URL, "slug": odd}),
        json!({"destination_url": URL, "slug": "it's"}),
        json!({"destination_url": URL, "domain": odd}),
        json!({"destination_url": URL, "expires_at": odd}),
        json!({"destination_url": URL, "rules": odd}),
        json!({"destination_url": URL, "redirect_status": odd}),
        json!({"destination_url": URL, "enabled": odd}),
        json!({"destination_url": URL, "ab_test": {"id": 1, "variants": odd}}),
        json!({"destination_url": URL, odd: 1}),
    ] {
        replies.push(app.operator("POST", "/api/v1/links").json(&link).await);
    }
    for query in [
        format!("links?{target}=1"),
        format!("links?domain={target}"),
        format!("reports?domain={target}"),
        format!("reports?{target}=1"),
        format!("reports?class={target}"),
        format!("reports?interval={target}"),
        format!("reports?time_zone={target}"),
        format!("reports?from={target}"),
        format!("reports?group_by={target}"),
        format!("reports?device={target}"),
    ] {
        replies.push(app.operator("GET", &format!("/api/v1/{query}")).send().await);
    }
    for body in
        [json!({"visit": odd, "record": URL}), json!({"visit": {}, "record": {"destination_url": URL, "rules": odd}})]
    {
        replies.push(app.operator("POST", "/api/v1/decide").json(&body).await);
    }
    for reply in replies {
        let problem = reply.json();
        let is_read = problem["links"].is_array() || problem["action"].is_string();
        assert!(reply.status.is_client_error() || is_read, "{problem}");
        for skipped in problem["skipped"].as_array().into_iter().flatten() {
            assert!(!skipped.as_str().unwrap().contains('\\'), "{skipped}");
        }
        let details = problem["errors"].as_array().into_iter().flatten().map(|error| &error["detail"]);
        for detail in details.chain([&problem["detail"]]) {
            assert!(!detail.as_str().unwrap_or_default().contains('\\'), "{detail}");
        }
    }
}
