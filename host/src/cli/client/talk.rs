//! Talking on an open connection: frames out, frames in, each with an end to patience.

use std::borrow::Cow;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::refusal;
use super::wire::{self, Incoming, WireError};
use crate::cli::error::{CliError, CliResult, Kind};

/// What a connection runs over: a port or the local socket.
pub trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// A WebSocket over either.
pub type Socket = WebSocketStream<Box<dyn Wire>>;

/// How long a close may take before the socket is dropped.
const CLOSE_GRACE: Duration = Duration::from_millis(200);

/// How long a command may take in all.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    limit: Option<Duration>,
    end: Option<Instant>,
}

impl Patience {
    /// From now on; `None` waits for ever.
    pub fn start(limit: Option<Duration>) -> Self {
        Patience {
            limit,
            end: limit.and_then(|limit| Instant::now().checked_add(limit)),
        }
    }

    /// Waits for the work; `what` says what did not happen otherwise.
    ///
    /// # Errors
    /// At the end of patience.
    pub async fn wait<T>(&self, what: &str, work: impl Future<Output = T>) -> CliResult<T> {
        let Some(end) = self.end else {
            return Ok(work.await);
        };
        tokio::time::timeout_at(end, work).await.map_err(|_| {
            let limit = self.limit.unwrap_or_default();
            CliError::new(Kind::Timeout, "TIMEOUT", format!("{what} within {limit:?}"))
                .retryable(true)
                .fix("give it longer with --timeout")
        })
    }
}

/// A response that is no success.
pub struct Failure {
    /// What the gateway says.
    pub error: WireError,
    /// What it gives all the same.
    pub payload: Option<Value>,
}

/// The payload of a response, or why there is none.
pub type Answer = Result<Box<RawValue>, Failure>;

/// Who hears the events that come between request and response: name and payload.
pub type Listener<'a> = &'a mut dyn FnMut(&str, &RawValue);

/// An open connection.
pub struct Line {
    socket: Socket,
    patience: Patience,
}

impl Line {
    /// Takes over a socket.
    pub fn new(socket: Socket, patience: Patience) -> Self {
        Line { socket, patience }
    }

    /// The nonce of the gateway's first frame.
    ///
    /// # Errors
    /// When another frame comes, or none.
    pub async fn challenge(&mut self) -> CliResult<String> {
        let what = "no challenge came (is this an OpenClaw gateway?)";
        let text = self
            .patience
            .wait(what, next_text(&mut self.socket))
            .await??;
        nonce(&text).ok_or_else(refusal::not_a_challenge)
    }

    /// Asks and takes the first answer.
    ///
    /// # Errors
    /// A lost connection or the end of patience; a refusal is an [`Answer`].
    pub async fn ask(&mut self, id: &str, method: &str, params: &Value) -> CliResult<Answer> {
        let socket = &mut self.socket;
        let talk = async {
            send(socket, wire::request(id, method, params)).await?;
            response(socket, id, &mut |_, _| {}).await
        };
        self.patience
            .wait(&format!("{method} was not answered"), talk)
            .await?
    }

    /// Asks and passes over the answer that only says accepted.
    ///
    /// # Errors
    /// As [`Line::ask`].
    pub async fn ask_final(
        &mut self,
        id: &str,
        method: &str,
        params: &Value,
        listener: Listener<'_>,
    ) -> CliResult<Answer> {
        let socket = &mut self.socket;
        let talk = async {
            send(socket, wire::request(id, method, params)).await?;
            loop {
                match response(socket, id, listener).await? {
                    Ok(payload) if is_accepted(&payload) => {}
                    answer => return Ok(answer),
                }
            }
        };
        self.patience
            .wait(&format!("{method} was not finished"), talk)
            .await?
    }

    /// Says goodbye; a gateway that doesn't answer in time is left.
    pub async fn close(mut self) {
        let goodbye = async {
            if self.socket.close(None).await.is_ok() {
                while let Some(Ok(_)) = self.socket.next().await {}
            }
        };
        tokio::time::timeout(CLOSE_GRACE, goodbye)
            .await
            .unwrap_or(());
    }
}

async fn send(socket: &mut Socket, text: String) -> CliResult<()> {
    socket
        .send(Message::text(text))
        .await
        .map_err(|cause| refusal::lost(&cause))
}

/// The next text frame; a close says why.
async fn next_text(socket: &mut Socket) -> CliResult<String> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
            Some(Ok(Message::Close(frame))) => return Err(refusal::closed(frame.as_ref())),
            Some(Ok(_)) => {}
            Some(Err(cause)) => return Err(refusal::lost(&cause)),
            None => return Err(refusal::closed(None)),
        }
    }
}

fn nonce(text: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Challenge {
        nonce: String,
    }
    let frame: Incoming<'_> = serde_json::from_str(text).ok()?;
    let payload = frame
        .payload
        .filter(|_| frame.event.as_deref() == Some("connect.challenge"))?;
    Some(serde_json::from_str::<Challenge>(payload.get()).ok()?.nonce)
}

/// Reads until the response with this id; events on the way go to the listener.
async fn response(socket: &mut Socket, id: &str, listener: Listener<'_>) -> CliResult<Answer> {
    loop {
        let text = next_text(socket).await?;
        let Ok(frame) = serde_json::from_str::<Incoming<'_>>(&text) else {
            continue;
        };
        if let (Some(event), Some(payload)) = (&frame.event, frame.payload) {
            listener(event, payload);
        }
        if frame.kind != "res" || frame.id.as_deref() != Some(id) {
            continue;
        }
        let payload = frame.payload.unwrap_or(RawValue::NULL);
        if frame.ok {
            return Ok(Ok(payload.to_owned()));
        }
        let payload = frame
            .payload
            .and_then(|raw| serde_json::from_str(raw.get()).ok());
        return Ok(Err(Failure {
            error: frame.error.unwrap_or_default(),
            payload,
        }));
    }
}

fn is_accepted(payload: &RawValue) -> bool {
    #[derive(serde::Deserialize)]
    struct Status<'a> {
        #[serde(borrow)]
        status: Option<Cow<'a, str>>,
    }
    serde_json::from_str::<Status<'_>>(payload.get())
        .is_ok_and(|payload| payload.status.as_deref() == Some("accepted"))
}

/// Reads an answer into what a command shows.
///
/// # Errors
/// When it has another shape.
pub fn read_answer<T: DeserializeOwned>(method: &str, payload: &RawValue) -> CliResult<T> {
    serde_json::from_str(payload.get()).map_err(|cause| {
        CliError::new(
            Kind::Protocol,
            "UNEXPECTED_ANSWER",
            format!("the answer to {method} is not what this command knows: {cause}"),
        )
        .fix(format!("look at it with openclaw call {method}"))
    })
}
