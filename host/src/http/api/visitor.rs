//! Who asks over HTTP: the gateway's secret in `Authorization: Bearer`, a device's own token beside
//! its id, a trusted proxy's word, or the gateway's own user on the local socket.
//!
//! The same rules, limiters and comparison in constant time as for the WebSocket. Whoever knows
//! the gateway's secret may do everything; a device what it was approved for.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;

use super::super::{Peer, Server, ws};
use super::{failure, text};
use crate::auth::local::Origin;
use crate::auth::rate::{Bucket, Limiter, Try};
use crate::auth::secret::{Credentials, check};
use crate::auth::{origin, proxy};
use crate::config::{AuthMode, Config};
use crate::methods::Parts;

/// The header in which a device names itself.
const DEVICE: &str = "x-openclaw-device-id";
/// What clients with a device token come as.
const ROLE: &str = "operator";

/// Somebody who proved itself.
pub(in crate::http) enum Access {
    /// It may do everything.
    Owner,
    /// A paired device with its token.
    Device {
        /// Its id.
        id: String,
        /// The token, looked up again for each scope.
        token: String,
    },
}

impl Access {
    /// Whether it was granted a scope, now.
    pub(in crate::http) fn may(&self, parts: &Parts, scope: &str) -> bool {
        match self {
            Access::Owner => true,
            Access::Device { id, token } => {
                let wanted = [scope.to_owned()];
                let devices = &parts.devices;
                devices.check_token(id, ROLE, &wanted, token).is_some()
            }
        }
    }
}

/// Looks at a request's head.
///
/// # Errors
/// The refusal to be answered.
pub(in crate::http) fn admit(
    server: &Server,
    config: &Config,
    peer: &Peer,
    headers: &HeaderMap,
) -> Result<Access, Response> {
    let admitted = looked_at(server, config, peer, headers);
    match &admitted {
        Ok(_) => peer.meter.lift(),
        // A body that nobody reads shall not cut our answer off.
        Err(_) => peer.meter.linger(),
    }
    admitted
}

fn looked_at(
    server: &Server,
    config: &Config,
    peer: &Peer,
    headers: &HeaderMap,
) -> Result<Access, Response> {
    if peer.own_user {
        return Ok(Access::Owner);
    }
    let rules = server.rules();
    let mut from = ws::origin_of(peer, headers);
    from.asked = proxy::pick(&rules.asked, headers);
    let auth = &config.gateway.auth;
    let is_local = from.is_local(&rules.proxies);
    // Without a secret a page anywhere could ask in the name of whoever looks at it.
    let page_may = || {
        let Origin { origin, host, .. } = &from;
        let ui = &config.gateway.control_ui;
        origin.is_none() || origin::check(origin.as_deref(), host.as_deref(), is_local, ui).is_ok()
    };
    match auth.mode {
        Some(AuthMode::TrustedProxy) => {
            let word = proxy::check(&from, &rules.proxies, auth.trusted_proxy.as_ref());
            let may = word.is_ok() && page_may();
            return may.then_some(Access::Owner).ok_or_else(unauthorised);
        }
        Some(AuthMode::None) => {
            let may = is_local && page_may();
            return may.then_some(Access::Owner).ok_or_else(unauthorised);
        }
        Some(AuthMode::Token | AuthMode::Password) | None => {}
    }
    let limiter = match from.origin {
        Some(_) => Some(&rules.limiters.pages),
        None => rules.limiters.programs.as_ref(),
    };
    let device = text(headers, DEVICE);
    let bucket = match device {
        Some(_) => Bucket::DeviceToken,
        None => Bucket::SharedSecret,
    };
    let address = from.client_address(&rules.proxies);
    let now_ms = server.parts.clock.now_ms();
    let locked = |limiter: &Limiter| locked_out(limiter.locked_ms(bucket, address, now_ms));
    if let Some(limiter) = limiter.filter(|l| l.is_locked(bucket, address, now_ms)) {
        return Err(locked(limiter));
    }
    // Nothing at all is no try.
    let sent = bearer(headers).ok_or_else(unauthorised)?;
    let tried = limiter.map(|l| l.begin(bucket, address, now_ms).map_err(|_| locked(l)));
    let tried = tried.transpose()?;
    let access = match device {
        Some(id) => {
            let devices = &server.parts.devices;
            let known = devices.check_token(id, ROLE, &[], sent).is_some();
            let (id, token) = (id.to_owned(), sent.to_owned());
            known.then_some(Access::Device { id, token })
        }
        None => {
            let (token, password) = (Some(sent), Some(sent));
            let proof = check(auth, Credentials { token, password });
            proof.is_ok().then_some(Access::Owner)
        }
    };
    // Dropped, the try counts.
    let access = access.ok_or_else(unauthorised)?;
    tried.into_iter().for_each(Try::succeeded);
    Ok(access)
}

/// The secret in `Authorization`.
pub(in crate::http) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.trim().split_once(' ')?;
    let secret = secret.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !secret.is_empty()).then_some(secret)
}

/// 401.
pub(in crate::http) fn unauthorised() -> Response {
    failure(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized")
}

fn locked_out(wait_ms: u64) -> Response {
    let words = "Too many failed authentication attempts. Please try again later.";
    let mut response = failure(StatusCode::TOO_MANY_REQUESTS, "rate_limited", words);
    let seconds = wait_ms.div_ceil(1_000).max(1);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, seconds.into());
    response
}
