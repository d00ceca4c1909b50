//! A fake chat-completions server on a random loopback port: scripted texts, token counts,
//! refusals, cuts, waits and silence.
//!
//! Tests queue replies with [`Llm::push`]; each request takes the next one, and without any the
//! server says the newest user message back. Requests are kept for looking at. Every `wait_…`
//! waits for a state, never for a time.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long a wait may last before it is called a failure.
const PATIENCE: Duration = Duration::from_secs(30);

/// What one request is answered with.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Streams these texts, then the end with token counts (when the request asks for them).
    Texts(Vec<String>),
    /// Refuses with a status, an error text and maybe `Retry-After` seconds.
    Refuse(u16, String, Option<u64>),
    /// Streams these texts, waits until the door opens, and hangs up without an end.
    Cut(Vec<String>, Door),
    /// Streams these texts, waits until the door opens, streams the others and ends.
    Held(Vec<String>, Door, Vec<String>),
    /// Streams these texts, then nothing more, with the connection open.
    Hang(Vec<String>),
    /// Streams these lines as they are: what no server should say.
    Raw(Vec<String>),
}

impl Reply {
    /// An answer in one piece.
    pub fn text(text: &str) -> Reply {
        Reply::Texts(vec![text.to_owned()])
    }
}

/// Holds an answer back until the test opens it.
#[derive(Clone, Debug)]
pub struct Door(Arc<watch::Sender<bool>>);

impl Default for Door {
    fn default() -> Self {
        Door(Arc::new(watch::Sender::new(false)))
    }
}

impl Door {
    /// Lets the answer go on.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    async fn wait(self) {
        let mut open = self.0.subscribe();
        // The sender lives as long as `self`.
        open.wait_for(|open| *open).await.ok();
    }
}

/// One request as it came in.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The body.
    pub body: Value,
}

impl Asked {
    /// The text of the newest message.
    pub fn newest(&self) -> &str {
        let messages = self.body["messages"].as_array();
        let newest = messages.and_then(|messages| messages.last());
        newest
            .and_then(|message| message["content"].as_str())
            .unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct State {
    replies: VecDeque<Reply>,
    asked: Vec<Asked>,
}

#[derive(Debug)]
struct Server {
    state: Mutex<State>,
    asked: watch::Sender<usize>,
}

/// The running fake. Dropping it ends it.
#[derive(Debug)]
pub struct Llm {
    addr: SocketAddr,
    server: Arc<Server>,
    _task: JoinSet<()>,
}

impl Llm {
    /// Starts a server that says back what it is told.
    pub async fn start() -> Llm {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let addr = listener
            .local_addr()
            .expect("a bound socket has an address");
        let server = Arc::new(Server {
            state: Mutex::default(),
            asked: watch::Sender::new(0),
        });
        let router = Router::new()
            .route("/v1/chat/completions", axum::routing::post(answer))
            .with_state(server.clone());
        let mut task = JoinSet::new();
        task.spawn(async move {
            axum::serve(listener, router)
                .await
                .expect("the fake serves until it is dropped")
        });
        Llm {
            addr,
            server,
            _task: task,
        }
    }

    /// The value of `models.providers.<id>` that reaches this server with one model.
    pub fn provider(&self, model: &str) -> Value {
        json!({
            "baseUrl": format!("http://{}/v1", self.addr), "apiKey": "sk-of-tests",
            "api": "openai-completions", "models": [{ "id": model, "contextWindow": 128_000 }],
        })
    }

    /// Queues the answer to a later request.
    pub fn push(&self, reply: Reply) {
        self.lock().replies.push_back(reply);
    }

    /// All requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.lock().asked.clone()
    }

    /// Waits until there were `count` requests and gives the last of them.
    ///
    /// # Panics
    /// When they do not come.
    pub async fn wait_asked(&self, count: usize) -> Asked {
        let mut asked = self.server.asked.subscribe();
        let seen = tokio::time::timeout(PATIENCE, asked.wait_for(|n| *n >= count)).await;
        assert!(
            seen.is_ok(),
            "{count} requests awaited, these came: {:?}",
            self.asked()
        );
        self.asked()[count - 1].clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.server
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(Shared(server): Shared<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    let authorization = headers
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok());
    let Ok(body) = serde_json::from_slice(&body) else {
        return refusal(400, "the body is no JSON", None);
    };
    let asked = Asked {
        authorization: authorization.map(str::to_owned),
        body,
    };
    let echo = Reply::text(asked.newest());
    let with_usage = asked.body["stream_options"]["include_usage"] == true;
    let reply = {
        let mut state = server.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked.push(asked);
        state.replies.pop_front().unwrap_or(echo)
    };
    server.asked.send_modify(|count| *count += 1);
    match reply {
        Reply::Refuse(status, text, after) => refusal(status, &text, after),
        Reply::Texts(texts) => streamed(stream::iter(with_end(&texts, with_usage)).boxed()),
        Reply::Hang(texts) => streamed(
            stream::iter(events(&texts))
                .chain(stream::pending())
                .boxed(),
        ),
        Reply::Held(first, door, then) => {
            let rest = with_end(&then, with_usage);
            let rest = stream::once(door.wait()).flat_map(move |()| stream::iter(rest.clone()));
            streamed(stream::iter(events(&first)).chain(rest).boxed())
        }
        Reply::Raw(lines) => {
            streamed(stream::iter(lines.into_iter().map(|line| format!("{line}\n"))).boxed())
        }
        Reply::Cut(texts, door) => {
            let cut = stream::once(async move {
                door.wait().await;
                Err(std::io::Error::other("cut"))
            });
            sse(Body::from_stream(
                stream::iter(events(&texts)).map(Ok).chain(cut),
            ))
        }
    }
}

/// One event for each text.
fn events(texts: &[String]) -> Vec<String> {
    let event = |text: &String| {
        let choice = json!({ "index": 0, "delta": { "content": text } });
        format!("data: {}\n\n", json!({ "choices": [choice] }))
    };
    texts.iter().map(event).collect()
}

/// The same with an end.
fn with_end(texts: &[String], with_usage: bool) -> Vec<String> {
    let mut events = events(texts);
    let end = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
    events.push(format!("data: {end}\n\n"));
    if with_usage {
        let usage = json!({ "choices": [], "usage": {
            "prompt_tokens": 120, "completion_tokens": 7, "total_tokens": 127,
            "prompt_tokens_details": { "cached_tokens": 20 },
        }});
        events.push(format!("data: {usage}\n\n"));
    }
    events.push("data: [DONE]\n\n".to_owned());
    events
}

fn sse(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

fn streamed(events: stream::BoxStream<'static, String>) -> Response {
    sse(Body::from_stream(events.map(Ok::<_, Infallible>)))
}

fn refusal(status: u16, text: &str, after: Option<u64>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({ "error": { "message": text, "type": "fake" } }).to_string();
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    if let Some(after) = after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, after.into());
    }
    response
}
