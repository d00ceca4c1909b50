//! A finished run told to a web server.
//!
//! The address comes from whoever may make jobs, the agent among them: so nothing of this host or
//! its network is reached unless `cron.webhookAllowedHosts` names it. The name is looked up once
//! and the address that was checked is the one that is asked; no redirect is followed, no proxy
//! used, and what the server says beside its status is not read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde_json::Value;
use url::{Host, Url};

use crate::config::CronConfig;
use crate::limits::{CRON_WEBHOOK_CONNECT_TIMEOUT, CRON_WEBHOOK_TIMEOUT};

/// Posts `body` as JSON.
///
/// # Errors
/// What stood in the way, for clients to read: the host, never the path or the query.
pub async fn post(config: &CronConfig, to: &str, body: &Value) -> Result<(), String> {
    let url = Url::parse(to.trim()).map_err(|_| "webhook: not a URL".to_owned())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("webhook: {} is not http or https", url.scheme()));
    }
    let shown = url.host_str().unwrap_or_default().to_owned();
    let (name, addresses) = resolve(config, &url).await?;
    // Another part may have been first; any provider will do.
    let _already = rustls::crypto::ring::default_provider().install_default();
    let mut client = reqwest::Client::builder()
        .connect_timeout(CRON_WEBHOOK_CONNECT_TIMEOUT)
        .timeout(CRON_WEBHOOK_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("openclaw-gateway/", env!("CARGO_PKG_VERSION")));
    if let Some(name) = name {
        client = client.resolve_to_addrs(&name, &addresses);
    }
    let client = client
        .build()
        .map_err(|_| "webhook: no HTTP client".to_owned())?;
    let mut request = client.post(url).json(body);
    if let Some(token) = &config.webhook_token {
        let value = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
        let mut value = value.map_err(|_| "webhook: cron.webhookToken is no header".to_owned())?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    match request.send().await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!(
            "webhook: {shown} answered {}",
            answer.status().as_u16()
        )),
        Err(error) if error.is_timeout() => Err(format!("webhook: {shown} timed out")),
        Err(error) if error.is_connect() => Err(format!("webhook: no connection to {shown}")),
        Err(_) => Err(format!("webhook: the request to {shown} failed")),
    }
}

/// The name to pin, if there is one, and the addresses that may be asked.
async fn resolve(
    config: &CronConfig,
    url: &Url,
) -> Result<(Option<String>, Vec<SocketAddr>), String> {
    let port = url.port_or_known_default().unwrap_or(443);
    let allowed = |text: &str| {
        let hosts = config.webhook_allowed_hosts.iter();
        hosts
            .into_iter()
            .any(|host| host.trim().eq_ignore_ascii_case(text))
    };
    let (name, found): (Option<String>, Vec<SocketAddr>) = match url.host() {
        None => return Err("webhook: the URL has no host".to_owned()),
        Some(Host::Ipv4(ip)) => (None, vec![(ip, port).into()]),
        Some(Host::Ipv6(ip)) => (None, vec![(ip, port).into()]),
        Some(Host::Domain(name)) => {
            let looked_up = tokio::time::timeout(
                CRON_WEBHOOK_CONNECT_TIMEOUT,
                tokio::net::lookup_host((name, port)),
            );
            let found = looked_up
                .await
                .map_err(|_| format!("webhook: {name} timed out"))?;
            let found = found.map_err(|_| format!("webhook: {name} is not known"))?;
            (Some(name.to_owned()), found.collect())
        }
    };
    let shown = url.host_str().unwrap_or_default();
    let may = |address: &SocketAddr| {
        is_public(address.ip()) || allowed(shown) || allowed(&address.ip().to_string())
    };
    // One private address among public ones is a trick, not a server.
    match found.iter().all(may) && !found.is_empty() {
        true => Ok((name, found)),
        false => Err(format!(
            "webhook: {shown} is an address of this host or its network: allow it with \
             cron.webhookAllowedHosts"
        )),
    }
}

/// True for an address of the public internet.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = match (a, b, c) {
        (0 | 10 | 127, ..) => true,
        (100, 64..=127, _) => true,
        (169, 254, _) => true,
        (172, 16..=31, _) => true,
        (192, 0, 0 | 2) | (192, 88, 99) | (192, 168, _) => true,
        (198, 18..=19, _) | (198, 51, 100) | (203, 0, 113) => true,
        // Multicast, and what nobody has.
        (224.., ..) => true,
        _ => false,
    };
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let inner = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match ip.segments() {
        // Mapped, translated and tunnelled addresses are as public as the one inside.
        [0, 0, 0, 0, 0, 0xffff, high, low] => inner(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => inner(high, low),
        [0x2002, high, low, ..] => inner(high, low),
        // Teredo, documentation, and the rest that is not global unicast.
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x3fff, ..] => false,
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_public_internet_is_public() {
        for ip in [
            "0.0.0.0",
            "10.1.2.3",
            "127.0.0.1",
            "100.64.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.0.2.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "::7f00:1",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "192.1.0.1",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
        ] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[tokio::test]
    async fn this_host_is_refused_unless_it_is_allowed() {
        let resolved = async |hosts: &[&str], url: &str| {
            let config = CronConfig {
                webhook_allowed_hosts: hosts.iter().map(|h| (*h).to_owned()).collect(),
                ..CronConfig::default()
            };
            resolve(&config, &Url::parse(url).unwrap()).await
        };
        for url in [
            "http://127.0.0.1:9/x",
            "http://localhost/x",
            "http://[::1]/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://169.254.169.254/latest",
        ] {
            let refused = resolved(&[], url).await.unwrap_err();
            assert!(
                refused.contains("cron.webhookAllowedHosts"),
                "{url}: {refused}"
            );
        }
        let (name, found) = resolved(&["127.0.0.1"], "http://127.0.0.1:9/x")
            .await
            .unwrap();
        assert_eq!((name, found), (None, vec!["127.0.0.1:9".parse().unwrap()]));
        assert!(resolved(&["localhost"], "http://LOCALHOST/").await.is_ok());
    }

    #[tokio::test]
    async fn other_schemes_are_refused() {
        let config = CronConfig::default();
        let body = Value::Null;
        for url in ["file:///etc/passwd", "ftp://example.org/", "x", ""] {
            assert!(post(&config, url, &body).await.is_err(), "{url}");
        }
    }
}
