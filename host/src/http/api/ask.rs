//! One run of the agent for an asker who waits on its connection.
//!
//! Dropping an [`Asked`] before its end stops the run: nobody would read the answer.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value};

use super::super::Server;
use super::{failure, invalid, place};
use crate::agent::live::Live;
use crate::agent::runner::{Image, Usage};
use crate::agent::{Ending, Origin, Run, RunOutcome, SubmitError, Turn};
use crate::config::Config;
use crate::methods::Parts;
use crate::sessions::SessionKey;

/// What the agent is asked.
#[derive(Debug)]
pub(super) struct Question {
    /// The newest message, as the transcript keeps it.
    pub(super) text: String,
    /// The same as the model reads it, with what was said before.
    pub(super) prompt: String,
    /// Standing instructions for this run.
    pub(super) system: Option<String>,
    /// Pictures of the newest message.
    pub(super) images: Vec<Image>,
}

/// A run under way.
pub(super) struct Asked {
    parts: Arc<Parts>,
    run: Run,
    live: Live,
    /// The text that was handed out.
    told: String,
    ended: Option<Arc<RunOutcome>>,
}

/// What comes next of an answer.
pub(super) enum Piece {
    /// More text, never empty.
    Text(String),
    /// The end; nothing follows.
    End(Arc<RunOutcome>),
}

/// The model that a request names.
pub(super) fn model(given: &Map<String, Value>) -> Option<&str> {
    let model = given.get("model").and_then(Value::as_str);
    model.filter(|model| !model.trim().is_empty())
}

/// Asks the agent that a request means, in the session it means. `kind` is the interface's part of
/// session keys.
///
/// # Errors
/// The refusal to be answered.
pub(super) async fn asked(
    server: &Server,
    config: &Config,
    (headers, given): (&HeaderMap, &Map<String, Value>),
    kind: &str,
    question: Question,
) -> Result<Asked, Response> {
    let refused = |why: String| invalid(&why);
    let agent = place::agent(config, headers, model(given)).map_err(refused)?;
    let user = given.get("user").and_then(Value::as_str);
    let key = place::session(config, headers, &agent, kind, user, &server.parts.clock);
    begin(server, key.map_err(refused)?, question).await
}

/// Begins a run.
///
/// # Errors
/// The refusal to be answered.
async fn begin(server: &Server, key: SessionKey, question: Question) -> Result<Asked, Response> {
    let (parts, live) = (server.parts.clone(), Live::default());
    let origin = Origin::Outside {
        prompt: question.prompt,
    };
    let turn = Turn {
        images: question.images,
        extra_system: question.system,
        live: Some(live.clone()),
        ..Turn::new(&parts.clock.uuid(), key, &question.text, origin)
    };
    let run = parts.agent.accept(turn).await.map_err(|error| {
        let status = match error {
            SubmitError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            SubmitError::SessionFull | SubmitError::TooManySessions => {
                StatusCode::TOO_MANY_REQUESTS
            }
        };
        failure(status, "api_error", &error.to_string())
    })?;
    Ok(Asked {
        parts,
        run,
        live,
        told: String::new(),
        ended: None,
    })
}

impl Asked {
    /// The next piece. May be dropped and asked again: nothing is lost.
    pub(super) async fn next(&mut self) -> Piece {
        if self.ended.is_none() {
            tokio::select! {
                biased;
                text = self.live.next() => {
                    self.told.push_str(&text);
                    return Piece::Text(text);
                }
                outcome = self.run.done() => {
                    let rest = untold(&self.told, &outcome);
                    self.ended = Some(outcome);
                    if !rest.is_empty() {
                        return Piece::Text(rest);
                    }
                }
            }
        }
        let ended = self.ended.clone();
        Piece::End(ended.expect("it was set above"))
    }

    /// Waits for the whole answer.
    pub(super) async fn whole(mut self) -> Arc<RunOutcome> {
        loop {
            if let Piece::End(outcome) = self.next().await {
                return outcome;
            }
        }
    }
}

/// What events held back and the end decided to say.
fn untold(told: &str, outcome: &RunOutcome) -> String {
    if outcome.ending != Ending::Answered {
        return String::new();
    }
    let rest = outcome.text.strip_prefix(told);
    rest.unwrap_or_default().to_owned()
}

impl Drop for Asked {
    fn drop(&mut self) {
        if self.ended.is_some() || self.run.ended().is_some() {
            return;
        }
        let (parts, run) = (self.parts.clone(), self.run.clone());
        self.parts.tasks.spawn("left run", async move {
            tracing::info!(run = run.run_id(), "run stopped: its asker left");
            parts.agent.leave(&run).await;
        });
    }
}

/// Why a run has no answer: status, type and words for the asker. None for one that has.
pub(super) fn problem(outcome: &RunOutcome) -> Option<(StatusCode, &'static str, String)> {
    let (status, otherwise) = match outcome.ending {
        Ending::Answered => return None,
        Ending::Failed => (StatusCode::INTERNAL_SERVER_ERROR, "internal error"),
        Ending::TimedOut => (
            StatusCode::INTERNAL_SERVER_ERROR,
            crate::agent::outcome::TIMED_OUT,
        ),
        Ending::Aborted | Ending::Collected => {
            (StatusCode::INTERNAL_SERVER_ERROR, "the run was stopped")
        }
        Ending::Interrupted => (StatusCode::SERVICE_UNAVAILABLE, "the gateway is stopping"),
    };
    let text = outcome.error.clone();
    Some((
        status,
        "api_error",
        text.unwrap_or_else(|| otherwise.into()),
    ))
}

/// Tokens of the whole run; none are zeros.
pub(super) fn tokens(outcome: &RunOutcome) -> Usage {
    outcome.usage.unwrap_or_default()
}
