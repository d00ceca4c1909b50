//! The `anthropic-messages` runner: any server that speaks streaming messages.
//!
//! One request for each answer: `POST <baseUrl>/v1/messages` with `stream:true`; see
//! [`super::stream`] for retries and reading.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::anthropic_event::Events;
use super::stream::{Endpoint, key_header};
use crate::agent::runner::{Line, Prompt, Runner, RunnerError, Speaker, Steps, ToolSpec};
use crate::agent::thinking::Thinking;
use crate::limits;

/// The wire's name in transcripts and in `models.providers.<id>.api`.
pub const API: &str = "anthropic-messages";
/// The version of the wire that is spoken.
const VERSION: &str = "2023-06-01";
/// An option that not every server knows.
const CACHE: &str = "cache_control";
/// The smallest number of tokens to think with that the wire takes.
const BUDGET_MIN: u64 = 1_024;

/// One model of one server.
#[derive(Clone, Debug)]
pub struct Anthropic {
    endpoint: Endpoint,
    model: String,
    max_tokens: Option<u64>,
}

impl Anthropic {
    /// A runner for `model` at `base_url` (with or without `/v1`). `key` becomes the `x-api-key`,
    /// or the bearer token if `bearer`, unless `headers` hold one of their own. `max_tokens` is
    /// the longest answer that the model can give.
    ///
    /// # Errors
    /// [`RunnerError`] when the key or a header can't stand in a request.
    pub fn new(
        client: reqwest::Client,
        base_url: &str,
        (model, max_tokens): (&str, Option<u64>),
        (key, bearer): (Option<&str>, bool),
        mut headers: HeaderMap,
    ) -> Result<Anthropic, RunnerError> {
        let own = HeaderName::from_static("x-api-key");
        let has_own = headers.contains_key(&own) || headers.contains_key(AUTHORIZATION);
        match key.filter(|_| !has_own) {
            Some(key) if bearer => {
                headers.insert(AUTHORIZATION, key_header(&format!("Bearer {key}"))?);
            }
            Some(key) => {
                headers.insert(own, key_header(key)?);
            }
            None => {}
        }
        let version = HeaderName::from_static("anthropic-version");
        headers
            .entry(version)
            .or_insert(HeaderValue::from_static(VERSION));
        let base = base_url.trim_end_matches('/');
        let base = base.strip_suffix("/v1").unwrap_or(base);
        Ok(Anthropic {
            endpoint: Endpoint::new(client, format!("{base}/v1/messages"), headers, key),
            model: model.to_owned(),
            max_tokens,
        })
    }

    async fn answer(self, prompt: Arc<Prompt>) -> Result<Steps, RunnerError> {
        let body = |options: &[&str]| {
            let cached = options.contains(&CACHE);
            request_body(&self.model, self.max_tokens, &prompt, cached)
                .to_string()
                .into_bytes()
        };
        self.endpoint.ask(vec![CACHE], body, Events::default).await
    }
}

impl Runner for Anthropic {
    fn api(&self) -> &'static str {
        API
    }

    fn start(&self, prompt: Arc<Prompt>) -> BoxFuture<'static, Result<Steps, RunnerError>> {
        self.clone().answer(prompt).boxed()
    }
}

fn request_body(model: &str, max_tokens: Option<u64>, prompt: &Prompt, cached: bool) -> Value {
    let (system, lines): (Vec<&Line>, Vec<&Line>) = prompt
        .lines
        .iter()
        .partition(|line| line.speaker == Speaker::System);
    let (max_tokens, thinking) = budget(max_tokens, thinking_of(prompt));
    let mut body = json!({
        "model": model, "max_tokens": max_tokens, "stream": true,
        "messages": messages(&lines, cached),
    });
    if !system.is_empty() {
        let texts: Vec<&str> = system.iter().map(|line| line.text.as_str()).collect();
        let mut block = json!({ "type": "text", "text": texts.join("\n\n") });
        mark(&mut block, cached);
        body["system"] = json!([block]);
    }
    if let Some(thinking) = thinking {
        body["thinking"] = thinking;
    }
    if !prompt.tools.is_empty() {
        let tool = |tool: &ToolSpec| {
            json!({
                "name": tool.name, "description": tool.description,
                "input_schema": tool.parameters,
            })
        };
        body["tools"] = prompt.tools.iter().map(tool).collect();
    }
    body
}

/// Says that what was read up to here may be kept by the provider for the next request.
fn mark(block: &mut Value, cached: bool) {
    if cached {
        block[CACHE] = json!({ "type": "ephemeral" });
    }
}

/// The level of this request. The wire refuses to think in the middle of tool calls that were
/// begun without a sealed thought.
fn thinking_of(prompt: &Prompt) -> Thinking {
    let mut current = prompt
        .lines
        .iter()
        .rev()
        .take_while(|line| line.speaker != Speaker::User);
    let unsealed = |line: &Line| {
        !line.calls.is_empty() && !line.thoughts.iter().any(|thought| thought.seal.is_some())
    };
    if current.any(unsealed) {
        Thinking::Off
    } else {
        prompt.thinking
    }
}

/// The length of the answer, and how much of it may be thought.
fn budget(max_tokens: Option<u64>, thinking: Thinking) -> (u64, Option<Value>) {
    let most = max_tokens.unwrap_or(u64::MAX);
    let answer = most.min(limits::MODEL_ANSWER_TOKENS);
    let budget = match thinking {
        Thinking::Off => return (answer, None),
        Thinking::Adaptive => return (answer, Some(json!({ "type": "adaptive" }))),
        Thinking::Minimal => BUDGET_MIN,
        Thinking::Low => 4_096,
        Thinking::Medium => 10_240,
        Thinking::High => 20_480,
        Thinking::XHigh => 32_768,
    };
    let whole = answer.saturating_add(budget).min(most);
    // At least as much as the smallest budget is left for the answer itself.
    let budget = budget.min(whole.saturating_sub(BUDGET_MIN));
    if budget < BUDGET_MIN {
        return (answer, None);
    }
    (
        whole,
        Some(json!({ "type": "enabled", "budget_tokens": budget })),
    )
}

/// The lines as messages: neighbours of one role are one message, and the first one is a user's.
fn messages(lines: &[&Line], cached: bool) -> Vec<Value> {
    let last_user = lines
        .iter()
        .rposition(|line| line.speaker == Speaker::User)
        .unwrap_or(0);
    let first_user = lines.iter().position(|line| line.speaker == Speaker::User);
    let mut messages: Vec<(&str, Vec<Value>)> = Vec::new();
    for (place, line) in lines.iter().enumerate().skip(first_user.unwrap_or(0)) {
        let role = match line.speaker {
            Speaker::Assistant => "assistant",
            Speaker::System | Speaker::User | Speaker::Tool => "user",
        };
        let blocks = blocks(line, place > last_user);
        match messages.last_mut() {
            Some((last, content)) if *last == role => content.extend(blocks),
            _ if blocks.is_empty() => {}
            _ => messages.push((role, blocks)),
        }
    }
    if let Some(("user", blocks)) = messages.last_mut()
        && let Some(block) = blocks.last_mut()
    {
        mark(block, cached);
    }
    let message = |(role, content)| json!({ "role": role, "content": content });
    messages.into_iter().map(message).collect()
}

/// The blocks of one line. Thoughts matter to the wire only while its tools are at work.
fn blocks(line: &Line, with_thoughts: bool) -> Vec<Value> {
    let text = Some(&line.text).filter(|text| !text.trim().is_empty());
    if let Some((id, failed)) = &line.answers {
        // A result without a text is legal, an empty text isn't.
        let mut block = json!({ "type": "tool_result", "tool_use_id": id, "is_error": failed });
        if let Some(text) = text {
            block["content"] = text.as_str().into();
        }
        return vec![block];
    }
    let thoughts = line.thoughts.iter().filter(|_| with_thoughts);
    let thoughts = thoughts.filter_map(|thought| {
        let seal = thought.seal.as_ref()?;
        Some(if thought.hidden {
            json!({ "type": "redacted_thinking", "data": seal })
        } else {
            json!({ "type": "thinking", "thinking": thought.text, "signature": seal })
        })
    });
    let images = line.images.iter().map(|image| {
        let source =
            json!({ "type": "base64", "media_type": image.mime_type, "data": image.base64 });
        json!({ "type": "image", "source": source })
    });
    let calls = line.calls.iter().map(|call| {
        let input = match &call.arguments {
            input @ Value::Object(_) => input.clone(),
            other => json!({ "unreadable": other }),
        };
        json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": input })
    });
    let text = text.map(|text| json!({ "type": "text", "text": text }));
    thoughts.chain(images).chain(text).chain(calls).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::runner::{Thought, ToolCall};

    fn prompt(lines: Vec<Line>, thinking: Thinking) -> Prompt {
        Prompt {
            lines,
            thinking,
            ..Prompt::default()
        }
    }

    fn called(thought: Option<Thought>) -> Line {
        Line {
            thoughts: thought.into_iter().collect(),
            calls: vec![ToolCall {
                id: "t1".into(),
                name: "n".into(),
                arguments: json!({"a": 1}),
            }],
            ..Line::new(Speaker::Assistant, "")
        }
    }

    fn result(id: &str) -> Line {
        Line {
            answers: Some((id.into(), false)),
            ..Line::new(Speaker::Tool, "done")
        }
    }

    #[test]
    fn roles_take_turns_and_begin_with_the_user() {
        let lines = vec![
            Line::new(Speaker::System, "be kind"),
            Line::new(Speaker::Assistant, "cut off at the start"),
            Line::new(Speaker::User, "a"),
            Line::new(Speaker::User, "b"),
            called(None),
            result("t1"),
            Line::new(Speaker::User, "c"),
        ];
        let body = request_body("m", None, &prompt(lines, Thinking::Off), false);
        let text = |text: &str| json!({"type": "text", "text": text});
        let want = json!([
            {"role": "user", "content": [text("a"), text("b")]},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "t1", "name": "n", "input": {"a": 1}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t1", "is_error": false, "content": "done"},
                text("c")]},
        ]);
        assert_eq!(body["messages"], want);
        assert_eq!(body["system"], json!([text("be kind")]));
        assert!(body.get("thinking").is_none());
    }

    #[test]
    fn thoughts_go_back_only_while_tools_are_at_work() {
        let thought = Thought {
            text: "hm".into(),
            seal: Some("s".into()),
            hidden: false,
        };
        let mut lines = vec![
            Line::new(Speaker::User, "a"),
            called(Some(thought)),
            result("t1"),
        ];
        let body = request_body("m", None, &prompt(lines.clone(), Thinking::Low), false);
        let want = json!({"type": "thinking", "thinking": "hm", "signature": "s"});
        assert_eq!(body["messages"][1]["content"][0], want);
        assert_eq!(body["thinking"]["budget_tokens"], 4_096);
        lines.push(Line::new(Speaker::User, "b"));
        let body = request_body("m", None, &prompt(lines, Thinking::Low), false);
        assert_eq!(body["messages"][1]["content"][0]["type"], "tool_use");
        // Begun without a thought: goes on without.
        let lines = vec![Line::new(Speaker::User, "a"), called(None), result("t1")];
        let body = request_body("m", None, &prompt(lines, Thinking::Low), false);
        assert!(body.get("thinking").is_none());
    }

    #[test]
    fn the_budget_fits_the_model() {
        let enabled = |n: u64| Some(json!({"type": "enabled", "budget_tokens": n}));
        let usual = limits::MODEL_ANSWER_TOKENS;
        assert_eq!(budget(None, Thinking::Off), (usual, None));
        assert_eq!(
            budget(None, Thinking::High),
            (usual + 20_480, enabled(20_480))
        );
        assert_eq!(budget(Some(4_096), Thinking::High), (4_096, enabled(3_072)));
        assert_eq!(budget(Some(1_500), Thinking::High), (1_500, None));
    }

    #[test]
    fn what_may_be_kept_is_marked() {
        let lines = vec![
            Line::new(Speaker::System, "be kind"),
            Line::new(Speaker::User, "a"),
        ];
        let body = request_body("m", None, &prompt(lines, Thinking::Off), true);
        let kept = json!({"type": "ephemeral"});
        assert_eq!(body["system"][0]["cache_control"], kept);
        assert_eq!(body["messages"][0]["content"][0]["cache_control"], kept);
    }
}
