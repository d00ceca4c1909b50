//! `skills`: where folders of instructions lie, and what each is given.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Secret;

/// `skills`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct SkillsConfig {
    /// Skill key → what it is given.
    pub entries: BTreeMap<String, SkillEntry>,
    /// Where skills lie besides the agent's folder and the state folder.
    pub load: SkillsLoadConfig,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `skills.load`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct SkillsLoadConfig {
    /// Folders of skills; those in the agent's folder and the state folder come first.
    pub extra_dirs: Vec<String>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `skills.entries.<key>`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct SkillEntry {
    /// `false` switches the skill off.
    pub enabled: Option<bool>,
    /// The value of the variable that the skill calls its primary one.
    pub api_key: Option<Secret>,
    /// Variables for the programs that work with the skill.
    pub env: BTreeMap<String, Secret>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
