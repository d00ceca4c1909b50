//! A fake model server on a random loopback port: scripted texts, thoughts, tool calls, token
//! counts, refusals, cuts, waits and silence, over chat completions and over messages.
//!
//! It is as strict as the real ones: a request they would refuse is refused (`llm_wire.rs`).
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

use crate::llm_wire::{self, Wire};

/// How long a wait may last before it is called a failure.
const PATIENCE: Duration = Duration::from_secs(30);

/// What one request is answered with.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Streams these texts, then the end with token counts (when the request asks for them).
    Texts(Vec<String>),
    /// Thinks the first text, streams the others and ends.
    Thought(String, Vec<String>),
    /// Says the text (if any) and calls these tools, each with an id, a name and arguments.
    Calls(String, Vec<(String, String, Value)>),
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

    /// One tool call without a text.
    pub fn call(id: &str, name: &str, arguments: Value) -> Reply {
        Reply::Calls(String::new(), vec![(id.into(), name.into(), arguments)])
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
    /// The `x-api-key` header.
    pub api_key: Option<String>,
    /// The body.
    pub body: Value,
}

impl Asked {
    /// The text of the newest message.
    pub fn newest(&self) -> &str {
        let messages = self.body["messages"].as_array();
        let newest = messages.and_then(|messages| messages.last());
        let content = newest.map_or(&Value::Null, |message| &message["content"]);
        let last = content.as_array().and_then(|blocks| blocks.last());
        let text = content
            .as_str()
            .or_else(|| last?["text"].as_str().or_else(|| last?["content"].as_str()));
        text.unwrap_or_default()
    }

    /// The standing instructions.
    pub fn system(&self) -> &str {
        let first = &self.body["messages"][0];
        let text = match first["role"].as_str() {
            Some("system") => first["content"].as_str(),
            _ => self.body["system"][0]["text"].as_str(),
        };
        text.unwrap_or_default()
    }

    /// Names of the tools that were offered.
    pub fn tools(&self) -> Vec<&str> {
        let tools = self.body["tools"].as_array();
        tools
            .into_iter()
            .flatten()
            .filter_map(|tool| tool["name"].as_str().or(tool["function"]["name"].as_str()))
            .collect()
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
            .route("/v1/chat/completions", axum::routing::post(completions))
            .route("/v1/messages", axum::routing::post(messages))
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

    /// The same over messages, with a model that can think.
    pub fn anthropic(&self, model: &str) -> Value {
        json!({
            "baseUrl": format!("http://{}", self.addr), "apiKey": "sk-of-tests",
            "api": "anthropic-messages",
            "models": [{ "id": model, "contextWindow": 128_000, "reasoning": true }],
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

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.lock().asked.clear();
        self.server.asked.send_replace(0);
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

type Known = Shared<Arc<Server>>;

async fn completions(Shared(server): Known, headers: HeaderMap, body: Bytes) -> Response {
    answer(&server, Wire::Completions, &headers, &body)
}

async fn messages(Shared(server): Known, headers: HeaderMap, body: Bytes) -> Response {
    answer(&server, Wire::Messages, &headers, &body)
}

fn answer(server: &Server, wire: Wire, headers: &HeaderMap, body: &Bytes) -> Response {
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return refusal(wire, 400, "the body is no JSON", None);
    };
    if let Err(why) = llm_wire::check(wire, &header, &body) {
        return refusal(wire, 400, &why, None);
    }
    let asked = Asked {
        authorization: header("authorization").map(str::to_owned),
        api_key: header("x-api-key").map(str::to_owned),
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
    told(wire, with_usage, reply)
}

fn told(wire: Wire, with_usage: bool, reply: Reply) -> Response {
    let begun = |texts: &[String]| [wire.begin(), wire.texts(texts)].concat();
    let whole = |events: Vec<String>| streamed(stream::iter(events).boxed());
    match reply {
        Reply::Refuse(status, text, after) => refusal(wire, status, &text, after),
        Reply::Texts(texts) => whole([begun(&texts), wire.end(with_usage)].concat()),
        Reply::Thought(thought, texts) => whole(
            [
                wire.thought(&thought),
                wire.texts(&texts),
                wire.end(with_usage),
            ]
            .concat(),
        ),
        Reply::Calls(text, calls) => whole(wire.calls(&text, &calls)),
        Reply::Hang(texts) => {
            let begun = stream::iter(begun(&texts));
            streamed(begun.chain(stream::pending()).boxed())
        }
        Reply::Held(first, door, then) => {
            let rest = [wire.texts(&then), wire.end(with_usage)].concat();
            let rest = stream::once(door.wait()).flat_map(move |()| stream::iter(rest.clone()));
            streamed(stream::iter(begun(&first)).chain(rest).boxed())
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
                stream::iter(begun(&texts)).map(Ok).chain(cut),
            ))
        }
    }
}

fn sse(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

fn streamed(events: stream::BoxStream<'static, String>) -> Response {
    sse(Body::from_stream(events.map(Ok::<_, Infallible>)))
}

fn refusal(wire: Wire, status: u16, text: &str, after: Option<u64>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = wire.error(text).to_string();
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    if let Some(after) = after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, after.into());
    }
    response
}
