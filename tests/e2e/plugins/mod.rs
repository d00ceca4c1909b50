//! Plugins that misbehave: whatever one of them does, the others and the gateway go on. How they
//! are changed while the gateway runs is in `live.rs`, the same under load in `upgrade.rs`.

mod cli;
mod isolation;
pub mod live;
mod upgrade;

use std::path::PathBuf;

use serde_json::{Value, json};
use support::{Client, Gateway, Setup, binaries, wait};

fn faulty() -> PathBuf {
    binaries::library("gateway-faulty-plugin")
}

fn echo() -> PathBuf {
    binaries::library("gateway-plugin-echo")
}

/// The echo plugin beside the faulty one with this account.
async fn beside(account: Value) -> Gateway {
    Setup::new()
        .plugin_files(&[("echo", echo()), ("faulty", faulty())])
        .config("/channels/faulty", account)
        .start()
        .await
}

fn to(channel: &str, text: &str) -> Value {
    let key = format!("{channel} {text}");
    json!({ "channel": channel, "to": "x", "message": text, "idempotencyKey": key })
}

/// The other plugin still does its work.
async fn others_work(client: &mut Client) {
    let key = support::Device::new().id;
    let params = json!({ "channel": "echo", "to": "x", "message": "m", "idempotencyKey": key });
    client.ok("send", params).await;
}

/// Not loaded, by what the file holds: before any of its code could run.
#[tokio::test]
async fn files_that_are_no_plugins() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.so");
    std::fs::write(&text, "just a text").unwrap();
    let empty = folder.path().join("empty.so");
    std::fs::write(&empty, "").unwrap();
    let cut = folder.path().join("cut.so");
    let whole = std::fs::read(faulty()).unwrap();
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    for (file, word) in [
        (text, "text.so"),
        (empty, "empty.so"),
        (cut, "cut.so"),
        (binaries::openclaw(), "openclaw"),
        (folder.path().join("missing.so"), "missing.so"),
    ] {
        let gateway = Setup::new()
            .plugin_files(&[("echo", echo()), ("other", file)])
            .start()
            .await;
        gateway.logged(word).await;
        let mut client = gateway.operator().await;
        others_work(&mut client).await;
        let status = client.ok("channels.status", json!({})).await;
        assert!(
            !status["channelOrder"].to_string().contains("other"),
            "{status}"
        );
    }
}

#[tokio::test]
async fn accounts_that_cannot_start() {
    for (fault, word) in [("panic", "at start"), ("auth", "wrong token")] {
        let gateway = beside(json!({ "fault": fault })).await;
        let fits = |a: &Value| {
            a["lastError"]
                .as_str()
                .is_some_and(|text| text.contains(word))
        };
        let account = gateway
            .account("faulty", "the reason in lastError", fits)
            .await;
        assert_eq!(account["running"], false, "{account}");
        let mut client = gateway.operator().await;
        others_work(&mut client).await;
        // One that is tried again keeps what it is given; one that gave up refuses at once.
        if fault == "auth" {
            let error = client.refused("send", to("faulty", "hi")).await;
            assert_eq!(error["code"], "UNAVAILABLE", "{error}");
        }
    }
}

/// While one is stuck in its start, clients are served and the other works.
#[tokio::test]
async fn an_account_that_never_starts() {
    let gateway = beside(json!({ "fault": "never" })).await;
    let mut client = gateway.operator().await;
    others_work(&mut client).await;
    let status = client.ok("channels.status", json!({})).await;
    assert_eq!(
        status["channelAccounts"]["echo"][0]["running"], true,
        "{status}"
    );
}

/// Each fault is followed by a send that works: the instance goes on or was started again.
#[tokio::test]
async fn faults_in_a_send_are_contained() {
    let gateway = beside(json!({})).await;
    let mut client = gateway.operator().await;
    client.ok("send", to("faulty", "before")).await;
    for fault in ["panic", "bomb"] {
        let error = client.refused("send", to("faulty", fault)).await;
        assert_eq!(error["code"], "UNAVAILABLE", "{fault}: {error}");
        others_work(&mut client).await;
    }
    for fault in [
        "thread-panic",
        "task-panic",
        "garbage:20",
        "unknown",
        "huge",
        "flood:500",
        "answer",
        "log:10000",
    ] {
        // What the send itself says does not matter here, only that it ends.
        client.call("send", to("faulty", fault)).await;
        others_work(&mut client).await;
    }
    let port = gateway.port();
    let after = wait::until("a send that works", || async move {
        let mut client = Client::connect(port, &support::Login::fresh()).await;
        let key = support::Device::new().id;
        let params =
            json!({ "channel": "faulty", "to": "x", "message": "after", "idempotencyKey": key });
        let frame = client.call("send", params).await;
        (frame["ok"] == true).then_some(frame)
    })
    .await;
    assert_eq!(after["payload"]["channel"], "faulty");
    gateway.logged("in a thread").await;
    gateway.logged("in the background").await;
}

/// A plugin that sits on its thread holds up nobody else.
#[tokio::test]
async fn a_plugin_that_blocks() {
    let gateway = beside(json!({})).await;
    let mut client = gateway.operator().await;
    let slow = client.request("send", to("faulty", "block:3000")).await;
    others_work(&mut client).await;
    client.ok("health", json!({})).await;
    // Answered while the other still sat on its thread: its answer is not here yet.
    let early = client
        .take_waiting()
        .iter()
        .any(|frame| frame["id"] == slow.as_str());
    assert!(!early, "the block was over too soon to prove anything");
    client.response(&slow).await;
}

/// Secrets of an account never leave it.
#[tokio::test]
async fn an_accounts_secrets_stay_inside() {
    let secret = "very-secret-token";
    let gateway = beside(json!({ "token": secret })).await;
    let mut client = gateway.operator().await;
    client.refused("send", to("faulty", "panic")).await;
    let status = client.ok("channels.status", json!({})).await.to_string();
    let health = client.ok("health", json!({})).await.to_string();
    for (place, text) in [
        ("status", status),
        ("health", health),
        ("log", gateway.log().text()),
    ] {
        assert!(!text.contains(secret), "the {place} holds a secret");
    }
}
