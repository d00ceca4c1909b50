//! One HTTP GET over a fresh socket: enough for the probes, and no client library between the
//! test and the bytes.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What the gateway answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code of the first line.
    pub status: u16,
    /// Header lines, lower-cased.
    pub head: String,
    /// Everything after the blank line.
    pub body: String,
}

/// `GET path`, with extra header lines (`"Name: value"`).
///
/// # Errors
/// When nothing listens or the answer is no HTTP.
pub async fn get(port: u16, path: &str, headers: &[&str]) -> std::io::Result<Answer> {
    request(port, "GET", path, headers).await
}

/// Any verb without a body.
///
/// # Errors
/// When nothing listens or the answer is no HTTP.
pub async fn request(
    port: u16,
    verb: &str,
    path: &str,
    headers: &[&str],
) -> std::io::Result<Answer> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
    let mut text = format!("{verb} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("Connection: close\r\n\r\n");
    socket.write_all(text.as_bytes()).await?;
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).await?;
    parse(&String::from_utf8_lossy(&bytes))
        .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidData, "not an HTTP answer"))
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some(Answer {
        status,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    })
}
