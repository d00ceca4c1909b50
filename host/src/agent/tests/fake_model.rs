//! A chat-completions server whose every byte the test decides.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The server; requests are taken one at a time.
pub struct FakeModel {
    pub url: String,
    listener: TcpListener,
}

/// One request and its open response.
pub struct Exchange {
    pub head: String,
    pub body: Value,
    stream: TcpStream,
}

impl FakeModel {
    pub async fn start() -> FakeModel {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/", listener.local_addr().unwrap());
        FakeModel { url, listener }
    }

    /// Waits for the next request.
    pub async fn request(&self) -> Exchange {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        let head_end = loop {
            if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "request cut");
        };
        let head = String::from_utf8_lossy(&bytes[..head_end]).to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.unwrap().parse().unwrap();
        while bytes.len() < head_end + length {
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "request cut");
        }
        let body = serde_json::from_slice(&bytes[head_end..]).unwrap();
        Exchange { head, body, stream }
    }

    /// Answers the next request with these texts.
    pub async fn answer(&self, texts: &[&str]) -> Value {
        let mut exchange = self.request().await;
        exchange.begin().await;
        for text in texts {
            exchange.text(text).await;
        }
        exchange.finish().await
    }
}

impl Exchange {
    async fn raw(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// A refusal with more header lines.
    pub async fn refuse(mut self, status: &str, headers: &str, body: Value) {
        let body = body.to_string();
        let length = body.len();
        self.raw(&format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}\
             content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        ))
        .await;
    }

    /// The head of a streamed answer.
    pub async fn begin(&mut self) {
        self.raw("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
            .await;
    }

    /// One event.
    pub async fn event(&mut self, event: &str) {
        self.raw(&format!("data: {event}\n\n")).await;
    }

    /// More text.
    pub async fn text(&mut self, text: &str) {
        self.event(&json!({"choices": [{"index": 0, "delta": {"content": text}}]}).to_string())
            .await;
    }

    /// The end with token counts; gives the request.
    pub async fn finish(mut self) -> Value {
        self.event(r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#)
            .await;
        let usage = json!({"prompt_tokens": 120, "completion_tokens": 7, "total_tokens": 127,
            "prompt_tokens_details": {"cached_tokens": 20}});
        self.event(&json!({"choices": [], "usage": usage}).to_string())
            .await;
        self.event("[DONE]").await;
        self.body
    }

    /// Resolves when the other side has hung up.
    pub async fn closed(mut self) {
        let mut rest = Vec::new();
        let _either_way = self.stream.read_to_end(&mut rest).await;
    }
}
