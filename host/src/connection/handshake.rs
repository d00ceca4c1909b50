//! The `connect` handshake: the checks in the wire's order, then the admitted client.
//!
//! The order decides which refusal a client sees, so it is kept in one readable row in
//! [`handshake`]. Nothing is promised before the devices task has written its decision.

use std::sync::Arc;

use gateway_schemas::catalogue::Role;
use gateway_schemas::connect::{ConnectDevice, ConnectParams};
use gateway_schemas::frame::{self, FrameError};
use gateway_schemas::validate;

use super::link::{Frame, Incoming, Link};
use super::refusal::{DeviceProof, Hint, Refusal, Refusals, SentAuth};
use super::{Arrival, hello};
use crate::auth::secret::{self, Credentials};
use crate::auth::signature::{PublicKey, Signed};
use crate::auth::{local, origin};
use crate::config::{AuthMode, Config};
use crate::devices::{Admission, DevicesError, Grant, Visitor};
use crate::hub::{Caller, Client, ClientInfo};
use crate::limits::{HANDSHAKE_FRAME_BYTES_MAX, SIGNATURE_SKEW_MS};
use crate::methods::Parts;
use crate::store::devices::About;

/// The protocol that operators and nodes are answered.
const PROTOCOL: u32 = 3;

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
    if !(params.min_protocol..=params.max_protocol).contains(&u64::from(PROTOCOL)) {
        return Err(refusals.protocol(PROTOCOL));
    }
    let role = match params.role.as_deref() {
        None | Some("operator") => Role::Operator,
        Some("node") => Role::Node,
        Some(_) => return Err(refusals.role()),
    };
    let mut door = Door::new(&params, role, arrival, &config);
    door.check_origin(&refusals)?;
    let shared = secret::check(&config.gateway.auth, door.credentials());
    let Some(device) = params
        .device
        .as_ref()
        .filter(|_| !door.device_is_ignored(&config))
    else {
        door.without_device(&config, shared, &refusals)?;
        return welcome(link, &id, door, None, parts).await;
    };
    let public_key = prove_device(device, &params, nonce, parts.clock.now_ms())
        .map_err(|wrong| refusals.device(wrong))?;
    let secret_shown = shared.is_ok() && config.gateway.auth.mode != Some(AuthMode::None);
    if let Err(refused) = shared {
        door.device_token(device, refused, parts, &refusals).await?;
    }
    let exempt = door.needs_no_pairing(secret_shown);
    let visitor = door.visitor(device, public_key);
    let grant = match parts.devices.admit(visitor, exempt).await {
        Ok(Admission::Admitted { grant, pinned }) => {
            door.platform = pinned.0.or(door.platform);
            door.device_family = pinned.1.or(door.device_family);
            grant
        }
        Ok(Admission::Pending { request_id, reason }) => {
            return Err(refusals.pairing(&request_id, reason));
        }
        Err(e) => return Err(store_failed(&refusals, &e)),
    };
    welcome(link, &id, door, grant, parts).await
}

fn store_failed(refusals: &Refusals<'_>, error: &DevicesError) -> Refusal {
    tracing::error!(error = %error, "no verdict on a device");
    refusals.unavailable("Error: the device store failed")
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

/// A visitor while the checks go on.
struct Door<'a> {
    params: &'a ConnectParams,
    role: Role,
    scopes: Vec<String>,
    arrival: &'a Arrival,
    config: &'a Config,
    is_local: bool,
    has_origin: bool,
    platform: Option<String>,
    device_family: Option<String>,
}

impl<'a> Door<'a> {
    fn new(
        params: &'a ConnectParams,
        role: Role,
        arrival: &'a Arrival,
        config: &'a Config,
    ) -> Self {
        Door {
            params,
            role,
            scopes: params.scopes.clone().unwrap_or_default(),
            is_local: arrival.origin.is_local(&arrival.proxies),
            has_origin: arrival
                .origin
                .origin
                .as_ref()
                .is_some_and(|o| !o.trim().is_empty()),
            platform: Some(params.client.platform.clone()),
            device_family: params.client.device_family.clone(),
            arrival,
            config,
        }
    }

    fn is_control_ui(&self) -> bool {
        self.params.client.id == "openclaw-control-ui"
    }

    fn is_webchat(&self) -> bool {
        self.params.client.mode == "webchat" || self.params.client.id == "webchat-ui"
    }

    fn credentials(&self) -> Credentials<'a> {
        let auth = self.params.auth.as_ref();
        Credentials {
            token: auth.and_then(|a| a.token.as_deref()),
            password: auth.and_then(|a| a.password.as_deref()),
        }
    }

    fn check_origin(&self, refusals: &Refusals<'_>) -> Result<(), Refusal> {
        if !(self.has_origin || self.is_control_ui() || self.is_webchat()) {
            return Ok(());
        }
        let local::Origin { origin, host, .. } = &self.arrival.origin;
        let ui = &self.config.gateway.control_ui;
        origin::check(origin.as_deref(), host.as_deref(), self.is_local, ui)
            .map_err(|refused| refusals.origin(refused))
    }

    fn device_is_ignored(&self, config: &Config) -> bool {
        self.is_control_ui()
            && self.role == Role::Operator
            && config.gateway.control_ui.dangerously_disable_device_auth
    }

    /// Who may come without a device, and with which scopes.
    fn without_device(
        &mut self,
        config: &Config,
        shared: Result<(), secret::Refused>,
        refusals: &Refusals<'_>,
    ) -> Result<(), Refusal> {
        let ui = &config.gateway.control_ui;
        if self.is_control_ui() {
            let trusted =
                self.device_is_ignored(config) || (ui.allow_insecure_auth && self.is_local);
            if !trusted {
                return Err(refusals.control_ui_device());
            }
        } else {
            self.scopes.clear();
        }
        let sent = self.sent_auth();
        let secret_needed = config.gateway.auth.mode != Some(AuthMode::None);
        match shared {
            Ok(()) if self.is_control_ui() => Ok(()),
            Ok(()) if self.role == Role::Operator && secret_needed => Ok(()),
            Err(refused) if self.is_control_ui() || self.sent_secret() => {
                Err(refusals.secret(refused, sent))
            }
            _ => Err(refusals.device_required()),
        }
    }

    fn sent_secret(&self) -> bool {
        let filled = |s: Option<&str>| s.is_some_and(|s| !s.trim().is_empty());
        let sent = self.credentials();
        filled(sent.token) || filled(sent.password)
    }

    fn sent_auth(&self) -> SentAuth {
        let auth = self.params.auth.as_ref();
        let filled = |s: Option<&String>| s.is_some_and(|s| !s.trim().is_empty());
        SentAuth {
            device: self.params.device.is_some(),
            token: filled(auth.and_then(|a| a.token.as_ref())),
            device_token: filled(auth.and_then(|a| a.device_token.as_ref())),
        }
    }

    /// The shared secret failed: a device token may stand in for it.
    async fn device_token(
        &self,
        device: &ConnectDevice,
        refused: secret::Refused,
        parts: &Parts,
        refusals: &Refusals<'_>,
    ) -> Result<(), Refusal> {
        let auth = self.params.auth.as_ref();
        let sent = self.sent_auth();
        let own = auth
            .and_then(|a| a.device_token.as_deref())
            .filter(|t| !t.trim().is_empty());
        let candidate = own.or_else(|| auth.and_then(|a| a.token.as_deref()));
        if let Some(candidate) = candidate.map(str::trim).filter(|t| !t.is_empty()) {
            let role = self.role_name();
            match parts
                .devices
                .check_token(&device.id, role, &self.scopes, candidate)
                .await
            {
                Ok(true) => return Ok(()),
                Ok(false) if sent.device_token => return Err(refusals.device_token()),
                Ok(false) => {}
                Err(e) => return Err(store_failed(refusals, &e)),
            }
        }
        let bootstrap = auth.and_then(|a| a.bootstrap_token.as_deref());
        if bootstrap.is_some_and(|t| !t.trim().is_empty()) {
            return Err(refusals.bootstrap_token());
        }
        Err(refusals.secret(refused, sent))
    }

    fn role_name(&self) -> &'static str {
        if self.role == Role::Node {
            "node"
        } else {
            "operator"
        }
    }

    /// The gateway's own helpers on this host prove themselves by the shared secret alone.
    fn needs_no_pairing(&self, secret_shown: bool) -> bool {
        self.params.client.id == "gateway-client"
            && self.params.client.mode == "backend"
            && self.is_local
            && !self.has_origin
            && secret_shown
    }

    fn remote_ip(&self) -> Option<String> {
        let origin = &self.arrival.origin;
        let proxies = &self.arrival.proxies;
        if self.is_local || origin.has_untrusted_headers(proxies) {
            return None;
        }
        origin
            .client_address(proxies)
            .filter(|a| !a.is_loopback())
            .map(|a| a.to_string())
    }

    fn visitor(&self, device: &ConnectDevice, public_key: String) -> Visitor {
        let client = &self.params.client;
        let own_page = self.is_control_ui() || self.is_webchat();
        Visitor {
            device_id: device.id.clone(),
            public_key,
            about: About {
                display_name: client.display_name.clone(),
                platform: Some(client.platform.clone()),
                device_family: client.device_family.clone(),
                client_id: Some(client.id.clone()),
                client_mode: Some(client.mode.clone()),
                remote_ip: self.remote_ip(),
            },
            role: self.role_name().to_owned(),
            scopes: self.scopes.clone(),
            silent: self.is_local && (!self.has_origin || own_page),
        }
    }

    fn caller(self, parts: &Parts) -> Caller {
        let client = &self.params.client;
        let device = self
            .params
            .device
            .as_ref()
            .filter(|_| !self.device_is_ignored(self.config));
        Caller {
            conn: parts.hub.next_id(),
            conn_uuid: parts.clock.uuid(),
            role: self.role,
            device_id: device.map(|d| d.id.clone()),
            client: ClientInfo {
                id: client.id.clone(),
                mode: client.mode.clone(),
                version: client.version.clone(),
                platform: self.platform.unwrap_or_default(),
                display_name: client.display_name.clone(),
                device_family: self.device_family,
                model_identifier: client.model_identifier.clone(),
                instance_id: client.instance_id.clone(),
            },
            caps: self.params.caps.clone().unwrap_or_default(),
            protocol: PROTOCOL,
            is_local: self.is_local,
            scopes: self.scopes,
        }
    }
}

/// Registered first, snapshot second, hello-ok third: an event may be seen twice by its version,
/// never missed.
async fn welcome(
    link: &mut Link,
    id: &str,
    door: Door<'_>,
    grant: Option<Grant>,
    parts: &Arc<Parts>,
) -> Result<Admitted, Refusal> {
    let remote_ip = door.remote_ip();
    let host = hello::host_url(&door.arrival.origin, door.config);
    let caller = Arc::new(door.caller(parts));
    parts.presence.connected(&caller, remote_ip.as_deref());
    let client = parts.hub.register(caller);
    let text = hello::text(id, &client.caller, grant, host, parts);
    if link.send(text).await {
        tracing::info!(
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
    parts.presence.disconnected(&client.caller);
    Err(Refusal::silent(1000, ""))
}
