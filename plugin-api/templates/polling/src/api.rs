//! The provider's wire: two calls, as JSON over HTTP. Replace it by your provider's own.
//!
//! | call | answer |
//! | --- | --- |
//! | `GET /updates?after=<number>` (held until there is something) | `[{"number","chat","from","text"}]` |
//! | `POST /messages` with `{"chat","text"}` | `{"id"}` |
//!
//! Plain HTTP by hand, so that this project needs no further crate; with a real provider take an
//! HTTP library that speaks TLS (`reqwest` with `rustls`) and keep the two functions.

use gateway_plugin::prelude::*;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest answer that is read.
const ANSWER_MAX: u64 = 1 << 20;

/// Something that happened at the provider.
#[derive(Debug, Deserialize)]
pub struct Update {
    /// Its place in the stream.
    pub number: u64,
    /// Where it was written.
    pub chat: String,
    /// Who wrote it.
    pub from: String,
    /// What was written.
    pub text: String,
}

#[derive(Deserialize)]
struct Sent {
    id: String,
}

/// A provider's account.
#[derive(Clone)]
pub struct Api {
    server: String,
    token: Secret,
}

impl Api {
    /// An account at this server.
    pub fn new(server: String, token: Secret) -> Self {
        Self { server, token }
    }

    /// What happened after this place in the stream; waits for something to happen.
    pub async fn updates(&self, after: u64) -> Res<Vec<Update>> {
        let path = format!("/updates?after={after}");
        self.call("GET", &path, "").await
    }

    /// Writes into a chat; gives the message's id.
    pub async fn send(&self, chat: &str, text: &str) -> Res<String> {
        let body = json!({ "chat": chat, "text": text }).to_string();
        let sent: Sent = self.call("POST", "/messages", &body).await?;
        Ok(sent.id)
    }

    async fn call<T: for<'de> Deserialize<'de>>(
        &self,
        method: &str,
        path: &str,
        body: &str,
    ) -> Res<T> {
        // Not connected: it surely did not happen, so it may be tried again.
        let away = |e: std::io::Error| SurfaceError::new(ErrorKind::NotConnected, e.to_string());
        let mut stream = TcpStream::connect(&self.server).await.map_err(away)?;
        let request = format!(
            "{method} {path} HTTP/1.0\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
             content-length: {}\r\n\r\n{body}",
            self.server,
            self.token.expose(),
            body.len()
        );
        stream.write_all(request.as_bytes()).await.map_err(away)?;
        let mut answer = Vec::new();
        // From here on it may have happened: `Timeout` says so, and nothing is sent twice.
        let lost = |e: std::io::Error| SurfaceError::new(ErrorKind::Timeout, e.to_string());
        let mut answers = stream.take(ANSWER_MAX);
        answers.read_to_end(&mut answer).await.map_err(lost)?;
        read(&String::from_utf8_lossy(&answer))
    }
}

/// An answer's content, or what its status means to the gateway.
fn read<T: for<'de> Deserialize<'de>>(answer: &str) -> Res<T> {
    let other = |what: &str| SurfaceError::new(ErrorKind::Other, what.to_owned());
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| other("the provider's answer was cut off"))?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    let kind = match status {
        "200" => return serde_json::from_str(body).map_err(|e| other(&e.to_string())),
        // Stops the account until a person changes the token.
        "401" | "403" => ErrorKind::Auth,
        "404" => ErrorKind::NotFound,
        "429" => ErrorKind::RateLimited,
        _ => ErrorKind::Transient,
    };
    let text = format!("the provider answered {status}: {body}");
    Err(SurfaceError::new(kind, text).code(status))
}
