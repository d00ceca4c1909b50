//! What a coding agent tells while it works (`session/update`), as steps of an answer.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::agent::runner::{Step, ToolCall};
use crate::agent::toolbox::ToolOutput;
use crate::limits;

/// One update; kinds that nobody here shows are passed over.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Update {
    session_update: String,
    content: Value,
    tool_call_id: String,
    title: Option<String>,
    kind: Option<String>,
    status: Option<String>,
    raw_input: Value,
    raw_output: Value,
}

/// The updates of one answer.
#[derive(Debug, Default)]
pub(super) struct Updates {
    /// The tools that are at work.
    open: HashMap<String, ToolCall>,
    /// Something was said.
    spoke: bool,
    /// A tool was used since.
    used: bool,
    said: usize,
}

impl Updates {
    /// The steps that an update makes.
    pub(super) fn steps(&mut self, update: Update) -> Vec<Step> {
        match update.session_update.as_str() {
            "agent_message_chunk" => self.text(&update.content).into_iter().collect(),
            "agent_thought_chunk" => {
                let text = update.content["text"]
                    .as_str()
                    .filter(|text| !text.is_empty());
                text.map(|text| Step::Thinking(text.to_owned()))
                    .into_iter()
                    .collect()
            }
            "tool_call" | "tool_call_update" => self.tool(update),
            _ => Vec::new(),
        }
    }

    /// Whether the answer is longer than one may be.
    pub(super) fn is_too_long(&self) -> bool {
        self.said > limits::MODEL_ANSWER_BYTES_MAX
    }

    /// Whether anything was said.
    pub(super) fn spoke(&self) -> bool {
        self.spoke
    }

    fn text(&mut self, content: &Value) -> Option<Step> {
        let text = content["text"].as_str().filter(|text| !text.is_empty())?;
        self.said = self.said.saturating_add(text.len());
        // What is said after a tool was used is a paragraph of its own.
        let apart = self.spoke && self.used;
        (self.spoke, self.used) = (true, false);
        Some(Step::Text(match apart {
            true => format!("\n\n{text}"),
            false => text.to_owned(),
        }))
    }

    fn tool(&mut self, update: Update) -> Vec<Step> {
        let mut steps = Vec::new();
        if update.tool_call_id.is_empty() {
            return steps;
        }
        self.used = true;
        let id = update.tool_call_id.clone();
        if !self.open.contains_key(&id) {
            // An update of what ended, or was never begun, begins nothing.
            if update.session_update != "tool_call" || self.open.len() >= limits::ACP_TOOLS_KEPT_MAX
            {
                return steps;
            }
            let call = begun(&update);
            self.open.insert(id.clone(), call.clone());
            steps.push(Step::Using(call));
        }
        let failed = match update.status.as_deref() {
            Some("completed") => false,
            Some("failed") => true,
            _ => return steps,
        };
        if let Some(call) = self.open.remove(&id) {
            let output = ToolOutput {
                text: output(&update),
                is_error: failed,
                meta: update.title,
            };
            steps.push(Step::Used(call, output));
        }
        steps
    }
}

fn begun(update: &Update) -> ToolCall {
    let mut arguments = json!({});
    if let Some(title) = &update.title {
        arguments["title"] = json!(title);
    }
    if !update.raw_input.is_null() {
        arguments["input"] = update.raw_input.clone();
    }
    ToolCall {
        id: update.tool_call_id.clone(),
        name: update.kind.clone().unwrap_or_else(|| "tool".to_owned()),
        arguments,
    }
}

/// What came of a tool, as text.
fn output(update: &Update) -> String {
    let parts = update.content.as_array().into_iter().flatten();
    let texts: Vec<String> = parts
        .filter_map(|part| match part["type"].as_str() {
            Some("content") => part["content"]["text"].as_str().map(str::to_owned),
            Some("diff") => part["path"].as_str().map(|path| format!("changed {path}")),
            _ => None,
        })
        .collect();
    match (texts.is_empty(), &update.raw_output) {
        (false, _) => texts.join("\n"),
        (true, Value::Null) => String::new(),
        (true, Value::String(text)) => text.clone(),
        (true, raw) => raw.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn steps(updates: &mut Updates, value: Value) -> Vec<Step> {
        updates.steps(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn updates_become_steps() {
        let mut updates = Updates::default();
        let say = |text: &str| json!({ "sessionUpdate": "agent_message_chunk", "content": { "type": "text", "text": text } });
        assert_eq!(
            steps(&mut updates, say("Hello ")),
            [Step::Text("Hello ".into())]
        );
        assert_eq!(steps(&mut updates, say("")), []);
        let begin = json!({ "sessionUpdate": "tool_call", "toolCallId": "t1", "title": "ls",
            "kind": "execute", "status": "pending", "rawInput": { "command": "ls" } });
        let begun = steps(&mut updates, begin.clone());
        let Step::Using(call) = &begun[0] else {
            panic!("{begun:?}");
        };
        assert_eq!(
            (call.name.as_str(), &call.arguments["input"]["command"]),
            ("execute", &json!("ls"))
        );
        assert!(steps(&mut updates, begin).is_empty(), "begun once");
        let end = json!({ "sessionUpdate": "tool_call_update", "toolCallId": "t1", "status": "failed",
            "content": [{ "type": "content", "content": { "type": "text", "text": "no" } }] });
        let ended = steps(&mut updates, end.clone());
        let [Step::Used(same, output)] = &ended[..] else {
            panic!("{ended:?}");
        };
        assert_eq!(
            (same.id.as_str(), output.text.as_str(), output.is_error),
            ("t1", "no", true)
        );
        assert!(steps(&mut updates, end).is_empty(), "ended once");
        assert_eq!(
            steps(&mut updates, say("Done")),
            [Step::Text("\n\nDone".into())]
        );
        assert!(
            steps(
                &mut updates,
                json!({ "sessionUpdate": "plan", "entries": [] })
            )
            .is_empty()
        );
    }
}
