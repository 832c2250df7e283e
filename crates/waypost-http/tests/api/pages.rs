//! What people see: the landing page, previews, the password form, and what is not there.

use futures_util::StreamExt as _;
use serde_json::json;

use crate::harness::{Reply, TestApp};

#[track_caller]
fn assert_page(reply: &Reply, status: u16) {
    assert_eq!(reply.status, status, "{}", reply.text());
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("referrer-policy"), Some("same-origin"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let policy = reply.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let text = reply.text();
    assert!(!text.contains("<style") && !text.contains("style=") && !text.contains("onclick"), "nothing inline");
}

#[tokio::test]
async fn the_landing_page_and_its_files() {
    let app = TestApp::new().await;
    let page = app.call("GET", "/").send().await;
    assert_page(&page, 200);
    let text = page.text();
    let mut files = 0;
    for attribute in text.split(['"']).filter(|part| part.starts_with("/assets/")) {
        let file = app.call("GET", attribute).send().await;
        assert_eq!(file.status, 200, "{attribute}");
        assert_eq!(file.header("cache-control"), Some("public, max-age=31536000, immutable"));
        assert!(!file.text().contains("http://") || attribute.ends_with(".svg"), "nothing from elsewhere");
        files += 1;
    }
    assert!(files >= 3);
    assert!(!text.contains("https://fonts") && !text.contains("src=\"http"), "nothing from elsewhere");
    assert_eq!(app.call("GET", "/assets/site.000000000000.css").send().await.status, 404);
    assert_eq!(app.call("HEAD", "/").send().await.status, 200);
    assert_eq!(app.call("GET", "/favicon.ico").send().await.header("content-type"), Some("image/svg+xml"));
    assert!(app.call("GET", "/robots.txt").send().await.text().starts_with("User-agent: *"));
    let problems = app.call("GET", "/docs/problems").send().await;
    assert_page(&problems, 200);
    assert!(problems.text().contains("id=\"slug_taken\""));
}

#[tokio::test]
async fn the_form_works_without_a_script() {
    let app = TestApp::new().await;
    let post = |body: &'static str| {
        app.call("POST", "/").header("content-type", "application/x-www-form-urlencoded").body(body)
    };
    let page = post("originalUrl=https%3A%2F%2Fexample.com%2Fa%3Fb%3D1%262").await;
    assert_page(&page, 200);
    let text = page.text();
    let short = text.split("data-short href=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let slug = short.strip_prefix("https://go.example/").unwrap();
    assert_eq!(app.destination("", slug).as_deref(), Some("https://example.com/a?b=1&2"));
    let fault = post("originalUrl=%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E").await;
    assert_page(&fault, 400);
    assert!(
        fault.text().contains("value=\"&#34;&#62;&#60;script&#62;alert(1)"),
        "the typed value is kept: {}",
        fault.text()
    );
    assert!(!fault.text().contains("<script>alert"));
    assert!(fault.text().contains("aria-invalid=\"true\""));
    assert_page(&post("").await, 400);
    let large = app.call("POST", "/").body("x".repeat(1 << 20)).await;
    assert_page(&large, 413);
}

#[tokio::test]
async fn a_preview_says_that_a_link_is_an_ab_test() {
    let app = TestApp::new().await;
    for link in [
        json!({"slug": "split", "destination_url": "https://example.com/", "ab_test": {"id": 1, "status": "active", "variants": [
            {"id": 1, "destination_url": "https://one.example/", "weight": 2},
            {"id": 2, "destination_url": "https://two.example/?a=1&b=2", "weight": 1},
            {"id": 3, "destination_url": "https://never.example/", "weight": 0}]}}),
        json!({"slug": "draft", "destination_url": "https://example.com/", "ab_test": {"id": 1, "status": "draft", "variants": []}}),
    ] {
        app.create_link(link).await;
    }
    let get = |path: &'static str| app.call("GET", path).send();
    let split = get("/split+").await.text();
    for part in [
        "This link is an A/B test",
        "among 2 destinations",
        "67 %",
        "https://one.example/",
        "33 %",
        "https://two.example/?a=1&#38;b=2",
    ] {
        assert!(split.contains(part), "{part}: {split}");
    }
    assert!(!split.contains("never.example") && !split.contains("This link has rules"), "{split}");
    assert!(!get("/draft+").await.text().contains("A/B"));
}

#[tokio::test]
async fn previews() {
    let app = TestApp::new().await;
    for link in [
        json!({"slug": "plain", "destination_url": "https://example.com/page?x=1"}),
        json!({"slug": "idn", "destination_url": "https://bücher.example/"}),
        json!({"slug": "fake", "destination_url": "https://p\u{430}ypal.com/"}),
        json!({"slug": "mixed", "destination_url": "https://ex\u{430}mple.com/"}),
        json!({"slug": "ruled", "destination_url": "https://example.com/", "geo_rules":
            [{"country_code": "DE", "destination_url": "https://example.de/"}]}),
        json!({"slug": "locked", "destination_url": "https://hidden.example/", "password": "p"}),
        json!({"slug": "off", "destination_url": "https://example.com/", "enabled": false}),
        json!({"slug": "early", "destination_url": "https://example.com/", "starts_at": "9000-01-01T00:00:00Z"}),
        json!({"slug": "late", "destination_url": "https://example.com/", "expires_at": "2020-01-01T00:00:00Z"}),
        json!({"slug": "moved", "destination_url": "https://example.com/", "expires_at": "2020-01-01T00:00:00Z",
            "expired_url": "https://after.example/"}),
        json!({"slug": "größe/日", "destination_url": "https://example.com/"}),
    ] {
        let reply = app.operator("POST", "/api/v1/links").json(&link).await;
        assert!(reply.status == 201 || link["slug"] == "größe/日", "{}", reply.text());
    }
    let get = |path: &'static str| app.call("GET", path).send();
    let plain = get("/plain+").await;
    assert_page(&plain, 200);
    assert!(plain.text().contains("https://example.com/page?x=1") && plain.text().contains("go.example/plain"));
    assert!(!plain.text().contains("This link has rules"));
    let idn = get("/idn+").await.text();
    assert!(idn.contains("xn--bcher-kva.example") && idn.contains("bücher.example"));
    assert!(!idn.contains("role=\"alert\""));
    let fake = get("/fake+").await.text();
    assert!(fake.contains("xn--pypal-4ve.com") && fake.contains("looks like paypal"), "{fake}");
    assert!(get("/mixed+").await.text().contains("letters of several scripts"));
    assert!(get("/plain.+").await.text().contains("go.example/plain"), "without the mark at its end");
    assert!(get("/ruled+").await.text().contains("This link has rules"));
    let locked = get("/locked+").await;
    assert_page(&locked, 200);
    assert!(!locked.text().contains("hidden.example"));
    assert!(get("/moved+").await.text().contains("after.example"));
    for (path, status) in [
        ("/off+", 404),
        ("/early+", 404),
        ("/late+", 410),
        ("/nothing+", 404),
        ("/+", 404),
        ("/%ff+", 404),
        ("/a%00+", 404),
    ] {
        assert_page(&get(path).await, status);
    }
    assert_page(&get("/plain").await, 404);
    let program = |path: &'static str| app.call("GET", path).header("accept", "application/json").send();
    program("/nothing+").await.assert_problem(404, "not_found");
    program("/late+").await.assert_problem(410, "gone");
    assert_eq!(app.call("PUT", "/plain").send().await.header("allow"), Some("GET, HEAD"));
}

#[tokio::test]
async fn hostile_texts_stay_texts() {
    let app = TestApp::new().await;
    let payloads = [
        "https://example.com/\"><script>alert(1)</script>",
        "https://example.com/?q=<img src=x onerror=alert(1)>",
        "https://example.com/#'><svg onload=alert(1)>",
        "https://example.com/{{7*7}}${7*7}<%= 7 %>",
    ];
    for (index, payload) in payloads.iter().enumerate() {
        app.create_link(json!({"slug": format!("x{index}"), "destination_url": payload})).await;
        let page = app.call("GET", &format!("/x{index}+")).send().await;
        assert_page(&page, 200);
        let text = page.text();
        assert!(!text.contains("<script>alert") && !text.contains("<img src=x") && !text.contains("<svg"), "{text}");
    }
    let page = app.call("GET", "/%22%3E%3Cscript%3Ealert(1)%3C/script%3E+").send().await;
    assert_page(&page, 404);
    assert!(!page.text().contains("alert"));
}

#[tokio::test]
async fn unlocking() {
    let app = TestApp::new().await;
    app.create_link(json!({"slug": "geheim", "destination_url": "https://example.com/", "password": "pass wört&"}))
        .await;
    app.create_link(json!({"slug": "open", "destination_url": "https://example.com/"})).await;
    let post = |path: &'static str, body: &'static str| app.call("POST", path).address("192.0.2.1").body(body);
    let wrong = post("/geheim", "password=nope").await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.text().contains("wrong") && wrong.text().contains("<form method=\"post\">"));
    assert_eq!(wrong.header("cache-control"), Some("no-store"));
    assert_eq!(wrong.header("set-cookie"), None);
    let right = post("/geheim?ref=1", "password=pass+w%C3%B6rt%26").await;
    assert_eq!(right.status, 303);
    assert_eq!(right.header("location"), Some("/geheim?ref=1"));
    let cookie = right.header("set-cookie").unwrap();
    assert!(cookie.starts_with("wp_unlock_test=link_") && cookie.contains(".1; Path=/geheim;"), "{cookie}");
    assert_eq!(post("/open", "password=x").await.header("allow"), Some("GET, HEAD"));
    assert_page(&post("/nothing", "password=x").await, 404);
    assert_page(&app.call("POST", "/geheim").body("x".repeat(2_000)).await, 413);
}

#[tokio::test]
async fn guessing_is_slowed() {
    let app = TestApp::new().await;
    app.create_link(json!({"slug": "geheim", "destination_url": "https://example.com/", "password": "right"})).await;
    let post = |address: &str, body: &'static str| app.call("POST", "/geheim").address(address).body(body);
    for _ in 0..5 {
        assert_eq!(post("192.0.2.1", "password=wrong").await.status, 401);
    }
    let throttled = post("192.0.2.1", "password=right").await;
    assert_eq!(throttled.status, 429);
    assert!(throttled.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
    assert_eq!(post("192.0.2.2", "password=right").await.status, 303, "another visitor is not held up");
}

#[tokio::test]
async fn the_host_in_the_target_decides() {
    let app = TestApp::new().await;
    let domain = app.operator("POST", "/api/v1/domains").json(&json!({"host": "other.example"})).await;
    assert_eq!(domain.status, 201, "{}", domain.text());
    for (host, destination) in [("go.example", "https://here.example/"), ("other.example", "https://there.example/")] {
        app.create_link(json!({"slug": "same", "domain": host, "destination_url": destination})).await;
        let locked = json!({"slug": "geheim", "domain": host, "destination_url": destination, "password": host});
        app.create_link(locked).await;
    }
    let preview = |path: &'static str| app.call("GET", path).send();
    assert!(preview("/same+").await.text().contains("here.example"));
    assert!(preview("http://go.example/same+").await.text().contains("here.example"));
    assert!(preview("http://other.example/same+").await.text().contains("there.example"));
    let unlock = |path: &'static str, origin: &str| app.call("POST", path).header("origin", origin);
    let form = "password=other.example";
    assert_eq!(unlock("/geheim", "http://go.example").body(form).await.status, 401);
    assert_eq!(unlock("http://other.example/geheim", "http://other.example").body(form).await.status, 303);
    assert_eq!(unlock("http://other.example/geheim", "http://go.example:1").body(form).await.status, 403);
}

/// Few addresses that send right passwords again and again, many at once, on links of their own.
#[tokio::test]
async fn a_few_addresses_leave_room_for_everyone_else() {
    let app = TestApp::new().await;
    for number in 0..6 {
        let slug = format!("mine{number}");
        app.create_link(json!({"slug": slug, "destination_url": "https://example.com/", "password": "right"})).await;
    }
    app.create_link(json!({"slug": "theirs", "destination_url": "https://example.com/", "password": "right"})).await;
    let post = |path: &str, address: &str| app.call("POST", path).address(address).body("password=right");
    let flood = (0..150).map(|number| post(&format!("/mine{}", number / 5 % 6), &format!("192.0.2.{}", number % 3)));
    let mut flood: futures_util::stream::FuturesUnordered<_> = flood.collect();
    while let Some(reply) = flood.next().await {
        if reply.status == 429 {
            break;
        }
    }
    let (_, reply) = futures_util::future::join(flood.collect::<Vec<_>>(), post("/theirs", "198.51.100.1")).await;
    assert_eq!(reply.status, 303, "{}", reply.text());
}

/// Anyone may ask for previews. While the table of links is locked each of them holds a connection, and there are
/// eight.
#[tokio::test]
async fn a_flood_of_previews_leaves_connections_to_the_api() {
    let Some(app) = TestApp::on_postgres().await else { return };
    app.create_link(json!({"destination_url": "https://example.com/", "slug": "seen"})).await;
    let hold = "BEGIN; LOCK TABLE links IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600)";
    let mut holder = std::process::Command::new("psql")
        .args(["-q", "-d", &app.data.database_address(), "-c", hold])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let held =
        "SELECT count(*) FROM pg_locks WHERE relation = 'links'::regclass AND mode = 'AccessExclusiveLock' AND granted";
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while app.data.db_query(held).trim() != "1" {
        assert!(std::time::Instant::now() < deadline, "the table was not locked");
    }
    let previews = futures_util::future::join_all((0..40).map(|_| app.call("GET", "/seen+").send()));
    let work = async {
        // The previews have begun by then, and none of them has ended.
        let key = app.operator("POST", "/api/v1/keys").json(&json!({"name": "in the flood"})).await;
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()";
        app.data.db_execute(end);
        key
    };
    let (previews, key) = futures_util::future::join(previews, work).await;
    assert_eq!(key.status, 201, "{}", key.text());
    let (shown, refused): (Vec<_>, Vec<_>) = previews.iter().partition(|reply| reply.status == 200);
    assert!(refused.iter().all(|reply| (reply.status.as_u16(), reply.header("retry-after")) == (503, Some("1"))));
    assert!(!shown.is_empty(), "two of them had a turn");
    holder.wait().unwrap();
    let after = app.call("GET", "/seen+").send().await;
    assert_page(&after, 200);
}
