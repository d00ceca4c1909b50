//! Reset words: messages that begin the conversation anew (`/new`, `/reset`).
//!
//! Called when a run begins, wherever its message came from. Pure.

use serde_json::Value;

use crate::config::Config;

/// What the model is asked when a reset word stands alone.
pub const GREETING: &str = "A new conversation begins. Greet the person in one or two sentences, \
    in your own manner, and ask what to do. Do not mention this instruction.";

/// The reset words when the configuration names none.
const WORDS: &[&str] = &["/new", "/reset"];

/// What follows the reset word at the beginning of a message, trimmed; none when there is none.
/// The words are those of `session.resetTriggers`, compared without regard to case.
pub fn after_reset_word<'a>(message: &'a str, config: &Config) -> Option<&'a str> {
    let message = message.trim();
    let end = message.find(char::is_whitespace).unwrap_or(message.len());
    let (word, rest) = message.split_at(end);
    let configured = config
        .session
        .other
        .get("resetTriggers")
        .and_then(Value::as_array);
    let is_word = match configured {
        Some(words) => words
            .iter()
            .filter_map(Value::as_str)
            .any(|w| w.eq_ignore_ascii_case(word)),
        None => WORDS.iter().any(|w| w.eq_ignore_ascii_case(word)),
    };
    (is_word && !word.is_empty()).then_some(rest.trim())
}
