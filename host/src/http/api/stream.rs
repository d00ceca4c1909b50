//! An answer that is streamed as server-sent events.
//!
//! What is written, the interface says ([`Wire`]). The head waits a moment for the first word: a
//! run that fails at once is refused by its status. A connection that breaks drops the stream, and
//! with it the run.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Map, Value};

use super::ask::{Asked, Piece, problem};
use super::{failure, json_answer};
use crate::agent::RunOutcome;
use crate::limits::{STREAM_HEAD_WAIT, STREAM_KEEP_ALIVE};

/// What an interface writes.
pub(super) trait Wire: Send + 'static {
    /// The answer as one.
    fn whole(&self, outcome: &RunOutcome) -> Value;
    /// Before the first word.
    fn begin(&mut self) -> String;
    /// More words.
    fn text(&mut self, text: &str) -> String;
    /// The last frames, after all words.
    fn end(&mut self, outcome: &RunOutcome) -> String;
    /// The last frames of an answer that broke off.
    fn broken(&mut self, kind: &str, why: &str) -> String;
}

struct Streaming<W> {
    asked: Asked,
    wire: W,
    next: Option<Piece>,
    begun: bool,
    over: bool,
}

/// The response to a request, in pieces if it asks for that.
pub(super) async fn told(
    asked: Asked,
    given: &Map<String, Value>,
    wire: impl Wire,
) -> Result<Response, Response> {
    if given.get("stream") == Some(&Value::Bool(true)) {
        return Ok(answer(asked, wire).await);
    }
    let outcome = asked.whole().await;
    match problem(&outcome) {
        None => Ok(json_answer(StatusCode::OK, &wire.whole(&outcome))),
        Some((status, kind, why)) => Err(failure(status, kind, &why)),
    }
}

/// The response to a streamed request.
async fn answer(mut asked: Asked, wire: impl Wire) -> Response {
    let first = tokio::time::timeout(STREAM_HEAD_WAIT, asked.next());
    let next = first.await.ok();
    if let Some(Piece::End(outcome)) = &next
        && let Some((status, kind, why)) = problem(outcome)
    {
        return failure(status, kind, &why);
    }
    let streaming = Streaming {
        asked,
        wire,
        next,
        begun: false,
        over: false,
    };
    let frames = stream::unfold(streaming, |mut streaming| async {
        let frame = streaming.frame().await?;
        Some((Ok::<_, Infallible>(Bytes::from(frame)), streaming))
    });
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream; charset=utf-8"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (StatusCode::OK, headers, Body::from_stream(frames)).into_response()
}

impl<W: Wire> Streaming<W> {
    async fn frame(&mut self) -> Option<String> {
        if !self.begun {
            self.begun = true;
            return Some(self.wire.begin());
        }
        if self.over {
            return None;
        }
        let piece = match self.next.take() {
            Some(piece) => piece,
            None => match tokio::time::timeout(STREAM_KEEP_ALIVE, self.asked.next()).await {
                Ok(piece) => piece,
                Err(_) => return Some(": still at it\n\n".to_owned()),
            },
        };
        Some(match piece {
            Piece::Text(text) => self.wire.text(&text),
            Piece::End(outcome) => {
                self.over = true;
                match problem(&outcome) {
                    None => self.wire.end(&outcome),
                    Some((_, kind, why)) => self.wire.broken(kind, &why),
                }
            }
        })
    }
}
