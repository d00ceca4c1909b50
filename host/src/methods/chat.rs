//! `chat.history`, `chat.send`, `chat.abort`, `chat.inject`.

use std::sync::Arc;
use std::time::Duration;

use gateway_schemas::chat::{
    ChatAbortParams, ChatAborted, ChatHistory, ChatHistoryParams, ChatInjectParams, ChatInjected,
    ChatSendParams, ChatSendRun, ChatSendStatus,
};
use gateway_schemas::error::{ErrorCode, ErrorShape};
use serde_json::{Value, json};

use super::delivery::{self, Route};
use super::sessions::{failed, resolve};
use super::{Call, Outcome, Parts, Reply};
use crate::agent::attachments::{pictures, usable};
use crate::agent::events::final_event;
use crate::agent::queue_mode::{self as mode, Order};
use crate::agent::stop_words::is_stop_word;
use crate::agent::thinking;
use crate::agent::{AbortBy, AbortError, Ending, Origin, Owner, Run, Turn};
use crate::dedupe::{Answer, Begin, Ticket};
use crate::error::GatewayError;
use crate::limits;
use crate::sessions::{SessionKey, SessionRow, transcript};
use crate::store::sessions::InputRow;

/// `chat.history`
pub async fn history(call: Call) -> Outcome {
    let params: ChatHistoryParams = call.params()?;
    let config = call.parts.config.current();
    let key = resolve(&call, &params.session_key, &config)?;
    let sessions = &call.parts.sessions;
    let limit = params.limit.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit
        .unwrap_or(limits::HISTORY_MESSAGES)
        .min(limits::HISTORY_MESSAGES_MAX);
    let row = sessions.get(&key).map_err(failed)?;
    let mut messages = match &row {
        Some(row) => transcript::history(&sessions.ending(row, limit).map_err(failed)?),
        None => Vec::new(),
    };
    for message in &mut messages {
        transcript::add_cost(message, &config, false);
    }
    let settings = row.as_ref().map(|row| &row.settings);
    let word = |name: &str| settings.and_then(|s| s.words.get(name).cloned());
    Reply::of(&ChatHistory {
        session_key: params.session_key,
        messages,
        thinking_level: word("thinkingLevel").unwrap_or_else(|| "off".to_owned()),
        fast_mode: settings.and_then(|settings| settings.fast_mode),
        verbose_level: word("verboseLevel"),
        session_id: row.map(|row| row.session_id),
    })
}

/// `chat.send`: answered at once; what comes of it is told by events.
pub async fn send(call: Call) -> Outcome {
    let params: ChatSendParams = call.params()?;
    check_provenance(&call, &params)?;
    let config = call.parts.config.current();
    let key = resolve(&call, &params.session_key, &config)?;
    let text = clean(&params.message)?;
    let thinking = thinking::requested(params.thinking.as_deref());
    let thinking = thinking.map_err(|e| call.invalid(&e.to_string()))?;
    let attachments = params.attachments.as_deref().unwrap_or_default();
    if text.trim().is_empty() && usable(attachments) == 0 {
        return Err(GatewayError::invalid("message or attachment required"));
    }
    let images =
        pictures(attachments).map_err(|why| GatewayError::invalid(format!("Error: {why}")))?;
    let row = call.parts.sessions.get(&key).map_err(failed)?;
    delivery::check_send_policy(&config, &key, row.as_ref())?;
    if is_stop_word(&text) {
        let (owner, admin) = who(&call);
        return abort_runs(&call, &key, None, AbortBy::ClientStopWord { owner, admin }).await;
    }
    let run_id = params.idempotency_key;
    let ticket = match call.parts.dedupe.begin(&format!("chat:{run_id}")) {
        Begin::Fresh(ticket) => ticket,
        Begin::InFlight(_) => return Reply::of(&state(&run_id, ChatSendStatus::InFlight)),
        Begin::Done(answer) => return delivery::again(&answer),
    };
    if let Some(order) = mode::order(&text) {
        return queue_order(&call, &key, &run_id, ticket, (&text, order)).await;
    }
    let route = row.and_then(|row| row.route).and_then(Route::stored);
    let route = route.filter(|_| params.deliver == Some(true) && !call.caller.client.is_webchat());
    let client = &call.caller.client;
    let origin = Origin::Chat {
        owner: who(&call).0,
        label: client
            .display_name
            .clone()
            .unwrap_or_else(|| client.id.clone()),
        id: client.id.clone(),
        display_name: client.display_name.clone(),
        // Its answer has to be delivered, so it needs a run of its own.
        collect: route.is_none(),
    };
    let turn = Turn {
        images,
        timeout: params.timeout_ms.map(Duration::from_millis),
        extra_system: params.system_provenance_receipt.and_then(text_of),
        thinking,
        watcher: Some(call.caller.conn),
        ..Turn::new(&run_id, key, &text, origin)
    };
    start(&call.parts, turn, ticket, route).await?;
    Reply::of(&state(&run_id, ChatSendStatus::Started))
}

/// Tells or sets what becomes of messages during a run; answered without a model.
async fn queue_order(
    call: &Call,
    key: &SessionKey,
    run_id: &str,
    ticket: Ticket,
    (text, order): (&str, Order),
) -> Outcome {
    let sessions = &call.parts.sessions;
    let change = move |row: &mut SessionRow| {
        let words = &mut row.settings.words;
        match order {
            Order::Set(Some(mode)) => {
                words.insert(mode::SETTING.to_owned(), mode.as_str().to_owned());
            }
            Order::Set(None) => {
                words.remove(mode::SETTING);
            }
            Order::Tell | Order::Unknown => {}
        }
    };
    let done = async {
        let row = sessions.change(key, change).await?;
        let mode = mode::of(
            &call.parts.config.current(),
            Some(&row.settings),
            mode::WEBCHAT,
        );
        let mode = mode.as_str();
        let reply = match order {
            Order::Set(_) => format!("Queue mode set to {mode}."),
            Order::Tell => format!("Queue mode: {mode}."),
            Order::Unknown => format!(
                "Unknown queue mode. Use collect, followup, steer, steer-backlog, interrupt or \
                 default. Queue mode: {mode}."
            ),
        };
        let said = InputRow {
            text: text.to_owned(),
            sender_label: Some(call.caller.client.id.clone()),
            ..InputRow::default()
        };
        sessions.append_user(key, None, said).await?;
        sessions.inject(key, &reply).await
    };
    let appended = match done.await {
        Ok(appended) => appended,
        Err(error) => {
            ticket.finish(failure(run_id, "Error: the session store failed"));
            return Err(failed(error));
        }
    };
    let message = Some(transcript::raw(&appended.message));
    call.parts.hub.publish(final_event(run_id, key, 1, message));
    ticket.finish(Answer {
        payload: serde_json::to_value(state(run_id, ChatSendStatus::Ok)).ok(),
        error: None,
    });
    Reply::of(&state(run_id, ChatSendStatus::Started))
}

/// Submits the turn; its end finishes the ticket, whether the client is still there or not.
async fn start(
    parts: &Arc<Parts>,
    turn: Turn,
    ticket: Ticket,
    route: Option<Route>,
) -> Result<(), GatewayError> {
    let run_id = turn.run_id.clone();
    match parts.agent.accept(turn).await {
        Ok(run) => {
            let work = finish(parts.clone(), run, ticket, route);
            parts.tasks.spawn("chat answer", work);
            Ok(())
        }
        Err(error) => {
            let answer = ticket.finish(failure(&run_id, &format!("Error: {error}")));
            delivery::again(&answer).map(|_| ())
        }
    }
}

async fn finish(parts: Arc<Parts>, run: Run, ticket: Ticket, route: Option<Route>) {
    let outcome = run.done().await;
    let delivered = match (route, outcome.reply()) {
        (Some(route), Some(text)) => delivery::deliver(&parts, &route, run.run_id(), text).await,
        _ => Ok(()),
    };
    if let Err(error) = delivered {
        tracing::warn!(run = run.run_id(), error, "chat answer not delivered");
    }
    ticket.finish(match outcome.ending {
        Ending::Interrupted => {
            let why = outcome.error.as_deref().unwrap_or("the run was lost");
            failure(run.run_id(), &format!("Error: {why}"))
        }
        _ => {
            let ok = serde_json::to_value(state(run.run_id(), ChatSendStatus::Ok));
            Answer {
                payload: ok.ok(),
                error: None,
            }
        }
    });
}

fn failure(run_id: &str, summary: &str) -> Answer {
    let payload = json!({ "runId": run_id, "status": "error", "summary": summary });
    Answer {
        payload: Some(payload),
        error: Some(ErrorShape::new(ErrorCode::Unavailable, summary)),
    }
}

fn state(run_id: &str, status: ChatSendStatus) -> ChatSendRun {
    ChatSendRun {
        run_id: run_id.to_owned(),
        status,
        summary: None,
    }
}

/// The fields of one bridge, which stands for its own users.
fn check_provenance(call: &Call, params: &ChatSendParams) -> Result<(), GatewayError> {
    let used =
        params.system_input_provenance.is_some() || params.system_provenance_receipt.is_some();
    let client = &call.caller.client;
    let is_bridge = client.id == "cli"
        && client.mode == "cli"
        && client.display_name.as_deref() == Some("ACP")
        && client.version == "acp";
    if used && !is_bridge {
        let text = "system provenance fields are reserved for the ACP bridge";
        return Err(GatewayError::invalid(text));
    }
    Ok(())
}

fn text_of(value: Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// The text without control characters other than tab, line feed and carriage return.
fn clean(text: &str) -> Result<String, GatewayError> {
    if text.contains('\0') {
        return Err(GatewayError::invalid("message must not contain null bytes"));
    }
    let keep = |c: &char| !c.is_control() || matches!(c, '\t' | '\n' | '\r');
    Ok(text.chars().filter(keep).collect())
}

/// `chat.abort`
pub async fn abort(call: Call) -> Outcome {
    let params: ChatAbortParams = call.params()?;
    let config = call.parts.config.current();
    let key = resolve(&call, &params.session_key, &config)?;
    let (owner, admin) = who(&call);
    let by = AbortBy::Client { owner, admin };
    abort_runs(&call, &key, params.run_id.as_deref(), by).await
}

async fn abort_runs(call: &Call, key: &SessionKey, run_id: Option<&str>, by: AbortBy) -> Outcome {
    let stopped = call.parts.agent.abort(key, run_id, by).await;
    let run_ids = stopped.map_err(|error| match error {
        AbortError::OtherSession => GatewayError::invalid("runId does not match sessionKey"),
        AbortError::Unauthorized => GatewayError::invalid("unauthorized"),
    })?;
    Reply::of(&ChatAborted {
        ok: true,
        aborted: !run_ids.is_empty(),
        run_ids,
    })
}

fn who(call: &Call) -> (Owner, bool) {
    let (conn, device_id) = (call.caller.conn, call.caller.device_id.clone());
    (Owner { conn, device_id }, call.caller.is_admin())
}

/// `chat.inject`
pub async fn inject(call: Call) -> Outcome {
    let params: ChatInjectParams = call.params()?;
    let config = call.parts.config.current();
    let key = resolve(&call, &params.session_key, &config)?;
    if call.parts.sessions.get(&key).map_err(failed)?.is_none() {
        return Err(GatewayError::invalid("session not found"));
    }
    let label = params
        .label
        .as_deref()
        .map(str::trim)
        .filter(|label| !label.is_empty());
    let text = match label {
        Some(label) => format!("[{label}]\n\n{}", params.message),
        None => params.message,
    };
    let appended = call
        .parts
        .sessions
        .inject(&key, &text)
        .await
        .map_err(failed)?;
    let id = appended.message.id.clone();
    let message = Some(transcript::raw(&appended.message));
    call.parts
        .hub
        .publish(final_event(&format!("inject-{id}"), &key, 0, message));
    Reply::of(&ChatInjected {
        ok: true,
        message_id: id,
    })
}
