//! `messages` of `openclaw.json`: how replies look, and what becomes of messages that wait.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// `messages`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct MessagesConfig {
    /// Put before every reply on a channel.
    pub response_prefix: Option<String>,
    /// Group chats.
    pub group_chat: GroupChatConfig,
    /// Messages that arrive while their session has a run.
    pub queue: QueueConfig,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `messages.queue`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct QueueConfig {
    /// What becomes of them; absent: `collect`.
    pub mode: Option<QueueMode>,
    /// The same for one channel (`webchat` for WebSocket clients).
    pub by_channel: BTreeMap<String, QueueMode>,
    /// How long collected messages wait for more, milliseconds; absent: 1,000.
    pub debounce_ms: Option<u64>,
    /// The same for one channel.
    pub debounce_ms_by_channel: BTreeMap<String, u64>,
    /// How many messages may wait to be answered together; absent: 20.
    pub cap: Option<usize>,
    /// What becomes of those beyond it; absent: `summarize`.
    pub drop: Option<QueueDrop>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What becomes of messages that are more than may wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QueueDrop {
    /// The oldest are not answered.
    Old,
    /// The newest are not taken.
    New,
    /// Of the oldest, the agent is told the beginning.
    #[default]
    Summarize,
}

/// What becomes of a message that arrives while its session has a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum QueueMode {
    /// All that wait are answered together.
    #[default]
    Collect,
    /// Each gets a run of its own.
    Followup,
    /// It is put into the running one.
    #[serde(alias = "queue")]
    Steer,
    /// Both.
    #[serde(alias = "steer+backlog")]
    SteerBacklog,
    /// The running one is stopped.
    Interrupt,
}

impl QueueMode {
    /// The mode of a word.
    pub fn named(word: &str) -> Option<QueueMode> {
        serde_json::from_value(Value::from(word)).ok()
    }

    /// The word of a mode.
    pub fn as_str(self) -> &'static str {
        match self {
            QueueMode::Collect => "collect",
            QueueMode::Followup => "followup",
            QueueMode::Steer => "steer",
            QueueMode::SteerBacklog => "steer-backlog",
            QueueMode::Interrupt => "interrupt",
        }
    }
}

/// `messages.groupChat`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct GroupChatConfig {
    /// Words that count as a mention, as case-insensitive regular expressions.
    pub mention_patterns: Vec<String>,
    /// Unmentioned messages kept as context.
    pub history_limit: Option<u32>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
