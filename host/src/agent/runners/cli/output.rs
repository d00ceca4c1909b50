//! What a program wrote: its answer, its id of the conversation, its count of tokens.
//!
//! Pure: bytes in, our own words out. Promises that what can't be read is an error and that
//! unknown lines and fields are ignored.

use serde_json::Value;

use super::backend::{Output, is_id};
use crate::agent::runner::Usage;
use crate::agent::runners::dialect::error_text;

/// What a program answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The answer; may be empty.
    pub text: String,
    /// The id of the conversation.
    pub session_id: Option<String>,
    /// Tokens.
    pub usage: Option<Usage>,
    /// The program says that it failed.
    pub error: Option<String>,
}

/// Reads the whole output of a program; none when it isn't what it should be.
pub fn read(kind: Output, output: &str, id_fields: &[String]) -> Option<Said> {
    match kind {
        Output::Text => Some(Said {
            text: output.trim().to_owned(),
            ..Said::default()
        }),
        Output::Json => {
            let value: Value = serde_json::from_str(output.trim()).ok()?;
            let mut said = Said::default();
            match value {
                // Some write everything that happened; the result is the last of it.
                Value::Array(events) => events.iter().for_each(|e| hear(e, id_fields, &mut said)),
                value => hear(&value, id_fields, &mut said),
            }
            Some(said)
        }
        Output::Jsonl => {
            let mut said = Said::default();
            let lines = output.lines().filter(|line| !line.trim().is_empty());
            let mut any = false;
            for value in lines.filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
                any = true;
                hear(&value, id_fields, &mut said);
            }
            any.then_some(said)
        }
    }
}

fn hear(value: &Value, id_fields: &[String], said: &mut Said) {
    let id = id_fields
        .iter()
        .find_map(|field| value.get(field)?.as_str());
    if let Some(id) = id.filter(|id| is_id(id)) {
        said.session_id = Some(id.to_owned());
    }
    if let Some(usage) = value.get("usage").and_then(usage) {
        said.usage = Some(usage);
    }
    let kind = value
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    match kind {
        "item.completed" => {
            let item = &value["item"];
            if item["type"] == "agent_message"
                && let Some(text) = item["text"].as_str()
            {
                said.text = text.trim().to_owned();
            }
            if item["type"] == "error" {
                said.error = error_text(item);
            }
        }
        // It went on after what it complained of.
        "turn.completed" => said.error = None,
        "turn.failed" => said.error = error_text(&value["error"]),
        "error" => said.error = error_text(value),
        _ => {
            let failed = value.get("is_error").and_then(Value::as_bool) == Some(true);
            let text = ["result", "response", "text", "content", "message"]
                .iter()
                .find_map(|field| value.get(field)?.as_str());
            match text {
                Some(text) if failed => said.error = error_text(&Value::from(text)),
                Some(text) => said.text = text.trim().to_owned(),
                None if failed => said.error = Some("it failed without a reason".to_owned()),
                None => {}
            }
        }
    }
}

fn usage(wire: &Value) -> Option<Usage> {
    let count = |names: &[&str]| names.iter().find_map(|name| wire.get(name)?.as_u64());
    let input = count(&["input_tokens", "inputTokens"])?;
    let output = count(&["output_tokens", "outputTokens"]).unwrap_or(0);
    let cached = count(&["cached_input_tokens"]);
    let cache_read = count(&["cache_read_input_tokens"]).or(cached).unwrap_or(0);
    let cache_write = count(&["cache_creation_input_tokens"]).unwrap_or(0);
    // Who says `cached_input_tokens` counts them in the input, too.
    let input = if cached.is_some() {
        input.saturating_sub(cache_read)
    } else {
        input
    };
    let prompt = input.saturating_add(cache_read).saturating_add(cache_write);
    Some(Usage {
        input,
        output,
        cache_read,
        cache_write,
        total: prompt.saturating_add(output),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn fields() -> Vec<String> {
        vec!["session_id".into(), "thread_id".into()]
    }

    #[test]
    fn one_value_holds_answer_id_and_count() {
        let text = json!({"type": "result", "subtype": "success", "is_error": false,
            "result": " Hi. ", "session_id": "s-1",
            "usage": {"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": 5}});
        let said = read(Output::Json, &text.to_string(), &fields()).unwrap();
        assert_eq!(
            (said.text.as_str(), said.session_id.as_deref()),
            ("Hi.", Some("s-1"))
        );
        assert_eq!(said.usage.unwrap().total, 12);
        let failed = json!({"type": "result", "is_error": true, "result": "no credit"});
        let said = read(Output::Json, &failed.to_string(), &fields()).unwrap();
        assert_eq!(said.error.as_deref(), Some("no credit"));
        let list = json!([{"type": "system"}, text]);
        assert_eq!(
            read(Output::Json, &list.to_string(), &fields())
                .unwrap()
                .text,
            "Hi."
        );
    }

    #[test]
    fn of_many_lines_the_last_answer_counts() {
        let lines = [
            json!({"type": "thread.started", "thread_id": "t-1"}),
            json!({"type": "turn.started"}),
            json!({"type": "item.completed", "item": {"type": "error", "message": "old flag"}}),
            json!({"type": "item.completed", "item": {"type": "reasoning", "text": "hm"}}),
            json!({"type": "item.completed", "item": {"type": "agent_message", "text": "one"}}),
            json!({"type": "item.completed", "item": {"type": "agent_message", "text": "two"}}),
            json!({"type": "turn.completed",
                "usage": {"input_tokens": 10, "cached_input_tokens": 4, "output_tokens": 2}}),
        ];
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let said = read(Output::Jsonl, &format!("a warning\n{text}"), &fields()).unwrap();
        assert_eq!((said.text.as_str(), said.error), ("two", None));
        assert_eq!(said.session_id.as_deref(), Some("t-1"));
        let usage = said.usage.unwrap();
        assert_eq!((usage.input, usage.cache_read, usage.total), (6, 4, 12));
        let failed = json!({"type": "turn.failed", "error": {"message": "over\nloaded"}});
        let said = read(Output::Jsonl, &failed.to_string(), &fields()).unwrap();
        assert_eq!(said.error.as_deref(), Some("over loaded"));
    }

    #[test]
    fn rubbish_is_no_answer_and_a_bad_id_is_none() {
        for kind in [Output::Json, Output::Jsonl] {
            assert_eq!(read(kind, "Segmentation fault", &fields()), None);
            assert_eq!(read(kind, "", &fields()), None);
        }
        assert_eq!(read(Output::Text, " hi \n", &fields()).unwrap().text, "hi");
        let evil = json!({"session_id": "--evil", "result": "x"}).to_string();
        assert_eq!(
            read(Output::Json, &evil, &fields()).unwrap().session_id,
            None
        );
    }
}
