//! The tools `sessions_list`, `sessions_history` and `sessions_send`.
//!
//! What an agent sees of conversations is bounded by `tools.sessions.visibility`: its own one and
//! those it began (`tree`, also when nothing is said), itself alone (`self`), those of the same
//! agent (`agent`), or `all`.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Parts, arguments};
use crate::agent::toolbox::{ToolOutput, ToolPlace};
use crate::agent::{Origin, Turn};
use crate::limits;
use crate::sessions::{SessionKey, SessionRow, transcript};

/// The run of a message from one conversation to another; a number of the chain follows.
const RUN_PREFIX: &str = "sessions_send:";

/// What models are told of the arguments.
pub(super) fn list_parameters() -> Value {
    json!({
        "type": "object",
        "properties": { "limit": { "type": "integer", "minimum": 1, "maximum": 100 } },
    })
}

/// See [`list_parameters`].
pub(super) fn history_parameters() -> Value {
    json!({
        "type": "object",
        "properties": {
            "sessionKey": { "type": "string", "description": "This conversation if absent." },
            "limit": { "type": "integer", "minimum": 1, "maximum": 100 },
        },
    })
}

/// See [`list_parameters`].
pub(super) fn send_parameters() -> Value {
    json!({
        "type": "object",
        "properties": {
            "sessionKey": { "type": "string" },
            "message": { "type": "string" },
            "timeoutSeconds": { "type": "integer", "minimum": 0, "maximum": 100,
                "description": "How long to wait for the answer; 0 not at all; 30 if absent." },
        },
        "required": ["sessionKey", "message"],
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Which {
    session_key: Option<String>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ask {
    session_key: String,
    message: String,
    timeout_seconds: Option<u64>,
}

fn sees(place: &ToolPlace, key: &SessionKey, row: Option<&SessionRow>) -> bool {
    if *key == place.key {
        return true;
    }
    match place.config.tools.sessions.visibility.as_deref() {
        Some("all") => true,
        Some("agent") => key.agent_id() == Some(place.agent.as_str()),
        Some("self") => false,
        _ => row.is_some_and(|row| {
            let by = row.settings.words.get("spawnedBy");
            by.map(String::as_str) == Some(place.key.as_str())
        }),
    }
}

fn failed(error: crate::store::StoreError) -> String {
    tracing::error!(%error, "a tool could not read the sessions");
    "the sessions could not be read".to_owned()
}

pub(super) fn list(parts: &Parts, place: &ToolPlace, given: Value) -> Result<ToolOutput, String> {
    let given: Which = arguments(given)?;
    let limit = given
        .limit
        .unwrap_or(20)
        .clamp(1, limits::TOOL_SESSIONS_MAX);
    let all = parts.sessions.all().map_err(failed)?;
    let seen = all.iter().filter(|(key, row)| sees(place, key, Some(row)));
    let shown = |(key, row): &(SessionKey, SessionRow)| {
        json!({
            "key": key.as_str(), "kind": key.kind(), "channel": row.chat.channel,
            "name": row.settings.label.as_ref().or(row.chat.label.as_ref()),
            "updatedAt": row.updated_at, "model": row.model, "own": *key == place.key,
        })
    };
    let list: Vec<Value> = seen.take(limit).map(shown).collect();
    let about = format!("{} conversations", list.len());
    Ok(ToolOutput::ok(json!({ "sessions": list }).to_string()).about(about))
}

/// The conversation that a key names, if it may be seen.
fn seen(place: &ToolPlace, parts: &Parts, key: &str) -> Result<(SessionKey, SessionRow), String> {
    // Nobody learns from the answer whether a conversation exists that may not be seen.
    let none = || format!("there is no conversation \"{key}\" that you may see");
    let key = SessionKey::resolve(key, &place.config).map_err(|_| none())?;
    let row = parts.sessions.get(&key).map_err(failed)?;
    let row = row.filter(|row| sees(place, &key, Some(row)));
    row.map(|row| (key, row)).ok_or_else(none)
}

pub(super) fn history(
    parts: &Parts,
    place: &ToolPlace,
    given: Value,
) -> Result<ToolOutput, String> {
    let given: Which = arguments(given)?;
    let key = given.session_key.unwrap_or_else(|| place.key.to_string());
    let (key, row) = seen(place, parts, &key)?;
    let limit = given
        .limit
        .unwrap_or(20)
        .clamp(1, limits::TOOL_SESSIONS_MAX);
    let rows = parts.sessions.ending(&row, limit).map_err(failed)?;
    let messages = transcript::history(&rows);
    let about = format!("{} messages of {key}", messages.len());
    let text = json!({ "sessionKey": key.as_str(), "messages": messages }).to_string();
    Ok(ToolOutput::ok(text).about(about))
}

pub(super) async fn send(
    parts: &Parts,
    place: &ToolPlace,
    given: Value,
) -> Result<ToolOutput, String> {
    let given: Ask = arguments(given)?;
    let (key, _) = seen(place, parts, &given.session_key)?;
    if key == place.key {
        return Err("this is your own conversation: just answer".to_owned());
    }
    if given.message.trim().is_empty() {
        return Err("message is empty".to_owned());
    }
    let depth = depth(&place.run_id) + 1;
    if depth > limits::TOOL_CHAIN_MAX {
        return Err("conversations have asked each other often enough".to_owned());
    }
    let run_id = format!("{RUN_PREFIX}{depth}:{}", parts.clock.uuid());
    let text = format!("[From the conversation {}] {}", place.key, given.message);
    let turn = Turn::new(&run_id, key.clone(), &text, Origin::Agent);
    let run = parts
        .agent
        .submit(turn)
        .map_err(|error| error.to_string())?;
    let wait = given.timeout_seconds.unwrap_or(30).min(100);
    let wait = Duration::from_secs(wait);
    let answer = match tokio::time::timeout(wait, run.done()).await {
        Ok(outcome) => match &outcome.error {
            Some(_) => json!({ "runId": run_id, "status": "error" }),
            None => json!({ "runId": run_id, "status": "ok", "reply": outcome.text }),
        },
        Err(_) => json!({ "runId": run_id, "status": "accepted" }),
    };
    Ok(ToolOutput::ok(answer.to_string()).about(format!("→ {key}")))
}

/// How many conversations have asked each other up to this run.
fn depth(run_id: &str) -> usize {
    let rest = run_id.strip_prefix(RUN_PREFIX);
    let number = rest.and_then(|rest| rest.split_once(':')?.0.parse().ok());
    number.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_counted() {
        for (run, count) in [("sessions_send:3:x", 3), ("a1", 0), ("sessions_send:x", 0)] {
            assert_eq!(depth(run), count, "{run}");
        }
    }
}
