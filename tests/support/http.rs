//! One HTTP request over a fresh socket: no client library between the test and the bytes.

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
    let mut socket = send(port, verb, path, headers, "").await?;
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).await?;
    parse(&String::from_utf8_lossy(&bytes))
        .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidData, "not an HTTP answer"))
}

/// `POST path` with a JSON body.
///
/// # Errors
/// When nothing listens or the answer is no HTTP.
pub async fn post(
    port: u16,
    path: &str,
    headers: &[&str],
    body: &serde_json::Value,
) -> std::io::Result<Answer> {
    post_text(port, path, headers, &body.to_string()).await
}

/// The same with any text.
///
/// # Errors
/// When nothing listens or the answer is no HTTP.
pub async fn post_text(
    port: u16,
    path: &str,
    headers: &[&str],
    body: &str,
) -> std::io::Result<Answer> {
    let mut socket = send(port, "POST", path, headers, body).await?;
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).await?;
    parse(&String::from_utf8_lossy(&bytes))
        .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidData, "not an HTTP answer"))
}

/// Sends a request and leaves the answer to be read from the socket.
///
/// # Errors
/// When nothing listens.
pub async fn send(
    port: u16,
    verb: &str,
    path: &str,
    headers: &[&str],
    body: &str,
) -> std::io::Result<TcpStream> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
    let mut text = format!("{verb} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    if !body.is_empty() {
        let length = body.len();
        text.push_str("Content-Type: application/json\r\n");
        text.push_str(&format!("Content-Length: {length}\r\n"));
    }
    text.push_str("Connection: close\r\n\r\n");
    socket.write_all(text.as_bytes()).await?;
    socket.write_all(body.as_bytes()).await?;
    Ok(socket)
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The `data:` lines of a stream of events, in order.
    #[must_use]
    pub fn data(&self) -> Vec<&str> {
        let lines = self.body.lines();
        lines
            .filter_map(|line| line.strip_prefix("data: "))
            .collect()
    }
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    let head = head.to_ascii_lowercase();
    let body = if head.contains("transfer-encoding: chunked") {
        unchunked(body)?
    } else {
        body.to_owned()
    };
    Some(Answer { status, head, body })
}

fn unchunked(mut rest: &str) -> Option<String> {
    let mut out = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            return Some(out);
        }
        out.push_str(after.get(..size)?);
        rest = after.get(size + 2..)?;
    }
}
