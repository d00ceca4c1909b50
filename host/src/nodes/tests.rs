//! Asking nodes: one answer, none, several connections of one device.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use serde_json::json;

use super::*;
use crate::hub::{Client, Item};

struct House {
    hub: Hub,
    nodes: Nodes,
}

impl House {
    fn new() -> House {
        let hub = Hub::new();
        let nodes = Nodes::new(Clock::system(), hub.clone());
        House { hub, nodes }
    }

    fn node(&self, device: &str) -> Arc<Client> {
        let mut caller = Caller::for_tests(self.hub.next_id(), "node", &[]);
        caller.device_id = Some(device.into());
        caller.client.platform = "linux".into();
        let client = self.hub.register(Arc::new(caller));
        let claims = Claims {
            commands: [
                "system.which",
                " system.run ",
                "camera.snap",
                "",
                "system.run",
            ]
            .map(str::to_owned)
            .to_vec(),
            ..Claims::default()
        };
        let config = NodesConfig::default();
        self.nodes.joined(&client.caller, claims, &config);
        client
    }

    fn ask(
        &self,
        node_id: &'static str,
        timeout_ms: u64,
    ) -> impl Future<Output = Result<NodeInvokeResultParams, InvokeError>> + use<> {
        let nodes = self.nodes.clone();
        async move {
            let asked = Asked {
                node_id,
                command: "system.which",
                params: Some(&json!({ "bins": ["sh"] })),
                timeout_ms: Some(timeout_ms),
                idempotency_key: None,
            };
            nodes.invoke(asked).await
        }
    }
}

/// The id of the only request that the node was sent.
fn request(client: &Client) -> String {
    let mut items = Vec::new();
    client.queue.take(&mut items);
    let [Item::Event { event, seq: None }] = items.as_slice() else {
        panic!("{items:?}");
    };
    let frame: Value = serde_json::from_str(&event.text(None)).unwrap();
    assert_eq!(frame["payload"]["paramsJSON"], r#"{"bins":["sh"]}"#);
    frame["payload"]["id"].as_str().unwrap().to_owned()
}

fn answer(id: &str, node_id: &str) -> NodeInvokeResultParams {
    serde_json::from_value(json!({ "id": id, "nodeId": node_id, "ok": true })).unwrap()
}

#[tokio::test]
async fn an_answer_reaches_its_asker_once() {
    let house = House::new();
    let (one, two) = (house.node("one"), house.node("two"));
    let asking = tokio::spawn(house.ask("one", 60_000));
    while house.nodes.state().open.is_empty() {
        tokio::task::yield_now().await;
    }
    let id = request(&one);
    let told = |caller: &Caller, node: &str| house.nodes.answered(caller, answer(&id, node));
    assert_eq!(told(&two.caller, "one"), Taken::OtherNode);
    assert_eq!(told(&two.caller, "two"), Taken::Ignored);
    assert_eq!(told(&one.caller, "one"), Taken::Told);
    assert_eq!(told(&one.caller, "one"), Taken::Ignored);
    assert!(asking.await.unwrap().unwrap().ok);
    assert!(house.nodes.state().open.is_empty());
}

#[tokio::test]
async fn a_node_that_is_silent_gone_or_not_there() {
    let house = House::new();
    assert_eq!(
        house.ask("one", 10).await.unwrap_err(),
        InvokeError::NotConnected
    );
    let first = house.node("one");
    assert_eq!(
        house.ask("one", 0).await.unwrap_err(),
        InvokeError::TimedOut
    );
    let late = answer(&request(&first), "one");
    assert_eq!(house.nodes.answered(&first.caller, late), Taken::Ignored);
    let asking = tokio::spawn(house.ask("one", 60_000));
    while house.nodes.state().open.is_empty() {
        tokio::task::yield_now().await;
    }
    // A newer connection takes over; what was asked of the older one ends with that.
    let second = house.node("one");
    house.nodes.left(&first.caller);
    assert_eq!(asking.await.unwrap().unwrap_err(), InvokeError::Left);
    assert!(house.nodes.get("one").is_some());
    house.nodes.left(&second.caller);
    assert!(house.nodes.get("one").is_none());
}

#[test]
fn rows_are_those_here_then_those_known() {
    let house = House::new();
    let _b = house.node("b");
    let known = |id: &str, name: &str| NodeRow {
        node_id: id.into(),
        display_name: Some(name.into()),
        paired: true,
        ..NodeRow::default()
    };
    let rows = house.nodes.list(vec![
        known("a", "Zed"),
        known("c", "amy"),
        known("b", "Bee"),
    ]);
    let shown: Vec<_> = rows
        .iter()
        .map(|row| (row.node_id.as_str(), row.connected))
        .collect();
    assert_eq!(shown, [("b", true), ("c", false), ("a", false)]);
    assert_eq!(rows[0].commands, ["system.run", "system.which"]);
    assert!(rows[0].paired && rows[0].display_name.as_deref() == Some("Bee"));
}
