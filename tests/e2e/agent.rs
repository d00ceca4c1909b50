//! `agent`, `agent.wait` and what tells about agents and models.

use serde_json::{Value, json};
use support::{Gateway, Setup};

fn ask(key: &str, message: &str) -> Value {
    json!({ "sessionKey": "main", "message": message, "idempotencyKey": key })
}

#[tokio::test]
async fn a_run_is_accepted_streamed_and_answered() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator_with(&["operator.write"]).await;
    let mut other = gateway.operator_with(&["operator.read"]).await;
    let id = client
        .request("agent", ask("a1", "hello there, how are you today"))
        .await;
    let accepted = client.response(&id).await;
    assert_eq!(accepted["ok"], true, "{accepted}");
    assert_eq!(accepted["payload"]["runId"], "a1");
    assert_eq!(accepted["payload"]["status"], "accepted");
    assert!(accepted["payload"]["acceptedAt"].is_u64());
    let done = client.response(&id).await["payload"].clone();
    assert_eq!(
        (&done["runId"], &done["status"], &done["summary"]),
        (&json!("a1"), &json!("ok"), &json!("completed"))
    );
    let said = done["result"]["payloads"][0]["text"].as_str().unwrap();
    assert!(said.contains("hello there, how are you today"), "{done}");
    assert_eq!(done["result"]["payloads"][0]["mediaUrl"], Value::Null);
    let meta = &done["result"]["meta"];
    assert!(meta["durationMs"].is_u64(), "{meta}");
    assert_eq!(meta["aborted"], false);
    assert!(meta["agentMeta"]["sessionId"].is_string());

    for watcher in [&mut client, &mut other] {
        let frames = watcher.settle().await;
        let of_run = |name: &str| -> Vec<Value> {
            let frames = frames.iter().filter(|f| f["event"] == name);
            frames
                .map(|f| f["payload"].clone())
                .filter(|p| p["runId"] == "a1")
                .collect()
        };
        let agent = of_run("agent");
        let numbers: Vec<_> = agent.iter().map(|p| p["seq"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
        assert_eq!(agent[0]["data"]["phase"], "start");
        assert_eq!(agent.last().unwrap()["data"]["phase"], "end");
        assert!(
            agent
                .iter()
                .all(|p| p["sessionKey"] == "agent:main:main" && p["ts"].is_u64())
        );
        streamed(&agent, said);
        let chat = of_run("chat");
        let (end, deltas) = chat.split_last().unwrap();
        assert_eq!(end["state"], "final");
        assert_eq!(end["message"]["content"][0]["text"], json!(said));
        assert!(
            !deltas.is_empty() && deltas.iter().all(|p| p["state"] == "delta"),
            "{chat:?}"
        );
        for delta in deltas {
            let text = delta["message"]["content"][0]["text"].as_str().unwrap();
            assert!(
                said.starts_with(text),
                "a delta is the whole text so far: {text:?}"
            );
        }
    }
}

/// Each assistant event carries the whole text so far and what is new in it.
fn streamed(agent: &[Value], said: &str) {
    let mut text = String::new();
    for event in agent.iter().filter(|p| p["stream"] == "assistant") {
        text.push_str(event["data"]["delta"].as_str().unwrap());
        assert_eq!(event["data"]["text"], json!(text));
    }
    assert_eq!(text, said);
}

#[tokio::test]
async fn the_same_key_is_one_run() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    let id = client.request("agent", ask("same", "once")).await;
    client.response(&id).await;
    let done = client.response(&id).await["payload"].clone();
    // Another client, another device: the stored answer, at once and alone.
    let mut other = gateway.operator().await;
    assert_eq!(other.ok("agent", ask("same", "twice")).await, done);
    let history = other
        .ok("chat.history", json!({ "sessionKey": "main" }))
        .await;
    assert_eq!(
        history["messages"].as_array().unwrap().len(),
        2,
        "{history}"
    );
}

#[tokio::test]
async fn refusals_come_instead_of_accepted() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    for (params, message) in [
        (
            json!({ "foo": 1 }),
            "must have required property 'message'; must have required property 'idempotencyKey'; at root: unexpected property 'foo'",
        ),
        (
            json!({ "message": "x", "idempotencyKey": "1", "agentId": "zzz" }),
            "unknown agent id \"zzz\"",
        ),
        (
            json!({ "message": "x", "idempotencyKey": "2", "agentId": "main", "sessionKey": "agent:other:main" }),
            "agent \"main\" does not match session key agent \"other\"",
        ),
        (
            json!({ "message": "x", "idempotencyKey": "3", "sessionKey": "main", "channel": "x" }),
            "unknown channel: x",
        ),
    ] {
        let error = client.refused("agent", params).await;
        assert_eq!(error["code"], "INVALID_REQUEST");
        assert_eq!(error["message"], format!("invalid agent params: {message}"));
    }
    // Nowhere to run: accepted first, then a failed answer that carries a payload.
    let id = client
        .request(
            "agent",
            json!({ "message": "x", "idempotencyKey": "nowhere" }),
        )
        .await;
    assert_eq!(client.response(&id).await["payload"]["status"], "accepted");
    let failed = client.response(&id).await;
    assert_eq!(failed["ok"], false);
    assert_eq!(failed["payload"]["status"], "error");
    assert_eq!(failed["error"]["code"], "UNAVAILABLE");
    let message = "Error: Pass --to <E.164>, --session-id, or --agent to choose a session";
    assert_eq!(failed["error"]["message"], message);
}

#[tokio::test]
async fn waiting_for_a_run() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    let id = client.request("agent", ask("w1", "one")).await;
    let live = client.ok("agent.wait", json!({ "runId": "w1" })).await;
    assert_eq!(
        (&live["runId"], &live["status"]),
        (&json!("w1"), &json!("ok")),
        "{live}"
    );
    assert!(live["endedAt"].is_u64());
    client.response(&id).await;
    let later = client
        .ok("agent.wait", json!({ "runId": "w1", "timeoutMs": 1 }))
        .await;
    assert_eq!(later["status"], "ok");
    let unknown = client
        .ok("agent.wait", json!({ "runId": "nope", "timeoutMs": 1 }))
        .await;
    assert_eq!(unknown, json!({ "runId": "nope", "status": "timeout" }));
}

#[tokio::test]
async fn a_run_outlives_its_client() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    let id = client.request("agent", ask("left", "still done")).await;
    client.response(&id).await;
    client.leave().await;
    let mut other = gateway.operator().await;
    let done = other.ok("agent.wait", json!({ "runId": "left" })).await;
    assert_eq!(done["status"], "ok");
    let history = other
        .ok("chat.history", json!({ "sessionKey": "main" }))
        .await;
    assert_eq!(
        history["messages"].as_array().unwrap().len(),
        2,
        "{history}"
    );
}

/// Two answers of `agent`; the payload or error of the last.
async fn last_answer(client: &mut support::Client, params: Value) -> Value {
    let id = client.request("agent", params).await;
    assert_eq!(client.response(&id).await["payload"]["status"], "accepted");
    client.response(&id).await
}

#[tokio::test]
async fn a_session_is_chosen_or_begun_by_its_id() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    let ask = |key: &str, session: &str| json!({ "message": key, "sessionId": session, "idempotencyKey": key });
    for key in ["new one", "same again"] {
        let done = last_answer(&mut client, ask(key, "My-Talk.1")).await;
        let meta = &done["payload"]["result"]["meta"]["agentMeta"];
        assert_eq!(meta["sessionId"], "My-Talk.1", "{done}");
    }
    let params = json!({ "sessionKey": "agent:main:explicit:my-talk.1" });
    let history = client.ok("chat.history", params).await;
    assert_eq!(history["sessionId"], "My-Talk.1");
    assert_eq!(
        history["messages"].as_array().unwrap().len(),
        4,
        "{history}"
    );

    // The id of a session that is there finds it.
    let id = client.request("agent", self::ask("main run", "x")).await;
    client.response(&id).await;
    let done = client.response(&id).await;
    let session = done["payload"]["result"]["meta"]["agentMeta"]["sessionId"].clone();
    last_answer(&mut client, ask("by id", session.as_str().unwrap())).await;
    let history = client
        .ok("chat.history", json!({ "sessionKey": "main" }))
        .await;
    assert_eq!(
        history["messages"].as_array().unwrap().len(),
        4,
        "{history}"
    );

    let failed = last_answer(&mut client, ask("bad", "../x")).await;
    assert_eq!(failed["payload"]["status"], "error");
    assert_eq!(failed["error"]["code"], "UNAVAILABLE");
    assert_eq!(
        failed["error"]["message"],
        "Error: Invalid session ID: ../x"
    );
}

#[tokio::test]
async fn agents_and_their_faces() {
    let agents = json!([
        { "id": "main", "identity": { "name": "Molty", "emoji": "🦞" } },
        { "id": "office", "name": "Office" },
    ]);
    let gateway = Setup::new().config("/agents/list", agents).start().await;
    let mut client = gateway.operator_with(&["operator.read"]).await;
    let list = client.ok("agents.list", json!({})).await;
    assert_eq!(
        (&list["defaultId"], &list["mainKey"], &list["scope"]),
        (&json!("main"), &json!("main"), &json!("per-sender"))
    );
    assert_eq!(list["agents"][0]["identity"]["name"], "Molty");
    assert_eq!(
        list["agents"][1],
        json!({ "id": "office", "name": "Office" })
    );
    let face = client.ok("agent.identity.get", json!({})).await;
    assert_eq!(
        (&face["agentId"], &face["name"], &face["avatar"]),
        (&json!("main"), &json!("Molty"), &json!("🦞"))
    );
    let plain = client
        .ok("agent.identity.get", json!({ "agentId": "office" }))
        .await;
    assert_eq!(plain["agentId"], "office");
    let error = client
        .refused(
            "agent.identity.get",
            json!({ "agentId": "zzz", "sessionKey": "agent:main:main" }),
        )
        .await;
    let message = "invalid agent.identity.get params: agent \"zzz\" does not match session key agent \"main\"";
    assert_eq!(error["message"], message);
}

#[tokio::test]
async fn models_of_the_configuration() {
    let gateway = Setup::new()
        .config(
            "/models/providers/local",
            json!({
                "baseUrl": "http://127.0.0.1:9/v1", "apiKey": "k", "api": "openai-completions",
                "models": [{ "id": "small", "name": "Small", "contextWindow": 8192, "input": ["text"], "reasoning": false }],
            }),
        )
        .start()
        .await;
    let mut client = gateway.operator_with(&["operator.read"]).await;
    let list = client.ok("models.list", json!({})).await;
    let models = list["models"].as_array().unwrap();
    let small = models.iter().find(|model| model["id"] == "small").unwrap();
    assert_eq!(
        (&small["name"], &small["provider"], &small["contextWindow"]),
        (&json!("Small"), &json!("local"), &json!(8192))
    );
    let error = client.refused("models.list", json!({ "x": 1 })).await;
    assert_eq!(
        error["message"],
        "invalid models.list params: at root: unexpected property 'x'"
    );
}
