//! Sockets that never say hello: from whichever address of this host, as far as they are wanted.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// How far a socket goes before it falls silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It says nothing at all.
    Silent,
    /// Half a request head.
    HalfHead,
    /// The upgrade, and no `connect` after it.
    Upgraded,
}

const HALF: &str = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ";
const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A socket that comes from `address` and goes as far as `stop`.
///
/// # Errors
/// The system's; a gateway that turns it away is no error.
pub async fn socket(address: Ipv4Addr, port: u16, stop: Stop) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((address, 0).into())?;
    let mut stream = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await?;
    match stop {
        Stop::Silent => {}
        Stop::HalfHead => stream.write_all(HALF.as_bytes()).await?,
        Stop::Upgraded => stream.write_all(UPGRADE.as_bytes()).await?,
    }
    Ok(stream)
}

/// What the gateway says first, up to a few hundred bytes; empty when it closes without a word.
pub async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = [0; 512];
    let read = stream.read(&mut bytes).await.unwrap_or_default();
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

/// Resident memory of a process, bytes.
///
/// # Panics
/// When there is no such process, or the system does not tell.
#[must_use]
pub fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a live process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib: u64 = line
        .and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .expect("a resident size");
    kib * 1024
}
