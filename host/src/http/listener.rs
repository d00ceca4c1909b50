//! Listening sockets: which addresses, and how much an unknown client may send.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::Peer;
use crate::config::{AuthMode, Bind, GatewayConfig};
use crate::connection::Meter;
use crate::limits::{LINGER_BYTES_MAX, SOCKET_CLOSE_TIMEOUT};
use crate::shutdown::Tasks;

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

    pub(super) fn into_listeners(self, tasks: Tasks) -> impl Iterator<Item = MeteredListener> {
        self.sockets.into_iter().map(move |socket| MeteredListener {
            socket,
            tasks: tasks.clone(),
        })
    }
}

/// Opens the sockets that the configuration asks for.
///
/// # Errors
/// [`BindError::Refused`] for what would expose an open gateway, else by the system's answer.
pub async fn bind(gateway: &GatewayConfig) -> Result<Bound, BindError> {
    let port = gateway.port();
    let address = match gateway.bind {
        Bind::Loopback | Bind::Auto => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Bind::Lan => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Bind::Custom => custom_address(gateway)?,
        Bind::Tailnet => {
            let fix = "gateway.bind: tailnet is not supported yet: use custom with the tailnet's \
                       address in gateway.customBindHost";
            return Err(BindError::Refused(fix.into()));
        }
    };
    if !address.is_loopback() && !has_secret(gateway) {
        return Err(BindError::Refused(format!(
            "refusing to bind gateway to {address}:{port} without auth: set gateway.auth.token \
             (or gateway.auth.password), or bind to loopback"
        )));
    }
    let mut sockets = vec![open(SocketAddr::new(address, port)).await?];
    if address == IpAddr::V4(Ipv4Addr::LOCALHOST) {
        let chosen = sockets[0].local_addr().map_or(port, |a| a.port());
        // ::1 is a convenience: many hosts have no IPv6.
        sockets.extend(
            open(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), chosen))
                .await
                .ok(),
        );
    }
    Ok(Bound { sockets })
}

fn has_secret(gateway: &GatewayConfig) -> bool {
    match gateway.auth.mode {
        Some(AuthMode::Token) | None => gateway.auth.token.is_some(),
        Some(AuthMode::Password) => gateway.auth.password.is_some(),
        // The proxies are named, and nobody else is let in.
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

/// A listener whose streams count what they read.
pub(super) struct MeteredListener {
    socket: TcpListener,
    tasks: Tasks,
}

impl Listener for MeteredListener {
    type Io = MeteredStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (MeteredStream, SocketAddr) {
        loop {
            match self.socket.accept().await {
                Ok((stream, address)) => {
                    // Small frames shall not wait for more.
                    stream.set_nodelay(true).ok();
                    let meter = Meter::default();
                    let tasks = self.tasks.clone();
                    return (
                        MeteredStream {
                            stream: Some(stream),
                            meter,
                            tasks,
                        },
                        address,
                    );
                }
                Err(error) => {
                    // Out of descriptors or memory: give others time to end.
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

impl Connected<IncomingStream<'_, MeteredListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, MeteredListener>) -> Self {
        Peer {
            address: *stream.remote_addr(),
            meter: stream.io().meter.clone(),
            own_user: false,
        }
    }
}

/// A TCP stream that counts what is read and lingers when asked to.
pub(super) struct MeteredStream {
    stream: Option<TcpStream>,
    meter: Meter,
    tasks: Tasks,
}

impl MeteredStream {
    fn stream(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(
            self.get_mut()
                .stream
                .as_mut()
                .expect("the stream is there until it is dropped"),
        )
    }
}

impl Drop for MeteredStream {
    fn drop(&mut self) {
        let Some(mut stream) = self.stream.take().filter(|_| self.meter.wants_linger()) else {
            return;
        };
        self.tasks.spawn("linger", async move {
            stream.shutdown().await.ok();
            let mut scratch = vec![0; 64 * 1024];
            let read_on = async {
                let mut total = 0;
                while total < LINGER_BYTES_MAX {
                    match stream.read(&mut scratch).await {
                        Ok(read) if read > 0 => total += read,
                        _ => break,
                    }
                }
            };
            tokio::time::timeout(SOCKET_CLOSE_TIMEOUT, read_on)
                .await
                .ok();
        });
    }
}

impl AsyncRead for MeteredStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = self.as_mut().stream().poll_read(cx, buffer);
        if matches!(read, Poll::Ready(Ok(()))) && !self.meter.count(buffer.filled().len() - before)
        {
            return Poll::Ready(Err(io::Error::other("too much was sent before hello-ok")));
        }
        read
    }
}

impl AsyncWrite for MeteredStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
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
}
