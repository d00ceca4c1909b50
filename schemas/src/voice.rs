//! Voice: `voicewake.*`, `talk.*` and their events (`voice.json`).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What `voicewake.set` reads of its open params.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct VoiceWakeSetParams {
    /// Needed, a list; what is no text in it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triggers: Option<Value>,
}

/// Result of `voicewake.get` and `.set`, payload of event `voicewake.changed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VoiceWake {
    /// The words.
    pub triggers: Vec<String>,
}

/// Params of `talk.config`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TalkConfigParams {
    /// With keys of voice providers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_secrets: Option<bool>,
}

/// Result of `talk.config`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TalkConfig {
    /// What a talking client needs.
    pub config: TalkSettings,
}

/// What a talking client needs of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TalkSettings {
    /// `talk` as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub talk: Option<Map<String, Value>>,
    /// Of `session`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<TalkSession>,
    /// Of `ui`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ui: Option<TalkUi>,
}

/// What of `session`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TalkSession {
    /// Another alias of the main session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub main_key: Option<String>,
}

/// What of `ui`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TalkUi {
    /// Colour of the person's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seam_color: Option<String>,
}

/// Params of `talk.mode`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TalkModeParams {
    /// Talking is on.
    pub enabled: bool,
    /// Such as `listening`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
}

/// Result of `talk.mode` and payload of its event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TalkMode {
    /// Talking is on.
    pub enabled: bool,
    /// Such as `listening`.
    pub phase: Option<String>,
    /// When, milliseconds.
    pub ts: u64,
}
