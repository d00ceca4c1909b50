//! A visitor between its first frame and the verdict: what it claims, what follows from that.
//!
//! Made by the handshake, which decides the order in which it is asked.

use std::net::IpAddr;

use gateway_schemas::catalogue::Role;
use gateway_schemas::connect::{ConnectDevice, ConnectParams};

use super::Arrival;
use super::credential::{Proof, Shut};
use super::refusal::{Refusal, Refusals, SentAuth};
use crate::auth::rate::{Bucket, Limiter, Try};
use crate::auth::secret::Credentials;
use crate::auth::{local, origin};
use crate::config::Config;
use crate::devices::{CodePass, DevicesError, Visitor};
use crate::hub::{Caller, ClientInfo};
use crate::methods::Parts;
use crate::nodes::Claims;
use crate::store::devices::About;

/// The devices task lets nobody in.
pub(super) fn no_admission(refusals: &Refusals<'_>, error: &DevicesError) -> Refusal {
    match error {
        DevicesError::TokenGone => refusals.device_token(),
        DevicesError::TooLarge(what) => refusals.params(what),
        DevicesError::TooMany => refusals.unavailable(&error.to_string()),
        _ => {
            tracing::error!(error = %error, "no verdict on a device");
            refusals.unavailable("Error: the device store failed")
        }
    }
}

/// A visitor while the checks go on.
pub(super) struct Door<'a> {
    pub(super) params: &'a ConnectParams,
    role: Role,
    scopes: Vec<String>,
    pub(super) arrival: &'a Arrival,
    pub(super) config: &'a Config,
    pub(super) is_local: bool,
    has_origin: bool,
    /// What both sides speak.
    pub(super) protocol: u32,
    /// Of the device token that let it in, if one did.
    token_generation: Option<u64>,
    /// The setup code that let it in, if one did; burnt at hello-ok.
    pub(super) code: Option<CodePass>,
    /// Of the shared secret that let it in, if that did.
    pub(super) secret_generation: Option<u64>,
    /// A secret that was wrong, unless it turns out to be the device's own token.
    pub(super) tried: Option<Try<'a>>,
    /// As approved once the device is known, as claimed before.
    pub(super) platform: Option<String>,
    /// The same for the kind of device.
    pub(super) device_family: Option<String>,
}

impl<'a> Door<'a> {
    pub(super) fn new(
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
            protocol: 3,
            token_generation: None,
            code: None,
            secret_generation: None,
            platform: Some(params.client.platform.clone()),
            device_family: params.client.device_family.clone(),
            tried: None,
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

    pub(super) fn credentials(&self) -> Credentials<'a> {
        let auth = self.params.auth.as_ref();
        Credentials {
            token: auth.and_then(|a| a.token.as_deref()),
            password: auth.and_then(|a| a.password.as_deref()),
        }
    }

    pub(super) fn limiter(&self) -> Option<&'a Limiter> {
        let limiters = &self.arrival.limiters;
        if self.has_origin {
            Some(&limiters.pages)
        } else {
            limiters.programs.as_ref()
        }
    }

    pub(super) fn address(&self) -> Option<IpAddr> {
        self.arrival.origin.client_address(&self.arrival.proxies)
    }

    pub(super) fn check_origin(&self, refusals: &Refusals<'_>) -> Result<(), Refusal> {
        if !(self.has_origin || self.is_control_ui() || self.is_webchat()) {
            return Ok(());
        }
        let local::Origin { origin, host, .. } = &self.arrival.origin;
        let ui = &self.config.gateway.control_ui;
        origin::check(origin.as_deref(), host.as_deref(), self.is_local, ui)
            .map_err(|refused| refusals.origin(refused))
    }

    pub(super) fn device_is_ignored(&self, config: &Config) -> bool {
        self.is_control_ui()
            && self.role == Role::Operator
            && config.gateway.control_ui.dangerously_disable_device_auth
    }

    /// Who may come without a device, and with which scopes.
    pub(super) fn without_device(
        &mut self,
        shared: Result<Proof, Shut>,
        refusals: &Refusals<'_>,
    ) -> Result<(), Refusal> {
        if matches!(shared, Ok(Proof::OwnUser)) && self.role == Role::Operator {
            return Ok(());
        }
        let ui = &self.config.gateway.control_ui;
        let sent = self.sent_auth();
        if self.is_admitted_ui(&shared) {
            return shared
                .map(|_| ())
                .map_err(|shut| shut.refusal(refusals, sent));
        }
        if !self.is_control_ui() {
            self.scopes.clear();
        } else if !(ui.allow_insecure_auth && self.is_local) {
            return Err(refusals.control_ui_device());
        }
        match shared {
            Ok(proof) if self.role == Role::Operator && proof.stands_for_a_device() => Ok(()),
            Err(shut) if self.sent_secret() => Err(shut.refusal(refusals, sent)),
            _ => Err(refusals.device_required()),
        }
    }

    /// A Control UI that is taken as it is: it keeps its scopes and needs no pairing.
    fn is_admitted_ui(&self, shared: &Result<Proof, Shut>) -> bool {
        let by_proxy = matches!(shared, Ok(Proof::TrustedProxy));
        let is_operator = self.is_control_ui() && self.role == Role::Operator;
        is_operator && (by_proxy || self.device_is_ignored(self.config))
    }

    pub(super) fn sent_secret(&self) -> bool {
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

    /// The shared secret failed: a setup code may stand in for it.
    pub(super) async fn shows_code(
        &mut self,
        device: &ConnectDevice,
        parts: &Parts,
        refusals: &Refusals<'_>,
    ) -> Result<bool, Refusal> {
        let auth = self.params.auth.as_ref();
        let token = auth.and_then(|a| a.bootstrap_token.as_deref());
        let Some(token) = token.filter(|t| !t.trim().is_empty()) else {
            return Ok(false);
        };
        let shown = parts.devices.show_code(token, &device.id, self.role_name());
        self.code = shown.await.map_err(|e| no_admission(refusals, &e))?;
        if self.code.is_some() {
            self.tried.take().into_iter().for_each(Try::take_back);
        }
        Ok(self.code.is_some())
    }

    /// The shared secret failed: a device token may stand in for it.
    pub(super) fn device_token(
        &mut self,
        device: &ConnectDevice,
        shut: Shut,
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
            let (limiter, address, now) = (self.limiter(), self.address(), parts.clock.now_ms());
            let tried = limiter.map(|l| l.begin(Bucket::DeviceToken, address, now));
            let tried = tried.transpose().map_err(|_| refusals.rate_limited())?;
            let role = self.role_name();
            if let Some(generation) =
                parts
                    .devices
                    .check_token(&device.id, role, &self.scopes, candidate)
            {
                tried.into_iter().for_each(Try::succeeded);
                self.tried.take().into_iter().for_each(Try::take_back);
                self.token_generation = Some(generation);
                return Ok(());
            }
            // Dropped, both tries count.
            if sent.device_token {
                return Err(refusals.device_token());
            }
        }
        let bootstrap = auth.and_then(|a| a.bootstrap_token.as_deref());
        if bootstrap.is_some_and(|t| !t.trim().is_empty()) {
            return Err(refusals.bootstrap_token());
        }
        Err(shut.refusal(refusals, sent))
    }

    fn role_name(&self) -> &'static str {
        if self.role == Role::Node {
            "node"
        } else {
            "operator"
        }
    }

    /// The gateway's own helpers on this host prove themselves by the shared secret alone, a
    /// Control UI by the proxy that let it through.
    pub(super) fn needs_no_pairing(&self, shared: &Result<Proof, Shut>) -> bool {
        let own_helper = self.params.client.id == "gateway-client"
            && self.params.client.mode == "backend"
            && self.is_local
            && !self.has_origin
            && matches!(shared, Ok(Proof::Secret));
        own_helper || matches!(shared, Ok(Proof::OwnUser)) || self.is_admitted_ui(shared)
    }

    pub(super) fn remote_ip(&self) -> Option<String> {
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

    pub(super) fn visitor(&self, device: &ConnectDevice, public_key: String) -> Visitor {
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
            // A code was made for a device that is elsewhere.
            silent: self.is_local && (!self.has_origin || own_page) && self.code.is_none(),
            handoff: self
                .code
                .as_ref()
                .filter(|_| self.protocol >= 4 && self.role == Role::Node)
                .map(|code| code.scopes.clone()),
            came_with: self.token_generation,
        }
    }

    /// What a node says it can do; nothing of anybody else.
    pub(super) fn claims(&self, remote_ip: Option<String>) -> Claims {
        if self.role != Role::Node {
            return Claims::default();
        }
        Claims {
            commands: self.params.commands.clone().unwrap_or_default(),
            permissions: self.params.permissions.clone(),
            path_env: self.params.path_env.clone(),
            remote_ip,
        }
    }

    pub(super) fn caller(self, parts: &Parts) -> Caller {
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
            token_generation: self.token_generation,
            secret_generation: self.secret_generation,
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
            protocol: self.protocol,
            is_local: self.is_local,
            scopes: self.scopes,
        }
    }
}
