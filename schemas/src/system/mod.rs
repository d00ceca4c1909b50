//! The gateway about itself: `health`, `status`, `gateway.identity.get`, `last-heartbeat`,
//! `set-heartbeats`, `wake` and the events `health`, `heartbeat`, `tick`, `shutdown` (`system.json`).

mod asked;

pub use asked::*;

use crate::channels::ChannelSummary;
use crate::sessions::SessionKind;
use crate::wire::{self, Nullable};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Result of `health`, payload of event `health`, part of hello-ok.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Always true; a failing gateway answers an error.
    pub ok: bool,
    /// When, milliseconds.
    pub ts: u64,
    /// How long it took to collect.
    pub duration_ms: u64,
    /// Configured channels only.
    pub channels: BTreeMap<String, ChannelSummary>,
    /// The same set in the order to show.
    pub channel_order: Vec<String>,
    /// Names to show.
    pub channel_labels: BTreeMap<String, String>,
    /// Of the default agent.
    pub heartbeat_seconds: u64,
    /// Such as `main`.
    pub default_agent_id: String,
    /// Default first.
    pub agents: Vec<AgentHealth>,
    /// Of the default agent.
    pub sessions: SessionsHealth,
    /// Fingerprint of the configuration in force, as `config.get` gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_hash: Option<String>,
    /// Whether that is what the file says; why not is in `config.get` and the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_valid: Option<bool>,
}

/// One agent in health.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentHealth {
    /// The agent.
    pub agent_id: String,
    /// Name to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// It is the default.
    pub is_default: bool,
    /// How it wakes by itself.
    pub heartbeat: AgentHeartbeat,
    /// Its sessions.
    pub sessions: SessionsHealth,
}

/// How an agent wakes by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentHeartbeat {
    /// It does.
    pub enabled: bool,
    /// Such as `30m`, or `disabled`.
    pub every: String,
    /// The same, milliseconds.
    pub every_ms: Option<u64>,
    /// What it is told.
    pub prompt: String,
    /// `none`, `last` or a channel.
    pub target: String,
    /// Model of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How long a mere acknowledgement may be.
    pub ack_max_chars: u64,
}

/// Sessions of one agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionsHealth {
    /// Where they are stored.
    pub path: String,
    /// How many.
    pub count: u64,
    /// The five used last.
    pub recent: Vec<RecentSession>,
}

/// A session used of late.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecentSession {
    /// Canonical key.
    pub key: String,
    /// Last use, milliseconds.
    pub updated_at: Option<u64>,
    /// Since then, milliseconds.
    pub age: Option<u64>,
}

/// Result of `status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The gateway's version.
    pub runtime_version: Option<String>,
    /// First channel that has a link state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_channel: Option<LinkChannel>,
    /// Heartbeats of all agents.
    pub heartbeat: StatusHeartbeat,
    /// Lines for people.
    pub channel_summary: Vec<String>,
    /// Waiting for the main session.
    pub queued_system_events: Vec<String>,
    /// Sessions of all agents.
    pub sessions: StatusSessions,
}

/// A channel with a link state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkChannel {
    /// The channel.
    pub id: String,
    /// Name to show.
    pub label: String,
    /// A login exists.
    pub linked: bool,
    /// Its age.
    pub auth_age_ms: Option<u64>,
}

/// Heartbeats of all agents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusHeartbeat {
    /// Such as `main`.
    pub default_agent_id: String,
    /// One for each agent.
    pub agents: Vec<StatusAgentHeartbeat>,
}

/// Heartbeat of one agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusAgentHeartbeat {
    /// The agent.
    pub agent_id: String,
    /// It wakes by itself.
    pub enabled: bool,
    /// Such as `30m`, or `disabled`.
    pub every: String,
    /// The same, milliseconds.
    pub every_ms: Option<u64>,
}

/// Sessions of all agents; paths and rows only for admins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusSessions {
    /// One store for each agent.
    pub paths: Vec<String>,
    /// How many.
    pub count: u64,
    /// What a session without own settings uses.
    pub defaults: StatusSessionDefaults,
    /// The ten used last.
    pub recent: Vec<StatusSession>,
    /// The same for each agent.
    pub by_agent: Vec<StatusAgentSessions>,
}

/// What a session without own settings uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusSessionDefaults {
    /// The model.
    pub model: Option<String>,
    /// Its context length.
    pub context_tokens: Option<u64>,
}

/// Sessions of one agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusAgentSessions {
    /// The agent.
    pub agent_id: String,
    /// Its store, or `[redacted]`.
    pub path: String,
    /// How many.
    pub count: u64,
    /// The ten used last.
    pub recent: Vec<StatusSession>,
}

/// A session in `status`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusSession {
    /// Its agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Canonical key.
    pub key: String,
    /// What it is.
    pub kind: SessionKind,
    /// Its present transcript.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Last use, milliseconds.
    pub updated_at: Option<u64>,
    /// Since then, milliseconds.
    pub age: Option<u64>,
    /// Own setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking_level: Option<String>,
    /// Own setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fast_mode: Option<bool>,
    /// Own setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verbose_level: Option<String>,
    /// Own setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_level: Option<String>,
    /// Own setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elevated_level: Option<String>,
    /// The system prompt was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_sent: Option<bool>,
    /// Its last run was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aborted_last_run: Option<bool>,
    /// Of the last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Of the last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Of the last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<u64>,
    /// Of the last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<u64>,
    /// Length of the context.
    pub total_tokens: Option<u64>,
    /// That number is of the last run.
    pub total_tokens_fresh: bool,
    /// What is left of the context.
    pub remaining_tokens: Option<u64>,
    /// What is used of the context, 0–999.
    pub percent_used: Option<u64>,
    /// The model.
    pub model: Option<String>,
    /// Its context length.
    pub context_tokens: Option<u64>,
    /// Such as `think:high`, `id:<sessionId>`.
    pub flags: Vec<String>,
}

/// Result of `gateway.identity.get`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayIdentity {
    /// The gateway's own device id.
    pub device_id: String,
    /// Its key, base64url.
    pub public_key: String,
}

/// Payload of event `tick`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tick {
    /// Milliseconds.
    pub ts: u64,
}

/// Payload of event `shutdown`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shutdown {
    /// `gateway stopping` or `gateway restarting`.
    pub reason: String,
    /// When it will be back; null or absent when it will not.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub restart_expected_ms: Nullable<u64>,
}

/// What a heartbeat run brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeartbeatStatus {
    /// A text was delivered.
    Sent,
    /// The agent only acknowledged.
    OkToken,
    /// The agent said nothing.
    OkEmpty,
    /// There was nowhere to deliver to, or nothing to do.
    Skipped,
    /// It failed.
    Failed,
}

/// Colour of a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeartbeatIndicator {
    /// All well.
    Ok,
    /// Something to look at.
    Alert,
    /// It failed.
    Error,
}

/// Payload of event `heartbeat`; the last one is the result of `last-heartbeat`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// When, milliseconds.
    pub ts: u64,
    /// What it brought.
    pub status: HeartbeatStatus,
    /// Target delivered to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Account delivered by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// Start of the text, at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<String>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// The text had files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_media: Option<bool>,
    /// What woke it, or why it was skipped or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Channel delivered to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Nothing was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<bool>,
    /// Colour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indicator_type: Option<HeartbeatIndicator>,
}

/// Result of a method that has nothing to tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// Always true.
    pub ok: bool,
}

/// What `health` reads of its open params; `status` reads nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthParams {
    /// `true` asks the providers now; anything else counts as absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Value>,
}
