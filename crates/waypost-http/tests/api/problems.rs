//! Every refusal of the API: its status, its code, and what else must come with it.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use waypost_spool::{Appended, Position, ReadLimit, Spool, SpoolOptions};
use waypost_store::{ApiKeyLimits, NewApiKey, StoreOptions};

use crate::harness::{TestApp, default_account};
use crate::tenants::sibling;

const URL: &str = "https://example.com/";
const WAIT: Duration = Duration::from_secs(20);

/// Of a name that comes twice nobody can say which value is meant, at any depth and on every way in.
#[tokio::test]
async fn a_name_that_comes_twice_is_refused() {
    let app = TestApp::new().await;
    let link = app.create_link(json!({"destination_url": URL, "slug": "x"})).await;
    let path = format!("/api/v1/links/{}", link["id"].as_str().unwrap());
    let links_twice = format!(r#"{{"links":[{{"destination_url":"{URL}"}}],"links":[]}}"#);
    for (method, path, body, name) in [
        (
            "POST",
            "/api/v1/links",
            r#"{"destination_url":"https://a.example/","destination_url":"https://b.example/"}"#,
            "destination_url",
        ),
        (
            "POST",
            "/api/v1/links",
            r#"{"destination_url":"https://a.example/","rules":[{"when":{},"to":{"url":"https://a.example/","url":"https://b.example/"}}]}"#,
            "url",
        ),
        ("PATCH", path.as_str(), r#"{"enabled":true,"enabled":false}"#, "enabled"),
        ("POST", "/api/v1/links/bulk", links_twice.as_str(), "links"),
        (
            "POST",
            "/api/url",
            r#"{"originalUrl":"https://a.example/","originalUrl":"https://b.example/"}"#,
            "originalUrl",
        ),
        (
            "POST",
            "/api/v1/decide",
            r#"{"record":{"destination_url":"https://a.example/","destination_url":"x"}}"#,
            "destination_url",
        ),
        ("POST", "/api/v1/keys", r#"{"name":"a","name":"b"}"#, "name"),
    ] {
        let reply = app.operator(method, path).header("content-type", "application/json").body(body.to_owned()).await;
        reply.assert_problem(400, "bad_json");
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(&format!("\"{name}\" occurs twice")), "{path}: {detail}");
    }
    let one = r#"{"destination_url":"https://a.example/","enabled":true,"enabled":false}"#;
    let bulk = format!(r#"{{"links":[{one},{{"destination_url":"{URL}"}}]}}"#);
    let reply = app.operator("POST", "/api/v1/links/bulk").header("content-type", "application/json").body(bulk).await;
    let results = reply.json();
    assert_eq!(
        (&results["created"], &results["results"][0]["problem"]["code"]),
        (&json!(1), &json!("bad_json")),
        "{results}"
    );
    assert_eq!(app.operator("GET", &path).send().await.json()["version"], 1, "nothing was changed");
}

/// Reports name a rule without an id by its place. A stored id that looks like one stays, also when the link is
/// changed.
#[tokio::test]
async fn no_id_of_a_rule_looks_like_a_place() {
    let app = TestApp::new().await;
    let rule = |id: &str| json!({"id": id, "when": {"countries": ["DE"]}, "to": {"url": URL}});
    let link = json!({"destination_url": URL, "rules": [rule("a"), rule("#1")],
        "geo_rules": [{"id": "#3", "country_code": "AT", "destination_url": URL}],
        "evolution_rules": [{"id": "##", "destination_url": URL}]});
    let reply = app.operator("POST", "/api/v1/links").json(&link).await;
    reply.assert_problem(422, "invalid_field");
    let fields: Vec<_> = reply.errors().into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["rules[1].id", "evolution_rules[0].id", "geo_rules[0].id"]);

    let mut tx = app.store.begin("db_old").await.unwrap();
    let account_id = default_account(&mut tx).await;
    let domain = tx.get_default_domain().await.unwrap().unwrap();
    let old = waypost_store::NewLink {
        account_id,
        domain_id: domain.domain_id,
        slug: waypost_store::SlugChoice::Chosen(waypost_core::Slug::parse("old").unwrap()),
        record: serde_json::from_value(json!({"destination_url": URL, "rules": [rule("#2")]})).unwrap(),
        dedupe_key: None,
        created_at: None,
    };
    let old = tx.create_link(&old, None).await.unwrap();
    tx.commit().await.unwrap();
    let path = format!("/api/v1/links/{}", old.link_id);
    let reply = app.operator("PATCH", &path).json(&json!({"enabled": false})).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["rules"][0]["id"]), (200, &json!("#2")));
    let moved = app.operator("PATCH", &path).json(&json!({"rules": [rule("b"), rule("#2")]})).await;
    assert_eq!(moved.status, 200, "{}", moved.text());
    let new = app.operator("PATCH", &path).json(&json!({"rules": [rule("#2"), rule("#5")]})).await;
    assert_eq!(new.errors(), [("rules[1].id".to_owned(), "invalid_field".to_owned())]);
}

#[tokio::test]
async fn fields_of_links() {
    let app = TestApp::new().await;
    for (link, code, field) in [
        (json!({}), "invalid_field", ""),
        (json!({"destination_url": "x"}), "destination_invalid", "destination_url"),
        (json!({"destination_url": "javascript:alert(1)"}), "destination_scheme", "destination_url"),
        (json!({"destination_url": "https://u:p@example.com/"}), "destination_userinfo", "destination_url"),
        (json!({"destination_url": "https://go.example/x"}), "destination_loop", "destination_url"),
        (json!({"destination_url": format!("{URL}{}", "x".repeat(9_000))}), "destination_length", "destination_url"),
        (json!({"destination_url": URL, "slug": "api/x"}), "slug_reserved", "slug"),
        (json!({"destination_url": URL, "slug": ""}), "slug_invalid", "slug"),
        (json!({"destination_url": URL, "slug": "a b"}), "slug_invalid", "slug"),
        (json!({"destination_url": URL, "slug": "p\u{430}ypal"}), "slug_invalid", "slug"),
        (json!({"destination_url": URL, "domain": "nowhere.example"}), "domain_unknown", "domain"),
        (json!({"destination_url": URL, "destination": URL}), "unknown_field", "destination"),
        (json!({"destination_url": URL, "redirect_status": 200}), "invalid_field", "redirect_status"),
        (
            json!({"destination_url": URL, "rules": [{"when": {"os": []}, "to": {"url": URL}}]}),
            "invalid_field",
            "rules[0].when.os",
        ),
    ] {
        let reply = app.operator("POST", "/api/v1/links").json(&link).await;
        reply.assert_problem(422, code);
        assert_eq!(reply.errors(), [(field.to_owned(), code.to_owned())], "{link}");
    }
    let two = json!({"destination_url": URL, "colour": 1, "size": 2});
    let reply = app.operator("POST", "/api/v1/links").json(&two).await;
    assert_eq!(reply.errors().iter().map(|(field, _)| field.as_str()).collect::<Vec<_>>(), ["colour", "size"]);
    let link = app.create_link(json!({"destination_url": URL, "slug": "x"})).await;
    let path = format!("/api/v1/links/{}", link["id"].as_str().unwrap());
    for (patch, code) in [
        (json!({"slug": "y"}), "immutable_field"),
        (json!({"domain": "other.example"}), "immutable_field"),
        (json!({"id": "link_1"}), "immutable_field"),
        (json!({"colour": 1}), "unknown_field"),
        (json!({"destination_url": null}), "invalid_field"),
        (json!({"destination_url": "x"}), "destination_invalid"),
        (json!({"expires_at": "x"}), "invalid_field"),
    ] {
        app.operator("PATCH", &path).json(&patch).await.assert_problem(422, code);
    }
    app.operator("POST", "/api/v1/links")
        .json(&json!({"destination_url": URL, "slug": "x"}))
        .await
        .assert_problem(409, "slug_taken");
    assert_eq!(app.table.stats().unwrap().links, 1);
}

#[tokio::test]
async fn bodies() {
    let app = TestApp::new().await;
    let post = || app.operator("POST", "/api/v1/links");
    post().body("{}").await.assert_problem(422, "invalid_field");
    assert_eq!(post().body(format!("{{\"destination_url\":\"{URL}\"}}")).await.status, 201, "no type is JSON");
    for form in ["application/x-www-form-urlencoded", "Multipart/Form-Data; boundary=x"] {
        let refused = post().header("content-type", form).body(format!("destination_url={URL}")).await;
        refused.assert_problem(415, "unsupported_media_type");
        assert!(refused.json()["detail"].as_str().unwrap().contains("a JSON object is expected"), "{form}");
    }
    post().header("content-type", "text/plain").body("{}").await.assert_problem(415, "unsupported_media_type");
    let json_post = || post().header("content-type", "application/json; charset=utf-8");
    for bad in ["", "{", "[]", "null", "\u{0}", "{\"a\":1}x"] {
        json_post().body(bad.to_owned()).await.assert_problem(400, "bad_json");
    }
    json_post().body("[".repeat(500_000)).await.assert_problem(400, "bad_json");
    json_post()
        .body(format!("{}{}", "{\"rules\":".repeat(1_000), "}".repeat(1_000)))
        .await
        .assert_problem(400, "bad_json");
    json_post().body("x".repeat(10 << 20)).await.assert_problem(413, "body_too_large");
    let deep =
        format!("{{\"destination_url\":\"{URL}\",\"rules\":[{{\"to\":{}1{}}}]}}", "[".repeat(100), "]".repeat(100));
    json_post().body(deep).await.assert_problem(422, "invalid_field");
}

/// A key beside this one that has expired, which the API would not make.
async fn expired_key(app: &TestApp, made: &Value) -> String {
    let (key, key_id) = (made["key"].as_str().unwrap(), made["key_id"].as_str().unwrap());
    let text = sibling(key, "stranger");
    let mut tx = app.store.begin("make_expired_key").await.unwrap();
    let own = tx.authenticate_api_key(key_id, &Sha256::digest(key).into()).await.unwrap().unwrap();
    let new = NewApiKey {
        limits: ApiKeyLimits::default(),
        account_id: own.account_id,
        name: "expired".to_owned(),
        key_id: text[3..11].to_owned(),
        secret_digest: Sha256::digest(&text).into(),
        expires_at: Some("2020-01-01T00:00:00Z".parse().unwrap()),
    };
    tx.create_api_key(&new).await.unwrap();
    tx.commit().await.unwrap();
    text
}

#[tokio::test]
async fn credentials() {
    let app = TestApp::new().await;
    let made = app.operator("POST", "/api/v1/keys").json(&json!({"name": "test"})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let key = made.json()["key"].as_str().unwrap().to_owned();
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(app.with_key(&key, "GET", "/api/v1/links").send().await.status, 200);
    let listed = app.operator("GET", "/api/v1/keys").send().await;
    assert!(!listed.text().contains(&key[12..]), "the secret is shown once");
    assert!(listed.json()["keys"][0]["last_used_at"].is_string());

    let expired = expired_key(&app, &made.json()).await;
    let mut bodies = Vec::new();
    let other_end = if key.ends_with('x') { 'y' } else { 'x' };
    let mistyped = format!("{}{other_end}", &key[..key.len() - 1]);
    for authorization in
        ["Bearer ".to_owned(), "Bearer nonsense".to_owned(), format!("Bearer {mistyped}"), format!("Bearer {expired}")]
    {
        let reply = app.call("GET", "/api/v1/links").header("authorization", &authorization).send().await;
        reply.assert_problem(401, "unauthorized");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer realm=\"waypost\""));
        bodies.push(reply.body);
    }
    for without_bearer in ["", "Bearer", "Basic dXNlcjpwdw==", &key] {
        let reply = app.call("GET", "/api/v1/links").header("authorization", without_bearer).send().await;
        reply.assert_problem(401, "unauthorized");
        assert!(reply.text().contains("does not begin with `Bearer `"), "{without_bearer}: {}", reply.text());
    }
    let without = app.call("GET", "/api/v1/links").send().await;
    without.assert_problem(401, "unauthorized");
    assert!(without.text().contains("send the header `Authorization: Bearer KEY`"), "{}", without.text());
    let domain = app.operator("POST", "/api/v1/domains").json(&json!({"host": "own.example"})).await.json();
    let path = format!("/api/v1/domains/{}", domain["id"].as_str().unwrap());
    let forbidden = app.with_key(&key, "DELETE", &path).send().await;
    forbidden.assert_problem(403, "forbidden");
    assert!(forbidden.text().contains("run the command `waypost` on the server's machine"), "{}", forbidden.text());
    assert_eq!(app.with_key(&key, "DELETE", &format!("/api/v1/keys/{id}")).send().await.status, 204);
    let revoked = app.with_key(&key, "GET", "/api/v1/links").send().await;
    revoked.assert_problem(401, "unauthorized");
    bodies.push(revoked.body);
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "unknown, expired and revoked keys look alike");
    app.operator("DELETE", "/api/v1/keys/key_1").send().await.assert_problem(404, "not_found");
    for bad in [json!({"name": 7}), json!({"expires_at": "x"}), json!({"scope": "x"}), json!({"name": "x".repeat(201)})]
    {
        assert_eq!(app.operator("POST", "/api/v1/keys").json(&bad).await.status, 422, "{bad}");
    }
}

#[tokio::test]
async fn keys_have_an_allowance() {
    let app = TestApp::with(|settings| settings.api_rate.as_mut().unwrap().burst = 3).await;
    let key = app.operator("POST", "/api/v1/keys").json(&json!({})).await.json()["key"].as_str().unwrap().to_owned();
    for _ in 0..3 {
        assert_eq!(app.with_key(&key, "GET", "/api/v1/links").send().await.status, 200);
    }
    let refused = app.with_key(&key, "GET", "/api/v1/links").send().await;
    refused.assert_problem(429, "rate_limited");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(app.operator("GET", "/api/v1/links").send().await.status, 200);
}

#[tokio::test]
async fn addresses_and_methods() {
    let app = TestApp::new().await;
    for path in ["/api", "/api/", "/api/v1", "/api/v2/links", "/api/v1/links/", "/api/v1/links/x/y", "/api/%00"] {
        app.operator("GET", path).send().await.assert_problem(404, "not_found");
    }
    for id in ["x", "link_1", "acc_1", "link_%00", "..", "link_%ff"] {
        app.operator("GET", &format!("/api/v1/links/{id}")).send().await.assert_problem(404, "not_found");
    }
    for (method, path, allow) in [
        ("GET", "/api/url", &["POST"][..]),
        ("DELETE", "/api/v1/links", &["GET", "POST"]),
        ("POST", "/api/v1/links/link_1", &["GET", "PATCH", "DELETE"]),
        ("PUT", "/api/v1/domains", &["GET", "POST"]),
    ] {
        let reply = app.operator(method, path).send().await;
        reply.assert_problem(405, "method_not_allowed");
        let allowed = reply.header("allow").unwrap_or_default();
        assert!(allow.iter().all(|method| allowed.contains(method)), "{path}: {allowed}");
    }
    let page = app.call("DELETE", "/").send().await;
    assert_eq!(page.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(page.header("allow").unwrap().contains("POST"));
}

#[tokio::test]
async fn a_database_that_is_gone_is_503() {
    let app = TestApp::new().await;
    let link = app.create_link(json!({"destination_url": URL, "slug": "x"})).await;
    app.store.close().await;
    let path = format!("/api/v1/links/{}", link["id"].as_str().unwrap());
    for (method, path) in [("GET", path.as_str()), ("DELETE", &path), ("GET", "/api/v1/links")] {
        let reply = app.operator(method, path).send().await;
        reply.assert_problem(503, "unavailable");
        assert!(reply.header("retry-after").is_some());
    }
    let create = app.operator("POST", "/api/v1/links").json(&json!({"destination_url": URL})).await;
    create.assert_problem(503, "unavailable");
    app.call("POST", "/api/url").json(&json!({"originalUrl": URL})).await.assert_problem(503, "unavailable");
    let ready = app.operator("GET", "/readyz").send().await;
    assert_eq!((ready.status.as_u16(), &ready.json()["checks"]["store"]["ok"]), (200, &json!(false)));
    assert_eq!((&ready.json()["ready"], &ready.json()["degraded"]), (&json!(true), &json!(true)), "redirects go on");
    let public = app.call("GET", "/readyz").send().await;
    assert_eq!((public.status.as_u16(), public.json()), (200, json!({"ready": true})));
    assert_eq!(app.call("GET", "/healthz").send().await.text(), "ok");
    assert_eq!(app.call("GET", "/x+").send().await.status, 503);
    assert_eq!(app.destination("", "x").as_deref(), Some(URL), "the edge goes on");
}

/// A spool at its limit, as where the database of clicks is away for long: what is lost is no small matter.
#[tokio::test(flavor = "multi_thread")]
async fn clicks_that_find_no_room_are_a_reason_to_look() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        SpoolOptions { segment_bytes: 8192, first_segment_bytes: 8192, bytes_max: 16_384, ..SpoolOptions::default() };
    let spool = Spool::open(folder.path(), options).unwrap();
    let mut writer = spool.writer().unwrap();
    let stats = spool.clone();
    let app = TestApp::with(|settings| settings.spool_stats = Some(Arc::new(move || stats.stats()))).await;
    let look = async || app.operator("GET", "/readyz").send().await.json();
    let well = look().await;
    assert_eq!((&well["degraded"], &well["checks"]["clicks"]["ok"]), (&json!(false), &json!(true)), "{well}");
    while let Appended::Stored { .. } = writer.append(&[0; 1000]) {}
    assert!(matches!(writer.append(&[0; 1000]), Appended::Lost { .. }));
    let ready = look().await;
    let clicks = &ready["checks"]["clicks"];
    assert_eq!((&ready["ready"], &ready["degraded"], &clicks["ok"]), (&json!(true), &json!(true), &json!(false)));
    assert_eq!(
        (&clicks["lost"], &clicks["losing"]),
        (&json!(2), &json!("the click spool is at its limit of 16384 bytes"))
    );

    let all = Position { epoch: writer.epoch(), next_sequence: spool.stats().appended + 1 };
    let mut reader = spool.reader().unwrap();
    while reader.next(ReadLimit::default()).unwrap().is_some() {}
    reader.release(&[all]).unwrap();
    let has_room = || spool.stats().losing.is_none();
    tokio::task::block_in_place(|| waypost_testkit::wait_until(WAIT, "room for clicks", has_room)).unwrap();
    let well = look().await;
    let clicks = &well["checks"]["clicks"];
    assert_eq!((&well["degraded"], &clicks["losing"], &clicks["lost"]), (&json!(false), &json!(null), &json!(2)));
}

#[tokio::test]
async fn a_locked_database_is_503_in_time() {
    let app = TestApp::new().await;
    let database = app.data.database_address();
    let options = StoreOptions { wait_ms: 200, ..StoreOptions::default() };
    let other = waypost_store::Store::open(&database, options).await.unwrap();
    let held = app.store.begin("db_hold").await.unwrap();
    let refused = other.begin("db_refused").await;
    assert!(refused.is_err_and(|error| error.is_unavailable()));
    drop(held);
    assert!(other.begin("db_free").await.is_ok());
    let _: Value = app.create_link(json!({"destination_url": URL})).await;
}

/// Links with this text in every place where one can be written.
fn long_links(long: &str) -> Vec<Value> {
    let fields = [
        "destination_url",
        "slug",
        "domain",
        "password",
        "enabled",
        "redirect_status",
        "forward_query",
        "starts_at",
        "expires_at",
        "expired_url",
        "created_at",
        "rules",
        "geo_rules",
        "evolution_rules",
        "ab_test",
        "link_utms",
        "utm_templates",
        "id",
        "limit_reached",
    ];
    let mut bodies: Vec<Value> = fields
        .iter()
        .flat_map(|field| [json!({*field: long}), json!({*field: {long: 1}}), json!({*field: [long]})])
        .collect();
    let when = |field: &str, value: Value| json!({"rules": [{"when": {field: value}, "to": {"url": URL}}]});
    for field in ["countries", "devices", "os", "languages", "referrers", "query", "from", "until", long] {
        bodies.extend([when(field, json!(long)), when(field, json!([long])), when(field, json!({long: [long]}))]);
    }
    bodies.extend([
        json!({long: 1}),
        json!({"geo_rules": [{"country_code": long, "destination_url": URL}]}),
        json!({"geo_rules": [{"country_code": "DE", "destination_url": format!("{}:x", "a".repeat(7_000))}]}),
        json!({"ab_test": {"status": long, "variants": [{"name": long, "destination_url": long}]}}),
        json!({"utm_templates": [{"platform_domains": [long], "utm_source": long}]}),
        json!({"destination_url": format!("https://{long}/")}),
        json!({"destination_url": format!("{}:x", "a".repeat(7_000))}),
        json!({"destination_url": format!("https://u:{long}@example.com/")}),
    ]);
    bodies
}

/// Whoever sends much is not sent it back: a value stands in a message with its first hundred characters.
#[tokio::test]
async fn values_are_not_echoed_at_length() {
    let app = TestApp::new().await;
    let link = app.create_link(json!({"destination_url": URL})).await;
    let path = format!("/api/v1/links/{}", link["id"].as_str().unwrap());
    let long = "ü`\"".repeat(2_000);
    let bodies = long_links(&long);
    let mut replies = Vec::new();
    for mut body in bodies {
        replies.push((body.to_string(), app.operator("PATCH", &path).json(&body).await));
        replies.push((body.to_string(), app.operator("POST", "/api/v1/keys").json(&body).await));
        replies.push((body.to_string(), app.operator("POST", "/api/v1/domains").json(&json!({"host": body})).await));
        if body.get("destination_url").is_none() {
            body["destination_url"] = json!(URL);
        }
        replies.push((body.to_string(), app.operator("POST", "/api/v1/links").json(&body).await));
        replies.push((body.to_string(), app.operator("POST", "/api/v1/decide").json(&json!({"record": body})).await));
        replies
            .push((body.to_string(), app.operator("POST", "/api/v1/links/bulk").json(&json!({"links": [body]})).await));
    }
    for field in ["name", "scopes", "expires_at", "account_id", "host", "case_insensitive", "root_url", long.as_str()] {
        for body in [json!({field: long}), json!({field: [long]})] {
            replies.push((body.to_string(), app.operator("POST", "/api/v1/keys").json(&body).await));
            replies.push((body.to_string(), app.operator("POST", "/api/v1/domains").json(&body).await));
            replies.push((body.to_string(), app.operator("POST", "/api/v1/decide").json(&body).await));
            replies.push((body.to_string(), app.operator("POST", "/api/v1/links/bulk").json(&body).await));
        }
    }
    let query = "%C3%BC%22".repeat(500);
    for parameter in ["group_by", "class", "from", "interval", "time_zone", "country", "limit", "slug", query.as_str()]
    {
        for path in ["links", "reports", "clicks", "links/x/report", "sync"] {
            let path = format!("/api/v1/{path}?{parameter}={query}");
            replies.push((path.clone(), app.operator("GET", &path).send().await));
        }
    }
    assert!(replies.iter().filter(|(_, reply)| reply.status == 422).count() > 100);
    for (asked, reply) in replies {
        let (bytes, asked): (_, String) = (reply.text().len(), asked.chars().take(60).collect());
        assert!(reply.status.is_success() || bytes < 3_000, "{bytes} bytes, {}: {asked}", reply.status);
    }
}
