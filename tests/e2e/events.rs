//! Who gets which event, in which order, and what happens to a client that does not read.

use serde_json::{Value, json};
use support::client::upgrade_narrow;
use support::{Gateway, Login, Setup};
use tokio::io::AsyncWriteExt as _;

/// A beacon: the simplest way to make the gateway tell everybody something.
async fn beacon(client: &mut support::Client, text: &str) {
    client.ok("system-event", json!({ "text": text })).await;
}

#[tokio::test]
async fn health_follows_every_connect() {
    let gateway = Gateway::start().await;
    let mut first = gateway.operator().await;
    let own = first.event("health").await;
    assert_eq!(own["payload"]["ok"], true);
    assert!(
        own["stateVersion"]["health"].as_u64().unwrap() >= 1,
        "{own}"
    );
    first.settle().await;
    let before = first.event("health").await["stateVersion"]["health"]
        .as_u64()
        .unwrap();
    let _second = gateway.operator().await;
    let after = first.event_where("health", |_| true).await;
    assert!(after["stateVersion"]["health"].as_u64().unwrap() > before);
}

/// Clients that hear nothing for two ticks leave, so everybody is told, scopes or not.
#[tokio::test]
async fn everybody_hears_the_tick() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.operator().await;
    let mut bare = gateway.connect(&Login::without_device()).await;
    let mut node = gateway.connect(&Login::fresh().node()).await;
    for client in [&mut admin, &mut bare, &mut node] {
        let tick = client.event("tick").await;
        assert!(
            tick["payload"]["ts"].is_u64() && tick["seq"].is_u64(),
            "{tick}"
        );
        assert!(tick.get("stateVersion").is_none(), "{tick}");
    }
}

/// Each connection counts its own events from 1 without a hole, whatever else it may not see.
#[tokio::test]
async fn numbers_have_no_holes() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.operator().await;
    let mut reader = gateway.operator_with(&["operator.read"]).await;
    let mut node = gateway.connect(&Login::fresh().node()).await;
    for round in 0..20 {
        beacon(
            &mut admin,
            &format!("Node: box{round} (10.0.0.{round}) · mode test"),
        )
        .await;
        gateway.operator_with(&["operator.read"]).await;
    }
    for client in [&mut admin, &mut reader, &mut node] {
        let frames = client.settle().await;
        let numbers: Vec<_> = frames
            .iter()
            .filter_map(|frame| frame.get("seq")?.as_u64())
            .collect();
        let expected: Vec<_> = (1..=numbers.len() as u64).collect();
        assert_eq!(numbers, expected, "{frames:#?}");
    }
}

#[tokio::test]
async fn reading_events_need_the_read_scope() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.operator().await;
    let mut reader = gateway.operator_with(&["operator.read"]).await;
    let mut bare = gateway.connect(&Login::without_device()).await;
    let mut node = gateway.connect(&Login::fresh().node()).await;
    beacon(&mut admin, "hello").await;
    for client in [&mut admin, &mut reader] {
        let event = client.event("presence").await;
        assert!(event["payload"]["presence"].is_array());
        assert!(event["stateVersion"]["presence"].as_u64().unwrap() > 1);
    }
    for client in [&mut bare, &mut node] {
        client.event("health").await;
        let frames = client.settle().await;
        assert!(
            frames.iter().all(|frame| frame["event"] != "presence"),
            "{frames:?}"
        );
    }
}

#[tokio::test]
async fn who_is_there() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.operator().await;
    let device = support::Device::new();
    let login = Login::operator(&device).client("gateway-client", "ui");
    let visitor = gateway.connect(&login).await;
    let is_visitor = |entry: &&Value| entry["deviceId"] == device.id.as_str();

    let list = admin.ok("system-presence", json!({})).await;
    let entries = list.as_array().unwrap();
    assert_eq!(
        entries
            .iter()
            .filter(|e| e["mode"] == "gateway" && e["reason"] == "self")
            .count(),
        1
    );
    let there = entries.iter().find(is_visitor).unwrap();
    assert_eq!(there["reason"], "connect");
    assert_eq!(there["host"], "gateway-client");
    assert_eq!(there["mode"], "ui");
    assert_eq!(there["instanceId"], json!(device.id));
    assert!(
        there.get("ip").is_none(),
        "a local visitor has no address: {there}"
    );
    // The command line comes and goes too often to be shown.
    assert!(entries.iter().all(|entry| entry["mode"] != "cli"), "{list}");

    visitor.leave().await;
    let gone = admin.event("presence").await;
    let entries = gone["payload"]["presence"].as_array().unwrap();
    assert_eq!(
        entries.iter().find(is_visitor).unwrap()["reason"],
        "disconnect"
    );
}

#[tokio::test]
async fn a_beacon_fills_its_entry_from_its_text() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.operator().await;
    let text = "Node: studio (10.0.0.7) · app 2026.3.13 · last input 9s ago · mode local · reason periodic";
    beacon(&mut admin, text).await;
    let event = admin.event("presence").await;
    let entries = event["payload"]["presence"].as_array().unwrap();
    let entry = entries
        .iter()
        .find(|entry| entry["host"] == "studio")
        .unwrap();
    assert_eq!(entry["ip"], "10.0.0.7");
    assert_eq!(entry["version"], "2026.3.13");
    assert_eq!(entry["lastInputSeconds"], 9);
    assert_eq!(entry["mode"], "local");
    assert_eq!(entry["reason"], "periodic");
    let error = admin.refused("system-event", json!({ "text": "  " })).await;
    assert_eq!(error["message"], "text required");
}

/// A client that stops reading is let go, and nobody else notices.
#[tokio::test]
async fn a_client_that_does_not_read_is_closed_and_the_others_are_served() {
    let gateway = Setup::new().start().await;
    let mut admin = gateway.operator().await;
    // Connects, and then never reads again; what it asks for fills its queue.
    let mut deaf = upgrade_narrow(gateway.port()).await.unwrap();
    let challenge = futures_util::StreamExt::next(&mut deaf)
        .await
        .unwrap()
        .unwrap();
    let challenge: Value = serde_json::from_str(challenge.to_text().unwrap()).unwrap();
    let nonce = challenge["payload"]["nonce"].as_str().unwrap();
    let login = Login::fresh().client("gateway-client", "ui");
    let connect =
        json!({ "type": "req", "id": "1", "method": "connect", "params": login.signed(nonce) });
    let message = tokio_tungstenite::tungstenite::Message::text(connect.to_string());
    futures_util::SinkExt::send(&mut deaf, message)
        .await
        .unwrap();
    deaf.get_mut().flush().await.unwrap();

    // The ends of chat runs are not droppable, so that the deaf client's queue must overflow.
    admin.ok("sessions.reset", json!({ "key": "main" })).await;
    let params = json!({ "sessionKey": "main", "message": "界".repeat(11_900) });
    for _ in 0..50 {
        let mut asked = Vec::new();
        for _ in 0..48 {
            asked.push(admin.request("chat.inject", params.clone()).await);
        }
        for id in asked {
            assert_eq!(admin.response(&id).await["ok"], true);
        }
        admin.forget("chat");
    }
    let id = login.device.unwrap().id;
    admin
        .event_where("presence", |p| {
            let entries = p["presence"].as_array().unwrap().iter();
            let mut own = entries.filter(|entry| entry["deviceId"] == id.as_str());
            own.any(|entry| entry["reason"] == "disconnect")
        })
        .await;
}
