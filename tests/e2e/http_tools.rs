//! `POST /tools/invoke`: tools without a model, as far as policy and `gateway.tools` allow.

use serde_json::{Value, json};
use support::gateway::TOKEN;
use support::http::{self, Answer};
use support::{Gateway, Setup};

async fn invoke(gateway: &Gateway, body: Value) -> Answer {
    let bearer = format!("Authorization: Bearer {TOKEN}");
    http::post(gateway.port(), "/tools/invoke", &[&bearer], &body)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_tool_is_called_and_its_answer_told() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    client.sees_running("echo").await;
    let args = json!({ "channel": "echo", "target": "ann", "message": "lunch?" });
    let body = json!({ "tool": "message", "action": "send", "args": args });
    let answer = invoke(&gateway, body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let said = answer.json();
    assert_eq!(said["ok"], true);
    let text = said["result"]["content"][0]["text"].as_str().unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(text).unwrap(),
        said["result"]["details"]
    );
    assert_eq!(said["result"]["details"]["to"], "ann");
    let status = client.ok("channels.status", json!({})).await;
    let account = &status["channelAccounts"]["echo"][0];
    assert!(account["lastOutboundAt"].is_u64(), "{account}");
}

#[tokio::test]
async fn refusals_are_as_recorded() {
    let gateway = Setup::new()
        .config("/tools/profile", json!("full"))
        .config("/gateway/tools/deny", json!(["sessions_history"]))
        .start()
        .await;
    let unknown = |name: &str| {
        let text = format!("Tool not available: {name}");
        json!({ "ok": false, "error": { "type": "not_found", "message": text } })
    };
    for name in ["nope", "sessions_send", "cron", "exec", "sessions_history"] {
        let answer = invoke(&gateway, json!({ "tool": name })).await;
        assert_eq!(
            (answer.status, answer.json()),
            (404, unknown(name)),
            "{name}"
        );
    }
    for (body, text) in [
        (json!({}), "tools.invoke requires body.tool"),
        (
            json!({ "tool": "message", "args": 5 }),
            "tools.invoke body.args must be an object",
        ),
        (
            json!({ "tool": "message", "sessionKey": "agent:x" }),
            "malformed session key \"agent:x\"",
        ),
    ] {
        let answer = invoke(&gateway, body).await;
        let error = json!({ "message": text, "type": "invalid_request_error" });
        assert_eq!(
            (answer.status, answer.json()),
            (400, json!({ "error": error }))
        );
    }
    let answer = invoke(
        &gateway,
        json!({ "tool": "message", "args": { "message": "x" } }),
    )
    .await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["type"], "tool_error");
    // What is allowed at the door is there, and its own rules hold.
    let text = gateway.edit_config("/gateway/tools/allow", json!(["cron"]));
    assert!(text.contains("cron"));
    let mut client = gateway.operator().await;
    support::wait::until("the change to be in force", || async {
        let listed = invoke(&gateway, json!({ "tool": "cron", "action": "list" })).await;
        (listed.status == 200).then_some(())
    })
    .await;
    client.ok("health", json!({})).await;
}
