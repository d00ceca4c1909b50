//! `sessions.*`: the list, settings, a fresh start.

use serde_json::{Value, json};
use support::{Client, Gateway, Login};

async fn talk(client: &mut Client, session: &str, message: &str) {
    let key = format!("{session} {message}");
    let params = json!({ "sessionKey": session, "message": message, "idempotencyKey": key });
    client.ok("chat.send", params).await;
    client
        .event_where("chat", |p| {
            p["runId"] == key.as_str() && p["state"] == "final"
        })
        .await;
}

fn keys(list: &Value) -> Vec<&str> {
    let rows = list["sessions"].as_array().unwrap().iter();
    rows.map(|row| row["key"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_list() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    talk(&mut client, "main", "first words").await;
    talk(&mut client, "Demo", "second words").await;
    let params = json!({ "includeDerivedTitles": true, "includeLastMessage": true });
    let list = client.ok("sessions.list", params).await;
    assert_eq!(
        keys(&list),
        ["agent:main:demo", "agent:main:main"],
        "newest first, canonical"
    );
    assert_eq!(list["count"], 2);
    assert!(list["ts"].is_u64() && list["path"].is_string() && list["defaults"].is_object());
    let row = &list["sessions"][1];
    assert_eq!(row["kind"], "direct");
    assert!(
        row["sessionId"].is_string() && row["updatedAt"].is_u64(),
        "{row}"
    );
    assert!(
        row["totalTokensFresh"].is_boolean() && row["model"].is_string(),
        "{row}"
    );
    assert_eq!(
        row["derivedTitle"], "first words",
        "without what the model was told around it"
    );
    assert!(
        row["lastMessagePreview"]
            .as_str()
            .unwrap()
            .contains("first words")
    );

    for (params, expected) in [
        (json!({ "limit": 1 }), &["agent:main:demo"][..]),
        (json!({ "search": "DEMO" }), &["agent:main:demo"]),
        (
            json!({ "agentId": "main", "activeMinutes": 5 }),
            &["agent:main:demo", "agent:main:main"],
        ),
        (json!({ "agentId": "other" }), &[]),
        (json!({ "label": "nothing" }), &[]),
    ] {
        let list = client.ok("sessions.list", params.clone()).await;
        assert_eq!(keys(&list), expected, "{params}");
    }
    for (params, text) in [
        (json!({ "limit": "5" }), "at /limit: must be integer"),
        (json!({ "limit": 0 }), "at /limit: must be >= 1"),
    ] {
        let error = client.refused("sessions.list", params).await;
        assert_eq!(
            error["message"],
            format!("invalid sessions.list params: {text}")
        );
    }
}

#[tokio::test]
async fn settings() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    talk(&mut client, "main", "hello").await;
    let params =
        json!({ "key": "main", "label": "Desk", "thinkingLevel": "high", "verboseLevel": "full" });
    let answer = client.ok("sessions.patch", params).await;
    assert_eq!(
        (&answer["ok"], &answer["key"]),
        (&json!(true), &json!("agent:main:main"))
    );
    assert_eq!(answer["entry"]["label"], "Desk");
    assert!(answer["resolved"]["model"].is_string(), "{answer}");
    let list = client.ok("sessions.list", json!({ "label": "Desk" })).await;
    assert_eq!(list["sessions"][0]["thinkingLevel"], "high");
    let history = client
        .ok("chat.history", json!({ "sessionKey": "main" }))
        .await;
    assert_eq!(history["thinkingLevel"], "high");

    for (params, message) in [
        (
            json!({ "key": "other", "label": "Desk" }),
            "label already in use: Desk",
        ),
        (
            json!({ "key": "main", "thinkingLevel": "zzz" }),
            "invalid thinkingLevel (use off|minimal|low|medium|high|adaptive)",
        ),
        (
            json!({ "key": "main", "verboseLevel": "zzz" }),
            "invalid verboseLevel (use \"on\"|\"off\")",
        ),
        (
            json!({ "key": "main", "model": " " }),
            "invalid model: empty",
        ),
    ] {
        let error = client.refused("sessions.patch", params).await;
        assert_eq!(
            error,
            json!({ "code": "INVALID_REQUEST", "message": message })
        );
    }
    let answer = client
        .ok("sessions.patch", json!({ "key": "main", "label": null }))
        .await;
    assert!(answer["entry"].get("label").is_none(), "{answer}");

    let login = Login::fresh().client("webchat", "webchat");
    let origin = format!("http://127.0.0.1:{}", gateway.port());
    let mut page = Client::open_with(gateway.port(), "/", &[("origin", &origin)]).await;
    page.log_in(&login).await;
    let error = page
        .refused("sessions.patch", json!({ "key": "main", "label": "x" }))
        .await;
    let message = "webchat clients cannot patch sessions; use chat.send for session-scoped updates";
    assert_eq!(error["message"], message);
}

#[tokio::test]
async fn a_fresh_start() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    talk(&mut client, "main", "old words").await;
    client
        .ok("sessions.patch", json!({ "key": "main", "label": "Kept" }))
        .await;
    let before = client
        .ok("chat.history", json!({ "sessionKey": "main" }))
        .await;
    let answer = client
        .ok("sessions.reset", json!({ "key": "main", "reason": "new" }))
        .await;
    assert_eq!(
        (&answer["ok"], &answer["key"]),
        (&json!(true), &json!("agent:main:main"))
    );
    assert_ne!(answer["entry"]["sessionId"], before["sessionId"]);
    assert_eq!(answer["entry"]["label"], "Kept");
    assert_eq!(answer["entry"]["totalTokens"], 0);
    let after = client
        .ok("chat.history", json!({ "sessionKey": "main" }))
        .await;
    assert_eq!(after["messages"], json!([]));
    talk(&mut client, "main", "/new").await;
    let renewed = client
        .ok("chat.history", json!({ "sessionKey": "main" }))
        .await;
    assert_ne!(renewed["sessionId"], answer["entry"]["sessionId"]);
}
