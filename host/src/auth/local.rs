//! Where a connection comes from: the client's address, and whether it is this host itself.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::HeaderName;

use crate::config::parse_network;

/// What the socket and the upgrade request say of the client's whereabouts.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The peer of the TCP connection.
    pub peer: Option<IpAddr>,
    /// `Host` header.
    pub host: Option<String>,
    /// `X-Forwarded-For`, all lines joined.
    pub forwarded_for: Option<String>,
    /// `X-Real-IP`.
    pub real_ip: Option<String>,
    /// `X-Forwarded-Host` was there.
    pub forwarded_host: bool,
    /// `Origin` header, as sent.
    pub origin: Option<String>,
    /// Other headers that the configuration asks for.
    pub asked: Vec<(HeaderName, String)>,
}

/// The proxies whose headers are believed.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    networks: Vec<(IpAddr, u8)>,
    real_ip_fallback: bool,
}

impl TrustedProxies {
    /// From the configured texts; what is no address or network is left out (start warns of it).
    pub fn new(texts: &[String], real_ip_fallback: bool) -> Self {
        let networks = texts
            .iter()
            .filter_map(|t| parse_network(t.trim()))
            .collect();
        TrustedProxies {
            networks,
            real_ip_fallback,
        }
    }

    /// Whether nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.networks
            .iter()
            .any(|(network, bits)| within(address, *network, *bits))
    }
}

/// Folds an IPv4 address that came as IPv6 back to IPv4.
pub fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// An address as proxies write it: bare, in brackets, or with a port.
fn parse_address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse::<IpAddr>();
    let address = address.or_else(|_| text.parse::<SocketAddr>().map(|a| a.ip()));
    address.ok().map(canonical)
}

fn within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    match (canonical(address), canonical(network)) {
        (IpAddr::V4(a), IpAddr::V4(n)) => {
            let shift = 32u32.saturating_sub(u32::from(bits));
            a.to_bits().checked_shr(shift).unwrap_or(0)
                == n.to_bits().checked_shr(shift).unwrap_or(0)
        }
        (IpAddr::V6(a), IpAddr::V6(n)) => {
            let shift = 128u32.saturating_sub(u32::from(bits));
            a.to_bits().checked_shr(shift).unwrap_or(0)
                == n.to_bits().checked_shr(shift).unwrap_or(0)
        }
        _ => false,
    }
}

impl Origin {
    /// The client's own address: the peer, or what a trusted proxy says; `None` when unknown.
    pub fn client_address(&self, proxies: &TrustedProxies) -> Option<IpAddr> {
        let peer = canonical(self.peer?);
        if !proxies.contains(peer) {
            return Some(peer);
        }
        if let Some(forwarded) = &self.forwarded_for {
            for hop in forwarded.rsplit(',') {
                // What a proxy can't name is nobody we know, and left of it anybody may have
                // written.
                let address = parse_address(hop)?;
                if !proxies.contains(address) {
                    return Some(address);
                }
            }
        }
        let real = self
            .real_ip
            .as_deref()
            .filter(|_| proxies.real_ip_fallback)?;
        parse_address(real)
    }

    /// Whether the peer is a trusted proxy.
    pub fn comes_from(&self, proxies: &TrustedProxies) -> bool {
        self.peer.is_some_and(|p| proxies.contains(canonical(p)))
    }

    /// The value of a header that the configuration asks for.
    pub fn asked(&self, name: &str) -> Option<&str> {
        let name = name.trim();
        let found = self
            .asked
            .iter()
            .find(|(n, _)| n.as_str().eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Whether forwarding headers came from somebody who isn't trusted with them.
    pub fn has_untrusted_headers(&self, proxies: &TrustedProxies) -> bool {
        let forwarded =
            self.forwarded_for.is_some() || self.real_ip.is_some() || self.forwarded_host;
        forwarded && !self.comes_from(proxies)
    }

    /// Whether the client runs on this host and talks to it directly.
    pub fn is_local(&self, proxies: &TrustedProxies) -> bool {
        self.client_address(proxies)
            .is_some_and(|a| a.is_loopback())
            && self.host_name().is_some_and(|h| is_local_host(&h))
            && !self.has_untrusted_headers(proxies)
    }

    /// The name part of the Host header, lower case, without port and brackets; `None` for what
    /// is no host.
    pub fn host_name(&self) -> Option<String> {
        let host = self.host.as_deref()?.trim().to_ascii_lowercase();
        if host.parse::<Ipv6Addr>().is_ok() {
            return Some(host);
        }
        let (name, port) = match host.strip_prefix('[') {
            Some(rest) => {
                let (name, port) = rest.split_once(']')?;
                name.parse::<Ipv6Addr>().ok()?;
                (name, port)
            }
            None => host.split_at(host.find(':').unwrap_or(host.len())),
        };
        let digits = |port: &str| port.parse::<u16>().is_ok();
        let sound = port.is_empty() || port.strip_prefix(':').is_some_and(digits);
        sound.then(|| name.to_owned())
    }
}

/// `localhost`, a loopback address, or a tailnet name that its own proxy serves.
fn is_local_host(name: &str) -> bool {
    name == "localhost"
        || (name.ends_with(".ts.net") && name.bytes().all(is_of_a_name))
        || name
            .parse::<IpAddr>()
            .is_ok_and(|a| canonical(a).is_loopback())
}

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(host: &str) -> Origin {
        Origin {
            peer: "127.0.0.1".parse().ok(),
            host: Some(host.into()),
            ..Origin::default()
        }
    }

    #[track_caller]
    fn check(origin: &Origin, trusted: &[&str], local: bool) {
        let proxies: Vec<String> = trusted.iter().map(|t| (*t).to_owned()).collect();
        assert_eq!(
            origin.is_local(&TrustedProxies::new(&proxies, false)),
            local,
            "{origin:?}"
        );
    }

    #[test]
    fn the_measured_cases_of_local() {
        for host in [
            "127.0.0.1:18789",
            "localhost",
            "[::1]:5",
            "::1",
            "x.ts.net:443",
            "[::ffff:127.0.0.1]",
        ] {
            check(&origin(host), &[], true);
        }
        for host in [
            "gw.example",
            "localhost.example",
            "localhost:x",
            "localhost, gw.example",
            "[::1]x",
            "[::1",
            "[x.ts.net]",
            "[localhost]",
            "a@x.ts.net",
            "ts.net",
            "",
        ] {
            check(&origin(host), &[], false);
        }
        check(
            &Origin {
                forwarded_for: Some("127.0.0.1".into()),
                ..origin("localhost")
            },
            &[],
            false,
        );
        check(
            &Origin {
                real_ip: Some("127.0.0.1".into()),
                ..origin("localhost")
            },
            &[],
            false,
        );
        check(
            &Origin {
                forwarded_host: true,
                ..origin("localhost")
            },
            &[],
            false,
        );
        check(&origin("localhost"), &["127.0.0.1"], false);
        check(
            &Origin {
                peer: "192.168.1.9".parse().ok(),
                ..origin("localhost")
            },
            &[],
            false,
        );
        check(
            &Origin {
                peer: "::ffff:127.0.0.1".parse().ok(),
                ..origin("localhost")
            },
            &[],
            true,
        );
    }

    #[test]
    fn the_client_behind_a_trusted_proxy() {
        let proxies = TrustedProxies::new(&["10.0.0.0/8".into(), "127.0.0.1".into()], true);
        let behind = |forwarded: Option<&str>, real: Option<&str>| Origin {
            forwarded_for: forwarded.map(str::to_owned),
            real_ip: real.map(str::to_owned),
            ..origin("gw.example")
        };
        let address = |o: Origin| o.client_address(&proxies).map(|a| a.to_string());
        assert_eq!(
            address(behind(Some("1.2.3.4, 5.6.7.8, 10.1.1.1"), None)).as_deref(),
            Some("5.6.7.8")
        );
        assert_eq!(address(behind(Some("junk"), None)), None);
        assert_eq!(
            address(behind(None, Some("5.5.5.5"))).as_deref(),
            Some("5.5.5.5")
        );
        assert_eq!(address(behind(None, None)), None);
        for (hop, expected) in [
            ("[2001:db8::7]", Some("2001:db8::7")),
            ("[2001:db8::7]:443", Some("2001:db8::7")),
            ("9.9.9.9:1234", Some("9.9.9.9")),
            ("::ffff:9.9.9.9", Some("9.9.9.9")),
            ("9.9.9.9, unknown", None),
            ("9.9.9.9,", None),
            ("10.0.0.1", None),
        ] {
            assert_eq!(
                address(behind(Some(hop), None)).as_deref(),
                expected,
                "{hop}"
            );
        }
        assert!(!behind(Some("1.2.3.4"), None).has_untrusted_headers(&proxies));
    }

    #[test]
    fn networks_of_every_width() {
        let contains = |net: &str, ip: &str| {
            let proxies = TrustedProxies::new(&[net.to_owned()], false);
            proxies.contains(ip.parse().expect("a literal address"))
        };
        assert!(contains("0.0.0.0/0", "9.9.9.9"));
        assert!(contains("::/0", "fe80::1"));
        assert!(!contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("fd00::/8", "fd12::1"));
        // IPv4 in IPv6's clothes is IPv4, and no width of such a network reaches beyond it.
        assert!(contains("::ffff:10.0.0.0/104", "10.9.9.9"));
        assert!(contains("10.0.0.0/8", "::ffff:10.9.9.9"));
        assert!(!contains("::ffff:10.0.0.0/104", "11.0.0.1"));
        assert!(!contains("::ffff:10.0.0.0/8", "10.0.0.0"));
        assert!(!contains("::/0", "10.0.0.0"));
        assert!(!contains("10.0.0.0/33", "10.0.0.0"));
    }
}
