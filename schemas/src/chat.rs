//! Chat: `chat.history`, `chat.send`, `chat.abort`, `chat.inject` and event `chat`
//! (`chat.json`).

use crate::wire;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Params of `chat.history`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatHistoryParams {
    /// Session, aliases allowed.
    pub session_key: String,
    /// Newest messages to return; 200 when absent, at most 1,000.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub limit: Option<u64>,
}

/// Result of `chat.history`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatHistory {
    /// As sent by the client.
    pub session_key: String,
    /// Absent when the session is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Oldest first.
    pub messages: Vec<Message>,
    /// Of the session, else of the model.
    pub thinking_level: String,
    /// Of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fast_mode: Option<bool>,
    /// Of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verbose_level: Option<String>,
}

/// One message of a conversation as clients see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "camelCase")]
pub enum Message {
    /// From a person.
    User(UserMessage),
    /// From the agent, or put in its name by the gateway.
    Assistant(Box<AssistantMessage>),
    /// What a tool answered.
    ToolResult(ToolResultMessage),
    /// A mark of the gateway, such as a compaction.
    System(SystemMessage),
}

/// From a person, envelopes stripped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserMessage {
    /// What it says.
    pub content: Vec<ContentPart>,
    /// Milliseconds.
    pub timestamp: u64,
    /// Who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_label: Option<String>,
    /// Mark of the gateway.
    #[serde(
        rename = "__openclaw",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub openclaw: Option<Value>,
}

/// From the agent. History carries all fields, chat events of runs only the first two.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssistantMessage {
    /// What it says.
    pub content: Vec<ContentPart>,
    /// Milliseconds.
    pub timestamp: u64,
    /// Interface the model was called by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// Provider of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The model, `gateway-injected` or `delivery-mirror`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Tokens and cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// `stop`, `toolUse`, `error`, `aborted` or `length`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// `<runId>:assistant` of a kept partial text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Why the text is partial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openclaw_abort: Option<AbortMark>,
    /// Mark of the gateway.
    #[serde(
        rename = "__openclaw",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub openclaw: Option<Value>,
}

/// Why a text is partial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AbortMark {
    /// Always true.
    pub aborted: bool,
    /// `rpc` or `stop-command`.
    pub origin: String,
    /// The run that was stopped.
    pub run_id: String,
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolResultMessage {
    /// The call.
    pub tool_call_id: String,
    /// The tool.
    pub tool_name: String,
    /// The answer.
    pub content: Vec<ContentPart>,
    /// The tool failed.
    pub is_error: bool,
    /// Milliseconds.
    pub timestamp: u64,
    /// Mark of the gateway.
    #[serde(
        rename = "__openclaw",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub openclaw: Option<Value>,
}

/// A mark of the gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemMessage {
    /// Text for people.
    pub content: Vec<ContentPart>,
    /// Milliseconds.
    pub timestamp: u64,
    /// What it marks.
    #[serde(
        rename = "__openclaw",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub openclaw: Option<Value>,
}

/// A piece of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum ContentPart {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// An image, without its data.
    Image {
        /// Such as `image/png`.
        mime_type: String,
        /// The data was left out.
        omitted: bool,
        /// How long the data was.
        bytes: u64,
    },
    /// What the model thought.
    Thinking {
        /// The text.
        thinking: String,
    },
    /// A call of a tool.
    ToolCall {
        /// Id of the call.
        id: String,
        /// The tool.
        name: String,
        /// Its arguments, as the tool defines them.
        arguments: Value,
    },
}

impl ContentPart {
    /// A text part.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }
}

/// Tokens of one model call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Read by the model.
    pub input: u64,
    /// Written by the model.
    pub output: u64,
    /// All of them.
    pub total_tokens: u64,
    /// Read from the provider's cache.
    pub cache_read: u64,
    /// Written to the provider's cache.
    pub cache_write: u64,
    /// What it cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}

/// Cost of one model call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// Of reading.
    #[serde(
        default,
        serialize_with = "wire::number_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub input: Option<f64>,
    /// Of writing.
    #[serde(
        default,
        serialize_with = "wire::number_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub output: Option<f64>,
    /// Of reading from the cache.
    #[serde(
        default,
        serialize_with = "wire::number_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub cache_read: Option<f64>,
    /// Of writing to the cache.
    #[serde(
        default,
        serialize_with = "wire::number_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub cache_write: Option<f64>,
    /// All of it.
    #[serde(serialize_with = "wire::number")]
    pub total: f64,
}

/// Params of `chat.send`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatSendParams {
    /// Session, aliases allowed.
    pub session_key: String,
    /// The text; may be empty when there are attachments.
    pub message: String,
    /// Level for this message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking: Option<String>,
    /// Send the answer to the session's last route as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver: Option<bool>,
    /// Objects with base64 `content`; others are ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachments: Option<Vec<Value>>,
    /// 0 for none.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub timeout_ms: Option<u64>,
    /// Reserved for one bridge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_input_provenance: Option<Value>,
    /// Reserved for one bridge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_provenance_receipt: Option<Value>,
    /// Becomes the run id.
    pub idempotency_key: String,
}

/// Result of `chat.send`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ChatSendResult {
    /// A run was started, goes on or has ended.
    Run(ChatSendRun),
    /// The message was a stop word: same answer as `chat.abort`.
    Stop(ChatAborted),
}

/// Where a message's run stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatSendRun {
    /// The idempotency key.
    pub run_id: String,
    /// `started` for a new one.
    pub status: ChatSendStatus,
    /// Text of the failure, with status `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatSendStatus {
    /// New.
    Started,
    /// The same key was sent before and its run is not over.
    InFlight,
    /// The same key was sent before and its run is over.
    Ok,
    /// The run failed (payload beside an error).
    Error,
}

/// Params of `chat.abort`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatAbortParams {
    /// Session, aliases allowed.
    pub session_key: String,
    /// All runs of the session when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
}

/// Result of `chat.abort`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatAborted {
    /// Always true.
    pub ok: bool,
    /// Something was stopped.
    pub aborted: bool,
    /// What was stopped.
    pub run_ids: Vec<String>,
}

/// Params of `chat.inject`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatInjectParams {
    /// Session, aliases allowed.
    pub session_key: String,
    /// The text.
    pub message: String,
    /// Put in brackets before the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// Result of `chat.inject`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatInjected {
    /// Always true.
    pub ok: bool,
    /// Eight hex digits.
    pub message_id: String,
}

/// Payload of event `chat`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatEvent {
    /// The run, `inject-<messageId>` for an injected text.
    pub run_id: String,
    /// Canonical key.
    pub session_key: String,
    /// `seq` of the agent event behind it; not a counter of its own.
    pub seq: u64,
    /// Exactly one of the last three ends a run.
    pub state: ChatState,
    /// The whole text so far, or the end's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
    /// With `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// Not sent at present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Map<String, Value>>,
    /// With `aborted`: `rpc`, `stop` or `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
}

/// What a chat event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChatState {
    /// More text.
    Delta,
    /// The end.
    Final,
    /// Stopped.
    Aborted,
    /// Failed.
    Error,
}
