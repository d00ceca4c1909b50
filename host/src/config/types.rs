//! The keys of `openclaw.json` that this gateway uses (their full list: the reference's
//! documentation). Each section keeps what it doesn't know in `other`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::messages::MessagesConfig;
use super::{
    AgentRuntime, CronConfig, Dotenv, GatewayConfig, HeartbeatConfig, HooksConfig, Paths, Secret,
    SendPolicyConfig, SkillsConfig,
};

/// The whole configuration in force.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where things lie.
    pub paths: Paths,
    /// Fingerprint of the file's text, SHA-256 in hexadecimal.
    pub hash: String,
    /// Variables of the `.env` files, for what is read beside the configuration.
    pub dotenv: Dotenv,
    /// `gateway`.
    pub gateway: GatewayConfig,
    /// `session`.
    pub session: SessionConfig,
    /// `agents`.
    pub agents: AgentsConfig,
    /// `models`.
    pub models: ModelsConfig,
    /// `messages`.
    pub messages: MessagesConfig,
    /// `tools`.
    pub tools: ToolsConfig,
    /// `cron`.
    pub cron: CronConfig,
    /// `hooks`.
    pub hooks: HooksConfig,
    /// `skills`.
    pub skills: SkillsConfig,
    /// `talk` as written: talking clients read it.
    pub talk: Map<String, Value>,
    /// `ui` as written: clients with a screen read it.
    pub ui: Map<String, Value>,
    /// `logging`.
    pub logging: LoggingConfig,
    /// `channels.<id>` as written, references resolved; each plugin's schema checks its own.
    pub channels: BTreeMap<String, Value>,
    /// `channels.defaults`.
    pub channel_defaults: ChannelDefaults,
}

impl Config {
    /// The defaults, with everything in one folder.
    #[cfg(test)]
    pub(crate) fn for_tests(dir: &std::path::Path) -> Config {
        Config::empty(Paths {
            config_file: dir.join("openclaw.json"),
            state_dir: dir.to_path_buf(),
            plugins_file: dir.join("plugins.toml"),
        })
    }

    /// What a gateway without a file has.
    pub fn empty(paths: Paths) -> Config {
        Config {
            paths,
            hash: String::new(),
            dotenv: Dotenv::default(),
            gateway: GatewayConfig::default(),
            session: SessionConfig::default(),
            agents: AgentsConfig::default(),
            models: ModelsConfig::default(),
            messages: Default::default(),
            tools: Default::default(),
            cron: CronConfig::default(),
            hooks: HooksConfig::default(),
            skills: SkillsConfig::default(),
            talk: Map::new(),
            ui: Map::new(),
            logging: LoggingConfig::default(),
            channels: BTreeMap::new(),
            channel_defaults: ChannelDefaults::default(),
        }
    }
}

/// `session`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct SessionConfig {
    /// One session per sender, or one for everybody.
    pub scope: SessionScope,
    /// How direct chats map to sessions.
    pub dm_scope: DmScope,
    /// Name → `peer` or `channel:peer` that are the same person.
    pub identity_links: BTreeMap<String, Vec<String>>,
    /// Another alias of the main session.
    pub main_key: Option<String>,
    /// Which conversations may be written to.
    pub send_policy: SendPolicyConfig,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `session.scope`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SessionScope {
    /// Each sender or group has a session.
    #[default]
    PerSender,
    /// One session, key `global`.
    Global,
}

impl SessionScope {
    /// The wire's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PerSender => "per-sender",
            Self::Global => "global",
        }
    }
}

/// `session.dmScope`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DmScope {
    /// Every direct chat shares the main session.
    #[default]
    Main,
    /// One session per person.
    PerPeer,
    /// One session per channel and person.
    PerChannelPeer,
    /// One session per channel, account and person.
    PerAccountChannelPeer,
}

/// `agents`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct AgentsConfig {
    /// Named agents; none means one agent `main`.
    pub list: Vec<AgentEntry>,
    /// What agents share.
    pub defaults: AgentDefaults,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl AgentsConfig {
    /// The id of the default agent: the marked one, else the first, else `main`.
    pub fn default_id(&self) -> &str {
        let marked = self.list.iter().find(|a| a.default);
        marked
            .or(self.list.first())
            .map_or("main", |a| a.id.as_str())
    }

    /// The entry of `id`, if it is configured.
    pub fn get(&self, id: &str) -> Option<&AgentEntry> {
        self.list.iter().find(|a| a.id == id)
    }

    /// True for a configured id and for the default one.
    pub fn exists(&self, id: &str) -> bool {
        id == self.default_id() || self.get(id).is_some()
    }

    /// All agent ids, the default one first.
    pub fn ids(&self) -> Vec<&str> {
        let default = self.default_id();
        let others = self
            .list
            .iter()
            .map(|a| a.id.as_str())
            .filter(|id| *id != default);
        std::iter::once(default).chain(others).collect()
    }
}

/// One entry of `agents.list`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct AgentEntry {
    /// Id, lower case.
    pub id: String,
    /// Marks the default agent.
    pub default: bool,
    /// Shown name.
    pub name: Option<String>,
    /// Its folder.
    pub workspace: Option<String>,
    /// Its model instead of the shared one.
    pub model: Option<ModelRef>,
    /// Name, theme, emoji and avatar as clients show them.
    pub identity: Option<AgentIdentity>,
    /// Its look-around instead of the shared one; then only such agents have one.
    pub heartbeat: Option<HeartbeatConfig>,
    /// What its models may call, over `tools`.
    pub tools: Option<ToolsConfig>,
    /// A coding agent that answers instead of a model.
    pub runtime: Option<AgentRuntime>,
    /// Names of the skills it may use; absent: all.
    pub skills: Option<Vec<String>>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `agents.list[].identity`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct AgentIdentity {
    /// Shown name.
    pub name: Option<String>,
    /// Colour theme.
    pub theme: Option<String>,
    /// Emoji.
    pub emoji: Option<String>,
    /// Text, emoji, data: or http(s) URL.
    pub avatar: Option<String>,
}

/// `agents.defaults`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct AgentDefaults {
    /// Which model answers; absent: the embedded echo runner.
    pub model: Option<ModelRef>,
    /// Longest run, seconds; 0 = no limit.
    pub timeout_seconds: u64,
    /// Folder of the default agent.
    pub workspace: Option<String>,
    /// IANA name of the person's time zone; absent: the host's.
    pub user_timezone: Option<String>,
    /// Standing text before every conversation.
    pub system_prompt: Option<String>,
    /// How long models think that can: `off`, `minimal`, `low`, `medium`, `high`, `xhigh` or
    /// `adaptive`.
    pub thinking_default: Option<String>,
    /// Characters of one file of the agent's folder that a prompt holds; absent: 20,000.
    pub bootstrap_max_chars: Option<usize>,
    /// Characters of all of them; absent: 150,000.
    pub bootstrap_total_max_chars: Option<usize>,
    /// Backend id → how a program of this machine is called for answers; over the built-in
    /// values of `claude-cli` and `codex-cli`.
    pub cli_backends: BTreeMap<String, Value>,
    /// Backend id → how a coding agent of this machine is started that speaks the Agent Client
    /// Protocol; over the built-in values of `codex-acp`, `claude-acp` and `gemini-acp`.
    pub acp_backends: BTreeMap<String, Value>,
    /// The regular look-around of the agent.
    pub heartbeat: HeartbeatConfig,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for AgentDefaults {
    fn default() -> Self {
        AgentDefaults {
            model: None,
            timeout_seconds: 600,
            workspace: None,
            user_timezone: None,
            system_prompt: None,
            thinking_default: None,
            bootstrap_max_chars: None,
            bootstrap_total_max_chars: None,
            cli_backends: BTreeMap::new(),
            acp_backends: BTreeMap::new(),
            heartbeat: HeartbeatConfig::default(),
            other: Map::new(),
        }
    }
}

/// A model reference: `"provider/model"` or `{primary, fallbacks}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ModelRef {
    /// One model.
    One(String),
    /// One model and what to try after it.
    WithFallbacks {
        /// First choice.
        primary: String,
        /// Tried in order when it fails before its first word.
        #[serde(default)]
        fallbacks: Vec<String>,
    },
}

impl ModelRef {
    /// The first choice, then the fallbacks.
    pub fn candidates(&self) -> Vec<&str> {
        match self {
            Self::One(model) => vec![model],
            Self::WithFallbacks { primary, fallbacks } => std::iter::once(primary.as_str())
                .chain(fallbacks.iter().map(String::as_str))
                .collect(),
        }
    }
}

/// `models`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ModelsConfig {
    /// Provider id → how to reach it.
    pub providers: BTreeMap<String, ModelProvider>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One entry of `models.providers`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelProvider {
    /// Base URL, with version path, without trailing slash.
    pub base_url: String,
    /// Bearer key.
    #[serde(default)]
    pub api_key: Option<Secret>,
    /// Dialect; absent: `openai-completions`.
    #[serde(default)]
    pub api: Option<String>,
    /// The key goes into `Authorization: Bearer` where the dialect has another header for it.
    #[serde(default)]
    pub auth_header: bool,
    /// More request headers.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// What it offers.
    #[serde(default)]
    pub models: Vec<ModelEntry>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One entry of `models.providers.<id>.models`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ModelEntry {
    /// Id as the provider knows it.
    pub id: String,
    /// Shown name.
    pub name: Option<String>,
    /// Thinks before it speaks.
    pub reasoning: Option<bool>,
    /// `text`, `image`.
    pub input: Option<Vec<String>>,
    /// Context window, tokens.
    pub context_window: Option<u64>,
    /// Longest answer, tokens.
    pub max_tokens: Option<u64>,
    /// What a million tokens cost; absent when it is not known.
    pub cost: Option<ModelCost>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `models.providers.<id>.models[].cost`: prices of a million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ModelCost {
    /// Read by the model.
    pub input: f64,
    /// Written by the model.
    pub output: f64,
    /// Read from the provider's cache.
    pub cache_read: f64,
    /// Written to the provider's cache.
    pub cache_write: f64,
}

/// `tools`, and `agents.list[].tools`: what models may call.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ToolsConfig {
    /// A named set: `minimal`, `coding`, `messaging` or `full`; absent: what only reads, and
    /// `message`.
    pub profile: Option<String>,
    /// Only these: names, `group:<id>` or `*`.
    pub allow: Option<Vec<String>>,
    /// These too, beside the profile.
    pub also_allow: Vec<String>,
    /// Never these.
    pub deny: Vec<String>,
    /// What the tools about conversations see.
    pub sessions: ToolSessionsConfig,
    /// Where the tool `message` may send.
    pub message: ToolMessageConfig,
    /// What the tool `exec` may run, beside the approvals file: the stricter one counts.
    pub exec: ToolExecConfig,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `tools.sessions`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ToolSessionsConfig {
    /// `self`, `tree` (default: also those it began), `agent` or `all`.
    pub visibility: Option<String>,
}

/// `tools.exec`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ToolExecConfig {
    /// Where commands run: `gateway` (default), the only place there is.
    pub host: Option<String>,
    /// What may be run: `deny`, `allowlist` or `full`.
    pub security: Option<String>,
    /// When approvers are asked: `off`, `on-miss` or `always`.
    pub ask: Option<String>,
    /// Longest run of a command that names no time, seconds; absent: 120.
    pub timeout_sec: Option<f64>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `tools.message`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ToolMessageConfig {
    /// What a conversation of a channel may send elsewhere.
    pub cross_context: CrossContextConfig,
}

/// `tools.message.crossContext`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CrossContextConfig {
    /// To others on the same channel; absent: yes.
    pub allow_within_provider: Option<bool>,
    /// On other channels.
    pub allow_across_providers: bool,
}

/// `logging`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct LoggingConfig {
    /// `error`, `warn`, `info` (default), `debug` or `trace`.
    pub level: Option<String>,
    /// Log file instead of `<state>/logs/gateway.log`.
    pub file: Option<String>,
    /// `pretty` (default), `compact` or `json` lines on standard output.
    pub console_style: Option<String>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `channels.defaults`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ChannelDefaults {
    /// Group policy of channels that name none.
    pub group_policy: Option<String>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
