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
    assert_eq!(beat["indicatorType"], "alert");
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
