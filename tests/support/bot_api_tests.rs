//! The fake Bot API against a raw HTTP client: is it as strict as the real one?
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::bot_api::{Bot, BotApi, Fault, Gate};

const TOKEN: &str = "7:secret";

async fn start() -> (BotApi, Bot) {
    let api = BotApi::start().await;
    let bot = api.add_bot(TOKEN, "seven_bot");
    (api, bot)
}

/// Posts JSON; `None` when the connection ended without an answer.
async fn raw(root: String, path: String, params: Value) -> Option<(u16, String)> {
    let addr = root.trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(addr).await.ok()?;
    let body = params.to_string();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
}

async fn call(api: &BotApi, method: &str, params: Value) -> (u16, Value) {
    let (status, body) = raw(api.root(), format!("/bot{TOKEN}/{method}"), params)
        .await
        .unwrap();
    (status, serde_json::from_str(&body).unwrap())
}

#[tokio::test]
async fn tokens_and_methods_are_checked() {
    let (api, bot) = start().await;
    assert_eq!(
        call(&api, "getMe", Value::Null).await.1["result"]["username"],
        "seven_bot"
    );
    assert_eq!(call(&api, "noSuchMethod", Value::Null).await.0, 404);
    let status = |path: &str| {
        let (root, path) = (api.root(), path.to_owned());
        async move { raw(root, path, Value::Null).await.unwrap().0 }
    };
    assert_eq!(status("/bot7:other/getMe").await, 401);
    assert_eq!(status("/bot7/getMe").await, 404);
    assert_eq!(status("/").await, 404);
    bot.with(|bot| bot.revoked = true);
    assert_eq!(call(&api, "getMe", Value::Null).await.0, 401);
}

#[tokio::test]
async fn updates_stay_until_an_offset_confirms_them() {
    let (api, bot) = start().await;
    let first = bot.push_text(42, 42, "one");
    let second = bot.push_text(-100, 42, "two");
    for _ in 0..2 {
        let (_, answer) = call(&api, "getUpdates", json!({})).await;
        assert_eq!(answer["result"].as_array().unwrap().len(), 2);
        assert_eq!(answer["result"][1]["message"]["chat"]["type"], "supergroup");
    }
    let (_, answer) = call(&api, "getUpdates", json!({ "offset": first + 1 })).await;
    assert_eq!(answer["result"][0]["update_id"], second);
    call(&api, "getUpdates", json!({ "offset": second + 1 })).await;
    bot.wait_confirmed().await;
}

#[tokio::test]
async fn a_long_poll_ends_with_the_first_update() {
    let (api, bot) = start().await;
    let mut polls = JoinSet::new();
    polls.spawn(raw(
        api.root(),
        format!("/bot{TOKEN}/getUpdates"),
        json!({ "timeout": 50 }),
    ));
    bot.wait_calls("getUpdates", 1).await;
    bot.push_text(42, 42, "hello");
    let (status, body) = polls.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(status, 200);
    assert!(body.contains("hello"));
}

#[tokio::test]
async fn the_older_of_two_polls_and_polls_beside_a_webhook_conflict() {
    let (api, bot) = start().await;
    let mut polls = JoinSet::new();
    let path = format!("/bot{TOKEN}/getUpdates");
    polls.spawn(raw(api.root(), path.clone(), json!({ "timeout": 50 })));
    bot.wait_for("the first poll", |bot| (bot.poll == 1).then_some(()))
        .await;
    polls.spawn(raw(api.root(), path, json!({ "timeout": 50 })));
    let (status, body) = polls.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(status, 409);
    assert!(body.contains("terminated by other getUpdates request"));

    call(
        &api,
        "setWebhook",
        json!({ "url": "https://example.org/hook" }),
    )
    .await;
    let (status, body) = polls.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(status, 409);
    assert!(body.contains("webhook is active"));
    bot.push_text(42, 42, "kept");
    assert_eq!(
        call(&api, "getWebhookInfo", json!({})).await.1["result"]["pending_update_count"],
        1
    );
    call(
        &api,
        "deleteWebhook",
        json!({ "drop_pending_updates": false }),
    )
    .await;
    assert_eq!(
        call(&api, "getUpdates", json!({})).await.1["result"][0]["message"]["text"],
        "kept"
    );
}

#[tokio::test]
async fn faults_hit_the_next_calls_of_their_method_only() {
    let (api, bot) = start().await;
    bot.open_chat(42);
    let text = json!({ "chat_id": 42, "text": "x" });
    bot.fault("sendMessage", &Fault::too_many(3), 1);
    bot.fault("sendMessage", &Fault::internal(), 1);
    let (status, answer) = call(&api, "sendMessage", text.clone()).await;
    assert_eq!(
        (status, &answer["parameters"]["retry_after"]),
        (429, &json!(3))
    );
    assert_eq!(call(&api, "getMe", json!({})).await.0, 200);
    assert_eq!(call(&api, "sendMessage", text.clone()).await.0, 500);
    assert_eq!(bot.texts(42).len(), 0);

    let lost = || raw(api.root(), format!("/bot{TOKEN}/sendMessage"), text.clone());
    bot.fault("sendMessage", &Fault::CutBefore, 1);
    assert_eq!(lost().await, None);
    assert_eq!(bot.texts(42).len(), 0);
    bot.fault("sendMessage", &Fault::CutAfter, 1);
    assert_eq!(lost().await, None);
    assert_eq!(bot.texts(42).len(), 1);
    bot.fault("sendMessage", &Fault::Malformed, 1);
    let (status, body) = lost().await.unwrap();
    assert!(status == 200 && serde_json::from_str::<Value>(&body).is_err());

    let gate = Gate::shut();
    bot.fault("sendMessage", &Fault::Hold(gate.clone()), 1);
    let mut slow = JoinSet::new();
    slow.spawn(lost());
    assert_eq!(bot.wait_texts(42, 3).await.len(), 3);
    assert_eq!(bot.calls(Some("sendMessage")).last().unwrap().status, None);
    gate.open();
    assert_eq!(slow.join_next().await.unwrap().unwrap().unwrap().0, 200);
}

#[tokio::test]
async fn it_can_go_away_and_come_back_with_its_state() {
    let (mut api, bot) = start().await;
    bot.push_text(42, 42, "kept");
    api.go_down().await;
    assert_eq!(raw(api.root(), "/".into(), Value::Null).await, None);
    api.come_back().await;
    assert_eq!(
        call(&api, "getUpdates", json!({})).await.1["result"][0]["message"]["text"],
        "kept"
    );
}
