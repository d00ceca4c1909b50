//! Channels as clients see them: `channels.status` and the summaries in health
//! (`channels.json`).
//!
//! Each provider adds fields of its own (`tokenSource`, `baseUrl` …): they are in `extra`.

use crate::wire::{self, Nullable};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Params of `channels.logout`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelsLogoutParams {
    /// The channel.
    pub channel: String,
    /// The account; the channel's default one when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
}

/// Result of `channels.logout`: whether a credential was removed, whether one stays in the
/// environment, and whether the account is without one now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelsLogout {
    /// The channel.
    pub channel: String,
    /// The account.
    pub account_id: String,
    /// Something was forgotten.
    pub cleared: bool,
    /// A credential stays in the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_token: Option<bool>,
    /// No credential is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logged_out: Option<bool>,
}

/// Params of `channels.status`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelsStatusParams {
    /// Ask the provider now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<bool>,
    /// How long a probe may take; 10,000 when absent, at least 1,000.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub timeout_ms: Option<u64>,
}

/// Result of `channels.status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelsStatus {
    /// When, milliseconds.
    pub ts: u64,
    /// All loaded channels, configured or not.
    pub channel_order: Vec<String>,
    /// Name to show, by channel.
    pub channel_labels: BTreeMap<String, String>,
    /// Longer name, by channel.
    pub channel_detail_labels: BTreeMap<String, String>,
    /// Symbol name, by channel.
    pub channel_system_images: BTreeMap<String, String>,
    /// The three above in one list.
    pub channel_meta: Vec<ChannelMeta>,
    /// The default account's summary, by channel.
    pub channels: BTreeMap<String, ChannelSummary>,
    /// All accounts, by channel.
    pub channel_accounts: BTreeMap<String, Vec<ChannelAccount>>,
    /// Id of the default account, by channel.
    pub channel_default_account_id: BTreeMap<String, String>,
}

/// How a channel is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelMeta {
    /// The channel.
    pub id: String,
    /// Name to show.
    pub label: String,
    /// Longer name.
    pub detail_label: String,
    /// Symbol name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_image: Option<String>,
}

/// State of one account without its name; in health also of all accounts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelSummary {
    /// Enough is configured to start it.
    pub configured: bool,
    /// A login exists (channels that link).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked: Option<bool>,
    /// Its task runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<bool>,
    /// The provider is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected: Option<bool>,
    /// Age of the login.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub auth_age_ms: Nullable<u64>,
    /// Milliseconds.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_start_at: Nullable<u64>,
    /// Milliseconds.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_stop_at: Nullable<u64>,
    /// Last error for people.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_error: Nullable<String>,
    /// Milliseconds.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_probe_at: Nullable<u64>,
    /// Milliseconds.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_connected_at: Nullable<u64>,
    /// Provider's word on the last loss of connection.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_disconnect: Nullable<Value>,
    /// Milliseconds.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_message_at: Nullable<u64>,
    /// Milliseconds.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_event_at: Nullable<u64>,
    /// Since the last success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconnect_attempts: Option<u64>,
    /// Last answer of the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<ChannelProbe>,
    /// The account (health only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// All accounts (health only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<BTreeMap<String, ChannelSummary>>,
    /// Fields of the provider.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What the provider answered when asked who we are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelProbe {
    /// It knows us.
    pub ok: bool,
    /// HTTP status.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub status: Nullable<u64>,
    /// What went wrong.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub error: Nullable<String>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed_ms: Option<u64>,
    /// Fields of the provider, such as `bot`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One account of a channel.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelAccount {
    /// The account.
    pub account_id: String,
    /// Name to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Not switched off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Enough is configured to start it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configured: Option<bool>,
    /// A login exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked: Option<bool>,
    /// Its task runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<bool>,
    /// The provider is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected: Option<bool>,
    /// Since the last success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconnect_attempts: Option<u64>,
    /// Milliseconds.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_connected_at: Nullable<u64>,
    /// Provider's word on the last loss of connection.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_disconnect: Nullable<Value>,
    /// Milliseconds.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_message_at: Nullable<u64>,
    /// Milliseconds.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_event_at: Nullable<u64>,
    /// Last error for people.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_error: Nullable<String>,
    /// Milliseconds.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_start_at: Nullable<u64>,
    /// Milliseconds.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_stop_at: Nullable<u64>,
    /// Milliseconds.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_inbound_at: Nullable<u64>,
    /// Milliseconds.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_outbound_at: Nullable<u64>,
    /// A run is active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy: Option<bool>,
    /// How many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_runs: Option<u64>,
    /// Milliseconds.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_run_activity_at: Nullable<u64>,
    /// Milliseconds.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_probe_at: Nullable<u64>,
    /// Such as `polling`.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub mode: Nullable<String>,
    /// Who may write to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dm_policy: Option<String>,
    /// Senders allowed by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_from: Option<Vec<String>>,
    /// Where the secret comes from, never the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_source: Option<String>,
    /// Such as `available`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_status: Option<String>,
    /// Address of the provider's service.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub base_url: Nullable<String>,
    /// Last answer of the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<ChannelProbe>,
    /// Fields of the provider.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
