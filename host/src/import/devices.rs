//! `devices/paired.json` and `devices/pending.json`.
//!
//! Tokens are derived here, not stored: of a token that a device already has, its hash is kept, so
//! that the device can come with it until it is given another.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Import, ImportError, Report, text_of};
use crate::auth::signature::PublicKey;
use crate::devices::request::scopes_excess;
use crate::limits::{DEVICE_TEXT_BYTES_MAX, DEVICES_MAX, PAIRING_TTL_MS};
use crate::spell;
use crate::store::devices::{
    self as disk, About, DeviceChanges, DeviceRecord, PendingRecord, TokenRecord,
};

/// Takes in devices and requests; false when there are none.
pub(super) async fn run(import: &Import<'_>, report: &mut Report) -> Result<bool, ImportError> {
    let folder = import.folder.join("devices");
    let here = match import.store {
        Some(store) => store.read(disk::load)?,
        None => disk::Loaded::default(),
    };
    let mut changes = DeviceChanges::default();
    let paired = entries(&folder.join("paired.json"), report);
    let known: HashSet<&str> = here.devices.iter().map(|d| d.device_id.as_str()).collect();
    for (name, entry) in paired.iter().flatten() {
        match device(import, entry) {
            Ok(record) if known.contains(record.device_id.as_str()) => {
                report.devices.unchanged += 1
            }
            Ok(_) if known.len() + changes.put_devices.len() >= DEVICES_MAX => {
                report.skip("device", name, format!("there are {DEVICES_MAX} devices"));
            }
            Ok(record) => {
                report.devices.imported += 1;
                changes.put_devices.push(record);
            }
            Err(reason) => report.skip("device", name, reason),
        }
    }
    let pending = entries(&folder.join("pending.json"), report);
    let waiting: HashSet<&str> = here.pending.iter().map(|r| r.request_id.as_str()).collect();
    for (name, entry) in pending.iter().flatten() {
        match request(import, entry) {
            Ok(record) if waiting.contains(record.request_id.as_str()) => {
                report.requests.unchanged += 1;
            }
            Ok(record) => {
                report.requests.imported += 1;
                changes.put_pending.push(record);
            }
            Err(reason) => report.skip("pairing request", name, reason),
        }
    }
    if let Some(store) = import
        .store
        .filter(|_| !import.dry_run && !changes.is_empty())
    {
        store.write(move |txn| changes.write(txn)).await?;
    }
    Ok(paired.is_some() || pending.is_some())
}

fn entries(path: &std::path::Path, report: &mut Report) -> Option<BTreeMap<String, Value>> {
    let text = text_of(path, report)?;
    match serde_json::from_str(&text) {
        Ok(entries) => Some(entries),
        Err(error) => {
            report.skip("file", path.display().to_string(), error.to_string());
            None
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Entry {
    request_id: String,
    device_id: String,
    public_key: String,
    display_name: Option<String>,
    platform: Option<String>,
    device_family: Option<String>,
    client_id: Option<String>,
    client_mode: Option<String>,
    remote_ip: Option<String>,
    role: Option<String>,
    roles: Option<Vec<String>>,
    scopes: Option<Vec<String>>,
    approved_scopes: Option<Vec<String>>,
    tokens: BTreeMap<String, Token>,
    created_at_ms: u64,
    approved_at_ms: u64,
    silent: bool,
    is_repair: bool,
    ts: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Token {
    token: String,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    created_at_ms: u64,
    #[serde(default)]
    rotated_at_ms: Option<u64>,
    #[serde(default)]
    revoked_at_ms: Option<u64>,
    #[serde(default)]
    last_used_at_ms: Option<u64>,
}

impl Entry {
    /// Reads an entry whose id is that of its key and whose texts are not longer than ours may be.
    fn read(entry: &Value) -> Result<(Entry, String), String> {
        let entry = Entry::deserialize(entry).map_err(|e| e.to_string())?;
        let key = PublicKey::parse(&entry.public_key);
        let id = key.as_ref().map(PublicKey::device_id);
        let normal = key.and_then(|key| key.normalised());
        let normal = normal.ok_or("its publicKey is no Ed25519 key")?;
        if id.as_deref() != Some(entry.device_id.as_str()) {
            return Err("its deviceId is not that of its publicKey".to_owned());
        }
        let texts = [
            &entry.display_name,
            &entry.platform,
            &entry.device_family,
            &entry.client_id,
            &entry.client_mode,
            &entry.remote_ip,
            &entry.role,
        ];
        let long = |text: &&Option<String>| {
            text.as_ref()
                .is_some_and(|text| text.len() > DEVICE_TEXT_BYTES_MAX)
        };
        let lists = [&entry.roles, &entry.scopes, &entry.approved_scopes];
        let excess = lists.iter().find_map(|list| scopes_excess(list.as_ref()?));
        if let Some(excess) = excess {
            return Err(excess);
        }
        if texts.iter().any(long) {
            return Err(format!(
                "a text of it is longer than {DEVICE_TEXT_BYTES_MAX} bytes"
            ));
        }
        Ok((entry, normal))
    }

    fn about(&self) -> About {
        About {
            display_name: self.display_name.clone(),
            platform: self.platform.clone(),
            device_family: self.device_family.clone(),
            client_id: self.client_id.clone(),
            client_mode: self.client_mode.clone(),
            remote_ip: self.remote_ip.clone(),
        }
    }
}

fn device(import: &Import<'_>, entry: &Value) -> Result<DeviceRecord, String> {
    let (entry, public_key) = Entry::read(entry)?;
    let about = entry.about();
    let tokens = entry.tokens.into_iter().map(|(role, token)| {
        let hash = spell::hex(&Sha256::digest(token.token.as_bytes()));
        let record = TokenRecord {
            generation: u64::from_be_bytes(import.clock.random()),
            scopes: token.scopes,
            created_at_ms: token.created_at_ms,
            rotated_at_ms: token.rotated_at_ms,
            revoked_at_ms: token.revoked_at_ms,
            last_used_at_ms: token.last_used_at_ms,
            previous: None,
            // An empty token opens nothing.
            imported: Some(hash).filter(|_| !token.token.is_empty()),
        };
        (role, record)
    });
    let scopes = entry.scopes.unwrap_or_default();
    Ok(DeviceRecord {
        device_id: entry.device_id,
        public_key,
        about,
        roles: entry
            .roles
            .unwrap_or_else(|| entry.role.iter().cloned().collect()),
        role: entry.role,
        approved_scopes: entry.approved_scopes.unwrap_or_else(|| scopes.clone()),
        scopes,
        tokens: tokens.collect(),
        created_at_ms: entry.created_at_ms,
        approved_at_ms: entry.approved_at_ms,
    })
}

fn request(import: &Import<'_>, entry: &Value) -> Result<PendingRecord, String> {
    let (entry, public_key) = Entry::read(entry)?;
    let age = import.clock.now_ms().saturating_sub(entry.ts);
    if age > PAIRING_TTL_MS {
        return Err("it has expired; the device asks again".to_owned());
    }
    let id = &entry.request_id;
    if id.is_empty() || id.len() > DEVICE_TEXT_BYTES_MAX {
        return Err("its requestId is not one".to_owned());
    }
    let role = entry.role.clone().unwrap_or_else(|| "operator".to_owned());
    Ok(PendingRecord {
        request_id: entry.request_id.clone(),
        device_id: entry.device_id.clone(),
        public_key,
        about: entry.about(),
        roles: entry.roles.unwrap_or_else(|| vec![role.clone()]),
        role,
        scopes: entry.scopes.unwrap_or_default(),
        silent: entry.silent,
        is_repair: entry.is_repair,
        ts: entry.ts,
    })
}
