//! Reports, raw clicks, the live feed, the audit and forgetting, as the API answers them.

use serde_json::json;

use crate::harness::TestApp;

#[tokio::test]
async fn a_report_says_how_it_was_understood() {
    let app = TestApp::new().await;
    let link = app.create_link(json!({"destination_url": "https://example.com/"})).await;
    let id = link["id"].as_str().unwrap();
    let path = format!(
        "/api/v1/reports?link_id={id}&from=2026-03-01&to=2026-03-31&time_zone=europe/berlin&interval=month\
         &class=human,bot&country=de,unknown&limit=5"
    );
    let reply = app.operator("GET", &path).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let expect = json!({
        "scope": "link", "link_id": id, "from": "2026-03-01T00:00:00+01:00", "to": "2026-04-01T00:00:00+02:00",
        "time_zone": "Europe/Berlin", "interval": "month", "classes": ["human", "bot"],
        "filters": {"country": ["DE", ""]}, "group_by": null, "limit": 5
    });
    assert_eq!(reply.json()["query"], expect);
    assert_eq!(reply.json()["other"], json!({"groups": 0, "clicks": 0}));
    let domain = app.operator("GET", "/api/v1/reports?domain=GO.example&class=all").send().await.json();
    assert_eq!((&domain["query"]["scope"], &domain["query"]["domain"]), (&json!("domain"), &json!("go.example")));
    assert_eq!(domain["query"]["classes"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn erasure_names_what_it_takes() {
    let app = TestApp::new().await;
    for bad in ["x", "0123456789abcde", "0123456789abcdefg", "+123456789abcdef", "%00"] {
        let path = format!("/api/v1/visitors/{bad}/clicks");
        app.operator("DELETE", &path).send().await.assert_problem(400, "bad_request");
    }
    let none = app.operator("DELETE", "/api/v1/visitors/0123456789abcdef/clicks").send().await;
    assert_eq!((none.status.as_u16(), none.json()), (200, json!({"deleted": 0})));
    app.operator("DELETE", "/api/v1/links/link_1/clicks").send().await.assert_problem(404, "not_found");
}

#[tokio::test]
async fn metrics_are_the_operators() {
    let app = TestApp::new().await;
    app.call("GET", "/metrics").send().await.assert_problem(401, "unauthorized");
    let reply = app.operator("GET", "/metrics").send().await;
    assert_eq!(reply.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let text = reply.text();
    for line in
        ["waypost_store_up 1", "waypost_clicks_store_up 1", "waypost_clicks_counted_total 0", "waypost_table_behind 0"]
    {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    let key = app.operator("POST", "/api/v1/keys").json(&json!({})).await.json()["key"].as_str().unwrap().to_owned();
    assert_eq!(app.with_key(&key, "GET", "/metrics").send().await.status, 200, "a key of the default account");
}
