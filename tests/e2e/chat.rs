//! `chat.*`: conversations as a person sees them.

use serde_json::{Value, json};
use support::llm::{Door, Llm, Reply};
use support::{Client, Gateway, Setup};

async fn say(client: &mut Client, key: &str, message: &str) -> Value {
    let params = json!({ "sessionKey": "main", "message": message, "idempotencyKey": key });
    client.ok("chat.send", params).await
}

async fn ended(client: &mut Client, run: &str) -> Value {
    let end = client
        .event_where("chat", |p| p["runId"] == run && p["state"] != "delta")
        .await;
    end["payload"].clone()
}

async fn history(client: &mut Client, params: Value) -> Vec<Value> {
    let answer = client.ok("chat.history", params).await;
    answer["messages"].as_array().unwrap().clone()
}

fn text(message: &Value) -> &str {
    message["content"][0]["text"].as_str().unwrap()
}

#[tokio::test]
async fn a_message_is_started_at_once_and_answered_by_events() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator_with(&["operator.write"]).await;
    assert_eq!(
        say(&mut client, "c1", "hi chat").await,
        json!({ "runId": "c1", "status": "started" })
    );
    let end = ended(&mut client, "c1").await;
    assert_eq!(
        (&end["state"], &end["sessionKey"]),
        (&json!("final"), &json!("agent:main:main"))
    );
    assert_eq!(end["message"]["role"], "assistant");
    assert!(end["message"]["timestamp"].is_u64());
    assert!(text(&end["message"]).contains("hi chat"));
    // Exactly one end for each run, and never a second response.
    let rest = client.settle().await;
    let again = rest
        .iter()
        .any(|f| f["type"] == "res" || f["payload"]["state"] == "final");
    assert!(!again, "{rest:?}");
    // The key is done a moment after the event.
    let replay = loop {
        let replay = say(&mut client, "c1", "hi chat").await;
        if replay["status"] != "in_flight" {
            break replay;
        }
    };
    assert_eq!(replay, json!({ "runId": "c1", "status": "ok" }));

    let answer = client
        .ok("chat.history", json!({ "sessionKey": "main" }))
        .await;
    assert_eq!(answer["sessionKey"], "main", "as it was sent");
    assert!(
        answer["sessionId"].is_string() && answer["thinkingLevel"].is_string(),
        "{answer}"
    );
    let messages = answer["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert_eq!(
        (text(&messages[0]), messages[0]["role"].as_str().unwrap()),
        ("hi chat", "user")
    );
    assert_eq!(messages[1]["stopReason"], "stop");
    assert!(messages.iter().all(|m| m["timestamp"].is_u64()));
}

#[tokio::test]
async fn history_is_bounded_and_oldest_first() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    for number in 0..4 {
        let key = format!("h{number}");
        say(&mut client, &key, &format!("message {number}")).await;
        ended(&mut client, &key).await;
    }
    let last = history(
        &mut client,
        json!({ "sessionKey": "agent:main:main", "limit": 3 }),
    )
    .await;
    assert_eq!(last.len(), 3);
    assert_eq!(text(&last[1]), "message 3");
    assert!(
        history(&mut client, json!({ "sessionKey": "agent:main:none" }))
            .await
            .is_empty()
    );
    for (limit, text) in [(json!(0), "must be >= 1"), (json!(1001), "must be <= 1000")] {
        let params = json!({ "sessionKey": "main", "limit": limit });
        let error = client.refused("chat.history", params).await;
        assert_eq!(
            error["message"],
            format!("invalid chat.history params: at /limit: {text}")
        );
    }
}

#[tokio::test]
async fn history_survives_a_crash() {
    let mut gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    say(&mut client, "k", "remember me").await;
    ended(&mut client, "k").await;
    gateway.crash().await;
    gateway.restart().await;
    let mut client = gateway.operator().await;
    let messages = history(&mut client, json!({ "sessionKey": "main" })).await;
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert_eq!(text(&messages[0]), "remember me");
}

#[tokio::test]
async fn texts_are_cleaned_and_refused() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    for (message, refusal) in [
        ("a\u{0}b", "message must not contain null bytes"),
        ("  ", "message or attachment required"),
    ] {
        let params = json!({ "sessionKey": "main", "message": message, "idempotencyKey": "x" });
        let error = client.refused("chat.send", params).await;
        assert_eq!(error["message"], refusal);
    }
    say(&mut client, "clean", "bell\u{7} tab\tline\nend").await;
    ended(&mut client, "clean").await;
    let messages = history(&mut client, json!({ "sessionKey": "main" })).await;
    assert_eq!(text(&messages[0]), "bell tab\tline\nend");
    let error = client
        .refused("chat.send", json!({ "sessionKey": "main" }))
        .await;
    assert_eq!(
        error["message"],
        "invalid chat.send params: must have required property 'message'; must have required property 'idempotencyKey'"
    );
    let bad = json!({
        "sessionKey": "main", "message": "x", "idempotencyKey": "att",
        "attachments": [{ "fileName": "a.png", "mimeType": "image/png", "content": "%%%" }],
    });
    let error = client.refused("chat.send", bad).await;
    assert_eq!(
        error["message"],
        "Error: attachment a.png: invalid base64 content"
    );
}

#[tokio::test]
async fn a_note_is_put_into_the_conversation() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    let mut reader = gateway.operator_with(&["operator.read"]).await;
    let error = client
        .refused(
            "chat.inject",
            json!({ "sessionKey": "agent:main:none", "message": "x" }),
        )
        .await;
    assert_eq!(error["message"], "session not found");
    say(&mut client, "first", "hello").await;
    ended(&mut client, "first").await;
    let params = json!({ "sessionKey": "agent:main:main", "message": "a note", "label": "ops" });
    let answer = client.ok("chat.inject", params).await;
    let id = answer["messageId"].as_str().unwrap();
    assert_eq!((id.len(), &answer["ok"]), (8, &json!(true)));
    let event = ended(&mut reader, &format!("inject-{id}")).await;
    assert_eq!(
        (&event["seq"], &event["state"]),
        (&json!(0), &json!("final"))
    );
    assert_eq!(text(&event["message"]), "[ops]\n\na note");
    let messages = history(&mut client, json!({ "sessionKey": "main" })).await;
    assert_eq!(messages.last().unwrap()["model"], "gateway-injected");
}

#[tokio::test]
async fn nothing_to_abort_is_no_error() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    let answer = client
        .ok("chat.abort", json!({ "sessionKey": "main" }))
        .await;
    assert_eq!(
        answer,
        json!({ "ok": true, "aborted": false, "runIds": [] })
    );
    let stop = json!({ "sessionKey": "main", "message": "Stop!", "idempotencyKey": "s" });
    let answer = client.ok("chat.send", stop).await;
    assert_eq!(
        answer,
        json!({ "ok": true, "aborted": false, "runIds": [] })
    );
}

/// `/queue` is answered without a model, and what it set is what becomes of the next messages.
#[tokio::test]
async fn the_queue_is_set_by_a_word_or_by_the_configuration() {
    let llm = Llm::start().await;
    let gateway = Setup::new()
        .config("/models/providers/fake", llm.provider("m"))
        .config("/agents/defaults/model", json!("fake/m"))
        .config("/messages/queue", json!({ "mode": "steer+backlog" }))
        .start()
        .await;
    let mut client = gateway.operator().await;
    for (key, message, reply) in [
        ("q1", "/queue", "Queue mode: steer-backlog."),
        ("q2", "/queue followup", "Queue mode set to followup."),
        ("q3", "/queue moon", "Unknown queue mode."),
    ] {
        let started = say(&mut client, key, message).await;
        assert_eq!(started, json!({ "runId": key, "status": "started" }));
        let end = ended(&mut client, key).await;
        assert_eq!(
            (&end["state"], &end["seq"]),
            (&json!("final"), &json!(1)),
            "{end}"
        );
        assert!(text(&end["message"]).starts_with(reply), "{end}");
        assert_eq!(end["message"]["model"], "gateway-injected");
    }
    assert!(llm.asked().is_empty());
    let messages = history(&mut client, json!({ "sessionKey": "main" })).await;
    assert_eq!(messages.len(), 6, "{messages:?}");

    let door = Door::default();
    llm.push(Reply::Held(vec!["one".into()], door.clone(), vec![]));
    say(&mut client, "m1", "first").await;
    llm.wait_asked(1).await;
    say(&mut client, "m2", "second").await;
    door.open();
    assert_eq!(text(&ended(&mut client, "m1").await["message"]), "one");
    let second = ended(&mut client, "m2").await;
    assert!(text(&second["message"]).ends_with("second"), "{second}");
}
