//! Stopping: clients are told, work is finished, the state is whole.

use rustix::process::Signal;
use serde_json::json;
use support::bot_api::{BotApi, Fault, Gate};
use support::{Close, Gateway, Setup, http};

#[tokio::test]
async fn clients_are_told_and_closed() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut gateway = Gateway::start().await;
        let mut client = gateway.operator().await;
        let mut bare = gateway.connect(&support::Login::without_device()).await;
        gateway.signal(signal);
        for client in [&mut client, &mut bare] {
            let event = client.event("shutdown").await;
            assert_eq!(event["payload"]["reason"], "gateway stopping");
            let absent = event["payload"].get("restartExpectedMs").is_none();
            assert!(absent, "left out, for clients read it as optional: {event}");
            assert_eq!(client.closed().await, Close::new(1012, "service restart"));
        }
        assert_eq!(gateway.exit().await.code(), Some(0));
        assert!(
            http::get(gateway.port(), "/healthz", &[]).await.is_err(),
            "still listening"
        );
    }
}

/// A run under way ends before the gateway does, and the next start knows how.
#[tokio::test]
async fn the_state_is_whole_after_a_stop_in_the_middle() {
    let mut gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    for number in 0..20 {
        let params = json!({
            "sessionKey": format!("s{number}"), "message": "words ".repeat(200),
            "idempotencyKey": format!("k{number}"),
        });
        client.ok("chat.send", params).await;
    }
    assert_eq!(gateway.stop().await.code(), Some(0));
    gateway.restart().await;
    let mut client = gateway.operator().await;
    let list = client.ok("sessions.list", json!({})).await;
    assert_eq!(list["count"], 20);
    for number in 0..20 {
        let params = json!({ "sessionKey": format!("s{number}") });
        let history = client.ok("chat.history", params).await;
        let messages = history["messages"].as_array().unwrap();
        assert!(!messages.is_empty(), "session {number} lost what was said");
    }
}

/// A surface that does not answer does not keep the gateway from stopping.
#[tokio::test]
async fn a_send_that_hangs_does_not_hold_it_up() {
    let api = BotApi::start().await;
    let bot = api.add_bot("1001:x", "slow_bot");
    bot.open_chat(42);
    let mut gateway = Setup::new()
        .plugins(&["echo", "telegram"])
        .config(
            "/channels/telegram",
            json!({ "botToken": "1001:x", "apiRoot": api.root() }),
        )
        .start()
        .await;
    let gate = Gate::shut();
    bot.fault("sendMessage", &Fault::Hold(gate.clone()), 1);
    let mut client = gateway.operator().await;
    let params = json!({
        "channel": "telegram", "to": "42", "message": "slow", "idempotencyKey": "s",
    });
    client.request("send", params).await;
    bot.wait_calls("sendMessage", 1).await;
    assert_eq!(gateway.stop().await.code(), Some(0));
    gate.open();
    // What became of it is unknown, so it is not sent again.
    gateway.restart().await;
    let mut client = gateway.operator().await;
    let params = json!({
        "channel": "telegram", "to": "42", "message": "next", "idempotencyKey": "n",
    });
    client.ok("send", params).await;
    assert_eq!(bot.texts(42), ["slow", "next"]);
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut gateway = Gateway::start().await;
    gateway.signal(Signal::TERM);
    gateway.signal(Signal::TERM);
    gateway.exit().await;
}
