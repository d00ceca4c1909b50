//! `POST /v1/responses`: the same agent in the newer shape of OpenAI's clients.

use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::super::Server;
use super::ask::{self, Question, tokens};
use super::chat::{Chat, Said};
use super::stream::{self, Wire};
use super::{content, invalid};
use crate::agent::RunOutcome;
use crate::agent::runner::Usage;
use crate::config::Config;

/// The interface's part of session keys.
const KIND: &str = "openresponses";
/// What is answered to an input that is neither text nor a list.
const NO_INPUT: &str = "input: Invalid input";

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
        id: format!("resp_{}", clock.uuid()),
        item: format!("msg_{}", clock.uuid()),
        created: clock.now_ms() / 1_000,
        model: ask::model(given).unwrap_or("openclaw").to_owned(),
        text: String::new(),
    };
    stream::told(asked, given, said).await
}

fn question(config: &Config, given: &Map<String, Value>) -> Result<Question, String> {
    let settings = &config.gateway.http.endpoints.responses;
    let has = |name: &str| given.get(name).is_some_and(|value| !value.is_null());
    if has("previous_response_id") {
        let why = "previous_response_id: not supported: name the session by user or header";
        return Err(why.to_owned());
    }
    let tools = given.get("tools").and_then(Value::as_array);
    if tools.is_some_and(|tools| !tools.is_empty()) {
        return Err("tools: functions of the caller are not supported".to_owned());
    }
    let mut chat = Chat::default();
    if let Some(text) = given.get("instructions").filter(|text| !text.is_null()) {
        chat.push(Said::System, content::read(text, "instructions")?);
    }
    match given.get("input") {
        Some(text @ Value::String(_)) => chat.push(Said::Person, content::read(text, "input")?),
        Some(Value::Array(items)) => {
            for (n, item) in items.iter().enumerate() {
                hear(&mut chat, item, &format!("input[{n}]"))?;
            }
        }
        _ => return Err(NO_INPUT.to_owned()),
    }
    let asking = chat.asking().ok_or("Missing user message in `input`.")?;
    let files = content::files(&asking.files, &settings.files)?;
    let system: Vec<String> = asking.system.into_iter().chain(files).collect();
    Ok(Question {
        images: content::images(&asking.pictures, settings)?,
        system: (!system.is_empty()).then(|| system.join("\n\n")),
        text: asking.text,
        prompt: asking.prompt,
    })
}

/// Takes in one item of the input.
fn hear(chat: &mut Chat, item: &Value, place: &str) -> Result<(), String> {
    let field = |name: &str| item.get(name).and_then(Value::as_str);
    let nothing = Value::Null;
    match field("type").unwrap_or("message") {
        "message" => {
            let said = field("role").and_then(Said::of_role);
            let said = said.ok_or_else(|| format!("{place}.role: unknown role"))?;
            let content = item.get("content").unwrap_or(&nothing);
            chat.push(said, content::read(content, &format!("{place}.content"))?);
        }
        "function_call_output" => {
            let output = item.get("output").unwrap_or(&nothing);
            chat.push(
                Said::Tool,
                content::read(output, &format!("{place}.output"))?,
            );
        }
        // What the model thought or called before says nothing to another one.
        "reasoning" | "item_reference" | "function_call" => {}
        other => {
            let other: String = other.chars().take(80).collect();
            return Err(format!("{place}.type: \"{other}\" is not supported"));
        }
    }
    Ok(())
}

/// What all frames of one answer have in common.
struct Shape {
    id: String,
    item: String,
    created: u64,
    model: String,
    text: String,
}

impl Shape {
    /// The response; without an item as long as there is none.
    fn response(&self, status: &str, output: Value, tokens: Usage) -> Value {
        json!({
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "model": self.model,
            "output": output,
            "usage": {
                "input_tokens": tokens.input,
                "output_tokens": tokens.output,
                "total_tokens": tokens.total,
            },
        })
    }

    fn ended(&self, status: &str, text: &str, tokens: Usage) -> Value {
        self.response(status, json!([self.message(status, text)]), tokens)
    }

    fn message(&self, status: &str, text: &str) -> Value {
        json!({
            "type": "message",
            "id": self.item,
            "role": "assistant",
            "content": [{ "type": "output_text", "text": text }],
            "status": status,
        })
    }

    /// The item before its part is added. (OpenAI's own clients refuse one that has a part
    /// already.)
    fn empty(&self) -> Value {
        let mut item = self.message("in_progress", "");
        item["content"] = json!([]);
        item
    }

    /// An event about the only item.
    fn about_item(&self, kind: &str, item: Value) -> String {
        event(&json!({ "type": kind, "output_index": 0, "item": item }))
    }

    /// An event about its only part.
    fn about_part(&self, kind: &str, name: &str, value: Value) -> String {
        event(&json!({
            "type": kind, "item_id": self.item, "output_index": 0, "content_index": 0,
            name: value,
        }))
    }
}

fn event(value: &Value) -> String {
    let kind = value["type"].as_str().unwrap_or_default();
    format!("event: {kind}\ndata: {value}\n\n")
}

fn part(text: &str) -> Value {
    json!({ "type": "output_text", "text": text })
}

const DONE: &str = "data: [DONE]\n\n";

impl Wire for Shape {
    fn whole(&self, outcome: &RunOutcome) -> Value {
        self.ended("completed", &outcome.text, tokens(outcome))
    }

    fn begin(&mut self) -> String {
        let begun = |kind: &str| {
            let response = self.response("in_progress", json!([]), Usage::default());
            event(&json!({ "type": kind, "response": response }))
        };
        begun("response.created")
            + &begun("response.in_progress")
            + &self.about_item("response.output_item.added", self.empty())
            + &self.about_part("response.content_part.added", "part", part(""))
    }

    fn text(&mut self, text: &str) -> String {
        self.text.push_str(text);
        self.about_part("response.output_text.delta", "delta", text.into())
    }

    fn end(&mut self, outcome: &RunOutcome) -> String {
        let text = self.text.as_str();
        let response = self.ended("completed", text, tokens(outcome));
        self.about_part("response.output_text.done", "text", text.into())
            + &self.about_part("response.content_part.done", "part", part(text))
            + &self.about_item("response.output_item.done", self.message("completed", text))
            + &event(&json!({ "type": "response.completed", "response": response }))
            + DONE
    }

    fn broken(&mut self, kind: &str, why: &str) -> String {
        let mut response = self.response("failed", json!([]), Usage::default());
        response["error"] = json!({ "code": kind, "message": why });
        event(&json!({ "type": "response.failed", "response": response })) + DONE
    }
}
