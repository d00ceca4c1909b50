//! What an OpenAI-compatible server writes: chunks of a stream, a whole reply, errors.
//!
//! Called by `openai_compat`. Pure: text in, our own words out. Promises that unknown fields are
//! ignored and that an error's text is one bounded line.

use serde::Deserialize;
use serde_json::Value;

use crate::agent::runner::{Stop, Usage};

/// Longest text of a provider's error that is passed on, characters.
const ERROR_CHARS_MAX: usize = 300;

/// The meaning of one event of the stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// New text; may be empty.
    pub text: String,
    /// Set by the chunk that ends the answer.
    pub stop: Option<Stop>,
    /// Tokens, usually in a chunk of its own after the end.
    pub usage: Option<Usage>,
}

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

/// Why an event can't be used.
#[derive(Debug)]
pub enum ChunkError {
    /// The server says it failed, in the middle of a stream.
    Said(String),
    /// The text is no chunk.
    Unreadable(serde_json::Error),
}

/// Reads one event of the stream, or a whole reply of a server that does not stream.
///
/// # Errors
/// [`ChunkError`] when the event is an error or unreadable.
pub fn read_chunk(json: &str) -> Result<Chunk, ChunkError> {
    let wire: WireChunk = serde_json::from_str(json).map_err(ChunkError::Unreadable)?;
    if let Some(error) = wire.error.filter(|e| !e.is_null()) {
        return Err(ChunkError::Said(
            error_text(&error).unwrap_or("unknown error".into()),
        ));
    }
    let usage = wire.usage.map(usage);
    let Some(choice) = wire.choices.into_iter().find(|c| c.index == 0) else {
        return Ok(Chunk {
            usage,
            ..Chunk::default()
        });
    };
    let content = choice.delta.or(choice.message).and_then(|d| d.content);
    let stop = choice.finish_reason.as_deref().map(|reason| match reason {
        "length" => Stop::Length,
        _ => Stop::Done,
    });
    Ok(Chunk {
        text: content.map_or_else(String::new, content_text),
        stop,
        usage,
    })
}

/// The line for clients when a server answers a status other than 200.
pub fn http_error(status: u16, body: &str) -> String {
    if matches!(status, 401 | 403) {
        return format!(
            "HTTP {status}: the model provider refused the credentials; \
             check models.providers.<id>.apiKey in openclaw.json"
        );
    }
    let said = serde_json::from_str::<Value>(body).ok().and_then(|json| {
        let inner = json.get("error").filter(|e| !e.is_null());
        error_text(inner.unwrap_or(&json))
    });
    match said {
        Some(said) => format!("HTTP {status}: {said}"),
        None => format!("HTTP {status}: the model provider gave no reason"),
    }
}

fn error_text(error: &Value) -> Option<String> {
    let text = error.as_str().or_else(|| error.get("message")?.as_str())?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let line: String = words.join(" ").chars().take(ERROR_CHARS_MAX).collect();
    (!line.is_empty()).then_some(line)
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

    #[test]
    fn text_end_and_usage_are_read() {
        let chunk = read_chunk(r#"{"id":"x","choices":[{"index":0,"delta":{"content":"Hi"}}]}"#);
        assert_eq!(chunk.unwrap().text, "Hi");
        let chunk = read_chunk(r#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#).unwrap();
        assert_eq!(chunk.stop, Some(Stop::Length));
        let chunk = read_chunk(
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
        assert_eq!(chunk.unwrap().usage, Some(want));
    }

    #[test]
    fn odd_but_legal_chunks_are_tolerated() {
        for json in [
            r#"{"choices":[{"delta":{"role":"assistant","content":null}}],"usage":null}"#,
            r#"{"choices":[{"index":1,"delta":{"content":"other choice"}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#,
            "{}",
        ] {
            assert_eq!(read_chunk(json).unwrap(), Chunk::default(), "{json}");
        }
        let parts = r#"{"choices":[{"message":{"content":[{"type":"text","text":"a"}]}}]}"#;
        assert_eq!(read_chunk(parts).unwrap().text, "a");
    }

    #[test]
    fn errors_and_rubbish_are_told_apart() {
        let said = read_chunk(r#"{"error":{"message":"over\nloaded"}}"#);
        assert!(matches!(said, Err(ChunkError::Said(text)) if text == "over loaded"));
        for json in ["", "[]", "\"text\"", "{\"choices\":3}", "{"] {
            assert!(
                matches!(read_chunk(json), Err(ChunkError::Unreadable(_))),
                "{json}"
            );
        }
    }

    #[test]
    fn refusals_are_one_bounded_line() {
        let body = r#"{"error":{"message":"bench bad request","type":"x"}}"#;
        assert_eq!(http_error(400, body), "HTTP 400: bench bad request");
        assert_eq!(
            http_error(404, r#"{"message":"no model"}"#),
            "HTTP 404: no model"
        );
        assert_eq!(http_error(400, r#"{"error":"plain"}"#), "HTTP 400: plain");
        assert!(http_error(502, "<html>").starts_with("HTTP 502: the model provider"));
        assert!(!http_error(401, r#"{"error":{"message":"key sk-1 bad"}}"#).contains("sk-1"));
        let long = format!("{{\"error\":\"{}\"}}", "x".repeat(9_000));
        assert!(http_error(500, &long).len() < 400);
    }
}
