//! The floor: the least that an axum WebSocket server on the same runtime can do for the same
//! frames. It checks nothing, keeps nothing and knows nobody; it answers `connect`, `health` and
//! `system-event` with texts that the bench recorded from the gateway before, so that both send
//! the same bytes. Writes are coalesced: a flush only when nothing more is ready.
//!
//! `floor <port> <file>`, the file a JSON object with `hello`, `health`, `ack` (payloads), `event`
//! (a whole frame) and maybe `script`: what `chat.send` tells everybody, each frame with the
//! milliseconds before it.
#![allow(clippy::disallowed_methods)]

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::any;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use serde::Deserialize;
use tokio::sync::mpsc;

/// As many events as may wait for one client; the bench never fills it.
const QUEUE_EVENTS_MAX: usize = 4_096;

struct Floor {
    hello: String,
    health: String,
    ack: String,
    event: Utf8Bytes,
    script: Vec<(u64, Utf8Bytes)>,
    clients: Mutex<Vec<mpsc::Sender<Utf8Bytes>>>,
}

#[derive(Deserialize)]
struct Request<'a> {
    id: &'a str,
    method: &'a str,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .expect("a port");
    let file = arguments.next().expect("a file with the texts");
    let text = std::fs::read_to_string(file).expect("the file can be read");
    let texts: serde_json::Value = serde_json::from_str(&text).expect("the file is JSON");
    let floor = Arc::new(Floor {
        hello: texts["hello"].to_string(),
        health: texts["health"].to_string(),
        ack: texts["ack"].to_string(),
        event: texts["event"].to_string().into(),
        script: script(&texts["script"]),
        clients: Mutex::default(),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime starts").block_on(async move {
        let app = Router::new().fallback(any(upgrade)).with_state(floor);
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await;
        axum::serve(listener.expect("the port is free"), app)
            .await
            .expect("serves until killed");
    });
}

fn script(frames: &serde_json::Value) -> Vec<(u64, Utf8Bytes)> {
    let frames = frames.as_array().into_iter().flatten();
    frames
        .map(|frame| (frame[0].as_u64().unwrap_or(0), frame[1].to_string().into()))
        .collect()
}

async fn upgrade(State(floor): State<Arc<Floor>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |socket| serve(floor, socket))
}

async fn serve(floor: Arc<Floor>, mut socket: WebSocket) {
    let challenge = r#"{"type":"event","event":"connect.challenge","payload":{"nonce":"00000000-0000-4000-8000-000000000000","ts":0}}"#;
    if socket.send(Message::text(challenge)).await.is_err() {
        return;
    }
    let (sender, mut queue) = mpsc::channel(QUEUE_EVENTS_MAX);
    loop {
        let more = tokio::select! {
            message = socket.next() => take(&floor, &mut socket, message, &sender).await,
            event = queue.recv() => pass(&mut socket, &mut queue, event).await,
        };
        if more.is_none() || socket.flush().await.is_err() {
            return;
        }
    }
}

/// Answers a message and all others that have arrived already.
async fn take(
    floor: &Arc<Floor>,
    socket: &mut WebSocket,
    first: Option<Result<Message, axum::Error>>,
    sender: &mpsc::Sender<Utf8Bytes>,
) -> Option<()> {
    let mut next = Some(first);
    while let Some(message) = next {
        let Message::Text(text) = message?.ok()? else {
            return None;
        };
        let request: Request<'_> = serde_json::from_str(&text).ok()?;
        let payload = match request.method {
            "connect" => {
                clients(floor).push(sender.clone());
                &floor.hello
            }
            "health" => &floor.health,
            "chat.send" => {
                tokio::spawn(play(floor.clone()));
                &floor.ack
            }
            _ => {
                // A client that is gone or behind is skipped.
                clients(floor).retain(|client| client.try_send(floor.event.clone()).is_ok());
                &floor.ack
            }
        };
        let id = request.id;
        let answer = format!(r#"{{"type":"res","id":"{id}","ok":true,"payload":{payload}}}"#);
        socket.feed(Message::text(answer)).await.ok()?;
        next = socket.next().now_or_never();
    }
    Some(())
}

/// Sends an event and all others that wait.
async fn pass(
    socket: &mut WebSocket,
    queue: &mut mpsc::Receiver<Utf8Bytes>,
    first: Option<Utf8Bytes>,
) -> Option<()> {
    socket.feed(Message::Text(first?)).await.ok()?;
    while let Ok(event) = queue.try_recv() {
        socket.feed(Message::Text(event)).await.ok()?;
    }
    Some(())
}

/// Tells everybody the script, each frame in its time.
async fn play(floor: Arc<Floor>) {
    let everybody = clients(&floor).clone();
    for (pause_ms, frame) in &floor.script {
        if *pause_ms > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(*pause_ms)).await;
        }
        for client in &everybody {
            // One that is gone hears nothing.
            client.send(frame.clone()).await.ok();
        }
    }
}

fn clients(floor: &Floor) -> std::sync::MutexGuard<'_, Vec<mpsc::Sender<Utf8Bytes>>> {
    floor.clients.lock().unwrap_or_else(PoisonError::into_inner)
}
