//! `sessions.*`: the list, settings, a fresh start; looking into sessions; taking them away.

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

#[tokio::test]
async fn previews() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    let long = "long words ".repeat(40);
    talk(&mut client, "demo", "look").await;
    talk(&mut client, "demo", &long).await;
    client.ok("sessions.reset", json!({ "key": "bare" })).await;
    let keys = json!(["demo", "agent:main:nosuch", "bare", "agent:"]);
    let params = json!({ "keys": keys, "limit": 3, "maxChars": 20 });
    let answer = client.ok("sessions.preview", params).await;
    assert!(answer["ts"].is_u64());
    let previews = answer["previews"].as_array().unwrap();
    let statuses: Vec<_> = previews
        .iter()
        .map(|p| (p["key"].as_str().unwrap(), p["status"].as_str().unwrap()))
        .collect();
    assert_eq!(
        statuses,
        [
            ("demo", "ok"),
            ("agent:main:nosuch", "missing"),
            ("bare", "empty"),
            ("agent:", "missing")
        ]
    );
    let items = previews[0]["items"].as_array().unwrap();
    assert_eq!(items.len(), 3);
    assert_eq!(
        items[1],
        json!({ "role": "user", "text": "long words long w..." })
    );
    assert_eq!(previews[1]["items"], json!([]));
}

#[tokio::test]
async fn sessions_are_found() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    talk(&mut client, "main", "one").await;
    talk(&mut client, "demo", "two").await;
    let params = json!({ "key": "demo", "label": "Demo" });
    let entry = client.ok("sessions.patch", params).await["entry"].clone();
    for (params, key) in [
        (json!({ "key": "main" }), "agent:main:main"),
        (json!({ "label": "Demo" }), "agent:main:demo"),
        (
            json!({ "sessionId": entry["sessionId"] }),
            "agent:main:demo",
        ),
    ] {
        let answer = client.ok("sessions.resolve", params).await;
        assert_eq!(answer, json!({ "ok": true, "key": key }));
    }
    for (params, message) in [
        (
            json!({ "label": "nope" }),
            "No session found with label: nope",
        ),
        (
            json!({ "key": "agent:main:nosuch" }),
            "No session found: agent:main:nosuch",
        ),
        (
            json!({ "key": "main", "label": "x" }),
            "Provide either key, sessionId, or label (not multiple)",
        ),
        (json!({}), "Either key, sessionId, or label is required"),
        (
            json!({ "label": "Demo", "agentId": "other" }),
            "No session found with label: Demo",
        ),
    ] {
        let error = client.refused("sessions.resolve", params).await;
        assert_eq!(
            error,
            json!({ "code": "INVALID_REQUEST", "message": message })
        );
    }
}

/// As the model was told them, with the gateway's own texts in their recorded form.
#[tokio::test]
async fn messages_as_they_are() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    talk(&mut client, "demo", "plain").await;
    let note = json!({ "sessionKey": "demo", "message": "injected note", "label": "ops" });
    client.ok("chat.inject", note).await;
    let answer = client
        .ok(
            "sessions.get",
            json!({ "key": "demo", "limit": 1, "more": 1 }),
        )
        .await;
    let messages = answer["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 1);
    let mut note = messages[0].clone();
    note.as_object_mut().unwrap().remove("timestamp");
    let free = json!({ "input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0, "total": 0 });
    assert_eq!(
        note,
        json!({
            "role": "assistant", "content": [{ "type": "text", "text": "[ops]\n\ninjected note" }],
            "stopReason": "stop", "api": "openai-responses", "provider": "openclaw",
            "model": "gateway-injected",
            "usage": {
                "input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0, "totalTokens": 0,
                "cost": free,
            },
        })
    );
    let all = client
        .ok("sessions.get", json!({ "sessionKey": "agent:main:demo" }))
        .await;
    let told = all["messages"][0]["content"][0]["text"].as_str().unwrap();
    assert!(
        told.starts_with("Sender (untrusted metadata):") && told.ends_with("plain"),
        "{told}"
    );
    let none = client.ok("sessions.get", json!({ "key": "nosuch" })).await;
    assert_eq!(none, json!({ "messages": [] }));
    let error = client.refused("sessions.get", json!({ "key": " " })).await;
    assert_eq!(error["message"], "key required");
}

#[tokio::test]
async fn a_transcript_is_exported_in_pages() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    for number in 0..101 {
        let note = json!({ "sessionKey": "main", "message": format!("note {number}") });
        if number == 0 {
            talk(&mut client, "main", "begin").await;
        }
        client.ok("chat.inject", note.clone()).await;
        client.ok("chat.inject", note).await;
    }
    let mut params = json!({ "key": "main" });
    let mut found = Vec::new();
    let mut pages = 0;
    loop {
        let page = client.ok("sessions.export", params).await;
        found.extend(page["lines"].as_array().unwrap().clone());
        pages += 1;
        if page["next"].is_null() {
            break;
        }
        params = json!({ "key": "main", "from": page["next"], "parent": page["parent"] });
    }
    assert_eq!((found.len(), pages), (205, 2));
    assert_eq!(found[0]["type"], "session");
    assert_eq!(found[1]["parentId"], Value::Null);
    for pair in found[1..].windows(2) {
        assert_eq!(pair[1]["parentId"], pair[0]["id"]);
    }
    let error = client
        .refused("sessions.export", json!({ "key": "x" }))
        .await;
    assert_eq!(error["message"], "No session found: agent:main:x");
}
