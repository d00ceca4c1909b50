//! The address that a setup code tells a device: where this gateway can be reached from elsewhere.

use url::Url;

use crate::config::{AuthMode, Bind, GatewayConfig};

/// An address and why it is that one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// `ws://HOST:PORT` or `wss://HOST[:PORT]`.
    pub(super) url: String,
    /// The key, or the parameter, that named it.
    pub(super) source: String,
    /// The gateway's own kind of secret.
    pub(super) auth: &'static str,
}

/// The first of: what was asked for, `gateway.remote.url` when it is preferred, the address that
/// the gateway is bound to, `gateway.remote.url`. `own` is this host's address in its network.
///
/// # Errors
/// What has to be configured first.
pub(super) fn choose(
    gateway: &GatewayConfig,
    asked: Option<String>,
    prefer_remote: bool,
    own: Option<String>,
) -> Result<Chosen, String> {
    let auth = match gateway.auth.mode {
        Some(AuthMode::None) => {
            let text = "gateway auth is not configured (no token or password): set \
                        gateway.auth.token first";
            return Err(text.into());
        }
        Some(mode) => mode.as_str(),
        None => "token",
    };
    let done = |url: String, source: &str| {
        Ok(Chosen {
            url,
            source: source.to_owned(),
            auth,
        })
    };
    if let Some(url) = asked {
        return done(normalised(&url)?, "url");
    }
    let remote = gateway.other.get("remote").and_then(|r| r.get("url"));
    let remote = remote
        .and_then(|url| url.as_str())
        .filter(|url| !url.trim().is_empty());
    let by_remote = |url: &str| done(normalised(url)?, "gateway.remote.url");
    if let Some(url) = remote.filter(|_| prefer_remote) {
        return by_remote(url);
    }
    let bound = match gateway.bind {
        Bind::Lan => own.map(|host| (host, "gateway.bind=lan")),
        Bind::Custom => gateway
            .custom_bind_host
            .as_ref()
            .map(|host| (host.trim().to_owned(), "gateway.bind=custom")),
        _ => None,
    };
    if let (None, Some(url)) = (&bound, remote) {
        return by_remote(url);
    }
    let Some((host, source)) = bound else {
        let text = "gateway is only bound to loopback: set gateway.bind=lan, or name the address \
                    that the device shall use (openclaw qr --public-url wss://HOST)";
        return Err(text.into());
    };
    let scheme = if gateway.tls.enabled { "wss" } else { "ws" };
    done(format!("{scheme}://{host}:{}", gateway.port()), source)
}

/// The address with nothing but scheme, host and port.
fn normalised(text: &str) -> Result<String, String> {
    let wrong = |why: &str| {
        format!("the address for the device {why}: write it as wss://HOST or ws://HOST:PORT")
    };
    let url = Url::parse(text.trim()).map_err(|_| wrong("is no URL"))?;
    let scheme = match url.scheme() {
        "ws" | "http" => "ws",
        "wss" | "https" => "wss",
        _ => return Err(wrong("is neither ws nor wss")),
    };
    let host = url.host_str().ok_or_else(|| wrong("names no host"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("holds a user or password"));
    }
    let port = url.port().map(|port| format!(":{port}"));
    Ok(format!("{scheme}://{host}{}", port.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[track_caller]
    fn check(
        config: &str,
        asked: Option<&str>,
        remote: bool,
        expected: Result<(&str, &str), &str>,
    ) {
        let gateway: GatewayConfig = json5::from_str(config).unwrap();
        let own = Some("192.0.2.2".to_owned());
        let chosen = choose(&gateway, asked.map(str::to_owned), remote, own);
        match (chosen, expected) {
            (Ok(chosen), Ok(expected)) => {
                assert_eq!((chosen.url.as_str(), chosen.source.as_str()), expected);
            }
            (Err(text), Err(part)) => assert!(text.contains(part), "{text}"),
            (chosen, expected) => panic!("{chosen:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn the_first_address_that_is_known() {
        let lan = "{bind: 'lan', port: 7, remote: {url: 'wss://gw.example/'}}";
        check(
            lan,
            None,
            false,
            Ok(("ws://192.0.2.2:7", "gateway.bind=lan")),
        );
        check(
            lan,
            None,
            true,
            Ok(("wss://gw.example", "gateway.remote.url")),
        );
        let asked = Some("https://pub.example:8443/x?y");
        check(lan, asked, true, Ok(("wss://pub.example:8443", "url")));
        let custom = "{bind: 'custom', customBindHost: '192.0.2.9', tls: {enabled: true}}";
        let expected = ("wss://192.0.2.9:18789", "gateway.bind=custom");
        check(custom, None, false, Ok(expected));
        let loopback = "{remote: {url: 'ws://192.0.2.3:1'}}";
        check(
            loopback,
            None,
            false,
            Ok(("ws://192.0.2.3:1", "gateway.remote.url")),
        );
    }

    #[test]
    fn without_an_address_or_a_secret_there_is_no_code() {
        check("{}", None, false, Err("only bound to loopback"));
        check(
            "{bind: 'lan', auth: {mode: 'none'}}",
            None,
            false,
            Err("auth is not configured"),
        );
        for wrong in ["pub.example", "ftp://h", "wss://u:p@h", "ws://"] {
            check("{}", Some(wrong), false, Err("the address for the device"));
        }
    }
}
