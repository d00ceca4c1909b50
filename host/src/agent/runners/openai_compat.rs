//! The `openai-completions` runner: any server that speaks streaming chat completions.
//!
//! One request for each answer: `POST <baseUrl>/chat/completions` with `stream:true`; see
//! [`super::stream`] for retries and reading. Options that a server refuses by name are left out.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use serde_json::{Value, json};

use super::openai_chunk::Chunks;
use super::stream::{Endpoint, key_header};
use crate::agent::runner::{Line, Prompt, Runner, RunnerError, Speaker, Steps, ToolCall};
use crate::agent::thinking::Thinking;

/// The wire's name in transcripts and in `models.providers.<id>.api`.
pub const API: &str = "openai-completions";
/// Options that not every server knows.
const USAGE: &str = "stream_options";
const EFFORT: &str = "reasoning_effort";

/// One model of one server.
#[derive(Clone, Debug)]
pub struct OpenAiCompat {
    endpoint: Endpoint,
    model: String,
}

impl OpenAiCompat {
    /// A runner for `model` at `base_url` (without `/chat/completions`). `key` becomes the bearer
    /// token unless `headers` hold an `Authorization` of their own.
    ///
    /// # Errors
    /// [`RunnerError`] when the key or a header can't stand in a request.
    pub fn new(
        client: reqwest::Client,
        base_url: &str,
        model: &str,
        key: Option<&str>,
        mut headers: HeaderMap,
    ) -> Result<OpenAiCompat, RunnerError> {
        if let Some(key) = key.filter(|_| !headers.contains_key(AUTHORIZATION)) {
            headers.insert(AUTHORIZATION, key_header(&format!("Bearer {key}"))?);
        }
        let url = format!("{}/chat/completions", base_url.trim_end_matches('/'));
        Ok(OpenAiCompat {
            endpoint: Endpoint::new(client, url, headers, key),
            model: model.to_owned(),
        })
    }

    async fn answer(self, prompt: Arc<Prompt>) -> Result<Steps, RunnerError> {
        let body = |options: &[&str]| request_body(&self.model, &prompt, options);
        self.endpoint
            .ask(vec![USAGE, EFFORT], body, Chunks::default)
            .await
    }
}

impl Runner for OpenAiCompat {
    fn api(&self) -> &'static str {
        API
    }

    fn start(&self, prompt: Arc<Prompt>) -> BoxFuture<'static, Result<Steps, RunnerError>> {
        self.clone().answer(prompt).boxed()
    }
}

fn request_body(model: &str, prompt: &Prompt, options: &[&str]) -> Vec<u8> {
    let messages: Vec<Value> = prompt.lines.iter().map(message).collect();
    let mut body = json!({ "model": model, "messages": messages, "stream": true });
    if options.contains(&USAGE) {
        body[USAGE] = json!({ "include_usage": true });
    }
    if let Some(effort) = effort(prompt.thinking).filter(|_| options.contains(&EFFORT)) {
        body[EFFORT] = effort.into();
    }
    if !prompt.tools.is_empty() {
        let tool = |tool: &crate::agent::runner::ToolSpec| {
            let function = json!({
                "name": tool.name, "description": tool.description, "parameters": tool.parameters,
            });
            json!({ "type": "function", "function": function })
        };
        body["tools"] = prompt.tools.iter().map(tool).collect();
    }
    body.to_string().into_bytes()
}

/// The server's word for a level; none where it shall decide by itself.
fn effort(thinking: Thinking) -> Option<&'static str> {
    match thinking {
        Thinking::Off | Thinking::Adaptive => None,
        Thinking::Minimal => Some("minimal"),
        Thinking::Low => Some("low"),
        Thinking::Medium => Some("medium"),
        Thinking::High => Some("high"),
        Thinking::XHigh => Some("xhigh"),
    }
}

fn message(line: &Line) -> Value {
    let role = match line.speaker {
        Speaker::System => "system",
        Speaker::User => "user",
        Speaker::Assistant => "assistant",
        Speaker::Tool => {
            let id = line.answers.as_ref().map(|(id, _)| id);
            return json!({ "role": "tool", "tool_call_id": id, "content": line.text });
        }
    };
    if !line.calls.is_empty() {
        let text = Some(&line.text).filter(|text| !text.is_empty());
        let calls: Vec<Value> = line.calls.iter().map(call).collect();
        return json!({ "role": role, "content": text, "tool_calls": calls });
    }
    if line.images.is_empty() {
        return json!({ "role": role, "content": line.text });
    }
    let text = json!({ "type": "text", "text": line.text });
    let images = line.images.iter().map(|image| {
        let url = format!("data:{};base64,{}", image.mime_type, image.base64);
        json!({ "type": "image_url", "image_url": { "url": url } })
    });
    let content: Vec<Value> = std::iter::once(text).chain(images).collect();
    json!({ "role": role, "content": content })
}

fn call(call: &ToolCall) -> Value {
    let arguments = match &call.arguments {
        Value::String(text) => text.clone(),
        arguments => arguments.to_string(),
    };
    let function = json!({ "name": call.name, "arguments": arguments });
    json!({ "id": call.id, "type": "function", "function": function })
}
