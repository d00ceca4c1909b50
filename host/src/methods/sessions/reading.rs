//! `sessions.preview`, `sessions.resolve`, `sessions.get`, `sessions.export`.

use gateway_schemas::sessions as wire;
use serde_json::Value;

use super::super::{Call, Outcome, Reply};
use super::{failed, resolve as canonical, wanted};
use crate::config::Config;
use crate::error::GatewayError;
use crate::limits;
use crate::sessions::{SessionKey, archive, shown, transcript};
use crate::store::StoreError;

/// `sessions.preview`
pub async fn preview(call: Call) -> Outcome {
    let params: wire::SessionsPreviewParams = call.params()?;
    let config = call.parts.config.current();
    let bound = |asked: Option<u64>, otherwise: usize, most: usize| {
        let asked = asked.and_then(|n| usize::try_from(n).ok());
        asked.unwrap_or(otherwise).min(most)
    };
    let messages = bound(
        params.limit,
        limits::PREVIEW_MESSAGES,
        limits::PREVIEW_MESSAGES_MAX,
    );
    let chars = bound(
        params.max_chars,
        limits::PREVIEW_CHARS,
        limits::PREVIEW_CHARS_MAX,
    );
    let keys = params.keys.iter().map(|key| key.trim());
    let keys = keys.filter(|key| !key.is_empty());
    let previews = keys
        .take(limits::PREVIEW_SESSIONS_MAX)
        .map(|key| one_preview(&call, &config, key, messages, chars));
    Reply::of(&wire::SessionsPreview {
        ts: call.parts.clock.now_ms(),
        previews: previews.collect(),
    })
}

fn one_preview(
    call: &Call,
    config: &Config,
    text: &str,
    messages: usize,
    chars: usize,
) -> wire::SessionPreview {
    let read = || -> Result<Option<Vec<wire::PreviewItem>>, StoreError> {
        let Ok(key) = SessionKey::resolve(text, config) else {
            return Ok(None);
        };
        let sessions = &call.parts.sessions;
        let Some(row) = sessions.get(&key)? else {
            return Ok(None);
        };
        // Some messages have no text, so there are more to choose from.
        let rows = sessions.ending(&row, messages.saturating_mul(3))?;
        let mut items: Vec<_> = rows
            .iter()
            .filter_map(|row| shown::preview_item(row, chars))
            .collect();
        Ok(Some(items.split_off(items.len().saturating_sub(messages))))
    };
    let (status, items) = match read() {
        Ok(Some(items)) if items.is_empty() => (wire::PreviewStatus::Empty, items),
        Ok(Some(items)) => (wire::PreviewStatus::Ok, items),
        Ok(None) => (wire::PreviewStatus::Missing, Vec::new()),
        Err(error) => {
            tracing::warn!(key = text, %error, "no preview");
            (wire::PreviewStatus::Error, Vec::new())
        }
    };
    wire::SessionPreview {
        key: text.to_owned(),
        status,
        items,
    }
}

/// `sessions.resolve`
pub async fn resolve(call: Call) -> Outcome {
    let params: wire::SessionsResolveParams = call.params()?;
    let config = call.parts.config.current();
    let given = |text: &Option<String>| {
        let text = text.as_deref().map(str::trim);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let (key, id) = (given(&params.key), given(&params.session_id));
    let label = given(&params.label);
    let key = match (key, id, label) {
        (Some(key), None, None) => {
            let key = canonical(&call, &key, &config)?;
            let found = call.parts.sessions.get(&key).map_err(failed)?;
            found.map(|_| key.clone()).ok_or_else(|| unknown(&key))?
        }
        (None, Some(id), None) => {
            let found = sought(&call, &params, |row_id, _, key| row_id == id || key == id)?;
            only_one(found, &format!("No session found: {id}"), "sessionId", &id)?
        }
        (None, None, Some(label)) => {
            let same = |_: &str, own: Option<&str>, _: &str| own == Some(label.as_str());
            let none = format!("No session found with label: {label}");
            only_one(sought(&call, &params, same)?, &none, "label", &label)?
        }
        (None, None, None) => {
            let text = "Either key, sessionId, or label is required";
            return Err(GatewayError::invalid(text));
        }
        _ => {
            let text = "Provide either key, sessionId, or label (not multiple)";
            return Err(GatewayError::invalid(text));
        }
    };
    Reply::of(&wire::SessionsResolved {
        ok: true,
        key: key.to_string(),
    })
}

fn unknown(key: &SessionKey) -> GatewayError {
    GatewayError::invalid(format!("No session found: {key}"))
}

/// The sessions that `is_meant` by id, label or key, as far as the params do not exclude them.
fn sought(
    call: &Call,
    params: &wire::SessionsResolveParams,
    is_meant: impl Fn(&str, Option<&str>, &str) -> bool,
) -> Result<Vec<SessionKey>, GatewayError> {
    let filter = wire::SessionsListParams {
        include_global: params.include_global,
        include_unknown: params.include_unknown,
        agent_id: params.agent_id.clone(),
        spawned_by: params.spawned_by.clone(),
        ..wire::SessionsListParams::default()
    };
    let rows = wanted(&call.parts.sessions, &filter, 0).map_err(failed)?;
    let found = rows.into_iter().filter(|(key, row)| {
        is_meant(&row.session_id, row.settings.label.as_deref(), key.as_str())
    });
    Ok(found.map(|(key, _)| key).collect())
}

fn only_one(
    mut found: Vec<SessionKey>,
    none: &str,
    what: &str,
    text: &str,
) -> Result<SessionKey, GatewayError> {
    match found.len() {
        0 => Err(GatewayError::invalid(none)),
        1 => Ok(found.swap_remove(0)),
        _ => {
            let keys: Vec<&str> = found.iter().map(SessionKey::as_str).collect();
            let keys = keys.join(", ");
            Err(GatewayError::invalid(format!(
                "Multiple sessions found with {what}: {text} ({keys})"
            )))
        }
    }
}

/// `sessions.get`: the messages as they are, with what the model was told around them.
pub async fn get(call: Call) -> Outcome {
    let params: Value = call.params()?;
    let config = call.parts.config.current();
    let text = |name: &str| params.get(name).and_then(Value::as_str).map(str::trim);
    let key = text("key").filter(|key| !key.is_empty());
    let key = key.or(text("sessionKey").filter(|key| !key.is_empty()));
    let Some(key) = key else {
        return Err(GatewayError::invalid("key required"));
    };
    let key = canonical(&call, key, &config)?;
    let limit = params.get("limit").and_then(Value::as_f64);
    let limit = limit.map_or(limits::GET_MESSAGES, |n| n.max(1.0) as usize);
    let limit = limit.min(limits::GET_MESSAGES_MAX);
    let rows = call.parts.sessions.history(&key, limit).map_err(failed)?;
    let mut messages = transcript::raw_tail(&rows);
    for message in &mut messages {
        transcript::add_cost(message, &config, true);
    }
    Reply::of(&wire::SessionsMessages { messages })
}

/// `sessions.export`: the transcript as JSON lines, a page at a time.
pub async fn export(call: Call) -> Outcome {
    let params: wire::SessionsExportParams = call.params()?;
    let config = call.parts.config.current();
    let key = canonical(&call, &params.key, &config)?;
    let sessions = &call.parts.sessions;
    let row = sessions.get(&key).map_err(failed)?;
    let row = row.ok_or_else(|| unknown(&key))?;
    let from = params.from.unwrap_or(0);
    let most = limits::EXPORT_MESSAGES;
    let page = sessions.page(&row, from, most).map_err(failed)?;
    let mut lines = Vec::with_capacity(page.len() + 1);
    let mut parent = params.parent;
    let mut left = limits::HISTORY_BYTES_MAX;
    let mut next = None;
    for (number, message) in &page {
        let line = archive::line(message, parent.as_deref());
        let bytes = line.to_string().len();
        if bytes > left && !lines.is_empty() {
            next = Some(*number);
            break;
        }
        left = left.saturating_sub(bytes);
        if parent.is_none() {
            lines.push(archive::first_line(&row.session_id, message.timestamp));
        }
        lines.push(line);
        parent = Some(message.id.clone());
    }
    if next.is_none() && page.len() == most {
        next = page.last().map(|(number, _)| number + 1);
    }
    Reply::of(&wire::SessionsExported {
        key: key.to_string(),
        session_id: row.session_id,
        lines,
        next,
        parent: parent.filter(|_| next.is_some()),
    })
}
