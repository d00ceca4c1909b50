//! A transcript of the reference, JSON lines, as messages of ours.
//!
//! Pure. The file is a tree: each line names the one before it. What counts is the way from the
//! last line back to the first; other branches were given up by the person.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::envelope;
use crate::spell;
use crate::store::sessions::{
    AbortRow, AssistantRow, BodyRow, CallRow, ImageRow, InputRow, MessageRow, ThoughtRow,
    TokensRow, ToolRow,
};

/// What the append key of an imported message begins with.
pub(super) const KEY: &str = "import:";

/// What a transcript holds.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    /// The messages, oldest first, each with a key of its own.
    pub(super) messages: Vec<MessageRow>,
    /// Lines that are no message of a known kind, by the reason.
    pub(super) left_out: Vec<(&'static str, u64)>,
}

/// Reads the lines.
pub(super) fn read(text: &str) -> Transcript {
    let mut lines = Vec::new();
    let mut broken = 0;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match serde_json::from_str::<Line>(line) {
            Ok(line) => lines.push(line),
            Err(_) => broken += 1,
        }
    }
    let on_the_way = way(&lines);
    let (mut messages, mut branches, mut strange, mut summaries) = (Vec::new(), 0, 0, 0);
    for (number, line) in lines.iter().enumerate() {
        match (line.kind.as_str(), &line.message) {
            ("message", Some(_)) if !on_the_way.contains(&number) => branches += 1,
            ("message", Some(message)) => match row(number, line, message) {
                Some(row) => messages.push(row),
                None => strange += 1,
            },
            ("message", None) => strange += 1,
            ("compaction" | "branch_summary", _) => summaries += 1,
            _ => {}
        }
    }
    let left_out = [
        ("lines that can't be read", broken),
        ("messages of branches that were given up", branches),
        ("messages of a kind that is not known here", strange),
        (
            "summaries; the messages they stand for are taken in",
            summaries,
        ),
    ];
    let left_out = left_out.into_iter().filter(|(_, count)| *count > 0);
    Transcript {
        messages,
        left_out: left_out.collect(),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    parent_id: Option<String>,
    #[serde(default)]
    timestamp: Option<Value>,
    #[serde(default)]
    message: Option<Said>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Said {
    role: String,
    content: Content,
    timestamp: Option<f64>,
    api: String,
    provider: String,
    model: String,
    usage: Usage,
    stop_reason: String,
    error_message: Option<String>,
    idempotency_key: Option<String>,
    openclaw_abort: Option<Abort>,
    tool_call_id: String,
    tool_name: String,
    is_error: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

impl Default for Content {
    fn default() -> Self {
        Content::Parts(Vec::new())
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    text: String,
    thinking: String,
    thinking_signature: Option<String>,
    redacted: bool,
    id: String,
    name: String,
    arguments: Value,
    mime_type: String,
    data: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Usage {
    input: f64,
    output: f64,
    cache_read: f64,
    cache_write: f64,
    total_tokens: f64,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Abort {
    origin: String,
    run_id: String,
}

/// The numbers of the lines from the last one back to the first; all of them when a line names one
/// that isn't there.
fn way(lines: &[Line]) -> HashSet<usize> {
    let by_id: HashMap<&str, usize> = lines
        .iter()
        .enumerate()
        .filter_map(|(number, line)| Some((line.id.as_deref()?, number)))
        .collect();
    let all = || (0..lines.len()).collect();
    let mut found = HashSet::new();
    let mut at = lines
        .iter()
        .rposition(|line| line.id.is_some() && line.kind != "session");
    while let Some(number) = at {
        if !found.insert(number) {
            return all();
        }
        at = match lines[number].parent_id.as_deref() {
            None => None,
            Some(parent) => match by_id.get(parent) {
                Some(number) => Some(*number),
                None => return all(),
            },
        };
    }
    found
}

fn row(number: usize, line: &Line, said: &Said) -> Option<MessageRow> {
    let body = match said.role.as_str() {
        "user" => BodyRow::User(user(said)),
        "assistant" => BodyRow::Assistant(assistant(said)),
        "toolResult" => BodyRow::Tool(ToolRow {
            call_id: said.tool_call_id.clone(),
            name: said.tool_name.clone(),
            text: texts(&said.content),
            is_error: said.is_error,
        }),
        _ => return None,
    };
    let own = line.id.as_deref().filter(|id| !id.is_empty());
    let key = match own {
        Some(id) => format!("{KEY}{id}"),
        None => format!("{KEY}line:{number}"),
    };
    Some(MessageRow {
        id: short(own.unwrap_or(&key)),
        key: Some(key),
        timestamp: moment(line, said),
        body,
    })
}

/// Eight hexadecimal digits: the id itself, or made of it.
fn short(id: &str) -> String {
    let is_short = id.len() == 8 && id.bytes().all(|b| b.is_ascii_hexdigit());
    if is_short {
        return id.to_ascii_lowercase();
    }
    spell::hex(&Sha256::digest(id.as_bytes())[..4])
}

fn moment(line: &Line, said: &Said) -> u64 {
    let own = said.timestamp.or_else(|| line.timestamp.as_ref()?.as_f64());
    let written = || {
        let text = line.timestamp.as_ref()?.as_str()?;
        let stamp: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(stamp.as_millisecond()).ok()
    };
    own.map(whole).or_else(written).unwrap_or(0)
}

/// A count; what is none is nothing.
fn whole(number: f64) -> u64 {
    // A cast from a float stops at the ends of the range.
    number as u64
}

fn user(said: &Said) -> InputRow {
    let told = texts(&said.content);
    let (text, sender_label) = envelope::plain(&told);
    let images = parts(&said.content).filter(|part| part.kind == "image");
    InputRow {
        prompt: (told != text).then_some(told),
        text,
        sender_label,
        images: images
            .map(|part| ImageRow {
                mime_type: part.mime_type.clone(),
                // Four characters of base64 stand for three bytes.
                bytes: part.data.len() as u64 / 4 * 3,
            })
            .collect(),
    }
}

fn assistant(said: &Said) -> AssistantRow {
    let of_kind = |kind: &'static str| parts(&said.content).filter(move |part| part.kind == kind);
    AssistantRow {
        text: texts(&said.content),
        thoughts: of_kind("thinking")
            .map(|part| ThoughtRow {
                text: part.thinking.clone(),
                seal: part.thinking_signature.clone(),
                hidden: part.redacted,
            })
            .collect(),
        calls: of_kind("toolCall")
            .map(|part| CallRow {
                id: part.id.clone(),
                name: part.name.clone(),
                arguments: part.arguments.clone(),
            })
            .collect(),
        api: said.api.clone(),
        provider: said.provider.clone(),
        model: said.model.clone(),
        tokens: TokensRow {
            input: whole(said.usage.input),
            output: whole(said.usage.output),
            cache_read: whole(said.usage.cache_read),
            cache_write: whole(said.usage.cache_write),
            total: whole(said.usage.total_tokens),
        },
        stop_reason: said.stop_reason.clone(),
        error_message: said.error_message.clone(),
        shown_key: said.idempotency_key.clone(),
        abort: said.openclaw_abort.as_ref().map(|abort| AbortRow {
            origin: abort.origin.clone(),
            run_id: abort.run_id.clone(),
        }),
    }
}

fn parts(content: &Content) -> impl Iterator<Item = &Part> {
    match content {
        Content::Text(_) => [].iter(),
        Content::Parts(parts) => parts.iter(),
    }
}

fn texts(content: &Content) -> String {
    if let Content::Text(text) = content {
        return text.clone();
    }
    let texts = parts(content).filter(|part| part.kind == "text");
    let texts: Vec<&str> = texts.map(|part| part.text.as_str()).collect();
    texts.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_lines(lines: &[Value]) -> Transcript {
        let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
        read(&lines.join("\n"))
    }

    fn said(id: &str, parent: Option<&str>, text: &str) -> Value {
        json!({ "type": "message", "id": id, "parentId": parent,
            "timestamp": "2026-11-22T13:02:00.000Z",
            "message": { "role": "user", "content": [{ "type": "text", "text": text }], "timestamp": 5 } })
    }

    fn texts_of(found: &Transcript) -> Vec<&str> {
        let text = |row: &'_ MessageRow| match &row.body {
            BodyRow::User(user) => user.text.len(),
            _ => 0,
        };
        let all = found.messages.iter();
        all.map(|row| match &row.body {
            BodyRow::User(user) => &user.text[..text(row)],
            _ => "",
        })
        .collect()
    }

    #[test]
    fn branches_that_were_given_up_are_left_out() {
        let found = read_lines(&[
            json!({ "type": "session", "version": 3, "id": "s", "timestamp": "x" }),
            json!({ "type": "model_change", "id": "00000000", "parentId": null }),
            said("00000001", Some("00000000"), "a"),
            said("00000002", Some("00000001"), "given up"),
            said("00000003", Some("00000001"), "b"),
        ]);
        assert_eq!(texts_of(&found), ["a", "b"]);
        let reason = "messages of branches that were given up";
        assert_eq!(found.left_out, [(reason, 1)]);
        assert_eq!(found.messages[1].id, "00000003");
        assert_eq!(found.messages[1].key.as_deref(), Some("import:00000003"));
        assert_eq!(found.messages[1].timestamp, 5);
    }

    #[test]
    fn a_chain_with_a_gap_is_taken_as_it_stands() {
        let found = read_lines(&[said("a", Some("nosuch"), "x"), said("b", Some("a"), "y")]);
        assert_eq!(texts_of(&found), ["x", "y"]);
        let circle = read_lines(&[said("a", Some("b"), "x"), said("b", Some("a"), "y")]);
        assert_eq!(texts_of(&circle), ["x", "y"]);
    }

    #[test]
    fn what_cannot_be_read_is_counted() {
        let mut text = said("a", None, "x").to_string();
        text.push_str("\n{ half a li\n");
        text.push_str(
            &json!({ "type": "message", "id": "b", "parentId": "a",
            "message": { "role": "bashExecution", "content": [] } })
            .to_string(),
        );
        let found = read(&text);
        assert_eq!(texts_of(&found), ["x"]);
        assert_eq!(found.left_out.len(), 2, "{:?}", found.left_out);
        assert!(read("").messages.is_empty());
    }
}
