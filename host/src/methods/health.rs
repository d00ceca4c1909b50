//! `health` and `status`.

use gateway_schemas::system::{
    HealthParams, Status, StatusAgentHeartbeat, StatusAgentSessions, StatusHeartbeat,
    StatusSession, StatusSessionDefaults, StatusSessions,
};

use super::{Call, Outcome, Reply};
use crate::config::Config;
use crate::error::GatewayError;
use crate::limits::HEALTH_INTERVAL;
use crate::sessions::{SessionKey, SessionRow, shown};
use crate::spell::millis;
use crate::timers::health::sessions_path;
use crate::timers::heartbeat;

/// How many of the newest sessions `status` shows.
const RECENT_SESSIONS: usize = 10;

/// `health`: the cached snapshot while it is young, else a fresh one. Each call also asks for a
/// refresh, which everybody sees as a `health` event.
pub async fn health(call: Call) -> Outcome {
    let board = &call.parts.health;
    if call.params.is_some() {
        let params: HealthParams = call.params()?;
        if params.probe.as_ref().and_then(serde_json::Value::as_bool) == Some(true) {
            return Ok(Reply::shared(board.refresh(true).await.json.clone()));
        }
    }
    let oldest = millis(HEALTH_INTERVAL);
    let young = |ts: u64| call.parts.clock.now_ms().saturating_sub(ts) < oldest;
    match board.current().filter(|s| young(s.health.ts)) {
        Some(snapshot) => {
            board.want_refresh();
            Ok(Reply::shared(snapshot.json.clone()))
        }
        None => Ok(Reply::shared(board.refresh(false).await.json.clone())),
    }
}

/// `status`: one object for people's overviews. Without admin, sessions are only counted.
pub async fn status(call: Call) -> Outcome {
    let parts = &call.parts;
    let config = parts.config.current();
    let now = parts.clock.now_ms();
    let is_admin = call.caller.is_admin();
    let counted = |agent: Option<&str>| -> Result<(u64, Vec<StatusSession>), GatewayError> {
        let most = if is_admin { RECENT_SESSIONS } else { 0 };
        let summary = parts.sessions.summary(agent, most);
        let summary = summary.map_err(|e| {
            GatewayError::unavailable("Error: the session store failed").caused_by(e)
        })?;
        let recent = summary.recent.iter();
        let recent = recent.map(|(key, row)| session(key, row, now)).collect();
        Ok((summary.count, recent))
    };
    let agents = config.agents.ids();
    let by_agent = agents.iter().map(|id| {
        let (count, recent) = counted(Some(*id))?;
        Ok(StatusAgentSessions {
            agent_id: (*id).to_owned(),
            path: if is_admin {
                sessions_path(&config, id)
            } else {
                "[redacted]".into()
            },
            count,
            recent,
        })
    });
    let by_agent = by_agent.collect::<Result<_, GatewayError>>()?;
    let (count, recent) = counted(None)?;
    let sessions = StatusSessions {
        paths: agents
            .iter()
            .filter(|_| is_admin)
            .map(|id| sessions_path(&config, id))
            .collect(),
        count,
        defaults: StatusSessionDefaults {
            model: model(&config).filter(|_| is_admin),
            context_tokens: None,
        },
        recent,
        by_agent,
    };
    Reply::of(&Status {
        runtime_version: Some(crate::VERSION.into()),
        link_channel: None,
        heartbeat: heartbeats(&config),
        channel_summary: parts.channels.summary_lines(),
        queued_system_events: parts.sessions.system_events().list(),
        sessions,
    })
}

fn model(config: &Config) -> Option<String> {
    let model = crate::agent::model::default_of(config, config.agents.default_id());
    Some(model.model)
}

fn heartbeats(config: &Config) -> StatusHeartbeat {
    let default = config.agents.default_id();
    let agents = config.agents.ids().into_iter().map(|id| {
        let every = heartbeat::interval(config, id);
        StatusAgentHeartbeat {
            agent_id: id.to_owned(),
            enabled: every.is_some(),
            every: heartbeat::settings::spell(every),
            every_ms: every.map(millis),
        }
    });
    StatusHeartbeat {
        default_agent_id: default.to_owned(),
        agents: agents.collect(),
    }
}

fn session(key: &SessionKey, stored: &SessionRow, now: u64) -> StatusSession {
    let row = shown::row(key, stored);
    let remaining = row
        .context_tokens
        .zip(row.total_tokens)
        .map(|(c, t)| c.saturating_sub(t));
    let used = row
        .context_tokens
        .filter(|c| *c > 0)
        .zip(row.total_tokens)
        .map(|(context, total)| (total.saturating_mul(100) / context).min(999));
    let mut flags = Vec::new();
    flags.extend(row.thinking_level.as_ref().map(|l| format!("think:{l}")));
    flags.extend(row.verbose_level.as_ref().map(|l| format!("verbose:{l}")));
    flags.extend(stored.system_sent.then(|| "system".to_owned()));
    flags.extend(stored.aborted_last_run.then(|| "aborted".to_owned()));
    flags.push(format!("id:{}", stored.session_id));
    StatusSession {
        agent_id: key.agent_id().map(str::to_owned),
        key: key.as_str().to_owned(),
        kind: row.kind,
        session_id: Some(stored.session_id.clone()),
        updated_at: Some(stored.updated_at),
        age: Some(now.saturating_sub(stored.updated_at)),
        system_sent: row.system_sent,
        aborted_last_run: row.aborted_last_run,
        thinking_level: row.thinking_level,
        fast_mode: row.fast_mode,
        verbose_level: row.verbose_level,
        reasoning_level: row.reasoning_level,
        elevated_level: row.elevated_level,
        input_tokens: row.input_tokens,
        output_tokens: row.output_tokens,
        total_tokens: row.total_tokens,
        total_tokens_fresh: row.total_tokens_fresh,
        remaining_tokens: remaining,
        percent_used: used,
        model: row.model,
        context_tokens: row.context_tokens,
        flags,
        ..StatusSession::default()
    }
}
