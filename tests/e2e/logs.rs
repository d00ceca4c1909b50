//! `logs.tail` and `openclaw logs`: the gateway's own log, in the shape that clients know.

use serde_json::{Value, json};
use support::Gateway;
use support::cli::run;
use support::gateway::TOKEN;
use support::wait::until;

#[tokio::test]
async fn the_log_is_read_on() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator_with(&["operator.read"]).await;
    let tail = until("the log to say ready", || async {
        let mut client = gateway.operator_with(&["operator.read"]).await;
        let tail = client.ok("logs.tail", json!({})).await;
        let ready = |line: &Value| line.as_str().unwrap().contains("gateway ready");
        tail["lines"]
            .as_array()
            .unwrap()
            .iter()
            .any(ready)
            .then_some(tail)
    })
    .await;
    assert_eq!(
        (&tail["truncated"], &tail["reset"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(tail["cursor"], tail["size"]);
    let file = tail["file"].as_str().unwrap();
    assert!(file.ends_with("/logs/gateway.log"), "{file}");
    for line in tail["lines"].as_array().unwrap() {
        let line: Value = serde_json::from_str(line.as_str().unwrap()).unwrap();
        let context: Value = serde_json::from_str(line["0"].as_str().unwrap()).unwrap();
        assert!(context["subsystem"].is_string(), "{line}");
        assert!(line["1"].is_string() && line["time"].is_string(), "{line}");
        assert!(line["_meta"]["logLevelName"].is_string(), "{line}");
        assert!(!line.to_string().contains(TOKEN), "{line}");
    }
    let one = client.ok("logs.tail", json!({ "limit": 1 })).await;
    assert_eq!(one["lines"].as_array().unwrap().len(), 1);
    let on = client
        .ok("logs.tail", json!({ "cursor": one["cursor"] }))
        .await;
    assert_eq!(
        (&on["reset"], &on["truncated"]),
        (&json!(false), &json!(false))
    );
    let beyond = client
        .ok("logs.tail", json!({ "cursor": 1_u64 << 40, "limit": 1 }))
        .await;
    assert_eq!(beyond["reset"], true);
    for (params, refusal) in [
        (json!({ "limit": 0 }), "at /limit: must be >= 1"),
        (
            json!({ "maxBytes": 1_000_001 }),
            "at /maxBytes: must be <= 1000000",
        ),
    ] {
        let error = client.refused("logs.tail", params).await;
        assert_eq!(
            error["message"],
            format!("invalid logs.tail params: {refusal}")
        );
    }
}

#[tokio::test]
async fn the_command_line() {
    let gateway = Gateway::start().await;
    let home = gateway.home();
    let words = run(home, &["logs", "--timeout", "60s"]).await;
    assert_eq!(words.code, Some(0), "{words:?}");
    assert!(
        words.out.contains(" INFO  gateway: gateway starting"),
        "{words:?}"
    );
    let lines = run(
        home,
        &["logs", "--json", "--limit", "3", "--timeout", "60s"],
    )
    .await;
    assert_eq!(lines.out.lines().count(), 3, "{lines:?}");
    for line in lines.out.lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
}
