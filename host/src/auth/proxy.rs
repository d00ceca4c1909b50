//! Mode trusted-proxy: a proxy in front has authenticated the user and names it in a header.
//!
//! Only what a peer of `gateway.trustedProxies` sends counts; no secret is tried.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderName};

use super::local::{Origin, TrustedProxies};
use super::tailscale;
use crate::config::{GatewayConfig, TrustedProxyConfig};

/// Why the proxy's word didn't admit a client; the wire's `authReason`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// `gateway.auth.trustedProxy` is absent.
    NoConfig,
    /// `gateway.trustedProxies` names nobody.
    NoProxies,
    /// The peer is no trusted proxy.
    UntrustedSource,
    /// A required header is absent or blank; its name as configured.
    MissingHeader(String),
    /// The user's header is absent or blank.
    UserMissing,
    /// The user is not on the list.
    UserNotAllowed,
}

impl Refused {
    /// The wire's name of the reason.
    pub fn reason(&self) -> Cow<'static, str> {
        match self {
            Self::NoConfig => "trusted_proxy_config_missing".into(),
            Self::NoProxies => "trusted_proxy_no_proxies_configured".into(),
            Self::UntrustedSource => "trusted_proxy_untrusted_source".into(),
            Self::MissingHeader(name) => format!("trusted_proxy_missing_header_{name}").into(),
            Self::UserMissing => "trusted_proxy_user_missing".into(),
            Self::UserNotAllowed => "trusted_proxy_user_not_allowed".into(),
        }
    }
}

/// Checks what a proxy says of its user, and gives the user's name.
///
/// # Errors
/// [`Refused`], in the wire's order.
pub fn check<'a>(
    origin: &'a Origin,
    proxies: &TrustedProxies,
    config: Option<&TrustedProxyConfig>,
) -> Result<&'a str, Refused> {
    let config = config.ok_or(Refused::NoConfig)?;
    if proxies.is_empty() {
        return Err(Refused::NoProxies);
    }
    if !origin.comes_from(proxies) {
        return Err(Refused::UntrustedSource);
    }
    let filled = |name: &str| Some(origin.asked(name)?.trim()).filter(|text| !text.is_empty());
    let mut required = config.required_headers.iter();
    if let Some(absent) = required.find(|name| filled(name).is_none()) {
        return Err(Refused::MissingHeader(absent.clone()));
    }
    let user = filled(&config.user_header).ok_or(Refused::UserMissing)?;
    let listed = config.allow_users.iter().any(|allowed| allowed == user);
    if config.allow_users.is_empty() || listed {
        Ok(user)
    } else {
        Err(Refused::UserNotAllowed)
    }
}

/// The headers that this configuration looks at, beside those of every request.
pub fn asked_headers(gateway: &GatewayConfig) -> Vec<HeaderName> {
    let proxy = gateway.auth.trusted_proxy.iter();
    let named = proxy.flat_map(|p| std::iter::once(&p.user_header).chain(&p.required_headers));
    let named = named.filter_map(|name| name.trim().parse().ok());
    let by_serve = gateway.auth.allows_tailscale(&gateway.tailscale);
    let serve = tailscale::ASKED.into_iter().filter(|_| by_serve);
    named.chain(serve).collect()
}

/// Their values in a request; several lines of one header are joined, as proxies do.
pub fn pick(asked: &[HeaderName], headers: &HeaderMap) -> Vec<(HeaderName, String)> {
    let value = |name: &HeaderName| {
        let lines: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(|line| String::from_utf8_lossy(line.as_bytes()))
            .collect();
        (!lines.is_empty()).then(|| (name.clone(), lines.join(", ")))
    };
    asked.iter().filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn config() -> TrustedProxyConfig {
        TrustedProxyConfig {
            user_header: "X-User".into(),
            required_headers: vec!["X-Verified".into()],
            allow_users: vec!["ada@example.com".into()],
            ..TrustedProxyConfig::default()
        }
    }

    fn from(peer: &str, headers: &[(&'static str, &str)]) -> Origin {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let gateway = GatewayConfig {
            auth: crate::config::AuthConfig {
                trusted_proxy: Some(config()),
                ..Default::default()
            },
            ..GatewayConfig::default()
        };
        Origin {
            peer: peer.parse().ok(),
            asked: pick(&asked_headers(&gateway), &map),
            ..Origin::default()
        }
    }

    #[track_caller]
    fn refused(peer: &str, headers: &[(&'static str, &str)], reason: &str) {
        let proxies = TrustedProxies::new(&["10.0.0.1".into()], false);
        let config = config();
        let result = check(&from(peer, headers), &proxies, Some(&config)).map(str::to_owned);
        assert_eq!(result.unwrap_err().reason(), reason);
    }

    #[test]
    fn each_reason_in_its_order() {
        let none = TrustedProxies::default();
        let origin = from("10.0.0.1", &[]);
        assert_eq!(check(&origin, &none, None), Err(Refused::NoConfig));
        assert_eq!(
            check(&origin, &none, Some(&config())),
            Err(Refused::NoProxies)
        );
        let all = [("x-verified", "1"), ("x-user", "ada@example.com")];
        refused("10.0.0.2", &all, "trusted_proxy_untrusted_source");
        refused(
            "10.0.0.1",
            &all[1..],
            "trusted_proxy_missing_header_X-Verified",
        );
        let blank = [("x-verified", " "), ("x-user", "ada@example.com")];
        refused(
            "10.0.0.1",
            &blank,
            "trusted_proxy_missing_header_X-Verified",
        );
        refused("10.0.0.1", &all[..1], "trusted_proxy_user_missing");
        let other = [("x-verified", "1"), ("x-user", "eve@example.com")];
        refused("10.0.0.1", &other, "trusted_proxy_user_not_allowed");
        // Somebody who puts a line of their own before the proxy's is nobody on the list.
        let two = [all[0], all[1], ("x-user", "eve@example.com")];
        refused("10.0.0.1", &two, "trusted_proxy_user_not_allowed");
        let proxies = TrustedProxies::new(&["::ffff:10.0.0.1".into()], false);
        let origin = from("::ffff:10.0.0.1", &all);
        let config = config();
        assert_eq!(
            check(&origin, &proxies, Some(&config)),
            Ok("ada@example.com")
        );
    }
}
