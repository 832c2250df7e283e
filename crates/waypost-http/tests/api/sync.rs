//! The link table follows the store: at once, after a crash, after it was lost, and when it cannot be written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use waypost_control::App;
use waypost_core::{CompactLink, LinkRecord, Timestamp};
use waypost_http::{HttpSettings, router};
use waypost_store::{Clock, NewLink, SlugChoice, Store, StoreOptions};
use waypost_table::{Table, TableOptions};

use crate::harness::{Data, TestApp, default_account, settings, table_options};

/// Commits links to the store behind the control plane's back.
async fn db_create_links(store: &Store, slugs: &[String]) {
    let mut tx = store.begin("db_create").await.unwrap();
    let account_id = default_account(&mut tx).await;
    let domain = tx.get_default_domain().await.unwrap().unwrap();
    let link = |slug: &String| NewLink {
        account_id: account_id.clone(),
        domain_id: domain.domain_id.clone(),
        slug: SlugChoice::Chosen(waypost_core::Slug::parse(slug).unwrap()),
        record: LinkRecord::from_url(format!("https://example.com/{slug}")),
        dedupe_key: None,
        created_at: None,
    };
    for slugs in slugs.chunks(1_000) {
        let links: Vec<_> = slugs.iter().map(link).collect();
        tx.create_links(&links, None).await.unwrap();
    }
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn what_was_committed_before_a_crash_is_there_before_it_says_ready() {
    check_crash(TestApp::new().await).await;
}

#[tokio::test]
async fn what_was_committed_before_a_crash_is_there_on_postgres() {
    if let Some(app) = TestApp::on_postgres().await {
        check_crash(app).await;
    }
}

async fn check_crash(app: TestApp) {
    app.create_link(json!({"destination_url": "https://example.com/", "slug": "before"})).await;
    app.app.stop().await;
    let slugs: Vec<String> = (0..3_000).map(|index| format!("crash-{index}")).collect();
    db_create_links(&app.store, &slugs).await;
    let data = app.stop().await;

    let app = TestApp::over(data, |_| {}).await;
    assert_eq!(app.call("GET", "/readyz").send().await.status, 200);
    assert_eq!(app.table.stats().unwrap().links, 3_001);
    assert_eq!(app.destination("", "crash-2999").as_deref(), Some("https://example.com/crash-2999"));
}

#[tokio::test]
async fn a_lost_table_is_filled_again() {
    let app = TestApp::new().await;
    app.create_link(json!({"destination_url": "https://example.com/", "slug": "kept"})).await;
    let gone = app.create_link(json!({"destination_url": "https://example.com/", "slug": "gone"})).await;
    app.operator("DELETE", &format!("/api/v1/links/{}", gone["id"].as_str().unwrap())).send().await;
    let data = app.stop().await;
    std::fs::remove_dir_all(data.folder.path().join("table")).unwrap();
    let app = TestApp::over(data, |_| {}).await;
    assert_eq!(app.destination("", "kept").as_deref(), Some("https://example.com/"));
    assert_eq!(app.destination("", "gone"), None);
    assert!(app.table.domains().by_host("go.example").is_some());
}

#[tokio::test]
async fn a_trimmed_outbox_means_filling_anew() {
    let app = TestApp::new().await;
    let slugs: Vec<String> = (0..2_500).map(|index| format!("trimmed-{index}")).collect();
    app.app.stop().await;
    db_create_links(&app.store, &slugs).await;
    let mut tx = app.store.begin("db_trim").await.unwrap();
    tx.outbox_trim(2_000).await.unwrap();
    tx.commit().await.unwrap();
    let data = app.stop().await;
    let app = TestApp::over(data, |_| {}).await;
    let stats = app.table.stats().unwrap();
    assert_eq!((stats.links, stats.cursor), (2_500, 2_500));
    app.create_link(json!({"destination_url": "https://example.com/", "slug": "after"})).await;
    assert_eq!(app.destination("", "after").as_deref(), Some("https://example.com/"));
}

#[tokio::test]
async fn a_link_that_is_not_in_the_table_yet_is_not_said_to_be_missing() {
    check_fill(TestApp::new().await, 5_000).await;
}

#[tokio::test]
async fn a_fresh_replica_on_postgres_knows_all_only_when_it_has_all() {
    if let Some(app) = TestApp::on_postgres().await {
        check_fill(app, 3_000).await;
    }
}

/// Fills a lost table, and one whose start died in the middle of that; whenever it says that it knows all, it must have
/// all.
async fn check_fill(app: TestApp, links: u32) {
    app.app.stop().await;
    let slugs: Vec<String> = (0..links).map(|index| format!("fill-{index}")).collect();
    db_create_links(&app.store, &slugs).await;
    let (last, mut data) = (slugs.last().unwrap(), app.stop().await);
    for (name, is_cut_short) in [("lost", false), ("cut-short", true)] {
        let folder = data.folder.path().join(name);
        if is_cut_short {
            let table = Table::open(&folder, table_options()).unwrap();
            table.apply(&[], 1).unwrap();
        }
        let store = Store::open(&data.database_address(), StoreOptions::default()).await.unwrap();
        let table = Arc::new(Table::open(&folder, table_options()).unwrap());
        assert!(!table.knows_all());
        let has_last = || table.get("", last, <[u8]>::len).unwrap().is_some();
        let clicks = data.start_clicks().await;
        let app = App::start(store.clone(), Arc::clone(&table), Arc::clone(&clicks), settings()).await.unwrap();
        let mut said = 0;
        while !app.wait_until_ready(Duration::from_millis(1)).await {
            // Asked in this order: what is known stays known.
            let knows_all = table.knows_all();
            assert!(!knows_all || has_last(), "{last} would be 404");
            said += u32::from(!knows_all);
        }
        assert!(table.knows_all() && has_last() && table.is_complete().unwrap(), "after {said} looks");
        data = TestApp { router: router(Arc::clone(&app), HttpSettings::default()), app, store, table, clicks, data }
            .stop()
            .await;
    }
}

#[tokio::test]
async fn a_damaged_table_is_filled_anew_and_said_to_be() {
    let app = TestApp::new().await;
    for slug in ["kept-one", "kept-two", "kept-three"] {
        app.create_link(json!({"destination_url": format!("https://example.com/{slug}"), "slug": slug})).await;
    }
    let generation = app.table.stats().unwrap().generation;
    let data = app.stop().await;
    let file = data.folder.path().join(format!("table/gen-{generation:06}/data.mdb"));
    let mut bytes = std::fs::read(&file).unwrap();
    let key = b"\0kept-two";
    for at in 0..bytes.len() - key.len() {
        if bytes[at..].starts_with(key) {
            bytes[at + key.len() - 1] ^= 1;
        }
    }
    std::fs::write(&file, bytes).unwrap();

    let app = TestApp::over(data, |_| {}).await;
    for slug in ["kept-one", "kept-two", "kept-three"] {
        assert_eq!(app.destination("", slug), Some(format!("https://example.com/{slug}")));
    }
    let ready = app.operator("GET", "/readyz").send().await.json();
    let table = &ready["checks"]["table"];
    assert_eq!(
        (&table["ok"], &table["complete"], &table["damage"], &table["mended"]),
        (&json!(true), &json!(true), &json!(null), &json!(1))
    );
    app.create_link(json!({"destination_url": "https://example.com/", "slug": "after"})).await;
}

#[tokio::test]
async fn what_another_process_writes_is_noticed() {
    let app = TestApp::with(|settings| settings.sync_poll_ms = 20).await;
    let database = app.data.database_address();
    let other = Store::open(&database, StoreOptions::default()).await.unwrap();
    db_create_links(&other, &["elsewhere".to_owned()]).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while app.destination("", "elsewhere").is_none() {
        assert!(tokio::time::Instant::now() < deadline, "the job never looked");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_another_process_wrote_in_between_is_not_passed_over() {
    let app = TestApp::with(|settings| settings.sync_poll_ms = 3_600_000).await;
    let other = Store::open(&app.data.database_address(), StoreOptions::default()).await.unwrap();
    for round in 0..5 {
        let (elsewhere, here) = (format!("elsewhere-{round}"), format!("here-{round}"));
        app.create_link(json!({"destination_url": "https://example.com/first", "slug": format!("first-{round}")}))
            .await;
        db_create_links(&other, std::slice::from_ref(&elsewhere)).await;
        app.create_link(json!({"destination_url": "https://example.com/here", "slug": here})).await;
        assert_eq!(app.destination("", &here).as_deref(), Some("https://example.com/here"));
        let expect = format!("https://example.com/{elsewhere}");
        assert_eq!(app.destination("", &elsewhere), Some(expect), "it was committed before");
    }
    assert_eq!(app.table.stats().unwrap().cursor, 15);
}

#[tokio::test]
async fn readiness_tells_how_far_the_table_is() {
    let app = TestApp::new().await;
    app.create_link(json!({"destination_url": "https://example.com/"})).await;
    let ready = app.operator("GET", "/readyz").send().await.json();
    assert_eq!(
        ready,
        json!({"ready": true, "degraded": false, "checks": {"store": {"ok": true, "writable": true},
            "table": {"ok": true, "cursor": 1, "behind": 0, "refused": 0, "complete": true, "damage": null, "mended": 0},
            "clicks": {"ok": true, "writable": true, "pending": 0, "pending_age_s": 0.0, "lost": 0, "losing": null,
                "last_error": null}}})
    );
}

#[tokio::test]
async fn a_change_that_the_edge_cannot_take_is_saved_and_said_to_be() {
    let data = Data::embedded();
    let store = Store::open(&data.database_address(), StoreOptions::default()).await.unwrap();
    let table = Arc::new(Table::open(&data.folder.path().join("table"), table_options()).unwrap());
    let mut settings = settings();
    settings.sync_wait_ms = 50;
    let clicks = data.start_clicks().await;
    let app = App::start(store.clone(), Arc::clone(&table), Arc::clone(&clicks), settings).await.unwrap();
    assert!(app.wait_until_ready(Duration::from_secs(30)).await);
    // With the job ended nothing takes the change, as when the disk is full.
    app.stop().await;
    let app = TestApp { router: router(Arc::clone(&app), HttpSettings::default()), app, store, table, clicks, data };
    let link = json!({"destination_url": "https://example.com/", "slug": "saved"});
    let reply = app.operator("POST", "/api/v1/links").json(&link).await;
    reply.assert_problem(503, "not_at_edge");
    assert_eq!(reply.header("retry-after"), Some("5"));
    assert_eq!(app.destination("", "saved"), None);
    let found = app.operator("GET", "/api/v1/links?slug=saved").send().await.json();
    assert_eq!(found["links"][0]["slug"], "saved", "it is durable");
    let data = app.stop().await;
    let app = TestApp::over(data, |_| {}).await;
    assert_eq!(app.destination("", "saved").as_deref(), Some("https://example.com/"));
}

#[tokio::test]
async fn a_record_that_cannot_be_served_leaves_the_others_alone() {
    let app = TestApp::with(|settings| settings.sync_poll_ms = 20).await;
    let mut tx = app.store.begin("db_bad").await.unwrap();
    let account_id = default_account(&mut tx).await;
    let domain = tx.get_default_domain().await.unwrap().unwrap();
    let link = |slug: &str, url: &str| NewLink {
        account_id: account_id.clone(),
        domain_id: domain.domain_id.clone(),
        slug: SlugChoice::Chosen(waypost_core::Slug::parse(slug).unwrap()),
        record: LinkRecord::from_url(url),
        dedupe_key: None,
        created_at: None,
    };
    tx.create_links(&[link("bad", "gopher://example.com/"), link("good", "https://example.com/")], None).await.unwrap();
    tx.commit().await.unwrap();
    app.create_link(json!({"destination_url": "https://example.com/"})).await;
    assert!(is_unavailable(&app, "bad"));
    assert_eq!(app.destination("", "good").as_deref(), Some("https://example.com/"));
    let ready = app.operator("GET", "/readyz").send().await.json();
    assert_eq!(ready["checks"]["table"]["refused"], 1);
}

#[tokio::test]
async fn a_full_table_is_said_and_redirects_go_on() {
    let data = Data::embedded();
    let store = Store::open(&data.database_address(), StoreOptions::default()).await.unwrap();
    let tiny = TableOptions { map_size_bytes: 1 << 20, map_size_max_bytes: 1 << 20, ..TableOptions::default() };
    let table = Arc::new(Table::open(&data.folder.path().join("table"), tiny).unwrap());
    let mut settings = settings();
    settings.sync_wait_ms = 500;
    let clicks = data.start_clicks().await;
    let app = App::start(store.clone(), Arc::clone(&table), Arc::clone(&clicks), settings).await.unwrap();
    assert!(app.wait_until_ready(Duration::from_secs(30)).await);
    let app = TestApp { router: router(Arc::clone(&app), HttpSettings::default()), app, store, table, clicks, data };
    app.create_link(json!({"destination_url": "https://example.com/", "slug": "first"})).await;
    let large = format!("https://example.com/{}", "x".repeat(8_000));
    let links: Vec<_> =
        (0..400).map(|index| json!({"destination_url": large, "slug": format!("large-{index}")})).collect();
    let reply = app.operator("POST", "/api/v1/links/bulk").json(&json!({"links": links})).await;
    reply.assert_problem(503, "not_at_edge");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let mut ready = app.operator("GET", "/readyz").send().await;
    while ready.json()["degraded"] == false {
        assert!(tokio::time::Instant::now() < deadline, "the table was written after all");
        ready = app.operator("GET", "/readyz").send().await;
    }
    assert_eq!(ready.status, 200, "what it holds it serves, and no balancer is to drop it");
    assert_eq!(
        (&ready.json()["checks"]["table"]["ok"], &ready.json()["checks"]["table"]["behind"]),
        (&json!(false), &json!(400))
    );
    assert_eq!(app.destination("", "first").as_deref(), Some("https://example.com/"), "what it holds it serves");
    let data = app.stop().await;
    let app = TestApp::over(data, |_| {}).await;
    assert_eq!(app.destination("", "large-399").as_deref(), Some(large.as_str()), "with room it catches up");
}

/// What guards a link is damaged in the database, and its table is filled anew: all others are served.
#[tokio::test]
async fn a_link_that_cannot_be_read_holds_no_other_up() {
    let Some(app) = TestApp::on_postgres().await else { return };
    for slug in ["one", "two", "three"] {
        app.create_link(json!({"destination_url": "https://example.com/", "slug": slug})).await;
    }
    let data = app.stop().await;
    data.db_execute("UPDATE links SET record = '{\"expires_at\": 5}' WHERE slug = 'two'");
    std::fs::remove_dir_all(data.folder.path().join("table")).unwrap();
    let app = TestApp::over(data, |_| {}).await;
    app.create_link(json!({"destination_url": "https://example.com/", "slug": "four"})).await;
    for slug in ["one", "three", "four"] {
        assert!(app.destination("", slug).is_some(), "{slug}");
    }
    assert!(is_unavailable(&app, "two"), "it is there, and nobody can say where it leads");
    let ready = app.operator("GET", "/readyz").send().await.json();
    let table = &ready["checks"]["table"];
    assert_eq!((&table["ok"], &table["behind"], &table["refused"]), (&json!(true), &json!(0), &json!(1)), "{ready}");
    assert_eq!(app.table.damage(), None);
    let overview = app.operator("GET", "/api/v1/sync").send().await.json();
    let of_table = &overview["targets"][0];
    assert_eq!(of_table["counts"]["failed"], 1, "{overview}");
    let named = &of_table["failed_links"][0];
    assert_eq!((&named["domain"], &named["slug"]), (&json!("go.example"), &json!("two")), "{overview}");
    assert!(named["link_id"].as_str().unwrap().starts_with("link_"), "{overview}");
    assert!(named["error"].as_str().unwrap().contains("cannot be read"), "{overview}");
}

/// Whether edges answer 503 for a slug: a sound record about which nothing can be decided.
fn is_unavailable(app: &TestApp, slug: &str) -> bool {
    let visit = waypost_core::Visit::at(waypost_core::Timestamp::from_micros(1));
    let decided =
        app.table.get("", slug, |bytes| waypost_core::decide(&CompactLink::read(bytes).unwrap(), &visit).is_err());
    decided.unwrap() == Some(true)
}

/// The row of a link is damaged and the table is filled anew beside itself: the link leads where it led. A new link
/// whose row is damaged is unavailable, and one whose row is well again leads where it says, and is not named any more.
#[tokio::test]
async fn a_link_that_cannot_be_read_keeps_what_the_table_has_of_it() {
    let Some(app) = TestApp::on_postgres().await else { return };
    let mut ids = Vec::new();
    for slug in ["one", "two"] {
        let link =
            app.create_link(json!({"destination_url": format!("https://example.com/{slug}"), "slug": slug})).await;
        ids.push(link["id"].as_str().unwrap().to_owned());
    }
    let data = app.stop().await;
    data.db_execute("UPDATE links SET record = '{' WHERE slug = 'two'");
    // The outbox does not go on from the table.
    data.db_execute("UPDATE outbox SET sequence = sequence + 1000");
    let app = TestApp::over(data, |_| {}).await;
    assert_eq!(app.destination("", "one").as_deref(), Some("https://example.com/one"));
    assert_eq!(app.destination("", "two").as_deref(), Some("https://example.com/two"));
    assert_eq!(app.operator("GET", "/readyz").send().await.json()["checks"]["table"]["refused"], 1);

    let data = app.stop().await;
    data.db_execute("UPDATE links SET slug = 'three' WHERE slug = 'two'");
    data.db_execute(
        "UPDATE outbox SET sequence = sequence + 1000, slug = CASE slug WHEN 'two' THEN 'three' ELSE slug END",
    );
    let app = TestApp::over(data, |_| {}).await;
    assert!(is_unavailable(&app, "three"));
    app.data
        .db_execute("UPDATE links SET record = '{\"destination_url\":\"https://example.com/3\"}' WHERE slug = 'three'");
    let edited = json!({"destination_url": "https://example.com/4"});
    app.operator("PATCH", &format!("/api/v1/links/{}", ids[1])).json(&edited).await;
    assert_eq!(app.destination("", "three").as_deref(), Some("https://example.com/4"));
    let overview = app.operator("GET", "/api/v1/sync").send().await.json();
    assert_eq!(overview["targets"][0]["counts"]["failed"], 0, "{overview}");
}

#[tokio::test]
async fn readiness_names_a_job_that_has_ended() {
    let breaks = Arc::new(AtomicBool::new(false));
    let clock = Clock::new({
        let breaks = Arc::clone(&breaks);
        move || {
            assert!(!breaks.load(Ordering::SeqCst), "on purpose");
            Timestamp::from_micros(1_768_473_000_000_000)
        }
    });
    let options = StoreOptions { clock, ..StoreOptions::default() };
    let app = TestApp::opened(Data::embedded(), options, |settings| settings.sync_poll_ms = 20).await;
    breaks.store(true, Ordering::SeqCst);
    while app.app.ended_job().is_none() {
        tokio::task::yield_now().await;
    }
    breaks.store(false, Ordering::SeqCst);
    let ready = app.operator("GET", "/readyz").send().await.json();
    assert_eq!(
        (&ready["degraded"], &ready["ended"]),
        (&json!(true), &json!("the job that keeps the link table current")),
        "{ready}"
    );
}
