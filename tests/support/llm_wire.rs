//! The two wires of the fake model server: what they write, and what they refuse.
//!
//! Used by `llm.rs` alone. The checks are those that the real servers make of a conversation; a
//! gateway that passes them here is understood there.

use serde_json::{Value, json};

/// How the server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// `POST /v1/chat/completions`.
    Completions,
    /// `POST /v1/messages`.
    Messages,
}

fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

fn named(value: &Value) -> String {
    let name = value["type"].as_str().unwrap_or_default();
    format!("event: {name}\ndata: {value}\n\n")
}

fn choice(delta: &Value) -> String {
    data(&json!({ "choices": [{ "index": 0, "delta": delta }] }))
}

fn block(index: usize, start: &Value, deltas: &[Value]) -> Vec<String> {
    let start = json!({ "type": "content_block_start", "index": index, "content_block": start });
    let deltas = deltas.iter().map(|delta| {
        named(&json!({ "type": "content_block_delta", "index": index, "delta": delta }))
    });
    let stop = named(&json!({ "type": "content_block_stop", "index": index }));
    let start = std::iter::once(named(&start));
    start.chain(deltas).chain([stop]).collect()
}

fn message_start() -> String {
    named(&json!({ "type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "content": [],
        "stop_reason": null, "usage": {
            "input_tokens": 100, "cache_read_input_tokens": 20,
            "cache_creation_input_tokens": 0, "output_tokens": 1,
        },
    }}))
}

fn message_end(reason: &str) -> [String; 2] {
    let delta = json!({ "type": "message_delta", "delta": { "stop_reason": reason },
        "usage": { "output_tokens": 7 } });
    [named(&delta), named(&json!({ "type": "message_stop" }))]
}

fn usage() -> String {
    data(&json!({ "choices": [], "usage": {
        "prompt_tokens": 120, "completion_tokens": 7, "total_tokens": 127,
        "prompt_tokens_details": { "cached_tokens": 20 },
    }}))
}

impl Wire {
    /// What comes before the first text.
    pub fn begin(self) -> Vec<String> {
        match self {
            Wire::Completions => vec![],
            Wire::Messages => vec![
                message_start(),
                named(&json!({ "type": "ping" })),
                named(&json!({ "type": "content_block_start", "index": 0,
                    "content_block": { "type": "text", "text": "" } })),
            ],
        }
    }

    /// One event for each text.
    pub fn texts(self, texts: &[String]) -> Vec<String> {
        let event = |text: &String| match self {
            Wire::Completions => choice(&json!({ "content": text })),
            Wire::Messages => named(&json!({ "type": "content_block_delta", "index": 0,
                "delta": { "type": "text_delta", "text": text } })),
        };
        texts.iter().map(event).collect()
    }

    /// A thought, and the beginning of the text behind it.
    pub fn thought(self, thought: &str) -> Vec<String> {
        match self {
            Wire::Completions => vec![choice(&json!({ "reasoning_content": thought }))],
            Wire::Messages => {
                let start = json!({ "type": "thinking", "thinking": "", "signature": "" });
                let deltas = [
                    json!({ "type": "thinking_delta", "thinking": thought }),
                    json!({ "type": "signature_delta", "signature": "sealed" }),
                ];
                let mut events = vec![message_start()];
                events.extend(block(1, &start, &deltas));
                events.extend(self.begin().split_off(2));
                events
            }
        }
    }

    /// The end of an answer, with token counts.
    pub fn end(self, with_usage: bool) -> Vec<String> {
        match self {
            Wire::Completions => {
                let end = json!({ "index": 0, "delta": {}, "finish_reason": "stop" });
                let end = data(&json!({ "choices": [end] }));
                let usage = with_usage.then(usage);
                let done = "data: [DONE]\n\n".to_owned();
                std::iter::once(end).chain(usage).chain([done]).collect()
            }
            Wire::Messages => {
                let stop = named(&json!({ "type": "content_block_stop", "index": 0 }));
                std::iter::once(stop)
                    .chain(message_end("end_turn"))
                    .collect()
            }
        }
    }

    /// A whole answer that calls tools; the arguments come in two pieces.
    pub fn calls(self, text: &str, calls: &[(String, String, Value)]) -> Vec<String> {
        let halves = |arguments: &Value| {
            let text = arguments.to_string();
            let (first, second) = text.split_at(text.len() / 2);
            [first.to_owned(), second.to_owned()]
        };
        let mut events = Vec::new();
        match self {
            Wire::Completions => {
                if !text.is_empty() {
                    events.push(choice(&json!({ "content": text })));
                }
                for (index, (id, name, arguments)) in calls.iter().enumerate() {
                    let [first, second] = halves(arguments);
                    let begin = json!({ "index": index, "id": id, "type": "function",
                        "function": { "name": name, "arguments": first } });
                    let rest = json!({ "index": index, "function": { "arguments": second } });
                    events.push(choice(&json!({ "tool_calls": [begin] })));
                    events.push(choice(&json!({ "tool_calls": [rest] })));
                }
                let end = json!({ "index": 0, "delta": {}, "finish_reason": "tool_calls" });
                events.push(data(&json!({ "choices": [end] })));
                events.push(usage());
                events.push("data: [DONE]\n\n".to_owned());
            }
            Wire::Messages => {
                events.push(message_start());
                if !text.is_empty() {
                    let delta = json!({ "type": "text_delta", "text": text });
                    events.extend(block(0, &json!({ "type": "text", "text": "" }), &[delta]));
                }
                for (index, (id, name, arguments)) in calls.iter().enumerate() {
                    let start = json!({ "type": "tool_use", "id": id, "name": name, "input": {} });
                    let deltas = halves(arguments)
                        .map(|part| json!({ "type": "input_json_delta", "partial_json": part }));
                    events.extend(block(index + 1, &start, &deltas));
                }
                events.extend(message_end("tool_use"));
            }
        }
        events
    }

    /// The body of a refusal.
    pub fn error(self, text: &str) -> Value {
        let error = json!({ "message": text, "type": "fake" });
        match self {
            Wire::Completions => json!({ "error": error }),
            Wire::Messages => json!({ "type": "error", "error": error }),
        }
    }
}

/// Refuses what the real servers refuse.
///
/// # Errors
/// What is wrong with the request.
pub fn check<'a>(
    wire: Wire,
    header: &impl Fn(&str) -> Option<&'a str>,
    body: &Value,
) -> Result<(), String> {
    let messages = body["messages"]
        .as_array()
        .filter(|messages| !messages.is_empty())
        .ok_or("messages: at least one message is required")?;
    if !body["model"].is_string() {
        return Err("model: field required".into());
    }
    match wire {
        Wire::Completions => check_completions(messages),
        Wire::Messages => {
            header("anthropic-version").ok_or("anthropic-version: header is required")?;
            check_messages(messages, body)
        }
    }
}

/// Each call of a tool is answered by the messages right behind it, and nothing else is.
fn check_completions(messages: &[Value]) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    for message in messages {
        let role = message["role"].as_str().unwrap_or_default();
        if role == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            let place = open.iter().position(|open| *open == id);
            let place = place.ok_or("messages with role 'tool' must follow 'tool_calls'")?;
            open.remove(place);
            continue;
        }
        if !open.is_empty() {
            return Err(format!(
                "tool_call_ids did not have response messages: {open:?}"
            ));
        }
        let calls = message["tool_calls"].as_array();
        for call in calls.into_iter().flatten() {
            let arguments = call["function"]["arguments"].as_str();
            arguments.ok_or("tool_calls.function.arguments: a string is required")?;
            open.push(call["id"].as_str().unwrap_or_default());
        }
    }
    match open.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "tool_call_ids did not have response messages: {open:?}"
        )),
    }
}

fn check_messages(messages: &[Value], body: &Value) -> Result<(), String> {
    let max_tokens = body["max_tokens"]
        .as_u64()
        .ok_or("max_tokens: field required")?;
    let budget = body["thinking"]["budget_tokens"].as_u64();
    if budget.is_some_and(|budget| budget < 1_024 || budget >= max_tokens) {
        return Err("max_tokens must be greater than thinking.budget_tokens".into());
    }
    let mut open: Vec<&str> = Vec::new();
    let mut expected = "user";
    for message in messages {
        let role = message["role"].as_str().unwrap_or_default();
        if role != expected {
            return Err(format!(
                "messages: roles must alternate, expected {expected}"
            ));
        }
        expected = if role == "user" { "assistant" } else { "user" };
        let blocks = message["content"]
            .as_array()
            .filter(|list| !list.is_empty());
        let blocks = blocks.ok_or("messages: content must not be empty")?;
        let mut called = Vec::new();
        for block in blocks {
            match block["type"].as_str().unwrap_or_default() {
                "text"
                    if block["text"]
                        .as_str()
                        .is_none_or(|text| text.trim().is_empty()) =>
                {
                    return Err("messages: text content blocks must be non-empty".into());
                }
                "tool_use" if !block["input"].is_object() => {
                    return Err("messages: tool_use.input: an object is required".into());
                }
                "tool_use" => called.push(block["id"].as_str().unwrap_or_default()),
                "tool_result" => {
                    let id = block["tool_use_id"].as_str().unwrap_or_default();
                    let place = open.iter().position(|open| *open == id);
                    let place = place.ok_or("messages: unexpected tool_use_id in tool_result")?;
                    open.remove(place);
                }
                _ => {}
            }
        }
        if !open.is_empty() {
            return Err(format!(
                "messages: tool_use ids without tool_result: {open:?}"
            ));
        }
        open = called;
    }
    if (!open.is_empty() || messages.iter().any(holds_tools)) && !body["tools"].is_array() {
        return Err("tools: field required when messages hold tool blocks".into());
    }
    Ok(())
}

fn holds_tools(message: &Value) -> bool {
    let blocks = message["content"].as_array();
    blocks.is_some_and(|blocks| blocks.iter().any(|block| block["type"] == "tool_use"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(wire: Wire, body: &Value) -> Option<String> {
        check(wire, &|_| Some("2023-06-01"), body).err()
    }

    #[test]
    fn conversations_that_no_server_takes_are_refused() {
        let user = |content: Value| json!({ "role": "user", "content": content });
        let text = json!([{ "type": "text", "text": "a" }]);
        let used = json!({ "role": "assistant", "content": [
            { "type": "tool_use", "id": "t", "name": "n", "input": {} }] });
        let result = user(json!([{ "type": "tool_result", "tool_use_id": "t" }]));
        let body = |messages: &[&Value]| json!({ "model": "m", "max_tokens": 5_000, "messages": messages, "tools": [] });
        let asked = user(text.clone());
        assert_eq!(refused(Wire::Messages, &body(&[&asked])), None);
        assert_eq!(
            refused(Wire::Messages, &body(&[&asked, &used, &result])),
            None
        );
        for (messages, why) in [
            (vec![&asked, &asked], "alternate"),
            (vec![&asked, &used, &asked], "without tool_result"),
            (vec![&result], "unexpected tool_use_id"),
            (vec![], "at least one"),
        ] {
            let told = refused(Wire::Messages, &body(&messages)).unwrap_or_default();
            assert!(told.contains(why), "{told}");
        }
        let mut thinking = body(&[&asked]);
        thinking["thinking"] = json!({ "type": "enabled", "budget_tokens": 5_000 });
        assert!(refused(Wire::Messages, &thinking).is_some());
    }

    #[test]
    fn completions_want_each_call_answered() {
        let called = json!({ "role": "assistant", "tool_calls": [
            { "id": "c", "function": { "name": "n", "arguments": "{}" } }] });
        let answer = json!({ "role": "tool", "tool_call_id": "c", "content": "x" });
        let body = |messages: &[&Value]| json!({ "model": "m", "messages": messages });
        assert_eq!(refused(Wire::Completions, &body(&[&called, &answer])), None);
        for wrong in [vec![&called], vec![&answer], vec![&called, &called]] {
            assert!(
                refused(Wire::Completions, &body(&wrong)).is_some(),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn what_is_written_is_what_the_wire_says() {
        let call = ("t".to_owned(), "n".to_owned(), json!({ "a": 1 }));
        let events = Wire::Messages
            .calls("so", std::slice::from_ref(&call))
            .concat();
        let order = [
            "message_start",
            "text_delta",
            "tool_use",
            "input_json_delta",
            "message_stop",
        ];
        let places: Vec<_> = order.iter().map(|word| events.find(word)).collect();
        assert!(places.is_sorted() && places[0].is_some(), "{places:?}");
        let events = Wire::Completions.calls("", &[call]).concat();
        assert!(
            events.contains("\"finish_reason\":\"tool_calls\"") && events.ends_with("[DONE]\n\n")
        );
        let thought = Wire::Messages.thought("hm").concat();
        assert!(thought.contains("\"signature\":\"sealed\"") && thought.contains("message_start"));
    }
}
