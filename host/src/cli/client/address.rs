//! Reading a gateway's address, and the rule that secrets don't travel in plain text.

use std::net::IpAddr;

use super::target::{Secrets, Source, Target, Trust};
use crate::cli::error::{CliError, CliResult, Kind};

/// `1` allows plain `ws://` to a host of a private network.
pub const ALLOW_INSECURE: &str = "OPENCLAW_ALLOW_INSECURE_PRIVATE_WS";

/// How to get there all the same.
pub const TUNNEL: &str =
    "tunnel the port with ssh -N -L 18789:127.0.0.1:18789 HOST and use ws://127.0.0.1:18789";

/// The target that this URL names, still without secrets.
///
/// # Errors
/// When it is no `ws://` or `wss://` URL, holds a secret, or would carry one in plain text.
pub fn parse(text: &str, source: Source, insecure_allowed: bool) -> CliResult<Target> {
    let wrong = |message: String| {
        let kind = if source == Source::Flag {
            Kind::Usage
        } else {
            Kind::Config
        };
        CliError::new(kind, "URL_INVALID", message).fact(
            "url from",
            "urlSource",
            source.of_address(),
        )
    };
    let example = "write it as ws://HOST:PORT, for example ws://127.0.0.1:18789";
    let url = url::Url::parse(text.trim())
        .map_err(|cause| wrong(format!("the gateway's address is no URL: {cause}")).fix(example))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            wrong("the gateway's address holds a user or password".to_owned())
                .fix("leave them out, and name the secret with --token or --password"),
        );
    }
    let shown = shown(&url);
    let trust = match url.scheme() {
        "ws" => None,
        "wss" => Some(Trust::Authorities),
        other => {
            let message = format!("{shown}: a gateway speaks ws or wss, not {other}");
            return Err(wrong(message).fix(example));
        }
    };
    let host = match url.host() {
        Some(url::Host::Domain(name)) => name.to_owned(),
        Some(url::Host::Ipv4(ip)) => ip.to_string(),
        Some(url::Host::Ipv6(ip)) => ip.to_string(),
        None => return Err(wrong(format!("{shown} names no host")).fix(example)),
    };
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let plain = trust.is_none();
    if plain && !loopback && !insecure_allowed {
        return Err(plain_text_refused(&shown, source));
    }
    Ok(Target {
        port: url.port_or_known_default().unwrap_or(80),
        url: shown,
        request: url.into(),
        host,
        source,
        source_text: source.of_address().to_owned(),
        secrets: Secrets::default(),
        secrets_from: None,
        private_only: plain && !loopback,
        trust,
    })
}

/// The URL without its path's trailing slash, query and fragment: nothing secret is shown.
fn shown(url: &url::Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.as_str().trim_end_matches('/').to_owned()
}

fn plain_text_refused(url: &str, source: Source) -> CliError {
    CliError::new(
        Kind::Config,
        "PLAINTEXT_REFUSED",
        "refusing to send secrets over plain ws:// to another host",
    )
    .fact("url", "url", url)
    .fact("url from", "urlSource", source.of_address())
    .fix(TUNNEL)
    .fix("or let it speak TLS (gateway.tls.enabled), and use wss:// with --tls-fingerprint")
    .fix(format!(
        "on a private network you trust, set {ALLOW_INSECURE}=1"
    ))
}

/// True for addresses that no packet leaves a private network for.
pub fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        // 100.64.0.0/10 is what overlay networks hand out.
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || shared
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refusal(url: &str, insecure_allowed: bool) -> CliError {
        parse(url, Source::Flag, insecure_allowed).err().unwrap()
    }

    #[test]
    fn plain_text_stays_on_this_machine_unless_allowed() {
        let refused = refusal("ws://192.0.2.1:1", false);
        assert_eq!(
            (refused.code(), refused.kind().exit_code()),
            ("PLAINTEXT_REFUSED", 78)
        );
        assert!(
            parse("ws://192.0.2.1:1", Source::Flag, true)
                .unwrap()
                .private_only
        );
        for url in ["ws://localhost:1", "ws://127.3.0.1:1", "ws://[::1]:1"] {
            assert!(
                !parse(url, Source::Flag, false).unwrap().private_only,
                "{url}"
            );
        }
        let target = parse("wss://192.0.2.1:7/x", Source::Flag, false).unwrap();
        assert_eq!((target.port, target.private_only), (7, false));
        assert_eq!(target.trust, Some(Trust::Authorities));
        assert_eq!(parse("wss://h", Source::Flag, false).unwrap().port, 443);
        for (ip, expected) in [
            ("10.1.2.3", true),
            ("100.100.1.1", true),
            ("fd00::1", true),
            ("8.8.8.8", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_private(ip.parse().unwrap()), expected, "{ip}");
        }
    }

    #[test]
    fn wrong_addresses_say_what_is_wrong() {
        let check = |url: &str, text: &str| {
            let error = refusal(url, true);
            assert!(error.message().contains(text), "{}", error.message());
            assert_eq!(error.kind().exit_code(), 2);
        };
        check(
            "https://gw.example",
            "https://gw.example: a gateway speaks ws or wss, not https",
        );
        check("localhost:1", "a gateway speaks ws or wss, not localhost");
        check("nonsense", "is no URL");
        check("ws://user:pw@127.0.0.1:1", "holds a user or password");
        assert!(
            !refusal("http://gw.example/?token=t", true)
                .to_text()
                .contains("token=t")
        );
    }
}
