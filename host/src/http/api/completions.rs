//! `POST /v1/chat/completions`: the agent as a model that any OpenAI client can ask.
//!
//! The agent has tools and a model of its own: sampling options and functions in the request are
//! not looked at.

use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::super::Server;
use super::ask::{self, Question, tokens};
use super::chat::{Chat, Said};
use super::stream::{self, Wire};
use super::{content, invalid};
use crate::agent::RunOutcome;
use crate::config::Config;

/// The interface's part of session keys.
const KIND: &str = "openai";
/// What is answered when there is nothing to answer.
const NO_MESSAGE: &str = "Missing user message in `messages`.";

/// Answers a request of somebody who may ask.
///
/// # Errors
/// The refusal to be answered.
pub(super) async fn answer(
    server: &Server,
    config: &Config,
    headers: &HeaderMap,
    given: &Map<String, Value>,
) -> Result<Response, Response> {
    let question = question(config, given).map_err(|why| invalid(&why))?;
    let asked = ask::asked(server, config, (headers, given), KIND, question).await?;
    let clock = &server.parts.clock;
    let said = Shape {
        id: format!("chatcmpl_{}", clock.uuid()),
        created: clock.now_ms() / 1_000,
        model: ask::model(given).unwrap_or("openclaw").to_owned(),
        with_usage: given
            .get("stream_options")
            .and_then(|options| options.get("include_usage"))
            == Some(&Value::Bool(true)),
    };
    stream::told(asked, given, said).await
}

fn question(config: &Config, given: &Map<String, Value>) -> Result<Question, String> {
    let settings = &config.gateway.http.endpoints.chat_completions;
    let mut chat = Chat::default();
    let messages = given.get("messages").and_then(Value::as_array);
    for (n, message) in messages.into_iter().flatten().enumerate() {
        let role = message.get("role").and_then(Value::as_str);
        let said = role.and_then(Said::of_role);
        let said = said.ok_or_else(|| format!("messages[{n}].role: unknown role"))?;
        let nothing = Value::Null;
        let content = message.get("content").unwrap_or(&nothing);
        chat.push(
            said,
            content::read(content, &format!("messages[{n}].content"))?,
        );
    }
    let asking = chat.asking().ok_or(NO_MESSAGE)?;
    let files = content::files(&asking.files, &settings.files)?;
    let system: Vec<String> = asking.system.into_iter().chain(files).collect();
    Ok(Question {
        images: content::images(&asking.pictures, settings)?,
        system: (!system.is_empty()).then(|| system.join("\n\n")),
        text: asking.text,
        prompt: asking.prompt,
    })
}

/// What all frames of one answer have in common.
struct Shape {
    id: String,
    created: u64,
    model: String,
    with_usage: bool,
}

impl Shape {
    fn chunk(&self, choices: Value) -> Value {
        json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": choices,
        })
    }
}

fn reason(outcome: &RunOutcome) -> &'static str {
    match outcome.stop_reason {
        Some("length") => "length",
        _ => "stop",
    }
}

fn usage(outcome: &RunOutcome) -> Value {
    let tokens = tokens(outcome);
    json!({
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.total,
    })
}

fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

const DONE: &str = "data: [DONE]\n\n";

impl Wire for Shape {
    fn whole(&self, outcome: &RunOutcome) -> Value {
        json!({
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": [{
                "index": 0,
                "message": { "role": "assistant", "content": outcome.text },
                "finish_reason": reason(outcome),
            }],
            "usage": usage(outcome),
        })
    }

    fn begin(&mut self) -> String {
        let choice = json!([{ "index": 0, "delta": { "role": "assistant" } }]);
        data(&self.chunk(choice))
    }

    fn text(&mut self, text: &str) -> String {
        let choice = json!([{ "index": 0, "delta": { "content": text }, "finish_reason": null }]);
        data(&self.chunk(choice))
    }

    fn end(&mut self, outcome: &RunOutcome) -> String {
        let choice = json!([{ "index": 0, "delta": {}, "finish_reason": reason(outcome) }]);
        let mut frames = data(&self.chunk(choice));
        if self.with_usage {
            let mut last = self.chunk(json!([]));
            last["usage"] = usage(outcome);
            frames.push_str(&data(&last));
        }
        frames + DONE
    }

    fn broken(&mut self, kind: &str, why: &str) -> String {
        data(&json!({ "error": { "message": why, "type": kind } })) + DONE
    }
}
