//! `heartbeat` of `agents.defaults` and of `agents.list[]`: the regular look-around of an agent.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// `agents.defaults.heartbeat`, and `agents.list[].heartbeat`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct HeartbeatConfig {
    /// Interval such as `30m`; `0m` switches it off.
    pub every: Option<String>,
    /// Where alerts go: `none`, `last` or a channel id.
    pub target: Option<String>,
    /// The target in that channel.
    pub to: Option<String>,
    /// The account alerts are sent by.
    pub account_id: Option<String>,
    /// Whether alerts may go to direct chats: `allow` or `block`.
    pub direct_policy: Option<String>,
    /// When the agent looks around by itself.
    pub active_hours: Option<ActiveHours>,
    /// What the agent is asked.
    pub prompt: Option<String>,
    /// How many characters beside the acknowledgement still count as one.
    pub ack_max_chars: Option<u32>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl HeartbeatConfig {
    /// These keys, and for those it doesn't have the other's.
    pub fn over(&self, shared: &HeartbeatConfig) -> HeartbeatConfig {
        let text = |own: &Option<String>, other: &Option<String>| own.clone().or(other.clone());
        HeartbeatConfig {
            every: text(&self.every, &shared.every),
            target: text(&self.target, &shared.target),
            to: text(&self.to, &shared.to),
            account_id: text(&self.account_id, &shared.account_id),
            direct_policy: text(&self.direct_policy, &shared.direct_policy),
            active_hours: self.active_hours.clone().or(shared.active_hours.clone()),
            prompt: text(&self.prompt, &shared.prompt),
            ack_max_chars: self.ack_max_chars.or(shared.ack_max_chars),
            other: self.other.clone(),
        }
    }
}

/// `heartbeat.activeHours`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ActiveHours {
    /// From this minute of the day, `HH:MM`.
    pub start: Option<String>,
    /// Up to this one, `HH:MM`; `24:00` is the day's end.
    pub end: Option<String>,
    /// IANA name, `user` (the default) or `local`.
    pub timezone: Option<String>,
}
