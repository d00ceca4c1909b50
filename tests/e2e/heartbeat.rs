//! The agent's regular look-around: the `heartbeat` event and what `last-heartbeat` answers.

use serde_json::{Value, json};
use support::llm::{Llm, Reply};
use support::{Gateway, Setup};

async fn house(llm: &Llm, list: &str) -> Gateway {
    Setup::new()
        .config("/models/providers/fake", llm.provider("m1"))
        .config("/agents/defaults/model", json!("fake/m1"))
        .config("/agents/defaults/heartbeat", json!({ "every": "1s" }))
        .state_file("workspace/HEARTBEAT.md", list)
        .start()
        .await
}

/// On a slow machine the first look-around is over before a client watches.
fn repeatedly(llm: &Llm, answer: &str) {
    for _ in 0..20 {
        llm.push(Reply::text(answer));
    }
}

#[tokio::test]
async fn an_alert_reaches_clients_and_is_remembered() {
    let llm = Llm::start().await;
    repeatedly(&llm, "The disk is nearly full.");
    let gateway = house(&llm, "- look at the disk").await;
    let mut client = gateway.operator_with(&["operator.read"]).await;
    let beat = client.event("heartbeat").await["payload"].clone();
    let asked = llm.wait_asked(1).await;
    assert!(
        asked.newest().contains("HEARTBEAT.md"),
        "{}",
        asked.newest()
    );
    assert_eq!(beat["preview"], "The disk is nearly full.", "{beat}");
    assert_eq!(
        (&beat["status"], &beat["reason"], &beat["hasMedia"]),
        (&json!("skipped"), &json!("target-none"), &json!(false)),
        "shown to clients alone: no target is configured"
    );
    assert!(beat["ts"].is_u64() && beat["durationMs"].is_u64(), "{beat}");
    let last = client.ok("last-heartbeat", Value::Null).await;
    assert!(last["ts"].as_u64() >= beat["ts"].as_u64(), "{last}");
}

#[tokio::test]
async fn an_acknowledgement_is_silent() {
    let llm = Llm::start().await;
    repeatedly(&llm, "HEARTBEAT_OK");
    let gateway = house(&llm, "- look at the disk").await;
    let mut client = gateway.operator_with(&["operator.read"]).await;
    let beat = client.event("heartbeat").await["payload"].clone();
    assert_eq!(
        (&beat["status"], &beat["silent"], &beat["indicatorType"]),
        (&json!("ok-token"), &json!(true), &json!("ok")),
        "{beat}"
    );
}

#[tokio::test]
async fn an_empty_list_asks_no_model() {
    let llm = Llm::start().await;
    let gateway = house(&llm, "# Heartbeat\n\n- [ ]\n").await;
    let mut client = gateway.operator_with(&["operator.read"]).await;
    let beat = client.event("heartbeat").await["payload"].clone();
    assert_eq!(
        (&beat["status"], &beat["reason"]),
        (&json!("skipped"), &json!("empty-heartbeat-file"))
    );
    assert!(llm.asked().is_empty());
}

/// A gateway whose agent never looks around by itself.
async fn quiet_house(llm: &Llm, heartbeat: Value) -> Gateway {
    Setup::new()
        .config("/models/providers/fake", llm.provider("m1"))
        .config("/agents/defaults/model", json!("fake/m1"))
        .config("/agents/defaults/heartbeat", heartbeat)
        .start()
        .await
}

#[tokio::test]
async fn a_wake_is_told_to_the_agent_at_once() {
    let llm = Llm::start().await;
    llm.push(Reply::text("HEARTBEAT_OK"));
    let gateway = quiet_house(&llm, json!({ "every": "12h" })).await;
    let mut client = gateway.operator_with(&["operator.write"]).await;
    let params = json!({ "mode": "now", "text": "the kettle boils" });
    assert_eq!(client.ok("wake", params).await, json!({ "ok": true }));
    let beat = client.event("heartbeat").await["payload"].clone();
    let short = json!({ "status": beat["status"], "reason": beat["reason"],
        "silent": beat["silent"], "indicatorType": beat["indicatorType"] });
    assert_eq!(
        short,
        json!({ "status": "ok-token", "reason": "wake", "silent": true, "indicatorType": "ok" })
    );
    assert!(beat["durationMs"].is_u64(), "{beat}");
    let asked = llm.asked();
    let newest = asked[0].newest();
    assert!(newest.contains("] the kettle boils\n"), "{newest}");
    let last = client.ok("last-heartbeat", Value::Null).await;
    assert_eq!(last, beat);
    let events = client.settle().await;
    assert!(
        events.iter().all(|frame| frame["event"] != "chat"),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_wake_for_later_waits() {
    let llm = Llm::start().await;
    let gateway = quiet_house(&llm, json!({ "every": "12h" })).await;
    let mut client = gateway.operator().await;
    let params = json!({ "mode": "next-heartbeat", "text": " the post came " });
    assert_eq!(client.ok("wake", params).await, json!({ "ok": true }));
    let blank = json!({ "mode": "now", "text": "  " });
    assert_eq!(client.ok("wake", blank).await, json!({ "ok": false }));
    let status = client.ok("status", Value::Null).await;
    assert_eq!(status["queuedSystemEvents"], json!(["the post came"]));
    assert!(llm.asked().is_empty());
    for (params, refusal) in [
        (
            json!({}),
            "must have required property 'mode'; must have required property 'text'",
        ),
        (
            json!({ "mode": "later", "text": "x" }),
            "at /mode: must be equal to constant; at /mode: must match a schema in anyOf",
        ),
        (
            json!({ "mode": "now", "text": "x", "zzz": 1 }),
            "at root: unexpected property 'zzz'",
        ),
    ] {
        let error = client.refused("wake", params).await;
        assert_eq!(error["message"], format!("invalid wake params: {refusal}"));
    }
}

#[tokio::test]
async fn heartbeats_are_switched_off_and_on() {
    let llm = Llm::start().await;
    let gateway = quiet_house(&llm, json!({ "every": "12h" })).await;
    let mut client = gateway.operator().await;
    for params in [json!({}), json!({ "enabled": "no" }), json!([1])] {
        let error = client.refused("set-heartbeats", params).await;
        assert_eq!(
            error,
            json!({ "code": "INVALID_REQUEST",
                "message": "invalid set-heartbeats params: enabled (boolean) required" })
        );
    }
    let off = client
        .ok("set-heartbeats", json!({ "enabled": false }))
        .await;
    assert_eq!(off, json!({ "ok": true, "enabled": false }));
    let wake = |text: &str| json!({ "mode": "now", "text": text });
    client.ok("wake", wake("first")).await;
    client
        .ok("set-heartbeats", json!({ "enabled": true }))
        .await;
    client.ok("wake", wake("second")).await;
    client.event("heartbeat").await;
    let asked = llm.asked();
    assert_eq!(asked.len(), 1);
    let newest = asked[0].newest();
    assert!(
        newest.contains("] first\n") && newest.contains("] second\n"),
        "{newest}"
    );
}

#[tokio::test]
async fn an_alert_goes_to_its_chat_once() {
    let llm = Llm::start().await;
    llm.push(Reply::text("The disk is full."));
    llm.push(Reply::text("The disk is full."));
    llm.push(Reply::Refuse(400, "no such thing".into(), None));
    let settings = json!({ "every": "12h", "target": "echo", "to": "alice" });
    let gateway = quiet_house(&llm, settings).await;
    gateway
        .account("echo", "echo to run", |a| a["running"] == true)
        .await;
    let mut client = gateway.operator().await;
    let mut outcomes = Vec::new();
    for text in ["one", "two", "three"] {
        client
            .ok("wake", json!({ "mode": "now", "text": text }))
            .await;
        let beat = client.event("heartbeat").await["payload"].clone();
        outcomes.push(json!([
            beat["status"],
            beat["reason"],
            beat["channel"],
            beat["to"]
        ]));
    }
    let expected = [
        json!(["sent", "wake", "echo", "alice"]),
        json!(["skipped", "duplicate", "echo", "alice"]),
    ];
    assert_eq!(outcomes[..2], expected);
    assert_eq!(outcomes[2][0], "failed", "{outcomes:?}");
}
