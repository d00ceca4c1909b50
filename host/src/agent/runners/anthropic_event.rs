//! What a Messages server writes: the events of a stream, a whole reply, errors.
//!
//! Called by `anthropic`. Pure: text in, our own words out. Promises that unknown events, blocks
//! and fields are ignored, as the wire asks of its clients.

use serde::Deserialize;
use serde_json::Value;

use super::dialect::{Dialect, EventError, Heard, OpenCall, error_text};
use crate::agent::runner::{Stop, Thought, ToolCall, Usage};
use crate::limits;

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WireEvent {
    MessageStart {
        message: WireMessage,
    },
    ContentBlockStart {
        index: u64,
        content_block: WireBlock,
    },
    ContentBlockDelta {
        index: u64,
        delta: WireDelta,
    },
    ContentBlockStop {
        index: u64,
    },
    MessageDelta {
        #[serde(default)]
        delta: WireEnd,
        usage: Option<WireUsage>,
    },
    MessageStop,
    Error {
        error: Value,
    },
    /// A whole reply of a server that does not stream.
    Message(WireMessage),
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct WireMessage {
    #[serde(default)]
    content: Vec<WireBlock>,
    stop_reason: Option<String>,
    usage: Option<WireUsage>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WireBlock {
    Text {
        #[serde(default)]
        text: String,
    },
    Thinking {
        #[serde(default)]
        thinking: String,
        #[serde(default)]
        signature: String,
    },
    RedactedThinking {
        data: String,
    },
    ToolUse {
        id: String,
        name: String,
        #[serde(default)]
        input: Value,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WireDelta {
    TextDelta {
        text: String,
    },
    InputJsonDelta {
        partial_json: String,
    },
    ThinkingDelta {
        thinking: String,
    },
    SignatureDelta {
        signature: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Default, Deserialize)]
struct WireEnd {
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
struct WireUsage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
}

/// A block that is being written.
#[derive(Debug)]
enum Block {
    Thought(Thought),
    Call(OpenCall),
}

/// The wire of streaming messages.
#[derive(Debug, Default)]
pub struct Events {
    open: Vec<(u64, Block)>,
    calls: Vec<OpenCall>,
    usage: Usage,
}

impl Dialect for Events {
    fn read(&mut self, event: &str) -> Result<Vec<Heard>, EventError> {
        let mut heard = Vec::new();
        match serde_json::from_str(event)? {
            WireEvent::MessageStart { message } => {
                heard.extend(message.usage.map(|u| self.count(u)))
            }
            WireEvent::ContentBlockStart {
                index,
                content_block,
            } => {
                self.begin(index, content_block, &mut heard)?;
            }
            WireEvent::ContentBlockDelta { index, delta } => self.grow(index, delta, &mut heard)?,
            WireEvent::ContentBlockStop { index } => heard.extend(self.close(index)),
            WireEvent::MessageDelta { delta, usage } => {
                heard.extend(usage.map(|usage| self.count(usage)));
                heard.extend(delta.stop_reason.as_deref().map(stop));
            }
            WireEvent::MessageStop => heard.push(Heard::Over),
            WireEvent::Error { error } => {
                let said = error_text(&error).unwrap_or("unknown error".into());
                return Err(EventError::Said(said));
            }
            WireEvent::Message(message) => {
                for (index, block) in (0..).zip(message.content) {
                    self.begin(index, block, &mut heard)?;
                    heard.extend(self.close(index));
                }
                heard.extend(message.usage.map(|usage| self.count(usage)));
                heard.extend(message.stop_reason.as_deref().map(stop));
                heard.push(Heard::Over);
            }
            WireEvent::Other => {}
        }
        Ok(heard)
    }

    fn finish(&mut self) -> (Vec<Thought>, Vec<ToolCall>) {
        let calls = std::mem::take(&mut self.calls).into_iter().enumerate();
        let calls = calls.map(|(number, call)| call.close(number)).collect();
        (Vec::new(), calls)
    }
}

fn stop(reason: &str) -> Heard {
    Heard::Stop(match reason {
        "max_tokens" | "model_context_window_exceeded" => Stop::Length,
        _ => Stop::Done,
    })
}

impl Events {
    fn begin(
        &mut self,
        index: u64,
        block: WireBlock,
        heard: &mut Vec<Heard>,
    ) -> Result<(), EventError> {
        let block = match block {
            WireBlock::Text { text } => {
                heard.push(Heard::Text(text));
                return Ok(());
            }
            WireBlock::Thinking {
                thinking,
                signature,
            } => {
                heard.push(Heard::Thinking(thinking.clone()));
                Block::Thought(Thought {
                    text: thinking,
                    seal: Some(signature).filter(|seal| !seal.is_empty()),
                    hidden: false,
                })
            }
            WireBlock::RedactedThinking { data } => Block::Thought(Thought {
                text: String::new(),
                seal: Some(data),
                hidden: true,
            }),
            WireBlock::ToolUse { id, name, input } => {
                // A stream begins with an empty object and writes the real one in pieces.
                let whole = input.as_object().is_some_and(|input| !input.is_empty());
                let arguments = if whole {
                    input.to_string()
                } else {
                    String::new()
                };
                Block::Call(OpenCall {
                    id,
                    name,
                    arguments,
                })
            }
            WireBlock::Other => return Ok(()),
        };
        if self.open.len() + self.calls.len() >= limits::TOOL_CALLS_MAX {
            return Err(EventError::TooMuch);
        }
        self.open.push((index, block));
        Ok(())
    }

    fn grow(
        &mut self,
        index: u64,
        delta: WireDelta,
        heard: &mut Vec<Heard>,
    ) -> Result<(), EventError> {
        if let WireDelta::TextDelta { text } = delta {
            heard.push(Heard::Text(text));
            return Ok(());
        }
        let open = self.open.iter_mut().find(|(open, _)| *open == index);
        match (delta, open.map(|(_, block)| block)) {
            (WireDelta::InputJsonDelta { partial_json }, Some(Block::Call(call))) => {
                call.push(&partial_json)?;
            }
            (WireDelta::ThinkingDelta { thinking }, Some(Block::Thought(thought))) => {
                thought.text.push_str(&thinking);
                heard.push(Heard::Thinking(thinking));
            }
            (WireDelta::SignatureDelta { signature }, Some(Block::Thought(thought))) => {
                let seal = thought.seal.get_or_insert_default();
                if seal.len() + signature.len() > limits::MODEL_EVENT_BYTES_MAX {
                    return Err(EventError::TooMuch);
                }
                seal.push_str(&signature);
            }
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, index: u64) -> Option<Heard> {
        let place = self.open.iter().position(|(open, _)| *open == index)?;
        match self.open.remove(place).1 {
            Block::Thought(thought) => Some(Heard::Thought(thought)),
            Block::Call(call) => {
                self.calls.push(call);
                None
            }
        }
    }

    /// The counts are told in parts; each part replaces what it names.
    fn count(&mut self, wire: WireUsage) -> Heard {
        let usage = &mut self.usage;
        let set = |place: &mut u64, count: Option<u64>| *place = count.unwrap_or(*place);
        set(&mut usage.input, wire.input_tokens);
        set(&mut usage.output, wire.output_tokens);
        set(&mut usage.cache_read, wire.cache_read_input_tokens);
        set(&mut usage.cache_write, wire.cache_creation_input_tokens);
        let prompt = usage.input.saturating_add(usage.cache_read);
        let prompt = prompt.saturating_add(usage.cache_write);
        usage.total = prompt.saturating_add(usage.output);
        Heard::Usage(*usage)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn hear(events: &[Value]) -> (Vec<Heard>, Vec<ToolCall>) {
        let mut dialect = Events::default();
        let read = |event: &Value| dialect.read(&event.to_string()).unwrap();
        let heard = events.iter().flat_map(read).collect();
        (heard, dialect.finish().1)
    }

    #[test]
    fn a_stream_of_text_is_read_and_counted() {
        let (heard, calls) = hear(&[
            json!({"type": "message_start", "message": {"id": "m", "role": "assistant",
                "content": [], "usage": {"input_tokens": 10, "cache_read_input_tokens": 5,
                "output_tokens": 1}}}),
            json!({"type": "ping"}),
            json!({"type": "content_block_start", "index": 0,
                "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0,
                "delta": {"type": "text_delta", "text": "Hi"}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "max_tokens"},
                "usage": {"output_tokens": 7}}),
            json!({"type": "message_stop"}),
        ]);
        let usage = |output| Usage {
            input: 10,
            output,
            cache_read: 5,
            cache_write: 0,
            total: 15 + output,
        };
        let want = [
            Heard::Usage(usage(1)),
            Heard::Text(String::new()),
            Heard::Text("Hi".into()),
            Heard::Usage(usage(7)),
            Heard::Stop(Stop::Length),
            Heard::Over,
        ];
        assert_eq!((&heard[..], calls.len()), (&want[..], 0));
    }

    #[test]
    fn thoughts_are_sealed_and_calls_put_together() {
        let delta = |index: u64, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
        let (heard, calls) = hear(&[
            json!({"type": "content_block_start", "index": 0,
                "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
            delta(0, json!({"type": "thinking_delta", "thinking": "hm"})),
            delta(0, json!({"type": "signature_delta", "signature": "se"})),
            delta(0, json!({"type": "signature_delta", "signature": "al"})),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "content_block_start", "index": 1,
                "content_block": {"type": "tool_use", "id": "t1", "name": "send", "input": {}}}),
            delta(
                1,
                json!({"type": "input_json_delta", "partial_json": "{\"x\""}),
            ),
            delta(
                1,
                json!({"type": "input_json_delta", "partial_json": ":1}"}),
            ),
            json!({"type": "content_block_stop", "index": 1}),
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}}),
        ]);
        let thought = Thought {
            text: "hm".into(),
            seal: Some("seal".into()),
            hidden: false,
        };
        assert!(heard.contains(&Heard::Thought(thought)), "{heard:?}");
        let call = ToolCall {
            id: "t1".into(),
            name: "send".into(),
            arguments: json!({"x": 1}),
        };
        assert_eq!(calls, [call]);
    }

    #[test]
    fn a_whole_reply_is_read_too() {
        let (heard, calls) = hear(&[json!({"type": "message", "stop_reason": "tool_use",
            "content": [{"type": "text", "text": "so"}, {"type": "other_block"},
                {"type": "tool_use", "id": "t", "name": "n", "input": {"a": 1}}],
            "usage": {"input_tokens": 3, "output_tokens": 4}})]);
        assert_eq!(heard[0], Heard::Text("so".into()));
        assert_eq!(heard.last(), Some(&Heard::Over));
        assert_eq!(calls[0].arguments, json!({"a": 1}));
    }

    #[test]
    fn errors_are_told_and_unknown_events_ignored() {
        let error = json!({"type": "error", "error": {"type": "overloaded_error",
            "message": "Overloaded"}});
        let read = Events::default().read(&error.to_string());
        assert!(matches!(read, Err(EventError::Said(text)) if text == "Overloaded"));
        for event in [
            json!({"type": "new_event", "x": 1}),
            json!({"type": "content_block_delta", "index": 9,
                "delta": {"type": "citations_delta", "citation": {}}}),
            json!({"type": "content_block_delta", "index": 9,
                "delta": {"type": "input_json_delta", "partial_json": "{"}}),
        ] {
            assert_eq!(hear(&[event]).0, []);
        }
        assert!(matches!(
            Events::default().read("{}"),
            Err(EventError::Unreadable(_))
        ));
    }
}
