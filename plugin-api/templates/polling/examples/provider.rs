//! A provider to try the surface with: `cargo run --example provider`, then write to it with
//! `curl -d '{"chat":"ann","text":"hi"}' 127.0.0.1:8099/write`. The tests use it as well.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The token it takes.
pub const TOKEN: &str = "t";

/// A running provider.
#[derive(Clone)]
pub struct Provider {
    address: String,
    /// All that was written to the account, in order; waiters are woken by a change.
    updates: Arc<watch::Sender<Vec<Value>>>,
    sent: Arc<Mutex<Vec<Value>>>,
}

#[allow(dead_code, reason = "the example and the tests each use a part")]
impl Provider {
    /// Listens on this address and serves until the runtime ends.
    pub async fn start(address: &str) -> std::io::Result<Provider> {
        let listener = TcpListener::bind(address).await?;
        let provider = Provider {
            address: listener.local_addr()?.to_string(),
            updates: Arc::new(watch::Sender::new(Vec::new())),
            sent: Arc::default(),
        };
        let serving = provider.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let provider = serving.clone();
                tokio::spawn(async move { provider.serve(stream).await });
            }
        });
        Ok(provider)
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Somebody writes to the account.
    pub fn write(&self, chat: &str, text: &str) {
        self.updates.send_modify(|all| {
            let number = all.len() + 1;
            all.push(json!({ "number": number, "chat": chat, "from": chat, "text": text }));
        });
    }

    /// What the account sent so far.
    pub fn sent(&self) -> Vec<Value> {
        self.sent.lock().expect("no panic holds it").clone()
    }

    async fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let (head, body) = request(&mut stream).await?;
        let known = head.contains(&format!("authorization: Bearer {TOKEN}"));
        let (method, path) = head.split_once(' ')?;
        let path = path.split(' ').next()?;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let (status, answer) = match (method, path.split('?').next()?) {
            ("POST", "/write") => {
                self.write(body["chat"].as_str()?, body["text"].as_str()?);
                (200, json!({}))
            }
            _ if !known => (401, json!("who are you?")),
            ("GET", "/updates") => {
                let after: usize = path.split_once("after=")?.1.parse().ok()?;
                let mut updates = self.updates.subscribe();
                let all = updates.wait_for(|all| all.len() > after).await.ok()?;
                (200, json!(all[after..]))
            }
            ("POST", "/messages") => {
                let mut sent = self.sent.lock().ok()?;
                sent.push(body);
                (200, json!({ "id": format!("m{}", sent.len()) }))
            }
            _ => (404, json!("no such call")),
        };
        let answer = format!("HTTP/1.0 {status} -\r\n\r\n{answer}");
        stream.write_all(answer.as_bytes()).await.ok()
    }
}

/// Reads one request: its head in lower-case header names, and its body.
async fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut read = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let n = stream.read(&mut piece).await.ok().filter(|n| *n > 0)?;
        read.extend_from_slice(&piece[..n]);
        let text = String::from_utf8_lossy(&read);
        let Some((head, _)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let line = |l: &str| l.to_ascii_lowercase().starts_with("content-length:");
        let length = head.lines().find(|l| line(l));
        let length = length.and_then(|l| l.split_once(':')?.1.trim().parse::<usize>().ok());
        let body = read[head.len() + 4..].to_vec();
        if body.len() >= length.unwrap_or(0) {
            return Some((head.to_owned(), body));
        }
    }
}

#[allow(dead_code, reason = "the tests take only the provider")]
#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let provider = Provider::start("127.0.0.1:8099").await?;
    println!("a provider on {}, token {TOKEN:?}", provider.address());
    let mut told = 0;
    loop {
        for message in provider.sent().iter().skip(told) {
            println!("the account sent {message}");
            told += 1;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}
