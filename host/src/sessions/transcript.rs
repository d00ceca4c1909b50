//! Transcripts as clients see them: `chat.history` and its cleaning, and messages as they are.
//!
//! Called by the methods. Pure: stored rows in, wire messages out. Promises the wire's bounds for
//! one text, one message and the whole answer.

use gateway_schemas::chat::{
    AbortMark, AssistantMessage, ContentPart, Cost, Message, ToolResultMessage, Usage, UserMessage,
};
use serde_json::{Value, json};

use super::usage::price;
use super::{AssistantRow, GATEWAY_PROVIDER, MessageRow, TokensRow, ToolRow};
use crate::config::Config;
use crate::limits;
use crate::store::sessions::{BodyRow, InputRow};

/// A reply that stands for no reply.
const NO_REPLY: &str = "NO_REPLY";

/// Stored messages, oldest first, as `chat.history` answers them.
pub fn history(rows: &[MessageRow]) -> Vec<Message> {
    let mut left = limits::HISTORY_BYTES_MAX;
    let mut messages = Vec::new();
    for row in rows.iter().rev() {
        let Some(message) = message(row) else {
            continue;
        };
        let (message, bytes) = bounded(message, row.timestamp);
        if bytes > left && !messages.is_empty() {
            break;
        }
        left = left.saturating_sub(bytes);
        messages.push(message);
    }
    messages.reverse();
    messages
}

/// One stored message on the wire; none for a silent reply.
pub fn message(row: &MessageRow) -> Option<Message> {
    match &row.body {
        BodyRow::User(user) => Some(Message::User(user_message(user, row.timestamp))),
        BodyRow::Assistant(said) if said.text.trim() == NO_REPLY && said.calls.is_empty() => None,
        BodyRow::Assistant(said) => Some(Message::Assistant(Box::new(assistant_message(
            said,
            row.timestamp,
        )))),
        BodyRow::Tool(result) => {
            let text = cut(result.text.clone());
            Some(Message::ToolResult(tool_message(
                result,
                text,
                row.timestamp,
            )))
        }
    }
}

fn tool_message(result: &ToolRow, text: String, timestamp: u64) -> ToolResultMessage {
    ToolResultMessage {
        tool_call_id: result.call_id.clone(),
        tool_name: result.name.clone(),
        content: vec![ContentPart::text(text)],
        is_error: result.is_error,
        timestamp,
        openclaw: None,
    }
}

/// One stored message as it is: with what the model was told around it, and nothing removed.
pub fn raw(row: &MessageRow) -> Message {
    match &row.body {
        BodyRow::User(user) => {
            let mut message = user_message(user, row.timestamp);
            let told = user.prompt.as_ref().unwrap_or(&user.text);
            if let Some(text) = message.content.first_mut() {
                *text = ContentPart::text(told);
            }
            message.sender_label = None;
            Message::User(message)
        }
        BodyRow::Assistant(said) => {
            let mut message = assistant_message(said, row.timestamp);
            let mut calls = said.calls.iter();
            for part in &mut message.content {
                match part {
                    ContentPart::Text { text } => text.clone_from(&said.text),
                    ContentPart::ToolCall { arguments, .. } => {
                        if let Some(call) = calls.next() {
                            arguments.clone_from(&call.arguments);
                        }
                    }
                    _ => {}
                }
            }
            let cost = message.usage.as_mut().and_then(|usage| usage.cost.as_mut());
            if let Some(cost) = cost.filter(|_| said.provider == GATEWAY_PROVIDER) {
                *cost = Cost {
                    input: Some(0.0),
                    output: Some(0.0),
                    cache_read: Some(0.0),
                    cache_write: Some(0.0),
                    total: 0.0,
                };
            }
            Message::Assistant(Box::new(message))
        }
        BodyRow::Tool(result) => {
            Message::ToolResult(tool_message(result, result.text.clone(), row.timestamp))
        }
    }
}

/// The newest messages as they are, oldest first, as far as they fit into one answer.
pub fn raw_tail(rows: &[MessageRow]) -> Vec<Message> {
    let mut left = limits::HISTORY_BYTES_MAX;
    let mut messages = Vec::new();
    for row in rows.iter().rev() {
        let message = raw(row);
        let bytes = serde_json::to_string(&message).map_or(0, |text| text.len());
        if bytes > left && !messages.is_empty() {
            break;
        }
        left = left.saturating_sub(bytes);
        messages.push(message);
    }
    messages.reverse();
    messages
}

fn user_message(user: &InputRow, timestamp: u64) -> UserMessage {
    let images = user.images.iter().map(|image| ContentPart::Image {
        mime_type: image.mime_type.clone(),
        omitted: true,
        bytes: image.bytes,
    });
    let text = std::iter::once(ContentPart::text(clean(&user.text)));
    let sender_label = user.sender_label.clone();
    UserMessage {
        content: text.chain(images).collect(),
        timestamp,
        sender_label,
        openclaw: None,
    }
}

fn assistant_message(said: &AssistantRow, timestamp: u64) -> AssistantMessage {
    let thoughts = said.thoughts.iter().filter(|thought| !thought.hidden);
    let mut content: Vec<ContentPart> = thoughts
        .map(|thought| ContentPart::Thinking {
            thinking: cut(thought.text.clone()),
        })
        .collect();
    let text = clean(&said.text);
    if !text.is_empty() {
        content.push(ContentPart::text(text));
    }
    content.extend(said.calls.iter().map(|call| ContentPart::ToolCall {
        id: call.id.clone(),
        name: call.name.clone(),
        arguments: cut_texts(call.arguments.clone()),
    }));
    let abort = said.abort.as_ref();
    AssistantMessage {
        content,
        timestamp,
        api: Some(said.api.clone()),
        provider: Some(said.provider.clone()),
        model: Some(said.model.clone()),
        usage: Some(usage(&said.tokens, said.provider == GATEWAY_PROVIDER)),
        stop_reason: Some(said.stop_reason.clone()),
        error_message: said.error_message.clone(),
        idempotency_key: said.shown_key.clone(),
        openclaw_abort: abort.map(|abort| AbortMark {
            aborted: true,
            origin: abort.origin.clone(),
            run_id: abort.run_id.clone(),
        }),
        openclaw: None,
    }
}

/// Tells what an answer cost, if the configuration has a price for its model; with all parts of
/// the price, or with the sum alone.
pub fn add_cost(message: &mut Message, config: &Config, all_parts: bool) {
    let Message::Assistant(said) = message else {
        return;
    };
    let (Some(provider), Some(model)) = (&said.provider, &said.model) else {
        return;
    };
    let Some(usage) = said.usage.as_mut().filter(|usage| usage.cost.is_none()) else {
        return;
    };
    let tokens = TokensRow {
        input: usage.input,
        output: usage.output,
        cache_read: usage.cache_read,
        cache_write: usage.cache_write,
        total: usage.total_tokens,
    };
    usage.cost = price::of(config, provider, model, &tokens).map(|price| {
        let part = |part: f64| all_parts.then_some(part);
        Cost {
            input: part(price.input),
            output: part(price.output),
            cache_read: part(price.cache_read),
            cache_write: part(price.cache_write),
            total: price.total(),
        }
    });
}

/// Tokens on the wire. Prices are not known here: only what was free has a cost.
fn usage(tokens: &TokensRow, free: bool) -> Usage {
    Usage {
        input: tokens.input,
        output: tokens.output,
        total_tokens: tokens.total,
        cache_read: tokens.cache_read,
        cache_write: tokens.cache_write,
        cost: free.then(Cost::default),
    }
}

/// A text without inline directives, cut at its bound.
fn clean(text: &str) -> String {
    cut(without_directives(text))
}

/// The same for every text in a tool's arguments.
fn cut_texts(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(cut(text)),
        Value::Array(list) => Value::Array(list.into_iter().map(cut_texts).collect()),
        Value::Object(map) => {
            let fields = map.into_iter();
            Value::Object(
                fields
                    .map(|(name, value)| (name, cut_texts(value)))
                    .collect(),
            )
        }
        other => other,
    }
}

/// A text cut at its bound.
fn cut(text: String) -> String {
    match text.char_indices().nth(limits::HISTORY_TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}\n...(truncated)...", &text[..end]),
        None => text,
    }
}

/// Removes `[[reply_to_current]]`, `[[reply_to: …]]` and `[[audio_as_voice]]`.
fn without_directives(text: &str) -> String {
    let mut rest = text;
    let mut kept = String::with_capacity(text.len());
    while let Some(start) = rest.find("[[") {
        let inside = &rest[start + 2..];
        match inside.find("]]") {
            Some(end) if is_directive(&inside[..end]) => {
                kept.push_str(&rest[..start]);
                rest = &inside[end + 2..];
            }
            _ => {
                kept.push_str(&rest[..start + 2]);
                rest = inside;
            }
        }
    }
    if kept.is_empty() && rest.len() == text.len() {
        return text.to_owned();
    }
    kept.push_str(rest);
    kept.trim().to_owned()
}

fn is_directive(inside: &str) -> bool {
    let word = inside.trim().to_lowercase();
    word == "reply_to_current" || word == "audio_as_voice" || word.starts_with("reply_to:")
}

/// A message and its size; one that is too large is replaced by a note.
fn bounded(message: Message, timestamp: u64) -> (Message, usize) {
    let size = |message: &Message| serde_json::to_string(message).map_or(0, |text| text.len());
    let bytes = size(&message);
    if bytes <= limits::HISTORY_MESSAGE_BYTES_MAX {
        return (message, bytes);
    }
    let content = vec![ContentPart::text(
        "[chat.history omitted: message too large]",
    )];
    let openclaw = Some(json!({ "truncated": true, "reason": "oversized" }));
    let note = match message {
        Message::User(_) => Message::User(UserMessage {
            content,
            timestamp,
            sender_label: None,
            openclaw,
        }),
        Message::ToolResult(result) => Message::ToolResult(ToolResultMessage {
            content,
            openclaw,
            ..result
        }),
        _ => Message::Assistant(Box::new(AssistantMessage {
            content,
            timestamp,
            openclaw,
            ..AssistantMessage::default()
        })),
    };
    let bytes = size(&note);
    (note, bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sessions::{CallRow, INJECTED_MODEL, ImageRow, ThoughtRow, gateway_text};

    fn row(body: BodyRow) -> MessageRow {
        MessageRow {
            id: "0".into(),
            key: None,
            timestamp: 7,
            body,
        }
    }

    fn user(text: &str) -> MessageRow {
        row(BodyRow::User(InputRow {
            text: text.into(),
            ..InputRow::default()
        }))
    }

    fn json_of(rows: &[MessageRow]) -> Value {
        serde_json::to_value(history(rows)).unwrap()
    }

    #[test]
    fn a_user_message_shows_text_label_and_pictures_but_no_envelope() {
        let user = InputRow {
            text: "look".into(),
            prompt: Some("[Sun …] look".into()),
            sender_label: Some("ui".into()),
            images: vec![ImageRow {
                mime_type: "image/png".into(),
                bytes: 72,
            }],
        };
        let want = json!([{"role": "user", "timestamp": 7, "senderLabel": "ui", "content": [
            {"type": "text", "text": "look"},
            {"type": "image", "mimeType": "image/png", "omitted": true, "bytes": 72},
        ]}]);
        assert_eq!(json_of(&[row(BodyRow::User(user))]), want);
    }

    #[test]
    fn a_text_of_the_gateway_looks_as_recorded() {
        let said = row(BodyRow::Assistant(gateway_text(
            "[ops]\n\nnote",
            INJECTED_MODEL,
        )));
        let want = json!([{"role": "assistant", "timestamp": 7, "stopReason": "stop",
            "content": [{"type": "text", "text": "[ops]\n\nnote"}], "api": "openai-responses",
            "provider": "openclaw", "model": "gateway-injected",
            "usage": {"input": 0, "output": 0, "totalTokens": 0, "cacheRead": 0, "cacheWrite": 0,
                      "cost": {"total": 0}}}]);
        assert_eq!(json_of(&[said]), want);
    }

    #[test]
    fn thoughts_calls_and_results_look_as_recorded() {
        let said = AssistantRow {
            thoughts: vec![
                ThoughtRow {
                    text: "hm".into(),
                    seal: Some("sealed".into()),
                    hidden: false,
                },
                ThoughtRow {
                    seal: Some("secret".into()),
                    hidden: true,
                    ..ThoughtRow::default()
                },
            ],
            calls: vec![CallRow {
                id: "call_1".into(),
                name: "message".into(),
                arguments: json!({"text": "x".repeat(limits::HISTORY_TEXT_CHARS_MAX + 1)}),
            }],
            stop_reason: "toolUse".into(),
            ..AssistantRow::default()
        };
        let result = ToolRow {
            call_id: "call_1".into(),
            name: "message".into(),
            text: "sent".into(),
            is_error: false,
        };
        let shown = json_of(&[row(BodyRow::Assistant(said)), row(BodyRow::Tool(result))]);
        let parts = &shown[0]["content"];
        assert_eq!(parts[0], json!({"type": "thinking", "thinking": "hm"}));
        assert_eq!(parts[1]["type"], "toolCall");
        let text = parts[1]["arguments"]["text"].as_str().unwrap();
        assert!(text.ends_with("...(truncated)..."), "{parts}");
        assert_eq!(parts.as_array().unwrap().len(), 2);
        let want = json!({"role": "toolResult", "toolCallId": "call_1", "toolName": "message",
            "content": [{"type": "text", "text": "sent"}], "isError": false, "timestamp": 7});
        assert_eq!(shown[1], want);
    }

    #[test]
    fn silent_replies_are_dropped_and_errors_have_no_content() {
        let said = |text: &str| AssistantRow {
            text: text.into(),
            ..AssistantRow::default()
        };
        let rows = [said("NO_REPLY"), said("")].map(|said| row(BodyRow::Assistant(said)));
        let shown = json_of(&rows);
        assert_eq!(shown.as_array().unwrap().len(), 1);
        assert_eq!(shown[0]["content"], json!([]));
    }

    #[test]
    fn directives_are_removed_and_other_brackets_stay() {
        for (text, expected) in [
            ("[[reply_to_current]] hi", "hi"),
            ("a [[audio_as_voice]]b [[ reply_to: 12 ]]", "a b"),
            ("a [[wiki]] [[x", "a [[wiki]] [[x"),
            ("[[[reply_to_current]]", "[[[reply_to_current]]"),
        ] {
            assert_eq!(without_directives(text), expected, "{text}");
        }
    }

    #[test]
    fn long_texts_and_long_histories_are_cut() {
        let shown = json_of(&[user(&"ü".repeat(limits::HISTORY_TEXT_CHARS_MAX + 1))]);
        let text = shown[0]["content"][0]["text"].as_str().unwrap();
        assert!(text.ends_with("ü\n...(truncated)..."));
        let rows = vec![user(&"\u{1}".repeat(limits::HISTORY_TEXT_CHARS_MAX)); 200];
        let shown = history(&rows);
        assert!(shown.len() < 200 && !shown.is_empty(), "{}", shown.len());
    }

    #[test]
    fn an_oversized_message_keeps_its_role() {
        let mut said = gateway_text("x", INJECTED_MODEL);
        said.error_message = Some("x".repeat(limits::HISTORY_MESSAGE_BYTES_MAX));
        let shown = json_of(&[row(BodyRow::Assistant(said))]);
        assert_eq!(shown[0]["role"], "assistant");
        assert_eq!(shown[0]["__openclaw"]["reason"], "oversized");
    }
}
