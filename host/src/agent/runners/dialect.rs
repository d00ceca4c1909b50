//! What the wires of HTTP runners have in common: the meaning of an event, and of a refusal.
//!
//! Called by [`super::stream`], implemented by each wire. Pure: text in, our own words out.
//! Promises that an error's text is one bounded line.

use serde_json::Value;

use crate::agent::runner::{Stop, Thought, ToolCall, Usage};
use crate::limits;

/// Longest text of a provider's error that is passed on, characters.
const ERROR_CHARS_MAX: usize = 300;

/// One thing that an event of the stream says.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// New text; may be empty.
    Text(String),
    /// More of a thought; may be empty.
    Thinking(String),
    /// A whole thought.
    Thought(Thought),
    /// Why the answer ended.
    Stop(Stop),
    /// Tokens; the last word counts.
    Usage(Usage),
    /// Nothing follows.
    Over,
}

/// Why an event can't be used.
#[derive(Debug)]
pub enum EventError {
    /// The server says it failed, in the middle of a stream.
    Said(String),
    /// The text is no event of this wire.
    Unreadable(serde_json::Error),
    /// It holds more than any answer may.
    TooMuch,
}

impl From<serde_json::Error> for EventError {
    fn from(error: serde_json::Error) -> Self {
        EventError::Unreadable(error)
    }
}

/// One wire's way to write an answer; it keeps what is written in pieces.
pub trait Dialect: Send + 'static {
    /// Reads one event of the stream, or a whole reply of a server that does not stream.
    ///
    /// # Errors
    /// [`EventError`] when the event is an error or unreadable.
    fn read(&mut self, event: &str) -> Result<Vec<Heard>, EventError>;

    /// The stream is over: what was thought and not told yet, and the tools that were called.
    fn finish(&mut self) -> (Vec<Thought>, Vec<ToolCall>);
}

/// A call whose arguments come in pieces.
#[derive(Debug, Default)]
pub struct OpenCall {
    /// The provider's id.
    pub id: String,
    /// The tool.
    pub name: String,
    /// What there is of the arguments.
    pub arguments: String,
}

impl OpenCall {
    /// More of the arguments.
    ///
    /// # Errors
    /// [`EventError::TooMuch`] beyond the bound.
    pub fn push(&mut self, part: &str) -> Result<(), EventError> {
        if self.arguments.len() + part.len() > limits::TOOL_ARGUMENTS_BYTES_MAX {
            return Err(EventError::TooMuch);
        }
        self.arguments.push_str(part);
        Ok(())
    }

    /// The whole call. `number` stands for an id that the provider left out.
    pub fn close(self, number: usize) -> ToolCall {
        let arguments = match self.arguments.trim() {
            "" => Value::Object(serde_json::Map::new()),
            text => serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)),
        };
        let id = if self.id.is_empty() {
            format!("call_{number}")
        } else {
            self.id
        };
        ToolCall {
            id,
            name: self.name,
            arguments,
        }
    }
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

/// The text of an error as providers write it: a text, or an object with `message`.
pub fn error_text(error: &Value) -> Option<String> {
    let text = error.as_str().or_else(|| error.get("message")?.as_str())?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let line: String = words.join(" ").chars().take(ERROR_CHARS_MAX).collect();
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

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

    #[test]
    fn arguments_come_in_pieces_and_may_be_no_json() {
        let mut call = OpenCall {
            name: "t".into(),
            ..OpenCall::default()
        };
        call.push("{\"a\":").unwrap();
        call.push("1}").unwrap();
        let call = call.close(3);
        assert_eq!(
            (call.id.as_str(), call.arguments),
            ("call_3", json!({"a": 1}))
        );
        let mut broken = OpenCall::default();
        broken.push("{\"a\"").unwrap();
        assert_eq!(broken.close(0).arguments, json!("{\"a\""));
        assert_eq!(OpenCall::default().close(0).arguments, json!({}));
        let large = "x".repeat(limits::TOOL_ARGUMENTS_BYTES_MAX + 1);
        assert!(OpenCall::default().push(&large).is_err());
    }
}
