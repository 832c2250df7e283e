//! Comparing links with what Workers KV holds, and repairing.

use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody as _};
use serde_json::{Value, json};
use tokio::time::timeout;
use waypost_testkit::kv_api::{CallKind, Fault, TOKEN};

use crate::harness::TestApp;
use crate::kv_bench::{KvBench, differences, lines, summary, with_kv_on_both_databases};

with_kv_on_both_databases!(
    every_kind_of_difference_is_found_and_repaired,
    what_is_on_its_way_is_no_difference,
    keys_of_several_pages_are_compared,
    what_cannot_be_repaired_is_said,
);

fn found(
    kind: &str,
    key: &str,
    version: impl Into<Option<u64>>,
    there: impl Into<Option<u64>>,
) -> (String, String, Option<u64>, Option<u64>) {
    (kind.to_owned(), key.to_owned(), version.into(), there.into())
}

/// Seven links on two domains, pushed long ago, and a namespace that was tampered with in every way.
async fn tamper(bench: &KvBench) {
    let app = &bench.app;
    app.operator("POST", "/api/v1/domains").json(&json!({"host": "b.example"})).await;
    for slug in ["lost", "taken", "old", "right", "deep/er"] {
        bench.create(slug).await;
    }
    for slug in ["old", "b.example"] {
        let link = json!({"destination_url": "https://example.com/", "slug": slug, "domain": "b.example"});
        app.create_link(link).await;
    }
    bench.settle().await;
    assert_eq!(bench.api.count(), 7);
    bench.api.db_delete("lost");
    bench.api.db_put("taken", "https://example.com/other");
    bench.write("old", 9).await;
    bench.write("b.example/old", 1).await;
    bench.write("gone", 3).await;
    bench.write("b.example/gone", 4).await;
    bench.write("c.example/gone", 5).await;
    bench.api.db_put("stranger", "https://example.com/");
    bench.api.db_put("strange\u{0}r", "https://example.com/");
}

async fn every_kind_of_difference_is_found_and_repaired(bench: &KvBench) {
    tamper(bench).await;
    let tampered = bench.api.values();
    bench.api.forget_calls();

    let expect = [
        found("deleted", "b.example/gone", None, 4),
        found("different", "b.example/old", 1, 1),
        found("deleted", "c.example/gone", None, 5),
        found("deleted", "gone", None, 3),
        found("missing", "lost", 1, None),
        found("different", "old", 1, 9),
        found("foreign", "strange\u{0}r", None, None),
        found("foreign", "stranger", None, None),
        found("different", "taken", 1, None),
    ];
    let seen = bench.verify(json!({})).await;
    assert_eq!(differences(&seen), expect);
    let shown = seen.iter().find(|line| line["key"] == "b.example/old").unwrap();
    assert_eq!((&shown["domain"], &shown["slug"]), (&json!("b.example"), &json!("old")));
    let outcome = summary(&seen);
    for (name, count) in [
        ("keys", 11),
        ("links", 7),
        ("same", 3),
        ("in_flight", 0),
        ("missing", 1),
        ("different", 3),
        ("deleted", 3),
        ("foreign", 2),
        ("foreign_deleted", 0),
    ] {
        assert_eq!(outcome[name], count, "{name}: {outcome}");
    }
    assert_eq!((&outcome["ok"], &outcome["repaired"]), (&json!(false), &Value::Null));
    assert_eq!(bench.api.values(), tampered);
    assert!(bench.api.calls().iter().all(|call| call.kind == CallKind::List), "it only lists");

    let outcome = summary(&bench.verify(json!({"repair": true})).await);
    assert_eq!(outcome["repaired"], json!({"synced": 7, "failed": 0, "unfinished": 0, "error": null}));
    assert_eq!(outcome["ok"], true);
    bench.settle().await;
    let seen = bench.verify(json!({"repair": true})).await;
    let foreign = [found("foreign", "strange\u{0}r", None, None), found("foreign", "stranger", None, None)];
    assert_eq!(differences(&seen), foreign);
    assert_eq!((&summary(&seen)["same"], &summary(&seen)["ok"]), (&json!(7), &json!(true)));

    let outcome = summary(&bench.verify(json!({"delete_foreign": true})).await);
    assert_eq!((&outcome["foreign"], &outcome["foreign_deleted"]), (&json!(2), &json!(2)));
    assert_eq!(bench.api.count(), 7);
    let outcome = summary(&bench.verify(json!({"repair": false, "delete_foreign": null})).await);
    assert_eq!((&outcome["same"], &outcome["foreign"], &outcome["keys"]), (&json!(7), &json!(0), &json!(7)));
}

async fn what_is_on_its_way_is_no_difference(bench: &KvBench) {
    let edited = bench.create("edited").await;
    let deleted = bench.create("deleted").await;
    let stuck = bench.create("stuck").await;
    bench.settle().await;
    bench.api.hold_reads();
    let path = |link: &Value| format!("/api/v1/links/{}", link["id"].as_str().unwrap());
    bench.app.operator("PATCH", &path(&edited)).json(&json!({"enabled": false})).await;
    bench.app.operator("DELETE", &path(&deleted)).send().await;
    bench.create("new").await;
    bench.until_pushed().await;
    assert!(bench.api.get("new").is_some() && bench.api.get("deleted").is_none());
    bench.api.poison("stuck", Fault::status(500));
    bench.app.operator("PATCH", &path(&stuck)).json(&json!({"enabled": false})).await;
    let seen = bench.verify(json!({})).await;
    assert_eq!(differences(&seen), []);
    let outcome = summary(&seen);
    assert_eq!((&outcome["in_flight"], &outcome["same"], &outcome["ok"]), (&json!(4), &json!(0), &json!(true)));

    bench.api.release_reads();
    bench.api.heal();
    bench.app.operator("POST", "/api/v1/sync").json(&json!({"status": "failed"})).await;
    bench.app.operator("POST", &format!("{}/sync", path(&stuck))).send().await;
    bench.settle().await;
    let outcome = summary(&bench.verify(json!({})).await);
    assert_eq!((&outcome["in_flight"], &outcome["same"]), (&json!(0), &json!(3)), "{outcome}");
}

async fn keys_of_several_pages_are_compared(bench: &KvBench) {
    bench.create_many("page", 2_300).await;
    bench.settle().await;
    for number in [0, 1_200, 2_299] {
        bench.api.db_delete(&format!("page-{number:05}"));
    }
    bench.write("page-00500", 9).await;
    bench.api.forget_calls();
    let seen = bench.verify(json!({})).await;
    let expect = [
        found("missing", "page-00000", 1, None),
        found("different", "page-00500", 1, 9),
        found("missing", "page-01200", 1, None),
        found("missing", "page-02299", 1, None),
    ];
    assert_eq!(differences(&seen), expect);
    let outcome = summary(&seen);
    assert_eq!((&outcome["keys"], &outcome["links"], &outcome["same"]), (&json!(2_297), &json!(2_300), &json!(2_296)));
    assert_eq!(bench.api.call_count(), 3, "a thousand keys a call");
    let pages: Vec<u64> = seen.iter().filter_map(|line| line["progress"]["keys"].as_u64()).collect();
    assert_eq!(pages, [1_000, 2_000, 2_297]);
    let outcome = summary(&bench.verify(json!({"repair": true})).await);
    assert_eq!((&outcome["repaired"]["synced"], &outcome["ok"]), (&json!(4), &json!(true)));
    assert_eq!(bench.api.count(), 2_300);
}

async fn what_cannot_be_repaired_is_said(bench: &KvBench) {
    bench.create("refused").await;
    bench.create("right").await;
    bench.settle().await;
    bench.api.db_delete("refused");
    bench.api.poison("refused", Fault::code(400, 10_033));
    let outcome = summary(&bench.verify(json!({"repair": true})).await);
    assert_eq!((&outcome["repaired"]["failed"], &outcome["ok"]), (&json!(1), &json!(false)), "{outcome}");
    let behind = bench.app.operator("GET", "/api/v1/sync/links?status=failed").send().await.json();
    assert_eq!(behind["links"][0]["slug"], "refused", "{behind}");

    bench.api.heal();
    bench.api.poison("refused", Fault::code(429, 10_048));
    bench.advance_s(300);
    let outcome = summary(&bench.verify(json!({"repair": true})).await);
    assert_eq!((&outcome["repaired"]["unfinished"], &outcome["ok"]), (&json!(1), &json!(false)), "{outcome}");
    assert!(outcome["repaired"]["error"].as_str().unwrap().contains("10048"), "{outcome}");
}

#[tokio::test]
async fn nothing_is_compared_with_nothing() {
    let bench = KvBench::over(crate::harness::Data::embedded()).await;
    bench.until_pushed().await;
    let outcome = summary(&bench.verify(json!({"repair": true, "delete_foreign": true})).await);
    assert_eq!((&outcome["ok"], &outcome["keys"], &outcome["links"]), (&json!(true), &json!(0), &json!(0)));
    for (body, field) in [(json!({"repair": 1}), "repair"), (json!({"delete": true}), "delete")] {
        let reply = bench.app.operator("POST", "/api/v1/sync/verify").json(&body).await;
        assert_eq!((reply.status.as_u16(), reply.errors()[0].0.as_str()), (422, field));
    }
    let without = TestApp::new().await;
    without.operator("POST", "/api/v1/sync/verify").json(&json!({})).await.assert_problem(409, "no_sync_target");
}

#[tokio::test]
async fn faults_on_the_way_are_waited_out_or_said() {
    let bench = KvBench::over(crate::harness::Data::embedded()).await;
    bench.create_many("page", 1_100).await;
    bench.settle().await;
    let limited = Fault::rate_limited(Some("1"));
    bench.api.fail_next([Fault::Page(502), Fault::Reset, Fault::Truncated, limited, Fault::status(503)]);
    let seen = bench.verify(json!({})).await;
    let outcome = summary(&seen);
    assert_eq!((&outcome["same"], &outcome["ok"]), (&json!(1_100), &json!(true)), "{outcome}");
    let waits: Vec<&str> = seen.iter().filter_map(|line| line["progress"]["reason"].as_str()).collect();
    assert!(waits.starts_with(&["fault", "fault", "fault", "rate_limited"]), "{waits:?}");
    assert_eq!(waits.last(), Some(&"fault"));

    bench.api.set_fault(Some(Fault::code(403, 10_037)));
    let seen = bench.verify(json!({"repair": true})).await;
    let error = seen.last().unwrap()["error"].as_str().unwrap();
    assert!(error.contains("refuses the token") && !error.contains(TOKEN), "{error}");
    bench.api.heal();
    assert_eq!(summary(&bench.verify(json!({})).await)["same"], 1_100);
}

/// Begins a comparison and reads until its first line.
async fn begin(bench: &KvBench) -> Body {
    let call = bench.app.operator("POST", "/api/v1/sync/verify").header("content-type", "application/json");
    let mut body = call.body_of(json!({}).to_string()).await;
    let first = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await;
    assert!(first.is_some_and(|frame| frame.is_ok()));
    body
}

#[tokio::test]
async fn a_fault_in_the_middle_ends_the_answer_cleanly() {
    let bench = KvBench::over(crate::harness::Data::embedded()).await;
    // It waits to try again, which its first line says.
    bench.api.set_fault(Some(Fault::status(503)));
    let body = begin(&bench).await;
    bench.api.set_fault(Some(Fault::code(404, 10_013)));
    let rest = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let last: Value =
        serde_json::from_slice(rest.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap()).unwrap();
    assert!(last["error"].as_str().unwrap().contains("10013"), "{last}");
}

#[tokio::test]
async fn one_comparison_runs_at_a_time() {
    let bench = KvBench::over(crate::harness::Data::embedded()).await;
    bench.create_many("page", 2_100).await;
    bench.settle().await;
    bench.api.set_fault(Some(Fault::status(503)));
    let first = begin(&bench).await;
    let second = bench.app.operator("POST", "/api/v1/sync/verify").json(&json!({})).await;
    second.assert_problem(409, "verify_running");
    // Nobody reads on: it ends.
    drop(first);
    bench.api.set_fault(None);
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let reply = bench.app.operator("POST", "/api/v1/sync/verify").json(&json!({})).await;
        if reply.status == 200 {
            assert_eq!(summary(&lines(&reply))["same"], 2_100);
            return;
        }
        assert!(Instant::now() < deadline, "{}", reply.text());
        tokio::task::yield_now().await;
    }
}

/// What is left of an answer, which ends soon: not only after what the comparison waits for.
async fn rest_of(body: Body) -> String {
    let rest = timeout(Duration::from_secs(15), axum::body::to_bytes(body, usize::MAX)).await;
    String::from_utf8(rest.expect("an answer that ends").unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn a_stop_ends_a_comparison_that_waits() {
    let bench = KvBench::over(crate::harness::Data::embedded()).await;
    // The first line says that it waits.
    bench.api.set_fault(Some(Fault::rate_limited(Some("3000"))));
    let body = begin(&bench).await;
    bench.app.app.stop().await;
    assert!(rest_of(body).await.ends_with("{\"error\":\"the server is stopping\"}\n"));
}

#[tokio::test]
async fn a_stop_ends_a_comparison_in_the_middle_of_a_call() {
    let bench = KvBench::over(crate::harness::Data::embedded()).await;
    bench.api.hold_next_call();
    let call = bench.app.operator("POST", "/api/v1/sync/verify").header("content-type", "application/json");
    let body = call.body_of(json!({}).to_string()).await;
    while !bench.api.holds_call() {
        tokio::task::yield_now().await;
    }
    bench.app.app.stop().await;
    assert_eq!(rest_of(body).await, "{\"error\":\"the server is stopping\"}\n");
}

/// Nobody reads on while a call is on its way: the next comparison need not wait for its end.
#[tokio::test]
async fn a_comparison_ends_with_its_reader() {
    let bench = KvBench::over(crate::harness::Data::embedded()).await;
    bench.api.hold_next_call();
    let call = bench.app.operator("POST", "/api/v1/sync/verify").header("content-type", "application/json");
    let body = call.body_of(json!({}).to_string()).await;
    while !bench.api.holds_call() {
        tokio::task::yield_now().await;
    }
    drop(body);
    let again = async {
        while bench.app.operator("POST", "/api/v1/sync/verify").json(&json!({})).await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(15), again).await.expect("another comparison");
}

/// A damaged row is named, whether its key is there or not, whatever else there is to compare and to repair, and the
/// value that was pushed last stays.
#[tokio::test]
async fn links_that_cannot_be_read_are_named() {
    let Some(data) = crate::harness::Data::on_postgres().await else { return };
    let bench = KvBench::over(data).await;
    let mut ids = Vec::new();
    for slug in ["held", "lost", "other"] {
        ids.push(bench.create(slug).await["id"].clone());
    }
    bench.settle().await;
    bench.app.data.db_execute("UPDATE links SET record = '{' WHERE slug IN ('held', 'lost')");
    let held = bench.api.values()["held"].clone();
    bench.api.db_delete("lost");
    bench.api.db_delete("other");
    bench.api.db_put("stranger", "https://example.com/");
    let expect = [
        found("unreadable", "held", 1, 1),
        found("unreadable", "lost", 1, None),
        found("missing", "other", 1, None),
        found("foreign", "stranger", None, None),
    ];
    let seen = bench.verify(json!({"repair": true, "delete_foreign": true})).await;
    assert_eq!(differences(&seen), expect);
    let named = seen.iter().find(|line| line["key"] == "lost").unwrap();
    assert_eq!((&named["link_id"], &named["slug"], &named["domain"]), (&ids[1], &json!("lost"), &json!("go.example")));
    let outcome = summary(&seen);
    assert_eq!((&outcome["ok"], &outcome["unreadable"], &outcome["links"]), (&json!(false), &json!(2), &json!(3)));
    assert_eq!(outcome["repaired"]["synced"], 1, "{outcome}");
    assert_eq!(bench.api.values()["held"], held);
    bench.app.stop().await;
}
