//! `sessions.preview`, `sessions.resolve`, `sessions.get` and `sessions.export`.

use crate::chat::Message;
use crate::wire;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Params of `sessions.preview`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionsPreviewParams {
    /// Sessions, aliases allowed; the first 64 count.
    pub keys: Vec<String>,
    /// Newest messages of each; 12 when absent, at most 50.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub limit: Option<u64>,
    /// Longest text of a message; 240 when absent, at most 2,000.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_chars: Option<u64>,
}

/// Result of `sessions.preview`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionsPreview {
    /// When, milliseconds.
    pub ts: u64,
    /// In the order of the keys.
    pub previews: Vec<SessionPreview>,
}

/// The end of one session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionPreview {
    /// As sent by the client.
    pub key: String,
    /// Whether there is anything to show.
    pub status: PreviewStatus,
    /// Oldest first.
    pub items: Vec<PreviewItem>,
}

/// Whether there is anything to show of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PreviewStatus {
    /// Yes.
    Ok,
    /// It has no text.
    Empty,
    /// There is no such session.
    Missing,
    /// It can't be read.
    Error,
}

/// One message in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviewItem {
    /// Who said it.
    pub role: PreviewRole,
    /// The text, cut at its bound.
    pub text: String,
}

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PreviewRole {
    /// A person.
    User,
    /// The agent.
    Assistant,
    /// A tool.
    Tool,
    /// The gateway.
    System,
    /// Something else.
    Other,
}

/// Params of `sessions.resolve`: one of key, session id and label.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionsResolveParams {
    /// Session, aliases allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Id of its transcript.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Name given to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Only of this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Only children of this session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spawned_by: Option<String>,
    /// With the session `global`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_global: Option<bool>,
    /// With the session `unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_unknown: Option<bool>,
}

/// Result of `sessions.resolve`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionsResolved {
    /// Always true.
    pub ok: bool,
    /// Canonical key.
    pub key: String,
}

/// Result of `sessions.get`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionsMessages {
    /// Oldest first, as the model was told them.
    pub messages: Vec<Message>,
}

/// Params of `sessions.export`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionsExportParams {
    /// Session, aliases allowed.
    pub key: String,
    /// Where the page begins: `next` of the page before.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub from: Option<u64>,
    /// `parent` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

/// Result of `sessions.export`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionsExported {
    /// Canonical key.
    pub key: String,
    /// Id of the transcript.
    pub session_id: String,
    /// JSON lines: the session, then its messages.
    pub lines: Vec<Value>,
    /// Where the next page begins; absent on the last.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub next: Option<u64>,
    /// The last message of this page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}
