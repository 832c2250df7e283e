//! What is said of a change whose transaction may have been committed or not.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;
use waypost_control::App;
use waypost_http::{HttpSettings, router};
use waypost_store::{Store, StoreOptions};
use waypost_table::Table;
use waypost_testkit::postgres::{Cut, Proxy};

use crate::harness::{Data, TestApp, settings, table_options};

/// More messages than creating a link takes on a new connection.
const MESSAGES_MAX: u64 = 200;
/// So many links that are created in a row without a cut show that no message is left.
const UNCUT_MAX: u32 = 10;

/// Two seconds, with room for a busy machine, and less than a transaction waits for a connection.
const TOLD_WITHIN: Duration = Duration::from_secs(4);

/// A control plane that loses its connections to PostgreSQL at the message of the test's choice.
async fn app_behind_proxy() -> Option<(TestApp, Proxy)> {
    let data = Data::on_postgres().await?;
    let (proxy, url) = Proxy::start(&data.database_address()).unwrap();
    let store = Store::open(&url, StoreOptions::default()).await.unwrap();
    let table = Arc::new(Table::open(&data.folder.path().join("table"), table_options()).unwrap());
    let clicks = data.start_clicks().await;
    let app = App::start(store.clone(), Arc::clone(&table), Arc::clone(&clicks), settings()).await.unwrap();
    assert!(app.wait_until_ready(Duration::from_secs(30)).await);
    Some((
        TestApp { router: router(Arc::clone(&app), HttpSettings::default()), app, store, table, clicks, data },
        proxy,
    ))
}

#[tokio::test]
async fn nothing_was_changed_is_said_only_where_it_is_known() {
    let Some((app, proxy)) = app_behind_proxy().await else { return };
    let mut unknown = 0;
    for cut in [Cut::Before, Cut::After] {
        let mut uncut = 0;
        for message in 1..MESSAGES_MAX {
            if uncut == UNCUT_MAX {
                break;
            }
            let slug = format!("{cut:?}{message}").to_lowercase();
            let link = json!({"destination_url": "https://example.com/", "slug": slug});
            let create =
                async || app.operator("POST", "/api/v1/links").header("idempotency-key", &slug).json(&link).await;
            proxy.cut_at(message, cut);
            let made = create().await;
            proxy.cut_nothing();
            let list = async || app.operator("GET", &format!("/api/v1/links?slug={slug}")).send().await.json();
            let is_there = list().await["links"][0]["slug"] == slug;
            uncut = if made.status == 201 { uncut + 1 } else { 0 };
            match made.status.as_u16() {
                201 => assert!(is_there),
                503 if made.text().contains("nothing was changed") => assert!(!is_there, "{slug}: {}", made.text()),
                503 => {
                    assert!(made.text().contains("it is not known whether the change was made"), "{}", made.text());
                    assert!(made.header("retry-after").is_some());
                    unknown += 1;
                    // As it says.
                    assert_eq!(create().await.status, 201);
                    assert_eq!(list().await["links"].as_array().unwrap().len(), 1);
                }
                other => panic!("{other}: {}", made.text()),
            }
        }
    }
    assert!(unknown > 0, "no commit was cut off");
}

/// Whoever watches is told within seconds, also where the database says nothing.
#[tokio::test]
async fn readiness_is_told_while_the_database_is_silent() {
    let Some((app, proxy)) = app_behind_proxy().await else { return };
    let key = app.operator("POST", "/api/v1/keys").json(&json!({"name": "t"})).await.json()["key"].clone();
    let key = key.as_str().unwrap();
    assert_eq!(app.with_key(key, "GET", "/readyz").send().await.json()["degraded"], false);
    proxy.set_silent(true);
    let told = timeout(TOLD_WITHIN, app.operator("GET", "/readyz").send()).await.unwrap();
    let checks = &told.json()["checks"];
    assert_eq!((told.status.as_u16(), &told.json()["degraded"]), (200, &json!(true)));
    let reason = "the database has not answered within 2 seconds";
    assert_eq!((&checks["store"]["ok"], &checks["store"]["error"]), (&json!(false), &json!(reason)), "{checks}");
    let told = timeout(TOLD_WITHIN, app.with_key(key, "GET", "/readyz").send()).await.unwrap();
    assert_eq!(told.json(), json!({"ready": true}), "nobody can say whose key it is");
    let metrics = timeout(TOLD_WITHIN, app.operator("GET", "/metrics").send()).await.unwrap();
    assert!(metrics.text().contains("waypost_store_up 0"), "{}", metrics.text());
    proxy.set_silent(false);
}
