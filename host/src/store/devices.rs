//! Disk types of paired devices and pending pairing requests (owner: `devices`).
//!
//! No token is stored, only the generation from which the gateway's key derives it.

use std::collections::BTreeMap;

use redb::{ReadTransaction, ReadableTable, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::{StoreError, decode, delete, put_json, tables};

/// A paired device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceRecord {
    /// Hex SHA-256 of the key.
    pub device_id: String,
    /// Base64url of the raw key.
    pub public_key: String,
    /// What the client said of itself when it was approved or last admitted.
    pub about: About,
    /// Role of the last connect.
    pub role: Option<String>,
    /// Roles it may take.
    pub roles: Vec<String>,
    /// Scopes it may ask for without another approval.
    pub scopes: Vec<String>,
    /// Scopes that somebody approved.
    pub approved_scopes: Vec<String>,
    /// Role → its token.
    pub tokens: BTreeMap<String, TokenRecord>,
    /// First approval, ms.
    pub created_at_ms: u64,
    /// Last approval, ms.
    pub approved_at_ms: u64,
}

/// What a client says of itself, as sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// Shown name.
    pub display_name: Option<String>,
    /// Operating system; pinned at approval.
    pub platform: Option<String>,
    /// Kind of device; pinned at approval.
    pub device_family: Option<String>,
    /// Program.
    pub client_id: Option<String>,
    /// Kind of use.
    pub client_mode: Option<String>,
    /// Its address, when it isn't this host.
    pub remote_ip: Option<String>,
}

/// A device token, without the token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenRecord {
    /// Goes into the derivation: a new one makes a new token.
    pub generation: u64,
    /// What it is good for.
    pub scopes: Vec<String>,
    /// First made, ms.
    pub created_at_ms: u64,
    /// Replaced, ms.
    pub rotated_at_ms: Option<u64>,
    /// Revoked, ms.
    pub revoked_at_ms: Option<u64>,
    /// Last used to connect, ms.
    pub last_used_at_ms: Option<u64>,
    /// The token before a rotation, while it works beside this one.
    pub previous: Option<PreviousToken>,
    /// Hex SHA-256 of a token that came with an imported state folder and works beside this one,
    /// until it is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imported: Option<String>,
}

/// A rotated token that still works for a while.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PreviousToken {
    /// What it is derived from.
    pub generation: u64,
    /// What it was good for.
    pub scopes: Vec<String>,
    /// When it ends, ms.
    pub until_ms: u64,
}

/// A request to be paired that waits for approval.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PendingRecord {
    /// Its own id, a UUID.
    pub request_id: String,
    /// Who asks.
    pub device_id: String,
    /// With which key.
    pub public_key: String,
    /// What it says of itself.
    pub about: About,
    /// The role asked for first.
    pub role: String,
    /// All roles asked for.
    pub roles: Vec<String>,
    /// All scopes asked for.
    pub scopes: Vec<String>,
    /// Whether it may be approved without asking a person.
    pub silent: bool,
    /// Whether the device is known already.
    pub is_repair: bool,
    /// Creation or last merge, ms.
    pub ts: u64,
}

/// A setup code, without the code.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SetupCodeRecord {
    /// Hex SHA-256 of its token.
    pub hash: String,
    /// What a device may be handed without an approval, within what its maker had.
    pub scopes: Vec<String>,
    /// When it ends, ms.
    pub expires_at_ms: u64,
    /// The first device that showed it; nobody else may.
    pub device_id: Option<String>,
    /// Roles in which that device was let in by it; each once.
    pub used: Vec<String>,
}

/// Changes of one decision, written in one transaction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceChanges {
    /// Devices to write.
    pub put_devices: Vec<DeviceRecord>,
    /// Device ids to delete.
    pub drop_devices: Vec<String>,
    /// Requests to write.
    pub put_pending: Vec<PendingRecord>,
    /// Request ids to delete.
    pub drop_pending: Vec<String>,
    /// Setup codes to write.
    pub put_codes: Vec<SetupCodeRecord>,
    /// Hashes of setup codes to delete.
    pub drop_codes: Vec<String>,
}

impl DeviceChanges {
    /// One device, written anew.
    pub fn of_device(device: DeviceRecord) -> Self {
        DeviceChanges {
            put_devices: vec![device],
            ..Self::default()
        }
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn write(&self, txn: &WriteTransaction) -> Result<(), StoreError> {
        for device in &self.put_devices {
            put_json(txn, tables::DEVICES, &device.device_id, device)?;
        }
        for id in &self.drop_devices {
            delete(txn, tables::DEVICES, id)?;
        }
        for request in &self.put_pending {
            put_json(txn, tables::PENDING, &request.request_id, request)?;
        }
        for id in &self.drop_pending {
            delete(txn, tables::PENDING, id)?;
        }
        for code in &self.put_codes {
            put_json(txn, tables::SETUP_CODES, &code.hash, code)?;
        }
        for hash in &self.drop_codes {
            delete(txn, tables::SETUP_CODES, hash)?;
        }
        Ok(())
    }
}

/// All devices, pending requests and setup codes.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The paired devices.
    pub devices: Vec<DeviceRecord>,
    /// The requests that wait.
    pub pending: Vec<PendingRecord>,
    /// The setup codes.
    pub codes: Vec<SetupCodeRecord>,
}

/// Reads everything of this file.
///
/// # Errors
/// [`StoreError::Damaged`] when one can't be read.
pub fn load(txn: &ReadTransaction) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded::default();
    for entry in txn.open_table(tables::DEVICES)?.iter()? {
        let (key, value) = entry?;
        loaded
            .devices
            .push(decode("devices", key.value(), value.value())?);
    }
    for entry in txn.open_table(tables::PENDING)?.iter()? {
        let (key, value) = entry?;
        let request = decode("pairing_pending", key.value(), value.value())?;
        loaded.pending.push(request);
    }
    for entry in txn.open_table(tables::SETUP_CODES)?.iter()? {
        let (key, value) = entry?;
        let code = decode("setup_codes", key.value(), value.value())?;
        loaded.codes.push(code);
    }
    Ok(loaded)
}
