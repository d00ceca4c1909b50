//! The rules of pairing as pure decisions over the book of devices: no clock, no store, no
//! sockets. The devices task asks, writes the changes, and then applies them to its book.

use std::collections::BTreeMap;

use gateway_schemas::devices::{DeviceTokenInfo, PairedDevice, PairingRequest};

use sha2::{Digest as _, Sha256};

use crate::auth::signature::normalise_metadata;
use crate::auth::{scopes, secret};
use crate::limits::{
    DEVICE_SCOPES_MAX, DEVICE_TEXT_BYTES_MAX, PAIRING_PENDING_MAX, PAIRING_TTL_MS, TOKEN_OVERLAP_MS,
};
use crate::spell::hex;
use crate::store::devices::{
    About, DeviceChanges, DeviceRecord, PendingRecord, PreviousToken, SetupCodeRecord, TokenRecord,
};

/// Every known device and every pending request.
#[derive(Clone, Debug, Default)]
pub struct Book {
    /// By device id.
    pub devices: BTreeMap<String, DeviceRecord>,
    /// By request id.
    pub pending: BTreeMap<String, PendingRecord>,
    /// By hash.
    pub codes: BTreeMap<String, SetupCodeRecord>,
}

/// A client at the door, authenticated, with a proven key.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// Hex SHA-256 of the key.
    pub device_id: String,
    /// Base64url of the raw key.
    pub public_key: String,
    /// What it says of itself.
    pub about: About,
    /// The role it asks for.
    pub role: String,
    /// The scopes it asks for, as sent.
    pub scopes: Vec<String>,
    /// Whether a person need not be asked (local, no foreign page).
    pub silent: bool,
    /// The generation of the device token it came with; `None` when something else let it in.
    pub came_with: Option<u64>,
    /// It came as a node with a setup code that needs no approval: what it is handed as operator.
    pub handoff: Option<Vec<String>>,
}

impl Visitor {
    /// What of it is more than will be stored.
    pub fn excess(&self) -> Option<String> {
        let about = &self.about;
        let said = [
            ("/client/displayName", &about.display_name),
            ("/client/platform", &about.platform),
            ("/client/deviceFamily", &about.device_family),
            ("/client/id", &about.client_id),
            ("/client/mode", &about.client_mode),
        ];
        let long = |text: &&Option<String>| {
            text.as_ref()
                .is_some_and(|t| t.len() > DEVICE_TEXT_BYTES_MAX)
        };
        let text = said.iter().find(|(_, text)| long(text)).map(|(name, _)| {
            format!("at {name}: must NOT have more than {DEVICE_TEXT_BYTES_MAX} bytes")
        });
        text.or_else(|| scopes_excess(&self.scopes))
    }
}

/// What of a list of scopes is more than will be stored.
pub fn scopes_excess(scopes: &[String]) -> Option<String> {
    if scopes.len() > DEVICE_SCOPES_MAX {
        return Some(format!(
            "at /scopes: must NOT have more than {DEVICE_SCOPES_MAX} items"
        ));
    }
    scopes
        .iter()
        .any(|s| s.len() > DEVICE_TEXT_BYTES_MAX)
        .then(|| format!("at /scopes: must NOT have more than {DEVICE_TEXT_BYTES_MAX} bytes each"))
}

/// Why somebody has to approve first; the wire's `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Unknown device, or known under another key.
    NotPaired,
    /// It never had this role.
    RoleUpgrade,
    /// It asks for more than was approved.
    ScopeUpgrade,
    /// It says something else of its platform or family than when it was approved.
    MetadataUpgrade,
}

impl Reason {
    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotPaired => "not-paired",
            Self::RoleUpgrade => "role-upgrade",
            Self::ScopeUpgrade => "scope-upgrade",
            Self::MetadataUpgrade => "metadata-upgrade",
        }
    }

    fn may_be_silent(self) -> bool {
        matches!(self, Self::NotPaired | Self::ScopeUpgrade)
    }
}

/// Applies written changes to the book.
pub fn apply(book: &mut Book, changes: DeviceChanges) {
    for id in changes.drop_devices {
        book.devices.remove(&id);
    }
    for id in changes.drop_pending {
        book.pending.remove(&id);
    }
    for device in changes.put_devices {
        book.devices.insert(device.device_id.clone(), device);
    }
    for request in changes.put_pending {
        book.pending.insert(request.request_id.clone(), request);
    }
    for hash in changes.drop_codes {
        book.codes.remove(&hash);
    }
    for code in changes.put_codes {
        book.codes.insert(code.hash.clone(), code);
    }
}

/// What stands between the visitor and its place, if anything.
pub fn obstacle(device: Option<&DeviceRecord>, visitor: &Visitor) -> Option<Reason> {
    let Some(device) = device.filter(|d| d.public_key == visitor.public_key) else {
        return Some(Reason::NotPaired);
    };
    if !metadata_matches(&device.about, &visitor.about) {
        return Some(Reason::MetadataUpgrade);
    }
    if !device.roles.contains(&visitor.role) {
        return Some(Reason::RoleUpgrade);
    }
    // Not `scopes`: what an operator was let in with by a wider scope is exact for a node.
    if !scopes::allows(&visitor.role, &visitor.scopes, &device.approved_scopes) {
        return Some(Reason::ScopeUpgrade);
    }
    None
}

/// Pinned values must be claimed again. A phone's platform holds the version of its system: for
/// our own apps only the part before the first digit counts, so that an update keeps the pairing.
fn metadata_matches(pinned: &About, claimed: &About) -> bool {
    let own_app = claimed
        .client_id
        .as_deref()
        .is_some_and(|id| matches!(id, "openclaw-ios" | "openclaw-android" | "openclaw-macos"));
    let normal = |text: &Option<String>| normalise_metadata(text.as_deref().unwrap_or_default());
    let platform = |text: &Option<String>| {
        let text = normal(text);
        match text.find(|c: char| c.is_ascii_digit()).filter(|_| own_app) {
            // A text that begins with a digit names no system: it counts whole.
            Some(digit) if digit > 0 => text[..digit].trim_end().to_owned(),
            _ => text,
        }
    };
    let same = |pinned: String, claimed: String| pinned.is_empty() || pinned == claimed;
    same(platform(&pinned.platform), platform(&claimed.platform))
        && same(
            normal(&pinned.device_family),
            normal(&claimed.device_family),
        )
}

/// Outcome of asking for a pairing.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The request, new or merged.
    pub request: PendingRecord,
    /// Whether it is new.
    pub created: bool,
    /// Whether it may be approved at once.
    pub silent: bool,
}

/// Makes the visitor's request or merges it into the one it has already.
pub fn ask(book: &Book, visitor: &Visitor, reason: Reason, now: u64, new_id: String) -> Asked {
    let waiting = book
        .pending
        .values()
        .find(|p| p.device_id == visitor.device_id && !is_late(p, now));
    let silent = visitor.silent && reason.may_be_silent();
    let known = book.devices.contains_key(&visitor.device_id);
    let request = match waiting {
        None => PendingRecord {
            request_id: new_id,
            device_id: visitor.device_id.clone(),
            public_key: visitor.public_key.clone(),
            about: visitor.about.clone(),
            role: visitor.role.clone(),
            roles: vec![visitor.role.clone()],
            scopes: visitor.scopes.clone(),
            silent,
            is_repair: known,
            ts: now,
        },
        Some(old) => PendingRecord {
            public_key: visitor.public_key.clone(),
            about: merge_about(&old.about, &visitor.about),
            roles: scopes::union(&old.roles, std::slice::from_ref(&visitor.role)),
            scopes: scopes::union(&old.scopes, &visitor.scopes),
            silent: old.silent && silent,
            is_repair: old.is_repair || known,
            ts: now,
            ..old.clone()
        },
    };
    Asked {
        silent: request.silent,
        created: waiting.is_none(),
        request,
    }
}

fn merge_about(old: &About, new: &About) -> About {
    let newer = |new: &Option<String>, old: &Option<String>| new.clone().or_else(|| old.clone());
    About {
        display_name: newer(&new.display_name, &old.display_name),
        platform: newer(&new.platform, &old.platform),
        device_family: newer(&new.device_family, &old.device_family),
        client_id: newer(&new.client_id, &old.client_id),
        client_mode: newer(&new.client_mode, &old.client_mode),
        remote_ip: newer(&new.remote_ip, &old.remote_ip),
    }
}

/// Turns a request into the device's record, with a new token for the request's role.
pub fn approve(
    old: Option<&DeviceRecord>,
    request: &PendingRecord,
    now: u64,
    generation: u64,
) -> DeviceRecord {
    let before = old.cloned().unwrap_or_default();
    let old_scopes = if before.approved_scopes.is_empty() {
        &before.scopes
    } else {
        &before.approved_scopes
    };
    let approved = scopes::union(old_scopes, &request.scopes);
    let mut token_scopes = scopes::normalise_sorted(&request.scopes);
    let old_token = before.tokens.get(&request.role);
    if token_scopes.is_empty() {
        token_scopes = old_token.map_or_else(|| approved.clone(), |t| t.scopes.clone());
    }
    let mut tokens = before.tokens.clone();
    tokens.insert(
        request.role.clone(),
        new_token(old_token, token_scopes, now, generation),
    );
    DeviceRecord {
        device_id: request.device_id.clone(),
        public_key: request.public_key.clone(),
        about: request.about.clone(),
        role: Some(request.role.clone()),
        roles: scopes::union(&before.roles, &request.roles),
        scopes: approved.clone(),
        approved_scopes: approved,
        tokens,
        created_at_ms: if old.is_some() {
            before.created_at_ms
        } else {
            now
        },
        approved_at_ms: now,
    }
}

/// A token entry that takes the place of `old`.
pub fn new_token(
    old: Option<&TokenRecord>,
    scopes: Vec<String>,
    now: u64,
    generation: u64,
) -> TokenRecord {
    TokenRecord {
        generation,
        scopes,
        created_at_ms: old.map_or(now, |t| t.created_at_ms),
        rotated_at_ms: old.map(|_| now),
        revoked_at_ms: None,
        last_used_at_ms: None,
        previous: None,
        imported: None,
    }
}

/// A token entry that takes the place of `old`, which works on for a while.
pub fn rotated_token(
    old: Option<&TokenRecord>,
    scopes: Vec<String>,
    now: u64,
    generation: u64,
) -> TokenRecord {
    let previous = old.filter(|t| t.revoked_at_ms.is_none());
    TokenRecord {
        previous: previous.map(|t| PreviousToken {
            generation: t.generation,
            scopes: t.scopes.clone(),
            until_ms: now.saturating_add(TOKEN_OVERLAP_MS),
        }),
        ..new_token(old, scopes, now, generation)
    }
}

/// Whether this is the token that the device had before its record was imported; constant time.
pub fn is_imported(own: &TokenRecord, token: &str) -> bool {
    let sent = || hex(&Sha256::digest(token.trim()));
    let imported = own.imported.as_deref();
    imported.is_some_and(|hash| secret::equal(hash, &sent()))
}

/// The rotated token, while it still works.
pub fn live_previous(token: &TokenRecord, now: u64) -> Option<&PreviousToken> {
    let previous = token.previous.as_ref().filter(|p| now < p.until_ms);
    previous.filter(|_| token.revoked_at_ms.is_none())
}

/// Whether a token of this generation works.
pub fn lives(token: &TokenRecord, generation: u64, now: u64) -> bool {
    let previous = live_previous(token, now).is_some_and(|p| p.generation == generation);
    token.revoked_at_ms.is_none() && (previous || token.generation == generation)
}

/// Whether the device token that a visitor came with still works, if it came with one.
pub fn came_rightly(book: &Book, visitor: &Visitor, now: u64) -> bool {
    let Some(generation) = visitor.came_with else {
        return true;
    };
    let device = book.devices.get(&visitor.device_id);
    let token = device.and_then(|d| d.tokens.get(&visitor.role));
    token.is_some_and(|t| lives(t, generation, now))
}

/// The device without the rotated tokens that have ended; `None` when nothing changes.
pub fn without_ended(device: &DeviceRecord, now: u64) -> Option<DeviceRecord> {
    let ended = |t: &TokenRecord| t.previous.is_some() && live_previous(t, now).is_none();
    if !device.tokens.values().any(ended) {
        return None;
    }
    let mut device = device.clone();
    for token in device.tokens.values_mut().filter(|t| ended(t)) {
        token.previous = None;
    }
    Some(device)
}

/// The record after an admitted connect: who it was, in which role.
pub fn touched(device: &DeviceRecord, visitor: &Visitor) -> DeviceRecord {
    let newer = |new: &Option<String>, old: &Option<String>| new.clone().or_else(|| old.clone());
    let mut device = device.clone();
    device.about.display_name = newer(&visitor.about.display_name, &device.about.display_name);
    device.about.client_id = newer(&visitor.about.client_id, &device.about.client_id);
    device.about.client_mode = newer(&visitor.about.client_mode, &device.about.client_mode);
    device.about.remote_ip = newer(&visitor.about.remote_ip, &device.about.remote_ip);
    device.role = Some(visitor.role.clone());
    device.roles = scopes::union(&device.roles, std::slice::from_ref(&visitor.role));
    let asked = scopes::union(&device.scopes, &visitor.scopes);
    if asked.len() <= DEVICE_SCOPES_MAX {
        // What is left out is covered by what stays: it was let in.
        device.scopes = asked;
    }
    device
}

/// Whether the role's token serves the request as it is.
pub fn token_serves(device: &DeviceRecord, role: &str, requested: &[String]) -> bool {
    device.tokens.get(role).is_some_and(|token| {
        token.revoked_at_ms.is_none()
            && scopes::allows(role, &token.scopes, &device.approved_scopes)
            && scopes::allows(role, requested, &token.scopes)
    })
}

fn is_late(request: &PendingRecord, now: u64) -> bool {
    now.saturating_sub(request.ts) > PAIRING_TTL_MS
}

/// Requests that waited too long.
pub fn expired(book: &Book, now: u64) -> Vec<String> {
    let late = book.pending.values().filter(|p| is_late(p, now));
    late.map(|p| p.request_id.clone()).collect()
}

/// The oldest requests that leave no room for those of `changes`.
pub fn crowded_out(book: &Book, changes: &DeviceChanges) -> Vec<String> {
    let touched = |id: &String| {
        changes.drop_pending.contains(id)
            || changes.put_pending.iter().any(|put| put.request_id == *id)
    };
    let waiting = book.pending.values();
    let mut waiting: Vec<_> = waiting.filter(|p| !touched(&p.request_id)).collect();
    waiting.sort_by_key(|p| p.ts);
    let crowd = waiting.len() + changes.put_pending.len();
    let gone = waiting
        .iter()
        .take(crowd.saturating_sub(PAIRING_PENDING_MAX));
    gone.map(|p| p.request_id.clone()).collect()
}

/// A request as clients see it.
pub fn show_request(p: &PendingRecord) -> PairingRequest {
    PairingRequest {
        request_id: p.request_id.clone(),
        device_id: p.device_id.clone(),
        public_key: p.public_key.clone(),
        display_name: p.about.display_name.clone(),
        platform: p.about.platform.clone(),
        device_family: p.about.device_family.clone(),
        client_id: p.about.client_id.clone(),
        client_mode: p.about.client_mode.clone(),
        role: Some(p.role.clone()),
        roles: Some(p.roles.clone()),
        scopes: Some(p.scopes.clone()),
        remote_ip: p.about.remote_ip.clone(),
        silent: Some(p.silent),
        is_repair: Some(p.is_repair),
        ts: p.ts,
    }
}

/// A device as clients see it: tokens without their values, approved scopes left out.
pub fn show_device(d: &DeviceRecord) -> PairedDevice {
    let some = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    let tokens: Vec<DeviceTokenInfo> = d
        .tokens
        .iter()
        .map(|(role, t)| DeviceTokenInfo {
            role: role.clone(),
            scopes: t.scopes.clone(),
            created_at_ms: t.created_at_ms,
            rotated_at_ms: t.rotated_at_ms,
            revoked_at_ms: t.revoked_at_ms,
            last_used_at_ms: t.last_used_at_ms,
        })
        .collect();
    PairedDevice {
        device_id: d.device_id.clone(),
        public_key: d.public_key.clone(),
        display_name: d.about.display_name.clone(),
        platform: d.about.platform.clone(),
        device_family: d.about.device_family.clone(),
        client_id: d.about.client_id.clone(),
        client_mode: d.about.client_mode.clone(),
        role: d.role.clone(),
        roles: some(&d.roles),
        scopes: some(&d.scopes),
        remote_ip: d.about.remote_ip.clone(),
        tokens: (!tokens.is_empty()).then_some(tokens),
        created_at_ms: d.created_at_ms,
        approved_at_ms: d.approved_at_ms,
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
