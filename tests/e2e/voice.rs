//! `voicewake.*`, `talk.*`, and memory search, which is not there and says so.

use serde_json::{Value, json};
use support::{Client, Gateway, Login, Setup};

#[tokio::test]
async fn wake_words_are_shared_and_kept() {
    let mut gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    let mut other = gateway.operator_with(&["operator.read"]).await;
    let mut without = gateway.operator_with(&[]).await;
    let defaults = json!({ "triggers": ["openclaw", "claude", "computer"] });
    assert_eq!(client.ok("voicewake.get", json!({})).await, defaults);
    let given = json!({ "triggers": ["hey claw", " ", "x".repeat(80), 7] });
    let taken = json!({ "triggers": ["hey claw", "x".repeat(64)] });
    assert_eq!(client.ok("voicewake.set", given).await, taken);
    assert_eq!(other.event("voicewake.changed").await["payload"], taken);
    let seen = without.settle().await;
    assert!(
        seen.iter()
            .all(|frame| frame["event"] != "voicewake.changed"),
        "{seen:?}"
    );
    gateway.crash().await;
    gateway.restart().await;
    let mut client = gateway.operator().await;
    assert_eq!(client.ok("voicewake.get", json!({})).await, taken);
    let many: Vec<_> = (0..40).map(|n| n.to_string()).collect();
    let some = client
        .ok("voicewake.set", json!({ "triggers": many }))
        .await;
    assert_eq!(some["triggers"].as_array().unwrap().len(), 32);
    assert_eq!(
        client.ok("voicewake.set", json!({ "triggers": [] })).await,
        defaults
    );
    for params in [json!({}), json!({ "triggers": "x" })] {
        let error = client.refused("voicewake.set", params).await;
        assert_eq!(
            error["message"],
            "voicewake.set requires triggers: string[]"
        );
    }
}

#[tokio::test]
async fn talk_settings_without_keys() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    assert_eq!(
        client.ok("talk.config", json!({})).await,
        json!({ "config": {} })
    );
    let gateway = Setup::new()
        .config("/talk", json!({ "voiceId": "v", "apiKey": "xi-of-tests" }))
        .config("/ui/seamColor", json!("#FF4500"))
        .config("/session/mainKey", json!("home"))
        .start()
        .await;
    let mut reader = gateway.operator_with(&["operator.read"]).await;
    let shown = json!({ "config": {
        "talk": { "voiceId": "v", "apiKey": "__OPENCLAW_REDACTED__" },
        "session": { "mainKey": "home" }, "ui": { "seamColor": "#FF4500" } } });
    assert_eq!(reader.ok("talk.config", json!({})).await, shown);
    let secrets = json!({ "includeSecrets": true });
    let error = reader.refused("talk.config", secrets.clone()).await;
    assert_eq!(
        error,
        json!({ "code": "INVALID_REQUEST", "message": "missing scope: operator.talk.secrets" })
    );
    let scopes = ["operator.read", "operator.talk.secrets"];
    let mut phone = gateway.operator_with(&scopes).await;
    let whole = phone.ok("talk.config", secrets).await;
    assert_eq!(whole["config"]["talk"]["apiKey"], "xi-of-tests");
}

#[tokio::test]
async fn talking_is_told_to_everybody() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator_with(&["operator.write"]).await;
    let params = json!({ "enabled": true, "phase": "listening" });
    let mode = client.ok("talk.mode", params).await;
    assert_eq!(
        mode,
        json!({ "enabled": true, "phase": "listening", "ts": mode["ts"].as_u64().unwrap() })
    );
    assert_eq!(client.event("talk.mode").await["payload"], mode);
    let off = client.ok("talk.mode", json!({ "enabled": false })).await;
    assert_eq!(off["phase"], Value::Null);
    let login = Login::fresh().client("webchat", "webchat");
    let origin = format!("http://127.0.0.1:{}", gateway.port());
    let mut page = Client::open_with(gateway.port(), "/", &[("origin", &origin)]).await;
    page.log_in(&login).await;
    let error = page.refused("talk.mode", json!({ "enabled": true })).await;
    assert_eq!(
        error,
        json!({ "code": "UNAVAILABLE", "message": "talk disabled: no connected iOS/Android nodes" })
    );
}

#[tokio::test]
async fn memory_search_is_not_there() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator_with(&["operator.read"]).await;
    assert_eq!(
        client.ok("doctor.memory.status", json!({})).await,
        json!({ "agentId": "main",
            "embedding": { "ok": false, "error": "memory search unavailable" } })
    );
}
