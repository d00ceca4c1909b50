//! What a gateway can't be started with: said before anything is opened, with the key and the fix.
//!
//! Called once by `gateway`; the process ends with code 78. What concerns one address alone is
//! said where it is opened (`http::bind`).

use std::net::{IpAddr, Ipv4Addr};

use axum::http::HeaderName;

use super::{AuthMode, Bind, Config, GatewayConfig, RateLimitConfig, parse_network};
use crate::limits::RATE_LIMIT_ATTEMPTS_MAX;

/// Whether a gateway may run with this.
///
/// # Errors
/// The file, the key, what is wrong and what would be right.
pub fn check_startable(config: &Config) -> Result<(), String> {
    let gateway = &config.gateway;
    let remote = gateway.mode.as_deref() == Some("remote");
    let checked = if remote {
        Err(
            "gateway.mode is remote: this host uses a gateway elsewhere; set it to local to run \
             one here"
                .into(),
        )
    } else {
        check_auth(gateway).and_then(|()| check_hooks(config))
    };
    checked.map_err(|why| format!("{}: {why}", config.paths.config_file.display()))
}

fn check_auth(gateway: &GatewayConfig) -> Result<(), String> {
    let auth = &gateway.auth;
    match auth.mode {
        Some(AuthMode::TrustedProxy) => check_trusted_proxy(gateway)?,
        Some(AuthMode::Password) if auth.password.is_none() => {
            return Err(
                "gateway.auth.mode is password but no password is configured: set \
                 gateway.auth.password or OPENCLAW_GATEWAY_PASSWORD"
                    .into(),
            );
        }
        _ => {}
    }
    auth.rate_limit.as_ref().map_or(Ok(()), check_rate_limit)
}

/// Who may only knock shall not hold the key of the house.
fn check_hooks(config: &Config) -> Result<(), String> {
    let (hooks, auth) = (&config.hooks, &config.gateway.auth);
    if !hooks.enabled {
        return Ok(());
    }
    let token = hooks.token.as_ref().map(|token| token.expose().trim());
    let Some(token) = token.filter(|token| !token.is_empty()) else {
        return Err(
            "hooks.enabled is true but hooks.token is not configured: set it to a secret of its \
             own"
            .into(),
        );
    };
    let gateways = [&auth.token, &auth.password].into_iter().flatten();
    if gateways.into_iter().any(|own| own.expose() == token) {
        return Err(
            "hooks.token is the gateway's own secret: whoever may call a hook could do everything; \
             set it to another one"
                .into(),
        );
    }
    if hooks.base() == "/" {
        return Err("hooks.path may not be \"/\": use a path of its own such as /hooks".into());
    }
    Ok(())
}

fn check_rate_limit(limit: &RateLimitConfig) -> Result<(), String> {
    if limit.max_attempts == 0 || limit.max_attempts > RATE_LIMIT_ATTEMPTS_MAX {
        return Err(format!(
            "gateway.auth.rateLimit.maxAttempts is {}: use 1 to {RATE_LIMIT_ATTEMPTS_MAX}",
            limit.max_attempts
        ));
    }
    for (key, value) in [
        ("windowMs", limit.window_ms),
        ("lockoutMs", limit.lockout_ms),
    ] {
        if value == 0 {
            return Err(format!(
                "gateway.auth.rateLimit.{key} is 0: use a time in milliseconds"
            ));
        }
    }
    Ok(())
}

fn check_trusted_proxy(gateway: &GatewayConfig) -> Result<(), String> {
    let Some(proxy) = &gateway.auth.trusted_proxy else {
        return Err(
            "gateway.auth.mode is trusted-proxy but gateway.auth.trustedProxy is not configured: \
             set its userHeader to the header in which your proxy names the user"
                .into(),
        );
    };
    if proxy.user_header.trim().is_empty() {
        return Err(
            "gateway.auth.trustedProxy.userHeader is empty: name the header in which your proxy \
             names the user"
                .into(),
        );
    }
    for name in std::iter::once(&proxy.user_header).chain(&proxy.required_headers) {
        if name.trim().parse::<HeaderName>().is_err() {
            return Err(format!(
                "gateway.auth.trustedProxy: {name:?} can't be the name of a header: use letters, \
                 digits and dashes"
            ));
        }
    }
    let networks = gateway.trusted_proxies.iter();
    let networks: Vec<_> = networks.filter_map(|t| parse_network(t.trim())).collect();
    if networks.is_empty() {
        return Err(
            "gateway.auth.mode is trusted-proxy but gateway.trustedProxies names no proxy: add \
             the address your proxy connects from"
                .into(),
        );
    }
    let on_loopback = |(address, bits): &(IpAddr, u8)| {
        address.is_loopback() || (*bits <= 8 && is_around_loopback(*address, *bits))
    };
    if gateway.bind == Bind::Loopback && !networks.iter().any(on_loopback) {
        return Err(
            "gateway.auth.mode is trusted-proxy and the gateway listens on loopback, but \
             gateway.trustedProxies has no loopback address: add 127.0.0.1, or choose another \
             gateway.bind"
                .into(),
        );
    }
    Ok(())
}

/// A wide IPv4 network that holds 127.0.0.1.
fn is_around_loopback(address: IpAddr, bits: u8) -> bool {
    let shift = 32 - u32::from(bits.min(32));
    let top = |a: Ipv4Addr| a.to_bits().checked_shr(shift).unwrap_or(0);
    matches!(address, IpAddr::V4(a) if top(a) == top(Ipv4Addr::LOCALHOST))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(), &str>) {
        let mut gateway: GatewayConfig = json5::from_str(text).unwrap();
        gateway.auth.mode = gateway.auth.mode.or(Some(AuthMode::Token));
        let result = check_auth(&gateway);
        match (result, expected) {
            (Ok(()), Ok(())) => {}
            (Err(why), Err(words)) => assert!(why.contains(words), "{text}: {why}"),
            (result, _) => panic!("{text}: {result:?}"),
        }
    }

    #[test]
    fn what_can_and_cannot_be_started() {
        let proxy = |rest: &str| format!("{{ auth: {{ mode: 'trusted-proxy', {rest}");
        let user = "trustedProxy: { userHeader: 'x-user' } }";
        check("{}", Ok(()));
        check("{ auth: { mode: 'none' } }", Ok(()));
        check(
            "{ auth: { mode: 'password' } }",
            Err("OPENCLAW_GATEWAY_PASSWORD"),
        );
        check(&proxy("} }"), Err("trustedProxy is not configured"));
        check(&proxy("trustedProxy: {} } }"), Err("userHeader is empty"));
        check(
            &proxy("trustedProxy: { userHeader: 'a b' } } }"),
            Err("can't be the name of a header"),
        );
        check(
            &format!("{{ auth: {{ mode: 'trusted-proxy', {user} }}"),
            Err("names no proxy"),
        );
        let with = |rest: &str| format!("{{ auth: {{ mode: 'trusted-proxy', {user}, {rest} }}");
        check(&with("trustedProxies: ['junk']"), Err("names no proxy"));
        check(
            &with("trustedProxies: ['10.0.0.1']"),
            Err("has no loopback address"),
        );
        check(&with("trustedProxies: ['127.0.0.1']"), Ok(()));
        check(&with("trustedProxies: ['::1']"), Ok(()));
        check(&with("trustedProxies: ['0.0.0.0/0']"), Ok(()));
        check(&with("trustedProxies: ['10.0.0.1'], bind: 'lan'"), Ok(()));
        check(
            "{ auth: { rateLimit: { maxAttempts: 0 } } }",
            Err("maxAttempts is 0"),
        );
        check(
            "{ auth: { rateLimit: { windowMs: 0 } } }",
            Err("windowMs is 0"),
        );
    }
}
