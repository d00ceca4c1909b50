//! `/v1/chat/completions` and `/v1/responses`: shapes as recorded, sessions, pictures, streams,
//! what ends a run.

use serde_json::{Value, json};
use support::gateway::TOKEN;
use support::http::{self, Answer};
use support::llm::{Door, Llm, Reply};
use support::wait::until;
use support::{Gateway, Setup};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";

fn bearer() -> String {
    format!("Authorization: Bearer {TOKEN}")
}

fn setup(llm: &Llm) -> Setup {
    Setup::new()
        .config("/models/providers/fake", llm.provider("m1"))
        .config("/agents/defaults/model", json!("fake/m1"))
        .config(
            "/gateway/http/endpoints/chatCompletions/enabled",
            json!(true),
        )
        .config("/gateway/http/endpoints/responses/enabled", json!(true))
}

async fn ask(gateway: &Gateway, path: &str, body: Value) -> Answer {
    ask_with(gateway, path, &[], body).await
}

async fn ask_with(gateway: &Gateway, path: &str, more: &[&str], body: Value) -> Answer {
    let bearer = bearer();
    let headers: Vec<&str> = [&[bearer.as_str()], more].concat();
    http::post(gateway.port(), path, &headers, &body)
        .await
        .unwrap()
}

fn hello() -> Value {
    json!({ "model": "openclaw", "messages": [{ "role": "user", "content": "hi" }] })
}

/// The same value without what differs from call to call.
fn settled(mut value: Value) -> Value {
    for (key, kept) in [
        ("id", "chatcmpl_"),
        ("id", "resp_"),
        ("created", ""),
        ("created_at", ""),
    ] {
        if let Some(own) = value.get_mut(key) {
            let same = own.as_str().is_none_or(|text| text.starts_with(kept));
            if same {
                *own = Value::Null;
            }
        }
    }
    value
}

#[tokio::test]
async fn a_whole_completion_is_as_recorded() {
    let llm = Llm::start().await;
    let gateway = setup(&llm).start().await;
    llm.push(Reply::Texts(vec!["Hello".into(), " there.".into()]));
    let answer = ask(&gateway, CHAT, hello()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(
        answer
            .head
            .contains("content-type: application/json; charset=utf-8")
    );
    assert!(answer.head.contains("x-content-type-options: nosniff"));
    let said = answer.json();
    assert!(said["id"].as_str().unwrap().starts_with("chatcmpl_"));
    let usage = said["usage"].clone();
    assert!(usage["prompt_tokens"].as_u64().unwrap() > 0, "{usage}");
    assert_eq!(
        settled(said),
        json!({
            "id": null, "object": "chat.completion", "created": null, "model": "openclaw",
            "choices": [{
                "index": 0, "message": { "role": "assistant", "content": "Hello there." },
                "finish_reason": "stop",
            }],
            "usage": usage,
        })
    );
    // The model reads the message as it is, without an envelope.
    assert_eq!(llm.wait_asked(1).await.newest(), "hi");
}

#[tokio::test]
async fn a_streamed_completion_comes_in_pieces() {
    let llm = Llm::start().await;
    let gateway = setup(&llm).start().await;
    let door = Door::default();
    llm.push(Reply::Held(
        vec!["Hello".into()],
        door.clone(),
        vec![" there.".into()],
    ));
    let mut body = hello();
    body["stream"] = json!(true);
    body["stream_options"] = json!({ "include_usage": true });
    let bearer = bearer();
    let mut socket = http::send(gateway.port(), "POST", CHAT, &[&bearer], &body.to_string())
        .await
        .unwrap();
    let mut text = read_until(&mut socket, "\"content\":\"Hello\"").await;
    assert!(
        text.to_lowercase()
            .contains("content-type: text/event-stream; charset=utf-8")
    );
    assert!(text.to_lowercase().contains("cache-control: no-cache"));
    assert!(
        !text.contains("[DONE]"),
        "the end came before the model's: {text}"
    );
    door.open();
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).await.unwrap();
    text.push_str(&String::from_utf8_lossy(&rest));
    let data: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .collect();
    assert_eq!(data.last(), Some(&"[DONE]"));
    let chunks: Vec<Value> = data[..data.len() - 1]
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    let choices: Vec<_> = chunks
        .iter()
        .map(|chunk| chunk["choices"].clone())
        .collect();
    assert_eq!(
        choices[0],
        json!([{ "index": 0, "delta": { "role": "assistant" } }])
    );
    let content = json!({ "content": "Hello" });
    assert_eq!(
        choices[1],
        json!([{ "index": 0, "delta": content, "finish_reason": null }])
    );
    assert_eq!(choices[2][0]["delta"]["content"], " there.");
    let end = json!([{ "index": 0, "delta": {}, "finish_reason": "stop" }]);
    assert_eq!(choices[3], end);
    assert_eq!(choices[4], json!([]));
    assert!(chunks[4]["usage"]["total_tokens"].as_u64().unwrap() > 0);
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk["object"] == "chat.completion.chunk")
    );
    assert!(chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"]));
}

#[tokio::test]
async fn responses_are_as_recorded_whole_and_streamed() {
    let llm = Llm::start().await;
    let gateway = setup(&llm).start().await;
    llm.push(Reply::text("Hello there."));
    let body = json!({ "model": "openclaw", "input": "hi", "instructions": "be kind" });
    let said = ask(&gateway, RESPONSES, body.clone()).await.json();
    assert!(said["id"].as_str().unwrap().starts_with("resp_"));
    let item = &said["output"][0];
    assert!(item["id"].as_str().unwrap().starts_with("msg_"));
    assert_eq!(
        item["content"],
        json!([{ "type": "output_text", "text": "Hello there." }])
    );
    assert_eq!(
        (&said["status"], &item["status"]),
        (&json!("completed"), &json!("completed"))
    );
    assert!(said["usage"]["input_tokens"].as_u64().unwrap() > 0);
    assert!(llm.wait_asked(1).await.system().contains("be kind"));

    llm.push(Reply::Texts(vec!["Hello".into(), " there.".into()]));
    let mut streamed = body;
    streamed["stream"] = json!(true);
    let answer = ask(&gateway, RESPONSES, streamed).await;
    let data = answer.data();
    assert_eq!(data.last(), Some(&"[DONE]"));
    let events: Vec<Value> = data[..data.len() - 1]
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    let mut kinds: Vec<&str> = events.iter().map(|e| e["type"].as_str().unwrap()).collect();
    kinds.dedup();
    assert_eq!(
        kinds,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    let deltas: String = events.iter().filter_map(|e| e["delta"].as_str()).collect();
    assert_eq!(deltas, "Hello there.");
    let last = &events.last().unwrap()["response"];
    assert_eq!(last["output"][0]["content"][0]["text"], "Hello there.");
    assert_eq!(last["status"], "completed");
    // Each event is also named in the line before it.
    let named = answer
        .body
        .lines()
        .filter(|line| line.starts_with("event: "));
    assert_eq!(named.count(), events.len());
}

#[tokio::test]
async fn refusals_are_as_recorded() {
    let llm = Llm::start().await;
    let gateway = setup(&llm)
        .config(
            "/gateway/http/endpoints/chatCompletions/maxBodyBytes",
            json!(2_000),
        )
        .start()
        .await;
    let refused = async |path: &str, body: Value, status: u16, text: &str| {
        let answer = ask(&gateway, path, body.clone()).await;
        assert_eq!(answer.status, status, "{path} {body}: {answer:?}");
        let error = json!({ "message": text, "type": "invalid_request_error" });
        assert_eq!(answer.json(), json!({ "error": error }), "{path} {body}");
    };
    let none = "Missing user message in `messages`.";
    refused(CHAT, json!({ "messages": [] }), 400, none).await;
    let system = json!({ "messages": [{ "role": "system", "content": "x" }] });
    refused(CHAT, system, 400, none).await;
    refused(
        RESPONSES,
        json!({ "model": "openclaw" }),
        400,
        "input: Invalid input",
    )
    .await;
    let picture = json!({ "type": "image_url", "image_url": { "url": "http://127.0.0.1/a.png" } });
    let body = json!({ "messages": [{ "role": "user", "content": [picture] }] });
    let text = "messages[0].content[0]: only data: URLs are accepted";
    refused(CHAT, body, 400, text).await;
    let mut other = hello();
    other["model"] = json!("openclaw:zzz");
    refused(CHAT, other, 400, "unknown agent id \"zzz\"").await;
    let mut large = hello();
    large["messages"][0]["content"] = json!("x".repeat(3_000));
    refused(CHAT, large, 413, "Payload too large").await;

    let bearer = bearer();
    let bad = http::post_text(gateway.port(), CHAT, &[&bearer], "{")
        .await
        .unwrap();
    assert_eq!(bad.status, 400);
    assert_eq!(bad.json()["error"]["type"], "invalid_request_error");
    let verb = http::request(gateway.port(), "GET", CHAT, &[&bearer])
        .await
        .unwrap();
    assert_eq!(
        (verb.status, verb.body.as_str()),
        (405, "Method Not Allowed")
    );
    assert!(verb.head.contains("allow: post"), "{}", verb.head);
    assert!(llm.asked().is_empty());
}

#[tokio::test]
async fn sessions_are_named_sticky_or_new() {
    let llm = Llm::start().await;
    let gateway = setup(&llm)
        .config(
            "/agents/list",
            json!([{ "id": "main", "default": true }, { "id": "beta" }]),
        )
        .start()
        .await;
    ask(&gateway, CHAT, hello()).await;
    let mut sticky = hello();
    sticky["user"] = json!("Ann");
    sticky["model"] = json!("openclaw:beta");
    ask(&gateway, CHAT, sticky.clone()).await;
    ask(&gateway, CHAT, sticky).await;
    let input = json!({ "input": "hi", "user": "bob" });
    ask_with(&gateway, RESPONSES, &["x-openclaw-agent-id: beta"], input).await;
    ask_with(&gateway, CHAT, &["x-openclaw-session-key: mine"], hello()).await;
    let mut client = gateway.operator().await;
    let list = client.ok("sessions.list", json!({})).await;
    let keys: Vec<&str> = list["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|session| session["key"].as_str().unwrap())
        .collect();
    for key in [
        "agent:beta:openai-user:ann",
        "agent:beta:openresponses-user:bob",
        "agent:main:mine",
    ] {
        assert!(keys.contains(&key), "{keys:?}");
    }
    assert!(
        keys.iter().any(|key| key.starts_with("agent:main:openai:")),
        "{keys:?}"
    );
    assert_eq!(keys.len(), 4, "{keys:?}");
    let key = json!({ "sessionKey": "agent:beta:openai-user:ann" });
    let history = client.ok("chat.history", key).await;
    assert_eq!(history["messages"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_conversation_with_pictures_and_files_is_told() {
    let llm = Llm::start().await;
    let mut provider = llm.provider("m1");
    provider["models"][0]["input"] = json!(["text", "image"]);
    let gateway = setup(&llm)
        .config("/models/providers/fake", provider)
        .start()
        .await;
    let png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let url = format!("data:image/png;base64,{png}");
    let body = json!({ "messages": [
        { "role": "developer", "content": "Be brief." },
        { "role": "user", "content": "a" },
        { "role": "assistant", "content": "b" },
        { "role": "user", "content": [
            { "type": "text", "text": "what is it?" },
            { "type": "image_url", "image_url": { "url": url } },
        ] },
    ] });
    assert_eq!(ask(&gateway, CHAT, body).await.status, 200);
    let asked = llm.wait_asked(1).await;
    assert!(asked.system().contains("Be brief."));
    let newest = asked.body["messages"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    let text = newest["content"][0]["text"].as_str().unwrap();
    assert_eq!(
        text,
        "[What was said before]\nUser: a\nAssistant: b\n\n[The message to answer]\nUser: what is it?"
    );
    assert_eq!(newest["content"][1]["image_url"]["url"], url);
    let file = json!({ "type": "input_file", "filename": "a.md", "file_data": "IyBIaQ==" });
    let text = json!({ "type": "input_text", "text": "read it" });
    let input = json!({ "input": [{ "role": "user", "content": [text, file] }] });
    assert_eq!(ask(&gateway, RESPONSES, input).await.status, 200);
    let asked = llm.wait_asked(2).await;
    assert!(
        asked
            .system()
            .contains("<file name=\"a.md\">\n# Hi\n</file>"),
        "{}",
        asked.system()
    );
}

#[tokio::test]
async fn a_failed_run_is_told_by_its_status_or_in_the_stream() {
    let llm = Llm::start().await;
    let gateway = setup(&llm).start().await;
    for stream in [false, true] {
        llm.push(Reply::Refuse(400, "bench bad request".into(), None));
        let mut body = hello();
        body["stream"] = json!(stream);
        let answer = ask(&gateway, CHAT, body).await;
        assert_eq!(answer.status, 500, "{answer:?}");
        let error = json!({ "message": "HTTP 400: bench bad request", "type": "api_error" });
        assert_eq!(answer.json(), json!({ "error": error }));
    }
    let door = Door::default();
    llm.push(Reply::Cut(vec!["Hel".into()], door.clone()));
    let mut body = hello();
    body["stream"] = json!(true);
    let bearer = bearer();
    let mut socket = http::send(gateway.port(), "POST", CHAT, &[&bearer], &body.to_string())
        .await
        .unwrap();
    let mut text = read_until(&mut socket, "\"Hel\"").await;
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    door.open();
    text.push_str(&read_until(&mut socket, "[DONE]").await);
    assert!(text.contains("\"type\":\"api_error\""), "{text}");
    assert!(!text.contains("\"stop\""), "{text}");
}

/// Reads from a socket until a text has come.
async fn read_until(socket: &mut TcpStream, needle: &str) -> String {
    let mut text = String::new();
    let mut piece = vec![0; 4_096];
    while !text.contains(needle) {
        let read = socket.read(&mut piece).await.unwrap();
        assert!(read > 0, "no {needle} in {text}");
        text.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    text
}

#[tokio::test]
async fn a_run_ends_when_its_asker_leaves() {
    let llm = Llm::start().await;
    let gateway = setup(&llm).start().await;
    let bearer = bearer();
    let mut client = gateway.operator().await;
    for stream in [false, true] {
        llm.push(Reply::Hang(vec!["Hello".into()]));
        let mut body = hello();
        body["stream"] = json!(stream);
        body["user"] = json!(format!("leaver-{stream}"));
        let socket = http::send(gateway.port(), "POST", CHAT, &[&bearer], &body.to_string())
            .await
            .unwrap();
        let key = format!("agent:main:openai-user:leaver-{stream}");
        let said = |p: &Value| p["sessionKey"] == key.as_str() && p["state"] == "delta";
        client.event_where("chat", said).await;
        drop(socket);
        let last = until("the stopped run in the transcript", || async {
            let mut client = gateway.operator().await;
            let history = client
                .ok("chat.history", json!({ "sessionKey": key }))
                .await;
            let last = history["messages"].as_array()?.last()?.clone();
            (last["stopReason"] == "aborted").then_some(last)
        });
        assert_eq!(last.await["content"][0]["text"], "Hello");
    }
}

#[tokio::test]
async fn text_after_a_tool_is_a_part_of_its_own() {
    let llm = Llm::start().await;
    let gateway = setup(&llm).start().await;
    let calls = vec![("c1".to_owned(), "sessions_list".to_owned(), json!({}))];
    llm.push(Reply::Calls("Let me look.".into(), calls));
    llm.push(Reply::text("Nothing there."));
    let mut body = hello();
    body["stream"] = json!(true);
    let answer = ask(&gateway, CHAT, body).await;
    let data = answer.data();
    let text: String = data
        .iter()
        .filter_map(|text| serde_json::from_str::<Value>(text).ok())
        .filter_map(|chunk| {
            chunk["choices"][0]["delta"]["content"]
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(text, "Let me look.\n\nNothing there.");
}
