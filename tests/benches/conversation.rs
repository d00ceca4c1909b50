//! Conversations: how soon an answer begins, how fast a history is listed, what a long answer costs
//! when many listen, and whether a full store is slower than an almost empty one.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use support::llm::{Llm, Reply};
use support::wait::within;
use support::{Client, Device, Gateway, Login, Setup};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::report::{Limit, Row, median};
use crate::{Floor, Servers, load, settle};

/// What is promised, or as much as shows that the bench itself is right.
const fn size(promised: usize, small: usize) -> usize {
    if cfg!(debug_assertions) {
        small
    } else {
        promised
    }
}

const TURNS: usize = size(201, 21);
const LISTINGS: usize = size(101, 11);
const HISTORY: usize = 1_000;
const TOKENS: usize = 10_000;
const LISTENERS: usize = 50;
const SESSIONS: usize = size(10_000, 500);
const MESSAGES_EACH: usize = size(100, 20);
/// As many as a list shows.
const FEW_SESSIONS: usize = 60;
const STARTS: usize = size(7, 3);

fn setup(llm: &Llm) -> Setup {
    Setup::new()
        .config("/models/providers/fake", llm.provider("m"))
        .config("/agents/defaults/model", json!({ "primary": "fake/m" }))
}

/// `chat.send` until the first delta is read, beside the model alone until its first byte is.
pub async fn first_delta() -> Vec<Row> {
    let llm = Llm::start().await;
    let gateway = setup(&llm).start().await;
    let mut socket = load::connect(gateway.port(), &Login::fresh()).await;
    let mut model = Model::connect(&llm).await;
    let (mut ours, mut alone) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        ours.push(one_turn(&mut socket, turn).await.as_secs_f64() * 1e3);
        alone.push(model.ask().await.as_secs_f64() * 1e3);
    }
    vec![Row {
        name: "chat.send to first delta, beside the model".to_owned(),
        unit: "ms",
        ours: median(ours),
        floor: Some(median(alone)),
        limit: Limit::Above(2.0),
    }]
}

async fn one_turn(socket: &mut WebSocketStream<TcpStream>, turn: usize) -> Duration {
    let params = json!({ "sessionKey": "main", "message": "say this again", "idempotencyKey": format!("turn-{turn}") });
    let frame = json!({ "type": "req", "id": "t", "method": "chat.send", "params": params });
    let start = Instant::now();
    send(socket, &frame).await;
    within("a whole turn", async {
        let mut first = None;
        loop {
            let frame = read(socket).await;
            if !frame.contains(r#""event":"chat""#) {
                continue;
            }
            first = first.or_else(|| {
                frame
                    .contains(r#""state":"delta""#)
                    .then(|| start.elapsed())
            });
            if frame.contains(r#""state":"final""#) {
                return first.expect("a delta before the end");
            }
        }
    })
    .await
}

async fn send(socket: &mut WebSocketStream<TcpStream>, frame: &Value) {
    let sent = socket.send(Message::text(frame.to_string())).await;
    sent.expect("a live socket");
}

async fn read(socket: &mut WebSocketStream<TcpStream>) -> String {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return text.to_string(),
            Some(Ok(_)) => {}
            other => panic!("the socket ended: {other:?}"),
        }
    }
}

/// The model's server, asked without a gateway over a connection that stays open.
struct Model {
    socket: TcpStream,
    request: String,
}

impl Model {
    async fn connect(llm: &Llm) -> Model {
        let base = llm.provider("m")["baseUrl"].clone();
        let base = base.as_str().expect("an address");
        let host = base.trim_start_matches("http://").trim_end_matches("/v1");
        let body = json!({ "model": "m", "stream": true, "stream_options": { "include_usage": true },
            "messages": [{ "role": "user", "content": "say this again" }] });
        let body = body.to_string();
        let length = body.len();
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Authorization: Bearer sk-of-tests\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let socket = TcpStream::connect(host).await.expect("the model listens");
        socket.set_nodelay(true).expect("a live socket");
        Model { socket, request }
    }

    /// Until the first piece of the answer; the rest is read, too.
    async fn ask(&mut self) -> Duration {
        let start = Instant::now();
        let sent = self.socket.write_all(self.request.as_bytes()).await;
        sent.expect("a live socket");
        let (mut answer, mut first) = (Vec::new(), None);
        within("the model's answer", async {
            while !answer.ends_with(b"0\r\n\r\n") {
                let read = self.socket.read_buf(&mut answer).await;
                assert!(read.expect("a live socket") > 0, "the model hung up");
                let text = String::from_utf8_lossy(&answer);
                first = first.or_else(|| text.contains("data:").then(|| start.elapsed()));
            }
        })
        .await;
        first.expect("an answer")
    }
}

/// A history as long as one answer may be.
pub async fn history() -> Vec<Row> {
    let source = tempfile::tempdir().expect("a folder");
    write_state(source.path(), 1, HISTORY);
    let mut gateway = Gateway::start().await;
    import(&mut gateway, source.path()).await;
    let mut socket = load::connect(gateway.port(), &Login::fresh()).await;
    let params = json!({ "sessionKey": "agent:main:s0", "limit": HISTORY });
    let mut figures = Vec::new();
    for _ in 0..LISTINGS {
        let (time, answer) = ask(&mut socket, "chat.history", &params).await;
        let shown = answer.matches(r#""role":"#).count();
        assert_eq!(shown, HISTORY, "{}", &answer[..answer.len().min(400)]);
        figures.push(time);
    }
    let name = format!("{HISTORY} messages of history listed");
    vec![Row::alone(name, "ms", median(figures), Limit::Most(5.0))]
}

/// One request, ms and the answer's text.
async fn ask(
    socket: &mut WebSocketStream<TcpStream>,
    method: &str,
    params: &Value,
) -> (f64, String) {
    let frame = json!({ "type": "req", "id": "q", "method": method, "params": params });
    let start = Instant::now();
    send(socket, &frame).await;
    within("an answer", async {
        loop {
            let text = read(socket).await;
            if text.starts_with(r#"{"type":"res""#) {
                let time = start.elapsed().as_secs_f64() * 1e3;
                assert!(text.contains(r#""ok":true"#), "{method}: {text}");
                return (time, text);
            }
        }
    })
    .await
}

/// A long answer that fifty clients watch, beside a server that tells them the same frames.
pub async fn long_answer() -> Vec<Row> {
    let llm = Llm::start().await;
    let gateway = setup(&llm).start().await;
    let login = Login::operator(&Device::new());
    let script = record(&gateway, &llm, &login).await;
    let floor = Floor::with_script(&gateway, &login, &script).await;
    let servers = Servers { gateway, floor };
    let own = servers.gateway.port();
    let listeners = Audience::gather(own, &login).await;
    let floors = Audience::gather(servers.floor.port, &login).await;
    let (ours, floor) = servers
        .compare(1, |port| {
            let audience = if port == own { &listeners } else { &floors };
            let (llm, login) = (&llm, &login);
            async move {
                if port == own {
                    llm.push(answer());
                }
                audience.hear(port, login).await;
            }
        })
        .await;
    let frames = script.as_array().map_or(0, Vec::len);
    let gone = listeners.gone() as f64;
    let away = format!("of {LISTENERS} clients sent away meanwhile");
    vec![
        Row {
            name: format!("answer of {TOKENS} tokens, {LISTENERS} clients"),
            unit: "ms",
            ours: ours / 1e3,
            floor: Some(floor / 1e3),
            limit: Limit::Floors(1.5),
        },
        Row::alone(
            "frames of it for each client",
            "",
            frames as f64,
            Limit::None,
        ),
        Row::alone(away, "", gone, Limit::Most(0.0)),
    ]
}

fn answer() -> Reply {
    Reply::Texts((0..TOKENS).map(|n| format!("w{n} ")).collect())
}

fn say(port: u16) -> Value {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    let turn = TURN.fetch_add(1, Ordering::Relaxed);
    let params = json!({ "sessionKey": format!("long-{turn}"), "message": "tell me all", "idempotencyKey": format!("long-{port}-{turn}") });
    json!({ "type": "req", "id": "s", "method": "chat.send", "params": params })
}

/// What one client is told of such an answer, and when.
async fn record(gateway: &Gateway, llm: &Llm, login: &Login) -> Value {
    let mut socket = load::connect(gateway.port(), login).await;
    llm.push(answer());
    send(&mut socket, &say(0)).await;
    let mut frames = Vec::new();
    let mut last = Instant::now();
    // Looked at afterwards: whoever is slow to read is sent away.
    while let Some(Ok(message)) = within("a frame", socket.next()).await {
        let Message::Text(text) = message else {
            continue;
        };
        let pause = u64::try_from(last.elapsed().as_millis()).unwrap_or(0);
        last = Instant::now();
        let is_end = is_end(&text);
        frames.push((pause, text));
        if is_end {
            break;
        }
    }
    let told = frames.iter().filter_map(|(pause, text)| {
        let frame: Value = serde_json::from_str(text).ok()?;
        let of_run = ["agent", "chat"].contains(&frame["event"].as_str()?);
        of_run.then(|| json!([pause, frame]))
    });
    told.collect()
}

fn is_end(text: &str) -> bool {
    text.contains(r#""state":"final""#)
}

/// Clients that read whatever they are told and count the ends of answers.
struct Audience {
    ends: Arc<AtomicUsize>,
    /// Those that were sent away.
    gone: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Audience {
    async fn gather(port: u16, login: &Login) -> Audience {
        let (ends, gone) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        for _ in 0..LISTENERS {
            let mut socket = load::connect(port, login).await;
            let (ends, gone) = (Arc::clone(&ends), Arc::clone(&gone));
            tasks.spawn(async move {
                while let Some(Ok(message)) = socket.next().await {
                    if matches!(&message, Message::Text(text) if is_end(text)) {
                        ends.fetch_add(1, Ordering::Relaxed);
                    }
                }
                gone.fetch_add(1, Ordering::Relaxed);
            });
        }
        Audience {
            ends,
            gone,
            _tasks: tasks,
        }
    }

    fn gone(&self) -> usize {
        self.gone.load(Ordering::Relaxed)
    }

    /// Asks for an answer and waits until everybody who is left heard its end.
    async fn hear(&self, port: u16, login: &Login) {
        let before = self.ends.load(Ordering::Relaxed) + self.gone();
        let left = LISTENERS - self.gone();
        let mut socket = load::connect(port, login).await;
        send(&mut socket, &say(port)).await;
        within("everybody to hear the end", async {
            let mut open = true;
            while self.ends.load(Ordering::Relaxed) + self.gone() < before + left {
                tokio::select! {
                    message = socket.next(), if open => open = matches!(message, Some(Ok(_))),
                    () = tokio::time::sleep(Duration::from_millis(1)) => {}
                }
            }
        })
        .await;
    }
}

/// A full store beside an almost empty one: start, and what lists and overviews take.
pub async fn full_store() -> Vec<Row> {
    let (full, few) = (
        filled(SESSIONS, MESSAGES_EACH).await,
        filled(FEW_SESSIONS, 1).await,
    );
    let mut both = [full, few];
    let messages = SESSIONS * MESSAGES_EACH;
    let names = format!("{SESSIONS} sessions, {messages} messages");
    let starts = starts(&mut both).await;
    let mut rows = vec![compared(format!("start with {names}"), starts)];
    let mut sockets = Vec::new();
    for gateway in &both {
        settle(gateway).await;
        sockets.push(load::connect(gateway.port(), &Login::fresh()).await);
    }
    for (method, params) in [
        ("sessions.list", json!({ "limit": 50 })),
        ("status", json!({})),
        ("health", json!({ "probe": true })),
    ] {
        let mut figures = [Vec::new(), Vec::new()];
        for _ in 0..LISTINGS {
            for (socket, figures) in sockets.iter_mut().zip(&mut figures) {
                figures.push(ask(socket, method, &params).await.0);
            }
        }
        rows.push(compared(format!("{method} with {names}"), figures));
    }
    rows
}

fn compared(name: String, [ours, floor]: [Vec<f64>; 2]) -> Row {
    Row {
        name,
        unit: "ms",
        ours: median(ours),
        floor: Some(median(floor)),
        limit: Limit::Floors(2.0),
    }
}

async fn filled(sessions: usize, messages: usize) -> Gateway {
    let source = tempfile::tempdir().expect("a folder");
    write_state(source.path(), sessions, messages);
    let mut gateway = Gateway::start().await;
    import(&mut gateway, source.path()).await;
    let mut client = gateway.operator().await;
    let status = client.ok("status", json!({})).await;
    assert_eq!(status["sessions"]["count"], sessions, "{status}");
    gateway
}

/// From the start of the process to the first hello-ok, in turn.
async fn starts(both: &mut [Gateway; 2]) -> [Vec<f64>; 2] {
    let mut figures = [Vec::new(), Vec::new()];
    let login = Login::fresh();
    for gateway in both.iter() {
        Client::connect(gateway.port(), &login).await;
    }
    for _ in 0..STARTS {
        for (gateway, figures) in both.iter_mut().zip(&mut figures) {
            gateway.stop().await;
            let start = Instant::now();
            gateway.launch();
            while TcpStream::connect(("127.0.0.1", gateway.port()))
                .await
                .is_err()
            {
                tokio::time::sleep(Duration::from_micros(500)).await;
            }
            load::connect(gateway.port(), &login).await;
            figures.push(start.elapsed().as_secs_f64() * 1e3);
            gateway.ready().await;
        }
    }
    figures
}

/// Takes a state folder in, as a person does: the gateway stops meanwhile.
async fn import(gateway: &mut Gateway, source: &Path) {
    gateway.stop().await;
    let mut command = tokio::process::Command::from(support::gateway::command(gateway.home()));
    let done = command
        .arg("import")
        .arg(source)
        .arg("--json")
        .output()
        .await;
    let done = done.expect("the command can be started");
    assert!(done.status.success(), "{done:?}");
    gateway.launch();
    gateway.ready().await;
}

/// A state folder of the reference with so many conversations.
fn write_state(folder: &Path, sessions: usize, messages: usize) {
    let folder = folder.join("agents/main/sessions");
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut entries = serde_json::Map::new();
    for session in 0..sessions {
        let id = format!("00000000-0000-4000-8000-{session:012}");
        let at = 1_795_000_000_000_u64 + session as u64 * 1_000;
        entries.insert(
            format!("agent:main:s{session}"),
            json!({ "sessionId": id, "updatedAt": at, "chatType": "direct", "lastChannel": "webchat",
                    "model": "m", "modelProvider": "fake", "inputTokens": 100, "outputTokens": 20 }),
        );
        let mut text = json!({ "type": "session", "version": 3, "id": id,
            "timestamp": "2026-11-18T10:00:00.000Z", "cwd": "/" })
        .to_string();
        let mut parent = Value::Null;
        for number in 0..messages {
            let own = format!("{number:08x}");
            let words = json!([{ "type": "text", "text": format!("message {number} of session {session}, with some words") }]);
            let message = match number % 2 {
                0 => json!({ "role": "user", "content": words, "timestamp": at }),
                _ => {
                    json!({ "role": "assistant", "content": words, "timestamp": at, "api": "openai-completions",
                    "provider": "fake", "model": "m", "stopReason": "stop",
                    "usage": { "input": 10, "output": 2, "cacheRead": 0, "cacheWrite": 0, "totalTokens": 12 } })
                }
            };
            let line = json!({ "type": "message", "id": own, "parentId": parent,
                "timestamp": "2026-11-18T10:00:00.000Z", "message": message });
            text.push('\n');
            text.push_str(&line.to_string());
            parent = Value::from(own);
        }
        std::fs::write(folder.join(format!("{id}.jsonl")), text).expect("a transcript");
    }
    let text = Value::Object(entries).to_string();
    std::fs::write(folder.join("sessions.json"), text).expect("a list of sessions");
}
