//! `/mcp`: the tools by the Model Context Protocol, as far as caller, policy and door allow.

use serde_json::{Value, json};
use support::gateway::TOKEN;
use support::http::{self, Answer};
use support::{Device, Gateway, Login, Setup};

const ACCEPT: &str = "Accept: application/json, text/event-stream";

async fn ask(gateway: &Gateway, headers: &[&str], method: &str, params: Value) -> Answer {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let headers = [&[ACCEPT], headers].concat();
    http::post(gateway.port(), "/mcp", &headers, &body)
        .await
        .unwrap()
}

fn names(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let list = answer.json()["result"]["tools"].as_array().unwrap().clone();
    let name = |tool: &Value| tool["name"].as_str().unwrap().to_owned();
    list.iter().map(name).collect()
}

#[tokio::test]
async fn it_is_off_and_closed_by_default() {
    let gateway = Gateway::start().await;
    let own = format!("Authorization: Bearer {TOKEN}");
    assert_eq!(
        ask(&gateway, &[&own], "tools/list", json!({})).await.status,
        404
    );
    let gateway = Setup::new()
        .config("/gateway/mcp/enabled", json!(true))
        .start()
        .await;
    for headers in [&[][..], &["Authorization: Bearer wrong"]] {
        let answer = ask(&gateway, headers, "tools/list", json!({})).await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.json()["error"]["type"], "unauthorized");
    }
    assert!(
        ask(&gateway, &[&own], "tools/list", json!({}))
            .await
            .head
            .contains("nosniff")
    );
    let stream = http::get(gateway.port(), "/mcp", &[&own, ACCEPT])
        .await
        .unwrap();
    assert_eq!(stream.status, 405, "there are no sessions to listen to");
    let large = json!({ "x": "y".repeat(3_000_000) });
    assert_eq!(
        ask(&gateway, &[&own], "tools/list", large).await.status,
        413
    );
    let bad = http::post_text(gateway.port(), "/mcp", &[&own, ACCEPT], "{")
        .await
        .unwrap();
    assert!((400..500).contains(&bad.status), "{bad:?}");
}

#[tokio::test]
async fn each_sees_and_calls_what_it_may() {
    let gateway = Setup::new()
        .config(
            "/gateway/mcp",
            json!({ "enabled": true, "agentId": "beta" }),
        )
        .config("/gateway/tools/allow", json!(["cron"]))
        .config("/tools/alsoAllow", json!(["cron"]))
        .config(
            "/agents/list",
            json!([{ "id": "main", "default": true }, { "id": "beta" }]),
        )
        .start()
        .await;
    let own = format!("Authorization: Bearer {TOKEN}");
    let all = names(&ask(&gateway, &[&own], "tools/list", json!({})).await);
    assert_eq!(
        all,
        ["sessions_list", "sessions_history", "message", "cron"]
    );
    let device = Device::new();
    let login = Login::operator(&device).scopes(&["operator.read"]);
    let client = gateway.connect(&login).await;
    let token = client.hello["auth"]["deviceToken"].as_str().unwrap();
    let token = format!("Authorization: Bearer {token}");
    let id = format!("x-openclaw-device-id: {}", device.id);
    let reader = [id.as_str(), token.as_str()];
    let some = names(&ask(&gateway, &reader, "tools/list", json!({})).await);
    assert_eq!(some, ["sessions_list", "sessions_history"]);
    let call = json!({ "name": "cron", "arguments": { "action": "list" } });
    let denied = ask(&gateway, &reader, "tools/call", call.clone()).await;
    assert_eq!(
        denied.json()["error"]["message"],
        "Tool not available: cron"
    );
    let listed = ask(&gateway, &[&own], "tools/call", call).await;
    let text = listed.json()["result"]["content"][0]["text"].clone();
    assert_eq!(text, "{\"jobs\":[],\"total\":0}");
    // A change counts for the next request.
    gateway.edit_config("/gateway/tools/deny", json!(["message"]));
    support::wait::until("the tool to be gone", || async {
        let left = names(&ask(&gateway, &[&own], "tools/list", json!({})).await);
        (!left.contains(&"message".to_owned())).then_some(())
    })
    .await;
}
