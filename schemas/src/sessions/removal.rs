//! `sessions.delete` and `sessions.compact`.

use crate::wire;
use serde::{Deserialize, Serialize};

/// Params of `sessions.delete`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionsDeleteParams {
    /// Session, aliases allowed.
    pub key: String,
    /// With its transcript; true when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_transcript: Option<bool>,
    /// Taken and not used: there are no hooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emit_lifecycle_hooks: Option<bool>,
}

/// Result of `sessions.delete`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionsDeleted {
    /// Always true.
    pub ok: bool,
    /// Canonical key.
    pub key: String,
    /// There was one.
    pub deleted: bool,
    /// Files that keep its transcript.
    pub archived: Vec<String>,
}

/// Params of `sessions.compact`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionsCompactParams {
    /// Session, aliases allowed.
    pub key: String,
    /// Newest messages that stay; 400 when absent.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_lines: Option<u64>,
}

/// Result of `sessions.compact`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionsCompacted {
    /// Always true.
    pub ok: bool,
    /// Canonical key.
    pub key: String,
    /// Messages were taken out.
    pub compacted: bool,
    /// File that keeps the whole transcript.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<String>,
    /// Messages that are left.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub kept: Option<u64>,
    /// Why nothing was done: `no sessionId` or `no transcript`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
