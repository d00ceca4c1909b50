//! The clients: the same frames to the gateway and to the floor.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use support::client::upgrade;
use support::wait::within;
use support::{Client, Login};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// A connected socket, past hello-ok.
pub async fn connect(port: u16, login: &Login) -> WebSocketStream<TcpStream> {
    within("a connect", async {
        let (mut socket, _) = upgrade(port, "/", &[]).await.expect("an upgrade");
        let challenge = text(&mut socket).await;
        let challenge: Value = serde_json::from_str(&challenge).expect("JSON");
        let nonce = challenge["payload"]["nonce"].as_str().expect("a nonce");
        let frame = json!({
            "type": "req", "id": "c", "method": "connect", "params": login.signed(nonce),
        });
        socket
            .send(Message::text(frame.to_string()))
            .await
            .expect("a live socket");
        let answer = text(&mut socket).await;
        assert!(answer.contains("hello-ok"), "connect was refused: {answer}");
        socket
    })
    .await
}

async fn text(socket: &mut WebSocketStream<TcpStream>) -> String {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return text.to_string(),
            Some(Ok(_)) => {}
            other => panic!("the socket ended: {other:?}"),
        }
    }
}

/// Connects and leaves, `window` at a time.
pub async fn connects(port: u16, logins: &[Login], window: usize) {
    for some in logins.chunks(window) {
        let visits = some.iter().map(|login| async move {
            let mut socket = connect(port, login).await;
            // The answer to a close is not awaited: nobody needs it.
            _ = socket.close(None).await;
        });
        futures_util::future::join_all(visits).await;
    }
}

/// Asks for health `count` times with at most `window` unanswered.
pub async fn health(port: u16, login: &Login, count: usize, window: usize) {
    let mut socket = connect(port, login).await;
    let request = r#"{"type":"req","id":"h","method":"health","params":{}}"#;
    let (mut sent, mut answered) = (0, 0);
    within("all answers", async {
        while answered < count {
            while sent < count && sent - answered < window {
                socket
                    .feed(Message::text(request))
                    .await
                    .expect("a live socket");
                sent += 1;
            }
            socket.flush().await.expect("a live socket");
            // At least half of the window, so that requests go out in bunches.
            let enough = (answered + window.div_ceil(2)).min(count);
            while answered < enough {
                let frame = text(&mut socket).await;
                answered += usize::from(frame.starts_with(r#"{"type":"res""#));
            }
        }
    })
    .await;
}

/// Clients that read and count what they are told, until dropped.
pub struct Crowd {
    told: Arc<AtomicU64>,
    tasks: JoinSet<()>,
}

impl Crowd {
    /// Connects `size` clients, some at a time.
    pub async fn gather(port: u16, login: &Login, size: usize) -> Self {
        let told = Arc::new(AtomicU64::new(0));
        let (mut tasks, mut left) = (JoinSet::new(), size);
        while left > 0 {
            let some = left.min(16);
            let sockets = (0..some).map(|_| connect(port, login));
            for socket in futures_util::future::join_all(sockets).await {
                tasks.spawn(listen(socket, Arc::clone(&told)));
            }
            left -= some;
        }
        Self { told, tasks }
    }

    /// Clients still connected.
    pub fn present(&self) -> usize {
        self.tasks.len()
    }

    /// Sends `bursts` times `burst` beacons and waits after each burst until everybody was told.
    pub async fn told(&self, port: u16, login: &Login, bursts: usize, burst: usize) {
        let mut socket = connect(port, login).await;
        let request =
            r#"{"type":"req","id":"b","method":"system-event","params":{"text":"bench"}}"#;
        let before = self.told.load(Ordering::Relaxed);
        for round in 1..=bursts {
            for _ in 0..burst {
                socket
                    .feed(Message::text(request))
                    .await
                    .expect("a live socket");
            }
            socket.flush().await.expect("a live socket");
            let mut answers = 0;
            while answers < burst {
                answers += usize::from(text(&mut socket).await.starts_with(r#"{"type":"res""#));
            }
            let all = before + (round * burst * self.tasks.len()) as u64;
            within("everybody to be told", async {
                while self.told.load(Ordering::Relaxed) < all {
                    tokio::time::sleep(std::time::Duration::from_micros(200)).await;
                }
            })
            .await;
        }
    }
}

async fn listen(mut socket: WebSocketStream<TcpStream>, told: Arc<AtomicU64>) {
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else {
            continue;
        };
        if text.contains(r#""event":"presence""#) {
            told.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What the gateway says, for the floor to say the same.
pub async fn record(port: u16, login: &Login) -> Value {
    let mut client = Client::connect(port, login).await;
    let health = client.ok("health", json!({})).await;
    let ack = client.ok("system-event", json!({ "text": "bench" })).await;
    let event = client.event("presence").await;
    json!({ "hello": client.hello, "health": health, "ack": ack, "event": event })
}
