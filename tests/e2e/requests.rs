//! After hello-ok: frames that are none, authorisation, limits. The table follows the wire
//! document's section on the time after hello-ok.

use serde_json::json;
use support::{Close, Gateway, Login};

const FRAME_BYTES_MAX: usize = 26_214_400;

/// After hello-ok nothing a client can say by mistake ends the connection.
#[tokio::test]
async fn after_hello_mistakes_are_answered_and_the_connection_stays() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    client.send_text("garbage").await;
    client.send_binary([0xff]).await;
    for (frame, id, errors) in [
        (
            r#"{"type":"req","id":7,"method":"health"}"#,
            json!(7),
            "at /id: must be string",
        ),
        (
            r#"{"type":"req","id":"","method":"health"}"#,
            json!(""),
            "at /id: must NOT have fewer than 1 characters",
        ),
        (
            r#"{"type":"req","id":"x","method":"health","foo":1}"#,
            json!("x"),
            "at root: unexpected property 'foo'",
        ),
        (
            r#"{"type":"req","id":"y"}"#,
            json!("y"),
            "must have required property 'method'",
        ),
        (
            r#"{"type":"req","id":null,"method":"m"}"#,
            json!("invalid"),
            "at /id: must be string",
        ),
        ("[]", json!("invalid"), "must be object"),
    ] {
        client.send_text(frame).await;
        let answer = client.find(frame, |answer| answer["type"] == "res").await;
        assert_eq!(answer["id"], id, "{answer}");
        assert_eq!(answer["error"]["code"], "INVALID_REQUEST");
        assert_eq!(
            answer["error"]["message"],
            format!("invalid request frame: {errors}")
        );
    }
    client.ok("health", json!({})).await;
}

/// Requests that are frames, and wrong.
#[tokio::test]
async fn wrong_requests_are_refused_in_the_wires_words() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    for (method, params, message) in [
        (
            "connect",
            json!({}),
            "connect is only valid as the first request",
        ),
        ("bogus.method", json!({}), "unknown method: bogus.method"),
        (
            "device.pair.list",
            json!({ "x": 1 }),
            "invalid device.pair.list params: at root: unexpected property 'x'",
        ),
        (
            "device.pair.approve",
            json!([]),
            "invalid device.pair.approve params: must be object",
        ),
        (
            "device.pair.approve",
            json!({ "requestId": "", "x": 1 }),
            "invalid device.pair.approve params: at root: unexpected property 'x'; at /requestId: must NOT have fewer than 1 characters",
        ),
    ] {
        let error = client.refused(method, params).await;
        assert_eq!(
            error,
            json!({ "code": "INVALID_REQUEST", "message": message })
        );
    }
    client.ok("health", json!({})).await;
}

#[tokio::test]
async fn params_may_be_absent_or_null_and_ids_may_repeat() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    for frame in [
        r#"{"type":"req","id":"same","method":"device.pair.list"}"#,
        r#"{"type":"req","id":"same","method":"device.pair.list","params":null}"#,
    ] {
        client.send_text(frame).await;
    }
    for _ in 0..2 {
        assert_eq!(client.response("same").await["ok"], true);
    }
}

#[tokio::test]
async fn without_admin_the_scope_is_named_first() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator_with(&["operator.read"]).await;
    for (method, scope) in [
        ("connect", "operator.admin"),
        ("bogus.method", "operator.admin"),
        ("chat.send", "operator.write"),
        ("device.pair.list", "operator.pairing"),
        ("system-event", "operator.admin"),
        ("config.set", "operator.admin"),
        ("exec.approvals.get", "operator.admin"),
    ] {
        let error = client.refused(method, json!({})).await;
        assert_eq!(
            error["message"],
            format!("missing scope: {scope}"),
            "{method}"
        );
        assert_eq!(error["code"], "INVALID_REQUEST");
    }
    // Writing includes reading.
    let mut writer = gateway.operator_with(&["operator.write"]).await;
    writer.ok("status", json!({})).await;
}

#[tokio::test]
async fn a_node_may_ask_for_health_and_is_cut_off_when_it_insists_on_more() {
    let gateway = Gateway::start().await;
    let mut node = gateway.connect(&Login::fresh().node()).await;
    node.ok("health", json!({})).await;
    for _ in 0..9 {
        let error = node.refused("status", json!({})).await;
        assert_eq!(error["message"], "unauthorized role: node");
    }
    // Another answer in between starts the count again.
    node.ok("health", json!({})).await;
    for _ in 0..11 {
        let error = node.refused("no.such.method", json!({})).await;
        assert_eq!(error["message"], "unauthorized role: node");
    }
    assert_eq!(
        node.closed().await,
        Close::new(1008, "repeated unauthorized calls")
    );
}

#[tokio::test]
async fn an_operator_may_not_call_what_is_for_nodes() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    let error = client.refused("node.event", json!({})).await;
    assert_eq!(error["message"], "unauthorized role: operator");
}

#[tokio::test]
async fn after_hello_a_frame_has_at_most_25_mib() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    client.send_text("x".repeat(FRAME_BYTES_MAX)).await;
    client.ok("health", json!({})).await;
    client.send_text("x".repeat(FRAME_BYTES_MAX + 1)).await;
    assert_eq!(client.closed().await, Close::new(1009, ""));
}
