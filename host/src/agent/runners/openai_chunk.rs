//! What an OpenAI-compatible server writes: chunks of a stream, a whole reply, errors.
//!
//! Called by `openai_compat`. Pure: text in, our own words out. Promises that unknown fields are
//! ignored.

use serde::Deserialize;
use serde_json::Value;

use super::dialect::{Dialect, EventError, Heard, OpenCall, error_text};
use crate::agent::runner::{Stop, Thought, ToolCall, Usage};
use crate::limits;

#[derive(Deserialize)]
struct WireChunk {
    #[serde(default)]
    choices: Vec<WireChoice>,
    usage: Option<WireUsage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct WireChoice {
    #[serde(default)]
    index: u64,
    delta: Option<WireDelta>,
    message: Option<WireDelta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct WireDelta {
    content: Option<Value>,
    /// What most servers with open models call their thoughts.
    reasoning_content: Option<String>,
    /// What the others call them.
    reasoning: Option<Value>,
    tool_calls: Option<Vec<WireCall>>,
}

#[derive(Deserialize)]
struct WireCall {
    index: Option<usize>,
    id: Option<String>,
    function: Option<WireFunction>,
}

#[derive(Deserialize)]
struct WireFunction {
    name: Option<String>,
    arguments: Option<Value>,
}

#[derive(Deserialize)]
struct WireUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
    prompt_tokens_details: Option<WireDetails>,
}

#[derive(Deserialize)]
struct WireDetails {
    cached_tokens: Option<u64>,
}

/// The wire of streaming chat completions.
#[derive(Debug, Default)]
pub struct Chunks {
    calls: Vec<OpenCall>,
    thought: String,
}

impl Dialect for Chunks {
    fn read(&mut self, event: &str) -> Result<Vec<Heard>, EventError> {
        if event.trim() == "[DONE]" {
            return Ok(vec![Heard::Over]);
        }
        let wire: WireChunk = serde_json::from_str(event)?;
        if let Some(error) = wire.error.filter(|e| !e.is_null()) {
            let said = error_text(&error).unwrap_or("unknown error".into());
            return Err(EventError::Said(said));
        }
        let mut heard = Vec::new();
        if let Some(choice) = wire.choices.into_iter().find(|c| c.index == 0) {
            if let Some(delta) = choice.delta.or(choice.message) {
                self.delta(delta, &mut heard)?;
            }
            let stop = choice.finish_reason.as_deref().map(|reason| match reason {
                "length" => Stop::Length,
                _ => Stop::Done,
            });
            heard.extend(stop.map(Heard::Stop));
        }
        heard.extend(wire.usage.map(|wire| Heard::Usage(usage(wire))));
        Ok(heard)
    }

    fn finish(&mut self) -> (Vec<Thought>, Vec<ToolCall>) {
        let text = std::mem::take(&mut self.thought);
        let thought = (!text.is_empty()).then(|| Thought {
            text,
            ..Thought::default()
        });
        let calls = std::mem::take(&mut self.calls).into_iter().enumerate();
        let calls = calls
            .filter(|(_, call)| !call.name.is_empty())
            .map(|(number, call)| call.close(number));
        (thought.into_iter().collect(), calls.collect())
    }
}

impl Chunks {
    fn delta(&mut self, delta: WireDelta, heard: &mut Vec<Heard>) -> Result<(), EventError> {
        let reasoning = delta.reasoning.as_ref().and_then(Value::as_str);
        let thinking = delta.reasoning_content.as_deref().or(reasoning);
        if let Some(thinking) = thinking.filter(|text| !text.is_empty()) {
            self.thought.push_str(thinking);
            heard.push(Heard::Thinking(thinking.to_owned()));
        }
        let text = delta.content.map_or_else(String::new, content_text);
        if !text.is_empty() {
            heard.push(Heard::Text(text));
        }
        for call in delta.tool_calls.into_iter().flatten() {
            self.call(call)?;
        }
        Ok(())
    }

    /// A piece of a call: it belongs to the one of its index; without one, to the last one unless
    /// it begins another.
    fn call(&mut self, piece: WireCall) -> Result<(), EventError> {
        let id = piece.id.filter(|id| !id.is_empty());
        let last = self.calls.len().saturating_sub(1);
        let begins = id.is_some() || self.calls.is_empty();
        let place = match piece.index {
            Some(index) => index,
            None if begins => self.calls.len(),
            None => last,
        };
        if place >= limits::TOOL_CALLS_MAX {
            return Err(EventError::TooMuch);
        }
        if place >= self.calls.len() {
            self.calls.resize_with(place + 1, OpenCall::default);
        }
        let call = &mut self.calls[place];
        if let Some(id) = id.filter(|_| call.id.is_empty()) {
            call.id = id;
        }
        let Some(function) = piece.function else {
            return Ok(());
        };
        if let Some(name) = function.name.filter(|_| call.name.is_empty()) {
            call.name = name;
        }
        match function.arguments {
            Some(Value::String(part)) => call.push(&part),
            // A few servers write the object itself.
            Some(whole @ Value::Object(_)) => call.push(&whole.to_string()),
            _ => Ok(()),
        }
    }
}

/// Content is a text, or a list of parts of which the texts count.
fn content_text(content: Value) -> String {
    match content {
        Value::String(text) => text,
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part.get("text")?.as_str())
            .collect(),
        _ => String::new(),
    }
}

fn usage(wire: WireUsage) -> Usage {
    let prompt = wire.prompt_tokens.unwrap_or(0);
    let output = wire.completion_tokens.unwrap_or(0);
    let cached = wire
        .prompt_tokens_details
        .and_then(|d| d.cached_tokens)
        .unwrap_or(0)
        .min(prompt);
    let total = wire
        .total_tokens
        .unwrap_or_else(|| prompt.saturating_add(output));
    Usage {
        input: prompt - cached,
        output,
        cache_read: cached,
        cache_write: 0,
        total,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn read(json: &str) -> Vec<Heard> {
        Chunks::default().read(json).unwrap()
    }

    #[test]
    fn text_end_and_usage_are_read() {
        let heard = read(r#"{"id":"x","choices":[{"index":0,"delta":{"content":"Hi"}}]}"#);
        assert_eq!(heard, [Heard::Text("Hi".into())]);
        let heard = read(r#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#);
        assert_eq!(heard, [Heard::Stop(Stop::Length)]);
        let heard = read(
            r#"{"choices":[],"usage":{"prompt_tokens":120,"completion_tokens":7,
                "total_tokens":127,"prompt_tokens_details":{"cached_tokens":20}}}"#,
        );
        let want = Usage {
            input: 100,
            output: 7,
            cache_read: 20,
            cache_write: 0,
            total: 127,
        };
        assert_eq!(heard, [Heard::Usage(want)]);
        assert_eq!(read(" [DONE] "), [Heard::Over]);
    }

    #[test]
    fn odd_but_legal_chunks_are_tolerated() {
        for json in [
            r#"{"choices":[{"delta":{"role":"assistant","content":null}}],"usage":null}"#,
            r#"{"choices":[{"index":1,"delta":{"content":"other choice"}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#,
            "{}",
        ] {
            assert_eq!(read(json), [], "{json}");
        }
        let parts = r#"{"choices":[{"message":{"content":[{"type":"text","text":"a"}]}}]}"#;
        assert_eq!(read(parts), [Heard::Text("a".into())]);
    }

    #[test]
    fn errors_and_rubbish_are_told_apart() {
        let mut chunks = Chunks::default();
        let said = chunks.read(r#"{"error":{"message":"over\nloaded"}}"#);
        assert!(matches!(said, Err(EventError::Said(text)) if text == "over loaded"));
        for json in ["", "[]", "\"text\"", "{\"choices\":3}", "{"] {
            let read = chunks.read(json);
            assert!(matches!(read, Err(EventError::Unreadable(_))), "{json}");
        }
    }

    /// The calls that these pieces of `tool_calls` make.
    fn calls(pieces: &[Value]) -> Vec<(String, String, Value)> {
        let mut chunks = Chunks::default();
        for piece in pieces {
            let chunk = json!({"choices": [{"delta": {"tool_calls": [piece]}}]});
            chunks.read(&chunk.to_string()).unwrap();
        }
        let (_, calls) = chunks.finish();
        calls
            .into_iter()
            .map(|call| (call.id, call.name, call.arguments))
            .collect()
    }

    #[test]
    fn calls_come_in_pieces() {
        let one = ("a".to_owned(), "send".to_owned(), json!({"x": 1}));
        let two = ("b".to_owned(), "list".to_owned(), json!({}));
        let by_index = [
            json!({"index": 0, "id": "a", "function": {"name": "send", "arguments": ""}}),
            json!({"index": 1, "id": "b", "function": {"name": "list"}}),
            json!({"index": 0, "function": {"arguments": "{\"x\""}}),
            json!({"index": 0, "function": {"arguments": ":1}"}}),
        ];
        assert_eq!(calls(&by_index), [one.clone(), two.clone()]);
        let by_id = [
            json!({"id": "a", "function": {"name": "send", "arguments": "{\"x\""}}),
            json!({"function": {"arguments": ":1}"}}),
            json!({"id": "b", "function": {"name": "list", "arguments": {}}}),
        ];
        assert_eq!(calls(&by_id), [one, two]);
        assert!(calls(&[json!({"index": 0, "function": {"arguments": "x"}})]).is_empty());
    }

    #[test]
    fn a_call_far_away_does_not_cost_memory() {
        let far = json!({"choices": [{"delta": {"tool_calls": [{"index": 4_000_000_000u64}]}}]});
        let read = Chunks::default().read(&far.to_string());
        assert!(matches!(read, Err(EventError::TooMuch)));
    }

    #[test]
    fn thoughts_are_told_and_kept() {
        let mut chunks = Chunks::default();
        for (name, part) in [("reasoning_content", "let "), ("reasoning", "me")] {
            let chunk = json!({"choices": [{"delta": {name: part}}]}).to_string();
            assert_eq!(chunks.read(&chunk).unwrap(), [Heard::Thinking(part.into())]);
        }
        assert_eq!(chunks.finish().0[0].text, "let me");
    }
}
