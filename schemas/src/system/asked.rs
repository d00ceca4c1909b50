//! What clients ask of the gateway itself: `wake`, `set-heartbeats`, `logs.tail`,
//! `doctor.memory.status`.

use crate::wire;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Params of `wake`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WakeParams {
    /// When the agent looks.
    pub mode: WakeMode,
    /// What it is told.
    pub text: String,
}

/// When an agent hears of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WakeMode {
    /// At once.
    Now,
    /// When it looks around next.
    NextHeartbeat,
}

/// Result of `wake`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Woken {
    /// False for a blank text.
    pub ok: bool,
}

/// What `set-heartbeats` reads of its open params.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetHeartbeatsParams {
    /// Needed, a boolean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<Value>,
}

/// Result of `set-heartbeats`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatsSet {
    /// Always true.
    pub ok: bool,
    /// As it is now.
    pub enabled: bool,
}

/// Params of `logs.tail`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogsTailParams {
    /// Where to read on, from the answer before.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub cursor: Option<u64>,
    /// Newest lines to return.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub limit: Option<u64>,
    /// How much is read.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_bytes: Option<u64>,
}

/// Result of `logs.tail`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogsTail {
    /// The log file.
    pub file: String,
    /// Where to read on.
    pub cursor: u64,
    /// Size of the file.
    pub size: u64,
    /// Each a JSON object.
    pub lines: Vec<String>,
    /// Something before the lines was left out.
    pub truncated: bool,
    /// The cursor was of no use.
    pub reset: bool,
}

/// Result of `doctor.memory.status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryStatus {
    /// The agent.
    pub agent_id: String,
    /// Who makes its embeddings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Whether its memory can be searched.
    pub embedding: MemorySearch,
}

/// Whether an agent's memory can be searched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemorySearch {
    /// It can.
    pub ok: bool,
    /// Why it can't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
