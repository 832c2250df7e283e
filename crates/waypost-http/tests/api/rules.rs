//! Rules as they come in, and what is odd about them.

use serde_json::{Value, json};

use crate::harness::TestApp;

const URL: &str = "https://example.com/";

fn rule(when: &Value, url: &str) -> Value {
    json!({"when": when, "to": {"url": url}})
}

#[tokio::test]
async fn a_schedule_gets_the_rule_of_its_zone_and_follows_it() {
    let app = TestApp::new().await;
    let hours = json!({"hours": ["mon-fri 09:00-17:00"], "time_zone": "europe/berlin"});
    let rules =
        json!([rule(&json!({"schedule": hours, "not": {"query_present": ["closed"]}}), "https://open.example/")]);
    let link = app.create_link(json!({"destination_url": URL, "rules": rules})).await;
    let kept = &link["rules"][0]["when"]["schedule"];
    let expect = json!({"hours": ["mon-fri 09:00-17:00"], "time_zone": "Europe/Berlin",
        "time_zone_rule": "CET-1CEST,M3.5.0,M10.5.0/3"});
    assert_eq!(kept, &expect);
    let path = format!("/api/v1/links/{}", link["id"].as_str().unwrap());
    let decide = async |visit: Value| {
        let reply = app.operator("POST", &format!("{path}/decide")).json(&json!({"visit": visit, "trace": true})).await;
        let decision = reply.json();
        let why =
            decision["trace"].as_array().unwrap().iter().find(|step| step["step"] == "rule").unwrap()["why"].clone();
        (decision["location"].as_str().unwrap().to_owned(), why.as_str().unwrap().to_owned())
    };
    let (location, _) = decide(json!({"now": "2026-07-01T07:00:00Z"})).await;
    assert_eq!(location, "https://open.example/");
    let (location, why) = decide(json!({"now": "2026-07-01T15:00:00Z"})).await;
    assert_eq!((location.as_str(), why.as_str()), (URL, "it is outside the hours"));
    let (location, why) = decide(json!({"now": "2026-07-01T07:00:00Z", "query": "closed"})).await;
    assert_eq!((location.as_str(), why.as_str()), (URL, "`not` excludes the visit by its query_present"));

    // What was read is written back, with another zone.
    let mut rules = link["rules"].clone();
    rules[0]["when"]["schedule"]["time_zone"] = json!("America/New_York");
    let changed = app.operator("PATCH", &path).json(&json!({"rules": rules})).await.json();
    assert_eq!(changed["rules"][0]["when"]["schedule"]["time_zone_rule"], "EST5EDT,M3.2.0,M11.1.0");
    for (schedule, field) in [
        (json!({"hours": ["sun"], "time_zone": "Berlin"}), "rules[0].when.schedule.time_zone"),
        (json!({"hours": ["sunday"]}), "rules[0].when.schedule.hours[0]"),
        (json!({"hours": ["sun"], "zone": "UTC"}), "rules[0].when.schedule.zone"),
        (json!([]), "rules[0].when.schedule"),
    ] {
        let link = json!({"destination_url": URL, "rules": [rule(&json!({"schedule": schedule}), URL)]});
        let reply = app.operator("POST", "/api/v1/links").json(&link).await;
        assert_eq!(
            (reply.status.as_u16(), &reply.json()["errors"][0]["field"]),
            (422, &json!(field)),
            "{}",
            reply.text()
        );
    }
}

#[tokio::test]
async fn what_is_odd_is_told_with_each_save_and_on_request() {
    let app = TestApp::new().await;
    let dach = rule(&json!({"countries": ["DE", "AT"]}), "https://dach.example/");
    let german = rule(&json!({"countries": ["DE"], "os": ["ios"]}), "https://de.example/");
    let link = app.create_link(json!({"destination_url": "http://example.com/", "rules": [dach, german]})).await;
    let expect = "rules[1]: rules[0] before it matches every visitor that it matches, so it never applies";
    assert_eq!(link["warnings"], json!([expect]));

    let path = format!("/api/v1/links/{}/lint", link["id"].as_str().unwrap());
    let found = app.operator("POST", &path).send().await.json();
    let brief = |found: &Value| -> Vec<String> {
        let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        let findings = found["findings"].as_array().unwrap();
        findings
            .iter()
            .map(|found| ["level", "code", "field", "other"].map(|name| text(found, name)).join(" "))
            .collect()
    };
    assert_eq!(brief(&found), ["warning shadowed rules[1] rules[0]", "note http destination_url "]);

    let looping = rule(&json!({"os": ["ios"]}), "https://go.example/x");
    let record = json!({"record": {"destination_url": URL, "rules": [looping]}});
    let found = app.operator("POST", "/api/v1/lint").json(&record).await.json();
    assert_eq!(brief(&found), ["warning loop rules[0].to.url "]);
    assert_eq!(
        app.operator("POST", "/api/v1/lint").json(&json!({"record": URL})).await.json(),
        json!({"findings": []})
    );
    for bad in [json!({}), json!({"record": 7}), json!({"record": URL, "x": 1})] {
        assert_eq!(app.operator("POST", "/api/v1/lint").json(&bad).await.status, 422, "{bad}");
    }
    app.operator("POST", "/api/v1/links/link_00000000000000000000000000000000/lint")
        .send()
        .await
        .assert_problem(404, "not_found");
}
