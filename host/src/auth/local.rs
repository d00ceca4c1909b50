//! Where a connection comes from: the client's address, and whether it is this host itself.

use std::net::IpAddr;

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
            let hops = forwarded
                .rsplit(',')
                .map(|hop| hop.trim().parse::<IpAddr>().map(canonical));
            for hop in hops {
                match hop {
                    Ok(address) if proxies.contains(address) => {}
                    Ok(address) => return Some(address),
                    Err(_) => return None,
                }
            }
        }
        let real = self
            .real_ip
            .as_deref()
            .filter(|_| proxies.real_ip_fallback)?;
        real.trim().parse().ok().map(canonical)
    }

    /// Whether forwarding headers came from somebody who isn't trusted with them.
    pub fn has_untrusted_headers(&self, proxies: &TrustedProxies) -> bool {
        let forwarded =
            self.forwarded_for.is_some() || self.real_ip.is_some() || self.forwarded_host;
        forwarded && !self.peer.is_some_and(|p| proxies.contains(canonical(p)))
    }

    /// Whether the client runs on this host and talks to it directly.
    pub fn is_local(&self, proxies: &TrustedProxies) -> bool {
        self.client_address(proxies)
            .is_some_and(|a| a.is_loopback())
            && self.host_name().is_some_and(|h| is_local_host(&h))
            && !self.has_untrusted_headers(proxies)
    }

    /// The name part of the Host header, lower case, without port and brackets.
    pub fn host_name(&self) -> Option<String> {
        let host = self.host.as_deref()?.trim().to_ascii_lowercase();
        if let Some(rest) = host.strip_prefix('[') {
            return rest.split(']').next().map(str::to_owned);
        }
        // A bare IPv6 address has several colons and no port.
        if host.matches(':').count() > 1 {
            return Some(host);
        }
        host.split(':').next().map(str::to_owned)
    }
}

/// `localhost`, a loopback address, or a tailnet name that its own proxy serves.
fn is_local_host(name: &str) -> bool {
    name == "localhost"
        || name.ends_with(".ts.net")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|a| canonical(a).is_loopback())
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
        check(&origin("gw.example"), &[], false);
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
    }
}
