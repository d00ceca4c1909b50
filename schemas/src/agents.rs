//! Agents, their files and tools, and models: `agents.*`, `agent.identity.get`, `models.list`,
//! `tools.catalog` (`agents.json`).

use serde::{Deserialize, Serialize};

use crate::wire;

/// Result of `agents.list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentsList {
    /// The default agent.
    pub default_id: String,
    /// Alias of the main session.
    pub main_key: String,
    /// How sessions are split.
    pub scope: SessionScope,
    /// All agents.
    pub agents: Vec<AgentSummary>,
}

/// How sessions are split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionScope {
    /// One for each sender.
    PerSender,
    /// One for all.
    Global,
}

/// One agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentSummary {
    /// The agent.
    pub id: String,
    /// Name to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How it presents itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<AgentIdentity>,
}

/// How an agent presents itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentIdentity {
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A few words about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theme: Option<String>,
    /// Sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emoji: Option<String>,
    /// Picture as configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// Picture as an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
}

/// Params of `agent.identity.get`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentIdentityParams {
    /// The agent; the default one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// A session whose agent is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
}

/// Result of `agent.identity.get`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentIdentityResult {
    /// The agent.
    pub agent_id: String,
    /// Name.
    pub name: String,
    /// Path, address or text.
    pub avatar: String,
    /// Sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emoji: Option<String>,
}

/// Result of `models.list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelsList {
    /// Models that may be used.
    pub models: Vec<Model>,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// Id at its provider.
    pub id: String,
    /// Name to show.
    pub name: String,
    /// Its provider.
    pub provider: String,
    /// Context length, tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    /// It can think first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<bool>,
    /// What it reads: `text`, `image`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Vec<String>>,
}

/// Params of `agents.create`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentsCreateParams {
    /// Name; the id is made of it.
    pub name: String,
    /// Its folder.
    pub workspace: String,
    /// Its sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emoji: Option<String>,
    /// Its picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
}

/// Result of `agents.create`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentsCreated {
    /// Always true.
    pub ok: bool,
    /// The new id.
    pub agent_id: String,
    /// The name.
    pub name: String,
    /// The folder, absolute.
    pub workspace: String,
}

/// Params of `agents.update`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentsUpdateParams {
    /// The agent.
    pub agent_id: String,
    /// Another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Another folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// Another model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Another picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
}

/// Result of `agents.update`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentsUpdated {
    /// Always true.
    pub ok: bool,
    /// The agent.
    pub agent_id: String,
}

/// Params of `agents.delete`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentsDeleteParams {
    /// The agent.
    pub agent_id: String,
    /// Its folder goes, too; true when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_files: Option<bool>,
}

/// Result of `agents.delete`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentsDeleted {
    /// Always true.
    pub ok: bool,
    /// The agent.
    pub agent_id: String,
    /// Bindings that led to it.
    pub removed_bindings: u64,
}

/// Params of `agents.files.list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentsFilesListParams {
    /// The agent.
    pub agent_id: String,
}

/// Result of `agents.files.list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentsFilesList {
    /// The agent.
    pub agent_id: String,
    /// Its folder.
    pub workspace: String,
    /// The files, present or not.
    pub files: Vec<AgentFile>,
}

/// One file of an agent's folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentFile {
    /// Its name.
    pub name: String,
    /// Where it lies or would lie.
    pub path: String,
    /// It is not there.
    pub missing: bool,
    /// Bytes.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub size: Option<u64>,
    /// Last change, milliseconds.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub updated_at_ms: Option<u64>,
    /// Its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// Params of `agents.files.get`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentsFileParams {
    /// The agent.
    pub agent_id: String,
    /// The file.
    pub name: String,
}

/// Result of `agents.files.get`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentsFileGot {
    /// The agent.
    pub agent_id: String,
    /// Its folder.
    pub workspace: String,
    /// The file.
    pub file: AgentFile,
}

/// Params of `agents.files.set`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentsFileSetParams {
    /// The agent.
    pub agent_id: String,
    /// The file.
    pub name: String,
    /// Its new text.
    pub content: String,
}

/// Result of `agents.files.set`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentsFileSet {
    /// Always true.
    pub ok: bool,
    /// The agent.
    pub agent_id: String,
    /// Its folder.
    pub workspace: String,
    /// The file as it is now.
    pub file: AgentFile,
}

/// Params of `tools.catalog`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolsCatalogParams {
    /// The agent; the default one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Tools of plugins, too; true when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_plugins: Option<bool>,
}

/// Result of `tools.catalog`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolsCatalog {
    /// The agent.
    pub agent_id: String,
    /// Named sets of tools.
    pub profiles: Vec<ToolProfile>,
    /// The tools there are.
    pub groups: Vec<ToolGroup>,
}

/// A named set of tools.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolProfile {
    /// Its id.
    pub id: String,
    /// Its name.
    pub label: String,
}

/// Tools that belong together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolGroup {
    /// Its id.
    pub id: String,
    /// Its name.
    pub label: String,
    /// `core` or `plugin`.
    pub source: String,
    /// The plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin_id: Option<String>,
    /// The tools.
    pub tools: Vec<ToolEntry>,
}

/// One tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolEntry {
    /// Its name.
    pub id: String,
    /// Its name to show.
    pub label: String,
    /// What it does.
    pub description: String,
    /// `core` or `plugin`.
    pub source: String,
    /// The plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin_id: Option<String>,
    /// Only there when it is allowed by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
    /// The profiles that hold it.
    pub default_profiles: Vec<String>,
}
