//! Skills: `skills.*` (`skills.json`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Params of `skills.status`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkillsStatusParams {
    /// The agent; the default one when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
}

/// Result of `skills.status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkillsStatus {
    /// The agent's folder.
    pub workspace_dir: String,
    /// The folder of the skills that all agents share.
    pub managed_skills_dir: String,
    /// Every skill, by name.
    pub skills: Vec<SkillStatus>,
}

/// One skill: what it needs and whether the agent can use it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkillStatus {
    /// Its name.
    pub name: String,
    /// When it is of use.
    pub description: String,
    /// Where it was found: `openclaw-workspace`, `openclaw-managed`, `openclaw-extra`.
    pub source: String,
    /// It came with the gateway.
    pub bundled: bool,
    /// Its `SKILL.md`.
    pub file_path: String,
    /// Its folder.
    pub base_dir: String,
    /// Its key under `skills.entries`.
    pub skill_key: String,
    /// The variable that its API key goes into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_env: Option<String>,
    /// A picture for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emoji: Option<String>,
    /// More about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// What it needs doesn't matter.
    pub always: bool,
    /// Switched off.
    pub disabled: bool,
    /// Not among those that are allowed.
    pub blocked_by_allowlist: bool,
    /// It can be used.
    pub eligible: bool,
    /// What it needs.
    pub requirements: SkillNeeds,
    /// What of it is missing.
    pub missing: SkillNeeds,
    /// Keys of the configuration that it looks at.
    pub config_checks: Vec<SkillConfigCheck>,
    /// Ways to get what is missing.
    pub install: Vec<SkillInstallOption>,
}

/// Programs, variables, keys of the configuration, and systems.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkillNeeds {
    /// Programs, all of them.
    pub bins: Vec<String>,
    /// Programs, one of them.
    pub any_bins: Vec<String>,
    /// Variables.
    pub env: Vec<String>,
    /// Keys of the configuration.
    pub config: Vec<String>,
    /// Systems, one of them.
    pub os: Vec<String>,
}

/// A key of the configuration that a skill looks at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SkillConfigCheck {
    /// Its dotted path.
    pub path: String,
    /// It says yes.
    pub satisfied: bool,
}

/// A way to get what is missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SkillInstallOption {
    /// Its id.
    pub id: String,
    /// What is used: `brew`, `node`, `go`, `uv`, `download`.
    pub kind: String,
    /// What people read.
    pub label: String,
    /// The programs that are there afterwards.
    pub bins: Vec<String>,
}

/// Result of `skills.bins`: the programs that skills name, sorted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SkillsBins {
    /// Their names.
    pub bins: Vec<String>,
}

/// Params of `skills.update`. A blank key or variable is removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkillsUpdateParams {
    /// Its key under `skills.entries`.
    pub skill_key: String,
    /// On or off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The value of its primary variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// More variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<BTreeMap<String, String>>,
}

/// Result of `skills.update`: the skill's settings, secrets hidden.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkillsUpdated {
    /// Always true.
    pub ok: bool,
    /// The skill's key.
    pub skill_key: String,
    /// Its settings.
    pub config: Map<String, Value>,
}
