//! Devices and pairing: `device.pair.*`, `device.token.*` and their events (`devices.json`).

use serde::{Deserialize, Serialize};

/// A device that waits for approval; also the payload of event `device.pair.requested`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PairingRequest {
    /// Id of the request, uuid.
    pub request_id: String,
    /// The device.
    pub device_id: String,
    /// Its key, base64url without padding.
    pub public_key: String,
    /// As the client sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// As the client sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// As the client sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    /// As the client sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// As the client sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_mode: Option<String>,
    /// The first role asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// All roles asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// All scopes asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Address of a client that is not local.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    /// May be approved without asking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<bool>,
    /// The device is known already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_repair: Option<bool>,
    /// Creation or last merge, milliseconds.
    pub ts: u64,
}

/// An approved device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PairedDevice {
    /// The device.
    pub device_id: String,
    /// Its key, base64url without padding.
    pub public_key: String,
    /// Name to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// As approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// As approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    /// As approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// As approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_mode: Option<String>,
    /// The first role approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// All roles approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// Scopes of the last approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Address at approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    /// Its tokens by role, without the secret; absent when it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Vec<DeviceTokenInfo>>,
    /// First approval.
    pub created_at_ms: u64,
    /// Last approval.
    pub approved_at_ms: u64,
}

/// A token of a device, without the secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceTokenInfo {
    /// The role it is for.
    pub role: String,
    /// What it grants.
    pub scopes: Vec<String>,
    /// First issue.
    pub created_at_ms: u64,
    /// Last rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at_ms: Option<u64>,
    /// Revocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at_ms: Option<u64>,
    /// Last connect with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at_ms: Option<u64>,
}

/// Result of `device.pair.list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DevicePairList {
    /// Newest first.
    pub pending: Vec<PairingRequest>,
    /// Last approved first.
    pub paired: Vec<PairedDevice>,
}

/// Params of `device.pair.approve` and `device.pair.reject`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PairRequestParams {
    /// The request.
    pub request_id: String,
}

/// Result of `device.pair.approve`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DevicePairApproved {
    /// The request.
    pub request_id: String,
    /// The device as it is now listed.
    pub device: PairedDevice,
}

/// Result of `device.pair.reject`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DevicePairRejected {
    /// The request.
    pub request_id: String,
    /// The device.
    pub device_id: String,
}

/// Params of `device.pair.remove`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DevicePairRemoveParams {
    /// The device.
    pub device_id: String,
}

/// Result of `device.pair.remove`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DevicePairRemoved {
    /// The device.
    pub device_id: String,
}

/// Params of `device.token.rotate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceTokenRotateParams {
    /// The device.
    pub device_id: String,
    /// The role of the token.
    pub role: String,
    /// Scopes of the new token; those of the old one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
}

/// Result of `device.token.rotate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceTokenRotated {
    /// The device.
    pub device_id: String,
    /// The role of the token.
    pub role: String,
    /// The new secret.
    pub token: String,
    /// What it grants.
    pub scopes: Vec<String>,
    /// Now.
    pub rotated_at_ms: u64,
}

/// Params of `device.token.revoke`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceTokenRevokeParams {
    /// The device.
    pub device_id: String,
    /// The role of the token.
    pub role: String,
}

/// Result of `device.token.revoke`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceTokenRevoked {
    /// The device.
    pub device_id: String,
    /// The role of the token.
    pub role: String,
    /// Now.
    pub revoked_at_ms: u64,
}

/// Params of `device.pair.setupCode`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DevicePairSetupCodeParams {
    /// The address that the device shall use; by configuration when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Take `gateway.remote.url` before this host's own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefer_remote: Option<bool>,
}

/// Result of `device.pair.setupCode`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DevicePairSetupCode {
    /// What the device reads: base64url of address and token.
    pub setup_code: String,
    /// The address in it.
    pub gateway_url: String,
    /// Where the address comes from.
    pub url_source: String,
    /// The gateway's own kind of secret, which the code stands in for.
    pub auth: String,
    /// When it ends, milliseconds.
    pub expires_at_ms: u64,
}

/// How a pairing request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PairDecision {
    /// Approved, silently or by a person.
    Approved,
    /// Rejected by a person.
    Rejected,
}

/// Payload of event `device.pair.resolved`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DevicePairResolved {
    /// The request.
    pub request_id: String,
    /// The device.
    pub device_id: String,
    /// How it ended.
    pub decision: PairDecision,
    /// When, milliseconds.
    pub ts: u64,
}
