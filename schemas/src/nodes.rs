//! Nodes: `node.list`, `node.describe`, `node.invoke` and its event and result (`nodes.json`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::wire;

/// Params of `node.list`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeListParams {}

/// Result of `node.list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeList {
    /// Now, milliseconds.
    pub ts: u64,
    /// Connected ones first, then by name.
    pub nodes: Vec<NodeRow>,
}

/// One node, connected or only paired.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeRow {
    /// Its device id.
    pub node_id: String,
    /// Name to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Program version; while connected, as all below that may be absent but the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Kind of device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    /// Model of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_identifier: Option<String>,
    /// Address of one that is not local.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    /// Labels as it sent them, sorted.
    pub caps: Vec<String>,
    /// Commands that it declared and that it may be asked for, sorted.
    pub commands: Vec<String>,
    /// Where it looks for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_env: Option<String>,
    /// What its system lets it do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<BTreeMap<String, bool>>,
    /// Since when, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_at_ms: Option<u64>,
    /// Its device is paired as a node.
    pub paired: bool,
    /// It is here.
    pub connected: bool,
}

/// Params of `node.describe`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeDescribeParams {
    /// The node.
    pub node_id: String,
}

/// Result of `node.describe`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeDescribed {
    /// Now, milliseconds.
    pub ts: u64,
    /// The node.
    #[serde(flatten)]
    pub node: NodeRow,
}

/// Params of `node.invoke`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeInvokeParams {
    /// The node.
    pub node_id: String,
    /// Such as `system.which`.
    pub command: String,
    /// What the command takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<Value>,
    /// Longest wait for the answer; absent: 30 s, 0: none at all.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub timeout_ms: Option<u64>,
    /// Told to the node.
    pub idempotency_key: String,
}

/// Result of `node.invoke`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeInvoked {
    /// Always true.
    pub ok: bool,
    /// The node.
    pub node_id: String,
    /// The command.
    pub command: String,
    /// The node's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// The same as text, if the node sent text.
    #[serde(rename = "payloadJSON")]
    pub payload_json: Option<String>,
}

/// Payload of event `node.invoke.request`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeInvokeRequest {
    /// To be named in the answer; a uuid.
    pub id: String,
    /// The node.
    pub node_id: String,
    /// The command.
    pub command: String,
    /// What it takes, as JSON text.
    #[serde(rename = "paramsJSON")]
    pub params_json: Option<String>,
    /// Longest wait for the answer, as asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Of the asker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// Params of `node.invoke.result`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeInvokeResultParams {
    /// Of the request.
    pub id: String,
    /// The node that answers.
    pub node_id: String,
    /// It worked.
    pub ok: bool,
    /// The answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// The answer as JSON text; goes before the other.
    #[serde(
        rename = "payloadJSON",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub payload_json: Option<String>,
    /// Why it didn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<NodeError>,
}

/// What a node says when a command fails.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeError {
    /// A word for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Words for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Result of `node.invoke.result`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeResultTaken {
    /// Always true.
    pub ok: bool,
    /// Nobody waits for it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignored: Option<bool>,
}
