//! The handshake: challenge, connect params and hello-ok (`connect.json`).
//!
//! The params accept the fields of protocols 3 and 4 together; what is sent is protocol 3 plus
//! additions its clients ignore.

use crate::frame::StateVersion;
use crate::presence::PresenceEntry;
use crate::system::Health;
use crate::wire;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Payload of `connect.challenge`, the first frame of every connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Challenge {
    /// To be signed by the client; one for each connection.
    pub nonce: String,
    /// The gateway's clock, milliseconds.
    pub ts: u64,
}

/// Params of `connect`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectParams {
    /// Lowest protocol the client speaks.
    #[serde(deserialize_with = "wire::int")]
    pub min_protocol: u64,
    /// Highest protocol the client speaks.
    #[serde(deserialize_with = "wire::int")]
    pub max_protocol: u64,
    /// What program this is.
    pub client: ConnectClient,
    /// Abilities of the client, such as `tool-events`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caps: Option<Vec<String>>,
    /// Commands a node offers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commands: Option<Vec<String>>,
    /// Permissions a node holds on its machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<BTreeMap<String, bool>>,
    /// The `PATH` of a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_env: Option<String>,
    /// `operator` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What an operator asks for; any text is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// The signed identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<ConnectDevice>,
    /// The secrets the client holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<ConnectAuth>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Protocol 4; shape not fixed here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computer_use: Option<Value>,
    /// Protocol 4; shape not fixed here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_runs: Option<Value>,
    /// Protocol 4; shape not fixed here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_catalog: Option<Value>,
}

/// The program that connects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectClient {
    /// One of a closed list, such as `cli`.
    pub id: String,
    /// Name to show to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The program's version.
    pub version: String,
    /// Free text, such as `linux`.
    pub platform: String,
    /// Such as `iPhone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    /// Such as `iPhone16,1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_identifier: Option<String>,
    /// One of a closed list, such as `ui`.
    pub mode: String,
    /// Tells two copies of the program apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// Protocol 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// Protocol 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

/// The identity a client proves with a signature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectDevice {
    /// Hash of the public key, hex.
    pub id: String,
    /// Ed25519 public key, base64url.
    pub public_key: String,
    /// Over the payload of protocol/02 §2, base64url.
    pub signature: String,
    /// The client's clock, milliseconds.
    #[serde(deserialize_with = "wire::int")]
    pub signed_at: u64,
    /// The challenge's nonce.
    pub nonce: String,
}

/// What the client presents besides its identity; any of them may be empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectAuth {
    /// The shared secret, or a device token when the client has no shared secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// From a setup code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_token: Option<String>,
    /// Stored from an earlier hello-ok.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_token: Option<String>,
    /// The shared password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Protocol 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_runtime_token: Option<String>,
    /// Protocol 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_runtime_identity_token: Option<String>,
}

/// Payload of a successful `connect` response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HelloOk {
    /// Always `hello-ok`.
    #[serde(rename = "type")]
    pub kind: HelloKind,
    /// The protocol this connection speaks.
    pub protocol: u32,
    /// Who answers.
    pub server: ServerInfo,
    /// What may be called and what may arrive.
    pub features: Features,
    /// The state at this moment.
    pub snapshot: Snapshot,
    /// Where the canvas is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canvas_host_url: Option<String>,
    /// The device token and what it grants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AuthInfo>,
    /// Limits the client must respect.
    pub policy: Policy,
}

/// The constant `hello-ok`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HelloKind {
    /// The only value.
    #[default]
    #[serde(rename = "hello-ok")]
    HelloOk,
}

/// The gateway's name for itself and for this connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerInfo {
    /// The gateway's version.
    pub version: String,
    /// Id of this connection, uuid.
    pub conn_id: String,
}

/// Advertised names; not exhaustive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Features {
    /// Methods, in the catalogue's order.
    pub methods: Vec<Cow<'static, str>>,
    /// Events, in the catalogue's order.
    pub events: Vec<Cow<'static, str>>,
}

/// The state a client starts from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Who is here, newest first.
    pub presence: Vec<PresenceEntry>,
    /// The cached health, `{}` when there is none yet.
    pub health: SnapshotHealth,
    /// Versions of the two above.
    pub state_version: StateVersion,
    /// Since the process started.
    pub uptime_ms: u64,
    /// Absolute path of the configuration file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_path: Option<String>,
    /// Absolute path of the state folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<String>,
    /// How sessions are named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_defaults: Option<SessionDefaults>,
    /// What the gateway asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_mode: Option<AuthMode>,
    /// A newer version, if one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_available: Option<UpdateAvailable>,
}

/// Health in a snapshot: there is none before the first refresh.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SnapshotHealth {
    /// The cached health.
    Known(Arc<Health>),
    /// Not collected yet; `{}`.
    NotYet {},
}

/// How the gateway names sessions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionDefaults {
    /// Such as `main`.
    pub default_agent_id: String,
    /// Alias of the main session, such as `main`.
    pub main_key: String,
    /// Canonical key of the main session, such as `agent:main:main`.
    pub main_session_key: String,
    /// `per-sender` or `global`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// What the gateway asks for at connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthMode {
    /// Nothing.
    None,
    /// A shared token.
    Token,
    /// A shared password.
    Password,
    /// A proxy in front has done it.
    TrustedProxy,
}

/// A newer version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateAvailable {
    /// What runs.
    pub current_version: String,
    /// What could run.
    pub latest_version: String,
    /// Release channel.
    pub channel: String,
}

/// What this connection was granted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthInfo {
    /// To be stored by the client; present only with a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_token: Option<String>,
    /// The granted role.
    pub role: String,
    /// The token's scopes, which may exceed what this connection asked for.
    pub scopes: Vec<String>,
    /// When the token was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at_ms: Option<u64>,
    /// Protocol 4: tokens of its other roles, handed over by a setup code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_tokens: Option<Vec<HandedToken>>,
}

/// A device token of another role than the connection's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandedToken {
    /// To be stored by the client.
    pub device_token: String,
    /// The role it is for.
    pub role: String,
    /// What it is good for.
    pub scopes: Vec<String>,
    /// When it was made.
    pub issued_at_ms: u64,
}

/// Limits a client must respect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Longest frame after the handshake, bytes.
    pub max_payload: u64,
    /// Unsent bytes at which a slow client is closed.
    pub max_buffered_bytes: u64,
    /// Pause between `tick` events.
    pub tick_interval_ms: u64,
}

/// `details` of the refusal `protocol mismatch`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProtocolMismatch {
    /// `PROTOCOL_MISMATCH` (protocol 4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What this gateway speaks.
    pub expected_protocol: u64,
}
