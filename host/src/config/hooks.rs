//! `hooks` of `openclaw.json`: what other programs may wake the agent with.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Secret;

/// `hooks`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct HooksConfig {
    /// Whether they are there at all.
    pub enabled: bool,
    /// Where they begin; absent: `/hooks`.
    pub path: Option<String>,
    /// The secret of those who call them; not that of the gateway.
    pub token: Option<Secret>,
    /// Largest request, bytes; absent: 262,144.
    pub max_body_bytes: Option<usize>,
    /// The session of hooks that name none; absent: a new one for each call.
    pub default_session_key: Option<String>,
    /// Callers may name the session.
    pub allow_request_session_key: bool,
    /// How a session that a caller or a mapping names has to begin; absent: anyhow.
    pub allowed_session_key_prefixes: Option<Vec<String>>,
    /// The agents that may be asked; absent or with `*`: all.
    pub allowed_agent_ids: Option<Vec<String>>,
    /// Built-in mappings: `gmail`.
    pub presets: Vec<String>,
    /// What becomes of `/hooks/<name>`; the first that fits counts.
    pub mappings: Vec<HookMapping>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl HooksConfig {
    /// Where they begin, without a slash at the end.
    pub fn base(&self) -> String {
        let path = self.path.as_deref().unwrap_or("/hooks").trim();
        format!("/{}", path.trim_matches('/'))
    }
}

/// One of `hooks.mappings`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct HookMapping {
    /// Its name in the log.
    pub id: Option<String>,
    /// What it is for.
    #[serde(rename = "match")]
    pub fits: HookMatch,
    /// `agent` (default) or `wake`.
    pub action: HookAction,
    /// `now` (default) or `next-heartbeat`.
    pub wake_mode: HookWakeMode,
    /// The caller's name for the agent.
    pub name: Option<String>,
    /// Who is asked.
    pub agent_id: Option<String>,
    /// The session; may hold `{{…}}`.
    pub session_key: Option<String>,
    /// The words for `action: "agent"`; `{{…}}` stands for a part of the request.
    pub message_template: Option<String>,
    /// The words for `action: "wake"`.
    pub text_template: Option<String>,
    /// The answer goes to a chat; absent: yes.
    pub deliver: Option<bool>,
    /// The model reads the words as they are, without a warning that strangers wrote them.
    pub allow_unsafe_external_content: bool,
    /// `last` or a channel.
    pub channel: Option<String>,
    /// The place on that channel.
    pub to: Option<String>,
    /// Another model.
    pub model: Option<String>,
    /// How long it thinks.
    pub thinking: Option<String>,
    /// Longest run, seconds.
    pub timeout_seconds: Option<u64>,
    /// A program of the reference; not run by this gateway: such a mapping fails.
    pub transform: Option<Value>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `hooks.mappings[].match`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct HookMatch {
    /// The path below `hooks.path`.
    pub path: Option<String>,
    /// The field `source` of the request.
    pub source: Option<String>,
}

/// `hooks.mappings[].action`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HookAction {
    /// A run of the agent.
    #[default]
    Agent,
    /// A text for the main session.
    Wake,
}

/// When a text for the main session is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HookWakeMode {
    /// At once.
    #[default]
    Now,
    /// At the next look-around.
    NextHeartbeat,
}
