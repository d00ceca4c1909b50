//! `send`: one message through a channel, once per idempotency key.
//!
//! The checks come first and are not remembered. Then the work runs as a task of its own: a client
//! that leaves doesn't stop it, and whoever asks with the same key gets its answer. What the
//! outbox knows of the key outlives the answers in memory, and a restart.

use std::sync::Arc;

use gateway_schemas::error::ErrorShape;
use gateway_schemas::send::{SendParams, SendResult};
use tokio::sync::oneshot;

use super::{Call, Outcome, Parts, Reply};
use crate::channels::{Delivered, SendError, SendRequest, catalogue};
use crate::dedupe::{Answer, Begin, Ticket};
use crate::error::GatewayError;
use crate::router::mirror::mirror;
use crate::sessions::SessionKey;

/// A request that passed the checks.
#[derive(Clone)]
struct Checked {
    request: SendRequest,
    /// What the client calls the key.
    run_id: String,
    agent: String,
    session: Option<SessionKey>,
}

/// `send`.
pub async fn send(call: Call) -> Outcome {
    let params: SendParams = call.params()?;
    let checked = check(&call, params)?;
    loop {
        match call.parts.dedupe.begin(&checked.request.key) {
            Begin::Done(answer) => return reply(&answer),
            Begin::InFlight(pending) => {
                if let Some(answer) = pending.wait().await {
                    return reply(&answer);
                }
                // It was given up before it began: now it is ours.
            }
            Begin::Fresh(ticket) => return begin(&call, checked, ticket).await,
        }
    }
}

async fn begin(call: &Call, checked: Checked, ticket: Ticket) -> Outcome {
    let (tell, told) = oneshot::channel();
    let parts = call.parts.clone();
    call.parts.tasks.spawn("send", async move {
        let outcome = work(&parts, checked, ticket).await;
        // The client may have left.
        tell.send(outcome).ok();
    });
    match told.await {
        Ok(outcome) => outcome,
        Err(_) => Err(GatewayError::unavailable("Error: the gateway is stopping")),
    }
}

/// Sends, keeps a copy in the session, and stores the answer. What failed before it began isn't
/// stored: the same key may try again.
async fn work(parts: &Arc<Parts>, checked: Checked, ticket: Ticket) -> Outcome {
    let answer = match parts.channels.send(checked.request.clone()).await {
        Ok(delivered) => {
            mirror(
                (&parts.config.current(), &parts.sessions),
                (&checked.request, &delivered),
                &checked.agent,
                (checked.session.as_ref(), None),
                &checked.run_id,
            )
            .await;
            let result = serde_json::to_value(result(&checked, delivered));
            let result = result.map_err(|e| {
                GatewayError::unavailable("Error: the answer can't be encoded").caused_by(e)
            })?;
            Answer {
                payload: Some(result),
                error: None,
            }
        }
        Err(error) => {
            let final_word = error.is_final();
            let error = refusal(error);
            if !final_word {
                return Err(error);
            }
            Answer {
                payload: None,
                error: Some(error.shape().clone()),
            }
        }
    };
    reply(&ticket.finish(answer))
}

fn refusal(error: SendError) -> GatewayError {
    let text = format!("Error: {error}");
    match error {
        SendError::Channel(id) => unsupported(&id),
        SendError::Account { .. } | SendError::Invalid(_) => GatewayError::invalid(text),
        SendError::Store(e) => GatewayError::unavailable(text).caused_by(e),
        _ => GatewayError::unavailable(text),
    }
}

fn unsupported(channel: &str) -> GatewayError {
    GatewayError::invalid(format!("unsupported channel: {channel}"))
}

fn reply(answer: &Answer) -> Outcome {
    match &answer.error {
        Some(ErrorShape { code, message, .. }) => Err(GatewayError::new(*code, message.as_str())),
        None => Reply::of(&answer.payload),
    }
}

fn check(call: &Call, params: SendParams) -> Result<Checked, GatewayError> {
    let parts = &call.parts;
    let text = params.message.filter(|text| !text.trim().is_empty());
    let urls = params.media_urls.into_iter().flatten();
    let media = urls
        .chain(params.media_url)
        .any(|url| !url.trim().is_empty());
    let text = match (text, media) {
        (Some(text), false) => text,
        (None, false) => return Err(call.invalid("text or media is required")),
        (_, true) => {
            return Err(call.invalid("media is not built into this gateway yet: send text"));
        }
    };
    let to = params.to.trim().to_owned();
    if to.is_empty() {
        return Err(call.invalid("at /to: must NOT have fewer than 1 characters"));
    }
    let channel = channel(parts, params.channel.as_deref())?;
    let config = parts.config.current();
    let agent = match params.agent_id.as_deref().map(str::trim) {
        None | Some("") => config.agents.default_id().to_owned(),
        Some(id) if config.agents.exists(&id.to_lowercase()) => id.to_lowercase(),
        Some(id) => return Err(call.invalid(&format!("unknown agent id \"{id}\""))),
    };
    let session = match params.session_key.as_deref().map(str::trim) {
        None | Some("") => None,
        Some(key) => {
            let key = SessionKey::resolve(key, &config);
            Some(key.map_err(|e| call.invalid(&e.to_string()))?)
        }
    };
    let request = SendRequest {
        key: format!("send:{}", params.idempotency_key),
        channel,
        account: params.account_id.filter(|id| !id.trim().is_empty()),
        to,
        thread_id: params.thread_id.filter(|id| !id.trim().is_empty()),
        reply_to: None,
        text,
    };
    Ok(Checked {
        request,
        run_id: params.idempotency_key,
        agent,
        session,
    })
}

/// The channel that was named, or the only configured one.
fn channel(parts: &Parts, named: Option<&str>) -> Result<String, GatewayError> {
    let Some(named) = named.map(str::trim).filter(|named| !named.is_empty()) else {
        let mut configured = parts.channels.configured();
        return match configured.len() {
            0 => Err(GatewayError::invalid(
                "Error: Channel is required (no configured channels detected).",
            )),
            1 => Ok(configured.remove(0)),
            _ => Err(GatewayError::invalid(format!(
                "Error: Channel is required when multiple channels are configured: {}",
                configured.join(", ")
            ))),
        };
    };
    let id = catalogue::canonical(named);
    if id == "webchat" {
        return Err(GatewayError::invalid(
            "unsupported channel: webchat (internal-only). Use `chat.send` for WebChat UI messages \
             or choose a deliverable channel.",
        ));
    }
    if parts.channels.exists(&id) {
        Ok(id)
    } else {
        Err(unsupported(named))
    }
}

fn result(checked: &Checked, delivered: Delivered) -> SendResult {
    let receipt = delivered.receipt;
    SendResult {
        run_id: checked.run_id.clone(),
        message_id: receipt.message_id,
        channel: checked.request.channel.clone(),
        chat_id: receipt.chat_id,
        channel_id: receipt.channel_id,
        to_jid: receipt.to_jid,
        conversation_id: receipt.conversation_id,
    }
}
