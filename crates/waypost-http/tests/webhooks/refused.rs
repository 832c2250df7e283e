//! Refused events: kept, shown to whoever runs the instance, and to nobody else.

use serde_json::{Value, json};

use crate::sender::{app, click, deliver, link};

#[tokio::test]
async fn they_can_be_looked_at_page_by_page() {
    let app = app().await;
    let link = link(&app).await;
    let mut events = vec![click(&link, 0)];
    for number in 1..=5 {
        let mut event = click(&link, number);
        event["account_id"] = "acc_0000000000000001".into();
        events.push(event);
    }
    assert_eq!(deliver(&app, &events.into()).await["refused"], 5);
    let page = |query: String| app.operator("GET", &format!("/api/v1/clicks/refused{query}")).send();
    let first = page("?limit=3".to_owned()).await.json();
    let shown = first["events"].as_array().unwrap();
    assert_eq!(
        (shown.len(), &shown[0]["reason"], &shown[0]["edge_id"]),
        (3, &json!("link unknown here"), &json!("cf-VIE"))
    );
    assert!(shown[0]["received_at"].as_str().is_some_and(|at| at.starts_with("20")));
    let event: Value = serde_json::from_str(shown[0]["event"].as_str().unwrap()).unwrap();
    assert_eq!(event["event_id"], crate::sender::event_id(5));
    assert!(event.get("ip_address").is_none() && event.get("visitor").is_none(), "{event}");
    let next = first["next_cursor"].as_str().unwrap();
    let second = page(format!("?limit=3&cursor={next}")).await.json();
    assert_eq!((second["events"].as_array().unwrap().len(), &second["next_cursor"]), (2, &Value::Null));
    for (query, code) in [
        ("?cursor=x", "bad_request"),
        ("?limit=0", "invalid_field"),
        ("?limit=1001", "invalid_field"),
        ("?limit=x", "invalid_field"),
    ] {
        let reply = page(query.to_owned()).await;
        assert_eq!(reply.json()["code"], code, "{query}: {}", reply.text());
    }
    assert_eq!(page("?what=1".to_owned()).await.status.as_u16() / 100, 4);
}

#[tokio::test]
async fn they_are_for_the_instance_only() {
    let app = app().await;
    let path = "/api/v1/clicks/refused";
    app.call("GET", path).send().await.assert_problem(401, "unauthorized");
    let made = app.operator("POST", "/api/v1/keys").json(&json!({ "name": "own" })).await.json();
    assert_eq!(app.with_key(made["key"].as_str().unwrap(), "GET", path).send().await.status, 200);
    let made = app.operator("POST", "/api/v1/keys").header("waypost-account", "anonymous");
    let made = made.json(&json!({ "name": "other" })).await.json();
    app.with_key(made["key"].as_str().unwrap(), "GET", path).send().await.assert_problem(403, "forbidden");
}
