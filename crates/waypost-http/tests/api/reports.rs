//! Reports, raw clicks, the live feed, the audit and forgetting, as the API answers them.

use serde_json::{Value, json};
use waypost_core::class::Class;
use waypost_rollup::ClickFacts;

use crate::harness::{TestApp, on_both_databases};
use crate::made_clicks::{EDGE, click, count, lose};

on_both_databases!(
    reports_are_counted,
    retention_is_chosen_and_taken_back,
    raw_clicks_come_in_pages_and_in_one_text,
    clicks_outlive_their_link_until_they_are_erased,
    the_audit_says_where_every_click_is,
);

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
        "scope": "link", "link_id": id, "short_url": link["short_url"], "from": "2026-03-01T00:00:00+01:00", "to": "2026-04-01T00:00:00+02:00",
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

async fn raw_clicks_come_in_pages_and_in_one_text(app: &TestApp) {
    let link = app.create_link(json!({"destination_url": "https://example.com/", "slug": "a"})).await;
    let other = app.create_link(json!({"destination_url": "https://example.com/", "slug": "b"})).await;
    let evil = ClickFacts { browser: "=1+1", utm: ["@a", "x,y", "say \"hi\"", "", ""], ..click(&link, 0) };
    count(&app.clicks, 1, [evil].into_iter().chain((1..2_500).map(|at_s| click(&link, at_s)))).await;
    count(&app.clicks, 2_501, [click(&other, 100_000)]).await;

    let mut cursor = String::new();
    let mut found = Vec::new();
    loop {
        let path = format!("/api/v1/clicks?limit=999&link_id={}{cursor}", link["id"].as_str().unwrap());
        let page = app.operator("GET", &path).send().await.json();
        found.extend(page["clicks"].as_array().unwrap().iter().map(|click| click["sequence"].as_u64().unwrap()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(found, (1..=2_500).collect::<Vec<_>>());
    app.operator("GET", "/api/v1/clicks?cursor=x").send().await.assert_problem(400, "bad_request");
    app.operator("GET", "/api/v1/clicks?cursor=x&format=csv").send().await.assert_problem(400, "bad_request");

    let ndjson = app.operator("GET", "/api/v1/clicks").header("accept", "application/x-ndjson").send().await;
    assert_eq!(ndjson.header("content-type"), Some("application/x-ndjson"));
    let text = ndjson.text();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 2_501);
    assert_eq!((&events[0]["browser"], &events[0]["visitor"]), (&json!("=1+1"), &json!("0123456789abcdef")));
    assert_eq!(events[2_500]["slug"], "b");

    let csv = app.operator("GET", "/api/v1/clicks?format=csv&limit=1500&to=2026-03-01").send().await;
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    let text = csv.text();
    assert_eq!(text.matches("\r\n").count(), 1_501);
    assert!(text.starts_with("event_id,clicked_at,link_id,domain,slug,class,"), "{}", &text[..200]);
    let first = text.lines().nth(1).unwrap();
    assert!(first.contains(",'=1+1,") && first.contains(",'@a,\"x,y\",\"say \"\"hi\"\"\","), "{first}");
    let range = app.operator("GET", "/api/v1/clicks?format=ndjson&from=2026-03-01T00:00:10Z&to=2026-03-01T00:00:20Z");
    assert_eq!(range.send().await.text().lines().count(), 10);
}

async fn clicks_outlive_their_link_until_they_are_erased(app: &TestApp) {
    let link = app.create_link(json!({"destination_url": "https://example.com/", "slug": "a"})).await;
    let other = app.create_link(json!({"destination_url": "https://example.com/", "slug": "b"})).await;
    let theirs = ClickFacts { visitor: Some(7), ..click(&other, 5) };
    count(&app.clicks, 1, [click(&link, 1), click(&link, 2), click(&other, 3), theirs]).await;
    let path = format!("/api/v1/links/{}", link["id"].as_str().unwrap());
    assert_eq!(app.operator("DELETE", &path).send().await.status, 204);
    let raw = || async {
        let text = app.operator("GET", "/api/v1/clicks?format=ndjson").send().await.text();
        text.lines().count()
    };
    assert_eq!(raw().await, 4);
    let erased = app.operator("DELETE", &format!("{path}/clicks")).send().await;
    assert_eq!((erased.status.as_u16(), erased.json()), (200, json!({"deleted": 2})));
    assert_eq!(raw().await, 2);
    let erased = app.operator("DELETE", "/api/v1/visitors/0000000000000007/clicks").send().await;
    assert_eq!(erased.json(), json!({"deleted": 1}));
    assert_eq!(raw().await, 1);
    assert_eq!(app.operator("DELETE", &format!("{path}/clicks")).send().await.json(), json!({"deleted": 0}));
}

async fn the_audit_says_where_every_click_is(app: &TestApp) {
    let audit = || async { app.operator("GET", "/api/v1/clicks/audit").send().await.json() };
    assert_eq!(
        audit().await,
        json!({"ok": true, "totals": {"answered": 0, "stored": 0, "lost": 0, "waiting": 0, "missing": 0},
            "epochs": [], "spool": null})
    );
    let link = app.create_link(json!({"destination_url": "https://example.com/"})).await;
    count(&app.clicks, 1, [click(&link, 1), click(&link, 2)]).await;
    lose(&app.clicks, 3, 5).await;
    let found = audit().await;
    assert_eq!(found["ok"], true, "{found}");
    assert_eq!(found["totals"], json!({"answered": 7, "stored": 2, "lost": 5, "waiting": 0, "missing": 0}));
    let epoch = &found["epochs"][0];
    assert_eq!((&epoch["edge_id"], &epoch["received"]), (&json!(EDGE), &json!([[1, 7]])));
    assert_eq!(epoch["lost"], json!({"full": 5, "damaged": 0, "unreadable": 0}));
    let metrics = app.operator("GET", "/metrics").send().await.text();
    assert!(metrics.contains("waypost_clicks_lost_total{cause=\"full\"} 5\n"), "{metrics}");

    let out_of_turn = ClickFacts { sequence: 10, ..click(&link, 3) };
    app.clicks.store().ingest_events(&[out_of_turn]).await.unwrap();
    let found = audit().await;
    assert_eq!((&found["ok"], &found["epochs"][0]["gaps"]), (&json!(false), &json!([[8, 9]])), "{found}");
    assert_eq!(found["totals"], json!({"answered": 10, "stored": 3, "lost": 5, "waiting": 0, "missing": 2}));
}

async fn retention_is_chosen_and_taken_back(app: &TestApp) {
    let put = |body: Value| app.operator("PUT", "/api/v1/clicks/retention").json(&body);
    let get = || app.operator("GET", "/api/v1/clicks/retention").send();
    assert_eq!(get().await.json(), json!({"days": null}));
    assert_eq!(put(json!({"days": 90})).await.json(), json!({"days": 90}));
    assert_eq!(get().await.json(), json!({"days": 90}));
    assert_eq!(put(json!({"days": null})).await.json(), json!({"days": null}));
    for bad in [
        json!({}),
        json!({"days": 0}),
        json!({"days": -1}),
        json!({"days": 1.5}),
        json!({"days": "90"}),
        json!({"days": 1e9}),
    ] {
        put(bad).await.assert_problem(422, "invalid_field");
    }
    put(json!({"days": 1, "hours": 1})).await.assert_problem(422, "unknown_field");
}

#[tokio::test]
async fn questions_without_an_answer_are_refused() {
    let app = TestApp::new().await;
    for (query, status, code, field) in [
        ("colour=red", 400, "bad_request", "colour"),
        ("from=2026-02-01&to=2026-01-01", 422, "range_invalid", "to"),
        ("from=1970-01-01&to=2026-01-01&interval=hour", 422, "range_invalid", ""),
        ("from=soon", 422, "range_invalid", "from"),
        ("time_zone=Mars/Olympus", 422, "time_zone_unknown", "time_zone"),
        ("country=Germany", 422, "filter_invalid", "country"),
        ("group_by=colour", 422, "filter_invalid", "group_by"),
        ("interval=fortnight", 422, "invalid_field", "interval"),
        ("class=robot", 422, "filter_invalid", "class"),
        ("limit=-1", 422, "invalid_field", "limit"),
    ] {
        let reply = app.operator("GET", &format!("/api/v1/reports?{query}")).send().await;
        reply.assert_problem(status, code);
        if !field.is_empty() {
            assert_eq!(reply.errors(), [(field.to_owned(), code.to_owned())], "{query}");
        }
    }
    for path in ["/api/v1/reports?link_id=link_1", "/api/v1/reports?link_id=x", "/api/v1/reports?domain=x.example"] {
        app.operator("GET", path).send().await.assert_problem(404, "not_found");
    }
    for (query, code) in [
        ("from=2026-02-01&to=2026-01-01", "range_invalid"),
        ("limit=10001", "invalid_field"),
        ("format=xml", "invalid_field"),
    ] {
        app.operator("GET", &format!("/api/v1/clicks?{query}")).send().await.assert_problem(422, code);
    }
    app.operator("GET", "/api/v1/clicks?link_id=link_1").send().await.assert_problem(404, "not_found");
    app.operator("GET", "/api/v1/clicks/live?class=robot").send().await.assert_problem(422, "filter_invalid");
    app.operator("GET", "/api/v1/clicks/live?from=7d").send().await.assert_problem(400, "bad_request");
}

const HOUR_S: i64 = 3_600;

/// Clicks of a link and of one that is gone, by link.
fn links_csv(id: &str, short_url: &str, gone_id: &str) -> String {
    format!(
        "link_id,domain,slug,short_url,clicks,visitors,visitors_estimated\r\n{id},go.example,a,{short_url},4,,\r\n{gone_id},,,,1,,\r\n"
    )
}

async fn reports_are_counted(app: &TestApp) {
    let link = app.create_link(json!({"destination_url": "https://example.com/", "slug": "a"})).await;
    let gone = app.create_link(json!({"destination_url": "https://example.com/", "slug": "b"})).await;
    let bot = ClickFacts { class: Class::Bot, ..click(&link, 0) };
    let austrian = ClickFacts {
        country: Some(*b"AT"),
        visitor: Some(0x9e37_79b9_7f4a_7c15),
        browser: "=cmd",
        ..click(&link, 30 * HOUR_S)
    };
    let unknown = ClickFacts { country: None, visitor: Some(0x3c6e_f372_fe94_f82a), ..click(&link, 31 * HOUR_S) };
    // Half an hour before midnight in UTC is the next day in Vienna.
    let late = click(&link, 24 * HOUR_S - 1_800);
    count(&app.clicks, 1, [click(&link, 0), bot, late, austrian, unknown, click(&gone, 5)]).await;
    let path = format!("/api/v1/links/{}", gone["id"].as_str().unwrap());
    assert_eq!(app.operator("DELETE", &path).send().await.status, 204);
    let get = |query: &str| {
        let path = format!("/api/v1/reports?from=2026-03-01&to=2026-03-03&{query}");
        let call = app.operator("GET", &path);
        async move {
            let reply = call.send().await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            reply
        }
    };
    let id = link["id"].as_str().unwrap();

    let all = get("").await.json();
    assert_eq!((&all["clicks"], &all["visitors_estimated"], &all["rows"]), (&json!(5), &json!(false), &json!([])));
    assert_eq!(get("class=all").await.json()["clicks"], 6);
    assert_eq!(get(&format!("link_id={id}")).await.json()["clicks"], 4);
    assert_eq!(get(&format!("link_id={id}&country=de,unknown")).await.json()["clicks"], 3);
    assert_eq!(get("domain=go.example&browser==cmd").await.json()["clicks"], 1);

    let days = get("interval=day&time_zone=Europe/Vienna").await.json();
    let starts: Vec<_> =
        days["rows"].as_array().unwrap().iter().map(|row| (&row["starts_at"], &row["clicks"])).collect();
    assert_eq!(
        starts,
        [
            (&json!("2026-03-01T00:00:00+01:00"), &json!(2)),
            (&json!("2026-03-02T00:00:00+01:00"), &json!(3)),
            (&json!("2026-03-03T00:00:00+01:00"), &json!(0))
        ]
    );

    let countries = get("group_by=country&limit=2").await.json();
    assert_eq!(countries["rows"][0], json!({"group": "DE", "clicks": 3, "visitors": 1, "visitors_estimated": false}));
    assert_eq!((countries["rows"].as_array().unwrap().len(), &countries["other"]["clicks"]), (2, &json!(1)));

    let links = get("group_by=link").await.json();
    assert_eq!((&links["clicks"], &links["visitors"]), (&json!(5), &json!(3)));
    let short_url = link["short_url"].clone();
    assert_eq!(
        links["rows"],
        json!([{"group": id, "domain": "go.example", "slug": "a", "short_url": short_url, "clicks": 4},
            {"group": gone["id"], "clicks": 1}])
    );
    let csv = get("group_by=link&format=csv").await;
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    let (gone_id, short_url) = (gone["id"].as_str().unwrap(), link["short_url"].as_str().unwrap());
    assert_eq!(csv.text(), links_csv(id, short_url, gone_id));
    let csv = get("group_by=browser&interval=month&format=csv").await.text();
    assert!(
        csv.starts_with("starts_at,browser,clicks,visitors,visitors_estimated\r\n2026-03-01T00:00:00Z,Firefox,4,"),
        "{csv}"
    );
    assert!(csv.contains("\r\n2026-03-01T00:00:00Z,'=cmd,1,1,false\r\n"), "{csv}");
    assert_eq!(get("format=csv").await.text(), "clicks,visitors,visitors_estimated\r\n5,3,false\r\n");
}

#[tokio::test]
async fn what_is_not_counted_together_is_refused() {
    let app = TestApp::new().await;
    let not_counted = app.operator("GET", "/api/v1/reports?group_by=link&country=DE").send().await;
    not_counted.assert_problem(422, "not_combined");
    assert_eq!(not_counted.errors(), [("country".to_owned(), "not_combined".to_owned())]);
}
