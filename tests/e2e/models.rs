//! Runs with a model behind them: stopping, queueing, failures, time limits, as clients see them.

use serde_json::{Value, json};
use support::llm::{Door, Llm, Reply};
use support::{Client, Gateway, Setup};

async fn with_model(llm: &Llm) -> Gateway {
    Setup::new()
        .config("/models/providers/fake", llm.provider("m1"))
        .config("/agents/defaults/model", json!("fake/m1"))
        .start()
        .await
}

async fn say(client: &mut Client, key: &str, message: &str) -> Value {
    let params = json!({ "sessionKey": "main", "message": message, "idempotencyKey": key });
    client.ok("chat.send", params).await
}

async fn ended(client: &mut Client, run: &str) -> Value {
    let end = client
        .event_where("chat", |p| p["runId"] == run && p["state"] != "delta")
        .await;
    end["payload"].clone()
}

async fn delta(client: &mut Client, run: &str) {
    client
        .event_where("chat", |p| p["runId"] == run && p["state"] == "delta")
        .await;
}

fn held(first: &str, then: &str) -> (Door, Reply) {
    let door = Door::default();
    (
        door.clone(),
        Reply::Held(vec![first.to_owned()], door, vec![then.to_owned()]),
    )
}

#[tokio::test]
async fn the_model_is_asked_as_configured_and_counted() {
    let llm = Llm::start().await;
    let gateway = with_model(&llm).await;
    let mut client = gateway.operator().await;
    llm.push(Reply::Texts(vec!["Hello".into(), " there.".into()]));
    let ask = json!({ "sessionKey": "main", "message": "hi", "idempotencyKey": "a1" });
    let id = client.request("agent", ask).await;
    client.response(&id).await;
    let done = client.response(&id).await["payload"].clone();
    assert_eq!(
        done["result"]["payloads"],
        json!([{ "text": "Hello there.", "mediaUrl": null }])
    );
    let meta = &done["result"]["meta"];
    assert_eq!(
        (&meta["stopReason"], &meta["aborted"]),
        (&json!("stop"), &json!(false))
    );
    let asked = &meta["agentMeta"];
    assert_eq!(
        (&asked["provider"], &asked["model"]),
        (&json!("fake"), &json!("m1"))
    );
    let usage = json!({ "input": 100, "output": 7, "cacheRead": 20, "total": 127 });
    assert_eq!(
        (&asked["usage"], &asked["promptTokens"]),
        (&usage, &json!(120))
    );
    let asked = llm.wait_asked(1).await;
    assert_eq!(asked.authorization.as_deref(), Some("Bearer sk-of-tests"));
    assert!(asked.newest().ends_with("] hi"), "{}", asked.newest());
    let list = client.ok("sessions.list", json!({})).await;
    let row = &list["sessions"][0];
    assert_eq!(
        (&row["model"], &row["totalTokens"]),
        (&json!("m1"), &json!(120)),
        "{row}"
    );
    assert_eq!(row["contextTokens"], 128_000);
    let models = client.ok("models.list", json!({})).await;
    assert_eq!(models["models"][0]["provider"], "fake");
}

#[tokio::test]
async fn a_run_is_stopped_with_its_partial_text() {
    let llm = Llm::start().await;
    let gateway = with_model(&llm).await;
    let mut client = gateway.operator().await;
    for (key, stop) in [("c1", "chat.abort"), ("c2", "chat.send")] {
        llm.push(Reply::Hang(vec!["word0 word1 ".into()]));
        say(&mut client, key, "go on").await;
        delta(&mut client, key).await;
        // Only the starter or an admin may.
        let mut other = gateway.operator_with(&["operator.write"]).await;
        let refused = other
            .refused("chat.abort", json!({ "sessionKey": "main" }))
            .await;
        assert_eq!(refused["message"], "unauthorized");
        let wrong = json!({ "sessionKey": "agent:main:other", "runId": key });
        let refused = client.refused("chat.abort", wrong).await;
        assert_eq!(refused["message"], "runId does not match sessionKey");
        let params = match stop {
            "chat.abort" => json!({ "sessionKey": "main", "runId": key }),
            _ => json!({ "sessionKey": "main", "message": "/stop", "idempotencyKey": "s" }),
        };
        let answer = client.ok(stop, params).await;
        assert_eq!(
            answer,
            json!({ "ok": true, "aborted": true, "runIds": [key] })
        );
        let end = ended(&mut other, key).await;
        let reason = if stop == "chat.abort" { "rpc" } else { "stop" };
        assert_eq!(
            (&end["state"], &end["stopReason"]),
            (&json!("aborted"), &json!(reason))
        );
        assert_eq!(end["message"]["content"][0]["text"], "word0 word1");
    }
    let history = client
        .ok("chat.history", json!({ "sessionKey": "main" }))
        .await;
    let messages = history["messages"].as_array().unwrap();
    assert_eq!(
        messages.len(),
        4,
        "the partial text is there once: {messages:?}"
    );
    assert_eq!(messages[1]["openclawAbort"]["origin"], "rpc");
    assert_eq!(messages[3]["openclawAbort"]["origin"], "stop-command");
}

#[tokio::test]
async fn messages_during_a_run_are_answered_together_afterwards() {
    let llm = Llm::start().await;
    let gateway = with_model(&llm).await;
    let mut client = gateway.operator().await;
    let (door, reply) = held("one", " two");
    llm.push(reply);
    say(&mut client, "q1", "first").await;
    delta(&mut client, "q1").await;
    let again = say(&mut client, "q1", "first").await;
    assert_eq!(again, json!({ "runId": "q1", "status": "in_flight" }));
    for (key, text) in [("q2", "second"), ("q3", "third")] {
        assert_eq!(say(&mut client, key, text).await["status"], "started");
        let end = ended(&mut client, key).await;
        assert_eq!(
            (&end["state"], &end["message"]),
            (&json!("final"), &Value::Null)
        );
    }
    llm.push(Reply::text("both answered"));
    door.open();
    let end = ended(&mut client, "q1").await;
    assert_eq!(end["message"]["content"][0]["text"], "one two");
    let own = ["q1", "q2", "q3"];
    let end = client
        .event_where("chat", |p| {
            p["state"] == "final" && !own.contains(&p["runId"].as_str().unwrap())
        })
        .await;
    assert_eq!(
        end["payload"]["message"]["content"][0]["text"],
        "both answered"
    );
    let asked = llm.wait_asked(2).await;
    assert!(
        asked
            .newest()
            .contains("Queued #1\nsecond\n\n---\nQueued #2\nthird")
    );
}

#[tokio::test]
async fn a_failing_model_is_told_and_not_hidden() {
    let llm = Llm::start().await;
    let gateway = with_model(&llm).await;
    let mut client = gateway.operator().await;
    llm.push(Reply::Refuse(400, "bench bad request".into(), None));
    say(&mut client, "f1", "x").await;
    let end = ended(&mut client, "f1").await;
    assert_eq!(
        (&end["state"], &end["errorMessage"]),
        (&json!("error"), &json!("HTTP 400: bench bad request"))
    );
    llm.push(Reply::Refuse(429, "slow down".into(), Some(0)));
    llm.push(Reply::text("second try"));
    say(&mut client, "f2", "x").await;
    let end = ended(&mut client, "f2").await;
    assert_eq!(end["message"]["content"][0]["text"], "second try");
    let door = Door::default();
    llm.push(Reply::Cut(vec!["half".into()], door.clone()));
    let ask = json!({ "sessionKey": "main", "message": "x", "idempotencyKey": "f3" });
    let id = client.request("agent", ask).await;
    client.response(&id).await;
    delta(&mut client, "f3").await;
    door.open();
    let done = client.response(&id).await;
    assert_eq!(
        (&done["ok"], &done["payload"]["status"]),
        (&json!(true), &json!("ok"))
    );
    let text = "the model provider ended the answer in the middle";
    assert_eq!(done["payload"]["result"]["payloads"][0]["text"], text);
    // Rubbish is asked for again like any failure before the first text.
    for _ in 0..3 {
        llm.push(Reply::Raw(vec!["data: {broken".into(), String::new()]));
    }
    say(&mut client, "f4", "x").await;
    let end = ended(&mut client, "f4").await;
    assert_eq!(
        end["errorMessage"],
        "the model provider sent an event that can't be read"
    );
    llm.push(Reply::Refuse(401, "bad key sk-of-tests".into(), None));
    say(&mut client, "f5", "x").await;
    let end = ended(&mut client, "f5").await;
    let told = end["errorMessage"].as_str().unwrap();
    assert!(
        told.starts_with("HTTP 401: ") && !told.contains("sk-of-tests"),
        "{told}"
    );
}

#[tokio::test]
async fn a_time_limit_ends_a_run() {
    let llm = Llm::start().await;
    let gateway = with_model(&llm).await;
    let mut client = gateway.operator().await;
    llm.push(Reply::Hang(vec!["word0".into()]));
    let ask = json!({ "sessionKey": "main", "message": "x", "idempotencyKey": "t1", "timeout": 1 });
    let id = client.request("agent", ask).await;
    client.response(&id).await;
    let done = client.response(&id).await["payload"].clone();
    let text = done["result"]["payloads"][0]["text"].as_str().unwrap();
    assert!(
        text.starts_with("Request timed out before a response was generated."),
        "{text}"
    );
    assert_eq!(done["result"]["meta"]["aborted"], true);
    let later = client.ok("agent.wait", json!({ "runId": "t1" })).await;
    assert_eq!(later["status"], "ok");
}

/// The same model over both wires.
fn wires(llm: &Llm) -> [(&'static str, Value); 2] {
    let mut completions = llm.provider("m1");
    completions["models"][0]["reasoning"] = json!(true);
    [
        ("openai-completions", completions),
        ("anthropic-messages", llm.anthropic("m1")),
    ]
}

async fn with_provider(provider: &Value, more: &[(&str, Value)]) -> Gateway {
    let mut setup = Setup::new()
        .config("/models/providers/fake", provider.clone())
        .config("/agents/defaults/model", json!("fake/m1"));
    for (pointer, value) in more {
        setup = setup.config(pointer, value.clone());
    }
    setup.start().await
}

#[tokio::test]
async fn both_wires_stream_count_and_are_stored_alike() {
    let llm = Llm::start().await;
    for (api, provider) in wires(&llm) {
        let gateway = with_provider(&provider, &[]).await;
        let mut client = gateway.operator().await;
        llm.push(Reply::Texts(vec!["Hello".into(), " there.".into()]));
        let ask = json!({ "sessionKey": "main", "message": "hi", "idempotencyKey": "a1" });
        let id = client.request("agent", ask).await;
        client.response(&id).await;
        let result = client.response(&id).await["payload"]["result"].clone();
        assert_eq!(result["payloads"][0]["text"], "Hello there.", "{api}");
        let usage = json!({ "input": 100, "output": 7, "cacheRead": 20, "total": 127 });
        assert_eq!(result["meta"]["agentMeta"]["usage"], usage, "{api}");
        let asked = llm.wait_asked(1).await;
        let key = asked.authorization.or(asked.api_key);
        assert!(key.is_some_and(|key| key.ends_with("sk-of-tests")), "{api}");
        let history = client
            .ok("chat.history", json!({ "sessionKey": "main" }))
            .await;
        let said = &history["messages"][1];
        assert_eq!(
            (&said["api"], &said["stopReason"]),
            (&json!(api), &json!("stop"))
        );
        // A conversation goes on, and stops at once when it is told to.
        llm.push(Reply::Hang(vec!["word0 ".into()]));
        say(&mut client, "c2", "go on").await;
        delta(&mut client, "c2").await;
        let stopped = client
            .ok("chat.abort", json!({ "sessionKey": "main" }))
            .await;
        assert_eq!(stopped["aborted"], true, "{api}");
        llm.forget();
    }
}

#[tokio::test]
async fn both_wires_fail_alike() {
    let llm = Llm::start().await;
    for (api, provider) in wires(&llm) {
        let gateway = with_provider(&provider, &[]).await;
        let mut client = gateway.operator().await;
        llm.push(Reply::Refuse(529, "overloaded".into(), None));
        llm.push(Reply::Refuse(429, "slow down".into(), Some(0)));
        llm.push(Reply::text("third try"));
        say(&mut client, "f1", "x").await;
        let end = ended(&mut client, "f1").await;
        assert_eq!(end["message"]["content"][0]["text"], "third try", "{api}");
        llm.push(Reply::Refuse(400, "bench bad request".into(), None));
        say(&mut client, "f2", "x").await;
        let end = ended(&mut client, "f2").await;
        assert_eq!(end["errorMessage"], "HTTP 400: bench bad request", "{api}");
        llm.push(Reply::Refuse(403, "bad key sk-of-tests".into(), None));
        say(&mut client, "f3", "x").await;
        let end = ended(&mut client, "f3").await;
        let told = end["errorMessage"].as_str().unwrap();
        assert!(
            told.starts_with("HTTP 403: the model provider refused"),
            "{told}"
        );
        let door = Door::default();
        llm.push(Reply::Cut(vec!["half".into()], door.clone()));
        say(&mut client, "f4", "x").await;
        delta(&mut client, "f4").await;
        door.open();
        let end = ended(&mut client, "f4").await;
        let text = "the model provider ended the answer in the middle";
        assert_eq!(end["errorMessage"], text, "{api}");
    }
}

#[tokio::test]
async fn how_long_to_think_is_asked_of_models_that_can() {
    let llm = Llm::start().await;
    let effort = |api: &str, body: &Value| match api {
        "openai-completions" => body["reasoning_effort"].clone(),
        _ => body["thinking"]["budget_tokens"].clone(),
    };
    for (api, provider) in wires(&llm) {
        let more = [("/agents/defaults/thinkingDefault", json!("low"))];
        let gateway = with_provider(&provider, &more).await;
        let mut client = gateway.operator().await;
        let mut levels = Vec::new();
        for (run, thinking, session) in [
            ("t1", None, None),
            ("t2", None, Some("medium")),
            ("t3", Some("high"), None),
            ("t4", Some("off"), None),
        ] {
            if let Some(level) = session {
                let patch = json!({ "key": "main", "thinkingLevel": level });
                client.ok("sessions.patch", patch).await;
            }
            llm.push(Reply::Thought("hm".into(), vec!["so".into()]));
            let mut ask = json!({ "sessionKey": "main", "message": "x", "idempotencyKey": run });
            if let Some(level) = thinking {
                ask["thinking"] = json!(level);
            }
            client.ok("chat.send", ask).await;
            ended(&mut client, run).await;
            levels.push(effort(api, &llm.asked().last().unwrap().body));
        }
        let want = match api {
            "openai-completions" => json!(["low", "medium", "high", null]),
            _ => json!([4_096, 10_240, 20_480, null]),
        };
        assert_eq!(json!(levels), want, "{api}");
        let history = client
            .ok("chat.history", json!({ "sessionKey": "main" }))
            .await;
        let thought = json!({ "type": "thinking", "thinking": "hm" });
        assert_eq!(history["messages"][1]["content"][0], thought, "{api}");
        let ask = json!({ "sessionKey": "main", "message": "x", "idempotencyKey": "t5",
            "thinking": "zzz" });
        for method in ["chat.send", "agent"] {
            let refused = client.refused(method, ask.clone()).await;
            let told = refused["message"].as_str().unwrap();
            assert!(told.contains("unknown thinking level \"zzz\""), "{told}");
        }
        llm.forget();
    }
}

#[tokio::test]
async fn a_model_that_cannot_think_is_not_asked_to() {
    let llm = Llm::start().await;
    let gateway = with_model(&llm).await;
    let mut client = gateway.operator().await;
    let ask = json!({ "sessionKey": "main", "message": "x", "idempotencyKey": "n1",
        "thinking": "high" });
    client.ok("chat.send", ask).await;
    ended(&mut client, "n1").await;
    let asked = llm.wait_asked(1).await;
    assert!(
        asked.body.get("reasoning_effort").is_none(),
        "{}",
        asked.body
    );
}

#[tokio::test]
async fn an_option_that_a_server_does_not_know_is_left_out() {
    let llm = Llm::start().await;
    for (n, (_, provider)) in wires(&llm).into_iter().enumerate() {
        let more = [("/agents/defaults/thinkingDefault", json!("low"))];
        let gateway = with_provider(&provider, &more).await;
        let mut client = gateway.operator().await;
        let name = ["reasoning_effort", "cache_control"][n];
        let why = format!("Unrecognized request argument supplied: {name}");
        llm.push(Reply::Refuse(400, why, None));
        llm.push(Reply::text("fine"));
        say(&mut client, "o1", "x").await;
        let end = ended(&mut client, "o1").await;
        assert_eq!(end["message"]["content"][0]["text"], "fine");
        let asked = llm.asked();
        assert!(asked[0].body.to_string().contains(name));
        assert!(!asked[1].body.to_string().contains(name));
        llm.forget();
    }
}

#[tokio::test]
async fn another_model_answers_when_the_first_does_not() {
    let llm = Llm::start().await;
    let gateway = Setup::new()
        .config("/models/providers/fake", llm.provider("m1"))
        .config("/models/providers/second", llm.anthropic("m2"))
        .config(
            "/agents/defaults/model",
            json!({ "primary": "fake/m1", "fallbacks": ["mind"] }),
        )
        .config(
            "/agents/defaults/models",
            json!({ "fake/m1": {}, "second/m2": { "alias": "mind" } }),
        )
        .start()
        .await;
    let mut client = gateway.operator().await;
    llm.push(Reply::Refuse(404, "no such model".into(), None));
    llm.push(Reply::text("from the second"));
    say(&mut client, "b1", "x").await;
    let end = ended(&mut client, "b1").await;
    assert_eq!(end["message"]["content"][0]["text"], "from the second");
    let history = client
        .ok("chat.history", json!({ "sessionKey": "main" }))
        .await;
    assert_eq!(history["messages"][1]["model"], "m2");
    gateway.logged("HTTP 404: no such model").await;
}
