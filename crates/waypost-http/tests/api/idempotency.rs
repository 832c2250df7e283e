//! `Idempotency-Key` on every POST: the routes are read from their source, so that a new one cannot forget it.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use waypost_sync::{KvSettings, Secret};

use crate::harness::{Reply, TestApp};

const URL: &str = "https://example.com/";

/// What a POST does with the key.
enum Kind {
    /// The second request is answered with the first one's answer, word for word.
    Replays,
    /// The second is answered with this problem.
    Refuses(&'static str),
    /// The second does its work again, which changes nothing.
    RunsAgain,
}

/// A POST of the API, with two bodies that it takes.
struct Post {
    /// As the router has it.
    route: &'static str,
    path: String,
    bodies: [Value; 2],
    kind: Kind,
}

/// Why a POST outside `/api/v1` needs no key: what is sent again is known by itself.
const KNOWN_BY_CONTENT: [(&str, &str); 4] = [
    ("/", "the same URL has the same link"),
    ("/api/url", "the same URL has the same link"),
    ("/webhooks/analytics", "an event is counted once by its id"),
    ("/webhooks/unlock", "a password is right or wrong, and nothing is changed"),
];

/// The routes in routes.rs that take POST.
fn post_routes() -> BTreeSet<&'static str> {
    let source = include_str!("../../src/routes.rs");
    let routes = source.split(".route(").skip(1).map(|rest| rest.split(".route(").next().unwrap_or(rest));
    let routes = routes.filter(|route| route.contains("post("));
    routes.map(|route| route.split('"').nth(1).unwrap()).collect()
}

async fn app() -> TestApp {
    TestApp::with(|settings| {
        settings.kv = Some(KvSettings {
            api_url: "http://127.0.0.1:9".to_owned(),
            account_id: "a".to_owned(),
            namespace_id: "n".to_owned(),
            api_token: Secret::new("t".to_owned()),
        });
    })
    .await
}

fn posts(link_id: &str) -> Vec<Post> {
    let post = |route: &'static str, kind: Kind, bodies: [Value; 2]| Post {
        route,
        path: route.replace("{id}", link_id),
        bodies,
        kind,
    };
    let to = |slug: &str| json!({"destination_url": URL, "slug": slug});
    let visit = |country: &str| json!({"visit": {"country": country}});
    vec![
        post("/api/v1/links", Kind::Replays, [json!({"destination_url": URL}), to("one")]),
        post(
            "/api/v1/links/bulk",
            Kind::Replays,
            [json!({"links": [{"destination_url": URL}, {}]}), json!({"links": []})],
        ),
        post("/api/v1/links/{id}/sync", Kind::Replays, [Value::Null, Value::Null]),
        post("/api/v1/links/{id}/decide", Kind::Replays, [visit("DE"), visit("FR")]),
        post("/api/v1/decide", Kind::Replays, [json!({"record": URL}), json!({"record": "https://example.com/other"})]),
        post("/api/v1/links/{id}/lint", Kind::Replays, [Value::Null, Value::Null]),
        post("/api/v1/lint", Kind::Replays, [json!({"record": URL}), json!({"record": "https://example.com/other"})]),
        post("/api/v1/keys", Kind::Refuses("secret_shown_once"), [json!({"name": "a"}), json!({"name": "b"})]),
        post("/api/v1/domains", Kind::Replays, [json!({"host": "a.example"}), json!({"host": "b.example"})]),
        post("/api/v1/sync", Kind::Replays, [json!({"status": "failed"}), json!({"refill": true})]),
        post("/api/v1/sync/verify", Kind::RunsAgain, [json!({}), json!({"repair": true})]),
    ]
}

async fn send(app: &TestApp, path: &str, key: &str, body: &Value) -> Reply {
    let call = app.operator("POST", path).header("idempotency-key", key);
    if body.is_null() { call.send().await } else { call.json(body).await }
}

#[tokio::test]
async fn every_post_of_the_api_honours_its_key() {
    let app = app().await;
    let link = app.create_link(json!({"destination_url": URL, "slug": "here"})).await;
    let posts = posts(link["id"].as_str().unwrap());
    let known: BTreeSet<_> =
        posts.iter().map(|post| post.route).chain(KNOWN_BY_CONTENT.map(|(path, _)| path)).collect();
    assert_eq!(post_routes(), known, "every POST is in this test, and none that is no more");
    for Post { route, path, bodies: [body, other], kind } in posts {
        let key = format!("key-{}", route.replace('/', "-"));
        let first = send(&app, &path, &key, &body).await;
        assert!(first.status.is_success(), "{route}: {}", first.text());
        assert_eq!(first.header("idempotency-replayed"), None, "{route}");
        let second = send(&app, &path, &key, &body).await;
        match kind {
            Kind::Replays => {
                assert_eq!((second.status, second.text()), (first.status, first.text()), "{route}");
                assert_eq!(second.header("idempotency-replayed"), Some("true"), "{route}");
            }
            Kind::Refuses(code) => {
                second.assert_problem(409, code);
                assert!(second.json()["detail"].as_str().unwrap().contains(first.json()["id"].as_str().unwrap()));
            }
            Kind::RunsAgain => assert_eq!(second.status, first.status, "{route}"),
        }
        if body != other {
            send(&app, &path, &key, &other).await.assert_problem(409, "idempotency_mismatch");
        }
        send(&app, &path, "a b", &body).await.assert_problem(400, "bad_request");
    }
    let links = app.operator("GET", "/api/v1/links").send().await.json();
    assert_eq!(links["links"].as_array().unwrap().len(), 3, "one by hand, one by itself, one in bulk: {links}");
    let keys = app.operator("GET", "/api/v1/keys").send().await.json();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1, "{keys}");
    app.stop().await;
}

#[tokio::test]
async fn a_key_stands_for_one_address() {
    let app = TestApp::new().await;
    assert_eq!(send(&app, "/api/v1/links", "k", &json!({"destination_url": URL})).await.status, 201);
    send(&app, "/api/v1/links/bulk", "k", &json!({"links": []})).await.assert_problem(409, "idempotency_mismatch");
}

#[tokio::test]
async fn a_bulk_that_comes_many_times_at_once_is_done_once() {
    let app = TestApp::new().await;
    let body = json!({"links": [{"destination_url": URL}, {"destination_url": URL}]});
    let calls = (0..8).map(|_| send(&app, "/api/v1/links/bulk", "k", &body));
    let replies = futures_util::future::join_all(calls).await;
    assert!(replies.iter().all(|reply| reply.body == replies[0].body));
    assert_eq!(app.table.stats().unwrap().links, 2);
}

#[tokio::test]
async fn the_secret_of_a_key_is_remembered_nowhere() {
    let app = TestApp::new().await;
    let made = send(&app, "/api/v1/keys", "k", &json!({"name": "a"})).await.json();
    let secret = made["key"].as_str().unwrap()[12..].to_owned();
    let data = app.stop().await;
    let files = std::fs::read_dir(data.folder.path()).unwrap().flatten().filter(|file| file.path().is_file());
    let read: Vec<_> = files.map(|file| std::fs::read(file.path()).unwrap()).collect();
    let is_kept = |text: &str| read.iter().any(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()));
    assert!(is_kept(made["key_id"].as_str().unwrap()) && !is_kept(&secret));
}

#[tokio::test]
async fn a_dry_run_is_remembered_too() {
    let app = TestApp::new().await;
    let body = json!({"links": [{"destination_url": URL, "slug": "x"}], "dry_run": true});
    let first = send(&app, "/api/v1/links/bulk", "k", &body).await;
    assert_eq!((first.json()["created"].as_u64(), app.table.stats().unwrap().links), (Some(1), 0));
    app.create_link(json!({"destination_url": URL, "slug": "x"})).await;
    assert_eq!(send(&app, "/api/v1/links/bulk", "k", &body).await.body, first.body);
}

/// As docs/problems.md says: the header means nothing there, and repeating does no harm.
#[tokio::test]
async fn patch_and_delete_need_no_key() {
    let app = TestApp::new().await;
    let link = app.create_link(json!({"destination_url": URL, "slug": "a"})).await;
    let path = format!("/api/v1/links/{}", link["id"].as_str().unwrap());
    let patch = |body: Value| app.operator("PATCH", &path).header("idempotency-key", "once").json(&body);
    for _ in 0..2 {
        let reply = patch(json!({"destination_url": "https://example.com/b", "enabled": false})).await;
        assert_eq!((reply.status.as_u16(), &reply.json()["version"]), (200, &json!(2)));
        assert_eq!(reply.header("idempotency-replayed"), None);
    }
    assert_eq!(
        patch(json!({"enabled": true})).await.json()["version"],
        3,
        "another body under the same key is another edit"
    );
    let statuses = [204, 404].map(|_| app.operator("DELETE", &path).header("idempotency-key", "once").send());
    let mut found = Vec::new();
    for reply in statuses {
        found.push(reply.await.status.as_u16());
    }
    assert_eq!(found, [204, 404]);
}
