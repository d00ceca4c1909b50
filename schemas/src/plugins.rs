//! Plugins as operators see them: `plugins.list`, `plugins.reload`, `plugins.restart`
//! (`plugins.json`).
//!
//! This gateway's own methods; the reference has none of them. The command line shows
//! [`PluginsList`] as it is with `plugins list --json`, whether a gateway runs or not.

use serde::{Deserialize, Serialize};

/// Result of `plugins.list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginsList {
    /// Path of `plugins.toml`.
    pub file: String,
    /// It says `[trust] development = true`.
    pub development: bool,
    /// Its entries, in order.
    pub plugins: Vec<PluginInfo>,
}

/// One entry of `plugins.toml`. Version, path, digest and isolation are those of the generation
/// that runs; `problem` says why that isn't the file's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginInfo {
    /// Its name in the file.
    pub name: String,
    /// The channel it serves, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Its version, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The library.
    pub path: String,
    /// Digest of the library, if it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// How it stands, over all its accounts.
    pub state: PluginState,
    /// Where it runs: `in-process` or `process`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<String>,
    /// The key that signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// The copy that runs, counted from 1 since the gateway started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Libraries of former generations that stay in the gateway's memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<u64>,
    /// Why it doesn't run, or why the file's doesn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The accounts it serves, or would.
    pub accounts: Vec<PluginAccount>,
}

/// How a plugin stands, over all its accounts; the worst first decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PluginState {
    /// It may be opened; no account runs.
    Ready,
    /// Every account that should run does.
    Running,
    /// An account that should run doesn't, or not well.
    Degraded,
    /// An account was given up.
    Quarantined,
    /// Switched off in the file.
    Disabled,
    /// Refused, and nothing of it runs.
    Refused,
}

/// One account that a plugin serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginAccount {
    /// Its id in the configuration.
    pub account_id: String,
    /// What its task is doing.
    pub state: PluginAccountState,
    /// How often it was started anew by itself since somebody started it.
    pub restarts: u64,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What an account's task is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PluginAccountState {
    /// Not started: switched off, or something is missing.
    Off,
    /// The plugin is being started, or will be after a pause.
    Starting,
    /// The plugin serves it.
    Running,
    /// The plugin serves it with trouble.
    Degraded,
    /// The plugin is about to be changed.
    Draining,
    /// Stopped until somebody changes something.
    Stopped,
    /// The plugin misbehaved too often; `plugins.restart` lifts it.
    Quarantined,
}

/// Params of `plugins.reload`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginsReloadParams {
    /// The one plugin to look at; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Result of `plugins.reload`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginsReloaded {
    /// One for each plugin looked at.
    pub changes: Vec<PluginChange>,
}

/// What became of one entry of `plugins.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginChange {
    /// The plugin.
    pub name: String,
    /// What became of it.
    pub change: PluginChanged,
    /// What went wrong, with what goes on instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What became of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PluginChanged {
    /// It serves from now on.
    Added,
    /// It no longer serves: gone from the file, or switched off.
    Removed,
    /// A new generation of it serves.
    Replaced,
    /// Nothing to do.
    Unchanged,
    /// The file's plugin was not tried; what ran goes on.
    Refused,
    /// The file's plugin did not get ready; the generation before runs again.
    Kept,
}

/// Params of `plugins.restart`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginsRestartParams {
    /// The plugin's name in `plugins.toml`.
    pub name: String,
    /// The one account to restart; all that should run when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
}

/// Result of `plugins.restart`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginsRestarted {
    /// The accounts that serve again.
    pub restarted: Vec<String>,
}
