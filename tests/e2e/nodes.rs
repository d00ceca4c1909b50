//! Nodes: who is listed, what they may be asked for, and every way in which an answer ends.

use serde_json::{Value, json};
use support::cli::run;
use support::llm::{Llm, Reply};
use support::{Client, Device, Gateway, Login, Setup};

/// A node like the recorded one: a command that may never be asked for is among its own.
fn login(device: &Device) -> Login {
    Login::operator(device)
        .node()
        .set("caps", json!(["system"]))
        .set("pathEnv", json!("/usr/bin:/bin"))
        .set("permissions", json!({ "screen.record": false }))
        .set(
            "commands",
            json!([
                "system.run.prepare",
                "system.run",
                " system.which ",
                "camera.snap"
            ]),
        )
}

fn ask(device: &Device, command: &str, timeout_ms: u64) -> Value {
    json!({
        "nodeId": device.id, "command": command, "params": { "bins": ["sh"] },
        "timeoutMs": timeout_ms, "idempotencyKey": "k",
    })
}

/// The next request that a node is sent.
async fn asked(node: &mut Client) -> Value {
    node.event("node.invoke.request").await["payload"].clone()
}

async fn answer(node: &mut Client, request: &Value, more: Value) -> Value {
    let mut params = json!({ "id": request["id"], "nodeId": request["nodeId"] });
    let own = more.as_object().unwrap().clone();
    params.as_object_mut().unwrap().extend(own);
    node.ok("node.invoke.result", params).await
}

#[tokio::test]
async fn a_node_is_listed_while_it_is_here_and_after() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    let device = Device::new();
    let mut node = gateway.connect(&login(&device)).await;
    let words = node.event("voicewake.changed").await;
    assert_eq!(words["payload"]["triggers"][0], "openclaw");
    assert!(words.get("seq").is_none(), "{words}");
    let list = client.ok("node.list", json!({})).await;
    let row = list["nodes"][0].clone();
    assert!(row["connectedAtMs"].is_u64());
    let expected = json!({
        "nodeId": device.id, "platform": "linux", "version": "test-1", "deviceFamily": "Linux",
        "caps": ["system"], "commands": ["system.run", "system.run.prepare", "system.which"],
        "pathEnv": "/usr/bin:/bin", "permissions": { "screen.record": false },
        "connectedAtMs": row["connectedAtMs"], "paired": true, "connected": true,
    });
    assert_eq!(row, expected);
    let mut described = client
        .ok("node.describe", json!({ "nodeId": device.id }))
        .await;
    assert!(described["ts"].take().is_u64());
    described.as_object_mut().unwrap().remove("ts");
    assert_eq!(described, expected);
    node.leave().await;
    client.event_where("presence", |_| true).await;
    let gone = json!({
        "nodeId": device.id, "platform": "linux", "caps": [], "commands": [],
        "paired": true, "connected": false,
    });
    assert_eq!(
        client.ok("node.list", json!({})).await["nodes"],
        json!([gone])
    );
    for (id, words) in [(" ", "nodeId required"), ("nobody", "unknown nodeId")] {
        let error = client
            .refused("node.describe", json!({ "nodeId": id }))
            .await;
        assert_eq!(error["message"], words);
    }
}

#[tokio::test]
async fn answers_in_every_shape() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    let device = Device::new();
    let mut node = gateway.connect(&login(&device)).await;
    let whole = |payload: Value, text: Value| {
        json!({
            "ok": true, "nodeId": device.id, "command": "system.which",
            "payload": payload, "payloadJSON": text,
        })
    };
    for (sent, expected) in [
        (
            json!({ "ok": true, "payloadJSON": "{\"a\":1}" }),
            whole(json!({ "a": 1 }), json!("{\"a\":1}")),
        ),
        (
            json!({ "ok": true, "payloadJSON": "no json" }),
            whole(json!({ "payloadJSON": "no json" }), json!("no json")),
        ),
        (
            json!({ "ok": true, "payloadJSON": null, "error": null, "payload": [1] }),
            whole(json!([1]), Value::Null),
        ),
        (
            json!({ "ok": true, "payloadJSON": { "b": 2 } }),
            whole(json!({ "b": 2 }), Value::Null),
        ),
    ] {
        let id = client
            .request("node.invoke", ask(&device, " system.which ", 5_000))
            .await;
        let request = asked(&mut node).await;
        assert_eq!(request["paramsJSON"], r#"{"bins":["sh"]}"#);
        assert_eq!(request["timeoutMs"], 5_000);
        assert_eq!(request["idempotencyKey"], "k");
        assert_eq!(
            answer(&mut node, &request, sent).await,
            json!({ "ok": true })
        );
        assert_eq!(client.response(&id).await["payload"], expected);
    }
}

#[tokio::test]
async fn a_node_that_says_no() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    let device = Device::new();
    let mut node = gateway.connect(&login(&device)).await;
    for (sent, words, details) in [
        (
            json!({ "ok": false, "error": { "code": "INVALID_REQUEST", "message": "bins required" } }),
            "INVALID_REQUEST: bins required",
            json!({ "nodeError": { "code": "INVALID_REQUEST", "message": "bins required" } }),
        ),
        (
            json!({ "ok": false, "error": { "message": "no" } }),
            "no",
            json!({ "nodeError": { "message": "no" } }),
        ),
        (
            json!({ "ok": false }),
            "node invoke failed",
            json!({ "nodeError": null }),
        ),
    ] {
        let id = client
            .request("node.invoke", ask(&device, "system.which", 5_000))
            .await;
        let request = asked(&mut node).await;
        answer(&mut node, &request, sent).await;
        let error = client.response(&id).await["error"].clone();
        assert_eq!(error["code"], "UNAVAILABLE");
        assert_eq!(
            (&error["message"], &error["details"]),
            (&json!(words), &details)
        );
    }
}

#[tokio::test]
async fn nodes_that_are_late_gone_or_replaced() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    let device = Device::new();
    let mut node = gateway.connect(&login(&device)).await;
    let error = client
        .refused("node.invoke", ask(&device, "system.which", 50))
        .await;
    assert_eq!(error["message"], "TIMEOUT: node invoke timed out");
    assert_eq!(error["details"]["nodeError"]["code"], "TIMEOUT");
    let request = asked(&mut node).await;
    let late = answer(&mut node, &request, json!({ "ok": true })).await;
    assert_eq!(late, json!({ "ok": true, "ignored": true }));
    let other = json!({ "id": request["id"], "nodeId": "other", "ok": true });
    let error = node.refused("node.invoke.result", other).await;
    assert_eq!(error["message"], "nodeId mismatch");

    let id = client
        .request("node.invoke", ask(&device, "system.which", 60_000))
        .await;
    asked(&mut node).await;
    // The newer connection counts; what was asked of the older one ends with it.
    let mut newer = gateway.connect(&login(&device)).await;
    node.leave().await;
    let error = client.response(&id).await["error"].clone();
    assert_eq!(error["message"], "Error: node disconnected (system.which)");
    assert!(error.get("details").is_none());
    let id = client
        .request("node.invoke", ask(&device, "system.which", 60_000))
        .await;
    let request = asked(&mut newer).await;
    answer(&mut newer, &request, json!({ "ok": true, "payload": 1 })).await;
    assert_eq!(client.response(&id).await["payload"]["payload"], 1);
    newer.leave().await;
    client.event("presence").await;
    let error = client
        .refused("node.invoke", ask(&device, "system.which", 50))
        .await;
    assert_eq!(error["message"], "node not connected");
    assert_eq!(error["details"], json!({ "code": "NOT_CONNECTED" }));
}

#[tokio::test]
async fn only_what_is_allowed_and_declared_reaches_a_node() {
    let gateway = Setup::new()
        .config(
            "/gateway/nodes",
            json!({ "allowCommands": ["camera.clip"], "denyCommands": ["browser.proxy"] }),
        )
        .start()
        .await;
    let mut client = gateway.operator().await;
    let (device, mute) = (Device::new(), Device::new());
    let mut node = gateway.connect(&login(&device)).await;
    let _mute = gateway
        .connect(&login(&mute).set("commands", json!(["camera.snap"])))
        .await;
    for (device, command, words, reason) in [
        (
            &device,
            "camera.snap",
            "\"camera.snap\" is not in the allowlist for platform \"linux\"",
            "command not allowlisted",
        ),
        (
            &device,
            "browser.proxy",
            "\"browser.proxy\" is not in the allowlist for platform \"linux\"",
            "command not allowlisted",
        ),
        (
            &device,
            "camera.clip",
            "the node (platform: linux) does not support \"camera.clip\"",
            "command not declared by node",
        ),
        (
            &mute,
            "system.which",
            "the node did not declare any supported commands",
            "node did not declare commands",
        ),
    ] {
        let error = client
            .refused("node.invoke", ask(device, command, 1_000))
            .await;
        assert_eq!(error["code"], "INVALID_REQUEST");
        assert_eq!(
            error["message"],
            format!("node command not allowed: {words}")
        );
        assert_eq!(
            error["details"],
            json!({ "reason": reason, "command": command })
        );
    }
    for (command, end) in [
        ("system.execApprovals.get", "use exec.approvals.node.*"),
        ("  ", "nodeId and command required"),
    ] {
        let error = client
            .refused("node.invoke", ask(&device, command, 1))
            .await;
        assert!(error["message"].as_str().unwrap().ends_with(end), "{error}");
    }
    assert!(
        node.settle()
            .await
            .iter()
            .all(|f| f["event"] != "node.invoke.request")
    );
}

#[tokio::test]
async fn a_run_loses_what_nobody_approved() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    let device = Device::new();
    let mut node = gateway.connect(&login(&device)).await;
    let run = |params: Value| {
        json!({
            "nodeId": device.id, "command": "system.run", "params": params, "idempotencyKey": "r",
        })
    };
    for (params, code) in [
        (
            json!({ "command": ["ls"], "approved": true }),
            "MISSING_RUN_ID",
        ),
        (
            json!({ "command": ["ls"], "approvalDecision": "allow-once", "runId": "x" }),
            "APPROVALS_UNAVAILABLE",
        ),
        (
            json!({ "command": ["rm", "x"], "rawCommand": "ls" }),
            "RAW_COMMAND_MISMATCH",
        ),
    ] {
        let error = client.refused("node.invoke", run(params)).await;
        assert_eq!(error["details"]["code"], code);
    }
    let sent = json!({ "command": ["ls"], "approved": false, "secretField": 1, "cwd": "/" });
    let id = client.request("node.invoke", run(sent)).await;
    let request = asked(&mut node).await;
    let passed: Value = serde_json::from_str(request["paramsJSON"].as_str().unwrap()).unwrap();
    assert_eq!(passed, json!({ "command": ["ls"], "cwd": "/" }));
    assert!(request.get("timeoutMs").is_none());
    answer(&mut node, &request, json!({ "ok": true })).await;
    assert!(client.response(&id).await["ok"] == true);
}

#[tokio::test]
async fn the_command_line_lists_and_asks() {
    let gateway = Gateway::start().await;
    let device = Device::new();
    let mut named = login(&device);
    named.params["client"]["displayName"] = json!("Attic");
    let mut node = gateway.connect(&named).await;
    let nodes = async |words: &[&str]| {
        run(
            gateway.home(),
            &[&["nodes"], words, &["--timeout", "60s"]].concat(),
        )
        .await
    };
    let list = nodes(&["list"]).await;
    assert!(
        list.code == Some(0) && list.out.contains("Attic"),
        "{list:?}"
    );
    let one = nodes(&["describe", &device.id[..8], "--json"]).await;
    assert_eq!(one.json()["nodeId"], json!(device.id));
    let asking = nodes(&[
        "invoke",
        "attic",
        "system.which",
        "--params",
        "{\"bins\":[]}",
    ]);
    let answering = async {
        let request = asked(&mut node).await;
        let payload = json!({ "ok": true, "payload": { "bins": {} } });
        answer(&mut node, &request, payload).await
    };
    let (done, _) = tokio::join!(asking, answering);
    assert!(
        done.code == Some(0) && done.out.contains("bins"),
        "{done:?}"
    );
    let nobody = nodes(&["describe", "nobody"]).await;
    assert!(
        nobody.code == Some(1) && nobody.err.contains("nodes list"),
        "{nobody:?}"
    );
}

#[tokio::test]
async fn a_model_that_may_asks_a_node() {
    let llm = Llm::start().await;
    let gateway = Setup::new()
        .config("/models/providers/fake", llm.provider("m1"))
        .config("/agents/defaults/model", json!("fake/m1"))
        .config("/tools/alsoAllow", json!(["nodes"]))
        .start()
        .await;
    let mut client = gateway.operator().await;
    let device = Device::new();
    let mut named = login(&device);
    named.params["client"]["displayName"] = json!("Attic");
    let mut node = gateway.connect(&named).await;
    let invoke = |command: &str| json!({ "action": "invoke", "node": "attic", "command": command, "params": { "bins": [] } });
    for (arguments, told) in [
        (json!({ "action": "list" }), "\"name\":\"Attic\""),
        (invoke("system.which"), r#"{"bins":{}}"#),
        (invoke("system.run"), "runs no programs"),
        (invoke("camera.snap"), "not in the allowlist"),
    ] {
        llm.forget();
        let asks = arguments["command"] == "system.which";
        llm.push(Reply::call("c1", "nodes", arguments));
        llm.push(Reply::text("done"));
        let key = format!("k-{}", Device::new().id);
        let id = client
            .request(
                "agent",
                json!({ "message": "x", "agentId": "main", "idempotencyKey": key }),
            )
            .await;
        client.response(&id).await;
        if asks {
            let request = asked(&mut node).await;
            answer(
                &mut node,
                &request,
                json!({ "ok": true, "payloadJSON": "{\"bins\":{}}" }),
            )
            .await;
        }
        client.response(&id).await;
        let newest = llm.asked().last().unwrap().newest().to_owned();
        assert!(newest.contains(told), "{newest}");
    }
}
