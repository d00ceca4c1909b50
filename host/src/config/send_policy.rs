//! `session.sendPolicy` of `openclaw.json`: which conversations may be written to.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// `session.sendPolicy`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct SendPolicyConfig {
    /// What counts where no rule matches; absent: `allow`.
    pub default: Option<SendAction>,
    /// The first that denies decides; one that allows decides if none does.
    pub rules: Vec<SendRule>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What a policy says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SendAction {
    /// It may be written to.
    #[default]
    Allow,
    /// It may not.
    Deny,
}

/// One rule.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SendRule {
    /// What it says.
    pub action: SendAction,
    /// Of which conversations; of all when it names nothing.
    #[serde(rename = "match")]
    pub what: SendMatch,
}

/// Which conversations: those to which everything that is named applies.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct SendMatch {
    /// Of this channel.
    pub channel: Option<String>,
    /// `direct`, `group` or `channel`.
    pub chat_type: Option<String>,
    /// Whose session key begins so, with or without `agent:<id>:`.
    pub key_prefix: Option<String>,
    /// Whose whole session key begins so.
    pub raw_key_prefix: Option<String>,
}
