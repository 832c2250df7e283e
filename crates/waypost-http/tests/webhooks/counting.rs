//! Each click is counted once: over repeats, changes of secrets, and a database that is away.

use axum::body::Body;
use serde_json::{Value, json};
use waypost_clicks::ClickStore;
use waypost_spool::{Spool, SpoolOptions};
use waypost_store::StoreOptions;
use waypost_testkit::postgres::{Cluster, Programs, SKIP_VARIABLE, Shutdown};

use crate::harness::{Data, TestApp};
use crate::sender::{
    CLICKS, OTHER, SECRET, app, app_over, click, counted, deliver, kept, keys, link, metric, now_s, send, signed,
};

#[tokio::test]
async fn one_or_many_and_what_became_of_each() {
    let app = app().await;
    let link = link(&app).await;
    let one = deliver(&app, &click(&link, 1)).await;
    assert_eq!(one["results"], json!([{ "event_id": click(&link, 1)["event_id"], "result": "counted" }]));
    let mut foreign = click(&link, 4);
    foreign["account_id"] = "acc_0000000000000001".into();
    let many = deliver(&app, &json!([click(&link, 1), click(&link, 2), 7, foreign, click(&link, 2)])).await;
    let results: Vec<_> =
        many["results"].as_array().unwrap().iter().map(|item| item["result"].as_str().unwrap()).collect();
    assert_eq!(results, ["duplicate", "counted", "refused", "refused", "duplicate"]);
    assert_eq!((&many["counted"], &many["duplicates"], &many["refused"]), (&json!(1), &json!(2), &json!(2)));
    assert_eq!(many["results"][2]["event_id"], Value::Null);
    assert_eq!(many["results"][3]["error"], "link unknown here");
    assert_eq!(deliver(&app, &json!([])).await["results"], json!([]));
    assert_eq!(counted(&app).await, 2);
    for (result, count) in [("counted", 2), ("duplicate", 2), ("malformed", 1), ("unknown_link", 1), ("invalid", 0)] {
        let name = format!("waypost_webhook_events_total{{result=\"{result}\"}}");
        assert_eq!(metric(&app, &name).await, count, "{result}");
    }
    let taken = "waypost_webhook_deliveries_total{endpoint=\"analytics\",outcome=\"taken\"}";
    assert_eq!(metric(&app, taken).await, 3);
}

#[tokio::test]
async fn a_thousand_at_once() {
    for data in [Some(Data::embedded()), Data::on_postgres().await].into_iter().flatten() {
        let app = app_over(data, &[SECRET]).await;
        let link = link(&app).await;
        let events = Value::from((0..1_000).map(|number| click(&link, number)).collect::<Vec<_>>());
        assert_eq!(deliver(&app, &events).await["counted"], 1_000);
        assert_eq!(deliver(&app, &events).await["duplicates"], 1_000);
        assert_eq!(counted(&app).await, 1_000);
        app.stop().await;
    }
}

#[tokio::test]
async fn a_replay_changes_no_number() {
    let app = app().await;
    let link = link(&app).await;
    let mut bad = click(&link, 3);
    bad["link_id"] = "link_1".into();
    let body = json!([click(&link, 1), click(&link, 2), bad]).to_string();
    let (now, body) = (now_s(), body.as_bytes());
    for _ in 0..100 {
        let reply = signed(&app, &[SECRET], CLICKS, now, body).body(Body::from(body.to_vec())).await;
        assert_eq!(reply.status, 200);
    }
    assert_eq!((counted(&app).await, kept(&app).await), (2, 1));
}

#[tokio::test]
async fn what_an_event_says_is_what_is_counted() {
    let app = app().await;
    let link = link(&app).await;
    let mut old = click(&link, 1);
    old["clicked_at"] = "2021-03-01T00:00:00Z".into();
    old["domain"] = "GO.example".into();
    assert_eq!(deliver(&app, &json!([old, click(&link, 2)])).await["counted"], 2);
    let raw = app.operator("GET", "/api/v1/clicks?from=2020-01-01").send().await.json();
    let [first, second] = raw["clicks"].as_array().unwrap().as_slice() else { panic!("{raw}") };
    assert_eq!((&first["clicked_at"], &first["domain"]), (&json!("2021-03-01T00:00:00Z"), &json!("")));
    // The Worker leaves the browser out: it is read here.
    assert_eq!((&second["browser"], &second["edge_id"]), (&json!("Firefox"), &json!("cf-VIE")));
}

#[tokio::test]
async fn secrets_change_without_a_loss() {
    let mut data = Data::embedded();
    let mut sent = 0;
    let mut links = None;
    // The sender changes its secret in the second part; what it sends meanwhile is signed with either.
    for (known, used) in [
        (vec![SECRET], [[SECRET], [SECRET]]),
        (vec![OTHER, SECRET], [[SECRET], [OTHER]]),
        (vec![OTHER], [[OTHER], [OTHER]]),
    ] {
        let app = app_over(data, &known).await;
        if links.is_none() {
            links = Some(link(&app).await);
        }
        let link = links.as_ref().unwrap();
        let deliveries = (0..40).map(|number| {
            let body = json!([click(link, sent + number)]).to_string().into_bytes();
            let secrets = &used[usize::from(number % 2 == 1)];
            signed(&app, secrets, CLICKS, now_s(), &body).body(Body::from(body))
        });
        for reply in futures_util::future::join_all(deliveries).await {
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
        sent += 40;
        assert_eq!(counted(&app).await, sent);
        data = app.stop().await;
    }
    let app = app_over(data, &[OTHER]).await;
    let body = json!([click(links.as_ref().unwrap(), 1_000)]).to_string().into_bytes();
    let reply = signed(&app, &[SECRET], CLICKS, now_s(), &body).body(Body::from(body.clone())).await;
    reply.assert_problem(401, "signature_invalid");
    let both = signed(&app, &[SECRET, OTHER], CLICKS, now_s(), &body).body(Body::from(body)).await;
    assert_eq!(both.json()["counted"], 1, "a sender that signs with both");
}

#[tokio::test]
async fn an_edge_with_a_log_speaks_for_itself() {
    let data = Data::embedded();
    let spool = Spool::open(&data.folder.path().join("spool"), SpoolOptions::default()).unwrap();
    let address = data.folder.path().join("clicks.db").display().to_string();
    let store = ClickStore::open(&address, StoreOptions::default()).await.unwrap();
    let local = waypost_ingest::Clicks::start(store, Some(spool.clone()), Default::default());
    assert!(local.wait_until_drained(std::time::Duration::from_secs(20)).await);
    let app = app_over(data, &[SECRET]).await;
    let link = link(&app).await;
    let mut claimed = click(&link, 1);
    claimed["edge_id"] = spool.edge_id().into();
    (claimed["epoch"], claimed["sequence"]) = (1.into(), 5.into());
    let mut numbered = click(&link, 2);
    (numbered["epoch"], numbered["sequence"]) = (1.into(), 5.into());
    let answer = deliver(&app, &json!([claimed, numbered])).await;
    assert_eq!((&answer["counted"], &answer["results"][0]["result"]), (&json!(1), &json!("refused")));
    let edges: Vec<_> = app.clicks.store().audit().await.unwrap().into_iter().map(|epoch| epoch.edge_id).collect();
    assert_eq!(edges, ["cf-VIE"]);
    local.stop().await;
    spool.close();
}

#[tokio::test]
async fn a_database_that_is_away_is_503_and_the_click_comes_again() {
    let app = app().await;
    let link = link(&app).await;
    app.clicks.store().close().await;
    let reply = send(&app, CLICKS, click(&link, 1).to_string()).await;
    reply.assert_problem(503, "unavailable");
    assert!(reply.header("retry-after").is_some());
    let app = app_over(app.stop().await, &[SECRET]).await;
    assert_eq!(deliver(&app, &click(&link, 1)).await["counted"], 1);
    app.store.close().await;
    send(&app, CLICKS, click(&link, 2).to_string()).await.assert_problem(503, "unavailable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_stops_and_starts_and_each_click_counts_once() {
    if std::env::var(SKIP_VARIABLE).is_ok_and(|skip| skip == "1") {
        return;
    }
    let mut cluster = Cluster::start(&Programs::find().unwrap()).unwrap();
    let store = ClickStore::open(cluster.url(), StoreOptions::default()).await.unwrap();
    let clicks = waypost_ingest::Clicks::start(store, None, Default::default());
    let with_keys = |settings: &mut waypost_control::ControlSettings| settings.webhook_keys = keys(&[SECRET]);
    let app = TestApp::counting_with(Data::embedded(), clicks, with_keys).await;
    let link = link(&app).await;
    assert_eq!(deliver(&app, &click(&link, 1)).await["counted"], 1);
    cluster.stop(Shutdown::Immediate).unwrap();
    let events = json!([click(&link, 1), click(&link, 2), click(&link, 3)]);
    send(&app, CLICKS, events.to_string()).await.assert_problem(503, "unavailable");
    cluster.start_again().unwrap();
    // A sender comes again and again: connections that the server's end has broken fail once each.
    let mut replies = Vec::new();
    for _ in 0..20 {
        replies.push(send(&app, CLICKS, events.to_string()).await);
        if replies.last().is_some_and(|reply| reply.status == 200) {
            break;
        }
    }
    let answer = replies.last().unwrap().json();
    assert_eq!((&answer["counted"], &answer["duplicates"]), (&json!(2), &json!(1)), "{answer}");
    assert_eq!(deliver(&app, &events).await["duplicates"], 3);
    assert_eq!(counted(&app).await, 3);
    app.stop().await;
}

#[tokio::test]
async fn visitor_keys_that_are_small_numbers_are_as_good_as_any() {
    let app = app().await;
    let link = link(&app).await;
    let of_visitor = |number: u64, visitor: u64| {
        let mut event = click(&link, number);
        event["visitor"] = format!("{visitor:016x}").into();
        event
    };
    // Each visitor twice, in deliveries of their own.
    for part in 0..8_u64 {
        let events: Vec<_> = (0..1_000).map(|n| of_visitor(part * 1_000 + n, (part % 4) * 1_000 + n)).collect();
        assert_eq!(deliver(&app, &Value::from(events)).await["counted"], 1_000);
    }
    let report = app.operator("GET", "/api/v1/reports?from=2020-01-01&interval=day&class=all").send().await.json();
    let (clicks, visitors) = (report["clicks"].as_u64().unwrap(), report["visitors"].as_u64().unwrap());
    assert_eq!(clicks, 8_000);
    // Four standard errors of the estimate.
    assert!((3_640..4_360).contains(&visitors), "{visitors}");
    assert_eq!(report["visitors_estimated"], true);
    let row = report["rows"].as_array().unwrap().iter().find(|row| row["clicks"] == 8_000).unwrap();
    assert_eq!((row["visitors"].as_u64(), &row["visitors_estimated"]), (Some(visitors), &json!(true)));
}
