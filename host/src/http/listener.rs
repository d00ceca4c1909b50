//! Listening sockets: which addresses, and what must not be opened to a network.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;

use crate::config::{AuthMode, Bind, GatewayConfig, TailscaleMode};

/// Why the gateway doesn't listen.
#[derive(Debug)]
pub enum BindError {
    /// The configuration forbids it; names the key and the fix.
    Refused(String),
    /// Another program has the port.
    Busy(SocketAddr),
    /// The system says no.
    Io(SocketAddr, io::Error),
}

impl std::fmt::Display for BindError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(why) => f.write_str(why),
            Self::Busy(address) => write!(
                f,
                "another gateway instance is already listening on ws://{address}, or another \
                 program has the port: stop it, or choose a port with --port or gateway.port"
            ),
            Self::Io(address, e) => write!(f, "can't listen on {address}: {e}"),
        }
    }
}

impl std::error::Error for BindError {}

/// Open listening sockets, not served yet.
#[derive(Debug)]
pub struct Bound {
    sockets: Vec<TcpListener>,
}

impl Bound {
    /// The address that clients are told.
    pub fn address(&self) -> Option<SocketAddr> {
        self.sockets.first().and_then(|s| s.local_addr().ok())
    }

    pub(super) fn into_sockets(self) -> Vec<TcpListener> {
        self.sockets
    }
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const EVERYWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Opens the sockets that the configuration asks for.
///
/// # Errors
/// [`BindError::Refused`] for what would expose an open gateway, else by the system's answer.
pub async fn bind(gateway: &GatewayConfig) -> Result<Bound, BindError> {
    let port = gateway.port();
    // In order of preference. Loopback stays alone: it never falls back to a network.
    let addresses = match gateway.bind {
        Bind::Loopback => vec![LOOPBACK],
        Bind::Lan => vec![EVERYWHERE],
        Bind::Auto => vec![LOOPBACK, EVERYWHERE],
        Bind::Custom => vec![custom_address(gateway)?],
        Bind::Tailnet => {
            let own = tailnet_address();
            if own.is_none() {
                tracing::warn!("gateway.bind: tailnet: this host has no tailnet address");
            }
            own.into_iter().chain([LOOPBACK, EVERYWHERE]).collect()
        }
    };
    let mut first_failure = None;
    for address in addresses {
        check_exposed(gateway, address)?;
        match open(SocketAddr::new(address, port)).await {
            Ok(socket) => return Ok(beside(socket, address, port).await),
            // Another gateway on the port is no reason to go elsewhere.
            Err(busy @ BindError::Busy(_)) => return Err(busy),
            Err(failure) => _ = first_failure.get_or_insert(failure),
        }
    }
    Err(first_failure.unwrap_or_else(|| BindError::Refused("no address to listen on".into())))
}

/// With 127.0.0.1 also ::1 where it is free: a convenience, for many hosts have no IPv6.
async fn beside(socket: TcpListener, address: IpAddr, port: u16) -> Bound {
    let mut sockets = vec![socket];
    if address == LOOPBACK {
        let chosen = sockets[0].local_addr().map_or(port, |a| a.port());
        let second = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), chosen);
        sockets.extend(open(second).await.ok());
    }
    Bound { sockets }
}

/// What must not be reached from elsewhere.
fn check_exposed(gateway: &GatewayConfig, address: IpAddr) -> Result<(), BindError> {
    let port = gateway.port();
    let tailscale = gateway.tailscale.mode;
    if tailscale != TailscaleMode::Off && !address.is_loopback() {
        return Err(BindError::Refused(format!(
            "refusing to bind gateway to {address}:{port} with gateway.tailscale.mode on: \
             Tailscale brings its visitors to loopback; set gateway.bind to loopback"
        )));
    }
    if tailscale == TailscaleMode::Funnel && gateway.auth.mode != Some(AuthMode::Password) {
        return Err(BindError::Refused(
            "gateway.tailscale.mode funnel opens the gateway to the internet and needs a \
             password: set gateway.auth.mode to password, or the mode to serve"
                .into(),
        ));
    }
    if !address.is_loopback() && !has_secret(gateway) {
        return Err(BindError::Refused(format!(
            "refusing to bind gateway to {address}:{port} without auth: set gateway.auth.token \
             (or gateway.auth.password), or bind to loopback"
        )));
    }
    Ok(())
}

/// The address of this host in its tailnet: the one that would be used to reach the tailnet's own
/// name server. Nothing is sent.
fn tailnet_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((TAILNET_NAME_SERVER, 53)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    is_of_tailnet(address).then_some(address)
}

const TAILNET_NAME_SERVER: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 100);

/// 100.64.0.0/10.
fn is_of_tailnet(address: IpAddr) -> bool {
    let IpAddr::V4(ip) = address else {
        return false;
    };
    let [a, b, ..] = ip.octets();
    a == 100 && (64..128).contains(&b)
}

/// Lets the process hold as many sockets as the system allows it.
pub fn raise_socket_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// How many descriptors the process may hold.
pub(super) fn socket_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

fn has_secret(gateway: &GatewayConfig) -> bool {
    match gateway.auth.mode {
        Some(AuthMode::Token) | None => gateway.auth.token.is_some(),
        Some(AuthMode::Password) => gateway.auth.password.is_some(),
        // The proxy's address and header are checked for every visitor.
        Some(AuthMode::TrustedProxy) => true,
        Some(AuthMode::None) => false,
    }
}

fn custom_address(gateway: &GatewayConfig) -> Result<IpAddr, BindError> {
    let text = gateway.custom_bind_host.as_deref().unwrap_or_default();
    text.trim().parse::<Ipv4Addr>().map(IpAddr::V4).map_err(|_| {
        BindError::Refused(format!(
            "gateway.customBindHost: {text:?} is not a dotted IPv4 address: bind mode custom needs one"
        ))
    })
}

async fn open(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address)
        .await
        .map_err(|e| match e.kind() {
            io::ErrorKind::AddrInUse => BindError::Busy(address),
            _ => BindError::Io(address, e),
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::{AuthConfig, Secret};

    #[tokio::test]
    async fn an_open_gateway_stays_on_loopback() {
        let mut gateway = GatewayConfig {
            bind: Bind::Lan,
            port: Some(0),
            ..Default::default()
        };
        let refused = bind(&gateway).await.unwrap_err().to_string();
        assert!(refused.contains("gateway.auth.token"), "{refused}");
        gateway.auth = AuthConfig {
            token: Some(Secret::new("t")),
            ..Default::default()
        };
        assert!(bind(&gateway).await.is_ok());
    }

    #[tokio::test]
    async fn a_busy_port_is_named() {
        let gateway = GatewayConfig {
            port: Some(0),
            ..Default::default()
        };
        let first = bind(&gateway).await.unwrap();
        let port = first.address().map(|a| a.port());
        let refused = bind(&GatewayConfig {
            port,
            ..Default::default()
        })
        .await
        .unwrap_err();
        assert!(matches!(refused, BindError::Busy(_)));
    }

    #[tokio::test]
    async fn a_custom_host_must_be_an_address() {
        let gateway = GatewayConfig {
            bind: Bind::Custom,
            custom_bind_host: Some("gw.example".into()),
            ..Default::default()
        };
        let refused = bind(&gateway).await.unwrap_err().to_string();
        assert!(refused.contains("gateway.customBindHost"), "{refused}");
    }

    #[tokio::test]
    async fn what_tailscale_serves_stays_on_loopback() {
        let with = |bind: Bind, mode: TailscaleMode, auth: AuthMode| {
            let mut gateway = GatewayConfig {
                bind,
                port: Some(0),
                ..Default::default()
            };
            gateway.auth.mode = Some(auth);
            gateway.auth.token = Some(Secret::new("t"));
            gateway.auth.password = Some(Secret::new("p"));
            gateway.tailscale.mode = mode;
            gateway
        };
        assert!(
            bind(&with(Bind::Loopback, TailscaleMode::Serve, AuthMode::Token))
                .await
                .is_ok()
        );
        assert!(
            bind(&with(
                Bind::Loopback,
                TailscaleMode::Funnel,
                AuthMode::Password
            ))
            .await
            .is_ok()
        );
        for (gateway, word) in [
            (
                with(Bind::Lan, TailscaleMode::Serve, AuthMode::Token),
                "gateway.bind",
            ),
            (
                with(Bind::Loopback, TailscaleMode::Funnel, AuthMode::Token),
                "gateway.auth.mode",
            ),
        ] {
            let refused = bind(&gateway).await.unwrap_err().to_string();
            assert!(refused.contains(word), "{refused}");
        }
    }

    #[tokio::test]
    async fn auto_and_tailnet_find_an_address() {
        for mode in [Bind::Auto, Bind::Tailnet] {
            let gateway = GatewayConfig {
                bind: mode,
                port: Some(0),
                auth: AuthConfig {
                    token: Some(Secret::new("t")),
                    ..Default::default()
                },
                ..Default::default()
            };
            let address = bind(&gateway).await.unwrap().address().unwrap().ip();
            assert!(address.is_loopback() || is_of_tailnet(address), "{address}");
        }
        for (text, expected) in [("100.64.0.1", true), ("100.128.0.1", false), ("::1", false)] {
            assert_eq!(is_of_tailnet(text.parse().unwrap()), expected, "{text}");
        }
    }
}
