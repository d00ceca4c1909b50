//! Usage: `sessions.usage`, `sessions.usage.timeseries`, `sessions.usage.logs`, `usage.cost`,
//! `usage.status` (`usage.json`); what they add up is in `sums.rs`.

mod sums;

pub use sums::{
    AgentUsage, ChannelUsage, CostOfDay, DayUsage, Latency, LatencyOfDay, MessageCounts,
    MessagesOfDay, ModelOfDay, ModelUsage, ToolCount, ToolUsage, UsageAggregates, UsageOfDay,
    UsageTotals,
};

use crate::sessions::SessionOrigin;
use crate::wire;
use serde::{Deserialize, Serialize};

/// Params of `sessions.usage`. Forms of dates and offsets are judged by the method.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionsUsageParams {
    /// Only this session, aliases allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// `YYYY-MM-DD`; 30 days with today when both are absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_date: Option<String>,
    /// `YYYY-MM-DD`, included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_date: Option<String>,
    /// Whose days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<UsageDays>,
    /// Such as `UTC+5:30`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utc_offset: Option<String>,
    /// Sessions looked at, newest first; 50 when absent.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub limit: Option<u64>,
    /// Taken; prompts are not weighed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_context_weight: Option<bool>,
}

/// Result of `sessions.usage`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionsUsage {
    /// When, milliseconds.
    pub updated_at: u64,
    /// First day.
    pub start_date: String,
    /// Last day.
    pub end_date: String,
    /// Newest first.
    pub sessions: Vec<SessionUsageRow>,
    /// Of these sessions.
    pub totals: UsageTotals,
    /// The same by day, model, agent and channel.
    pub aggregates: UsageAggregates,
}

/// What one session used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionUsageRow {
    /// Canonical key.
    pub key: String,
    /// Name given to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Its transcript.
    pub session_id: String,
    /// Last change, milliseconds.
    pub updated_at: u64,
    /// Its agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Channel it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// `direct`, `group` or `channel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_type: Option<String>,
    /// Where it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<SessionOrigin>,
    /// Own setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_override: Option<String>,
    /// Own setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_override: Option<String>,
    /// Provider of its last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_provider: Option<String>,
    /// Model of its last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Null when nothing was said in these days.
    pub usage: Option<SessionUsage>,
}

/// What was said and used in one session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionUsage {
    /// Its transcript.
    pub session_id: String,
    /// Where clients expect it; the messages are in the database.
    pub session_file: String,
    /// First message, milliseconds.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub first_activity: Option<u64>,
    /// Last message, milliseconds.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_activity: Option<u64>,
    /// Between them.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub duration_ms: Option<u64>,
    /// Days with messages.
    pub activity_dates: Vec<String>,
    /// By day.
    pub daily_breakdown: Vec<UsageOfDay>,
    /// By day.
    pub daily_message_counts: Vec<MessagesOfDay>,
    /// By day.
    pub daily_latency: Vec<LatencyOfDay>,
    /// By day and model.
    pub daily_model_usage: Vec<ModelOfDay>,
    /// All days.
    pub message_counts: MessageCounts,
    /// Tools called; absent when none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_usage: Option<ToolUsage>,
    /// By model.
    pub model_usage: Vec<ModelUsage>,
    /// How long answers took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Tokens and cost of all of it.
    #[serde(flatten)]
    pub totals: UsageTotals,
}

/// Result of `sessions.usage.timeseries`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageTimeseries {
    /// The transcript.
    pub session_id: String,
    /// Oldest first, at most 200.
    pub points: Vec<UsagePoint>,
}

/// One answer, or several neighbours together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsagePoint {
    /// Of the last of them, milliseconds.
    pub timestamp: u64,
    /// Tokens read.
    pub input: u64,
    /// Tokens written.
    pub output: u64,
    /// Tokens read from a cache.
    pub cache_read: u64,
    /// Tokens written to a cache.
    pub cache_write: u64,
    /// All of them.
    pub total_tokens: u64,
    /// What they cost.
    #[serde(serialize_with = "wire::number")]
    pub cost: f64,
    /// So far in the session.
    pub cumulative_tokens: u64,
    /// So far in the session.
    #[serde(serialize_with = "wire::number")]
    pub cumulative_cost: f64,
}

/// Result of `sessions.usage.logs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageLogs {
    /// Oldest first.
    pub logs: Vec<UsageLog>,
}

/// One message and what it used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageLog {
    /// Milliseconds.
    pub timestamp: u64,
    /// `user`, `assistant` or `toolResult`.
    pub role: String,
    /// Its text, cut at its bound.
    pub content: String,
    /// What it used.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub tokens: Option<u64>,
    /// What it cost.
    #[serde(
        default,
        serialize_with = "wire::number_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub cost: Option<f64>,
}

/// Result of `usage.cost`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageCost {
    /// When, milliseconds.
    pub updated_at: u64,
    /// One more than the days looked at.
    pub days: u64,
    /// Days on which something was used.
    pub daily: Vec<CostOfDay>,
    /// All of them.
    pub totals: UsageTotals,
}

/// Result of `usage.status`: what providers say is left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageStatus {
    /// When, milliseconds.
    pub updated_at: u64,
    /// Providers that tell; none does yet.
    pub providers: Vec<UsageProvider>,
}

/// What one provider says is left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageProvider {
    /// Its id.
    pub provider: String,
    /// Its name.
    pub display_name: String,
    /// Its limits.
    pub windows: Vec<UsageWindow>,
    /// What was bought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Why it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageWindow {
    /// Its name.
    pub label: String,
    /// Used so far.
    #[serde(serialize_with = "wire::number")]
    pub used_percent: f64,
    /// When it begins anew, milliseconds.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub reset_at: Option<u64>,
}

/// Whose days are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UsageDays {
    /// Those of UTC.
    Utc,
    /// Those of the gateway's host.
    Gateway,
    /// Those of `utcOffset`.
    Specific,
}
