//! Agent runs: `agent`, `agent.wait` and event `agent` (`agent.json`).

use crate::chat::ContentPart;
use crate::wire;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Params of `agent`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentParams {
    /// What to do.
    pub message: String,
    /// Agent; its main session when no session is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Target whose session is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Where a delivered reply goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Session by id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Session by key, aliases allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// Level for this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking: Option<String>,
    /// Deliver the reply to a channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver: Option<bool>,
    /// Objects with base64 `content`; others are ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachments: Option<Vec<Value>>,
    /// Channel to deliver to, or `last`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Goes before `channel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_channel: Option<String>,
    /// Account to deliver by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// Goes before `account_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_account_id: Option<String>,
    /// Thread or topic to deliver to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// Internal use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<String>,
    /// Internal use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_channel: Option<String>,
    /// Internal use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_space: Option<String>,
    /// Seconds; 0 for none.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub timeout: Option<u64>,
    /// A failed delivery does not fail the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_effort_deliver: Option<bool>,
    /// Internal use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// Added to the system prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_system_prompt: Option<String>,
    /// Internal use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_events: Option<Vec<Value>>,
    /// Internal use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_provenance: Option<Value>,
    /// Becomes the run id.
    pub idempotency_key: String,
    /// Label for the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// First response to `agent`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentAccepted {
    /// The idempotency key.
    pub run_id: String,
    /// Always `accepted`: a client waits for another response.
    pub status: AcceptedStatus,
    /// Milliseconds.
    pub accepted_at: u64,
}

/// The constant `accepted`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AcceptedStatus {
    /// The only value.
    #[default]
    Accepted,
}

/// Last response to `agent`; beside an error when `status` is `error`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentFinal {
    /// The run.
    pub run_id: String,
    /// How it ended.
    pub status: FinalStatus,
    /// `completed`, or the failure's text.
    pub summary: String,
    /// Absent on failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<AgentResult>,
}

/// Result of `agent`: the first or the last response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AgentAnswer {
    /// The run was taken on; another response follows, unless this is a repeat.
    Accepted(AgentAccepted),
    /// The run is over.
    Final(Box<AgentFinal>),
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FinalStatus {
    /// It ran to an end, be it a model's error told as text.
    Ok,
    /// It could not be run.
    Error,
}

/// What a run produced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentResult {
    /// One for each text between tool calls.
    pub payloads: Vec<AgentPayload>,
    /// About the run.
    pub meta: AgentMeta,
}

/// One answer of the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentPayload {
    /// The text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// A file, or null.
    pub media_url: Option<String>,
    /// Several files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_urls: Option<Vec<String>>,
    /// The text tells of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_error: Option<bool>,
}

/// About a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentMeta {
    /// How long it took.
    pub duration_ms: u64,
    /// What model answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_meta: Option<AgentRunMeta>,
    /// It was cut short.
    pub aborted: bool,
    /// What the prompt was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt_report: Option<Value>,
    /// The model's reason to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
}

/// What model answered in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentRunMeta {
    /// The session.
    pub session_id: String,
    /// Provider of the model.
    pub provider: String,
    /// The model.
    pub model: String,
    /// Tokens of the whole run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<RunUsage>,
    /// Tokens of the last model call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_call_usage: Option<RunUsage>,
    /// Length of the last prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
}

/// Tokens of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunUsage {
    /// Read by the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<u64>,
    /// Written by the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<u64>,
    /// Read from the provider's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<u64>,
    /// Written to the provider's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<u64>,
    /// All of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// Params of `agent.wait`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentWaitParams {
    /// The run.
    pub run_id: String,
    /// 30,000 when absent.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub timeout_ms: Option<u64>,
}

/// Result of `agent.wait`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentWaited {
    /// The run.
    pub run_id: String,
    /// Whether it ended.
    pub status: WaitStatus,
    /// Milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<u64>,
    /// Milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<u64>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What waiting for a run brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WaitStatus {
    /// It ended.
    Ok,
    /// It failed.
    Error,
    /// Unknown, or not over in time.
    Timeout,
}

/// Payload of event `agent`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentEvent {
    /// The run.
    pub run_id: String,
    /// `stream` and `data`.
    #[serde(flatten)]
    pub body: AgentStream,
    /// Canonical key; absent only when the run has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// Counts from 1 in the run.
    pub seq: u64,
    /// Milliseconds.
    pub ts: u64,
}

/// What happened in a run: the event's `stream` and `data`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "stream", content = "data", rename_all = "lowercase")]
pub enum AgentStream {
    /// Start and end.
    Lifecycle(Lifecycle),
    /// Text.
    Assistant(AssistantText),
    /// Thoughts.
    Thinking(ThinkingText),
    /// A tool at work.
    Tool(ToolPhase),
    /// The transcript is shortened.
    Compaction(Compaction),
}

/// Start and end of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Lifecycle {
    /// It begins.
    Start(LifecycleStart),
    /// It is over.
    End(LifecycleEnd),
    /// It failed and is over.
    Error(LifecycleError),
}

/// A run begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LifecycleStart {
    /// Milliseconds.
    pub started_at: u64,
}

/// A run is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LifecycleEnd {
    /// Milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<u64>,
    /// Milliseconds.
    pub ended_at: u64,
    /// True after a timeout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aborted: Option<bool>,
    /// The model's reason to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
}

/// A run failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LifecycleError {
    /// What went wrong.
    pub error: String,
    /// Milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<u64>,
    /// Milliseconds.
    pub ended_at: u64,
}

/// Text of the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssistantText {
    /// The whole current message so far.
    pub text: String,
    /// What is new.
    pub delta: String,
    /// Files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_urls: Option<Vec<String>>,
}

/// Thoughts of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThinkingText {
    /// All so far.
    pub text: String,
    /// What is new.
    pub delta: String,
}

/// A tool at work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "lowercase")]
pub enum ToolPhase {
    /// It is called.
    Start(ToolStart),
    /// It has something to show.
    Update(ToolUpdate),
    /// It is done.
    Result(ToolDone),
}

/// A tool is called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolStart {
    /// The tool.
    pub name: String,
    /// The call.
    pub tool_call_id: String,
    /// Its arguments, as the tool defines them.
    pub args: Value,
}

/// A tool has something to show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolUpdate {
    /// The tool.
    pub name: String,
    /// The call.
    pub tool_call_id: String,
    /// Only with verbose level `full`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial_result: Option<ToolOutput>,
}

/// A tool is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolDone {
    /// The tool.
    pub name: String,
    /// The call.
    pub tool_call_id: String,
    /// One line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<String>,
    /// It failed.
    pub is_error: bool,
    /// Only with verbose level `full`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<ToolOutput>,
}

/// What a tool put out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolOutput {
    /// For the model.
    pub content: Vec<ContentPart>,
    /// For people, as the tool defines them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

/// The transcript is shortened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "phase",
    rename_all = "lowercase",
    rename_all_fields = "camelCase"
)]
pub enum Compaction {
    /// It begins.
    Start {},
    /// It is over.
    End {
        /// The run goes on with a new try.
        will_retry: bool,
    },
}
