//! The `connect` handshake: the checks in the wire's order, then the admitted client.
//!
//! The order decides which refusal a client sees, so it is kept in one readable row in
//! [`handshake`]. Nothing is promised before the devices task has written its decision.

use std::sync::Arc;

use gateway_schemas::catalogue::Role;
use gateway_schemas::connect::{ConnectDevice, ConnectParams};
use gateway_schemas::frame::{self, FrameError};
use gateway_schemas::validate;

use super::door::{Door, no_admission};
use super::hello::Granted;
use super::link::{Frame, Incoming, Link};
use super::refusal::{DeviceProof, Hint, Refusal, Refusals};
use super::{Arrival, hello, protocol};
use crate::auth::signature::{PublicKey, Signed};
use crate::devices::{Admission, CodePass, Grant};
use crate::hub::{Client, Closing, SECRET_CHANGED};
use crate::limits::{HANDSHAKE_FRAME_BYTES_MAX, SIGNATURE_SKEW_MS};
use crate::methods::Parts;

/// A client that said hello and was answered.
pub(super) struct Admitted {
    pub(super) client: Arc<Client>,
}

/// Reads the first frame and checks it; registers the client and sends hello-ok.
pub(super) async fn handshake(
    link: &mut Link,
    arrival: &Arrival,
    nonce: &str,
    parts: &Arc<Parts>,
) -> Result<Admitted, Refusal> {
    let frame = first_frame(link).await?;
    let (id, params) = read_connect(&frame)?;
    let config = parts.config.current();
    let hint = Hint::of(&params.client.id, &params.client.mode);
    let refusals = Refusals { id: &id, hint };
    let protocol = protocol::spoken(&params).map_err(|expected| refusals.protocol(expected))?;
    let role = match params.role.as_deref() {
        None | Some("operator") => Role::Operator,
        Some("node") => Role::Node,
        Some(_) => return Err(refusals.role()),
    };
    let mut door = Door::new(&params, role, arrival, &config);
    door.protocol = protocol;
    door.check_origin(&refusals)?;
    let shared = door.prove(parts).await;
    let Some(device) = params
        .device
        .as_ref()
        .filter(|_| !door.device_is_ignored(&config))
    else {
        door.without_device(shared, &refusals)?;
        return welcome(link, &id, door, Granted::default(), parts).await;
    };
    let public_key = prove_device(device, &params, nonce, parts.clock.now_ms())
        .map_err(|wrong| refusals.device(wrong))?;
    let exempt = door.needs_no_pairing(&shared);
    if let Err(shut) = shared
        && !door.shows_code(device, parts, &refusals).await?
    {
        door.device_token(device, shut, parts, &refusals)?;
    }
    let visitor = door.visitor(device, public_key);
    let granted = match parts.devices.admit(visitor, exempt).await {
        Ok(Admission::Admitted {
            grant,
            others,
            pinned,
        }) => {
            door.platform = pinned.0.or(door.platform);
            door.device_family = pinned.1.or(door.device_family);
            Granted { own: grant, others }
        }
        Ok(Admission::Pending { request_id, reason }) => {
            return Err(refusals.pairing(&request_id, reason));
        }
        Err(e) => return Err(no_admission(&refusals, &e)),
    };
    welcome(link, &id, door, granted, parts).await
}

async fn first_frame(link: &mut Link) -> Result<Frame, Refusal> {
    match link.recv().await {
        Incoming::Frame(frame) => Ok(frame),
        Incoming::TooLarge => Err(Refusal::silent(1009, "")),
        Incoming::Gone => Err(Refusal::silent(1000, "")),
    }
}

/// Size, JSON, frame, method, params: what can be said without knowing anybody.
fn read_connect(frame: &Frame) -> Result<(String, ConnectParams), Refusal> {
    let text = frame.text().ok_or_else(|| Refusal::silent(1000, ""))?;
    if text.len() > HANDSHAKE_FRAME_BYTES_MAX {
        return Err(Refusal::silent(1009, ""));
    }
    let request = frame::read_request(text).map_err(|e| match e {
        FrameError::NotJson => Refusal::silent(1000, ""),
        FrameError::Invalid { .. } => Refusal::silent(1008, "invalid request frame"),
    })?;
    let refusals = Refusals {
        id: &request.id,
        hint: Hint::Other,
    };
    if request.method != "connect" {
        return Err(refusals.not_connect());
    }
    let params = request.params_text();
    validate::connect(params).map_err(|errors| refusals.params(&errors))?;
    let read = serde_json::from_str(params).map_err(|e| refusals.params(&e.to_string()))?;
    Ok((request.id.into_owned(), read))
}

/// The proof of a device's key. Returns the stored form of the key.
fn prove_device(
    device: &ConnectDevice,
    params: &ConnectParams,
    nonce: &str,
    now_ms: u64,
) -> Result<String, DeviceProof> {
    let key = PublicKey::parse(&device.public_key)
        .filter(|key| key.device_id() == device.id)
        .ok_or(DeviceProof::IdMismatch)?;
    if now_ms.abs_diff(device.signed_at) > SIGNATURE_SKEW_MS {
        return Err(DeviceProof::Expired);
    }
    let claimed = device.nonce.trim();
    if claimed.is_empty() {
        return Err(DeviceProof::NonceMissing);
    }
    if claimed != nonce {
        return Err(DeviceProof::NonceMismatch);
    }
    let auth = params.auth.as_ref();
    let token = auth.and_then(|a| {
        a.token
            .as_deref()
            .or(a.device_token.as_deref())
            .or(a.bootstrap_token.as_deref())
    });
    let signed = Signed {
        device_id: &device.id,
        client_id: &params.client.id,
        client_mode: &params.client.mode,
        role: params.role.as_deref().unwrap_or("operator"),
        scopes: params.scopes.as_deref().unwrap_or_default(),
        signed_at_ms: device.signed_at,
        token: token.unwrap_or_default(),
        nonce: claimed,
        platform: &params.client.platform,
        device_family: params.client.device_family.as_deref().unwrap_or_default(),
    };
    if !signed.verify(&key, &device.signature) {
        return Err(DeviceProof::Signature);
    }
    key.normalised().ok_or(DeviceProof::PublicKey)
}

/// Registered first, snapshot second, hello-ok third: an event may be seen twice by its version,
/// never missed.
async fn welcome(
    link: &mut Link,
    id: &str,
    mut door: Door<'_>,
    granted: Granted,
    parts: &Arc<Parts>,
) -> Result<Admitted, Refusal> {
    let code = door.code.take();
    let remote_ip = door.remote_ip();
    let claims = door.claims(remote_ip.clone());
    let caller = Arc::new(door.caller(parts));
    parts.presence.connected(&caller, remote_ip.as_deref());
    let client = parts.hub.register(caller);
    if client.caller.role == Role::Node {
        let config = parts.config.current();
        parts
            .nodes
            .joined(&client.caller, claims, &config.gateway.nodes);
    }
    close_if_revoked(&client, granted.own.as_ref(), parts);
    close_if_secret_changed(&client, parts);
    let text = hello::text(id, &client.caller, granted, parts);
    if link.send(text).await {
        if let Some(code) = code {
            burn(code, parts).await;
        }
        tracing::debug!(
            conn = client.caller.conn.0,
            client = client.caller.client.id,
            mode = client.caller.client.mode,
            role = client.caller.role_name(),
            device = client
                .caller
                .device_id
                .as_deref()
                .map(|d| &d[..12.min(d.len())]),
            "client connected"
        );
        return Ok(Admitted { client });
    }
    parts.hub.unregister(client.caller.conn);
    parts.nodes.left(&client.caller);
    parts.presence.disconnected(&client.caller);
    Err(Refusal::silent(1000, ""))
}

/// The device has its own token now.
async fn burn(code: CodePass, parts: &Parts) {
    if let Err(error) = parts.devices.burn_code(code).await {
        // It still opens for this device alone, and not for long.
        tracing::error!(%error, "a used setup code could not be burnt");
    }
}

/// The shared secret was replaced between its check and the registration.
fn close_if_secret_changed(client: &Client, parts: &Parts) {
    let generation = parts.config.current().gateway.auth.generation;
    if client.caller.came_with_older_secret(generation) {
        client.queue.close(Closing {
            code: client.caller.credential_close_code(),
            reason: SECRET_CHANGED.into(),
        });
    }
}

/// What was taken from the device between its admission and its registration.
fn close_if_revoked(client: &Client, grant: Option<&Grant>, parts: &Parts) {
    let caller = &client.caller;
    if let (Some(device), Some(grant)) = (&caller.device_id, grant)
        && !parts
            .devices
            .still_grants(device, caller.role_name(), grant, caller.token_generation)
    {
        client.queue.close(Closing {
            code: caller.credential_close_code(),
            reason: "device token revoked".into(),
        });
    }
}
