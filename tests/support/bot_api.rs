//! A fake Telegram Bot API on a random loopback port, faithful where a bot can tell the
//! difference: offsets, long polls, conflicts, refusals, limits, and faults on demand.
//!
//! Tests start one, add bots, let users write, script faults and look at the log of calls. Every
//! `wait_…` waits for a state, never for a time; one that does not come within a generous
//! deadline panics with the log. JSON bodies only; uploads of files are not offered.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::bot_api_line::{Cut, CutListener};
use crate::bot_api_methods::{self as methods, Refusal};
use crate::bot_api_state::{BotState, State};
pub use crate::bot_api_state::{Call, Fault, Gate};

/// How long a wait may last before it is called a failure.
const PATIENCE: Duration = Duration::from_secs(30);
const CONFLICT: &str = "Conflict: terminated by other getUpdates request; make sure that only one \
                        bot instance is running";
const WEBHOOK_ACTIVE: &str = "Conflict: can't use getUpdates method while webhook is active; use \
                              deleteWebhook to delete the webhook first";

#[derive(Debug)]
struct Server {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

impl Server {
    /// Looks at or changes the state; everybody who waits looks again.
    fn with<T>(&self, job: impl FnOnce(&mut State) -> T) -> T {
        let out = job(&mut lock(&self.state));
        self.changes.send_modify(|count| *count += 1);
        out
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The running fake. Dropping it ends it.
#[derive(Debug)]
pub struct BotApi {
    addr: SocketAddr,
    server: Arc<Server>,
    cuts: Arc<Mutex<Vec<Cut>>>,
    task: JoinSet<()>,
}

impl BotApi {
    /// Starts on a free port of the loopback address.
    pub async fn start() -> BotApi {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free loopback port");
        let addr = listener
            .local_addr()
            .expect("a bound socket has an address");
        let server = Arc::new(Server {
            state: Mutex::default(),
            changes: watch::Sender::new(0),
        });
        let mut api = BotApi {
            addr,
            server,
            cuts: Arc::default(),
            task: JoinSet::new(),
        };
        api.serve(listener);
        api
    }

    fn serve(&mut self, listener: TcpListener) {
        let app = Router::new()
            .route("/{bot}/{method}", axum::routing::any(answer))
            .fallback(async || refusal(&not_found()))
            .with_state(self.server.clone())
            .into_make_service_with_connect_info::<Cut>();
        let listener = CutListener::new(listener, self.cuts.clone());
        self.task.spawn(async move {
            axum::serve(listener, app)
                .await
                .expect("serving never ends by itself");
        });
    }

    /// The base address to put into a bot's configuration.
    pub fn root(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Adds a bot. The token's part before the colon is its id.
    pub fn add_bot(&self, token: &str, username: &str) -> Bot {
        let id = token.split(':').next().and_then(|id| id.parse().ok());
        let bot = BotState::new(id.expect("a token is <number>:<secret>"), username);
        self.server
            .with(|state| state.bots.insert(token.to_owned(), bot));
        Bot {
            token: token.to_owned(),
            server: self.server.clone(),
        }
    }

    /// Goes away: connections end, new ones are refused. State is kept.
    pub async fn go_down(&mut self) {
        self.task.shutdown().await;
        for cut in lock(&self.cuts).drain(..) {
            cut.cut();
        }
    }

    /// Comes back on the same port after [`BotApi::go_down`].
    pub async fn come_back(&mut self) {
        let listener = TcpListener::bind(self.addr)
            .await
            .expect("the port is still ours");
        self.serve(listener);
    }
}

/// One bot of the fake, as tests see it.
#[derive(Debug, Clone)]
pub struct Bot {
    token: String,
    server: Arc<Server>,
}

impl Bot {
    /// Looks at or changes everything the fake knows about this bot.
    pub fn with<T>(&self, job: impl FnOnce(&mut BotState) -> T) -> T {
        self.server
            .with(|state| job(state.bots.get_mut(&self.token).expect("bots are kept")))
    }

    /// The bot's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Makes a chat known to the bot, as when a user pressed start or a group took it in.
    pub fn open_chat(&self, chat: i64) {
        self.with(|bot| {
            bot.chat_or_new(chat);
        });
    }

    /// A user writes `text`: in the private chat when `chat` equals `user`, else in a group.
    /// Returns the update's id.
    pub fn push_text(&self, chat: i64, user: i64, text: &str) -> i64 {
        self.push_message(chat, user, json!({ "text": text }))
    }

    /// A user's message with these fields (`text`, `photo`, `entities`, `message_thread_id`, …)
    /// appears in a chat. Returns the update's id.
    pub fn push_message(&self, chat: i64, user: i64, mut fields: Value) -> i64 {
        if fields.get("from").is_none() {
            fields["from"] = json!({
                "id": user, "is_bot": false, "first_name": format!("User{user}"),
                "username": format!("user_{user}")
            });
        }
        self.with(|bot| {
            let message = bot.put_message(chat, fields);
            bot.put_update("message", message)
                .expect("bots of these tests want messages")
        })
    }

    /// Any other update, such as `edited_message`. `None`: the bot did not ask for this kind.
    pub fn push_update(&self, kind: &str, content: Value) -> Option<i64> {
        self.with(|bot| bot.put_update(kind, content))
    }

    /// The next `times` calls of `method` meet this fault.
    pub fn fault(&self, method: &str, fault: &Fault, times: usize) {
        self.with(|bot| {
            for _ in 0..times {
                bot.faults.push((method.to_owned(), fault.clone()));
            }
        });
    }

    /// All calls so far, in order; of one method when it is named.
    pub fn calls(&self, method: Option<&str>) -> Vec<Call> {
        self.with(|bot| calls_of(bot, method))
    }

    /// The texts the bot has in a chat, oldest first, as users see them.
    pub fn texts(&self, chat: i64) -> Vec<String> {
        self.with(|bot| texts_of(bot, chat))
    }

    /// Waits until `look` finds something. Panics with the log when nothing comes.
    pub async fn wait_for<T>(&self, what: &str, mut look: impl FnMut(&BotState) -> Option<T>) -> T {
        let mut changes = self.server.changes.subscribe();
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                changes.mark_unchanged();
                let found = look(&lock(&self.server.state).bots[&self.token]);
                if let Some(found) = found {
                    return found;
                }
                changes
                    .changed()
                    .await
                    .expect("the sender lives as long as this handle");
            }
        });
        match found.await {
            Ok(found) => found,
            Err(_) => panic!("waited in vain for {what}; calls: {:#?}", self.calls(None)),
        }
    }

    /// Waits until `method` was called at least `count` times; the answers may still be open.
    pub async fn wait_calls(&self, method: &str, count: usize) -> Vec<Call> {
        self.wait_for(&format!("{count} calls of {method}"), |bot| {
            Some(calls_of(bot, Some(method))).filter(|calls| calls.len() >= count)
        })
        .await
    }

    /// Waits until the bot confirmed every update.
    pub async fn wait_confirmed(&self) {
        self.wait_for("all updates confirmed", |bot| {
            bot.updates.is_empty().then_some(())
        })
        .await;
    }

    /// Waits until the bot wrote at least `count` messages in a chat and returns their texts.
    pub async fn wait_texts(&self, chat: i64, count: usize) -> Vec<String> {
        self.wait_for(&format!("{count} texts in chat {chat}"), |bot| {
            Some(texts_of(bot, chat)).filter(|texts| texts.len() >= count)
        })
        .await
    }
}

fn calls_of(bot: &BotState, method: Option<&str>) -> Vec<Call> {
    let wanted = |call: &&Call| method.is_none_or(|name| call.method.eq_ignore_ascii_case(name));
    bot.calls.iter().filter(wanted).cloned().collect()
}

fn texts_of(bot: &BotState, chat: i64) -> Vec<String> {
    let mine = |message: &&Value| message["from"]["id"] == bot.me["id"];
    let text = |message: &Value| message["text"].as_str().unwrap_or_default().to_owned();
    bot.chats
        .get(&chat)
        .map(|chat| chat.messages.values().filter(mine).map(text).collect())
        .unwrap_or_default()
}

fn not_found() -> Refusal {
    Refusal {
        code: 404,
        description: "Not Found".into(),
    }
}

fn body(code: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}

fn refusal(refusal: &Refusal) -> Response {
    let Refusal { code, description } = refusal;
    body(
        *code,
        &json!({ "ok": false, "error_code": code, "description": description }),
    )
}

/// The one HTTP handler: `/bot<token>/<method>`.
async fn answer(
    Shared(server): Shared<Arc<Server>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    Path((bot, method)): Path<(String, String)>,
    bytes: Bytes,
) -> Response {
    let token = bot.strip_prefix("bot").unwrap_or_default();
    let well_formed = token.split_once(':').is_some_and(|(id, secret)| {
        !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()) && !secret.is_empty()
    });
    if !well_formed {
        return refusal(&not_found());
    }
    let params = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    let entered = server.with(|state| {
        let order = state.calls;
        state.calls += 1;
        let bot = state.bots.get_mut(token)?;
        let fault = bot.take_fault(&method);
        let call = Call {
            order,
            method: method.clone(),
            body: params.clone(),
            status: None,
        };
        bot.calls.push(call);
        Some((bot.calls.len() - 1, bot.revoked, fault))
    });
    let Some((index, revoked, fault)) = entered else {
        return refusal(&Refusal {
            code: 401,
            description: "Unauthorized".into(),
        });
    };
    let outcome = if revoked {
        refusal(&Refusal {
            code: 401,
            description: "Unauthorized".into(),
        })
    } else {
        faulted(&server, token, &method, &params, fault, &cut).await
    };
    server.with(|state| {
        if let Some(call) = state
            .bots
            .get_mut(token)
            .and_then(|bot| bot.calls.get_mut(index))
        {
            call.status = Some(outcome.status().as_u16());
        }
    });
    outcome
}

async fn faulted(
    server: &Server,
    token: &str,
    method: &str,
    params: &Value,
    fault: Option<Fault>,
    cut: &Cut,
) -> Response {
    match fault {
        None | Some(Fault::Pass) => processed(server, token, method, params).await,
        Some(Fault::Answer {
            code,
            description,
            parameters,
        }) => {
            let mut answer = json!({ "ok": false, "error_code": code, "description": description });
            if let Some(parameters) = parameters {
                answer["parameters"] = parameters;
            }
            body(code, &answer)
        }
        Some(Fault::CutBefore) => {
            cut.cut();
            body(500, &Value::Null)
        }
        Some(Fault::CutAfter) => {
            let answer = processed(server, token, method, params).await;
            cut.cut();
            answer
        }
        Some(Fault::Malformed) => {
            processed(server, token, method, params).await;
            (StatusCode::OK, "{\"ok\":true,\"result\":[{").into_response()
        }
        Some(Fault::Hold(gate)) => {
            let answer = processed(server, token, method, params).await;
            gate.pass().await;
            answer
        }
    }
}

async fn processed(server: &Server, token: &str, method: &str, params: &Value) -> Response {
    let result = if method.eq_ignore_ascii_case("getUpdates") {
        get_updates(server, token, params).await
    } else {
        server.with(|state| match state.bots.get_mut(token) {
            Some(bot) => methods::run(bot, method, params),
            None => Err(not_found()),
        })
    };
    match result {
        Ok(result) => body(200, &json!({ "ok": true, "result": result })),
        Err(reason) => refusal(&reason),
    }
}

/// The long poll: confirms by offset, then answers as soon as an update waits, the time is over,
/// or another poll came.
async fn get_updates(server: &Server, token: &str, params: &Value) -> Result<Value, Refusal> {
    let conflict = |text: &str| Refusal {
        code: 409,
        description: text.to_owned(),
    };
    let limit = params["limit"].as_u64().unwrap_or(100).clamp(1, 100) as usize;
    let timeout = Duration::from_secs(params["timeout"].as_u64().unwrap_or(0).min(50));
    let mut changes = server.changes.subscribe();
    let mine = server.with(|state| {
        let bot = state.bots.get_mut(token).ok_or_else(not_found)?;
        if !bot.webhook.is_empty() {
            return Err(conflict(WEBHOOK_ACTIVE));
        }
        bot.confirm(params["offset"].as_i64().unwrap_or(0));
        if let Some(kinds) = params["allowed_updates"].as_array() {
            let name = |kind: &Value| kind.as_str().map(str::to_owned);
            bot.allowed = Some(kinds.iter().filter_map(name).collect());
        }
        bot.poll += 1;
        Ok(bot.poll)
    })?;
    let deadline = tokio::time::Instant::now() + timeout;
    loop {
        changes.mark_unchanged();
        {
            let state = lock(&server.state);
            let bot = state.bots.get(token).ok_or_else(not_found)?;
            if bot.poll != mine {
                return Err(conflict(CONFLICT));
            }
            if !bot.webhook.is_empty() {
                return Err(conflict(WEBHOOK_ACTIVE));
            }
            let waiting = bot.waiting(limit);
            if !waiting.is_empty() {
                return Ok(json!(waiting));
            }
        }
        if tokio::time::timeout_at(deadline, changes.changed())
            .await
            .is_err()
        {
            return Ok(json!([]));
        }
    }
}
