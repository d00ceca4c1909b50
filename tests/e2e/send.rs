//! `send`: parameters, refusals, idempotency. What a provider does with it is in `telegram.rs`.

use serde_json::{Value, json};
use support::bot_api::BotApi;
use support::{Gateway, Setup};

fn params(changes: &[(&str, Value)]) -> Value {
    let mut params = json!({
        "channel": "echo", "to": "room", "message": "hi", "idempotencyKey": "k",
    });
    for (field, value) in changes {
        if value.is_null() {
            params.as_object_mut().unwrap().remove(*field);
        } else {
            params[field] = value.clone();
        }
    }
    params
}

#[tokio::test]
async fn the_same_key_is_one_send() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator_with(&["operator.write"]).await;
    let first = client.ok("send", params(&[])).await;
    assert_eq!(
        (&first["runId"], &first["channel"]),
        (&json!("k"), &json!("echo"))
    );
    assert!(first["messageId"].is_string(), "{first}");
    let mut other = gateway.operator().await;
    assert_eq!(
        other
            .ok("send", params(&[("message", json!("something else"))]))
            .await,
        first
    );
    let fresh = other
        .ok("send", params(&[("idempotencyKey", json!("k2"))]))
        .await;
    assert_ne!(fresh["messageId"], first["messageId"]);
}

#[tokio::test]
async fn refusals_name_what_is_wrong() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    for (changes, message) in [
        (
            &[("to", json!(""))][..],
            "invalid send params: at /to: must NOT have fewer than 1 characters",
        ),
        (
            &[("idempotencyKey", Value::Null)],
            "invalid send params: must have required property 'idempotencyKey'",
        ),
        (
            &[("to", Value::Null), ("idempotencyKey", Value::Null)],
            "invalid send params: must have required property 'to'; must have required property 'idempotencyKey'",
        ),
        (
            &[("message", Value::Null)],
            "invalid send params: text or media is required",
        ),
        (
            &[("message", json!("  "))],
            "invalid send params: text or media is required",
        ),
        (&[("channel", json!("foo"))], "unsupported channel: foo"),
        (
            &[("channel", json!("webchat"))],
            "unsupported channel: webchat (internal-only). Use `chat.send` for WebChat UI messages or choose a deliverable channel.",
        ),
    ] {
        let error = client.refused("send", params(changes)).await;
        assert_eq!(
            error,
            json!({ "code": "INVALID_REQUEST", "message": message })
        );
    }
    // A refusal before the send begins is not remembered.
    client.ok("send", params(&[])).await;
}

#[tokio::test]
async fn without_a_channel_the_only_one_is_meant() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    let answer = client.ok("send", params(&[("channel", Value::Null)])).await;
    assert_eq!(answer["channel"], "echo");

    let none = Setup::new()
        .plugins(&[])
        .config("/channels", json!({}))
        .start()
        .await;
    let error = none
        .operator()
        .await
        .refused("send", params(&[("channel", Value::Null)]))
        .await;
    assert_eq!(error["code"], "INVALID_REQUEST");
    let message = "Error: Channel is required (no configured channels detected).";
    assert_eq!(error["message"], message);

    let api = BotApi::start().await;
    api.add_bot("1001:x", "some_bot");
    let both = Setup::new()
        .plugins(&["echo", "telegram"])
        .config(
            "/channels/telegram",
            json!({ "botToken": "1001:x", "apiRoot": api.root() }),
        )
        .start()
        .await;
    let error = both
        .operator()
        .await
        .refused("send", params(&[("channel", Value::Null)]))
        .await;
    let message = error["message"].as_str().unwrap();
    assert!(
        message.starts_with("Error: Channel is required when multiple channels are configured: ")
    );
    assert!(
        message.contains("echo") && message.contains("telegram"),
        "{message}"
    );
}

/// The work goes on when the client leaves; its outcome waits under its key.
#[tokio::test]
async fn a_send_outlives_its_client() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    client
        .request("send", params(&[("idempotencyKey", json!("gone"))]))
        .await;
    client.leave().await;
    let mut other = gateway.operator().await;
    let answer = other
        .ok("send", params(&[("idempotencyKey", json!("gone"))]))
        .await;
    assert_eq!(answer["runId"], "gone");
}
