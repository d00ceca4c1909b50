//! What usage is added up to: by day, model, agent and channel.

use crate::wire;
use serde::{Deserialize, Serialize};

/// Tokens and what they cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageTotals {
    /// Tokens read by models.
    pub input: u64,
    /// Tokens written by models.
    pub output: u64,
    /// Tokens read from a cache.
    pub cache_read: u64,
    /// Tokens written to a cache.
    pub cache_write: u64,
    /// All of them.
    pub total_tokens: u64,
    /// What they cost.
    #[serde(serialize_with = "wire::number")]
    pub total_cost: f64,
    /// Of it, for reading.
    #[serde(serialize_with = "wire::number")]
    pub input_cost: f64,
    /// For writing.
    #[serde(serialize_with = "wire::number")]
    pub output_cost: f64,
    /// For reading from a cache.
    #[serde(serialize_with = "wire::number")]
    pub cache_read_cost: f64,
    /// For writing to a cache.
    #[serde(serialize_with = "wire::number")]
    pub cache_write_cost: f64,
    /// Answers whose price is not known.
    pub missing_cost_entries: u64,
}

/// Tokens of a day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageOfDay {
    /// `YYYY-MM-DD`.
    pub date: String,
    /// All of them.
    pub tokens: u64,
    /// What they cost.
    #[serde(serialize_with = "wire::number")]
    pub cost: f64,
}

/// How much was said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageCounts {
    /// Said by people and the agent.
    pub total: u64,
    /// Said by people.
    pub user: u64,
    /// Said by the agent.
    pub assistant: u64,
    /// Tools called.
    pub tool_calls: u64,
    /// Answers of tools.
    pub tool_results: u64,
    /// Answers and tools that failed.
    pub errors: u64,
}

/// How much was said on a day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessagesOfDay {
    /// `YYYY-MM-DD`.
    pub date: String,
    /// The messages.
    #[serde(flatten)]
    pub counts: MessageCounts,
}

/// How long answers took, milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// Answers that were timed.
    pub count: u64,
    /// On average.
    #[serde(serialize_with = "wire::number")]
    pub avg_ms: f64,
    /// 95 of 100 were as quick.
    #[serde(serialize_with = "wire::number")]
    pub p95_ms: f64,
    /// The quickest.
    #[serde(serialize_with = "wire::number")]
    pub min_ms: f64,
    /// The slowest.
    #[serde(serialize_with = "wire::number")]
    pub max_ms: f64,
}

/// How long answers took on a day, milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LatencyOfDay {
    /// `YYYY-MM-DD`.
    pub date: String,
    /// The times.
    #[serde(flatten)]
    pub latency: Latency,
}

/// What a model used on a day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelOfDay {
    /// `YYYY-MM-DD`.
    pub date: String,
    /// Its provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// All tokens.
    pub tokens: u64,
    /// What they cost.
    #[serde(serialize_with = "wire::number")]
    pub cost: f64,
    /// Answers.
    pub count: u64,
}

/// Which tools were called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolUsage {
    /// Calls.
    pub total_calls: u64,
    /// Different tools.
    pub unique_tools: u64,
    /// Most called first.
    pub tools: Vec<ToolCount>,
}

/// How often a tool was called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolCount {
    /// The tool.
    pub name: String,
    /// Calls.
    pub count: u64,
}

/// What a model used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelUsage {
    /// Its provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Answers.
    pub count: u64,
    /// Tokens and cost.
    pub totals: UsageTotals,
}

/// Usage of several sessions together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageAggregates {
    /// How much was said.
    pub messages: MessageCounts,
    /// Which tools were called.
    pub tools: ToolUsage,
    /// Dearest first.
    pub by_model: Vec<ModelUsage>,
    /// Dearest first.
    pub by_provider: Vec<ModelUsage>,
    /// Dearest first.
    pub by_agent: Vec<AgentUsage>,
    /// Dearest first.
    pub by_channel: Vec<ChannelUsage>,
    /// How long answers took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// By day.
    pub daily_latency: Vec<LatencyOfDay>,
    /// By day and model.
    pub model_daily: Vec<ModelOfDay>,
    /// By day.
    pub daily: Vec<DayUsage>,
}

/// What an agent used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentUsage {
    /// The agent.
    pub agent_id: String,
    /// Tokens and cost.
    pub totals: UsageTotals,
}

/// What the sessions of a channel used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelUsage {
    /// The channel.
    pub channel: String,
    /// Tokens and cost.
    pub totals: UsageTotals,
}

/// What a day was like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DayUsage {
    /// `YYYY-MM-DD`.
    pub date: String,
    /// All tokens.
    pub tokens: u64,
    /// What they cost.
    #[serde(serialize_with = "wire::number")]
    pub cost: f64,
    /// Messages.
    pub messages: u64,
    /// Tools called.
    pub tool_calls: u64,
    /// What failed.
    pub errors: u64,
}

/// Tokens of a day and what they cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CostOfDay {
    /// `YYYY-MM-DD`.
    pub date: String,
    /// Tokens and cost.
    #[serde(flatten)]
    pub totals: UsageTotals,
}
