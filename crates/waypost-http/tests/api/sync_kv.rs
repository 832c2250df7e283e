//! How far Workers KV is with links, as the API shows it, and trying again by hand.

use serde_json::{Value, json};
use waypost_testkit::kv_api::{Fault, TOKEN};

use crate::kv_bench::{KvBench, with_kv_on_both_databases};

with_kv_on_both_databases!(
    a_link_is_pushed_and_said_to_be,
    what_fails_is_listed_and_retried,
    lists_have_pages,
    everything_is_pushed_anew_when_asked,
);

fn sync_path(link: &Value) -> String {
    format!("/api/v1/links/{}/sync", link["id"].as_str().unwrap())
}

async fn a_link_is_pushed_and_said_to_be(bench: &KvBench) {
    let link = bench.create("a").await;
    let state = bench.until_state(&link, |state| state["status"] == "synced").await;
    assert_eq!(
        (&state["target"], &state["version"], &state["synced_version"]),
        (&json!("cloudflare_kv"), &json!(1), &json!(1))
    );
    assert_eq!((&state["attempts"], &state["error"], &state["pending_since"]), (&json!(0), &Value::Null, &Value::Null));
    assert!(state["synced_at"].is_string() && state["next_attempt_at"].is_null(), "{state}");
    assert!(bench.api.get("a").unwrap().value.contains("https://example.com/a"));
    let path = format!("/api/v1/links/{}", link["id"].as_str().unwrap());
    bench.app.operator("PATCH", &path).json(&json!({"enabled": false})).await;
    let state = bench.state(&link).await;
    assert_eq!(state["version"], 2, "at once, whether or not it was pushed: {state}");
    bench.until_state(&link, |state| state["status"] == "synced" && state["synced_version"] == 2).await;
    bench.until_pushed().await;
    let view = bench.overview().await;
    assert_eq!(view["counts"], json!({"pending": 0, "syncing": 0, "synced": 1, "failed": 0}));
    assert_eq!((&view["links"], &view["behind"], &view["objective_met"]), (&json!(1), &json!(false), &json!(true)));
    assert_eq!((&view["health"]["ok"], &view["health"]["resting"]), (&json!(true), &json!(false)));
    assert!(view["health"]["last_success_at"].is_string());
    // What is there is not pushed again for the asking.
    bench.api.forget_calls();
    let retried = bench.app.operator("POST", &sync_path(&link)).send().await;
    assert_eq!((retried.status.as_u16(), &retried.json()["targets"][1]["status"]), (202, &json!("synced")));
    bench.until_pushed().await;
    assert_eq!(bench.api.call_count(), 0);
}

async fn what_fails_is_listed_and_retried(bench: &KvBench) {
    bench.api.poison("bad", Fault::code(400, 10_033));
    let bad = bench.create("bad").await;
    let good = bench.create("good").await;
    let state = bench.until_state(&bad, |state| state["status"] == "failed").await;
    bench.until_state(&good, |state| state["status"] == "synced").await;
    assert!(state["error"].as_str().unwrap().contains("10033"), "{state}");
    assert!(state["next_attempt_at"].is_null() && state["synced_version"].is_null(), "{state}");
    let listed = bench.app.operator("GET", "/api/v1/sync/links").send().await.json();
    assert_eq!((&listed["links"].as_array().unwrap().len(), &listed["next_cursor"]), (&1, &Value::Null));
    let first = &listed["links"][0];
    assert_eq!(
        (&first["slug"], &first["domain"], &first["link_id"]),
        (&json!("bad"), &json!("go.example"), &bad["id"])
    );
    assert_eq!((&first["status"], &first["error"]), (&json!("failed"), &state["error"]));
    assert_eq!(bench.overview().await["counts"]["failed"], 1);

    bench.api.heal();
    bench.advance_s(5);
    let retried = bench.app.operator("POST", "/api/v1/sync").json(&json!({"status": "failed"})).await;
    assert_eq!((retried.status.as_u16(), retried.json()), (202, json!({"target": "cloudflare_kv", "retried": 1})));
    bench.until_state(&bad, |state| state["status"] == "synced" && state["attempts"] == 0).await;

    // The target as a whole: nothing of it is the links' fault.
    bench.api.set_fault(Some(Fault::code(403, 10_037)));
    let late = bench.create("late").await;
    let state = bench.until_state(&late, |state| !state["error"].is_null()).await;
    assert_eq!((&state["status"], &state["attempts"]), (&json!("pending"), &json!(0)), "{state}");
    let view = bench.overview().await;
    assert_eq!((&view["health"]["ok"], &view["health"]["reason"]), (&json!(false), &json!("configuration")), "{view}");
    assert!(view["health"]["error"].is_string() && view["health"]["until"].is_string(), "{view}");
    assert!(!view.to_string().contains(TOKEN));
    bench.advance_s(301);
    let overview = bench.app.operator("GET", "/api/v1/sync").send().await.json();
    assert_eq!(overview["objective_met"], false, "{overview}");
    assert_eq!(overview["targets"][1]["counts"]["synced"], Value::Null);
    bench.api.heal();
    bench.advance_s(120);
    bench.until_state(&late, |state| state["status"] == "synced").await;
}

async fn lists_have_pages(bench: &KvBench) {
    bench.api.set_fault(Some(Fault::code(403, 10_037)));
    bench.create_many("p", 25).await;
    let links = bench.app.operator("GET", "/api/v1/links?slug=p-00003").send().await.json();
    bench.until_state(&links["links"][0], |state| !state["error"].is_null()).await;
    let (mut slugs, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = bench.app.operator("GET", &format!("/api/v1/sync/links?limit=10{cursor}")).send().await.json();
        slugs.extend(page["links"].as_array().unwrap().iter().map(|link| link["slug"].as_str().unwrap().to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let expect: Vec<String> = (0..25).map(|number| format!("p-{number:05}")).collect();
    assert_eq!(slugs, expect);
    let count = async |query: &str| {
        let page = bench.app.operator("GET", &format!("/api/v1/sync/links?{query}")).send().await.json();
        page["links"].as_array().unwrap().len()
    };
    assert_eq!(count("status=pending&target=cloudflare_kv").await, 25);
    assert_eq!(count("status=failed").await, 0);
}

async fn everything_is_pushed_anew_when_asked(bench: &KvBench) {
    bench.create_many("r", 30).await;
    bench.settle().await;
    bench.api.db_delete("r-00007");
    let reply = bench.app.operator("POST", "/api/v1/sync").json(&json!({"refill": true})).await;
    assert_eq!((reply.status.as_u16(), reply.json()), (202, json!({"target": "cloudflare_kv", "retried": 0})));
    bench.until_pushed().await;
    assert_eq!(bench.api.count(), 30);
    assert!(bench.api.write_counts().values().all(|count| *count == 2), "{:?}", bench.api.write_counts());
}
