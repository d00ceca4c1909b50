//! The handshake: what is let in, what is refused with which words, and how connections end.
//! The table follows the wire document's section on the time before hello-ok.

use serde_json::{Value, json};
use support::client::upgrade;
use support::{Close, Device, Gateway, Login, Setup};

const FRAME_BYTES_BEFORE_HELLO_MAX: usize = 65_536;

#[tokio::test]
async fn hello_ok_tells_what_clients_need() {
    let gateway = Gateway::start().await;
    let device = Device::new();
    let client = gateway.connect(&Login::operator(&device)).await;
    let hello = &client.hello;
    assert_eq!(hello["type"], "hello-ok");
    assert_eq!(hello["protocol"], 3);
    assert_eq!(hello["server"]["connId"].as_str().unwrap().len(), 36);
    assert_eq!(
        hello["policy"],
        json!({ "maxPayload": 26_214_400, "maxBufferedBytes": 52_428_800, "tickIntervalMs": 30_000 })
    );
    let snapshot = &hello["snapshot"];
    assert_eq!(snapshot["authMode"], "token");
    assert_eq!(snapshot["stateDir"], json!(gateway.state_dir()));
    assert_eq!(
        snapshot["configPath"],
        json!(gateway.state_dir().join("openclaw.json"))
    );
    assert_eq!(
        snapshot["sessionDefaults"],
        json!({ "defaultAgentId": "main", "mainKey": "main", "mainSessionKey": "agent:main:main", "scope": "per-sender" })
    );
    assert!(snapshot["uptimeMs"].is_u64());
    assert!(snapshot["stateVersion"]["presence"].as_u64().unwrap() >= 1);
    assert!(snapshot["stateVersion"]["health"].as_u64().unwrap() >= 1);
    assert!(
        snapshot["presence"]
            .as_array()
            .unwrap()
            .iter()
            .all(|entry| entry["ts"].is_u64())
    );
    assert_eq!(hello["auth"]["role"], "operator");
    assert_eq!(hello["auth"]["deviceToken"].as_str().unwrap().len(), 43);
}

/// What was not built is not advertised; what is advertised has a handler.
#[tokio::test]
async fn only_what_works_is_advertised() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    let methods = client.hello["features"]["methods"]
        .as_array()
        .unwrap()
        .clone();
    assert!(methods.iter().any(|m| m == "health") && !methods.iter().any(|m| m == "wizard.start"));
    for method in methods {
        let method = method.as_str().unwrap();
        // A wrong param: a method that exists refuses it or, where the schema is open, answers.
        let frame = client.call(method, json!({ "noSuchParam": true })).await;
        let message = frame["error"]["message"].as_str().unwrap_or_default();
        let unbuilt = message.starts_with("unknown method") || message.contains("is not built");
        assert!(!unbuilt, "{method}: {frame}");
    }
}

/// Not a request frame at all: the gateway closes without an answer.
#[tokio::test]
async fn before_hello_what_is_no_request_is_closed() {
    let gateway = Gateway::start().await;
    let quiet = Close::new(1000, "");
    let invalid = Close::new(1008, "invalid request frame");
    for (text, expected) in [
        ("hello", &quiet),
        ("", &quiet),
        ("{\"type\":", &quiet),
        ("null", &invalid),
        ("[]", &invalid),
        ("7", &invalid),
        (r#"{"type":"event","event":"x"}"#, &invalid),
        (r#"{"type":"req","id":7,"method":"connect"}"#, &invalid),
        (r#"{"type":"req","method":"connect"}"#, &invalid),
        (r#"{"type":"req","id":"","method":"connect"}"#, &invalid),
        (
            r#"{"type":"req","id":"1","method":"connect","extra":1}"#,
            &invalid,
        ),
    ] {
        let mut client = gateway.open().await;
        client.send_text(text).await;
        assert_eq!(&client.closed().await, expected, "after {text:?}");
        assert_eq!(client.take_waiting(), Vec::<Value>::new(), "after {text:?}");

        let mut client = gateway.open().await;
        client.send_binary(text).await;
        assert_eq!(&client.closed().await, expected, "after {text:?} as bytes");
    }
    let mut client = gateway.open().await;
    client.send_binary([0xff, 0xfe, 0x00]).await;
    assert_eq!(client.closed().await, quiet, "after bytes that are no text");
}

/// Sends one request as the first frame; checks the answer and that the close says the same.
async fn refused_first(gateway: &Gateway, method: &str, params: Value, code: u16, message: &str) {
    let mut client = gateway.open().await;
    let error = client.refused(method, params).await;
    assert_eq!(error["code"], "INVALID_REQUEST", "{error}");
    assert_eq!(error["message"], message);
    let cut: String = message.chars().take(120).collect();
    assert_eq!(client.closed().await, Close::new(code, &cut));
}

/// A request that is refused before anything about its sender is looked at.
#[tokio::test]
async fn before_hello_a_wrong_request_is_answered_and_closed() {
    let gateway = Gateway::start().await;
    let reason = "invalid handshake: first request must be connect";
    refused_first(&gateway, "health", json!({}), 1008, reason).await;
    let mut nothing = Login::without_device();
    nothing.params.as_object_mut().unwrap().remove("client");
    let reason = "invalid connect params: must have required property 'client'";
    refused_first(&gateway, "connect", nothing.params, 1008, reason).await;

    let spoon = json!({ "id": "cli", "version": "1", "platform": "x", "mode": "spoon" });
    for (field, value, errors) in [
        ("zzz", json!(1), "at root: unexpected property 'zzz'"),
        (
            "minProtocol",
            json!("3"),
            "at /minProtocol: must be integer",
        ),
        ("minProtocol", json!(0), "at /minProtocol: must be >= 1"),
        (
            "scopes",
            json!([""]),
            "at /scopes/0: must NOT have fewer than 1 characters",
        ),
        ("caps", json!("x"), "at /caps: must be array"),
        (
            "auth",
            json!({ "x": 1 }),
            "at /auth: unexpected property 'x'",
        ),
        (
            "client",
            spoon,
            "at /client/mode: must be equal to constant; at /client/mode: must match a schema in anyOf",
        ),
    ] {
        let params = Login::without_device().set(field, value).params;
        let message = format!("invalid connect params: {errors}");
        refused_first(&gateway, "connect", params, 1008, &message).await;
    }
    for (min, max) in [(4, 9), (1, 2)] {
        let login = Login::without_device().set("minProtocol", json!(min));
        let params = login.set("maxProtocol", json!(max)).params;
        refused_first(&gateway, "connect", params, 1002, "protocol mismatch").await;
    }
    let params = Login::without_device().set("role", json!("admin")).params;
    refused_first(&gateway, "connect", params, 1008, "invalid role").await;
}

#[tokio::test]
async fn integers_may_have_a_point_when_nothing_follows_it() {
    let gateway = Gateway::start().await;
    let mut client = gateway.open().await;
    let login = Login::without_device().set("minProtocol", json!(3.0));
    assert_eq!(client.try_log_in(&login).await["ok"], true);
    let mut client = gateway.open().await;
    let error = client
        .try_log_in(&Login::without_device().set("minProtocol", json!(2.5)))
        .await;
    let expected = "invalid connect params: at /minProtocol: must be integer";
    assert_eq!(error["error"]["message"], expected);
}

#[tokio::test]
async fn before_hello_a_frame_has_at_most_64_kib() {
    let gateway = Gateway::start().await;
    let mut client = gateway.open().await;
    client
        .send_text("x".repeat(FRAME_BYTES_BEFORE_HELLO_MAX + 1))
        .await;
    assert_eq!(client.closed().await, Close::new(1009, ""));

    // One byte less is read, and is a request.
    let mut client = gateway.open().await;
    let frame = r#"{"type":"req","id":"1","method":"health"}"#;
    let padding = " ".repeat(FRAME_BYTES_BEFORE_HELLO_MAX - frame.len());
    client.send_text(format!("{frame}{padding}")).await;
    let reason = "invalid handshake: first request must be connect";
    assert_eq!(client.response("1").await["error"]["message"], reason);
    assert_eq!(client.closed().await, Close::new(1008, reason));
}

/// Frames that arrive during the handshake wait for its end.
#[tokio::test]
async fn requests_behind_connect_are_answered_after_it() {
    let gateway = Gateway::start().await;
    let mut client = gateway.open().await;
    let params = Login::fresh().signed(client.nonce());
    let connect = client.request("connect", params).await;
    let health = client.request("health", json!({})).await;
    let first = client
        .find("an answer", |frame| frame["type"] == "res")
        .await;
    assert_eq!(
        (&first["id"], &first["ok"]),
        (&json!(connect), &json!(true))
    );
    assert_eq!(client.response(&health).await["ok"], true);
}

#[tokio::test]
async fn binary_frames_are_read_like_text() {
    let gateway = Gateway::start().await;
    let mut client = gateway.open().await;
    let params = Login::fresh().signed(client.nonce());
    let frame = json!({ "type": "req", "id": "b1", "method": "connect", "params": params });
    client.send_binary(frame.to_string()).await;
    assert_eq!(client.response("b1").await["payload"]["type"], "hello-ok");
    client
        .send_binary(r#"{"type":"req","id":"b2","method":"health"}"#)
        .await;
    assert_eq!(client.response("b2").await["ok"], true);
}

#[tokio::test]
async fn any_path_is_the_socket_and_pings_are_answered() {
    let gateway = Gateway::start().await;
    for path in ["/", "/gateway", "/a/b?c=d"] {
        let mut client = support::Client::open_with(gateway.port(), path, &[]).await;
        client.log_in(&Login::fresh()).await;
        client.ping(b"are you there").await;
    }
}

#[tokio::test]
async fn no_extension_and_no_subprotocol_is_agreed() {
    let gateway = Gateway::start().await;
    let offer = [(
        "sec-websocket-extensions",
        "permessage-deflate; client_max_window_bits",
    )];
    let (_socket, answer) = upgrade(gateway.port(), "/", &offer).await.unwrap();
    assert!(!answer.contains_key("sec-websocket-extensions"));
    assert!(!answer.contains_key("sec-websocket-protocol"));
}

#[tokio::test]
async fn without_a_device_all_scopes_are_gone() {
    let gateway = Gateway::start().await;
    let mut client = gateway.connect(&Login::without_device()).await;
    assert!(
        client
            .hello
            .get("auth")
            .is_none_or(|auth| auth.get("deviceToken").is_none())
    );
    client.ok("health", json!({})).await;
    let error = client.refused("status", json!({})).await;
    assert_eq!(
        error,
        json!({ "code": "INVALID_REQUEST", "message": "missing scope: operator.read" })
    );
}

#[tokio::test]
async fn both_protocol_numbers_of_a_range_are_looked_at() {
    let gateway = Gateway::start().await;
    let login = Login::fresh()
        .set("minProtocol", json!(1))
        .set("maxProtocol", json!(9));
    let client = gateway.connect(&login).await;
    assert_eq!(client.hello["protocol"], 3);
    let mut client = gateway.open().await;
    let newer = Login::fresh()
        .set("minProtocol", json!(4))
        .set("maxProtocol", json!(4));
    let error = client.try_log_in(&newer).await["error"].clone();
    assert_eq!(error["details"]["expectedProtocol"], 3);
}

#[tokio::test]
async fn a_probe_of_protocol_4_is_told_which_scope_it_lacks() {
    let gateway = Gateway::start().await;
    let probe = Login::without_device()
        .client("cli", "probe")
        .set("maxProtocol", json!(4));
    let mut client = gateway.connect(&probe).await;
    assert_eq!(client.hello["protocol"], 4);
    let error = client.refused("status", json!({})).await;
    assert_eq!(
        error,
        json!({
            "code": "FORBIDDEN",
            "message": "missing scope: operator.read",
            "details": {
                "code": "MISSING_SCOPE",
                "missingScope": "operator.read",
                "requiredScopes": ["operator.read"],
            },
        })
    );
}

#[tokio::test]
async fn the_probes_answer() {
    let gateway = Setup::new().start().await;
    let live = support::http::get(gateway.port(), "/healthz", &[])
        .await
        .unwrap();
    assert_eq!(
        (live.status, live.body.as_str()),
        (200, r#"{"ok":true,"status":"live"}"#)
    );
    assert!(
        live.head.contains("cache-control: no-store"),
        "{}",
        live.head
    );
    assert!(
        live.head.contains("x-content-type-options: nosniff"),
        "{}",
        live.head
    );
    let body = support::wait::until("a green /readyz", || async {
        let ready = support::http::get(gateway.port(), "/readyz", &[])
            .await
            .ok()?;
        let body: Value = serde_json::from_str(&ready.body).unwrap();
        (ready.status == 200 && body["failing"] == json!([])).then_some(body)
    })
    .await;
    assert!(body["ready"] == true && body["uptimeMs"].is_u64(), "{body}");
    let wrong = support::http::request(gateway.port(), "POST", "/healthz", &[])
        .await
        .unwrap();
    assert_eq!(wrong.status, 405);
    assert!(wrong.head.contains("allow: get, head"), "{}", wrong.head);
    let nowhere = support::http::get(gateway.port(), "/nowhere", &[])
        .await
        .unwrap();
    assert_eq!(nowhere.status, 404);
    // From behind a proxy only the one word.
    let far = ["X-Forwarded-For: 203.0.113.9"];
    let ready = support::http::get(gateway.port(), "/readyz", &far)
        .await
        .unwrap();
    assert_eq!(ready.body, r#"{"ready":true}"#);
}
