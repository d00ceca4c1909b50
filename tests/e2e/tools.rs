//! What models may call: offered, done, shown and stored, over both wires; `tools.catalog`.

use serde_json::{Value, json};
use support::llm::{Llm, Reply};
use support::{Client, Gateway, Login, Setup};

fn setup(provider: &Value) -> Setup {
    Setup::new()
        .config("/models/providers/fake", provider.clone())
        .config("/agents/defaults/model", json!("fake/m1"))
}

async fn say(client: &mut Client, key: &str, message: &str) -> Value {
    let params = json!({ "sessionKey": "main", "message": message, "idempotencyKey": key });
    client.ok("chat.send", params).await;
    let end = client
        .event_where("chat", |p| p["runId"] == key && p["state"] != "delta")
        .await;
    end["payload"].clone()
}

async fn history(client: &mut Client, key: &str) -> Vec<Value> {
    let history = client
        .ok("chat.history", json!({ "sessionKey": key }))
        .await;
    history["messages"].as_array().unwrap().clone()
}

/// The tool events of a run that a client has seen.
async fn tool_events(client: &mut Client) -> Vec<Value> {
    let frames = client.settle().await;
    let tools = frames.iter().filter(|f| f["payload"]["stream"] == "tool");
    tools.cloned().collect()
}

fn message(to: &str) -> Value {
    json!({ "action": "send", "channel": "echo", "target": to, "message": "lunch?" })
}

#[tokio::test]
async fn a_message_is_sent_shown_and_stored_over_both_wires() {
    let llm = Llm::start().await;
    for provider in [llm.provider("m1"), llm.anthropic("m1")] {
        let gateway = setup(&provider).start().await;
        let login = Login::fresh().set("caps", json!(["tool-events"]));
        let mut client = gateway.connect(&login).await;
        let mut other = gateway.operator().await;
        client.sees_running("echo").await;
        let calls = vec![("call_1".to_owned(), "message".to_owned(), message("ann"))];
        llm.push(Reply::Calls("Let me write.".into(), calls));
        llm.push(Reply::text("Done."));
        let end = say(&mut client, "t1", "ask ann for lunch").await;
        assert_eq!(end["message"]["content"][0]["text"], "Let me write.Done.");
        let shown = tool_events(&mut client).await;
        let phases: Vec<_> = shown
            .iter()
            .map(|f| &f["payload"]["data"]["phase"])
            .collect();
        assert_eq!(phases, ["start", "result"], "{shown:?}");
        let start = &shown[0]["payload"]["data"];
        assert_eq!(
            (&start["name"], &start["toolCallId"], &start["args"]),
            (&json!("message"), &json!("call_1"), &message("ann"))
        );
        assert_eq!(shown[1]["payload"]["data"]["isError"], false);
        assert_eq!(shown[1]["payload"]["data"].get("result"), None);
        assert!(shown.iter().all(|f| f.get("seq").is_none()), "{shown:?}");
        assert!(tool_events(&mut other).await.is_empty());
        // The transcript holds each step.
        let messages = history(&mut client, "main").await;
        let roles: Vec<_> = messages.iter().map(|m| &m["role"]).collect();
        assert_eq!(roles, ["user", "assistant", "toolResult", "assistant"]);
        assert_eq!(messages[1]["stopReason"], "toolUse");
        let call = json!({ "type": "toolCall", "id": "call_1", "name": "message",
            "arguments": message("ann") });
        assert_eq!(messages[1]["content"][1], call);
        assert_eq!(messages[2]["toolCallId"], "call_1");
        assert_eq!(messages[2]["isError"], false, "{}", messages[2]);
        assert_eq!(messages[3]["content"][0]["text"], "Done.");
        // It went out, and the conversation it went to knows of it.
        let list = client.ok("sessions.list", json!({})).await;
        let keys: Vec<_> = list["sessions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| &s["key"])
            .collect();
        assert_eq!(
            keys,
            ["agent:main:main"],
            "direct chats share the main session"
        );
        let asked = llm.wait_asked(2).await;
        assert!(
            asked.body.to_string().contains("messageId"),
            "{}",
            asked.body
        );
        assert_eq!(
            asked.tools(),
            ["sessions_list", "sessions_history", "message"]
        );
        llm.forget();
    }
}

#[tokio::test]
async fn what_is_not_allowed_is_neither_offered_nor_done() {
    let llm = Llm::start().await;
    let gateway = setup(&llm.provider("m1"))
        .config("/tools/deny", json!(["message"]))
        .start()
        .await;
    let login = Login::fresh().set("caps", json!(["tool-events"]));
    let mut client = gateway.connect(&login).await;
    client.sees_running("echo").await;
    let verbose = json!({ "key": "main", "verboseLevel": "full" });
    client.ok("sessions.patch", verbose).await;
    llm.push(Reply::call("c1", "message", message("ann")));
    llm.push(Reply::call("c2", "exec", json!({ "command": "id" })));
    llm.push(Reply::call(
        "c3",
        "sessions_history",
        json!({ "limit": "many" }),
    ));
    say(&mut client, "d1", "x").await;
    assert_eq!(
        llm.wait_asked(4).await.tools(),
        ["sessions_list", "sessions_history"]
    );
    let shown = tool_events(&mut client).await;
    let results: Vec<_> = shown
        .iter()
        .map(|f| &f["payload"]["data"])
        .filter(|data| data["phase"] == "result")
        .collect();
    let text = |n: usize| results[n]["result"]["content"][0]["text"].as_str().unwrap();
    assert_eq!(text(0), "Error: there is no tool \"message\" here");
    assert_eq!(text(1), "Error: there is no tool \"exec\" here");
    assert!(
        text(2).contains("the arguments don't fit at limit"),
        "{}",
        text(2)
    );
    assert!(results.iter().all(|data| data["isError"] == true));
}

#[tokio::test]
async fn conversations_are_seen_as_far_as_is_allowed() {
    let llm = Llm::start().await;
    let own = setup(&llm.provider("m1")).start().await;
    let all = setup(&llm.provider("m1"))
        .config(
            "/tools",
            json!({ "profile": "messaging", "sessions": { "visibility": "agent" } }),
        )
        .start()
        .await;
    for (gateway, sees) in [(&own, false), (&all, true)] {
        let mut client = gateway.operator().await;
        let other = json!({ "sessionKey": "agent:main:other", "message": "a secret",
            "idempotencyKey": "o1" });
        llm.push(Reply::text("kept"));
        client.ok("chat.send", other).await;
        client
            .event_where("chat", |p| p["runId"] == "o1" && p["state"] == "final")
            .await;
        llm.push(Reply::call("c1", "sessions_list", json!({})));
        let key = json!({ "sessionKey": "agent:main:other" });
        llm.push(Reply::call("c2", "sessions_history", key));
        llm.push(Reply::text("seen"));
        say(&mut client, "s1", "look around").await;
        let messages = history(&mut client, "main").await;
        let text = |n: usize| messages[n]["content"][0]["text"].as_str().unwrap();
        assert_eq!(text(2).contains("agent:main:other"), sees, "{}", text(2));
        assert_eq!(text(4).contains("a secret"), sees, "{}", text(4));
        assert_eq!(messages[4]["isError"], !sees);
    }
    let mut client = all.operator().await;
    let ask = json!({ "sessionKey": "agent:main:other", "message": "what was it?" });
    llm.push(Reply::call("c3", "sessions_send", ask));
    llm.push(Reply::text("it was a secret"));
    llm.push(Reply::text("told"));
    say(&mut client, "s2", "ask there").await;
    let messages = history(&mut client, "main").await;
    let answer = messages[messages.len() - 2]["content"][0]["text"]
        .as_str()
        .unwrap();
    assert!(answer.contains("it was a secret"), "{answer}");
}

#[tokio::test]
async fn a_model_that_never_answers_is_stopped() {
    let llm = Llm::start().await;
    let gateway = setup(&llm.provider("m1")).start().await;
    let mut client = gateway.operator().await;
    for n in 0..40 {
        llm.push(Reply::call(&format!("c{n}"), "sessions_list", json!({})));
    }
    let end = say(&mut client, "n1", "x").await;
    let text = "the model called tools 32 times without an answer";
    assert_eq!(end["errorMessage"], text);
}

#[tokio::test]
async fn the_catalogue_lists_what_there_is() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator_with(&["operator.read"]).await;
    let catalogue = client.ok("tools.catalog", json!({})).await;
    assert_eq!(catalogue["agentId"], "main");
    assert_eq!(
        catalogue["profiles"][3],
        json!({ "id": "full", "label": "Full" })
    );
    let groups = catalogue["groups"].as_array().unwrap();
    let tools = groups
        .iter()
        .flat_map(|group| group["tools"].as_array().unwrap());
    let names: Vec<_> = tools.map(|tool| tool["id"].as_str().unwrap()).collect();
    for name in [
        "sessions_list",
        "sessions_history",
        "sessions_send",
        "message",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
    let unknown = json!({ "agentId": "zzz" });
    let refused = client.refused("tools.catalog", unknown).await;
    assert_eq!(refused["message"], "unknown agent id \"zzz\"");
}
