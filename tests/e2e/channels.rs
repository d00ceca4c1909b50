//! `channels.status`, `health` and `status`: what is told about surfaces and the gateway itself.

use serde_json::{Value, json};
use support::bot_api::BotApi;
use support::{Gateway, Setup};

#[tokio::test]
async fn the_state_of_every_surface() {
    let api = BotApi::start().await;
    let bot = api.add_bot("1001:x", "some_bot");
    let gateway = Setup::new()
        .plugins(&["echo", "telegram"])
        .config(
            "/channels/telegram",
            json!({ "botToken": "1001:x", "apiRoot": api.root() }),
        )
        .start()
        .await;
    bot.wait_calls("getUpdates", 1).await;
    let mut client = gateway.operator_with(&["operator.read"]).await;
    let status = client.ok("channels.status", json!({ "probe": true })).await;
    assert!(status["ts"].is_u64());
    let order: Vec<_> = status["channelOrder"].as_array().unwrap().iter().collect();
    assert!(
        order.contains(&&json!("telegram")) && order.contains(&&json!("echo")),
        "{status}"
    );
    assert_eq!(status["channelLabels"]["telegram"], "Telegram");
    for part in [
        "channelDetailLabels",
        "channelSystemImages",
        "channels",
        "channelDefaultAccountId",
    ] {
        assert!(status[part].is_object(), "{part}: {status}");
    }
    let account = &status["channelAccounts"]["telegram"][0];
    assert_eq!(account["accountId"], "default");
    assert_eq!(
        (&account["configured"], &account["running"]),
        (&json!(true), &json!(true))
    );
    assert!(account["lastStartAt"].is_u64(), "{account}");
    assert_eq!(account["lastError"], Value::Null);
    assert!(!status.to_string().contains("1001:x"), "the token is shown");
    let error = client.refused("channels.status", json!({ "x": 1 })).await;
    let message = "invalid channels.status params: at root: unexpected property 'x'";
    assert_eq!(error["message"], message);
}

#[tokio::test]
async fn health_is_as_clients_decode_it() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    client.sees_running("echo").await;
    let health = client
        .ok("health", json!({ "timeout": 15_000, "probe": true }))
        .await;
    assert_eq!(health["ok"], true);
    for field in ["ts", "durationMs", "heartbeatSeconds"] {
        assert!(health[field].is_u64(), "{field}: {health}");
    }
    assert_eq!(health["heartbeatSeconds"], 1_800);
    assert_eq!(health["defaultAgentId"], "main");
    let echo = &health["channels"]["echo"];
    assert_eq!(
        (&echo["configured"], &echo["running"]),
        (&json!(true), &json!(true)),
        "{echo}"
    );
    assert_eq!(health["channelOrder"], json!(["echo"]));
    assert!(health["channelLabels"]["echo"].is_string());
    let agent = &health["agents"][0];
    assert_eq!(
        (&agent["agentId"], &agent["isDefault"]),
        (&json!("main"), &json!(true))
    );
    assert_eq!(agent["heartbeat"]["everyMs"], 1_800_000);
    assert!(health["sessions"]["count"].is_u64() && health["sessions"]["recent"].is_array());
}

#[tokio::test]
async fn status_tells_less_to_who_may_not_administer() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.operator().await;
    admin
        .ok(
            "chat.send",
            json!({ "sessionKey": "main", "message": "x", "idempotencyKey": "1" }),
        )
        .await;
    admin.event_where("chat", |p| p["state"] == "final").await;
    let full = admin.ok("status", json!({ "unknown": "is ignored" })).await;
    assert!(full["runtimeVersion"].is_string());
    assert!(full["channelSummary"].is_array() && full["queuedSystemEvents"].is_array());
    assert_eq!(full["sessions"]["count"], 1);
    assert_eq!(full["sessions"]["recent"][0]["key"], "agent:main:main");
    assert_eq!(full["heartbeat"]["defaultAgentId"], "main");

    let part = gateway
        .operator_with(&["operator.read"])
        .await
        .ok("status", json!({}))
        .await;
    assert_eq!(part["sessions"]["count"], 1);
    assert_eq!(part["sessions"]["paths"], json!([]));
    assert_eq!(part["sessions"]["recent"], json!([]));
    assert_eq!(
        part["sessions"]["defaults"],
        json!({ "model": null, "contextTokens": null })
    );
    assert_eq!(part["sessions"]["byAgent"][0]["path"], "[redacted]");
    assert_eq!(part["sessions"]["byAgent"][0]["recent"], json!([]));
}

#[tokio::test]
async fn there_was_no_heartbeat_yet() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    let frame = client.call("last-heartbeat", json!({})).await;
    assert_eq!(
        (&frame["ok"], &frame["payload"]),
        (&json!(true), &Value::Null),
        "{frame}"
    );
    assert!(
        frame.as_object().unwrap().contains_key("payload"),
        "null is sent: {frame}"
    );
}

/// Waits until one account of telegram rests and the other one runs.
async fn rests(gateway: &Gateway, one: &str, other: &str) {
    support::wait::until("the account to rest", || async {
        let mut client = gateway.operator().await;
        let status = client.ok("channels.status", json!({})).await;
        let accounts = status["channelAccounts"]["telegram"].clone();
        let running = |id: &str| {
            let mut all = accounts.as_array().unwrap().iter();
            all.any(|account| account["accountId"] == id && account["running"] == true)
        };
        (running(other) && !running(one)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn logging_out() {
    let api = BotApi::start().await;
    let bots = ["1001:x", "1002:y"].map(|token| api.add_bot(token, "some_bot"));
    let gateway = Setup::new()
        .plugins(&["echo", "telegram"])
        .config(
            "/channels/telegram",
            json!({
                "apiRoot": api.root(),
                "accounts": { "home": { "botToken": "1001:x" }, "work": { "botToken": "1002:y" } },
            }),
        )
        .start()
        .await;
    for bot in &bots {
        bot.wait_calls("getUpdates", 1).await;
    }
    let mut client = gateway.operator().await;
    let params = json!({ "channel": "telegram", "accountId": "work" });
    let done = client.ok("channels.logout", params.clone()).await;
    assert_eq!(
        done,
        json!({ "channel": "telegram", "accountId": "work", "cleared": true, "envToken": false,
            "loggedOut": true })
    );
    let file = std::fs::read_to_string(gateway.config_file()).unwrap();
    assert!(
        !file.contains("1002:y") && file.contains("1001:x"),
        "{file}"
    );
    // The other one goes on; this one rests.
    rests(&gateway, "work", "home").await;
    let again = client.ok("channels.logout", params).await;
    assert_eq!(
        (&again["cleared"], &again["loggedOut"]),
        (&json!(false), &json!(true))
    );
    for (params, text) in [
        (
            json!({ "channel": "nope" }),
            "invalid channels.logout channel",
        ),
        (
            json!({ "channel": "echo" }),
            "channel echo does not support logout",
        ),
        (
            json!({ "channel": "telegram", "accountId": "zzz" }),
            "unknown account \"zzz\" of channel telegram",
        ),
    ] {
        let refused = client.refused("channels.logout", params).await;
        assert_eq!(
            refused,
            json!({ "code": "INVALID_REQUEST", "message": text })
        );
    }
}
