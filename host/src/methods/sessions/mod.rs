//! `sessions.list` and `sessions.patch`; what only reads in `reading.rs`, what takes away in
//! `removal.rs`.

mod reading;
mod removal;

pub use reading::{export, get, preview, resolve as find};
pub use removal::{compact, delete, reset};

use gateway_schemas::sessions as wire;
use serde_json::{Map, Value};

use super::{Call, Outcome, Reply};
use crate::agent::model;
use crate::config::Config;
use crate::error::GatewayError;
use crate::limits;
use crate::sessions::{KeyError, Search, SessionKey, SessionRow, Sessions, settings, shown};
use crate::store::StoreError;

/// `sessions.list`
pub async fn list(call: Call) -> Outcome {
    let params: wire::SessionsListParams = call.params()?;
    let config = call.parts.config.current();
    let sessions = &call.parts.sessions;
    let now = call.parts.clock.now_ms();
    let default = model::default_of(&config, config.agents.default_id());
    let rows = wanted(sessions, &params, now).map_err(failed)?;
    let mut shown_rows = Vec::with_capacity(rows.len());
    for (n, (key, row)) in rows.iter().enumerate() {
        let mut shown = shown::row(key, row);
        let model = resolved(&config, key, row);
        shown.model_provider.get_or_insert(model.provider);
        shown.model.get_or_insert(model.model);
        if n < limits::SESSION_PREVIEWS_MAX {
            add_texts(&params, sessions, row, &mut shown).map_err(failed)?;
        }
        shown_rows.push(shown);
    }
    Reply::of(&wire::SessionsList {
        ts: now,
        path: "(multiple)".to_owned(),
        count: u64::try_from(shown_rows.len()).unwrap_or(u64::MAX),
        defaults: wire::SessionsListDefaults {
            context_tokens: default.context_window(&config),
            model_provider: Some(default.provider),
            model: Some(default.model),
        },
        sessions: shown_rows,
    })
}

/// The sessions that a client asks for, newest first: only as many are read as are shown, and those
/// that its words and labels exclude.
fn wanted(
    sessions: &Sessions,
    params: &wire::SessionsListParams,
    now: u64,
) -> Result<Vec<(SessionKey, SessionRow)>, StoreError> {
    let agent = params.agent_id.as_ref().map(|id| id.trim().to_lowercase());
    let young = params.active_minutes;
    let young = young.map(|minutes| now.saturating_sub(minutes.saturating_mul(60_000)));
    let limit = params.limit.map(|limit| limit.try_into());
    let search = Search {
        agent: agent.as_deref(),
        since_ms: young.unwrap_or(0),
        limit: limit.and_then(Result::ok).unwrap_or(usize::MAX),
    };
    sessions.newest(
        search,
        |key| is_kind_wanted(params, key),
        |key, row| is_row_wanted(params, key, row),
    )
}

fn is_kind_wanted(params: &wire::SessionsListParams, key: &SessionKey) -> bool {
    match key.kind() {
        "global" => params.include_global == Some(true),
        "unknown" => params.include_unknown == Some(true),
        _ => key.cron_job().is_none(),
    }
}

fn is_row_wanted(params: &wire::SessionsListParams, key: &SessionKey, row: &SessionRow) -> bool {
    let same = |wanted: &Option<String>, found: Option<&str>| {
        wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
    };
    let spawned_by = row.settings.words.get("spawnedBy").map(String::as_str);
    same(&params.label, row.settings.label.as_deref())
        && same(&params.spawned_by, spawned_by)
        && params
            .search
            .as_deref()
            .is_none_or(|text| matches(text, key, row))
}

fn matches(search: &str, key: &SessionKey, row: &SessionRow) -> bool {
    let search = search.trim().to_lowercase();
    let texts = [
        row.settings.label.as_deref(),
        row.chat.label.as_deref(),
        row.chat.subject.as_deref(),
        Some(row.session_id.as_str()),
        Some(key.as_str()),
    ];
    texts
        .into_iter()
        .flatten()
        .any(|text| text.to_lowercase().contains(&search))
}

/// Title and preview, on request only: each reads the transcript.
fn add_texts(
    params: &wire::SessionsListParams,
    sessions: &Sessions,
    row: &SessionRow,
    shown: &mut wire::SessionRow,
) -> Result<(), StoreError> {
    if params.include_derived_titles == Some(true) {
        shown.derived_title = shown::title(row, &sessions.beginning(row, 8)?);
    }
    if params.include_last_message == Some(true) {
        shown.last_message_preview = shown::preview(&sessions.ending(row, 8)?);
    }
    Ok(())
}

/// `sessions.patch`
pub async fn patch(call: Call) -> Outcome {
    refuse_webchat(&call, "patch")?;
    let patch: Map<String, Value> = call.params()?;
    let config = call.parts.config.current();
    let text = patch.get("key").and_then(Value::as_str).unwrap_or_default();
    let key = resolve(&call, text, &config)?;
    let model = model_patch(&patch, &config)?;
    let same_key = key.clone();
    let change = move |row: &mut SessionRow| {
        settings::apply(&mut row.settings, &same_key, &patch).map_err(StoreError::Refused)?;
        match model {
            Some(Some(name)) => {
                row.settings.provider_override = Some(name.provider);
                row.settings.model_override = Some(name.model);
            }
            Some(None) => {
                row.settings.provider_override = None;
                row.settings.model_override = None;
            }
            None => {}
        }
        Ok(())
    };
    let row = call
        .parts
        .sessions
        .try_change(&key, change)
        .await
        .map_err(failed)?;
    let model = resolved(&config, &key, &row);
    Reply::of(&wire::SessionsPatched {
        ok: true,
        path: store_path(&config, &key),
        key: key.to_string(),
        entry: shown::entry(&row),
        resolved: wire::ResolvedModel {
            model_provider: Some(model.provider),
            model: Some(model.model),
        },
    })
}

/// The `model` field: absent, null (no model of its own), or a model.
fn model_patch(
    patch: &Map<String, Value>,
    config: &Config,
) -> Result<Option<Option<model::ModelName>>, GatewayError> {
    let Some(value) = patch.get("model") else {
        return Ok(None);
    };
    let Some(text) = value.as_str() else {
        return Ok(Some(None));
    };
    if text.trim().is_empty() {
        return Err(GatewayError::invalid("invalid model: empty"));
    }
    let name = model::named(config, text);
    if model::is_forbidden(config, &name) {
        return Err(GatewayError::invalid(format!("model not allowed: {name}")));
    }
    Ok(Some(Some(name)))
}

fn refuse_webchat(call: &Call, verb: &str) -> Result<(), GatewayError> {
    if call.caller.client.is_webchat() {
        return Err(GatewayError::invalid(format!(
            "webchat clients cannot {verb} sessions; use chat.send for session-scoped updates"
        )));
    }
    Ok(())
}

/// The model that the session's next run would ask first.
fn resolved(config: &Config, key: &SessionKey, row: &SessionRow) -> model::ModelName {
    let agent = key.agent_id().unwrap_or(config.agents.default_id());
    model::candidates(config, &row.settings, agent).swap_remove(0)
}

/// The path that clients expect; the sessions themselves are in the database.
pub(in crate::methods) fn store_path(config: &Config, key: &SessionKey) -> String {
    let agent = key.agent_id().unwrap_or(config.agents.default_id());
    let folder = config.paths.state_dir.join("agents").join(agent);
    folder.join("sessions/sessions.json").display().to_string()
}

/// The session that a client means.
pub(in crate::methods) fn resolve(
    call: &Call,
    text: &str,
    config: &Config,
) -> Result<SessionKey, GatewayError> {
    SessionKey::resolve(text, config).map_err(|e: KeyError| call.invalid(&e.to_string()))
}

/// What clients hear when the session store fails or refuses.
pub(in crate::methods) fn failed(error: StoreError) -> GatewayError {
    match error {
        StoreError::Refused(why) => GatewayError::invalid(why),
        error => GatewayError::unavailable("Error: the session store failed").caused_by(error),
    }
}
