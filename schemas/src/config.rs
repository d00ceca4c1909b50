//! The configuration file: `config.*` and `secrets.reload`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An object whose shape is the configuration's own.
pub type Tree = Map<String, Value>;

/// Result of `config.get`. Secrets are replaced by a placeholder everywhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigSnapshot {
    /// The file.
    pub path: String,
    /// It is there.
    pub exists: bool,
    /// Its text; null when it isn't there or can't be read as JSON5.
    pub raw: Option<String>,
    /// Its own tree.
    pub parsed: Tree,
    /// The tree with everything included.
    pub resolved: Tree,
    /// A gateway can run with it.
    pub valid: bool,
    /// What a gateway makes of it.
    pub config: Tree,
    /// Fingerprint of the text.
    pub hash: String,
    /// What is wrong with it.
    pub issues: Vec<ConfigIssue>,
    /// What has no effect, or may surprise.
    pub warnings: Vec<ConfigIssue>,
    /// Old forms of keys; none are known.
    pub legacy_issues: Vec<ConfigIssue>,
}

/// What is wrong with one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigIssue {
    /// The key, dotted; empty for the whole.
    pub path: String,
    /// For people.
    pub message: String,
}

/// Params of `config.set`: the text of the whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigSetParams {
    /// JSON5.
    pub raw: String,
    /// Fingerprint of the text that was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_hash: Option<String>,
}

/// Result of `config.set`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfigWritten {
    /// Always true.
    pub ok: bool,
    /// The file.
    pub path: String,
    /// What it says now, secrets replaced.
    pub config: Tree,
}

/// Params of `config.apply` (the text of the whole file) and `config.patch` (a merge patch).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigApplyParams {
    /// JSON5.
    pub raw: String,
    /// Fingerprint of the text that was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_hash: Option<String>,
    /// The session that asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// How long to wait before a restart.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::wire::int_opt"
    )]
    pub restart_delay_ms: Option<u64>,
}

/// Result of `config.apply` and `config.patch`. No restart: everything counts already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfigApplied {
    /// Always true.
    pub ok: bool,
    /// The file.
    pub path: String,
    /// What it says now, secrets replaced.
    pub config: Tree,
    /// Null when everything counts already.
    pub restart: Option<ConfigRestart>,
    /// What was done.
    pub sentinel: ConfigSentinel,
}

/// Whether the gateway restarts; if it doesn't, the reason names the keys that wait for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigRestart {
    /// It will.
    pub ok: bool,
    /// The gateway's process.
    pub pid: u64,
    /// What would restart it.
    pub signal: String,
    /// When.
    pub delay_ms: u64,
    /// Why, or why not.
    pub reason: String,
    /// How.
    pub mode: String,
    /// One was planned already.
    pub coalesced: bool,
    /// How long it was put off.
    pub cooldown_ms_applied: u64,
}

/// What was done, as it would be told after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigSentinel {
    /// The file that keeps it; null for none.
    pub path: Option<String>,
    /// What it says.
    pub payload: ConfigSentinelPayload,
}

/// One change of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigSentinelPayload {
    /// `config-patch` or `config-apply`.
    pub kind: String,
    /// `ok`.
    pub status: String,
    /// When, milliseconds.
    pub ts: u64,
    /// The session that asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// The asker's note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What to run when something is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doctor_hint: Option<String>,
    /// By which method, and which file.
    pub stats: ConfigSentinelStats,
}

/// By which method, and which file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigSentinelStats {
    /// The method.
    pub mode: String,
    /// The file.
    pub root: String,
}

/// Result of `config.schema`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigSchemaAnswer {
    /// JSON Schema, draft 7.
    pub schema: Tree,
    /// By dotted path; `*` stands for any key, `[]` for the items of a list.
    pub ui_hints: BTreeMap<String, ConfigHint>,
    /// Of the gateway.
    pub version: String,
    /// When, ISO 8601.
    pub generated_at: String,
}

/// How a key is shown to people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigHint {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// The heading it stands under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Small ones come first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<i64>,
    /// Seldom needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advanced: Option<bool>,
    /// A secret: shown as dots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitive: Option<bool>,
    /// What stands in an empty field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<String>,
}

/// Params of `config.schema.lookup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigSchemaLookupParams {
    /// Dotted.
    pub path: String,
}

/// Result of `config.schema.lookup`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigSchemaLookup {
    /// As it was found.
    pub path: String,
    /// Without what lies below.
    pub schema: Tree,
    /// How it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<ConfigHint>,
    /// The path of that hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint_path: Option<String>,
    /// What lies below.
    pub children: Vec<ConfigSchemaChild>,
}

/// One key below the one that was looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigSchemaChild {
    /// Its name.
    pub key: String,
    /// Dotted.
    pub path: String,
    /// Where it has one only.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// It must be there.
    pub required: bool,
    /// Something lies below it.
    pub has_children: bool,
    /// How it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<ConfigHint>,
    /// The path of that hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint_path: Option<String>,
}

/// Result of `secrets.reload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretsReloaded {
    /// Always true.
    pub ok: bool,
    /// References that lead nowhere.
    pub warning_count: u64,
}
